""" "Tell me when …": the line in which a standing question is written, begun and ended."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.widgets import theme
from app.widgets.labels import text_label


class WatchRow(QWidget):
    """Enter or the button begins; the button ends."""

    requested = Signal(str)  # wait for this to come true; "": for nothing

    def __init__(self, parent: QWidget | None = None) -> None:
        """Nothing is waited for, and nothing can be."""
        super().__init__(parent)
        self._question = ""
        self._possible = False
        self.line = QLineEdit()
        self.line.setPlaceholderText(self.tr("a question of yes or no: is there a dog?"))
        self.line.setAccessibleName(self.tr("Tell me when the answer to this becomes yes"))
        self.line.returnPressed.connect(self._press)
        self.line.textChanged.connect(lambda _: self._enable())
        self.button = QPushButton()
        self.button.clicked.connect(self._press)
        self._told = text_label("", "muted")
        label = QLabel(self.tr("&Tell me when …"))
        label.setBuddy(self.line)
        row = QHBoxLayout()
        row.addWidget(label)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self._told)
        self.set_watch("", 0, 0)

    def set_possible(self, on: bool) -> None:
        """Whether there is a recording to look at."""
        self._possible = on
        self._enable()

    def set_watch(self, question: str, looks: int, asked: int) -> None:
        """Which standing question there is, and how often it was looked at and asked."""
        self._question = question
        self.line.setReadOnly(bool(question))
        self.button.setText(self.tr("Stop waiting") if question else self.tr("Wait for it"))
        self.button.setIcon(theme.icon("stop" if question else "search"))
        counts = self.tr("Looks: {looks} · questions to the model: {asked}")
        self._told.setText(counts.format(looks=looks, asked=asked))
        self._told.setVisible(bool(question))
        self._enable()

    def _press(self) -> None:
        question = self.line.text().strip()
        if self._question:
            self.requested.emit("")
        elif question and self._possible:
            self.requested.emit(question)

    def _enable(self) -> None:
        wanted = bool(self.line.text().strip()) and self._possible
        self.button.setEnabled(bool(self._question) or wanted)
