"""Films, sounds and folders of frames, played from what the media child decodes.

No file is parsed in the window's process: pictures come scaled for the screen, sound as samples.
The sound is the clock; without anything to hear it with, a stopwatch is.
"""

import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QElapsedTimer, QObject, QSize, Qt, QTimer
from PySide6.QtGui import QImage

from app.widgets.latest_task import LatestTask
from app.widgets.picture_images import array_image, read_picture, scaled
from app.widgets.play_stream import PlayStream
from app.widgets.playback import EPSILON_S, Playback
from app.widgets.speaker import SAMPLE_RATE, Speaker
from engines import media_process
from engines.errors import MediaError
from engines.media import PlayOptions, probe, read_timeline

TICK_MS = 10
# A sound file has no frames to go by: one step of it.
SOUND_STEP_S = 0.04
# While the window is being resized, pictures are stretched; then they come in the new size.
RESIZED_MS = 250


@dataclass(frozen=True)
class FilmFacts:
    """What is known of a clip before it plays; `times_s` are those of its frames."""

    path: Path
    duration_s: float
    has_sound: bool
    times_s: NDArray[np.float64]


class FilmPlayback(Playback):
    """One clip after another; looking for the sound output is done but once."""

    def __init__(self, images: LatestTask, parent: QObject | None = None) -> None:
        """No clip yet.

        Args:
            images: Where pictures are made.
            parent: The owner.
        """
        self._path: Path | None = None
        self._facts: FilmFacts | None = None
        self._stream: PlayStream | None = None
        self._rate = 1.0
        self._wants_play = False
        super().__init__(images, parent)
        self._opening: LatestTask | None = None
        threading.Thread(target=media_process.warm, daemon=True).start()
        self._speaker = Speaker(self)
        self._speaker.found.connect(self._output_changed)
        self._stopwatch = QElapsedTimer()
        self._from_s = 0.0
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._resized = QTimer(self)
        self._resized.setSingleShot(True)
        self._resized.setInterval(RESIZED_MS)
        self._resized.timeout.connect(self._restart)

    def open(self, path: Path) -> None:
        """Show a clip, paused at its first picture; `failed` tells when that does not work."""
        self.reset()
        self._path, self._facts, self._wants_play = path, None, False
        self._opening = LatestTask(self)
        self._opening.done.connect(self._opened)
        self._opening.ask(partial(_look_at, path))

    def play(self, until_s: float | None = None) -> None:
        """Play; at the end, from the beginning."""
        self.until_s = until_s
        if self._facts is None or self.broken:
            self._wants_play = not self.broken
            return
        if self.playing:
            return
        if self.at_end():
            self.position_s = 0.0
            self.positionChanged.emit(0.0)
        self._start()
        self._turn(True)

    def pause(self) -> None:
        """Stay at this frame."""
        self._wants_play = False
        self._end_stream()
        self._turn(False)

    def seek(self, time_s: float) -> None:
        """Go to a time; its frame follows."""
        self.position_s = self.clamped(time_s)
        self.positionChanged.emit(self.position_s)
        if self.playing:
            self._start()
        else:
            self.render()

    def step(self, direction: int) -> None:
        """Go to the frame beside the one that is seen."""
        self.pause()
        times = self._facts.times_s if self._facts is not None else None
        if times is None or not len(times):
            self.seek(self.position_s + direction * SOUND_STEP_S)
            return
        here = int(np.searchsorted(times, self.position_s + EPSILON_S, side="right")) - 1
        self.seek(float(times[min(max(here + direction, 0), len(times) - 1)]))

    def set_rate(self, rate: float) -> None:
        """Play faster or slower; voices keep their pitch."""
        if rate != self._rate:
            self._rate = rate
            self._restart()

    def set_volume(self, volume: float, muted: bool) -> None:
        """Loudness from 0 to 1, as it is perceived."""
        self._speaker.set_volume(volume, muted)

    def set_box(self, box: QSize) -> None:
        """Pictures in another size; a playing film's a moment later."""
        if self.playing and box != self.box and not box.isEmpty():
            self.box = box
            self._resized.start()
        else:
            super().set_box(box)

    def render(self) -> None:
        """Decode the frame of this moment, for the box."""
        if self._facts is not None and len(self._facts.times_s):
            self.images.ask(partial(_fitted, self._facts.path, self._frame_s(), self.box))

    def close(self) -> None:
        """Close the clip; another can be opened."""
        self._end_stream()
        self._resized.stop()
        self._end_opening()
        self._path = self._facts = None
        super().close()

    def _frame_s(self) -> float:
        """Inside the frame that is on the screen, so that rounding leads to no other one."""
        return self.position_s + EPSILON_S

    def _opened(self, facts: FilmFacts | None) -> None:
        self._end_opening()
        if facts is None:
            self._fail()
            return
        self._facts = facts
        self.has_sound = facts.has_sound
        self._tell_audible()
        if not self.duration_s:  # who knows the clip better may have told already
            self.set_duration(facts.duration_s)
        self.position_s = self.clamped(self.position_s)
        self.render()
        if self._wants_play:
            self.play(self.until_s)

    def _end_opening(self) -> None:
        if self._opening is not None:
            self._opening.close()
            self._opening.deleteLater()
            self._opening = None

    def _tell_audible(self) -> None:
        self.audible = bool(self.has_sound) and self._speaker.there
        self.audibleChanged.emit()

    def _output_changed(self) -> None:
        self._tell_audible()
        self._restart()

    def _restart(self) -> None:
        """Go on from here as things are now."""
        if self.playing:
            self._start()

    def _start(self) -> None:
        facts, before = self._facts, self._stream
        if facts is None:
            return
        self._end_stream()
        self.images.forget()
        seen = len(facts.times_s) > 0
        options = PlayOptions(
            start_s=self.position_s + (EPSILON_S if seen else 0.0),
            width=self.box.width() if seen else 0,
            height=self.box.height() if seen else 0,
            sample_rate=SAMPLE_RATE if self.audible else 0,
            tempo=self._rate,
        )
        self._from_s = self.position_s
        self._stopwatch.invalidate()
        if self.audible:
            self._speaker.start()
        self._stream = PlayStream(facts.path, options, before)
        self._timer.start()

    def _end_stream(self) -> None:
        self._timer.stop()
        self._speaker.stop()
        if self._stream is not None:
            self._stream.stop()
            self._stream = None

    def _feed(self, stream: PlayStream) -> None:
        """Sound after a silence begins at its own time, from where on it is the clock again."""
        if self._stopwatch.isValid() and stream.sound:
            begins_s = stream.sound[0].time_s
            if begins_s > self.position_s:
                return
            self._from_s = begins_s - self._speaker.heard_s() * self._rate
            self._stopwatch.invalidate()
        self._speaker.feed(stream.sound)

    def _clock_s(self, stream: PlayStream) -> float:
        """How far it has been heard, or seen where there is nothing to hear."""
        silent = self._stopwatch.isValid() or (
            self._speaker.idle and stream.is_silent_at(self.position_s)
        )
        if self.audible and not silent:
            return self._from_s + self._speaker.heard_s() * self._rate
        if not self._stopwatch.isValid() and (stream.begun or stream.over):
            self._from_s = self.position_s
            self._stopwatch.start()
        since_s = self._stopwatch.elapsed() / 1000 if self._stopwatch.isValid() else 0.0
        return self._from_s + since_s * self._rate

    def _tick(self) -> None:
        stream = self._stream
        if stream is None:
            return
        if self.audible:
            self._feed(stream)
        now = self.clamped(max(self._clock_s(stream), self.position_s))
        over = stream.over  # Before the last picture is taken, which may be coming just now.
        picture = stream.picture_at(now)
        if picture is not None:
            self._show(array_image(picture))
        if stream.failed:
            self._fail()
        if stream.failed or (over and now >= self.duration_s - EPSILON_S):
            self.pause()
        elif stream.problem and stream.is_spent() and self._speaker.idle:
            self.pause()
            self.interrupted.emit(stream.problem)
        self._reach(now)

    def _show(self, image: QImage) -> None:
        if image.isNull() and not self.has_picture:
            self._fail()
        super()._show(image)


def _look_at(path: Path) -> FilmFacts | None:
    """What is known before a clip plays; None where it cannot be read."""
    try:
        info = probe(path)
        times_s = read_timeline(path).times_s if info.has_video else np.zeros(0)
    except MediaError:
        return None
    return FilmFacts(path, info.duration_s or 0.0, info.has_sound, times_s)


def _fitted(path: Path, time_s: float, box: QSize) -> QImage:
    return scaled(read_picture(path, time_s, box), box)
