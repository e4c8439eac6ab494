""" "Tell me when …": a standing question, looked at every few seconds while a recording runs.

First a cheap look at what has changed, then the model; see `app.capture.watch`. Each moment at
which the answer turns to yes is kept as a clip.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QImage

from app.capture.clip_file import write_clip
from app.capture.recorder import Recorder, Span
from app.capture.watch import Watch, loudest_db
from app.widgets.background_tasks import BackgroundTasks
from app.widgets.engine_link import EngineLink
from app.widgets.live_recording import LiveRecording
from engines.errors import Vl2Error
from engines.live_clip import LiveClip
from engines.messages import clip_message
from engines.sampling import GenerateOptions

TICK_MS = 500
# A yes or a no is wanted, not a story.
ANSWER_TOKENS = 12
THUMBNAIL_PX = 96
# After a look that failed.
REST_S = 10.0


@dataclass(frozen=True)
class Kept:
    """A moment: when, what was asked and answered, how it looked, and its clip.

    Attributes:
        picture: the frame that changed most; null without a camera.
        path: the clip; None where it could not be written, for the reason in `problem`.
    """

    when: datetime
    question: str
    answer: str
    picture: QImage
    path: Path | None
    problem: str = ""


@dataclass(frozen=True)
class _Look:
    """A look under way: which jobs, at what."""

    span: Span
    clip: LiveClip
    recorder: Recorder
    at_s: float
    level_db: float
    job: int
    changes: tuple[float, ...] = ()


class LiveWatch(QObject):
    """One standing question or none; one look at a time, and none while the model is answering."""

    changed = Signal()  # it was begun, ended, or looked
    happened = Signal(object)  # Kept
    problem = Signal(str)  # a look failed; a sentence

    def __init__(
        self,
        link: EngineLink,
        recording: LiveRecording,
        tasks: BackgroundTasks,
        folder: Path,
        busy: Callable[[], bool],
        seconds: Callable[[], float],
        parent: QObject | None = None,
    ) -> None:
        """Nothing is waited for.

        Args:
            link: the engine.
            recording: what is looked at.
            tasks: where clips are written.
            folder: where clips of moments go; made for the first one.
            busy: whether a person's question is being answered, which goes first.
            seconds: how many of the last seconds a look is at.
            parent: the owner.
        """
        super().__init__(parent)
        self._link, self._recording, self._tasks = link, recording, tasks
        self._folder, self._busy, self._seconds = folder, busy, seconds
        self.num_frames = 8  # of the loaded model
        self._watch: Watch | None = None
        self._looking = False
        self._round = 0
        self._rested_s = 0.0
        self._look: _Look | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self.tick)
        link.looked.connect(self._looked)
        link.finished.connect(self._finished)
        link.failed.connect(self._failed)
        link.stopped.connect(self._stopped)
        link.died.connect(lambda *_: self._drop())

    @property
    def question(self) -> str:
        """What is waited for; "" for nothing."""
        return self._watch.question if self._watch is not None else ""

    @property
    def counts(self) -> tuple[int, int]:
        """How often was looked, and how often the model was asked."""
        return (self._watch.looks, self._watch.asked) if self._watch is not None else (0, 0)

    def begin(self, question: str) -> None:
        """Wait for this to come true, in the place of what was waited for."""
        self.end()
        self._watch = Watch(question)
        self._timer.start()
        self.changed.emit()

    def end(self) -> None:
        """Wait for nothing."""
        self._timer.stop()
        if self._look is not None:
            self._link.stop(self._look.job)
        self._drop()
        if self._watch is not None:
            self._watch = None
            self.changed.emit()

    def tick(self) -> None:
        """Look, if it is time to."""
        watch, recorder = self._watch, self._recording.recorder
        if watch is None or recorder is None or not self._recording.on:
            return
        if self._looking or self._busy() or not self._link.alive:
            return
        if time.monotonic() < self._rested_s or not watch.due(time.monotonic()):
            return
        self._looking = True
        number, at_s, every_s = self._round, time.monotonic(), watch.every_s
        span = recorder.last(self._seconds(), self.num_frames)
        self._tasks.run(
            lambda: _sight(recorder, span, self.num_frames, at_s, every_s),
            partial(self._seen, number),
            lambda sentence: self._fail(number, sentence),
        )

    def _seen(self, number: int, look: _Look) -> None:
        if number != self._round:
            return
        if look.clip.frames:
            self._look = replace(look, job=self._link.look(look.clip))
        elif look.clip.sound_span_s is not None:
            self._look = look
            self._decide(look)
        else:
            self._drop()  # Nothing was recorded yet.

    def _looked(self, job: int, changes: tuple[float, ...]) -> None:
        if self._look is not None and job == self._look.job:
            self._look = replace(self._look, changes=changes)
            self._decide(self._look)

    def _decide(self, look: _Look) -> None:
        watch = self._watch
        if watch is None:
            return
        times = np.array(look.clip.frame_times_s) + look.span.start_s
        if watch.worth_asking(look.at_s, times, np.array(look.changes), look.level_db):
            messages = [clip_message(look.clip.options(), watch.question)]
            options = GenerateOptions(max_new_tokens=ANSWER_TOKENS)
            self._look = replace(look, job=self._link.ask(messages, options, look.clip))
        else:
            self._drop()
        self.changed.emit()

    def _finished(self, job: int, result: dict[str, Any]) -> None:
        look, watch = self._look, self._watch
        if look is None or watch is None or job != look.job:
            return
        self._drop()
        answer = str(result["answer"]).strip()
        moment = watch.answered(look.at_s, answer, look.span.start_s, look.span.end_s)
        if moment is not None:
            path = self._folder / f"moment-{datetime.now():%Y-%m-%d-%H%M%S}.mp4"
            kept = partial(_kept, look, watch.question, answer, path)
            self._tasks.run(kept, self.happened.emit, self.problem.emit)
        self.changed.emit()

    def _failed(self, job: int, sentence: str) -> None:
        if self._look is not None and job == self._look.job:
            self._fail(self._round, sentence)

    def _stopped(self, job: int) -> None:
        if self._look is not None and job == self._look.job:
            self._drop()

    def _fail(self, number: int, sentence: str) -> None:
        if number == self._round:
            self._drop()
            self._rested_s = time.monotonic() + REST_S
            self.problem.emit(sentence)

    def _drop(self) -> None:
        self._round += 1
        self._look, self._looking = None, False


def _sight(recorder: Recorder, span: Span, num_frames: int, at_s: float, every_s: float) -> _Look:
    recent = recorder.sound.read(at_s - every_s, at_s)
    level_db = loudest_db(recent.samples, recorder.sound.rate)
    return _Look(span, recorder.clip(span, num_frames), recorder, at_s, level_db, -1)


def _kept(look: _Look, question: str, answer: str, path: Path) -> Kept:
    """Write a moment's clip, and take its picture; not on the window's thread."""
    written, problem = keep_stretch(path, look.recorder, look.span)
    return Kept(datetime.now(), question, answer, _thumbnail(look), written, problem)


def keep_stretch(path: Path, recorder: Recorder, span: Span) -> tuple[Path | None, str]:
    """Write a stretch into a folder that is made for it; what went wrong is the second value."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, recorder, span)
    except Vl2Error as error:
        return None, str(error)
    except OSError as error:
        return None, f"The folder {path.parent} cannot be made ({error.strerror}); free some space."
    return path, ""


def _thumbnail(look: _Look) -> QImage:
    if not look.clip.frames:
        return QImage()
    # A change is between a frame and the one after it.
    number = int(np.argmax(look.changes)) + 1 if look.changes else -1
    image = QImage.fromData(look.clip.frames[number].tobytes())
    return image.scaledToHeight(THUMBNAIL_PX, Qt.TransformationMode.SmoothTransformation)
