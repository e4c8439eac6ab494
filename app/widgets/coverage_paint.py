"""How the timeline is drawn: axis, frames, sound, and hatching for what the model did not get.

Functions over a painter; what never changes while a clip plays is drawn here, once.
"""

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from app.widgets import theme, waveform
from app.widgets.coverage_facts import CoverageFacts
from app.widgets.time_axis import TimeScale, tick_label, tick_step, ticks

translate = QCoreApplication.translate
HATCH = 7.0
ICON = 16
MARK = 8.0
TICK = 6.0
# Ticks without labels between two that have one.
PARTS = 5


@dataclass(frozen=True)
class Lanes:
    """Where things are: the axis on top, then the lane of pictures, then that of sound."""

    axis: QRectF
    picture: QRectF  # of no height without pictures
    sound: QRectF

    @property
    def both(self) -> QRectF:
        """The lanes together."""
        return self.picture.united(self.sound) if self.picture.height() else self.sound

    @property
    def whole(self) -> QRectF:
        """Axis and lanes."""
        return self.axis.united(self.both)


def draw_axis(painter: QPainter, lanes: Lanes, scale: TimeScale) -> None:
    """Draw the labelled ticks, and lesser ones between them."""
    metrics = QFontMetricsF(painter.font())
    widest = metrics.horizontalAdvance(tick_label(scale.end_s, 0.1 if scale.span_s < 6 else 1.0))
    step = tick_step(scale.span_s, scale.width, widest + 22)
    bottom = lanes.axis.bottom()
    painter.setPen(QPen(theme.colour("outline"), 1))
    for time_s in ticks(scale, step / PARTS):
        x = scale.x(time_s)
        painter.drawLine(QLineF(x, bottom - TICK * 0.6, x, bottom))
    for time_s in ticks(scale, step):
        x = scale.x(time_s)
        painter.setPen(QPen(theme.colour("outline"), 1))
        painter.drawLine(QLineF(x, bottom - TICK, x, bottom))
        label = tick_label(time_s, step)
        width = metrics.horizontalAdvance(label)
        left = min(max(x - width / 2, scale.left - 4), lanes.axis.right() - width)
        painter.setPen(theme.colour("muted"))
        painter.drawText(QPointF(left, bottom - TICK - metrics.descent() - 1), label)


def draw_lanes(painter: QPainter, lanes: Lanes, gutter: float) -> None:
    """Draw the grounds of the lanes and, before them, what they are."""
    ratio = painter.device().devicePixelRatio()
    for lane, icon in ((lanes.picture, "film"), (lanes.sound, "sound")):
        if not lane.height():
            continue
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("surface"))
        painter.drawRect(lane)
        pixmap = theme.pixmap(icon, ICON, "muted", ratio)
        place = QPointF(lane.left() - gutter + 4, lane.center().y() - ICON / 2)
        painter.drawPixmap(place, pixmap)


def draw_frames(painter: QPainter, lane: QRectF, scale: TimeScale, facts: CoverageFacts) -> None:
    """Draw a mark for each frame: filled when the model has it, hollow while it will get it."""
    if not lane.height():
        return
    ink = theme.colour("picture")
    middle = lane.center().y()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for time_s in facts.frame_times_s:
        x = scale.x(time_s)
        if not lane.left() - MARK <= x <= lane.right() + MARK:
            continue
        painter.setPen(QPen(ink, 1.6))
        painter.drawLine(QLineF(x, lane.top() + 1, x, lane.bottom() - 1))
        painter.setBrush(ink if facts.known else theme.colour("surface"))
        box = QRectF(x - MARK / 2, middle - MARK / 2, MARK, MARK)
        painter.drawRoundedRect(box, 1.5, 1.5)
    if facts.known and not facts.frame_times_s:
        hatch(painter, lane, theme.colour("skipped", 0.6))


def draw_sound(painter: QPainter, lane: QRectF, scale: TimeScale, facts: CoverageFacts) -> None:
    """Draw bands over what was heard, hatching over what was not, the sound's shape in both."""
    if not lane.height():
        return
    if facts.has_sound is False:
        painter.setPen(theme.colour("muted"))
        words = translate("CoverageBar", "The clip has no sound")
        painter.drawText(lane, Qt.AlignmentFlag.AlignCenter, words)
        return
    heard = [_part(lane, scale, span) for span in facts.heard_s]
    missed = [_part(lane, scale, span) for span in facts.unheard_s]
    for part in heard:
        painter.fillRect(part, theme.colour("sound", 0.13))
    for part in missed:
        hatch(painter, part, theme.colour("skipped", 0.45))
    if facts.peaks is not None and len(facts.peaks):
        shape = waveform.outline(facts.peaks, facts.duration_s, scale, lane)
        waveform.draw(painter, shape, lane, theme.colour("skipped", 0.75))
        for part in heard:
            waveform.draw(painter, shape, part, theme.colour("sound"))
    for part in heard:
        painter.fillRect(QRectF(part.left(), part.top(), part.width(), 2), theme.colour("sound"))
        painter.fillRect(
            QRectF(part.left(), part.bottom() - 2, part.width(), 2), theme.colour("sound")
        )


def draw_words(painter: QPainter, lanes: Lanes, scale: TimeScale, facts: CoverageFacts) -> None:
    """Write over what the model did not get that it did not, where there is room."""
    if facts.known and facts.has_picture and not facts.frame_times_s:
        _label(painter, lanes.picture, translate("CoverageBar", "not seen"))
    for span in facts.unheard_s:
        part = _part(lanes.sound, scale, span)
        _label(painter, part, translate("CoverageBar", "not heard"))


def hatch(painter: QPainter, area: QRectF, ink: QColor) -> None:
    """Fill an area with slanting lines, equally far apart at every scale of the screen."""
    painter.save()
    painter.setClipRect(area, Qt.ClipOperation.IntersectClip)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(ink, 1))
    height = area.height()
    # From a common origin, so that neighbouring areas and repaints agree.
    x = (area.left() // HATCH) * HATCH - height
    while x < area.right():
        painter.drawLine(QLineF(x, area.bottom(), x + height, area.top()))
        x += HATCH
    painter.restore()


def draw_outside(painter: QPainter, lanes: Lanes, start: float, end: float) -> None:
    """Draw over what lies outside the chosen range, whose edges are at two pixels."""
    ink = theme.colour("skipped", 0.45)
    for lane in (lanes.picture, lanes.sound):
        left = QRectF(lane.left(), lane.top(), start - lane.left(), lane.height())
        right = QRectF(end, lane.top(), lane.right() - end, lane.height())
        for area in (left, right):
            if area.width() > 0 and area.height() > 0:
                painter.fillRect(area, theme.colour("window", 0.7))
                hatch(painter, area, ink)


def draw_edge(painter: QPainter, lanes: Lanes, x: float, active: bool) -> None:
    """Draw an edge of the range, with a grip; the active one is filled."""
    ink = theme.colour("accent")
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(ink, 2))
    painter.drawLine(QLineF(x, lanes.axis.bottom(), x, lanes.both.bottom()))
    grip = QRectF(x - 4, lanes.both.center().y() - 9, 8, 18)
    painter.setBrush(ink if active else theme.colour("raised"))
    painter.drawRoundedRect(grip, 3, 3)
    painter.setPen(QPen(theme.colour("on_accent" if active else "accent"), 1))
    for dy in (-3, 0, 3):
        middle = grip.center().y() + dy
        painter.drawLine(QLineF(x - 1.5, middle, x + 1.5, middle))


def draw_playhead(painter: QPainter, lanes: Lanes, x: float) -> None:
    """Draw where the player is."""
    ink = theme.colour("text")
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    top = lanes.axis.bottom()
    # A thin rim keeps it visible over marks and waves.
    painter.setPen(QPen(theme.colour("window", 0.8), 3.5))
    painter.drawLine(QLineF(x, top, x, lanes.both.bottom()))
    painter.setPen(QPen(ink, 1.6))
    painter.drawLine(QLineF(x, top - 2, x, lanes.both.bottom()))
    painter.setPen(QPen(theme.colour("window"), 1))
    painter.setBrush(ink)
    head = [(-5.5, -7), (5.5, -7), (5.5, -3), (0, 3), (-5.5, -3)]
    painter.drawPolygon(QPolygonF([QPointF(x + dx, top + dy) for dx, dy in head]))


def draw_hover(painter: QPainter, lanes: Lanes, x: float, label: str) -> None:
    """Draw where the pointer is, and its time over the axis."""
    painter.setPen(QPen(theme.colour("muted"), 1, Qt.PenStyle.DashLine))
    painter.drawLine(QLineF(x, lanes.axis.bottom(), x, lanes.both.bottom()))
    metrics = QFontMetricsF(painter.font())
    width = metrics.horizontalAdvance(label) + 12
    left = min(max(x - width / 2, 0.0), painter.viewport().width() - width)
    box = QRectF(left, lanes.axis.top(), width, metrics.height() + 2)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(theme.colour("outline"), 1))
    painter.setBrush(theme.colour("raised"))
    painter.drawRoundedRect(box, 4, 4)
    painter.setPen(theme.colour("text"))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, label)


def draw_overview(painter: QPainter, below: QRectF, scale: TimeScale, duration_s: float) -> None:
    """Draw which part of the clip is in view, when not all of it is."""
    painter.fillRect(below, theme.colour("border"))
    left = below.left() + scale.start_s / duration_s * below.width()
    width = max(scale.span_s / duration_s * below.width(), 6.0)
    painter.fillRect(QRectF(left, below.top(), width, below.height()), theme.colour("outline"))


def _part(lane: QRectF, scale: TimeScale, span: tuple[float, float]) -> QRectF:
    """The part of a lane that a span of time takes, at least two pixels, inside the lane."""
    left = min(max(scale.x(span[0]), lane.left()), lane.right())
    right = min(max(scale.x(span[1]), lane.left()), lane.right())
    visible = span[1] > scale.start_s and span[0] < scale.end_s
    width = max(right - left, 2.0) if visible else 0.0
    return QRectF(left, lane.top(), width, lane.height())


def _label(painter: QPainter, area: QRectF, words: str) -> None:
    """Write over an area, when it is wide enough to be read."""
    metrics = QFontMetricsF(painter.font())
    width = metrics.horizontalAdvance(words) + 12
    height = metrics.height()
    if area.width() < width + 8 or area.height() < height:
        return
    box = QRectF(area.center().x() - width / 2, area.center().y() - height / 2, width, height)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.colour("surface", 0.9))
    painter.drawRoundedRect(box, 4, 4)
    painter.setPen(theme.colour("muted"))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)
