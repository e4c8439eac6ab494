"""Text drawn in rows: what a search found in it stands out; keys look like keys."""

from collections.abc import Sequence

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QTextCharFormat, QTextLayout

from app.widgets import theme


def draw_found(
    painter: QPainter,
    font: QFont,
    area: QRect,
    text: str,
    positions: Sequence[int],
    muted: int = 0,
) -> None:
    """Write one line with the letters at `positions` bold and underlined.

    The first `muted` letters are in the second colour of text.
    """
    shown = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, area.width())
    layout = QTextLayout(shown, font)
    formats = []
    if muted:
        formats.append(_format(0, muted, "muted", bold=False))
    for place in positions:
        if place < len(shown):
            formats.append(_format(place, 1, "text", bold=True))
    layout.setFormats(formats)
    layout.beginLayout()
    line = layout.createLine()
    line.setLineWidth(area.width() * 2)
    layout.endLayout()
    top = area.top() + (area.height() - line.height()) / 2
    painter.setPen(theme.colour("text"))
    layout.draw(painter, QPoint(area.left(), round(top)))


def draw_keys(painter: QPainter, font: QFont, area: QRect, keys: str) -> int:
    """Draw a shortcut as a key at the right end of an area; returns where it begins."""
    metrics = QFontMetrics(font)
    width = metrics.horizontalAdvance(keys) + 12
    key = QRect(area.right() - width, area.center().y() - metrics.height() // 2, width, 0)
    key.setHeight(metrics.height() + 2)
    painter.setPen(theme.colour("outline"))
    painter.setBrush(theme.colour("sunken"))
    painter.drawRoundedRect(key, 4, 4)
    painter.setPen(theme.colour("muted"))
    painter.drawText(key, Qt.AlignmentFlag.AlignCenter, keys)
    return key.left()


def _format(start: int, length: int, role: str, *, bold: bool) -> QTextLayout.FormatRange:
    result = QTextLayout.FormatRange()
    result.start, result.length = start, length
    letters = QTextCharFormat()
    letters.setForeground(theme.colour(role))
    if bold:
        letters.setFontWeight(QFont.Weight.Bold)
        letters.setFontUnderline(True)
    result.format = letters
    return result
