"""The target that covers the window while a file is dragged over it."""

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.widgets import theme

_MARGIN = 18
_ICON = 56


class DropOverlay(QWidget):
    """Drawn over everything; drops fall through it to the window."""

    def __init__(self, parent: QWidget) -> None:
        """Hidden.

        Args:
            parent: the window that is covered.
        """
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._name = ""
        self.hide()

    def show_for(self, name: str) -> None:
        """Cover the window.

        Args:
            name: the file's name, shown on the target.
        """
        self._name = name
        parent = self.parentWidget()
        if parent is not None:
            self.setGeometry(parent.rect())
        self.raise_()
        self.show()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the veil, the target and its words."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), theme.colour("window", 0.86))
        target = QRectF(self.rect()).adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        pen = QPen(theme.colour("accent"), 3, Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(theme.colour("accent", 0.08))
        painter.drawRoundedRect(target, 14, 14)
        middle = target.center()
        picture = theme.pixmap("open", _ICON, "accent", self.devicePixelRatioF())
        painter.drawPixmap(round(middle.x() - _ICON / 2), round(middle.y() - _ICON - 8), picture)
        font = self.font()
        font.setPointSizeF(font.pointSizeF() * 1.5)
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(theme.colour("text"))
        words = QRectF(target.left(), middle.y() + 4, target.width(), 40)
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, self.tr("Drop to open"))
        painter.setFont(self.font())
        painter.setPen(theme.colour("muted"))
        name = painter.fontMetrics().elidedText(
            self._name, Qt.TextElideMode.ElideMiddle, round(target.width() - 40)
        )
        painter.drawText(words.translated(0, 34), Qt.AlignmentFlag.AlignCenter, name)
