"""How much memory quantising will take at most, worked out before it starts."""

import ctypes
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from export.progress import size
from export.reference.decoder import DecoderConfig
from export.streams import CHUNK
from quant.gptq import ROWS

P = ParamSpec("P")
R = TypeVar("R")

# Python, torch and what they keep.
RUNTIME_BYTES = 500_000_000
FLOAT = 4


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes by what they are for, at the moment when the most is needed."""

    runtime: int
    hidden_states: int
    weights: int
    hessians: int
    working: int

    @property
    def total(self) -> int:
        """Return all of it."""
        return self.runtime + self.hidden_states + self.weights + self.hessians + self.working

    def __str__(self) -> str:
        """Say it in a line."""
        parts = [
            f"{size(number)} {name}"
            for name, number in (
                ("hidden states", self.hidden_states),
                ("weights of a layer", self.weights),
                ("Hessians", self.hessians),
                ("working memory", self.working),
            )
        ]
        return f"{size(self.total)} of memory ({', '.join(parts)}, the rest for torch itself)"


def memory_plan(config: DecoderConfig, tokens: int) -> MemoryPlan:
    """Estimate the peak: the widest matrix of a layer, the one behind the feed-forward.

    Args:
        config: The decoder.
        tokens: Calibration tokens.
    """
    width, inner = config.hidden_size, config.intermediate_size
    experts = config.num_local_experts
    # Two streams, and with experts what those have made of both so far.
    hidden = FLOAT * tokens * width * (4 if experts else 2)
    # The matrix itself; the two before it, quantised, as numbers and packed.
    numbers = width * inner
    weights = FLOAT * 3 * numbers + numbers * 3 * 9 // 16
    # H and its factor.
    hessians = FLOAT * 2 * inner * inner
    # The target, and then rows of it, of errors and of codes; or activations of both streams.
    rows = min(ROWS, width)
    rounding = FLOAT * (numbers + 2 * rows * inner) + 2 * numbers
    solving = FLOAT * 3 * numbers
    chunk = FLOAT * CHUNK * (4 * width + 6 * inner)
    working = max(rounding, solving, chunk)
    return MemoryPlan(RUNTIME_BYTES, hidden, weights, hessians, working)


def giving_back(work: Callable[P, R]) -> Callable[P, R]:
    """Give the system back what `work` took: the C library keeps freed memory for later."""

    @functools.wraps(work)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return work(*args, **kwargs)
        finally:
            _trim()

    return wrapped


def _trim() -> None:
    # glibc's own; a session that was closed may leave gigabytes with it.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
