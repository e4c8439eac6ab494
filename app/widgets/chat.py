"""The conversation: questions and streamed answers above, the composer and its options below.

Shows what it is given and tells what the user wants; asks nothing by itself.
"""

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QAction, QKeySequence
from PySide6.QtWidgets import (
    QLabel,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.conversation import Conversation, Turn
from app.widgets import theme
from app.widgets.ask_options import MAX_FRAMES, AskOptions, AskOptionsBar
from app.widgets.composer import Composer
from app.widgets.error_line import ErrorLine
from app.widgets.first_questions import FirstQuestions
from app.widgets.sentences import Sentences
from app.widgets.transcript import Transcript
from app.widgets.turn_view import TurnView


class ChatPane(QWidget):
    """Shows one conversation. Its commands are its `actions()`."""

    asked = Signal(str)
    stopRequested = Signal()
    regenerateRequested = Signal(int)  # turn; also "Try again" of a failed answer
    editRequested = Signal(int, str)  # turn, the question as it shall be
    optionsChanged = Signal()
    mediaPasted = Signal()  # files or a picture, which are still in the clipboard

    def __init__(self, parent: QWidget | None = None) -> None:
        """Without a conversation."""
        super().__init__(parent)
        self.setAccessibleName(self.tr("Conversation"))
        self._conversation: Conversation | None = None
        self._writing: int | None = None  # the turn that waits for or gets its answer
        self.reads_answers = True  # to a screen reader, while they are written
        self._sentences = Sentences()
        self._suggestions: Sequence[str] = ()
        self.transcript = Transcript()
        self.first = FirstQuestions()
        self._pages = QStackedWidget()
        self._pages.addWidget(self.first)
        self._pages.addWidget(self.transcript)
        self._pages.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self._error = ErrorLine()
        self._busy = QLabel()
        theme.mark(self._busy, "muted")
        self._busy.hide()
        self._queue = QLabel()
        self._queue.setTextFormat(Qt.TextFormat.PlainText)
        self._queue.setWordWrap(True)
        self._queue.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        theme.mark(self._queue, "muted")
        self._queue.hide()
        self.composer = Composer()
        self.bar = AskOptionsBar()
        below = QVBoxLayout()
        below.setContentsMargins(12, 6, 12, 10)
        below.setSpacing(6)
        for widget in (self._error, self._busy, self._queue, self.composer, self.bar):
            below.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._pages, 1)
        column.addLayout(below)
        self.setFocusProxy(self.composer)
        self._connect()
        self._make_actions()
        self._refresh()

    # What the owner tells.

    def set_conversation(self, conversation: Conversation | None) -> None:
        """Show this conversation, scrolled to its end; None: there is no clip to ask about."""
        self._conversation = conversation
        self._writing = None
        turns = conversation.turns if conversation is not None else []
        self._pages.setCurrentWidget(self.transcript if turns else self.first)
        self.transcript.set_turns(turns)
        self._busy.hide()
        if turns and turns[-1].status == "writing":
            self._begin(turns[-1])
        self._refresh()

    def begin_answer(self, turn: Turn) -> None:
        """A question was taken: show it, waiting. Turns it replaced go away."""
        turns = self._conversation.turns if self._conversation is not None else []
        if any(known.id == turn.id for known in turns):
            self.transcript.keep(known.id for known in turns)
        if self.composer.edit.question() == turn.question.strip():
            self.composer.clear()
        self._pages.setCurrentWidget(self.transcript)
        self.transcript.append(turn)
        self._begin(turn)
        self._refresh()

    def add_piece(self, turn_id: int, text: str) -> None:
        """More of an answer; painted in batches, read aloud by sentence."""
        view = self.transcript.view(turn_id)
        if view is None:
            return
        view.add_piece(text)
        if turn_id == self._writing and self.reads_answers:
            for sentence in self._sentences.feed(text):
                self._announce(sentence)

    def finish_answer(self, turn_id: int, status: str, result: dict[str, Any] | None) -> None:
        """An answer ended.

        Args:
            turn_id: whose.
            status: "done", "stopped" or "failed".
            result: what `vl2 ask --json` prints; of a failed one {"error": sentence}; or None.
        """
        if turn_id == self._writing:
            self._writing = None
        view = self.transcript.finished(turn_id, status, result)
        if view is not None:
            self._announce_end(view)
        self._refresh()

    def show_error(self, text: str) -> None:
        """One line above the composer that stays until it is closed; empty takes it away."""
        self._error.set_text(text)
        if text:
            self._announce(text, assertive=True)

    @property
    def error(self) -> str:
        """The line that stands above the composer."""
        return self._error.accessibleName()

    def set_suggestions(self, questions: Sequence[str]) -> None:
        """First questions, as buttons while the conversation is empty."""
        self._suggestions = tuple(questions)
        self._refresh()

    def set_busy(self, text: str | None, fraction: float | None = None) -> None:
        """What is being done before an answer can be written; None: nothing.

        Args:
            text: shown in the waiting answer, or above the composer when none waits.
            fraction: 0 to 1; None where that is not known.
        """
        view = self.transcript.view(self._writing) if self._writing is not None else None
        if view is not None:
            view.set_progress(text, fraction)
            self._busy.hide()
            return
        self._busy.setVisible(text is not None)
        share = "" if fraction is None else f" {fraction:.0%}"
        self._busy.setText(f"{text} …{share}")

    def set_asks_during_answers(self, on: bool) -> None:
        """Whether a question can be sent while an answer is being written."""
        self.composer.set_asks_during_answers(on)

    def set_waiting(self, questions: Sequence[str]) -> None:
        """Questions that were sent and wait for their turn."""
        if self.composer.edit.question() in {question.strip() for question in questions}:
            self.composer.clear()
        quoted = " · ".join(f"“{question}”" for question in questions)
        self._queue.setText(self.tr("Next: {questions}").format(questions=quoted))
        self._queue.setVisible(bool(questions))

    def set_clip(self, has_picture: bool, has_sound: bool, is_video: bool = True) -> None:
        """What the clip holds: what it lacks is disabled in the switch, with the reason."""
        self.bar.set_clip(has_picture, has_sound, is_video)

    def set_model(self, num_frames: int, hears: bool, max_frames: int = MAX_FRAMES) -> None:
        """The model's trained number of frames; whether it takes sound; the most frames."""
        self.bar.set_model(num_frames, hears, max_frames)

    def options(self) -> AskOptions:
        """How the next question is to be asked."""
        return self.bar.options()

    def set_options(self, options: AskOptions) -> None:
        """Show these choices, without `optionsChanged`."""
        self.bar.set_options(options)

    def minimumSizeHint(self) -> QSize:
        """A narrow window's width."""
        return QSize(260, 240)

    # What the user does.

    def _connect(self) -> None:
        self.composer.submitted.connect(self.asked)
        self.composer.stopRequested.connect(self.stopRequested)
        self.composer.editLastRequested.connect(self._edit_last)
        self.composer.mediaPasted.connect(self.mediaPasted)
        self.first.chosen.connect(self.asked)
        self.bar.changed.connect(self.optionsChanged)
        self.transcript.regenerateRequested.connect(self.regenerateRequested)
        self.transcript.editRequested.connect(self.editRequested)
        self.transcript.editEnded.connect(self.composer.setFocus)

    def _make_actions(self) -> None:
        def last(act: Callable[[TurnView], None]) -> Callable[[], None]:
            def run() -> None:
                view = self.transcript.last()
                if view is not None:
                    act(view)

            return run

        self.stop_action = self._action(
            "stop", self.tr("Stop the answer"), self.stopRequested.emit, "Esc"
        )
        self.stop_action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self._last_actions = [
            self._action("edit", self.tr("Edit the last question"), self._edit_last),
            self._action(
                "regenerate",
                self.tr("Answer the last question again"),
                last(TurnView.regenerate),
                "Ctrl+R",
            ),
        ]
        self._copy_actions = [
            self._action(
                "copy", self.tr("Copy the last answer"), last(TurnView.copy_text), "Ctrl+Shift+C"
            ),
            self._action(
                "copy", self.tr("Copy the last answer as Markdown"), last(TurnView.copy_markdown)
            ),
            self._action(
                "receipt", self.tr("Show the last answer’s receipt"), last(TurnView.show_receipt)
            ),
            self._action(
                "receipt",
                self.tr("Copy the last answer’s receipt (JSON)"),
                last(TurnView.copy_receipt),
            ),
        ]
        self._go_actions = [
            self._action(
                "chevron-up",
                self.tr("Go to the turn before"),
                lambda: self.transcript.go(-1),
                "Alt+Up",
            ),
            self._action(
                "chevron-down",
                self.tr("Go to the turn after"),
                lambda: self.transcript.go(1),
                "Alt+Down",
            ),
            self._action(
                "chevron-down",
                self.tr("Scroll to the end of the conversation"),
                self.transcript.scroll_to_end,
                "Alt+End",
            ),
        ]
        self.addActions([*self.bar.modes.values(), self.bar.sampling])

    def _action(
        self, icon: str, text: str, act: Callable[[], None], keys: str | None = None
    ) -> QAction:
        action = QAction(theme.icon(icon), text, self)
        action.triggered.connect(lambda _checked=False: act())
        if keys is not None:
            action.setShortcut(QKeySequence(keys))
        self.addAction(action)
        return action

    def _edit_last(self) -> None:
        view = self.transcript.last()
        if view is not None and self._writing is None:
            self.transcript.scroll_to_end()
            view.begin_edit()

    # What follows from it.

    def _begin(self, turn: Turn) -> None:
        self._writing = turn.id
        self._sentences = Sentences()
        self._busy.hide()

    def _refresh(self) -> None:
        last = self.transcript.last_turn
        answering = self._writing is not None
        self._pages.setCurrentWidget(self.first if last is None else self.transcript)
        if last is None:
            self.first.set_questions(self._suggestions, self._conversation is not None)
        self.composer.set_answering(answering)
        self.stop_action.setEnabled(answering)
        for action in self._last_actions:
            action.setEnabled(last is not None and not answering)
        for action in self._copy_actions:
            action.setEnabled(last is not None and bool(last.answer) and not answering)
        for action in self._go_actions:
            action.setEnabled(last is not None)

    def _announce_end(self, view: TurnView) -> None:
        for sentence in self._sentences.finish():
            self._announce(sentence)
        if view.status == "failed":
            self._announce(view.failure(), assertive=True)
        elif view.status == "stopped":
            self._announce(self.tr("Stopped here."))

    def _announce(self, text: str, assertive: bool = False) -> None:
        event = QAccessibleAnnouncementEvent(self, text)
        if assertive:
            event.setPoliteness(QAccessible.AnnouncementPoliteness.Assertive)
        QAccessible.updateAccessibility(event)
