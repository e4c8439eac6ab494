"""When the frames of a clip are shown, whether their rate is constant, what a range takes."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.errors import MediaError
from engines.media_file import shown

# A step between frames may differ by this share of the usual one where the rate is constant.
STEP_TOLERANCE = 0.25
IRREGULAR_SHARE = 0.02
# A range that ends so little after the clip is no mistake worth telling.
RANGE_SLACK_S = 0.1


@dataclass(frozen=True)
class Timeline:
    """When each frame of a clip is shown: `times_s` float64 (n,), ascending, and the last's end.

    `fps` is the rate where it is constant, None where it varies.
    """

    times_s: NDArray[np.float64]
    end_s: float
    fps: float | None
    notes: tuple[str, ...] = ()


def constant_rate(
    times_s: NDArray[np.float64], end_s: float, declared_fps: float | None
) -> float | None:
    """Frames per second if the rate is constant, else None.

    A header's rate is believed only where the time stamps bear it out within 5 %.
    """
    if len(times_s) < 2:
        measured = 1 / (end_s - times_s[0]) if end_s > times_s[0] else 0.0
        return float(measured) or None
    steps = np.diff(times_s)
    usual = float(np.median(steps))
    regular = np.abs(steps - usual) <= STEP_TOLERANCE * usual + 1e-3
    straight = times_s[0] + np.arange(len(times_s)) * (times_s[-1] - times_s[0]) / len(steps)
    drift = float(np.abs(times_s - straight).max())
    if usual <= 0 or (~regular).mean() > IRREGULAR_SHARE or drift > 1.5 * usual + 1e-3:
        return None
    measured = len(steps) / float(times_s[-1] - times_s[0])
    if declared_fps and abs(declared_fps / measured - 1) < 0.05:
        return declared_fps
    return measured


def check_range(
    path: Path, range_s: tuple[float, float], part_end_s: float, part: str = "clip"
) -> tuple[tuple[float, float], tuple[str, ...]]:
    """The part of a clip between two times in s, and a note where it was shortened.

    Args:
        path: the clip, for messages.
        range_s: start and end as the user gave them.
        part_end_s: where that of the clip which is to be cut ends.
        part: what that is, "clip" or "picture": a clip's sound may be the longer part.

    Raises:
        MediaError: the range is negative, empty or backwards, or begins after the end.
    """
    start_s, end_s = range_s
    asked = f"The range {start_s:g} to {end_s:g} s of {shown(path)}"
    if not (math.isfinite(start_s) and math.isfinite(end_s)) or start_s < 0:
        raise MediaError(f"{asked} is no part of it; give two times from 0 on, in seconds.")
    if end_s <= start_s:
        raise MediaError(f"{asked} is empty or runs backwards; give the earlier time first.")
    if start_s >= part_end_s:
        raise MediaError(
            f"{asked} begins after the end of the {part}, which is at {part_end_s:.2f} s; choose an"
            " earlier range."
        )
    if end_s > part_end_s + RANGE_SLACK_S:
        note = f"The {part} ends at {part_end_s:.2f} s, and so does the range."
        return (start_s, part_end_s), (note,)
    return (start_s, min(end_s, part_end_s)), ()
