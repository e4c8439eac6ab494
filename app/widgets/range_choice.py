"""The range of a clip that is asked about: how it is begun, moved, kept inside the clip. No Qt."""

from typing import Literal

Span = tuple[float, float]
Edge = Literal["start", "end"]

SHORTEST_S = 0.1


class RangeChoice:
    """A range or none, and which of its edges the keys move."""

    def __init__(self) -> None:
        """The whole of a clip of no length."""
        self.duration_s = 0.0
        self.range_s: Span | None = None
        self.edge: Edge = "end"

    @property
    def shortest_s(self) -> float:
        """What a range has at least."""
        return min(SHORTEST_S, self.duration_s)

    def take(self, span: Span) -> None:
        """Choose a range, moved inside the clip; the whole clip counts as none."""
        start = min(max(span[0], 0.0), self.duration_s - self.shortest_s)
        end = min(max(span[1], start + self.shortest_s), self.duration_s)
        whole = start <= 1e-6 and end >= self.duration_s - 1e-6
        self.range_s = None if whole else (round(start, 3), round(end, 3))

    def begin_or_end_at(self, edge: Edge, time_s: float) -> None:
        """Set one edge; the other stays, unless it lies on the wrong side of this one."""
        start, end = self.range_s or (0.0, self.duration_s)
        self.edge = edge
        if edge == "start":
            start, end = time_s, end if end - time_s >= self.shortest_s else self.duration_s
        else:
            start, end = start if time_s - start >= self.shortest_s else 0.0, time_s
        self.take((start, end))

    def nudge(self, by_s: float, here_s: float) -> None:
        """Move the edge that was set last; without a range, begin one at `here_s`."""
        if self.range_s is None:
            self.edge = "end" if by_s > 0 else "start"
            self.take((min(here_s, here_s + by_s), max(here_s, here_s + by_s)))
            return
        start, end = self.range_s
        self.drag((start if self.edge == "start" else end) + by_s)
        if self.range_s is not None:
            self.take(self.range_s)

    def drag(self, time_s: float) -> None:
        """Pull the edge that is held to a time, as far as the other one lets it."""
        if self.range_s is None:
            return
        start, end = self.range_s
        if self.edge == "start":
            self.range_s = (max(min(time_s, end - self.shortest_s), 0.0), end)
        else:
            self.range_s = (start, min(max(time_s, start + self.shortest_s), self.duration_s))

    def span_between(self, one_s: float, other_s: float) -> None:
        """Choose what lies between two times, while it is being dragged out."""
        self.edge = "end" if other_s >= one_s else "start"
        self.range_s = (min(one_s, other_s), max(one_s, other_s))
