"""Thumbnails of exactly the frames that the model gets, with their times."""

import bisect
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import (
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QRectF,
    QSize,
    QSizeF,
    Qt,
    Signal,
)
from PySide6.QtGui import QImage, QKeyEvent, QPainter, QPainterPath, QPen, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.widgets import theme
from app.widgets.picture_images import array_image
from app.widgets.playback import EPSILON_S
from app.widgets.time_axis import clock

# The room of one picture; it keeps its own shape inside.
PICTURE = QSize(128, 72)
MARGIN = 6
IMAGE_ROLE = Qt.ItemDataRole.UserRole
NOW_ROLE = Qt.ItemDataRole.UserRole + 1

Index = QModelIndex | QPersistentModelIndex


class FilmStrip(QListWidget):
    """A row of frames; a click or Enter goes to one, the one that is on now is marked."""

    seekRequested = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty."""
        super().__init__(parent)
        self._times: list[float] = []
        self._now = -1
        self.setFlow(QListWidget.Flow.LeftToRight)
        self.setWrapping(False)
        self.setUniformItemSizes(True)  # frames of one film
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setFrameShape(QListWidget.Shape.NoFrame)
        self.setItemDelegate(_FrameDelegate(self))
        self.setAccessibleName(self.tr("Frames that the model gets"))
        self.setAccessibleDescription(self.tr("Enter goes to a frame"))
        self.itemClicked.connect(self._go)
        self._fit_height()

    def set_frames(
        self, times_s: Sequence[float], thumbnails: NDArray[np.uint8], decimals: int
    ) -> None:
        """Show frames.

        Args:
            times_s: When each is shown, ascending.
            thumbnails: uint8 (T, h, w, 3), as many as there are times.
            decimals: Of the times' seconds.
        """
        self.clear()
        self._times, self._now = [float(time) for time in times_s], -1
        for number, (time_s, rgb) in enumerate(zip(self._times, thumbnails, strict=True)):
            item = QListWidgetItem(clock(time_s, decimals))
            item.setData(IMAGE_ROLE, array_image(rgb))
            name = self.tr("Frame {number} of {count}, at {time}").format(
                number=number + 1, count=len(self._times), time=clock(time_s, 2)
            )
            item.setToolTip(name)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, name)
            self.addItem(item)

    def set_position(self, time_s: float) -> None:
        """Mark the frame that the model has of this moment: the last one not after it."""
        now = bisect.bisect_right(self._times, time_s + EPSILON_S) - 1
        if now == self._now:
            return
        for index, on in ((self._now, False), (now, True)):
            item = self.item(index)
            if item is not None:
                item.setData(NOW_ROLE, on)
        self._now = now
        item = self.item(now)
        if item is not None:
            self.scrollToItem(item)

    @property
    def now(self) -> int:
        """Index of the marked frame, -1 when there is none."""
        return self._now

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter goes to the frame that has the focus."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._go(self.currentItem())
            return
        super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The common wheel moves the strip sideways."""
        delta = event.angleDelta()
        amount = delta.x() or delta.y()
        bar = self.horizontalScrollBar()
        bar.setValue(bar.value() - amount)
        event.accept()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit_height()

    def _fit_height(self) -> None:
        text = self.fontMetrics().height()
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        self.setFixedHeight(PICTURE.height() + 3 * MARGIN + text + bar)

    def _go(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.seekRequested.emit(self._times[self.row(item)])


class _FrameDelegate(QStyledItemDelegate):
    """Draws a picture with its time; the marked one has an edge and a ▸ before its time."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """As wide as the picture or its time."""
        picture = self._picture_size(index.data(IMAGE_ROLE))
        text = option.fontMetrics.horizontalAdvance(f"▸ {index.data()}0")
        width = max(round(picture.width()), text)
        height = PICTURE.height() + option.fontMetrics.height()
        return QSize(width + 2 * MARGIN, height + 3 * MARGIN)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one frame."""
        now = bool(index.data(NOW_ROLE))
        room = QRectF(option.rect).adjusted(1.5, 1.5, -1.5, -1.5)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if option.state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.colour("hover"))
            painter.drawRoundedRect(room, 6, 6)
        self._draw_picture(painter, room, index.data(IMAGE_ROLE))
        self._draw_time(painter, room, str(index.data()), now)
        if now:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.colour("picture"), 2))
            painter.drawRoundedRect(room, 6, 6)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.colour("text"), 1, Qt.PenStyle.DotLine))
            painter.drawRoundedRect(room.adjusted(2.5, 2.5, -2.5, -2.5), 4, 4)
        painter.restore()

    @staticmethod
    def _picture_size(image: QImage) -> QSizeF:
        return image.size().scaled(PICTURE, Qt.AspectRatioMode.KeepAspectRatio).toSizeF()

    def _draw_picture(self, painter: QPainter, room: QRectF, image: QImage) -> None:
        size = self._picture_size(image)
        middle = room.top() + MARGIN - 1 + PICTURE.height() / 2
        target = QRectF(
            room.center().x() - size.width() / 2,
            middle - size.height() / 2,
            size.width(),
            size.height(),
        )
        corners = QPainterPath()
        corners.addRoundedRect(target, 3, 3)
        painter.setClipPath(corners)
        painter.drawImage(target, image)
        painter.setClipping(False)

    def _draw_time(self, painter: QPainter, room: QRectF, time: str, now: bool) -> None:
        font = painter.font()
        font.setBold(now)
        painter.setFont(font)
        painter.setPen(theme.colour("text" if now else "muted"))
        line = room.adjusted(0, MARGIN + PICTURE.height(), 0, -2)
        painter.drawText(line, Qt.AlignmentFlag.AlignCenter, f"▸ {time}" if now else time)
