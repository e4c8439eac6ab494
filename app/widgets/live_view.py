"""The camera's picture; while there is none, a word why."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.widgets import theme
from app.widgets.clip_view import SURROUND, ClipView

_ICON = 40
# On the dark surround, in a light window too.
_INK = QColor("#a9b1be")


class LiveView(ClipView):
    """A `ClipView` that is empty in good order most of the time."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty."""
        super().__init__(parent)
        self._word = ""
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName(self.tr("What the camera sees"))

    def set_empty(self, word: str) -> None:
        """Take the picture away, and say why."""
        self.set_image(QImage())
        self._word = word
        self.setAccessibleDescription(word)

    def sizeHint(self) -> QSize:
        """Little: what room is left over is the picture's."""
        return QSize(320, 120)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture, or the word under the sign of a camera."""
        if not self.image.isNull():
            super().paintEvent(event)
            return
        painter = QPainter(self)
        painter.fillRect(self.rect(), SURROUND)
        middle = QRectF(self.rect()).center()
        sign = theme.pixmap("camera", _ICON, "outline", self.devicePixelRatioF())
        painter.drawPixmap(QPointF(middle.x() - _ICON / 2, middle.y() - _ICON), sign)
        painter.setPen(_INK)
        below = QRectF(12, middle.y() + 8, self.width() - 24, self.height() / 2 - 8)
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(below, flags, self._word)
