"""Labels that the pages share: text that wraps and is never markup, icons, a line with an icon."""

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QSizePolicy

from app.widgets import theme

SHORT_WORD = 12  # letters


def text_label(text: str, kind: theme.Kind | None) -> QLabel:
    """Return a label that wraps, can be copied from, and never takes markup."""
    label = WrappedLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if kind is not None:
        theme.mark(label, kind)
    return label


def picture(name: str, role: str) -> "IconLabel":
    """Return an icon as a label; the words beside it say what it means."""
    label = IconLabel(name, role)
    label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return label


def note_row(icon: str, text: str, role: str) -> QHBoxLayout:
    """Return a line with an icon in front."""
    row = QHBoxLayout()
    row.addWidget(picture(icon, role), 0, Qt.AlignmentFlag.AlignTop)
    row.addWidget(text_label(text, None), 1)
    return row


def path_line(path: object, name: str) -> QLineEdit:
    """Return a path that can be read, scrolled and copied from, however long it is."""
    line = QLineEdit(str(path))
    line.setReadOnly(True)
    line.setCursorPosition(0)
    line.setAccessibleName(name)
    theme.mark(line, "bare")
    return line


class WrappedLabel(QLabel):
    """A label that a long word does not make wider than its place."""

    def minimumSizeHint(self) -> QSize:
        """No wider than a short word."""
        hint = super().minimumSizeHint()
        if self.wordWrap():
            hint.setWidth(min(hint.width(), SHORT_WORD * self.fontMetrics().averageCharWidth()))
        return hint


class IconLabel(QLabel):
    """An icon in the colour of a role, drawn anew when the colours change."""

    def __init__(self, name: str, role: str) -> None:
        """Draw it."""
        super().__init__()
        self._name, self._role = name, role
        self._draw()

    def show_icon(self, name: str, role: str) -> None:
        """Show another one."""
        self._name, self._role = name, role
        self._draw()

    def changeEvent(self, event: QEvent) -> None:
        """Draw it in the new colours."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()

    def _draw(self) -> None:
        side = self.fontMetrics().height() + 4
        self.setPixmap(theme.pixmap(self._name, side, self._role, self.devicePixelRatioF()))
