"""One turn of a conversation: the question, its answer, how the answer is going, what it cost."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import QEvent, QMimeData, QPoint, QRect, Qt, Signal
from PySide6.QtGui import QGuiApplication, QHelpEvent
from PySide6.QtWidgets import (
    QApplication,
    QLabel,
    QMenu,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QToolButton,
    QToolTip,
    QWidget,
)

from app.conversation import Turn
from app.widgets import theme
from app.widgets.answer_facts import footer_line, notes, receipt_json, receipt_text
from app.widgets.answer_view import AnswerView, FailureView, FlowText, QuestionView
from app.widgets.markdown_blocks import as_text
from app.widgets.question_edit import QuestionEditor
from app.widgets.turn_menu import turn_menu

_GAP, _BUTTON, _BUBBLE_SHARE, _SMALL = 6, 26, 0.86, 0.92


class _Line(QLabel):
    """A line under the answer, which may have a receipt to show over it."""

    result: dict[str, Any] | None = None

    def event(self, event: QEvent) -> bool:
        """The receipt is put into words when it is asked for."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent) and self.result:
            QToolTip.showText(event.globalPos(), receipt_text(self.result), self)
            return True
        return super().event(event)


class TurnView(QWidget):
    """Shows a turn; its owner gives it a width and asks for the height (`place`)."""

    heightChanged = Signal()
    regenerateRequested = Signal(int)
    editRequested = Signal(int, str)
    focused = Signal()
    dragged = Signal(object)  # QPoint on the screen
    caretMoved = Signal(object)  # QRect in this widget

    def __init__(
        self,
        turn: Turn,
        number: int,
        told: Sequence[str] = (),
        parent: QWidget | None = None,
    ) -> None:
        """Show a turn as it is now.

        Args:
            turn: the turn; what it holds is copied.
            number: its place in the conversation, from 1, for a screen reader.
            told: notes that answers before had, which are not told again.
            parent: where it stands.
        """
        super().__init__(parent)
        self.turn_id = turn.id
        self.status: str = (
            "waiting" if turn.status == "writing" and not turn.answer else turn.status
        )
        self._result = turn.result
        self._told = told
        self._current = False
        self.following = 0  # turns after this one, which go when it is asked again
        self._editor: QuestionEditor | None = None
        self._progress: QProgressBar | None = None
        self._failure: tuple[FailureView, QPushButton] | None = None
        self.question = QuestionView(self)
        self.question.setPlainText(turn.question)
        self.question.setAccessibleName(self.tr("Question {number}").format(number=number))
        self.edit_button = self._button("edit", self.tr("Edit and ask again"), self.begin_edit)
        self.answer = AnswerView(self)
        self.answer.setAccessibleName(self.tr("Answer {number}").format(number=number))
        self.copy_button = self._button("copy", self.tr("Copy the answer"), self.copy_text)
        self.again_button = self._button("regenerate", self.tr("Answer again"), self.regenerate)
        self.more_button = self._button("more", self.tr("More about this answer"), self._open_menu)
        self._labels: dict[str, _Line] = {}
        for text in (self.question, self.answer):
            text.menuRequested.connect(self._menu_at)
            text.dragged.connect(self.dragged)
            text.caretMoved.connect(partial(self._caret_moved, text))
        self.answer.heightChanged.connect(self.heightChanged)
        self.setFocusProxy(self.answer)
        if turn.status == "writing":
            self.answer.add(turn.answer)
        else:
            self.answer.set_markdown(turn.answer)
        self._refresh()

    def add_piece(self, text: str) -> None:
        """More of the answer."""
        self.answer.add(text)
        if self.status == "waiting" and text:
            self.status = "writing"
            self.set_progress(None, None)

    def finish(self, status: str, result: dict[str, Any] | None, told: Sequence[str] = ()) -> None:
        """The answer ended; see the constructor."""
        self.answer.finish()
        self.status, self._result, self._told = status, result, told
        self._drop_progress()
        self._refresh()
        self.heightChanged.emit()

    def set_progress(self, text: str | None, fraction: float | None) -> None:
        """What is done before the first word; None: nothing that has a name."""
        if self.status != "waiting":
            self._drop_progress()
        elif text is not None:
            if self._progress is None:
                self._progress = QProgressBar(self)
                self._progress.setTextVisible(False)
                self._progress.setFixedHeight(6)
                self._progress.show()
            self._progress.setRange(0, 0 if fraction is None else 1000)
            self._progress.setValue(round(1000 * (fraction or 0)))
            self._progress.setAccessibleName(text)
            self._tell("status", self.tr("{doing} …").format(doing=text))
            self.heightChanged.emit()
            return
        self._refresh()
        self.heightChanged.emit()

    @property
    def in_use(self) -> bool:
        """Whether something would be lost with this view: writing, an edit, a selection, focus."""
        focus = QApplication.focusWidget()
        return (
            self.status in ("waiting", "writing")
            or self._editor is not None
            or any(text.textCursor().hasSelection() for text in self._texts())
            or (focus is not None and self.isAncestorOf(focus))
        )

    def set_current(self, current: bool) -> None:
        """Take part in the order of the Tab key, or only in clicks."""
        self._current = current
        policy = Qt.FocusPolicy
        for text in self._texts():
            text.setFocusPolicy(policy.StrongFocus if current else policy.ClickFocus)
        for button in self._buttons():
            button.setFocusPolicy(policy.StrongFocus if current else policy.NoFocus)

    def failure(self) -> str:
        """Why there is no answer; empty where there is one."""
        if self.status != "failed":
            return ""
        sentence = (self._result or {}).get("error") or self.tr("There was no answer.")
        return self.tr("Failed: {sentence}").format(sentence=sentence)

    # What can be done with a turn.

    def copy_text(self) -> None:
        """Copy the answer: as text, and with its looks for programs that take them."""
        data = QMimeData()
        data.setText(as_text(self.answer.blocks))
        data.setHtml(self.answer.document().toHtml())
        QGuiApplication.clipboard().setMimeData(data)

    def copy_markdown(self) -> None:
        """Copy the answer as the model wrote it."""
        QGuiApplication.clipboard().setText(self.answer.markdown.strip())

    def copy_receipt(self) -> None:
        """Copy the receipt as JSON."""
        if self._result is not None:
            QGuiApplication.clipboard().setText(receipt_json(self._result))

    def show_receipt(self) -> None:
        """Show the receipt in plain words."""
        if self._result is None:
            return
        box = QMessageBox(self.window())
        box.setWindowTitle(self.tr("Receipt"))
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(self.tr("What this answer was made from"))
        box.setInformativeText(receipt_text(self._result))
        copy = box.addButton(self.tr("Copy receipt (JSON)"), QMessageBox.ButtonRole.ActionRole)
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Close))
        box.exec()
        if box.clickedButton() is copy:
            self.copy_receipt()

    def regenerate(self) -> None:
        """Ask for another answer to the same question."""
        self.regenerateRequested.emit(self.turn_id)

    def begin_edit(self) -> None:
        """Edit the question in its place."""
        if self._editor is not None:
            return
        self._editor = QuestionEditor(self.question.toPlainText(), self.following, self)
        self._editor.submitted.connect(self._send_edit)
        self._editor.cancelled.connect(self.end_edit)
        self._editor.heightChanged.connect(self.heightChanged)
        self._refresh()
        self._editor.show()
        self.heightChanged.emit()
        self._editor.setFocus(Qt.FocusReason.OtherFocusReason)

    def end_edit(self) -> None:
        """Leave the question as it was."""
        if self._editor is not None:
            editor, self._editor = self._editor, None
            editor.hide()
            editor.deleteLater()
            self._refresh()
            self.heightChanged.emit()
            self.focused.emit()

    def menu(self) -> QMenu:
        """Everything that can be done with this turn."""
        return turn_menu(self)

    def copy_question(self) -> None:
        """Copy the question."""
        QGuiApplication.clipboard().setText(self.question.toPlainText())

    @property
    def has_receipt(self) -> bool:
        """Whether it is known what the answer was made from."""
        return self._result is not None and self.status != "failed"

    # How it looks.

    def place(self, width: int) -> int:
        """Lay everything out at this width, in pixels; return the height."""
        y = self._place_question(width) + _GAP
        if self.answer.isVisibleTo(self):
            height = self.answer.fit(width)
            self.answer.setGeometry(0, y, width, height)
            y += height
        for name in ("status", "notes"):
            if name in self._labels:
                y = self._place_label(self._labels[name], 6, y, width - 12) + _GAP
        if self._progress is not None:
            self._progress.setGeometry(6, y, min(width - 12, 260), self._progress.height())
            y += self._progress.height() + _GAP
        return self._place_footer(width, self._place_failure(width, y))

    def _place_question(self, width: int) -> int:
        if self._editor is not None:
            height = self._editor.fit(width)
            self._editor.setGeometry(0, 0, width, height)
            return height
        most = max(80, min(round(width * _BUBBLE_SHARE), width - _BUTTON - 4))
        bubble = min(most, max(60, self.question.ideal_width()))
        height = self.question.fit(bubble)
        self.question.setGeometry(width - bubble, 0, bubble, height)
        self.edit_button.setGeometry(width - bubble - _BUTTON - 4, 4, _BUTTON, _BUTTON)
        return height

    def _place_failure(self, width: int, y: int) -> int:
        if self._failure is None:
            return y
        words = self._failure[0]
        height = words.fit(width)
        words.setGeometry(0, y, width, height)
        return y + height + _GAP

    def _place_label(self, label: _Line, x: int, y: int, width: int) -> int:
        height = label.heightForWidth(width)
        label.setGeometry(x, y, width, height)
        return y + height

    def _place_footer(self, width: int, y: int) -> int:
        x = 2
        if not self.more_button.isVisibleTo(self):
            return y
        if self._failure is not None:
            retry, size = self._failure[1], self._failure[1].sizeHint()
            retry.setGeometry(0, y, min(size.width(), width - _BUTTON), size.height())
            self.more_button.setGeometry(retry.width() + 4, y + 2, _BUTTON, _BUTTON)
            return y + size.height()
        for button in (self.copy_button, self.again_button, self.more_button):
            if button.isVisibleTo(self):
                button.setGeometry(x, y, _BUTTON, _BUTTON)
                x += _BUTTON + 2
        footer = self._labels.get("footer")
        if footer is None:
            return y + _BUTTON
        beside = width - x - 8
        height = max(_BUTTON, footer.heightForWidth(beside))
        footer.setGeometry(x + 4, y, beside, height)
        return y + height

    def _refresh(self) -> None:
        """Show what the status has to say."""
        editing, ended = self._editor is not None, self.status in ("done", "stopped", "failed")
        self.question.setVisible(not editing)
        self.edit_button.setVisible(not editing)
        self.answer.setVisible(bool(self.answer.markdown))
        words = {
            "waiting": self.tr("Waiting …"),
            "writing": self.tr("Writing …"),
            "stopped": self.tr("Stopped here."),
        }.get(self.status, "")
        self._tell("status", words)
        known = (self._result or {}) if self.status != "failed" else {}
        new = [note for note in notes(known) if note not in self._told]
        self._tell("notes", "\n".join(new))
        # It breaks between its parts.
        footer = footer_line(known).replace(" ", "\u00a0")
        for mark in ("·", "+"):
            footer = footer.replace(f"\u00a0{mark}\u00a0", f"\u00a0{mark} ")
        self._tell("footer", footer)
        self.copy_button.setVisible(ended and bool(self.answer.markdown))
        self.again_button.setVisible(ended and self.status != "failed")
        self.more_button.setVisible(ended)
        self._show_failure()

    def _show_failure(self) -> None:
        if self.status == "failed" and self._failure is None:
            words = FailureView(self)
            words.setAccessibleName(self.tr("Why there is no answer"))
            words.setPlainText(self.failure())
            words.menuRequested.connect(self._menu_at)
            retry = QPushButton(theme.icon("regenerate"), self.tr("Try again"), self)
            retry.clicked.connect(self.regenerate)
            words.show()
            retry.show()
            self._failure = words, retry
            self.set_current(self._current)

    def _drop_progress(self) -> None:
        if self._progress is not None:
            self._progress.deleteLater()
            self._progress = None

    def _caret_moved(self, text: QWidget, place: QRect) -> None:
        self.caretMoved.emit(place.translated(text.pos()))

    def _send_edit(self, question: str) -> None:
        self.end_edit()
        self.editRequested.emit(self.turn_id, question)

    def _open_menu(self) -> None:
        self._menu_at(self.more_button.mapToGlobal(QPoint(0, self.more_button.height())))

    def _menu_at(self, place: QPoint) -> None:
        menu = self.menu()
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(place)

    def _texts(self) -> list[FlowText]:
        found: list[FlowText] = [self.question, self.answer]
        return found if self._failure is None else [*found, self._failure[0]]

    def _buttons(self) -> list[QWidget]:
        found: list[QWidget] = [
            self.edit_button,
            self.copy_button,
            self.again_button,
            self.more_button,
        ]
        return found if self._failure is None else [*found, self._failure[1]]

    def _button(self, icon: str, text: str, act: Callable[[], None]) -> QToolButton:
        button = QToolButton(self)
        button.setIcon(theme.icon(icon, "muted"))
        button.setToolTip(text)
        button.setAccessibleName(text)
        button.setAutoRaise(True)
        theme.mark(button, "flat")
        button.clicked.connect(act)
        return button

    def _tell(self, name: str, text: str) -> None:
        """Show a line, or take it away."""
        label = self._labels.get(name)
        if not text:
            if label is not None:
                self._labels.pop(name).deleteLater()
            return
        if label is None:
            label = _Line(self)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            theme.mark(label, "muted")
            if name == "footer":
                font = self.font()
                font.setPointSizeF(font.pointSizeF() * _SMALL)
                label.setFont(font)
            label.show()
            self._labels[name] = label
        label.setText(text)
        label.result = self._result if name == "footer" else None
