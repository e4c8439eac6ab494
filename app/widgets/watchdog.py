"""How long the window's thread is held: what somebody who types or clicks would wait.

A second thread sends the window's thread a small event every few milliseconds and notes how long it
takes to be heard; while one is not heard, it looks where the window's thread is.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from PySide6.QtCore import QObject, Qt, Signal

EVERY_S = 0.004
# From here on a wait is worth knowing the place of; a picture at 60 Hz takes 16 ms.
LOOK_AFTER_S = 0.006
KEPT = 8
_NOT_MEANT = ("window_bench.py", "cli.py", "__main__.py")


@dataclass(frozen=True)
class Hold:
    """One wait.

    Attributes:
        seconds: its length.
        cpu_s: how long the window's thread computed meanwhile; the rest of the time it waited for
            another thread or, on a busy machine, for the processor.
        place: where it was for most of it.
    """

    seconds: float
    cpu_s: float
    place: str


@dataclass
class Waits:
    """Every wait that was measured, in seconds (see `Hold`), and the longest with their places."""

    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    longest: list[Hold] = field(default_factory=list)

    def add(self, seconds: float, cpu_s: float, places: Counter[str]) -> None:
        """Note one more."""
        self.seconds.append(seconds)
        self.cpu_s.append(cpu_s)
        if seconds >= LOOK_AFTER_S:
            ((place, _),) = places.most_common(1) or (("not seen", 0),)
            self.longest.append(Hold(seconds, cpu_s, place))
            self.longest.sort(key=lambda hold: -hold.seconds)
            del self.longest[KEPT:]


class Watchdog(QObject):
    """Measures from `start` to `stop`; made on the thread that is watched."""

    _sent = Signal(float, float)

    def __init__(self, parent: QObject | None = None) -> None:
        """Nothing is measured yet."""
        super().__init__(parent)
        self._watched = threading.get_ident()
        self._heard = threading.Event()
        self._stopping = threading.Event()
        self._wait_s = self._cpu_s = 0.0
        self._clock = _cpu_clock(self._watched)
        self._waits = Waits()
        self._thread = threading.Thread(target=self._watch, name="vl2-watchdog", daemon=True)
        self._sent.connect(self._hear, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> Waits:
        """End, and return what was measured."""
        self._stopping.set()
        self._heard.set()
        self._thread.join()
        return self._waits

    def _hear(self, sent: float, cpu_s: float) -> None:
        self._wait_s = time.perf_counter() - sent
        self._cpu_s = self._clock() - cpu_s
        self._heard.set()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            places: Counter[str] = Counter()
            self._heard.clear()
            self._sent.emit(time.perf_counter(), self._clock())
            while not self._heard.wait(LOOK_AFTER_S / 2):
                places[_place(sys._current_frames().get(self._watched))] += 1
            if not self._stopping.is_set():
                self._waits.add(self._wait_s, self._cpu_s, places)
            self._stopping.wait(EVERY_S)


def quantile(values: list[float], share: float) -> float:
    """The value that this share of all is not above; 0 without any."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _cpu_clock(thread: int) -> Callable[[], float]:
    """A clock of what one thread has computed, in seconds; stands still where there is none."""
    if sys.platform == "linux":
        clock = time.pthread_getcpuclockid(thread)
        return lambda: time.clock_gettime(clock)
    return lambda: 0.0


def _place(frame: FrameType | None) -> str:
    """The innermost function of ours that is running, as in "player.py PlayerPane.open"."""
    while frame is not None:
        folders, _, name = frame.f_code.co_filename.replace("\\", "/").rpartition("/")
        if "/app" in folders and name not in _NOT_MEANT:
            return f"{name} {frame.f_code.co_qualname}"
        frame = frame.f_back
    return "Qt alone (layout, painting, events)"
