"""One line above the composer that says what went wrong."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolButton

from app.widgets import theme


class ErrorLine(QFrame):
    """What went wrong, until it is closed."""

    def __init__(self) -> None:
        """Hidden."""
        super().__init__()
        theme.mark(self, "card")
        icon = QToolButton(self)
        icon.setIcon(theme.icon("error", "error"))
        icon.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        icon.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        icon.setAccessibleName(self.tr("Error"))
        theme.mark(icon, "flat")
        self._words = QLabel(self)
        self._words.setTextFormat(Qt.TextFormat.PlainText)
        self._words.setWordWrap(True)
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        close = QToolButton(self)
        close.setIcon(theme.icon("close"))
        close.setToolTip(self.tr("Close this message"))
        close.setAccessibleName(self.tr("Close this message"))
        close.clicked.connect(lambda: self.set_text(""))
        theme.mark(close, "flat")
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 4, 4, 4)
        row.addWidget(icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._words, 1)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def set_text(self, text: str) -> None:
        """Show this; empty hides the line."""
        # A path without spaces may break behind its separators.
        self._words.setText(text.replace("/", "/\u200b").replace("\\", "\\\u200b"))
        self._words.setAccessibleName(text)
        self.setAccessibleName(text)
        self.setVisible(bool(text))
