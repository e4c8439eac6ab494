"""The timeline under the player: what the model got of the clip, where the player is, the range.

A press on the axis goes to a time and keeps going with the pointer; in the lanes a click goes to a
time and a drag chooses a range. Ctrl and the wheel zoom.
"""

import math
from collections.abc import Callable
from typing import Literal

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractSlider, QApplication, QSizePolicy, QToolTip, QWidget

from app.widgets import coverage_paint as paint
from app.widgets import theme
from app.widgets.coverage_facts import CoverageFacts, Span, description
from app.widgets.coverage_paint import Lanes
from app.widgets.range_choice import Edge, RangeChoice
from app.widgets.time_axis import TimeScale, clock, moved, tick_step, zoomed

GUTTER, RIGHT, GAP, FOOT = 28.0, 14.0, 3.0, 6.0
PICTURE_LANE, SOUND_LANE, LARGE_LANE = 18.0, 44.0, 150.0
GRAB = 6.0
ZOOM = 1.25

Drag = Literal["seek", "press", "range", "edge"]


class CoverageBar(QAbstractSlider):
    """Frames as marks, sound as bands, the rest hatched; for a screen reader, a slider in s."""

    seekRequested = Signal(float)
    rangeEdited = Signal(object)  # (start_s, end_s) or None, by the user

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty."""
        super().__init__(parent)
        self._facts = CoverageFacts()
        self._view: Span = (0.0, 0.0)
        self._position = 0.0
        self._choice = RangeChoice()
        self._drag: Drag | None = None
        self._pressed_x = 0.0
        self._before: Span | None = None
        self._hover: float | None = None
        self._still: QPixmap | None = None
        self._large = False
        self._telling = True
        self.setOrientation(Qt.Orientation.Horizontal)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(self.tr("Timeline, in seconds"))
        self.valueChanged.connect(self._value_set)
        self._fit()

    # What is shown.

    @property
    def facts(self) -> CoverageFacts:
        """What is shown of the clip."""
        return self._facts

    def set_facts(self, facts: CoverageFacts) -> None:
        """Show a clip's timeline; the view stays when the clip is as long as before."""
        if abs(facts.duration_s - self._facts.duration_s) > 1e-6:
            self._view = (0.0, facts.duration_s)
            self._quietly(lambda: self.setRange(0, math.ceil(facts.duration_s)))
        self._facts = facts
        self._choice.duration_s = facts.duration_s
        self._describe()
        self._fit()
        self._redraw()

    def set_large(self, large: bool) -> None:
        """Take all the room there is: the sound is all that there is to see."""
        self._large = large
        self._fit()
        self._redraw()

    def set_position(self, time_s: float) -> None:
        """Move the playhead, and the view when it leaves it."""
        self._position = time_s
        self._quietly(lambda: self.setValue(int(time_s)))
        start, end = self._view
        if not start <= time_s <= end and self._drag is None:
            self._view = moved((time_s, 0.0), self._facts.duration_s, end - start)
            self._redraw()
        self.update()

    @property
    def range_s(self) -> Span | None:
        """The chosen range."""
        return self._choice.range_s

    def set_range(self, range_s: Span | None) -> None:
        """Show a range, without telling of it."""
        self._choice.range_s = range_s
        self._describe()
        self.update()

    # What the user does to the range and the view; commands of the player.

    def set_edge_here(self, edge: Edge) -> None:
        """Let the range begin or end at the playhead."""
        if self._facts.duration_s:
            self._choice.begin_or_end_at(edge, self._position)
            self._tell()

    def move_edge(self, direction: int) -> None:
        """Move the edge that was set last; without a range, begin one at the playhead."""
        if self._facts.duration_s:
            step = tick_step(self.scale().span_s, self.scale().width, 60.0) / paint.PARTS
            self._choice.nudge(direction * step, self._position)
            self._tell()

    def clear_range(self) -> None:
        """Take the whole clip again."""
        if self._choice.range_s is not None:
            self._choice.range_s = None
            self._tell()

    def zoom(self, factor: float, anchor_s: float | None = None) -> None:
        """Show a shorter (factor > 1) or longer part; 0 shows the whole clip."""
        whole = (0.0, self._facts.duration_s)
        anchor = self._position if anchor_s is None else anchor_s
        start, end = self._view
        if not start <= anchor <= end:
            anchor = (start + end) / 2
        self._view = whole
        if factor:
            self._view = zoomed((start, end), self._facts.duration_s, factor, anchor)
        self._redraw()

    # Geometry.

    def lanes(self) -> Lanes:
        """Where axis and lanes are."""
        left, width = GUTTER, max(self.width() - GUTTER - RIGHT, 1.0)
        top = self.fontMetrics().height() + paint.TICK + 6.0
        axis = QRectF(left, 1.0, width, top - 1.0)
        height = PICTURE_LANE if self._facts.has_picture else 0.0
        picture = QRectF(left, top + 2.0, width, height)
        below = picture.bottom() + (GAP if height else 0.0)
        rest = self.height() - below - FOOT if self._large else SOUND_LANE
        return Lanes(axis, picture, QRectF(left, below, width, rest))

    def scale(self) -> TimeScale:
        """Which second is at which pixel."""
        return TimeScale(*self._view, GUTTER, max(self.width() - GUTTER - RIGHT, 1.0))

    def sizeHint(self) -> QSize:
        """As wide as it may be."""
        return QSize(480, self.minimumSizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Axis, lanes and a margin."""
        height = self.fontMetrics().height() + paint.TICK + 8.0 + FOOT
        height += PICTURE_LANE + GAP if self._facts.has_picture else 0.0
        height += LARGE_LANE if self._large else SOUND_LANE
        return QSize(160, math.ceil(height))

    # Painting.

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the lanes (kept as a picture), then what moves."""
        painter = QPainter(self)
        if self._still is None:
            self._still = self._draw_still()
        painter.drawPixmap(0, 0, self._still)
        if self._facts.duration_s:
            self._draw_moving(painter)
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(theme.colour("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 5, 5)

    def _draw_still(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        still = QPixmap(self.size() * ratio)
        still.setDevicePixelRatio(ratio)
        still.fill(Qt.GlobalColor.transparent)
        painter = QPainter(still)
        painter.setFont(self.font())
        lanes, scale, facts = self.lanes(), self.scale(), self._facts
        paint.draw_lanes(painter, lanes, GUTTER)
        if facts.duration_s:
            paint.draw_axis(painter, lanes, scale)
            painter.setClipRect(lanes.both.adjusted(-paint.MARK / 2 - 1, 0, paint.MARK, 0))
            paint.draw_sound(painter, lanes.sound, scale, facts)
            paint.draw_frames(painter, lanes.picture, scale, facts)
            painter.setClipping(False)
            if scale.span_s < facts.duration_s - 1e-6:
                below = QRectF(lanes.sound.left(), lanes.sound.bottom() + 2, lanes.sound.width(), 3)
                paint.draw_overview(painter, below, scale, facts.duration_s)
        painter.end()
        return still

    def _draw_moving(self, painter: QPainter) -> None:
        lanes, scale = self.lanes(), self.scale()
        painter.save()
        painter.setClipRect(lanes.whole.adjusted(-8, 0, 8, 0))
        if self._choice.range_s is not None:
            start, end = (scale.x(time) for time in self._choice.range_s)
            paint.draw_outside(painter, lanes, start, end)
            band = QRectF(start, lanes.axis.bottom() - 3, end - start, 3)
            painter.fillRect(band.intersected(lanes.whole), theme.colour("accent"))
        paint.draw_words(painter, lanes, scale, self._facts)
        if self._choice.range_s is not None:
            for edge, x in (("start", start), ("end", end)):
                paint.draw_edge(painter, lanes, x, self.hasFocus() and edge == self._choice.edge)
        paint.draw_playhead(painter, lanes, scale.x(self._position))
        painter.restore()
        if self._hover is not None:
            label = self._time(self._hover)
            if self._drag in ("range", "edge") and self._choice.range_s is not None:
                label = self._range_label(self._choice.range_s)
            paint.draw_hover(painter, lanes, scale.x(self._hover), label)

    # Mouse.

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of an edge, of the playhead, or of a place in the lanes."""
        if event.button() != Qt.MouseButton.LeftButton or not self._facts.duration_s:
            return
        where = event.position()
        self._pressed_x, self._before = where.x(), self._choice.range_s
        edge = self._edge_at(where)
        if edge is not None:
            self._choice.edge, self._drag = edge, "edge"
        elif where.y() <= self.lanes().axis.bottom():
            self._drag = "seek"
            self.seekRequested.emit(self.scale().time_s(where.x()))
        else:
            self._drag = "press"
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with what was begun, or show the time under the pointer."""
        if not self._facts.duration_s:
            return
        where = event.position()
        self._hover = self.scale().time_s(where.x())
        far = abs(where.x() - self._pressed_x) >= QApplication.startDragDistance()
        if self._drag == "press" and far:
            self._drag = "range"
        if self._drag == "seek":
            self.seekRequested.emit(self._hover)
        elif self._drag == "range":
            self._choice.span_between(self.scale().time_s(self._pressed_x), self._hover)
        elif self._drag == "edge":
            self._choice.drag(self._hover)
        self._choose_cursor(where)
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Go there, or tell of the range."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        drag, self._drag = self._drag, None
        if drag == "press":
            self.seekRequested.emit(self.scale().time_s(event.position().x()))
        elif drag in ("range", "edge") and self._choice.range_s is not None:
            start, end = self._choice.range_s
            if drag == "range" and end - start < self._choice.shortest_s:
                self._choice.range_s = self._before
            elif self._choice.range_s != self._before:
                self._choice.take(self._choice.range_s)
                self._tell()
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Forget the pointer."""
        super().leaveEvent(event)
        self._hover = None
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom with Ctrl; move the part in view without."""
        delta = event.angleDelta()
        turned = delta.y() or delta.x()
        start, end = self._view
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            factor = ZOOM ** (turned / 120)
            self.zoom(factor, self.scale().time_s(event.position().x()))
            event.accept()
        elif end - start < self._facts.duration_s - 1e-6:
            shift = -turned / 120 * (end - start) / 8
            self._view = moved((start + shift, 0.0), self._facts.duration_s, end - start)
            self._redraw()
            event.accept()
        else:
            event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc gives up a drag; Page keys go a tenth of the view; the rest are commands."""
        if event.key() == Qt.Key.Key_Escape and self._drag is not None:
            self._drag, self._choice.range_s = None, self._before
            self.update()
            return
        pages = {Qt.Key.Key_PageUp: -1, Qt.Key.Key_PageDown: 1}
        if event.key() in pages and self._facts.duration_s:
            leap = pages[Qt.Key(event.key())] * self.scale().span_s / 10
            target = min(max(self._position + leap, 0.0), self._facts.duration_s)
            self.seekRequested.emit(target)
            return
        event.ignore()

    def event(self, event: QEvent) -> bool:
        """Say what is under the pointer; an Esc that ends a drag is no command."""
        if event.type() == QEvent.Type.ShortcutOverride and self._drag is not None:
            event.accept()
            return True
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.tip_at(QPointF(event.pos())), self)
            return True
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Draw anew."""
        super().resizeEvent(event)
        self._redraw()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme and the font."""
        super().changeEvent(event)
        self._fit()
        self._redraw()

    def tip_at(self, where: QPointF) -> str:
        """What is at a place, in words."""
        if not self._facts.duration_s:
            return ""
        time_s = self.scale().time_s(where.x())
        lines = [self._time(time_s)]
        near = [
            (abs(self.scale().x(at) - where.x()), number)
            for number, at in enumerate(self._facts.frame_times_s)
        ]
        if near and min(near)[0] <= GRAB:
            number = min(near)[1]
            lines.append(
                self.tr("Frame {number} of {count}, at {time}").format(
                    number=number + 1,
                    count=len(near),
                    time=self._time(self._facts.frame_times_s[number]),
                )
            )
        if self._facts.known and self._facts.has_sound:
            heard = any(start <= time_s <= end for start, end in self._facts.heard_s)
            lines.append(self.tr("Sound heard") if heard else self.tr("Sound not heard"))
        if (
            self._choice.range_s is not None
            and not self._choice.range_s[0] <= time_s <= self._choice.range_s[1]
        ):
            lines.append(self.tr("Outside the chosen range"))
        return "\n".join(lines)

    # Within.

    def _edge_at(self, where: QPointF) -> Edge | None:
        if self._choice.range_s is None or where.y() < self.lanes().axis.bottom():
            return None
        start, end = (abs(self.scale().x(time) - where.x()) for time in self._choice.range_s)
        if min(start, end) > GRAB:
            return None
        return "start" if start < end else "end"

    def _choose_cursor(self, where: QPointF) -> None:
        if self._drag == "edge" or (self._drag is None and self._edge_at(where)):
            shape = Qt.CursorShape.SizeHorCursor
        elif where.y() <= self.lanes().axis.bottom():
            shape = Qt.CursorShape.PointingHandCursor
        else:
            shape = Qt.CursorShape.IBeamCursor
        self.setCursor(shape)

    def _tell(self) -> None:
        self._describe()
        self.update()
        self.rangeEdited.emit(self._choice.range_s)

    def _time(self, time_s: float) -> str:
        decimals = 2 if self.scale().span_s <= 120 else 1 if self.scale().span_s <= 3600 else 0
        return clock(time_s, decimals)

    def _range_label(self, range_s: Span) -> str:
        start, end = range_s
        return f"{self._time(start)} – {self._time(end)} ({self._time(end - start)})"

    def _describe(self) -> None:
        self.setAccessibleDescription(description(self._facts, self._choice.range_s))

    def _fit(self) -> None:
        vertical = QSizePolicy.Policy.Expanding if self._large else QSizePolicy.Policy.Fixed
        self.setSizePolicy(QSizePolicy.Policy.Expanding, vertical)
        self.updateGeometry()

    def _redraw(self) -> None:
        self._still = None
        self.update()

    def _quietly(self, change: Callable[[], None]) -> None:
        self._telling = False
        change()
        self._telling = True

    def _value_set(self, value: int) -> None:
        if self._telling:  # an assistive program moved the slider
            self.seekRequested.emit(float(value))
