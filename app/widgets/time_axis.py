"""Times on a line: how they are written, where the ticks stand, which second is at which pixel.

Plain arithmetic, no Qt.
"""

import math
from dataclasses import dataclass

# Distances between labelled ticks that people count in, in seconds.
STEPS_S = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 900.0, 1800.0),
    *(3600.0, 7200.0, 10800.0, 21600.0, 43200.0, 86400.0),
)
SHORTEST_VIEW_S = 0.2


@dataclass(frozen=True)
class TimeScale:
    """The seconds from `start_s` to `end_s` on the pixels from `left` on, `width` of them."""

    start_s: float
    end_s: float
    left: float
    width: float

    @property
    def span_s(self) -> float:
        """How many seconds are in view; never 0."""
        return max(self.end_s - self.start_s, 1e-6)

    def x(self, time_s: float) -> float:
        """The pixel of a time, also outside the view."""
        return self.left + (time_s - self.start_s) / self.span_s * self.width

    def time_s(self, x: float) -> float:
        """The time at a pixel, within the view."""
        share = (x - self.left) / self.width if self.width > 0 else 0.0
        return self.start_s + min(max(share, 0.0), 1.0) * self.span_s


def clock(seconds: float, decimals: int = 0, hours: bool = False) -> str:
    """Write a time as h:mm:ss.cc; hours only when there are any, or when asked for."""
    units = 10**decimals
    whole = round(max(seconds, 0.0) * units)
    rest = whole % units
    minutes, second = divmod(whole // units, 60)
    hour, minute = divmod(minutes, 60)
    text = f"{hour}:{minute:02d}:{second:02d}" if hour or hours else f"{minute}:{second:02d}"
    return f"{text}.{rest:0{decimals}d}" if decimals else text


def decimals_for(duration_s: float) -> int:
    """How many decimals the times of a clip of this length are worth."""
    if duration_s <= 60.0:
        return 2
    return 1 if duration_s <= 3600.0 else 0


def tick_step(span_s: float, width: float, label_width: float) -> float:
    """The least step whose labels, `label_width` pixels each, do not touch."""
    for step in STEPS_S:
        if step / max(span_s, 1e-6) * width >= label_width:
            return step
    days = math.ceil(label_width / max(width, 1.0) * span_s / STEPS_S[-1])
    return days * STEPS_S[-1]


def tick_label(time_s: float, step_s: float) -> str:
    """A tick's time, with the decimals that its step needs."""
    decimals = 0 if step_s >= 1.0 else 1 if step_s >= 0.1 else 2
    return clock(time_s, decimals)


def ticks(scale: TimeScale, step_s: float) -> list[float]:
    """The multiples of a step that are in view."""
    first = math.ceil(scale.start_s / step_s - 1e-9)
    last = math.floor(scale.end_s / step_s + 1e-9)
    return [number * step_s for number in range(first, last + 1)]


def zoomed(
    view: tuple[float, float], duration_s: float, factor: float, anchor_s: float
) -> tuple[float, float]:
    """The view after zooming in (factor > 1) or out; `anchor_s` stays where it is on the screen."""
    span = view[1] - view[0]
    shortest = min(SHORTEST_VIEW_S, duration_s)
    new_span = min(max(span / factor, shortest), duration_s)
    share = (anchor_s - view[0]) / span if span > 0 else 0.5
    return moved((anchor_s - share * new_span, 0.0), duration_s, new_span)


def moved(view: tuple[float, float], duration_s: float, span_s: float) -> tuple[float, float]:
    """A view of `span_s` seconds that begins where `view` does, pushed back into the clip."""
    start = min(max(view[0], 0.0), max(duration_s - span_s, 0.0))
    return (start, min(start + span_s, duration_s))
