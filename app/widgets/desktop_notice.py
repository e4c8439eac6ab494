"""A message of the desktop, where the desktop has a tray to show it from."""

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QSystemTrayIcon

SHOWN_MS = 10_000


class DesktopNotice(QObject):
    """Its icon is in the tray from the first message until `withdraw`."""

    clicked = Signal(Path)  # the file that the message was about

    def __init__(self, parent: QObject | None = None) -> None:
        """No icon yet."""
        super().__init__(parent)
        self._icon: QSystemTrayIcon | None = None
        self._path: Path | None = None

    def tell(self, title: str, text: str, path: Path | None) -> bool:
        """Show a message; False where the desktop shows none."""
        if not QSystemTrayIcon.isSystemTrayAvailable() or not QSystemTrayIcon.supportsMessages():
            return False
        if self._icon is None:
            self._icon = QSystemTrayIcon(QGuiApplication.windowIcon(), self)
            self._icon.messageClicked.connect(self._open)
        self._path = path
        self._icon.show()
        self._icon.showMessage(title, text, QSystemTrayIcon.MessageIcon.Information, SHOWN_MS)
        return True

    def withdraw(self) -> None:
        """Take the icon out of the tray."""
        if self._icon is not None:
            self._icon.hide()

    def _open(self) -> None:
        if self._path is not None:
            self.clicked.emit(self._path)
