"""The generation loop: embeddings and keys in, token ids out, one at a time.

Knows arrays, the cache and a sampler; no tokenizer, no file, no message. Stopping early is ceasing
to iterate: the cache then holds exactly what was computed.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.errors import DeviceError, PromptError
from engines.kv_cache import Keys, KvCache
from engines.sampling import Sampler

Array = NDArray[Any]
T = TypeVar("T")
FinishReason = Literal["stop", "length"]

# Positions per run of the decoder while the prompt is read: long enough for efficient products,
# short enough that stopping and progress do not wait.
PREFILL_CHUNK = 128


class Decoder(Protocol):
    """What the loop needs of a backend (see `backends.onnxruntime.DecoderSession.run`)."""

    def run(self, inputs_embeds: Array, past: int, cache: Sequence[Any]) -> Array:
        """Writes (1, L, H) behind `past` cached positions; returns the next logits (vocab,)."""


@dataclass(frozen=True)
class PrefillStep:
    """So many of the prompt's positions are in the cache; this step computed `computed` of them."""

    done: int
    total: int
    computed: int


@dataclass(frozen=True)
class TokenStep:
    """One new token; `finish` is set on the last one."""

    id: int
    finish: FinishReason | None


@dataclass(frozen=True)
class TokenPrompt:
    """A prompt as the decoder takes it.

    Attributes:
        inputs_embeds: (L, H) float32.
        keys: (L,) int64, what stands at each position (see `kv_cache.KvCache.keys`).
    """

    inputs_embeds: Array
    keys: Keys


def check_length(prompt_tokens: int, new_tokens: int, limit: int) -> None:
    """Refuses a prompt that leaves no room for the answer.

    Raises:
        PromptError: says by how much, and what to reduce.
    """
    if prompt_tokens + min(new_tokens, 1) > limit:
        raise PromptError(
            f"The prompt has {prompt_tokens} tokens but the model reads at most {limit}; use fewer"
            " frames, a shorter range or sound off, or start a new conversation."
        )
    if prompt_tokens + new_tokens > limit:
        raise PromptError(
            f"The prompt has {prompt_tokens} tokens and the answer may take {new_tokens}, but the"
            f" model holds {limit} together; lower --max-new-tokens to {limit - prompt_tokens} or"
            " less, or use fewer frames."
        )


def reusable(cache: KvCache, prompt: TokenPrompt) -> int:
    """How many of the prompt's positions the cache spares.

    At least the last position runs again: its logits were not kept.
    """
    return min(cache.common_prefix(prompt.keys), len(prompt.keys) - 1)


def prefill(
    decoder: Decoder, cache: KvCache, prompt: TokenPrompt, chunk: int | None = None
) -> Generator[PrefillStep, None, Array]:
    """Reads the prompt into the cache, chunk by chunk, skipping what the cache already holds.

    A backend that is best fed otherwise says so by an attribute `prefill_chunk`.

    Returns:
        The logits (vocab,) after the prompt: a view that the decoder's next run overwrites.
    """
    total = len(prompt.keys)
    if chunk is None:
        chunk = int(getattr(decoder, "prefill_chunk", PREFILL_CHUNK))
    cache.trim(reusable(cache, prompt))
    logits: Array = np.zeros(0, np.float32)
    for start in range(cache.length, total, chunk):
        stop = min(start + chunk, total)
        logits = decoder.run(prompt.inputs_embeds[None, start:stop], start, cache.arrays)
        cache.appended(prompt.keys[start:stop])
        yield PrefillStep(stop, total, stop - start)
    return logits


def generate_steps(
    decoder: Decoder,
    cache: KvCache,
    prompt: TokenPrompt,
    embed: Callable[[Keys], Array],
    sampler: Sampler,
    eos_token_ids: Collection[int],
    max_new_tokens: int,
) -> Iterator[PrefillStep | TokenStep]:
    """Reads the prompt, then yields one token after another until the end.

    Args:
        decoder: the opened decoder.
        cache: its cache; positions that equal the prompt's beginning are not computed again.
        prompt: (L, H) embeddings and (L,) keys, L ≥ 1; see `check_length`.
        embed: ids (n,) → embeddings (n, H).
        sampler: (logits, ids so far) → next id.
        eos_token_ids: ids that end the answer; such a token is yielded too.
        max_new_tokens: at least 1.
    """
    # Where the cache cannot be as long as the answer may get, more is asked for when it gets there.
    most = getattr(decoder, "most_positions", None)
    wanted = len(prompt.keys) + max_new_tokens
    cache.reserve(wanted if most is None else max(len(prompt.keys), min(wanted, most)))
    logits = yield from prefill(decoder, cache, prompt)
    ids: list[int] = []
    while True:
        if not np.isfinite(logits.max()):  # The largest of anything with NaN is NaN.
            raise DeviceError(
                "The decoder gave numbers that are not finite; use --exact or another bundle."
            )
        token = sampler(logits, ids)
        ids.append(token)
        if token in eos_token_ids:
            yield TokenStep(token, "stop")
            return
        if len(ids) >= max_new_tokens:
            yield TokenStep(token, "length")
            return
        yield TokenStep(token, None)
        cache.reserve(cache.length + 1)
        key = np.array([token], np.int64)
        logits = decoder.run(embed(key)[None], cache.length, cache.arrays)
        cache.appended(key)


def drain(steps: Generator[Any, None, T]) -> T:
    """Runs a stepwise job to its end, ignoring the steps, and returns its result."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
