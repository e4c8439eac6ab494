"""A stretch of a live recording on its way to the engine process: facts and arrays of a packet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from engines.config import Mismatch, from_json, to_json
from engines.live_clip import LiveClip

_ARRAYS = ("frames", "sound")


@dataclass(frozen=True)
class _LiveFacts:
    """What of a `LiveClip` is no array."""

    name: str
    duration_s: float
    frame_times_s: tuple[float, ...]
    frame_keys: tuple[str, ...]
    sample_rate: int
    sound_span_s: tuple[float, float] | None
    sound_key: tuple[str, int]
    notes: tuple[str, ...]


def pack_live(clip: LiveClip) -> tuple[dict[str, Any], tuple[NDArray[Any], ...]]:
    """A clip as JSON and arrays: its sound, then its frames."""
    facts = {name: value for name, value in vars(clip).items() if name not in _ARRAYS}
    return to_json(facts), (clip.sound, *clip.frames)


def unpack_live(facts: Any, arrays: Sequence[NDArray[Any]]) -> LiveClip:
    """The clip that `pack_live` packed; Mismatch for anything else."""
    known = from_json(_LiveFacts, facts, "live")
    if [(a.dtype.name, a.ndim) for a in arrays[:1]] != [("float32", 1)]:
        raise Mismatch("the live sound is no row of float32")
    sound, *frames = arrays
    if any(frame.dtype.name != "uint8" or frame.ndim != 1 for frame in frames):
        raise Mismatch("a live frame is no row of bytes")
    return LiveClip(**vars(known), frames=tuple(frames), sound=sound)
