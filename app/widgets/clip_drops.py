"""Files that are dropped anywhere on the window, or pasted into it."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QObject, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
)
from PySide6.QtWidgets import QWidget

from app.clip_files import is_clip_name, pasted_path
from app.widgets.drop_overlay import DropOverlay


class ClipDrops(QObject):
    """Watches a window and those of its children that take drops or text themselves."""

    dropped = Signal(object)  # list[Path], at least one

    def __init__(self, window: QWidget) -> None:
        """Make the window take files.

        Args:
            window: the window, with all its children made.
        """
        super().__init__(window)
        self._window = window
        self._overlay = DropOverlay(window)
        window.setAcceptDrops(True)
        window.installEventFilter(self)

    def watch(self, widgets: Sequence[QWidget]) -> None:
        """Watch these as well: they would keep a drop, or a pasted file, to themselves."""
        for widget in widgets:
            widget.installEventFilter(self)

    def paste(self) -> bool:
        """Open what lies on the clipboard, if it is a file or the path of one."""
        mime = _on_clipboard()
        path = None if mime.hasUrls() else pasted_path(mime.text())
        paths = local_files(mime) or ([] if path is None else [path])
        if paths:
            self.dropped.emit(paths)
        return bool(paths)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take files out of the hands of whatever they fall on."""
        kind = event.type()
        if kind == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            return self._pasted(event)
        if isinstance(event, QDropEvent):  # the kind of all three
            return self._dragged(event)
        if kind == QEvent.Type.DragLeave:
            self._overlay.hide()
        elif kind == QEvent.Type.Resize and watched is self._window:
            self._overlay.setGeometry(self._window.rect())
        return False

    def _dragged(self, event: QDropEvent) -> bool:
        files = local_files(event.mimeData())
        if not files:
            return False
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        if isinstance(event, QDragEnterEvent):
            self._overlay.show_for(files[0].name)
        elif not isinstance(event, QDragMoveEvent):
            self._overlay.hide()
            self.dropped.emit(files)
        return True

    def _pasted(self, event: QKeyEvent) -> bool:
        if not event.matches(QKeySequence.StandardKey.Paste):
            return False
        mime = _on_clipboard()
        path = pasted_path(mime.text()) if mime.hasText() else None
        # A path in the middle of a question is text; the name of a clip alone is a clip.
        if local_files(mime) or (path is not None and is_clip_name(path)):
            return self.paste()
        return False


def _on_clipboard() -> QMimeData:
    # Null when nothing was ever copied, whatever the annotation says.
    found: QMimeData | None = QGuiApplication.clipboard().mimeData()
    return QMimeData() if found is None else found


def local_files(mime: QMimeData) -> list[Path]:
    """The files of this computer that a drop or the clipboard names."""
    return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
