"""Where a question is written: the field, and one button that sends it or stops the answer."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from app.widgets import theme
from app.widgets.question_edit import Field, QuestionEdit


class Composer(Field):
    """A question is kept until it was taken (`clear`), so that a refused one is not lost."""

    submitted = Signal(str)
    stopRequested = Signal()
    editLastRequested = Signal()
    mediaPasted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty, ready to send."""
        self.edit = QuestionEdit()
        super().__init__(self.edit, parent)
        self._answering = False
        self._asks_during_answers = False
        self.edit.setParent(self)
        self.edit.setPlaceholderText(self.tr("Ask about the clip"))
        self.edit.setAccessibleName(self.tr("Your question"))
        self.edit.setAccessibleDescription(
            self.tr("Enter sends, Shift+Enter begins a new line, Up edits the last question.")
        )
        self.edit.submitted.connect(self._submit)
        self.edit.escaped.connect(self._escape)
        self.edit.upPressed.connect(self.editLastRequested)
        self.edit.mediaPasted.connect(self.mediaPasted)
        self.edit.textChanged.connect(self._refresh)
        self.setFocusProxy(self.edit)
        self.button = QToolButton(self)
        self.button.setIconSize(QSize(20, 20))
        self.button.clicked.connect(self._click)
        theme.mark(self.button, "primary")
        column = QVBoxLayout()
        column.addStretch(1)
        column.addWidget(self.button)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 6, 6, 6)
        row.setSpacing(6)
        row.addWidget(self.edit, 1, Qt.AlignmentFlag.AlignVCenter)
        row.addLayout(column)
        self._refresh()

    def set_answering(self, answering: bool) -> None:
        """Send becomes Stop while an answer is on its way."""
        self._answering = answering
        self._refresh()

    def set_asks_during_answers(self, on: bool) -> None:
        """Whether a question can be sent while an answer is on its way."""
        self._asks_during_answers = on
        self._refresh()

    def clear(self) -> None:
        """The question was taken."""
        self.edit.clear()

    def _submit(self) -> None:
        if self.edit.question() and (self._asks_during_answers or not self._answering):
            self.submitted.emit(self.edit.question())

    def _escape(self) -> None:
        if self._answering:
            self.stopRequested.emit()

    def _click(self) -> None:
        if self._stops():
            self.stopRequested.emit()
        else:
            self._submit()
        self.edit.setFocus(Qt.FocusReason.OtherFocusReason)

    def _stops(self) -> bool:
        """Whether the button stops the answer, and does not send."""
        return self._answering and not (self._asks_during_answers and self.edit.question())

    def _refresh(self) -> None:
        stops = self._stops()
        name = self.tr("Stop the answer") if stops else self.tr("Send the question")
        keys = self.tr("Esc") if stops else self.tr("Enter")
        icon = theme.icon("stop" if stops else "send", "on_accent")
        self.button.setIcon(icon)
        self.button.setAccessibleName(name)
        self.button.setToolTip(self.tr("{what} ({keys})").format(what=name, keys=keys))
        self.button.setEnabled(self._answering or bool(self.edit.question()))
