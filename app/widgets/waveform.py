"""The shape of a sound, drawn from its least and largest samples."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPolygonF

from app.widgets.time_axis import TimeScale

# A sound no louder than this is drawn small: silence must not look like speech.
QUIETEST_FULL_SCALE = 0.1
SHARE_OF_HEIGHT = 0.92


def columns(
    peaks: NDArray[np.float32], duration_s: float, scale: TimeScale, count: int
) -> NDArray[np.float32]:
    """Least and largest sample of `count` equal stretches of the view.

    Args:
        peaks: float32 (bins, 2), equal stretches from 0 to `duration_s`.
        duration_s: The sound's length.
        scale: The view; the part after `duration_s` repeats the last stretch.
        count: Columns wanted.

    Returns:
        float32 (count, 2).
    """
    bins = len(peaks)
    edges = np.linspace(scale.start_s, scale.end_s, count + 1) / max(duration_s, 1e-6) * bins
    at = np.clip(np.floor(edges + 1e-9).astype(np.int64), 0, bins - 1)
    # A column narrower than a bin shows that bin: so does `reduceat` where two edges are equal.
    part = peaks[: max(int(at[-1]), int(at[-2]) + 1)]
    low = np.minimum.reduceat(part[:, 0], at[:-1])
    high = np.maximum.reduceat(part[:, 1], at[:-1])
    return np.stack([low, high], axis=1).astype(np.float32)


def outline(
    peaks: NDArray[np.float32], duration_s: float, scale: TimeScale, lane: QRectF
) -> QPolygonF:
    """The sound's shape in a lane, as loud as the loudest of it fills the lane."""
    count = max(round(scale.width), 2)
    parts = columns(peaks, duration_s, scale, count)
    loudest = max(float(np.abs(peaks).max(initial=0.0)), QUIETEST_FULL_SCALE)
    half = lane.height() / 2 * SHARE_OF_HEIGHT
    low = np.minimum(parts[:, 0] / loudest, 0.0) * half
    high = np.maximum(parts[:, 1] / loudest, 0.0) * half
    middle = lane.center().y()
    x = scale.left + (np.arange(count) + 0.5) * scale.width / count
    # A line of a pixel where it is silent.
    top = [QPointF(a, middle - max(b, 0.5)) for a, b in zip(x, high, strict=True)]
    bottom = [QPointF(a, middle + max(-b, 0.5)) for a, b in zip(x, low, strict=True)]
    return QPolygonF(top + bottom[::-1])


def draw(painter: QPainter, shape: QPolygonF, clip: QRectF, ink: QColor) -> None:
    """Draw what lies inside `clip` of a shape."""
    painter.save()
    painter.setClipRect(clip, Qt.ClipOperation.IntersectClip)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink)
    painter.drawPolygon(shape)
    painter.restore()
