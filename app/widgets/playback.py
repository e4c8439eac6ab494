"""Where in a clip the player is, and what is to be seen there: the part that films, sounds and
series of pictures share, and the series of pictures.
"""

import bisect
from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QElapsedTimer, QObject, QSize, QTimer, Signal
from PySide6.QtGui import QImage

from app.widgets.latest_task import LatestTask
from app.widgets.picture_images import scaled

# The end of a clip is reached a moment before it, since times are rounded.
EPSILON_S = 0.002


class Playback(QObject):
    """A clip that can be played; times in seconds from its first picture (a sound: from 0)."""

    positionChanged = Signal(float)
    playingChanged = Signal(bool)
    durationChanged = Signal(float)
    imageChanged = Signal(object)  # QImage, fitted into the box
    audibleChanged = Signal()
    failed = Signal()  # it cannot be played: `broken`
    interrupted = Signal(str)  # it stopped in the middle, why; it can be played again

    def __init__(self, images: LatestTask, parent: QObject | None = None) -> None:
        """At the beginning, not playing.

        Args:
            images: Where pictures are made.
            parent: The owner.
        """
        super().__init__(parent)
        self.images = images
        self.box = QSize(640, 360)
        self.reset()

    def reset(self) -> None:
        """Begin with another clip."""
        self.position_s = 0.0
        self.duration_s = 0.0
        self.playing = False
        self.has_sound: bool | None = None  # once that is known
        self.audible = False  # there is sound, and something to play it with
        self.broken = False  # it cannot be played
        self.has_picture = False  # once the first one is there
        self.until_s: float | None = None
        self.blockSignals(False)
        self.images.done.connect(self._show)

    def play(self, until_s: float | None = None) -> None:
        """Play from here, or from the beginning when the end is reached.

        Args:
            until_s: Where to pause; None plays to the end.
        """
        raise NotImplementedError

    def pause(self) -> None:
        """Stay where it is."""
        raise NotImplementedError

    def seek(self, time_s: float) -> None:
        """Go to a time, playing on when it plays."""
        raise NotImplementedError

    def step(self, direction: int) -> None:
        """Pause and go to the next (1) or the previous (-1) frame."""
        raise NotImplementedError

    def set_rate(self, rate: float) -> None:
        """Play so many times as fast as the clip is."""
        raise NotImplementedError

    def set_volume(self, volume: float, muted: bool) -> None:
        """Loudness from 0 to 1, as it is perceived."""

    def set_box(self, box: QSize) -> None:
        """The pixels of the screen that pictures are for."""
        if box != self.box and not box.isEmpty():
            self.box = box
            self.render()

    def render(self) -> None:
        """Make the picture of this moment again, for the box."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the file, and tell nothing any more."""
        self.blockSignals(True)
        self.images.forget()
        self.images.done.disconnect(self._show)

    def clamped(self, time_s: float) -> float:
        """A time inside the clip."""
        return min(max(time_s, 0.0), self.duration_s) if self.duration_s else max(time_s, 0.0)

    def at_end(self) -> bool:
        """Whether there is nothing left to play."""
        return self.duration_s > 0 and self.position_s >= self.duration_s - EPSILON_S

    def set_duration(self, duration_s: float) -> None:
        """Take over a clip's length, told by its file or by whoever knows it better."""
        if duration_s > 0 and duration_s != self.duration_s:
            self.duration_s = duration_s
            self.durationChanged.emit(duration_s)

    def _reach(self, time_s: float) -> None:
        """Tell of a new position, and pause where playing was to end."""
        if self.until_s is not None and self.playing and time_s >= self.until_s - EPSILON_S:
            self.pause()
            self.seek(self.until_s)
            return
        self.position_s = time_s
        self.positionChanged.emit(time_s)

    def _fail(self) -> None:
        if not self.broken:
            self.broken = True
            self.failed.emit()

    def _turn(self, playing: bool) -> None:
        if playing != self.playing:
            self.playing = playing
            self.playingChanged.emit(playing)

    def _show(self, image: QImage) -> None:
        if not image.isNull():
            self.has_picture = True
            self.imageChanged.emit(image)


class PicturesPlayback(Playback):
    """Pictures shown one after another, or a single one: folders, stills, thumbnails."""

    def __init__(
        self,
        times_s: Sequence[float],
        end_s: float,
        load: Callable[[int], QImage],
        images: LatestTask,
        parent: QObject | None = None,
    ) -> None:
        """Show the first picture.

        Args:
            times_s: When each picture begins, ascending; at least one.
            end_s: When the last one ends; 0 for a still.
            load: Gives a picture; called in another thread.
            images: Where that is done.
            parent: The owner.
        """
        super().__init__(images, parent)
        self._times = list(times_s)
        self._load = _Remembering(load)
        self._rate = 1.0
        self._since = QElapsedTimer()
        self._from_s = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(30)
        self._timer.timeout.connect(self._tick)
        self._shown: int | None = None
        self.duration_s = end_s

    def set_pictures(self, times_s: Sequence[float], load: Callable[[int], QImage]) -> None:
        """Show other pictures from now on."""
        self._times, self._load, self._shown = list(times_s), _Remembering(load), None

    def play(self, until_s: float | None = None) -> None:
        """Show picture after picture."""
        if len(self._times) < 2:
            return
        self.until_s = until_s
        if self.at_end():
            self.seek(0.0)
        self._set_out()
        self._timer.start()
        self._turn(True)

    def pause(self) -> None:
        """Stay at this picture."""
        self._timer.stop()
        self._turn(False)

    def seek(self, time_s: float) -> None:
        """Show the picture of a time."""
        self.position_s = self.clamped(time_s)
        self._set_out()
        self.positionChanged.emit(self.position_s)
        self._render_new()

    def step(self, direction: int) -> None:
        """Show the next or the previous picture."""
        self.pause()
        index = min(max(self._index() + direction, 0), len(self._times) - 1)
        self.seek(self._times[index])

    def set_rate(self, rate: float) -> None:
        """Show pictures faster or slower."""
        self._set_out()
        self._rate = rate

    def render(self) -> None:
        """Scale this moment's picture anew."""
        self._shown = self._index()
        self.images.ask(partial(_still, self._load, self._shown, self.box))

    def close(self) -> None:
        """Stop the clock too."""
        self._timer.stop()
        super().close()

    def _index(self) -> int:
        return max(bisect.bisect_right(self._times, self.position_s + EPSILON_S) - 1, 0)

    def _render_new(self) -> None:
        if self._index() != self._shown:
            self.render()

    def _set_out(self) -> None:
        self._from_s = self.position_s
        self._since.start()

    def _tick(self) -> None:
        now = self._from_s + self._since.elapsed() / 1000 * self._rate
        if now >= self.duration_s:
            self.pause()
        self._reach(min(now, self.duration_s))
        self._render_new()

    def _show(self, image: QImage) -> None:
        if image.isNull() and not self.has_picture:
            self._fail()
        super()._show(image)


class _Remembering:
    """Keeps the picture that was loaded last: a window that changes its size asks again."""

    def __init__(self, load: Callable[[int], QImage]) -> None:
        self._load = load
        self._index: int | None = None
        self._image = QImage()

    def __call__(self, index: int) -> QImage:
        if index != self._index:
            self._image = self._load(index)
            self._index = index
        return self._image


def _still(load: Callable[[int], QImage], index: int, box: QSize) -> QImage:
    return scaled(load(index), box)
