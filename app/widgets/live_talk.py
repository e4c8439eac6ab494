"""Questions about a running recording: each about its own stretch, answered one after another.

Has the signals of `talk.Talk`, and knows no view. Nothing of it is written to the history: a
stretch that is kept as a clip becomes a conversation there.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QObject, Signal

from app.capture.recorder import Recorder, Span
from app.conversation import Conversation, Turn
from app.records import TurnStatus
from app.widgets.ask_options import AskOptions
from app.widgets.engine_link import EngineLink, when_answered
from app.widgets.live_recording import LiveRecording
from app.widgets.stages import fraction, stage_text
from engines.config import ClipOptions
from engines.errors import PromptError
from engines.live_clip import LiveClip
from engines.messages import clip_message

# Of so many questions, what they were about is kept: a minute of sound is 12 MB.
KEPT_STRETCHES = 4

WhenBusy = Literal["wait", "interrupt"]


@dataclass(frozen=True)
class Asked:
    """A question, and the stretch that it is about."""

    question: str
    span: Span
    clip: LiveClip
    options: AskOptions
    recorder: Recorder


class LiveTalk(QObject):
    """One transcript for as long as the page is open."""

    shown = Signal(object)  # Conversation
    began = Signal(object)  # Turn
    piece = Signal(int, str)  # turn, text
    ended = Signal(int, str, object)  # turn, status, result
    waiting = Signal(object, object)  # what is done before the first word or None; fraction
    refused = Signal(str)
    queued = Signal(object)  # list[str]: questions that wait for their turn
    covered = Signal(object)  # tuple of times (`time.monotonic`) of the frames that the model got

    def __init__(
        self,
        link: EngineLink,
        recording: LiveRecording,
        choice: Callable[[], float | Span],
        options: Callable[[], AskOptions],
        parent: QObject | None = None,
    ) -> None:
        """Nothing was asked.

        Args:
            link: the engine.
            recording: what is asked about.
            choice: which stretch of it the next question is about.
            options: how the next question is asked.
            parent: the owner.
        """
        super().__init__(parent)
        self._link, self._recording = link, recording
        self._choice, self._options = choice, options
        self.conversation = Conversation()
        self.when_busy: WhenBusy = "wait"
        self.num_frames = 8  # of the loaded model
        self._queue: deque[Asked] = deque()
        self._stretches: dict[int, Asked] = {}
        self._turn: Turn | None = None
        self._asking: int | None = None
        self._round = 0  # A stretch that was taken before everything was left is dropped.
        link.progress.connect(self._progress)
        link.piece.connect(self._piece)
        when_answered(link, lambda: self._asking, self._end)
        link.died.connect(lambda sentence, _: self._died(sentence))

    @property
    def writing(self) -> Turn | None:
        """The turn that waits for its answer or is being answered."""
        return self._turn

    def ask(self, question: str) -> None:
        """Ask about the stretch as it is now, at once or when its turn comes."""
        try:
            Conversation().check(question)
        except PromptError as error:
            self.refused.emit(str(error))
            return
        recorder = self._recording.recorder
        if recorder is None or not self._recording.on:
            self.refused.emit(self.tr("Nothing is being recorded; press Start first."))
            return
        options = self._options()
        self._recording.clip(
            self._choice(),
            options.num_frames or self.num_frames,
            partial(self._taken, self._round, question, options, recorder),
            self.refused.emit,
        )

    def edit(self, turn_id: int, question: str) -> None:
        """Ask something else about the stretch that an earlier question was about."""
        turn, asked = self.conversation.turn(turn_id), self._stretches.get(turn_id)
        if turn is None:
            return
        if asked is None:
            gone = self.tr("What this question was about is no longer kept; ask about now.")
            self.refused.emit(gone)
            return
        self.leave()
        del self.conversation.turns[self.conversation.index(turn_id) :]
        self._put(replace(asked, question=question, options=self._options()))

    def regenerate(self, turn_id: int) -> None:
        """Ask the same again about the same stretch."""
        turn = self.conversation.turn(turn_id)
        if turn is not None:
            self.edit(turn_id, turn.question)

    def stop(self) -> None:
        """Stop the answer; the next question that waits comes then."""
        self._link.stop(self._asking)

    def leave(self) -> None:
        """Stop the answer, and forget the questions that wait."""
        self._round += 1
        self._queue.clear()
        self._tell_queue()
        if self._turn is not None:
            self._link.stop(self._asking)
            self._end("stopped", None)

    def clear(self) -> None:
        """Begin anew."""
        self.leave()
        self._stretches.clear()
        self.conversation = Conversation()
        self.covered.emit(())
        self.shown.emit(self.conversation)

    def forget_stretches(self) -> None:
        """Let go of what the questions were about: it can be kept or asked about no more."""
        self._stretches.clear()

    def last_asked(self) -> Asked | None:
        """The newest question whose stretch is kept."""
        return self._stretches[max(self._stretches, key=abs)] if self._stretches else None

    def turns_about(self, span: Span, path: Path) -> list[Turn]:
        """The answered questions about a stretch, as questions about a file that holds it."""
        found = []
        for turn in self.conversation.turns:
            asked = self._stretches.get(turn.id)
            if asked is not None and asked.span == span and turn.status == "done":
                options = replace(_clip_options(asked), path=path)
                options = replace(options, num_frames=asked.options.num_frames)
                found.append(replace(turn, clip=options))
        return found

    def _taken(
        self,
        number: int,
        question: str,
        options: AskOptions,
        recorder: Recorder,
        taken: tuple[Span, LiveClip],
    ) -> None:
        if number != self._round:
            return
        span, clip = taken
        if not clip.frames and clip.sound_span_s is None:
            self.refused.emit(self.tr("Nothing was recorded in this stretch yet; wait a moment."))
            return
        asked = Asked(question, span, clip, options, recorder)
        if self._turn is None:
            self._put(asked)
            return
        if self.when_busy == "interrupt":
            self._queue.clear()
            self._queue.append(asked)
            self.stop()
        else:
            self._queue.append(asked)
        self._tell_queue()

    def _put(self, asked: Asked) -> None:
        options = asked.options.generate
        self.conversation.clip = _clip_options(asked)
        turn = self.conversation.ask(asked.question, options)
        self._stretches[turn.id] = asked
        while len(self._stretches) > KEPT_STRETCHES:
            del self._stretches[min(self._stretches, key=abs)]
        self._turn = turn
        self.began.emit(turn)
        self.waiting.emit(self.tr("Waiting for the model"), None)
        # Earlier answers were about other stretches: each question stands alone.
        messages = [clip_message(_clip_options(asked), asked.question)]
        self._asking = self._link.ask(messages, options, asked.clip)
        times = tuple(asked.span.start_s + at_s for at_s in asked.clip.frame_times_s)
        self.covered.emit(() if asked.options.sound == "only" else times)

    def _end(self, status: TurnStatus, result: dict[str, Any] | None) -> None:
        turn, self._turn, self._asking = self._turn, None, None
        if turn is None:
            return
        self.conversation.finish(turn.id, status, result)
        self.waiting.emit(None, None)
        self.ended.emit(turn.id, status, result)
        if self._queue:
            self._put(self._queue.popleft())
            self._tell_queue()

    def _tell_queue(self) -> None:
        self.queued.emit([asked.question for asked in self._queue])

    def _progress(self, job: int, stage: str, done: int, total: int) -> None:
        if self._turn is not None and not self._turn.answer and job == self._asking:
            self.waiting.emit(stage_text(stage, done, total), fraction(done, total))

    def _piece(self, job: int, text: str) -> None:
        if job == self._asking and self._turn is not None and text:
            if not self._turn.answer:
                self.waiting.emit(None, None)
            self.conversation.add_piece(self._turn.id, text)
            self.piece.emit(self._turn.id, text)

    def _died(self, sentence: str) -> None:
        self._queue.clear()
        self._tell_queue()
        self._end("failed", {"error": sentence})


def _clip_options(asked: Asked) -> ClipOptions:
    return asked.clip.options(sound=asked.options.sound)
