"""A field for a question that grows with its lines, and an earlier question being edited in it."""

from PySide6.QtCore import QEvent, QMimeData, QSize, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragMoveEvent,
    QFocusEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.widgets import theme

MAX_LINES = 6
_SENDING = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class QuestionEdit(QPlainTextEdit):
    """Enter sends, Shift+Enter begins a line; one to six lines high, then it scrolls."""

    submitted = Signal()
    escaped = Signal()
    upPressed = Signal()  # in an empty field
    mediaPasted = Signal()  # the clipboard holds files or a picture; it is left as it is

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty, one line high."""
        super().__init__(parent)
        self.takes_escape = False  # before a command of the window that has the same key
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.mark(self, "bare")
        self.document().documentLayout().documentSizeChanged.connect(self._grow)

    def question(self) -> str:
        """What is written, without space around it."""
        return self.toPlainText().strip()

    def sizeHint(self) -> QSize:
        """As high as the lines."""
        return QSize(120, self._height(self._lines()))

    def minimumSizeHint(self) -> QSize:
        """One line."""
        return QSize(80, self._height(1))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The keys that are no writing."""
        key, shift = event.key(), event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if key in _SENDING and not shift:
            self.submitted.emit()
        elif key in _SENDING:
            self.textCursor().insertBlock()
            self.ensureCursorVisible()
        elif key == Qt.Key.Key_Escape:
            self.escaped.emit()
            event.setAccepted(self.takes_escape)
        elif key == Qt.Key.Key_Up and not self.toPlainText():
            self.upPressed.emit()
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Claim the Esc key, if it is wanted here."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() == Qt.Key.Key_Escape
            and self.takes_escape
        ):
            event.accept()
            return True
        return super().event(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Text goes in here; clips are the window's."""
        return source.hasText() or source.hasUrls() or source.hasImage()

    def insertFromMimeData(self, source: QMimeData) -> None:
        """Insert text as it is; tell of a clip."""
        if source.hasUrls() or (source.hasImage() and not source.hasText()):
            self.mediaPasted.emit()
        else:
            super().insertFromMimeData(source)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Leave files to the window."""
        if event.mimeData().hasUrls():
            event.ignore()
        else:
            super().dragEnterEvent(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Leave files to the window."""
        if event.mimeData().hasUrls():
            event.ignore()
        else:
            super().dragMoveEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width breaks other lines."""
        super().resizeEvent(event)
        self._grow()

    def _lines(self) -> int:
        # A plain text document counts its height in lines.
        return max(1, round(self.document().size().height()))

    def _height(self, lines: int) -> int:
        margin = 2 * round(self.document().documentMargin())
        return min(lines, MAX_LINES) * self.fontMetrics().lineSpacing() + margin

    def _grow(self) -> None:
        lines = self._lines()
        height = self._height(lines)
        policy = Qt.ScrollBarPolicy
        self.setVerticalScrollBarPolicy(
            policy.ScrollBarAsNeeded if lines > MAX_LINES else policy.ScrollBarAlwaysOff
        )
        if self.height() != height or self.minimumHeight() != height:
            self.setFixedHeight(height)


class Field(QWidget):
    """The edge around a field and what belongs to it; its colour tells where the keyboard is."""

    def __init__(self, edit: QuestionEdit, parent: QWidget | None = None) -> None:
        """Watch a field that will stand inside."""
        super().__init__(parent)
        self._edit = edit
        edit.installEventFilter(self)

    def eventFilter(self, watched: object, event: object) -> bool:
        """Paint again when the keyboard comes or goes."""
        if isinstance(event, QFocusEvent):
            self.update()
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        """A rounded edge, thicker with the keyboard in it."""
        focused = self._edit.hasFocus()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.colour("accent" if focused else "outline"), 2 if focused else 1))
        painter.setBrush(theme.colour("surface"))
        painter.drawRoundedRect(self.rect().adjusted(1, 1, -1, -1), 10, 10)


class QuestionEditor(Field):
    """An earlier question being edited in its place."""

    submitted = Signal(str)
    cancelled = Signal()
    heightChanged = Signal()

    def __init__(self, question: str, following: int, parent: QWidget | None = None) -> None:
        """Begin with the question as it was.

        Args:
            question: what was asked.
            following: how many turns after it go away when it is sent.
            parent: where it stands.
        """
        self.edit = QuestionEdit()
        super().__init__(self.edit, parent)
        self.edit.setParent(self)
        self.edit.takes_escape = True
        self.edit.setPlainText(question)
        self.edit.selectAll()
        self.edit.setAccessibleName(self.tr("Edit the question"))
        self.edit.submitted.connect(self._submit)
        self.edit.escaped.connect(self.cancelled)
        self.edit.document().documentLayout().documentSizeChanged.connect(self.heightChanged)
        self.setFocusProxy(self.edit)
        send = QPushButton(self.tr("Ask again"), self)
        theme.mark(send, "primary")
        send.clicked.connect(self._submit)
        cancel = QPushButton(self.tr("Cancel"), self)
        cancel.clicked.connect(self.cancelled)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(send)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 10, 8)
        column.addWidget(self.edit)
        if following:
            warning = QLabel(self.tr("%n later question(s) will be removed.", "", following), self)
            warning.setWordWrap(True)
            theme.mark(warning, "muted")
            column.addWidget(warning)
        column.addLayout(buttons)

    def fit(self, width: int) -> int:
        """Take this width; return the height that it needs."""
        self.resize(width, self.height())
        layout = self.layout()
        assert layout is not None
        layout.activate()
        return max(layout.totalHeightForWidth(width), layout.totalMinimumSize().height())

    def _submit(self) -> None:
        if self.edit.question():
            self.submitted.emit(self.edit.question())
