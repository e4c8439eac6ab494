"""The invitation to open a clip: what is there before there is one."""

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.widgets import theme

_MARGIN = 16
_ICON = 64


class EmptyClip(QWidget):
    """A large target for drops (which the window takes), "Open…" and the demo clip."""

    openRequested = Signal()
    demoRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Ready."""
        super().__init__(parent)
        self._icon = QLabel()
        self._icon.setFixedSize(_ICON, _ICON)
        self.title = QLabel(self.tr("Drop a video, a picture or a sound here"))
        theme.mark(self.title, "title")
        self.words = QLabel(
            self.tr("Then ask about it in your own words. Nothing leaves this computer.")
        )
        theme.mark(self.words, "muted")
        for label in (self.title, self.words):
            label.setWordWrap(True)
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.open_button = QPushButton(self.tr("Open…"))
        self.open_button.setIcon(theme.icon("open", "on_accent"))
        theme.mark(self.open_button, "primary")
        self.open_button.clicked.connect(self.openRequested)
        self.demo_button = QPushButton(self.tr("Try the demo clip"))
        self.demo_button.setIcon(theme.icon("play"))
        self.demo_button.setAccessibleDescription(
            self.tr("Opens a short clip that came with this program")
        )
        self.demo_button.clicked.connect(self.demoRequested)
        self._lay_out()

    def buttons(self) -> tuple[QPushButton, QPushButton]:
        """Both buttons."""
        return (self.open_button, self.demo_button)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(10)
        buttons.addStretch()
        buttons.addWidget(self.open_button)
        buttons.addWidget(self.demo_button)
        buttons.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(_MARGIN + 24, _MARGIN + 16, _MARGIN + 24, _MARGIN + 16)
        column.addStretch(2)
        column.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addSpacing(12)
        column.addWidget(self.title)
        column.addSpacing(4)
        column.addWidget(self.words)
        column.addSpacing(18)
        column.addLayout(buttons)
        column.addStretch(3)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the target's edge."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        target = QRectF(self.rect()).adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        painter.setPen(QPen(theme.colour("outline"), 1.6, Qt.PenStyle.DashLine))
        painter.setBrush(theme.colour("surface"))
        painter.drawRoundedRect(target, 12, 12)
        picture = theme.pixmap("film", _ICON, "accent", self.devicePixelRatioF())
        painter.drawPixmap(self._icon.geometry().topLeft(), picture)
