"""Says on stderr how far a long job is, and how long it will still take."""

import sys
import time
from dataclasses import dataclass, field
from typing import Self, TextIO

# A line at most this often where lines are kept, such as in a log file.
QUIET_S = 5.0
SOON_S = 2.0


@dataclass
class Progress:
    """Counts work done against work planned; both in any one unit, such as bytes of weights.

    With nothing planned, it only shows what is being done.
    """

    total: int
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    done: int = 0
    _skipped: int = 0
    _started: float = field(default_factory=time.monotonic)
    _said: float = -QUIET_S

    def say(self, sentence: str) -> None:
        """Write a line that stays."""
        self.stream.write(f"{self._clear()}{sentence}\n")
        self.stream.flush()

    def step(self, label: str, amount: int) -> None:
        """Count work that has been done and show what it was."""
        self.done += amount
        now = time.monotonic()
        terminal = self.stream.isatty()
        if not terminal and now - self._said < QUIET_S:
            return
        self._said = now
        share = f" · {min(self.done / self.total, 1):.0%}" if self.total else ""
        # While nothing is counted, what is left would only seem to grow.
        line = f"{label}{share}{self._left(now) if amount else ''}"
        self.stream.write(f"{self._clear()}{line}" if terminal else f"{line}\n")
        self.stream.flush()

    def __enter__(self) -> Self:
        """Begin what ends with the last line taken away, if it is one that is written over."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the line to whatever is said next."""
        self.stream.write(self._clear())
        self.stream.flush()

    def skip(self, done: int) -> None:
        """Take over how far an earlier run was, which took no time of this one."""
        self._skipped += done - self.done
        self.done = done

    def _left(self, now: float) -> str:
        passed = now - self._started
        worked = self.done - self._skipped
        if worked <= 0 or passed < SOON_S:
            return ""
        left = passed * max(self.total - self.done, 0) / worked
        return f" · {duration(left)} left"

    def _clear(self) -> str:
        return "\r\x1b[K" if self.stream.isatty() else ""


def duration(seconds: float) -> str:
    """Return a span of time as a person says it: 45 s, 3 min, 2.1 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(number: float) -> str:
    """Return a number of bytes as a person says it: 340 kB, 5.9 MB, 4.1 GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if number >= scale:
            return f"{number / scale:.1f} {unit}"
    return f"{number / 1e3:.0f} kB"
