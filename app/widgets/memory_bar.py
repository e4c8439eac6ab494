"""Memory needed against memory here, as a bar; the words beside it say the same."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.bundles import Memory
from app.widgets import theme

HEIGHT = 14


class MemoryBar(QWidget):
    """The computer's memory from left to right: in use by others, needed by the model, free.

    What is needed beyond what is here ends in a striped piece past the mark of all there is.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty until `set_sizes`."""
        super().__init__(parent)
        self._needed, self._memory = 0, Memory(None, None)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_sizes(self, needed_bytes: int, memory: Memory) -> None:
        """Show these."""
        self._needed, self._memory = needed_bytes, memory
        self.setVisible(bool(memory.total_bytes and memory.available_bytes is not None))
        self.update()

    def shares(self) -> tuple[float, float, float, float]:
        """Return the bar's pieces as shares of its width: others, needed, missing, the mark."""
        total = self._memory.total_bytes or 1
        others = total - min(total, self._memory.available_bytes or 0)
        whole = max(total, others + self._needed)
        fits = min(self._needed, total - others)
        return others / whole, fits / whole, (self._needed - fits) / whole, total / whole

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(160, HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it."""
        others, fits, missing, mark = self.shares()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        bar = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("sunken"))
        painter.drawRoundedRect(bar, 4, 4)
        painter.save()
        painter.setClipRect(bar)
        width = bar.width()
        begin = bar.left()
        painter.fillRect(_piece(bar, begin, others * width), theme.colour("outline", 0.45))
        begin += others * width
        painter.fillRect(_piece(bar, begin, max(2.0, fits * width)), theme.colour("accent"))
        begin += fits * width
        if missing:
            piece = _piece(bar, begin, missing * width)
            painter.fillRect(piece, theme.colour("error", 0.25))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.colour("error"), 2))
            painter.setClipRect(piece)
            for x in range(int(piece.left()) - HEIGHT, int(piece.right()), 7):
                painter.drawLine(x, HEIGHT, x + HEIGHT, 0)
            painter.setClipRect(bar)
            painter.setPen(QPen(theme.colour("text"), 2))
            painter.drawLine(round(mark * width), 0, round(mark * width), HEIGHT)
        painter.restore()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(theme.colour("outline"))
        painter.drawRoundedRect(bar, 4, 4)
        painter.end()


def _piece(bar: QRectF, begin: float, width: float) -> QRectF:
    return QRectF(begin, bar.top(), width, bar.height())
