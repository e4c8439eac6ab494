"""What the model got of a clip, as the timeline shows it, and the same in words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QLocale

from app.widgets.time_axis import clock, decimals_for

Span = tuple[float, float]
translate = QCoreApplication.translate

# More times than this are no longer listed in words.
MOST_LISTED = 16
# A rest shorter than this is rounding.
SHORTEST_GAP_S = 0.02


@dataclass(frozen=True, eq=False)
class CoverageFacts:
    """A clip's timeline.

    Attributes:
        duration_s: The clip's length; 0 while it is not known.
        has_picture: Whether the clip has pictures.
        has_sound: Whether it has sound; None while that is not known.
        frame_times_s: The frames that the model gets, or got.
        heard_s: The spans of sound that it got, ascending.
        known: Whether it got them already; before that nothing counts as skipped.
        peaks: The sound's shape, float32 (bins, 2), or None.
    """

    duration_s: float = 0.0
    has_picture: bool = True
    has_sound: bool | None = None
    frame_times_s: tuple[float, ...] = ()
    heard_s: tuple[Span, ...] = ()
    known: bool = False
    peaks: NDArray[np.float32] | None = None

    @property
    def unheard_s(self) -> tuple[Span, ...]:
        """The sound that the model did not get, once that is known."""
        if not self.known or not self.has_sound:
            return ()
        return tuple(gaps(self.heard_s, self.duration_s))


def gaps(spans: Sequence[Span], end_s: float) -> list[Span]:
    """What of 0 to `end_s` is in none of the ascending spans."""
    found, at = [], 0.0
    for start, end in spans:
        if start - at > SHORTEST_GAP_S:
            found.append((at, start))
        at = max(at, end)
    if end_s - at > SHORTEST_GAP_S:
        found.append((at, end_s))
    return found


def merged(spans: Sequence[Span]) -> list[Span]:
    """Ascending spans, those that touch as one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start - found[-1][1] <= SHORTEST_GAP_S:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def summary(facts: CoverageFacts) -> str:
    """A line for everybody: how much the model got; "" while nothing is known."""
    if not facts.known:
        return _planned(facts)
    if not facts.has_picture:
        return _heard_alone(facts)
    if not facts.duration_s:
        return translate("CoverageFacts", "The model saw the picture")
    parts = [_seen(len(facts.frame_times_s))]
    if facts.has_sound:
        parts.append(_heard(facts))
    return " · ".join(parts)


def description(facts: CoverageFacts, range_s: Span | None) -> str:
    """The whole timeline in words, for those who cannot see it."""
    sentences = []
    if facts.duration_s:
        sentences.append(
            translate("CoverageFacts", "{time} long").format(time=_at(facts, facts.duration_s))
        )
    if facts.frame_times_s:
        sentences.append(_frames_in_words(facts))
    elif facts.known and facts.has_picture:
        sentences.append(translate("CoverageFacts", "no frames"))
    sentences += _sound_in_words(facts)
    if range_s is not None:
        start, end = (_at(facts, time) for time in range_s)
        sentences.append(
            translate("CoverageFacts", "chosen range {start} to {end}").format(start=start, end=end)
        )
    return "; ".join(sentences)


def _planned(facts: CoverageFacts) -> str:
    count = len(facts.frame_times_s)
    if not count or not facts.duration_s:
        return ""
    if count == 1:
        return translate("CoverageFacts", "The model gets 1 frame")
    return translate("CoverageFacts", "The model gets {count} frames").format(count=count)


def _seen(count: int) -> str:
    if count == 0:
        return translate("CoverageFacts", "The model saw no picture")
    if count == 1:
        return translate("CoverageFacts", "The model saw 1 frame")
    return translate("CoverageFacts", "The model saw {count} frames").format(count=count)


def _heard(facts: CoverageFacts) -> str:
    if not facts.heard_s:
        return translate("CoverageFacts", "did not hear the sound")
    if not facts.unheard_s:
        return translate("CoverageFacts", "heard all of the sound")
    return translate("CoverageFacts", "heard {heard} of {whole} of the sound").format(
        heard=_at(facts, _seconds(facts.heard_s)), whole=_at(facts, facts.duration_s)
    )


def _heard_alone(facts: CoverageFacts) -> str:
    if not facts.heard_s:
        return translate("CoverageFacts", "The model did not hear the sound")
    if not facts.unheard_s:
        return translate("CoverageFacts", "The model heard all of the sound")
    return translate("CoverageFacts", "The model heard {heard} of {whole} of the sound").format(
        heard=_at(facts, _seconds(facts.heard_s)), whole=_at(facts, facts.duration_s)
    )


def _seconds(spans: Sequence[Span]) -> float:
    return sum(end - start for start, end in spans)


def _frames_in_words(facts: CoverageFacts) -> str:
    times = facts.frame_times_s
    if len(times) > MOST_LISTED:
        return translate("CoverageFacts", "{count} frames from {first} to {last}").format(
            count=len(times), first=_at(facts, times[0]), last=_at(facts, times[-1])
        )
    listed = ", ".join(_at(facts, time) for time in times)
    if len(times) == 1:
        return translate("CoverageFacts", "1 frame at {times}").format(times=listed)
    return translate("CoverageFacts", "{count} frames at {times}").format(
        count=len(times), times=listed
    )


def _sound_in_words(facts: CoverageFacts) -> list[str]:
    if facts.has_sound is False:
        return [translate("CoverageFacts", "no sound")] if facts.known else []
    if not facts.known or not facts.has_sound:
        return []
    if not facts.heard_s:
        return [translate("CoverageFacts", "sound not heard")]
    spans = ", ".join(f"{_at(facts, start)}–{_at(facts, end)}" for start, end in facts.heard_s)
    words = [translate("CoverageFacts", "sound {spans} heard").format(spans=spans)]
    if facts.unheard_s:
        missed = ", ".join(f"{_at(facts, a)}–{_at(facts, b)}" for a, b in facts.unheard_s)
        words.append(translate("CoverageFacts", "sound {spans} not heard").format(spans=missed))
    return words


def _at(facts: CoverageFacts, time_s: float) -> str:
    """Short clips in plain seconds, longer ones as a clock."""
    if facts.duration_s < 60.0:
        return translate("CoverageFacts", "{seconds} s").format(
            seconds=QLocale().toString(time_s, "f", 1 if facts.duration_s > 2 else 2)
        )
    return clock(time_s, min(decimals_for(facts.duration_s), 1))
