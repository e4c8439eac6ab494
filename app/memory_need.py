"""What a bundle takes in memory, against what is here, in sentences for the window.

The numbers are `engines.part_memory`'s.
"""

from dataclasses import dataclass
from typing import Literal

from app.translatable import QT_TRANSLATE_NOOP
from engines.config import BundleConfig, PartDevice
from engines.devices import part_devices
from engines.machine_memory import Memory
from engines.part_memory import (
    PartMemory,
    cache_bytes,
    file_bytes,
    part_memory,
    usual_context,
)

__all__ = ["PartDevice", "cache_bytes", "part_devices"]

Fits = Literal["yes", "tight", "no", "unknown"]

# The process that holds the model, measured with the demo's, less the model itself: Python, the
# libraries, a clip that was decoded.
PROGRAM_BYTES = 120 << 20

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


def need_of(config: BundleConfig, context: int | None = None, exact: bool = False) -> Need:
    """What a bundle takes on a CPU.

    Args:
        config: its manifest.
        context: tokens of the conversation, clip and answers included; None: a usual one, as far
            as the model goes.
        exact: int4 layers with 32-bit activations.
    """
    tokens = usual_context(config, context)
    parts = [_part(part) for part in part_memory(config, context, exact)]
    parts += [
        PartNeed("embeddings", file_bytes(config, "embed_tokens.npy"), 0, 0, False, _MAPPED),
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


def human_size(number: float) -> str:
    """A number of bytes as a person says it: 340 kB, 5.9 MB, 4.1 GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if number >= scale:
            return f"{number / scale:.1f} {unit}"
    return f"{number / 1e3:.0f} kB"


def _part(memory: PartMemory) -> PartNeed:
    mapped = max(0, memory.file_bytes - memory.packed_bytes)
    return PartNeed(memory.part, mapped, memory.packed_bytes, memory.working_bytes, True, _WEIGHTS)
