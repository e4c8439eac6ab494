"""The picture of the clip, as large as the room allows; or a sentence in its place."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.widgets import theme

# Pictures are judged against a dark surround, in a light window too, as in every player.
SURROUND = QColor("#101216")
_ICON = 40


class ClipView(QWidget):
    """Shows what it is given; asks for pictures of its size by `boxChanged`."""

    boxChanged = Signal(QSize)  # in pixels of the screen
    clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty."""
        super().__init__(parent)
        self._image = QImage()
        self._sentence = ""
        self.setMinimumSize(160, 90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAccessibleName(self.tr("Picture"))

    @property
    def image(self) -> QImage:
        """The picture that is shown; null when there is none."""
        return self._image

    @property
    def sentence(self) -> str:
        """What stands in the picture's place."""
        return self._sentence

    def box(self) -> QSize:
        """The room for a picture, in pixels of the screen."""
        return self.size() * self.devicePixelRatioF()

    def set_image(self, image: QImage) -> None:
        """Show a picture, fitted into `box`, or of another size, which is stretched."""
        self._image, self._sentence = image, ""
        self.setAccessibleDescription("")
        self.update()

    def set_sentence(self, sentence: str) -> None:
        """Say something in the picture's place; "" takes both away."""
        self._image = QImage()
        self._sentence = sentence
        self.setAccessibleDescription(sentence)
        self.update()

    def sizeHint(self) -> QSize:
        """A picture that can be made out."""
        return QSize(640, 360)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Ask for the picture in the new size."""
        super().resizeEvent(event)
        self.boxChanged.emit(self.box())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click plays and pauses."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.setFocus(Qt.FocusReason.MouseFocusReason)
            self.clicked.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture in the middle, or the sentence."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.colour("surface") if self._sentence else SURROUND)
        if not self._image.isNull():
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(self._target(), self._image)
        elif self._sentence:
            self._draw_sentence(painter)

    def _target(self) -> QRectF:
        ratio = self.devicePixelRatioF()
        size = self._image.size().toSizeF()
        room = self.size().toSizeF()
        shown = size.scaled(room, Qt.AspectRatioMode.KeepAspectRatio)
        # Exactly as many pixels as the picture has, when it was made for this room.
        if abs(shown.width() - size.width() / ratio) < 1.5:
            shown = size / ratio
        left = round((room.width() - shown.width()) / 2 * ratio) / ratio
        top = round((room.height() - shown.height()) / 2 * ratio) / ratio
        return QRectF(QPointF(left, top), shown)

    def _draw_sentence(self, painter: QPainter) -> None:
        room = QRectF(self.rect()).adjusted(24, 12, -24, -12)
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap
        words = painter.boundingRect(room, flags, self._sentence)
        top = max(room.center().y() - (words.height() - _ICON - 10) / 2, room.top() + _ICON)
        pixmap = theme.pixmap("warning", _ICON, "warning", self.devicePixelRatioF())
        painter.drawPixmap(QPointF(room.center().x() - _ICON / 2, top - _ICON - 10), pixmap)
        painter.setPen(theme.colour("text"))
        words.moveTop(top)
        words.setLeft(room.left())
        words.setRight(room.right())
        painter.drawText(words, flags, self._sentence)
