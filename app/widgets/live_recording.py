"""The recording behind the live page, begun and ended off the window's thread.

Nothing is opened before `start`. Pictures are scaled in a thread of their own, 15 a second at most.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QImage

from app.capture.camera import CameraWish
from app.capture.recorder import Recorder, Span
from app.widgets.background_tasks import BackgroundTasks
from app.widgets.latest_task import LatestTask
from app.widgets.picture_images import array_image, scaled
from engines.live_clip import LiveClip

POLL_MS = 67

Make = Callable[[str | None, str | None, CameraWish], Recorder]


def make_recorder(camera: str | None, microphone: str | None, wish: CameraWish) -> Recorder:
    """A recorder that has opened nothing yet; looks for the camera, so not for the window's thread.

    Raises:
        CaptureError: nothing was chosen, or there is no such camera.
    """
    return Recorder(camera, microphone, wish=wish)


class LiveRecording(QObject):
    """One recording at a time. What a stopped one holds is kept until `forget` or the next."""

    changed = Signal()  # it is on or off now
    polled = Signal(object)  # LiveStatus
    pictured = Signal(QImage)  # fitted into `box`
    refused = Signal(str)  # it cannot be begun; a sentence

    def __init__(
        self, tasks: BackgroundTasks, parent: QObject | None = None, make: Make = make_recorder
    ) -> None:
        """Records nothing.

        Args:
            tasks: where devices are opened and closed.
            parent: the owner.
            make: makes a recorder that is not started yet.
        """
        super().__init__(parent)
        self._tasks, self.make = tasks, make
        self._images = LatestTask(self)
        self._images.done.connect(self._show)
        self._round = 0
        self._starting = False
        self.recorder: Recorder | None = None
        self.on = False
        self.box = QSize(640, 360)  # pixels of the screen
        self.mirrored = False
        self._shown_s = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)

    @property
    def busy(self) -> bool:
        """Whether it is being begun."""
        return self._starting

    def start(self, camera: str | None, microphone: str | None, wish: CameraWish) -> None:
        """Open the devices; `changed` or `refused` follows."""
        self.forget()
        self._round += 1
        self._starting = True
        self._tasks.run(
            partial(_begun, self.make, camera, microphone, wish),
            partial(self._started, self._round),
            partial(self._failed, self._round),
        )
        self.changed.emit()

    def stop(self) -> None:
        """Close the devices; what was recorded stays."""
        self._round += 1
        was_on = self.on or self._starting
        self.on = self._starting = False
        self._timer.stop()
        self._images.forget()
        if self.recorder is not None and was_on:
            self._tasks.run(self.recorder.close, lambda _: None)
        if was_on:
            self.changed.emit()

    def forget(self) -> None:
        """Stop, and let go of what was recorded."""
        self.stop()
        self.recorder = None

    def close(self) -> None:
        """For good, and waiting for the devices: the window is closing."""
        recorder, on = self.recorder, self.on
        self._round += 1
        self.on = self._starting = False
        self.recorder = None
        self._timer.stop()
        self._images.close()
        if recorder is not None and on:
            recorder.close()

    def poll(self) -> None:
        """Tell how it is, and have the newest picture made."""
        recorder = self.recorder
        if recorder is None:
            return
        self.polled.emit(recorder.status())
        box, mirrored, shown_s = self.box, self.mirrored, self._shown_s
        self._images.ask(lambda: _picture(recorder, shown_s, box, mirrored))

    def clip(
        self,
        span: Span | float,
        num_frames: int,
        done: Callable[[Any], None],
        failed: Callable[[str], None],
    ) -> None:
        """Take a stretch as the model gets it; `done` gets (Span, LiveClip).

        Args:
            span: the stretch, or how many of the last seconds as of now.
            num_frames: how many frames the model gets.
            done: called on this object's thread.
            failed: gets a sentence.
        """
        recorder = self.recorder
        if recorder is None:
            return
        chosen = recorder.last(span, num_frames) if isinstance(span, float) else span
        self._tasks.run(lambda: _taken(recorder, chosen, num_frames), done, failed)

    def _started(self, number: int, recorder: Recorder) -> None:
        if number != self._round:  # Stopped before it was there.
            self._tasks.run(recorder.close, lambda _: None)
            return
        self.recorder, self.on, self._starting, self._shown_s = recorder, True, False, 0.0
        self._timer.start()
        self.changed.emit()

    def _failed(self, number: int, sentence: str) -> None:
        if number == self._round:
            self._starting = False
            self.changed.emit()
            self.refused.emit(sentence)

    def _show(self, made: tuple[float, QImage] | None) -> None:
        if made is not None and self.on:
            self._shown_s = made[0]
            self.pictured.emit(made[1])


def _begun(make: Make, camera: str | None, microphone: str | None, wish: CameraWish) -> Recorder:
    recorder = make(camera, microphone, wish)
    recorder.start()
    return recorder


def _taken(recorder: Recorder, span: Span, num_frames: int) -> tuple[Span, LiveClip]:
    return span, recorder.clip(span, num_frames)


def _picture(
    recorder: Recorder, shown_s: float, box: QSize, mirrored: bool
) -> tuple[float, QImage] | None:
    frame = recorder.latest
    if frame is None or frame.time_s <= shown_s:
        return None
    image = scaled(array_image(frame.rgb), box)
    return frame.time_s, image.flipped(Qt.Orientation.Horizontal) if mirrored else image
