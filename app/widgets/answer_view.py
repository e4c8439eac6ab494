"""A text as tall as its words: a question, or an answer in Markdown that grows while it is written.

Nothing that a text names is loaded, and a link is opened only after the user was shown where it
leads.
"""

import math
import time
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QEvent, QRectF, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QDesktopServices,
    QFocusEvent,
    QGuiApplication,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QMessageBox, QTextBrowser, QWidget

from app.widgets import theme
from app.widgets.markdown_blocks import Block, parse
from app.widgets.markdown_stream import MarkdownStream
from app.widgets.rich_text import BlockWriter
from app.widgets.text_decorations import Decoration, paint_decorations

# A batch waits this long for more text, and so many times as long as the last one took to show, up
# to a limit: a hugely long paragraph is painted less often instead of holding the window.
BATCH_MS, REST, MOST_MS = 30, 6, 250
_OPENABLE = ("http", "https", "mailto")
_HIDDEN = dict.fromkeys(
    map(ord, "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
)


class FlowText(QTextBrowser):
    """Read-only text without scroll bars of its own; its owner gives it width and height."""

    heightChanged = Signal()
    menuRequested = Signal(object)  # QPoint on the screen
    dragged = Signal(object)  # QPoint on the screen: the end of a selection that is being drawn
    caretMoved = Signal(object)  # QRect in this widget: where the keyboard moved to

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty."""
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setOpenLinks(False)
        self.setUndoRedoEnabled(False)
        self.setTabChangesFocus(True)
        self.setAcceptDrops(False)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextBrowserInteraction
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.document().setIndentWidth(22)
        self.viewport().setAutoFillBackground(False)
        self._rewriting = False
        self.anchorClicked.connect(self.ask_to_open)
        self.cursorPositionChanged.connect(self._follow_caret)
        theme.mark(self, "bare")

    def fit(self, width: int) -> int:
        """Take this width; return the height that shows every line."""
        self.ensurePolished()  # or a font that comes later changes what was measured
        if self.isVisible():
            if self.width() != width:
                self.resize(width, self.height())
        elif self.document().textWidth() != width:
            self.document().setTextWidth(width)
        return math.ceil(self.document().size().height())

    def ideal_width(self) -> int:
        """The width at which no line has to be broken."""
        self.document().setTextWidth(-1)
        return math.ceil(self.document().idealWidth()) + 1

    def loadResource(self, _kind: int, _name: QUrl | str, /) -> Any:
        """Load nothing, whatever a text names."""
        return None

    def ask_to_open(self, address: QUrl) -> None:
        """Show where a link leads, and open it in the browser only if the user says so."""
        shown = bytes(address.toEncoded().data()).decode("ascii", "replace").translate(_HIDDEN)
        box = QMessageBox(self.window())
        box.setIcon(QMessageBox.Icon.Question)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setWindowTitle(self.tr("Open a link?"))
        box.setText(self.tr("The model wrote this address; the program itself opens nothing."))
        box.setInformativeText(shown)
        copy = box.addButton(self.tr("Copy address"), QMessageBox.ButtonRole.ActionRole)
        opened = None
        if address.scheme().lower() in _OPENABLE:
            opened = box.addButton(self.tr("Open in browser"), QMessageBox.ButtonRole.AcceptRole)
        leave = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(leave)
        box.exec()
        if box.clickedButton() is copy:
            QGuiApplication.clipboard().setText(shown)
        elif opened is not None and box.clickedButton() is opened:
            QDesktopServices.openUrl(address)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The conversation scrolls, not one text of it."""
        event.ignore()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """A selection drawn beyond the edge scrolls the conversation."""
        super().mouseMoveEvent(event)
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.dragged.emit(event.globalPosition().toPoint())

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The menu belongs to the turn."""
        self.menuRequested.emit(event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Pages are the conversation's."""
        if event.key() in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            event.ignore()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the edge."""
        super().focusInEvent(event)
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Hide the edge."""
        super().focusOutEvent(event)
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """What lies beneath the text, the text, and an edge where the keyboard is."""
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.paint_beneath(painter, QRectF(event.rect()))
        painter.end()
        super().paintEvent(event)
        if self.hasFocus():
            painter = QPainter(self.viewport())
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(theme.colour("accent"), 2))
            painter.drawRoundedRect(QRectF(self.viewport().rect()).adjusted(1, 1, -1, -1), 8, 8)

    def paint_beneath(self, painter: QPainter, clip: QRectF) -> None:
        """Paint beneath the text; nothing here."""

    def _follow_caret(self) -> None:
        if self.hasFocus() and not self._rewriting:
            self.caretMoved.emit(self.cursorRect())


class QuestionView(FlowText):
    """What the user asked, as plain text in a bubble."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty."""
        super().__init__(parent)
        self.document().setDocumentMargin(9)

    def paint_beneath(self, painter: QPainter, clip: QRectF) -> None:
        """The bubble."""
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("selected"))
        painter.drawRoundedRect(QRectF(self.viewport().rect()), 10, 10)


class FailureView(FlowText):
    """Why there is no answer, in a box with a bar of the colour of errors."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty."""
        super().__init__(parent)
        self.document().setDocumentMargin(9)

    def paint_beneath(self, painter: QPainter, clip: QRectF) -> None:
        """The box."""
        area = QRectF(self.viewport().rect())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("error"))
        painter.drawRoundedRect(area, 6, 6)
        painter.setBrush(theme.colour("surface"))
        painter.drawRoundedRect(area.adjusted(4, 0, 0, 0), 4, 4)
        painter.setBrush(theme.colour("error", 0.12))
        painter.drawRoundedRect(area.adjusted(4, 0, 0, 0), 4, 4)


class AnswerView(FlowText):
    """What the model answered. The Markdown is `markdown`; it is shown in batches."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty."""
        super().__init__(parent)
        self.document().setDocumentMargin(6)
        self._writer = BlockWriter(self.document())
        self._stream = MarkdownStream()
        self._pieces: list[str] = []
        self._waiting: list[str] = []
        self._decorations: list[Decoration] = []
        self._batch = QTimer(self)
        self._batch.setSingleShot(True)
        self._batch.timeout.connect(self.flush)
        self._rest_ms = 0

    @property
    def markdown(self) -> str:
        """The answer as the model wrote it."""
        return "".join(self._pieces)

    @property
    def blocks(self) -> Sequence[Block]:
        """What is shown of it."""
        return self._writer.blocks

    def set_markdown(self, text: str) -> None:
        """Show a whole answer."""
        self.add(text)
        self.finish()

    def add(self, text: str) -> None:
        """Take more of the answer."""
        self._pieces.append(text)
        self._waiting.append(text)
        if not self._batch.isActive():
            first = not self._writer.blocks
            self._batch.start(0 if first else max(BATCH_MS, self._rest_ms))

    def finish(self) -> None:
        """Show what is left; nothing follows."""
        self._show(last=True)

    def flush(self) -> None:
        """Show what came since the last batch."""
        self._show(last=False)

    def _show(self, last: bool) -> None:
        self._batch.stop()
        began = time.thread_time()
        text, self._waiting = "".join(self._waiting), []
        segments = self._stream.feed(text)
        if last:
            segments += self._stream.finish()
        settled = [block for segment in segments for block in parse(segment)]
        tail = [] if last else parse(self._stream.tail())
        chosen = self._selection()
        self._rewriting = True
        changed = self._writer.show(settled, tail)
        if changed:
            self._restore(chosen)
        self._rewriting = False
        if changed:
            self._decorations = self._writer.decorations()
            self.heightChanged.emit()
            self.viewport().update()
        took_ms = (time.thread_time() - began) * 1000
        self._rest_ms = min(MOST_MS, round(took_ms * REST))

    def paint_beneath(self, painter: QPainter, clip: QRectF) -> None:
        """Panels, bars and rules."""
        paint_decorations(painter, self.document(), self._decorations, clip)

    def changeEvent(self, event: QEvent) -> None:
        """Links have a colour of the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_writer"):
            self._writer.restyle()

    def _selection(self) -> tuple[int, int]:
        cursor = self.textCursor()
        return cursor.anchor(), cursor.position()

    def _restore(self, chosen: tuple[int, int]) -> None:
        """A selection that reached into rewritten text is drawn again over the same characters."""
        cursor = self.textCursor()
        if chosen == (cursor.anchor(), cursor.position()):
            return
        end = self.document().characterCount() - 1
        cursor.setPosition(min(chosen[0], end))
        cursor.setPosition(min(chosen[1], end), cursor.MoveMode.KeepAnchor)
        self.setTextCursor(cursor)
