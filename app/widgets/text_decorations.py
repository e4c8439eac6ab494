"""What is painted beneath a text: panels under code, bars beside quotes, rules."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QTextDocument

from app.widgets import theme

_LOOK_BACK = 6  # decorations that can belong to one block: levels of quotes, and code


@dataclass(frozen=True)
class Decoration:
    """A run of blocks that is painted alike.

    Attributes:
        kind: "code", "quote" or "rule".
        start: place of its first block in the document, in characters.
        end: place of its last block.
        left: of what is painted, in pixels from the text's left edge.
        block: index of its last block.
    """

    kind: str
    start: int
    end: int
    left: float
    block: int = 0


def join(deco: Decoration, index: int, above: list[Decoration]) -> None:
    """Neighbouring lines of code are one panel, neighbouring paragraphs of a quote one bar."""
    for place in range(len(above) - 1, max(-1, len(above) - 1 - _LOOK_BACK), -1):
        other = above[place]
        if (other.kind, other.left, other.block) == (deco.kind, deco.left, index - 1):
            above[place] = replace(other, end=deco.end, block=index)
            return
    above.append(replace(deco, block=index))


def paint_decorations(
    painter: QPainter, document: QTextDocument, decorations: Sequence[Decoration], clip: QRectF
) -> None:
    """Paint panels under code, bars beside quotes, and rules.

    Args:
        painter: at the document's own place.
        document: laid out.
        decorations: in order; neighbours of one kind are joined.
        clip: what needs painting.
    """
    layout = document.documentLayout()
    margin = document.documentMargin()
    width = document.textWidth() - 2 * margin
    for deco in decorations:
        first = layout.blockBoundingRect(document.findBlock(deco.start))
        if first.top() > clip.bottom():
            continue
        last = layout.blockBoundingRect(document.findBlock(deco.end))
        if last.bottom() < clip.top():
            continue
        area = QRectF(margin + deco.left, first.top(), width - deco.left, 0)
        area.setBottom(last.bottom())
        _paint_decoration(painter, deco.kind, area)


def _paint_decoration(painter: QPainter, kind: str, area: QRectF) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    if kind == "code":
        painter.setPen(theme.colour("border"))
        painter.setBrush(theme.colour("sunken"))
        painter.drawRoundedRect(area.adjusted(0.5, -6, -0.5, 6), 6, 6)
    elif kind == "quote":
        painter.setBrush(theme.colour("outline"))
        painter.drawRoundedRect(QRectF(area.left(), area.top(), 3, area.height()), 1.5, 1.5)
    else:
        painter.setBrush(theme.colour("border"))
        painter.drawRect(QRectF(area.left(), area.center().y(), area.width(), 1))
