"""What a bundle takes in memory, against what is here.

Sizes of files and the cache's geometry are known exactly. What ONNX Runtime makes of the weights
and takes while it works is estimated, by what was measured with graphs of the published size on a
CPU (ONNX Runtime 1.31; tests hold the sums, not the measurements).
"""

from dataclasses import dataclass
from typing import Literal

from app.machine_memory import Memory
from app.translatable import QT_TRANSLATE_NOOP
from engines.config import BundleConfig
from engines.devices import resolve
from engines.encode import TOWER_FRAMES
from engines.generate import PREFILL_CHUNK

Fits = Literal["yes", "tight", "no", "unknown"]

# A clip, its sound and a long talk about them.
USUAL_CONTEXT = 8192
# The library's own copy of the weights, per byte of their file; the file itself is let go then.
# Measured: float32 1.0, float16 2.0 to 2.3 and once 2.9 (float32 on a CPU), int4 1.09 in groups of
# 128 to 1.24 in groups of 32, .82 where activations stay in 32 bit (the output matrix is mapped).
PACKED = {"fp32": 1.0, "fp16": 2.3, "int4": 1.25}
PACKED_EXACT = 0.85
# The process that holds the model, measured with the demo's, less the model itself: Python, the
# libraries, a clip that was decoded.
PROGRAM_BYTES = 120 << 20
# Float32 numbers of a working space per token and channel, fitted to measurements: CLIP-L at 336
# pixels takes 117 MB for two frames, the STC connector at width 4096 takes 63 MB a frame.
TOWER_COPIES, CONNECTOR_COPIES = 14, 7
HEAD_WIDTH = 64
# BEATs' attention scores: 12 heads, four copies; a window of 1496 tokens takes 390 to 440 MB.
AUDIO_SCORES = 12 * 4
# A layer's working space while the prompt is read: per position and channel.
DECODER_COPIES = 24

_WEIGHTS = QT_TRANSLATE_NOOP(
    "Engine",
    "Estimated from the file's size: the library packs the weights anew. What it takes while it"
    " works is estimated, too.",
)
_MAPPED = QT_TRANSLATE_NOOP(
    "Engine", "Exact. Read from the file as needed, and given back when memory is short."
)
_CACHE = QT_TRANSLATE_NOOP(
    "Engine",
    "Exact, for a conversation of 8,192 tokens or as many as the model can hold; a shorter one"
    " takes less.",
)
_CACHE_ASKED = QT_TRANSLATE_NOOP("Engine", "Exact, for a conversation of the length asked for.")
_PROGRAM = QT_TRANSLATE_NOOP(
    "Engine", "Measured on another computer: the engine's process without a model."
)


@dataclass(frozen=True)
class PartNeed:
    """A part's memory.

    Attributes:
        part: "vision_tower", "projector", "audio", "decoder", "embeddings", "cache", "program".
        mapped_bytes: stays on the disk and is read as needed; given back when memory is short.
        packed_bytes: the library's own copy of the weights.
        working_bytes: what it takes while it works.
        estimated: whether any of these is not exact.
        note: what is exact and what estimated, in a sentence.
    """

    part: str
    mapped_bytes: int
    packed_bytes: int
    working_bytes: int
    estimated: bool
    note: str


@dataclass(frozen=True)
class Need:
    """What a bundle takes in memory.

    Attributes:
        context: tokens of the conversation that were reckoned with.
        parts: part by part.
        needed_bytes: all that must be in memory at once.
        mapped_bytes: what may be there besides.
    """

    context: int
    parts: tuple[PartNeed, ...]
    needed_bytes: int
    mapped_bytes: int


@dataclass(frozen=True)
class Verdict:
    """Whether a bundle fits, and a sentence.

    Attributes:
        fits: "yes"; "tight": only when other programs are closed; "no"; "unknown".
        sentence: with the numbers.
    """

    fits: Fits
    sentence: str


@dataclass(frozen=True)
class PartDevice:
    """Where a part runs and why (a sentence)."""

    part: str
    device: str
    reason: str


def need_of(config: BundleConfig, context: int | None = None, exact: bool = False) -> Need:
    """What a bundle takes on a CPU.

    Args:
        config: its manifest.
        context: tokens of the conversation, clip and answers included; None: a usual one, as far
            as the model goes.
        exact: int4 layers with 32-bit activations.
    """
    limit = config.decoder.max_position_embeddings
    tokens = min(limit, USUAL_CONTEXT if context is None else max(1, context))
    parts = [
        _graph(config, "vision_tower", _tower_bytes(config)),
        _graph(config, "projector", _connector_bytes(config)),
    ]
    if config.audio is not None:
        scores = config.audio.tokens_per_window**2 * AUDIO_SCORES * 4
        parts.append(_graph(config, "audio", scores))
    parts += [
        _graph(config, "decoder", _decoder_bytes(config, tokens), exact),
        PartNeed("embeddings", _file_bytes(config, "embed_tokens.npy"), 0, 0, False, _MAPPED),
        PartNeed(
            "cache",
            0,
            0,
            cache_bytes(config, tokens),
            False,
            _CACHE if context is None else _CACHE_ASKED,
        ),
        PartNeed("program", 0, 0, PROGRAM_BYTES, True, _PROGRAM),
    ]
    return Need(
        context=tokens,
        parts=tuple(parts),
        needed_bytes=sum(part.packed_bytes + part.working_bytes for part in parts),
        mapped_bytes=sum(part.mapped_bytes for part in parts),
    )


def cache_bytes(config: BundleConfig, tokens: int) -> int:
    """Bytes of the keys and values of so many tokens."""
    decoder = config.decoder
    declared = config.graphs["decoder"].inputs.get("past_key_values.0.key")
    width = 2 if declared is not None and declared[0] == "float16" else 4
    per_token = 2 * decoder.num_hidden_layers * decoder.num_key_value_heads * decoder.head_dim
    return per_token * width * tokens


def verdict(need: Need, memory: Memory) -> Verdict:
    """Whether a need fits into a memory."""
    wanted = human_size(need.needed_bytes)
    if memory.total_bytes is None:
        return Verdict(
            "unknown",
            f"It needs about {wanted}; this computer does not say how much memory it has.",
        )
    total = human_size(memory.total_bytes)
    if need.needed_bytes > memory.total_bytes:
        return Verdict("no", f"It needs about {wanted}, but this computer has {total} of memory.")
    if memory.available_bytes is None:
        return Verdict("yes", f"It needs about {wanted} of this computer's {total}.")
    free = human_size(memory.available_bytes)
    if need.needed_bytes > memory.available_bytes:
        return Verdict(
            "tight",
            f"It needs about {wanted}, but {free} of this computer's {total} are free; close other"
            " programs first.",
        )
    return Verdict("yes", f"It needs about {wanted}; {free} of this computer's {total} are free.")


def part_devices(config: BundleConfig, device: str = "auto") -> tuple[PartDevice, ...]:
    """Where each part would run, and why; may ask the GPU's driver, so not on the drawing thread.

    Raises:
        DeviceError: the device cannot be used here (see `engines.devices.resolve`).
    """
    chosen = resolve(device)
    parts = ["vision_tower", "projector", *(["audio"] if config.audio else []), "decoder"]
    return tuple(PartDevice(part, chosen.name, chosen.reason) for part in parts)


def human_size(number: float) -> str:
    """A number of bytes as a person says it: 340 kB, 5.9 MB, 4.1 GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if number >= scale:
            return f"{number / scale:.1f} {unit}"
    return f"{number / 1e3:.0f} kB"


def _graph(config: BundleConfig, graph: str, working: int, exact: bool = False) -> PartNeed:
    # decoder.exact.onnx and decoder.onnx share decoder.data.
    size = _file_bytes(config, config.graphs[graph].file) + _file_bytes(config, f"{graph}.data")
    scheme = config.quantisation.scheme
    if graph != "decoder" and scheme == "int4":
        scheme = "fp16"  # Only the decoder is rounded to 4 bits.
    share = PACKED_EXACT if exact and scheme == "int4" else PACKED[scheme]
    packed = round(size * share)
    mapped = max(0, size - packed)
    return PartNeed(graph, mapped, packed, working, True, _WEIGHTS)


def _file_bytes(config: BundleConfig, name: str) -> int:
    return config.files[name].size if name in config.files else 0


def _tower_bytes(config: BundleConfig) -> int:
    vision = config.vision
    tokens, heads = vision.tokens_per_frame, max(1, vision.hidden_size // HEAD_WIDTH)
    numbers = TOWER_FRAMES * tokens * (TOWER_COPIES * vision.hidden_size + heads * tokens)
    # Two copies of the frames: as they came, and as the tower takes them.
    frames = 2 * vision.num_frames * 3 * vision.image_size**2
    return 4 * (numbers + frames)


def _connector_bytes(config: BundleConfig) -> int:
    vision = config.vision
    grid = vision.num_frames * vision.tokens_per_frame
    return 4 * CONNECTOR_COPIES * grid * config.decoder.hidden_size


def _decoder_bytes(config: BundleConfig, tokens: int) -> int:
    decoder = config.decoder
    scores = decoder.num_attention_heads * PREFILL_CHUNK * tokens
    layer = DECODER_COPIES * PREFILL_CHUNK * decoder.hidden_size
    return 4 * (scores + layer + decoder.vocab_size)
