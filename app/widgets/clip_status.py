"""The lines under the timeline: what is done with the clip, what the model got, what to know."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.widgets import theme
from app.widgets.plain_tip import plain_tip

_STEPS = 1000


class ClipStatus(QWidget):
    """While something is done, that; else a summary. Sentences to know about stand below."""

    cancelRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Nothing to say."""
        super().__init__(parent)
        self.summary = QLabel()
        self.busy = QLabel()
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(8)
        self.progress.setMinimumWidth(48)
        self.progress.setMaximumWidth(240)
        self.progress.setAccessibleName(self.tr("Progress"))
        self.cancel = QPushButton(self.tr("Cancel"))
        self.cancel.setAccessibleDescription(self.tr("Stops what is being done with the clip"))
        theme.mark(self.cancel, "flat")
        self.cancel.clicked.connect(self.cancelRequested)
        self.notes = QLabel()
        self.notes.setWordWrap(True)
        self.notes.setTextFormat(Qt.TextFormat.PlainText)
        self.notes.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        theme.mark(self.notes, "muted")
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        self.problem.setTextFormat(Qt.TextFormat.PlainText)
        theme.mark(self.problem, "warning")
        for label in (self.summary, self.busy):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._lay_out()
        self.set_busy(None)
        self.set_notes(())
        self.set_problem("")

    def set_summary(self, text: str) -> None:
        """Say how much the model got."""
        self.summary.setText(text)
        self.summary.setToolTip(plain_tip(text))

    def set_busy(self, text: str | None, fraction: float | None = None) -> None:
        """Say what is being done; None ends it, a fraction of None is not known."""
        on = text is not None
        for widget in (self.busy, self.progress, self.cancel):
            widget.setVisible(on)
        self.summary.setVisible(not on)
        self.busy.setText(text or "")
        self.busy.setToolTip(plain_tip(text or ""))
        if on:
            self.progress.setRange(0, 0 if fraction is None else _STEPS)
            self.progress.setValue(round(min(max(fraction or 0.0, 0.0), 1.0) * _STEPS))

    def set_notes(self, notes: Sequence[str]) -> None:
        """Say what a user should know of the clip, a line each."""
        self.notes.setText("\n".join(notes))
        self.notes.setVisible(bool(notes))

    def set_problem(self, sentence: str) -> None:
        """Say what does not work; "" when all does."""
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.summary, 1)
        row.addWidget(self.busy, 1)
        row.addWidget(self.progress, 1)
        row.addWidget(self.cancel)
        # As high as with the button, so that nothing jumps when it comes and goes.
        row.addStrut(self.cancel.sizeHint().height())
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 0, 4, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.problem)
        column.addWidget(self.notes)
