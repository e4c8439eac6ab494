"""A card for something long: while it runs, how far it is; afterwards, how it ended."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.widgets import theme
from app.widgets.labels import picture, text_label
from app.widgets.wording import percent_text

BAR_HEIGHT, STEPS = 10, 1_000


class WorkCard(QFrame):
    """Something long that runs or has ended: what, how far, a button, and one to put it away."""

    dismissed = Signal()

    def __init__(self, parent: QWidget) -> None:
        """Hidden until there is something to say."""
        super().__init__(parent)
        theme.mark(self, "card")
        self.icon = picture("info", "muted")
        self.words = text_label("", None)
        self.button = QPushButton(self)
        self.close_button = QToolButton(self)
        self.close_button.setIcon(theme.icon("close"))
        self.close_button.setToolTip(self.tr("Close this message"))
        self.close_button.setAccessibleName(self.tr("Close this message"))
        self.close_button.clicked.connect(self.dismissed)
        theme.mark(self.close_button, "flat")
        self.bar = QProgressBar(self)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(BAR_HEIGHT)
        self.bar.setRange(0, STEPS)
        row = QHBoxLayout()
        row.addWidget(self.icon)
        row.addWidget(self.words, 1)
        row.addWidget(self.button)
        row.addWidget(self.close_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 14, 10)
        column.addLayout(row)
        column.addWidget(self.bar)
        self.hide()

    def show_work(self, words: str, fraction: float) -> None:
        """Say what runs, and how far it is (0 to 1)."""
        self._say(words, running=True)
        self.bar.setRange(0, STEPS)
        self.bar.setValue(round(fraction * STEPS))
        self.bar.setAccessibleName(words)
        self.bar.setToolTip(percent_text(fraction))

    def show_end(self, icon: str, role: str, words: str) -> None:
        """Say how it ended."""
        self.icon.show_icon(icon, role)
        self._say(words, running=False)

    def _say(self, words: str, *, running: bool) -> None:
        self.words.setText(words)
        self.bar.setVisible(running)
        self.icon.setVisible(not running)
        self.button.setVisible(running)
        self.close_button.setVisible(not running)
        self.show()
