"""How loud the microphone is: a bar, and a word and a sign for silence and for too loud."""

from typing import Literal

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from app.widgets import theme
from app.widgets.labels import picture, text_label

# What the bar shows, dB below full scale.
LOWEST_DB = -60.0
# Below this nothing is heard; above the other, samples are about to be cut off.
SILENT_DB, LOUD_DB = -55.0, -3.0

Loudness = Literal["off", "silent", "good", "loud"]


def loudness(level_db: float) -> Loudness:
    """What a level is called."""
    if level_db < SILENT_DB:
        return "silent"
    return "loud" if level_db > LOUD_DB else "good"


class LevelMeter(QWidget):
    """A sign, the bar, and a word."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Off."""
        super().__init__(parent)
        self.setAccessibleName(self.tr("Loudness of the microphone"))
        self._icon = picture("muted", "muted")
        self._bar = _Bar()
        self._word = text_label("", "muted")
        self._word.setWordWrap(False)
        self._word.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._icon)
        row.addWidget(self._bar, 1)
        row.addWidget(self._word)
        self._words: dict[Loudness, tuple[str, str, str]] = {
            "off": (self.tr("off"), "muted", "muted"),
            "silent": (self.tr("silent"), "muted", "text"),
            "good": (self.tr("heard"), "volume", "text"),
            "loud": (self.tr("too loud"), "warning", "warning"),
        }
        metrics = self._word.fontMetrics()
        widest = max(metrics.horizontalAdvance(word) for word, _, _ in self._words.values())
        self._word.setFixedWidth(widest + 4)
        self.now: Loudness = "good"
        self.set_level(None)

    def set_level(self, level_db: float | None) -> None:
        """Show a level, dB from -90 to 0; None where there is no microphone."""
        self._bar.set_level(LOWEST_DB if level_db is None else level_db)
        now: Loudness = "off" if level_db is None else loudness(level_db)
        if now != self.now:
            self.now = now
            word, icon, role = self._words[now]
            self._word.setText(word)
            self._icon.show_icon(icon, role)
            self.setAccessibleDescription(word)


class _Bar(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._level_db = LOWEST_DB
        self.setMinimumWidth(80)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(200, 14)

    def set_level(self, level_db: float) -> None:
        if level_db != self._level_db:
            self._level_db = level_db
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The trough, the level, and a line where too loud begins."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        room = QRectF(self.rect()).adjusted(0.5, 2.5, -0.5, -2.5)
        painter.setPen(QPen(theme.colour("outline"), 1))
        painter.setBrush(theme.colour("sunken"))
        painter.drawRoundedRect(room, 3, 3)
        share = min(max(1 - self._level_db / LOWEST_DB, 0.0), 1.0)
        filled = QRectF(room.left(), room.top(), room.width() * share, room.height())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("warning" if self._level_db > LOUD_DB else "sound"))
        if share > 0:
            painter.drawRoundedRect(filled.adjusted(1, 1, -1, -1), 2, 2)
        x = room.left() + room.width() * (1 - LOUD_DB / LOWEST_DB)
        painter.setPen(QPen(theme.colour("text"), 1))
        painter.drawLine(round(x), round(room.top()) - 1, round(x), round(room.bottom()) + 1)
