"""The last seconds of a recording, rolling to the left: what is kept, and what is asked about.

A drag chooses a stretch, which then moves along with what it holds; Esc goes back to "the last N
seconds". For a screen reader it is a slider: how many seconds are asked about.
"""

import math
from collections import deque

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractSlider, QApplication, QWidget

from app.capture.recorder import SECONDS, LiveStatus, Span
from app.widgets import coverage_paint as paint
from app.widgets import theme
from app.widgets.coverage_paint import Lanes
from app.widgets.level_meter import LOWEST_DB
from app.widgets.time_axis import TimeScale, tick_step, ticks

GUTTER, RIGHT, FOOT = 28.0, 14.0, 6.0
PICTURE_LANE, SOUND_LANE = 18.0, 34.0
DEFAULT_S = 15.0
SHORTEST_S = 1.0
# The loudness is kept so often.
LEVEL_S = 0.25
STEP_S, LEAP_S = 1.0, 5.0


class LiveBar(QAbstractSlider):
    """What is kept is drawn, the rest hatched; outside of what is asked about it is veiled."""

    chosen = Signal(object)  # how many of the last seconds (float), or a Span; by the user

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty, the last 15 s chosen."""
        super().__init__(parent)
        self._now_s = 0.0
        self._levels: deque[tuple[float, float]] = deque()
        self._alive: dict[str, list[list[float]]] = {"picture": [], "sound": []}
        self._giving: set[str] = set()
        self._frames_s: tuple[float, ...] = ()
        self._last_s = DEFAULT_S
        self._fixed: Span | None = None
        self._pressed: tuple[float, float] | None = None  # pixel and time
        self._dragged: Span | None = None
        self.setOrientation(Qt.Orientation.Horizontal)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(self.tr("Seconds that are asked about"))
        self.setToolTip(self.tr("Drag to choose a stretch; Esc goes back to the last seconds."))
        self.setRange(round(SHORTEST_S), round(SECONDS))
        self._telling = False
        self.setValue(round(DEFAULT_S))
        self._telling = True
        self.valueChanged.connect(self._value_set)
        self._describe()

    @property
    def choice(self) -> float | Span:
        """What is asked about: so many of the last seconds, or a stretch that stays what it is."""
        return self._last_s if self._fixed is None else self._fixed

    @property
    def seconds(self) -> float:
        """How many of the last seconds are asked about where no stretch is chosen."""
        return self._last_s

    def choose(self, choice: float | Span) -> None:
        """Show a choice, without telling of it."""
        self._take(choice, tell=False)

    def set_status(self, status: LiveStatus) -> None:
        """Roll on."""
        self._now_s = status.now_s
        camera, microphone = status.camera, status.microphone
        # A device that is on, and has given something, gives.
        seen = camera is not None and camera.kind == "on" and status.pictures_from_s is not None
        heard = microphone is not None and microphone.kind == "on"
        sounding = heard and status.sound_from_s is not None
        self._live("picture", seen, status.now_s, status.pictures_from_s)
        self._live("sound", sounding, status.now_s, status.sound_from_s)
        if not self._levels or status.now_s - self._levels[-1][0] >= LEVEL_S:
            self._levels.append((status.now_s, status.level_db if heard else -math.inf))
        oldest = status.now_s - SECONDS
        while self._levels and self._levels[0][0] < oldest:
            self._levels.popleft()
        if self._fixed is not None and self._fixed.start_s < oldest and self._dragged is None:
            # What is no longer kept cannot be asked about.
            self._take(self._last_s, tell=True)
        self.update()

    def set_frames(self, times_s: tuple[float, ...]) -> None:
        """Mark the frames that the model got last (`time.monotonic`)."""
        self._frames_s = times_s
        self.update()

    def clear(self) -> None:
        """Nothing is recorded."""
        self._levels.clear()
        self._alive = {"picture": [], "sound": []}
        self._giving.clear()
        self._frames_s, self._now_s = (), 0.0
        self._take(self._last_s, tell=False)

    # Geometry.

    def lanes(self) -> Lanes:
        """Where axis and lanes are."""
        width = max(self.width() - GUTTER - RIGHT, 1.0)
        top = self.fontMetrics().height() + paint.TICK + 6.0
        axis = QRectF(GUTTER, 1.0, width, top - 1.0)
        picture = QRectF(GUTTER, top + 2.0, width, PICTURE_LANE)
        return Lanes(axis, picture, QRectF(GUTTER, picture.bottom() + 3.0, width, SOUND_LANE))

    def scale(self) -> TimeScale:
        """Which second of the recording's clock is at which pixel."""
        width = max(self.width() - GUTTER - RIGHT, 1.0)
        return TimeScale(self._now_s - SECONDS, self._now_s, GUTTER, width)

    def sizeHint(self) -> QSize:
        """As wide as it may be."""
        return QSize(480, self.minimumSizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Axis and lanes."""
        lanes = PICTURE_LANE + SOUND_LANE + 3.0
        return QSize(200, math.ceil(self.fontMetrics().height() + paint.TICK + 8.0 + lanes + FOOT))

    # Painting.

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw axis, lanes, and what is chosen."""
        painter = QPainter(self)
        lanes, scale = self.lanes(), self.scale()
        paint.draw_lanes(painter, lanes, GUTTER)
        self._draw_axis(painter, lanes)
        self._draw_kept(painter, lanes, scale)
        span = self._shown()
        start, end = (
            min(max(scale.x(at), scale.left), lanes.axis.right())
            for at in (span.start_s, span.end_s)
        )
        paint.draw_outside(painter, lanes, start, end)
        band = QRectF(start, lanes.axis.bottom() - 3, end - start, 3)
        painter.fillRect(band, theme.colour("accent"))
        for x in (start, end):
            paint.draw_edge(painter, lanes, x, self.hasFocus())
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(theme.colour("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 5, 5)

    def _draw_axis(self, painter: QPainter, lanes: Lanes) -> None:
        back = TimeScale(-SECONDS, 0.0, lanes.axis.left(), lanes.axis.width())
        metrics, bottom = painter.fontMetrics(), lanes.axis.bottom()
        widest = metrics.horizontalAdvance(self.tr("−{seconds} s").format(seconds=round(SECONDS)))
        for at in ticks(back, tick_step(SECONDS, back.width, widest + 16.0)):
            label = self.tr("−{seconds} s").format(seconds=round(-at)) if at else self.tr("now")
            x, width = back.x(at), metrics.horizontalAdvance(label)
            painter.setPen(QPen(theme.colour("outline"), 1))
            painter.drawLine(round(x), round(bottom - paint.TICK), round(x), round(bottom))
            left = min(max(x - width / 2, 2.0), self.width() - width - 2.0)
            painter.setPen(theme.colour("muted"))
            painter.drawText(round(left), round(bottom - paint.TICK - metrics.descent() - 1), label)

    def _draw_kept(self, painter: QPainter, lanes: Lanes, scale: TimeScale) -> None:
        for name, lane in (("picture", lanes.picture), ("sound", lanes.sound)):
            ink, at = theme.colour(name, 0.22), lane.left()
            for first, last in self._alive[name]:
                left = min(max(scale.x(first), lane.left()), lane.right())
                right = min(max(scale.x(last), lane.left()), lane.right())
                paint.hatch(painter, _between(lane, at, left), theme.colour("skipped", 0.45))
                painter.fillRect(_between(lane, left, right), ink)
                at = right
            paint.hatch(painter, _between(lane, at, lane.right()), theme.colour("skipped", 0.45))
        self._draw_levels(painter, lanes.sound, scale)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("picture"))
        for time_s in self._frames_s:
            x = scale.x(time_s)
            if lanes.picture.left() <= x <= lanes.picture.right():
                lane = lanes.picture
                painter.drawRect(QRectF(x - 1, lane.top() + 4, 2, lane.height() - 8))

    def _draw_levels(self, painter: QPainter, lane: QRectF, scale: TimeScale) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
        before_s = -math.inf
        for time_s, level_db in self._levels:
            share = 1 - max(level_db, LOWEST_DB) / LOWEST_DB
            height = max(share * (lane.height() - 2), 1.0)
            left, right = scale.x(max(before_s, time_s - 4 * LEVEL_S)), scale.x(time_s)
            before_s = time_s
            if level_db > -math.inf and left >= lane.left():
                column = QRectF(left, lane.center().y() - height / 2, right - left, height)
                painter.fillRect(column, theme.colour("sound"))

    # Mouse and keys.

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a stretch."""
        if event.button() == Qt.MouseButton.LeftButton and self._now_s:
            where = event.position().x()
            self._pressed = where, self.scale().time_s(where)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Pull the stretch."""
        if self._pressed is None:
            return
        x, at_s = self._pressed
        far = abs(event.position().x() - x) >= QApplication.startDragDistance()
        if self._dragged is not None or far:
            here_s = self.scale().time_s(event.position().x())
            self._dragged = Span(min(at_s, here_s), max(at_s, here_s))
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Take the stretch; one too short is none."""
        dragged, self._dragged, self._pressed = self._dragged, None, None
        if dragged is not None and dragged.seconds >= SHORTEST_S:
            self._take(dragged, tell=True)
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and Right move a stretch, Up and Down change its length, Esc: the last seconds."""
        key = Qt.Key(event.key())
        leap = LEAP_S if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else STEP_S
        moves = {Qt.Key.Key_Left: -leap, Qt.Key.Key_Right: leap}
        grows = {Qt.Key.Key_Up: leap, Qt.Key.Key_Down: -leap}
        if key == Qt.Key.Key_Escape and (self._fixed or self._dragged):
            self._dragged = None
            self._take(self._last_s, tell=True)
        elif key in moves and self._now_s:
            self._move(moves[key])
        elif key in grows:
            self._grow(grows[key])
        else:
            event.ignore()

    def event(self, event: QEvent) -> bool:
        """An Esc that goes back to the last seconds is no command."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() == Qt.Key.Key_Escape
            and (self._fixed or self._dragged)
        ):
            event.accept()
            return True
        return super().event(event)

    def _move(self, by_s: float) -> None:
        span = self._shown()
        end_s = min(span.end_s + by_s, self._now_s)
        if self._fixed is not None and end_s >= self._now_s and by_s > 0:
            self._take(self._last_s, tell=True)
            return
        start_s = max(end_s - span.seconds, self._now_s - SECONDS + LEAP_S)
        self._take(Span(start_s, start_s + span.seconds), tell=True)

    def _grow(self, by_s: float) -> None:
        if self._fixed is None:
            self._take(_clipped(self._last_s + by_s), tell=True)
            return
        length_s = max(self._fixed.seconds + by_s, SHORTEST_S)
        end_s = min(self._fixed.start_s + length_s, self._now_s)
        self._take(Span(self._fixed.start_s, end_s), tell=True)

    def _value_set(self, seconds: int) -> None:
        if self._telling:
            self._take(float(seconds), tell=True)

    def _take(self, choice: float | Span, tell: bool) -> None:
        if isinstance(choice, Span):
            self._fixed, seconds = choice, choice.seconds
        else:
            self._fixed, self._last_s = None, _clipped(choice)
            seconds = self._last_s
        self._telling = False
        self.setValue(round(seconds))
        self._telling = True
        self._describe()
        self.update()
        if tell:
            self.chosen.emit(self.choice)

    def _shown(self) -> Span:
        return self._dragged or self._fixed or Span(self._now_s - self._last_s, self._now_s)

    def _describe(self) -> None:
        if self._fixed is None:
            words = self.tr("the last {seconds} s").format(seconds=round(self._last_s))
        else:
            words = self.tr("a stretch of {seconds} s").format(seconds=round(self._fixed.seconds))
        self.setAccessibleDescription(words)

    def _live(self, name: str, alive: bool, now_s: float, from_s: float | None) -> None:
        """Note that a device gives; what is older than what is kept is dropped."""
        stretches = self._alive[name]
        if alive and name not in self._giving:
            begun_s = now_s if stretches or from_s is None else from_s
            stretches.append([begun_s, now_s])
        if alive:
            stretches[-1][1] = now_s
        (self._giving.add if alive else self._giving.discard)(name)
        while stretches and stretches[0][1] < now_s - SECONDS:
            stretches.pop(0)


def _clipped(seconds: float) -> float:
    return min(max(float(seconds), SHORTEST_S), SECONDS)


def _between(lane: QRectF, left: float, right: float) -> QRectF:
    return QRectF(left, lane.top(), max(right - left, 0.0), lane.height())
