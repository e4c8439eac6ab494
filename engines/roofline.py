"""How near the decoder comes to what the memory can give: a token reads all weights and the cache.

No arithmetic can make a token faster than its bytes divided by the memory's bandwidth; what is
reached of that, measured on the same machine, is the share of the roof.
"""

import statistics
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.cuda_driver import Device, Gpu
from engines.config import BundleConfig
from engines.errors import DeviceError, DeviceMemoryError
from engines.fallback import AnyDecoder
from engines.generate import TokenPrompt, drain, prefill
from engines.kv_cache import KvCache
from engines.memory_bandwidth import read_bytes_per_s
from engines.part_memory import cache_bytes, graph_bytes
from engines.sessions import Sessions

Array = NDArray[Any]

# A copy large enough that caches do not help, and often enough that starting it does not count.
COPY_BYTES = 256 << 20
COPIES = 20
# Tokens that are written before the timed ones.
WARM_TOKENS = 8


@dataclass(frozen=True)
class Speed:
    """A decoder's speed by itself: prompt read and tokens written a second, median of tokens.

    Attributes:
        prefill_tokens_per_s: while a prompt is read.
        decode_tokens_per_s: while tokens are written.
        past: tokens in the cache, in the middle of that.
    """

    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    past: int


@dataclass(frozen=True)
class Roof:
    """What was read for a token, what the memory gives, and the share that was reached.

    Attributes:
        bytes_per_token: weights and cache; None for a mixture of experts, whose reading depends on
            the token.
        memory_bytes_per_s: as measured here; None where it could not be.
        share: of the roof; None where either is not known.
    """

    bytes_per_token: int | None
    memory_bytes_per_s: float | None
    share: float | None


def bytes_per_token(config: BundleConfig, positions: int, width: int | None = None) -> int | None:
    """Bytes that one token reads: the decoder's weights as they are stored, and the cache.

    Args:
        config: the manifest.
        positions: of the cache that are read (`Sessions.cache_read`).
        width: bytes of a number in the cache; None as on the CPU.

    Returns:
        None for a mixture of experts: the manifest does not say how much of it a token reads.
    """
    if "mixtral" in config.source.model_type:
        return None
    return graph_bytes(config, "decoder") + cache_bytes(config, positions, width)


def roof(
    token_bytes: int | None, tokens_per_s: float | None, memory_bytes_per_s: float | None
) -> Roof:
    """The share of the roof that a speed is."""
    share = None
    if token_bytes is not None and tokens_per_s is not None and memory_bytes_per_s:
        share = round(token_bytes * tokens_per_s / memory_bytes_per_s, 4)
    return Roof(token_bytes, memory_bytes_per_s, share)


def decoder_speed(decoder: AnyDecoder, embeds: Array, tokens: int) -> Speed:
    """Times a decoder: a prompt, then one token after another.

    Args:
        decoder: the opened decoder.
        embeds: (L, H) float32, the prompt; its last row is every token that is written.
        tokens: that are timed.

    Raises:
        DeviceError: the library failed, or the cache does not fit.
    """
    length = len(embeds)
    cache = KvCache(
        decoder.layers,
        decoder.kv_heads,
        decoder.head_dim,
        decoder.cache_dtype,
        limit=length + WARM_TOKENS + tokens,
        grow=decoder.grow,
    )
    cache.reserve(length + WARM_TOKENS + tokens)
    prompt = TokenPrompt(embeds, np.arange(length, dtype=np.int64))
    for _ in range(2):  # The first time, memory is given out and kernels may be compiled.
        cache.trim(0)
        started = time.perf_counter()
        drain(prefill(decoder, cache, prompt))
        read_s = time.perf_counter() - started
    seconds = []
    for past in range(length, length + WARM_TOKENS + tokens):
        started = time.perf_counter()
        decoder.run(embeds[None, -1:], past, cache.arrays)
        seconds.append(time.perf_counter() - started)
    written_s = statistics.median(seconds[WARM_TOKENS:])
    return Speed(length / read_s, 1 / written_s, length + WARM_TOKENS + tokens // 2)


def memory_bytes_per_s(sessions: Sessions, threads: int | None) -> float | None:
    """What the memory gives that the decoder reads from, measured now.

    Args:
        sessions: those of the model, to know where its decoder runs.
        threads: that the model computes with on the CPU.

    Returns:
        None where it could not be measured.
    """
    where = next(part.device for part in sessions.devices() if part.part == "decoder")
    if where == "cpu":
        return read_bytes_per_s(threads)
    if sessions.compiled is None:
        return None
    return gpu_bytes_per_s(sessions.compiled.gpu)


def gpu_bytes_per_s(gpu: Gpu) -> float | None:
    """What a GPU's memory gives, by copies within it: each byte is read once and written once.

    Returns:
        None where there is no room for the copies, or the GPU failed.
    """
    try:
        device = Device(gpu)
    except DeviceError:
        return None
    try:
        for nbytes in (COPY_BYTES, COPY_BYTES // 2):  # The model may leave little room.
            with suppress(DeviceMemoryError):
                return 2 * nbytes * COPIES / device.time_copies(nbytes, COPIES)
    except (DeviceError, ZeroDivisionError):
        return None
    finally:
        device.close()
    return None
