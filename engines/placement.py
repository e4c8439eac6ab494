"""What runs where, by memory: decided before anything is loaded.

The decoder comes first, since every token reads it whole; then the encoders, kept beside it or, if
it is tight, on the GPU one after the other; then on the CPU. The cache is made shorter last of all.
Knows bytes, not libraries: what a part takes is `engines.part_memory`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engines.part_memory import PartMemory

Where = Literal["gpu", "cpu"]

# A driver's context with TensorRT's or ONNX Runtime's libraries, where it is not there yet.
# Estimated, by what is published for CUDA 12 and 13; nothing here was measured on a GPU.
CONTEXT_BYTES = 450 << 20
# Kept free on a GPU: its allocator rounds up, and a desktop needs some.
MARGIN = 0.04
# A clip of 16 frames, its question and an answer; a shorter cache holds no conversation.
LEAST_CONTEXT = 2048
_CONTEXT_STEP = 256


@dataclass(frozen=True)
class Free:
    """Memory that may be used, in bytes; None where the system does not say."""

    gpu: int | None
    ram: int | None


@dataclass(frozen=True)
class Row:
    """One part of a plan.

    Attributes:
        part: a graph's name, "cache" or "context" (the GPU driver's own).
        where: "gpu" or "cpu".
        nbytes: weights, or what the part is.
        working_bytes: what it takes while it works.
        kept: False if its place is given to the next part when it has worked.
        opening_bytes: of this computer's memory, while it is put on a GPU.
    """

    part: str
    where: Where
    nbytes: int
    working_bytes: int
    kept: bool = True
    opening_bytes: int = 0


@dataclass(frozen=True)
class Placement:
    """What runs where.

    Attributes:
        rows: part by part.
        context: tokens that the cache holds.
        gpu_bytes: the most that is in use on the GPU at one time.
        ram_bytes: likewise in this computer's memory, by the parts placed there and by the one that
            is on its way to the GPU.
        fits: whether both are there; False too where the memory is not known to be enough.
        reason: why so, in a sentence.
    """

    rows: tuple[Row, ...]
    context: int
    gpu_bytes: int
    ram_bytes: int
    fits: bool
    reason: str

    def where(self, part: str) -> Where:
        """Where a part runs; the CPU if it is no part of the plan."""
        return next((row.where for row in self.rows if row.part == part), "cpu")

    def kept(self, part: str) -> bool:
        """Whether a part stays once it is there."""
        return next((row.kept for row in self.rows if row.part == part), True)


@dataclass(frozen=True)
class _Way:
    """One way to place a model; the first that fits is taken."""

    decoder: Where
    encoders: Where
    kept: bool
    shorter: bool
    reason: str


_ALL = "Everything fits on the GPU."
_TOO_LARGE, NO_ENGINE = "does not fit on the GPU", "has no engine for this GPU"
# Without a compiled engine, at every token.
CACHE_CROSSES = "would move its cache to the GPU and back"
_WAYS = (
    _Way("gpu", "gpu", True, False, _ALL),
    _Way(
        "gpu",
        "gpu",
        False,
        False,
        "The GPU is too small for everything at once: the encoders use its memory one after the"
        " other.",
    ),
    _Way(
        "gpu",
        "cpu",
        True,
        False,
        "The GPU holds the decoder and its cache; the encoders run on the CPU.",
    ),
    _Way(
        "gpu",
        "gpu",
        False,
        True,
        "The GPU is too small for the conversation asked for: its cache is shorter, and the"
        " encoders use the memory one after the other.",
    ),
    _Way(
        "gpu",
        "cpu",
        True,
        True,
        "The GPU is too small for the conversation asked for: its cache is shorter, and the"
        " encoders run on the CPU.",
    ),
    _Way(
        "cpu",
        "gpu",
        True,
        False,
        f"The decoder {_TOO_LARGE} and runs on the CPU; the encoders run on the GPU.",
    ),
    _Way(
        "cpu",
        "gpu",
        False,
        False,
        f"The decoder {_TOO_LARGE} and runs on the CPU; the encoders use the GPU one"
        " after the other.",
    ),
)
_NO_GPU = "Everything runs on the CPU."
_TOO_SMALL = "The GPU is too small for any part: everything runs on the CPU."


def place(
    parts: Sequence[PartMemory],
    token_bytes: tuple[int, int],
    context: int,
    free: Free,
    context_bytes: int = CONTEXT_BYTES,
    no_decoder: str = "",
) -> Placement:
    """Decides where each part of a model runs.

    Args:
        parts: what each graph takes, "decoder" among them.
        token_bytes: what the cache takes for one token on the GPU, and on the CPU.
        context: tokens that a conversation is to have.
        free: memory that may be used; no `gpu` means that there is none.
        context_bytes: what the driver takes once more; 0 if it is counted in `free` already.
        no_decoder: why the decoder does not run there whatever the room, so that it takes none:
            `NO_ENGINE` or `CACHE_CROSSES`; empty where it may.
    """
    if free.gpu is not None:
        room = int(free.gpu * (1 - MARGIN)) - context_bytes
        for way in _WAYS:
            if way.decoder == "gpu" and no_decoder:
                continue
            found = _try(parts, token_bytes, context, room, way)
            if found is not None:
                rows = (*found[0], Row("context", "gpu", context_bytes, 0))
                reason = way.reason
                if no_decoder:
                    reason = reason.replace(_TOO_LARGE, no_decoder)
                return _finished(rows, found[1], reason, free)
    rows = tuple(_row(part, "cpu", True) for part in parts)
    rows += (Row("cache", "cpu", token_bytes[1] * context, 0),)
    return _finished(rows, context, _NO_GPU if free.gpu is None else _TOO_SMALL, free)


def _try(
    parts: Sequence[PartMemory], token_bytes: tuple[int, int], context: int, room: int, way: _Way
) -> tuple[tuple[Row, ...], int] | None:
    rows = tuple(
        _row(part, way.decoder, True)
        if part.part == "decoder"
        else _row(part, way.encoders, way.kept)
        for part in parts
    )
    per_token = token_bytes[0 if way.decoder == "gpu" else 1]
    if way.shorter:
        left = room - _gpu_bytes(rows)
        context = min(context, left // max(1, per_token) // _CONTEXT_STEP * _CONTEXT_STEP)
        if context < LEAST_CONTEXT:
            return None
    rows += (Row("cache", way.decoder, per_token * context, 0),)
    return (rows, context) if _gpu_bytes(rows) <= room else None


def _row(part: PartMemory, where: Where, kept: bool) -> Row:
    if where == "gpu":
        sizes = part.gpu_bytes, part.gpu_working_bytes
        return Row(part.part, "gpu", *sizes, kept, part.opening_bytes)
    return Row(part.part, "cpu", part.packed_bytes, part.working_bytes)


def _gpu_bytes(rows: Sequence[Row]) -> int:
    """The most that is in use at one time: all that stays, and the largest of what takes turns."""
    return _peak([row for row in rows if row.where == "gpu"])


def _peak(rows: Sequence[Row]) -> int:
    # A compiled engine holds its working space as long as it is open.
    stays = sum(row.nbytes + row.working_bytes for row in rows if row.kept)
    turns = [row.nbytes + row.working_bytes for row in rows if not row.kept]
    return stays + max(turns, default=0)


def _finished(rows: tuple[Row, ...], context: int, reason: str, free: Free) -> Placement:
    gpu, ram = _gpu_bytes(rows), _peak([row for row in rows if row.where == "cpu"])
    ram += max(row.opening_bytes for row in rows)  # One after the other.
    enough = free.ram is not None and ram <= free.ram
    return Placement(rows, context, gpu, ram, enough, reason)
