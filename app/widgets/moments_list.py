"""The log of moments at which a standing question came true: time, picture, clip."""

from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QWidget

from app.widgets import theme
from app.widgets.live_watch import Kept
from app.widgets.plain_tip import plain_tip

MOST = 200
ICON = QSize(72, 40)
ROWS_SHOWN = 3
_PATH = Qt.ItemDataRole.UserRole


class MomentsList(QListWidget):
    """The newest first; Enter or a double click opens a moment's clip. Hidden while empty."""

    openRequested = Signal(Path)

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty."""
        super().__init__(parent)
        self.setAccessibleName(self.tr("Moments"))
        self.setAccessibleDescription(self.tr("Enter opens a moment’s clip."))
        self.setIconSize(ICON)
        self.setUniformItemSizes(True)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemActivated.connect(self._open)
        self.hide()

    def add(self, kept: Kept) -> None:
        """Put a moment on top; the oldest go."""
        item = QListWidgetItem(
            self.tr("{time}  {question}  {answer}").format(
                time=f"{kept.when:%H:%M:%S}", question=kept.question, answer=kept.answer
            )
        )
        item.setIcon(theme.icon("microphone"))
        if not kept.picture.isNull():
            item.setIcon(QIcon(QPixmap.fromImage(kept.picture)))
        item.setData(_PATH, kept.path)
        item.setToolTip(plain_tip(str(kept.path) if kept.path is not None else kept.problem))
        item.setSizeHint(QSize(0, ICON.height() + 6))
        self.insertItem(0, item)
        rows = min(self.count(), ROWS_SHOWN)
        self.setFixedHeight(rows * (ICON.height() + 6) + 10)
        while self.count() > MOST:
            self.takeItem(self.count() - 1)
        if self.currentRow() < 0:
            self.setCurrentRow(0)
        self.show()

    def path(self, row: int) -> Path | None:
        """A moment's clip."""
        found = self.item(row).data(_PATH)
        return found if isinstance(found, Path) else None

    def open_current(self) -> None:
        """Open the chosen moment's clip."""
        if self.currentItem() is not None:
            self._open(self.currentItem())

    def _open(self, item: QListWidgetItem) -> None:
        path = item.data(_PATH)
        if isinstance(path, Path):
            self.openRequested.emit(path)
