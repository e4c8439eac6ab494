"""Lines above the window's content that say what happened, each closed by the user."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.widgets import theme

MAX_LINES = 3
Kind = str  # "info", "warning" or "error": icons of the theme have these names


class NoticeBar(QWidget):
    """At most a few lines, the newest at the bottom; a line that stands already is not repeated."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty, and without height."""
        super().__init__(parent)
        self._lines: list[_Line] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(8, 6, 8, 0)
        self._layout.setSpacing(4)
        self.hide()

    def say(
        self,
        text: str,
        kind: Kind = "info",
        action: tuple[str, Callable[[], None]] | None = None,
    ) -> None:
        """Add a line.

        Args:
            text: one sentence or two.
            kind: "info", "warning" or "error".
            action: a button's text and what it does; the line goes away with it.
        """
        for line in self._lines:
            if line.text == text:
                self._drop(line)
                break
        while len(self._lines) >= MAX_LINES:
            self._drop(self._lines[0])
        line = _Line(text, kind, action, self)
        line.close_button.clicked.connect(lambda: self._drop(line))
        if line.action_button is not None:
            line.action_button.clicked.connect(lambda: self._drop(line))
        self._lines.append(line)
        self._layout.addWidget(line)
        self.show()
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def texts(self) -> list[str]:
        """The lines that stand."""
        return [line.text for line in self._lines]

    def withdraw(self, text: str) -> None:
        """Take a line away that is no longer true."""
        for line in [line for line in self._lines if line.text == text]:
            self._drop(line)

    def clear(self) -> None:
        """Take every line away."""
        for line in list(self._lines):
            self._drop(line)

    def _drop(self, line: "_Line") -> None:
        if line not in self._lines:
            return
        self._lines.remove(line)
        self._layout.removeWidget(line)
        line.hide()
        line.deleteLater()
        self.setVisible(bool(self._lines))


class _Line(QFrame):
    def __init__(
        self,
        text: str,
        kind: Kind,
        action: tuple[str, Callable[[], None]] | None,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.text = text
        theme.mark(self, "card")
        picture = QToolButton(self)
        picture.setIcon(theme.icon(kind, "muted" if kind == "info" else kind))
        theme.mark(picture, "flat")
        picture.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        picture.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        picture.setAccessibleName(self._kind_name(kind))
        words = QLabel(text, self)
        words.setTextFormat(Qt.TextFormat.PlainText)
        words.setWordWrap(True)
        words.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        policy = words.sizePolicy()  # of a label with several lines: its height is that of a width
        policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
        words.setSizePolicy(policy)
        self.setAccessibleName(text)
        self.action_button: QPushButton | None = None
        self.close_button = QToolButton(self)
        self.close_button.setIcon(theme.icon("close"))
        self.close_button.setToolTip(self.tr("Close this message"))
        self.close_button.setAccessibleName(self.tr("Close this message"))
        theme.mark(self.close_button, "flat")
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 4, 4)
        row.addWidget(picture)
        row.addWidget(words, 1)
        if action is not None:
            self.action_button = QPushButton(action[0], self)
            self.action_button.clicked.connect(action[1])
            row.addWidget(self.action_button)
        row.addWidget(self.close_button)

    def _kind_name(self, kind: Kind) -> str:
        names = {"warning": self.tr("Warning"), "error": self.tr("Error")}
        return names.get(kind, self.tr("Note"))
