"""The conversations so far: search, open, rename in place, delete with undo, export."""

import time
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QModelIndex, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QContextMenuEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.history import ConversationRow
from app.widgets import theme
from app.widgets.history_rows import ROW, HistoryRowDelegate, HistoryRows

SEARCH_AFTER_MS = 150
UNDO_STAYS_MS = 15_000


class HistoryPanel(QWidget):
    """Shows rows and tells what is wanted of them; who keeps the history does it."""

    opened = Signal(int)
    renamed = Signal(int, str)
    deleted = Signal(int)
    undone = Signal(int)
    searched = Signal(str)
    exportRequested = Signal(int, str)  # conversation, "markdown" or "json"

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make it, empty."""
        super().__init__(parent)
        self.setAccessibleName(self.tr("History"))
        self._gone: list[tuple[int, str]] = []  # deleted here, newest last: number and title
        self._model = HistoryRows(self)
        self._model.renamed.connect(self.renamed)
        self._menu = QMenu(self)
        self._actions: list[QAction] = []
        self._make_actions()
        self._build()

    def set_rows(self, rows: Sequence[ConversationRow]) -> None:
        """Show these conversations, newest first; the chosen one stays chosen."""
        chosen = self._chosen()
        scrolled = self.list.verticalScrollBar().value()
        self._model.set_rows(rows, time.time())
        if chosen is not None:
            self.set_current(chosen.id)
        self.list.verticalScrollBar().setValue(scrolled)
        searching = self.search.text().strip()
        self._empty.setText(
            self.tr("No conversation holds “{words}”.").format(words=searching)
            if searching
            else self.tr("No conversations yet. Open a clip and ask about it.")
        )
        self._empty.setVisible(not rows)
        self.list.setVisible(bool(rows))
        self._enable()

    def set_current(self, conversation: int | None) -> None:
        """Choose a conversation, without opening it."""
        row = None if conversation is None else self._model.place_of(conversation)
        index = QModelIndex() if row is None else self._model.index(row, 0)
        self.list.setCurrentIndex(index)

    def focus_search(self) -> None:
        """Put the keyboard into the search line."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Show the menu of a conversation, also by the menu key."""
        if watched is self.list and isinstance(event, QContextMenuEvent):
            index = self.list.indexAt(event.pos())
            if event.reason() == QContextMenuEvent.Reason.Keyboard:
                index = self.list.currentIndex()
            if self._model.row(index) is not None:
                self.list.setCurrentIndex(index)
                self._menu.popup(event.globalPos())
            return True
        return super().eventFilter(watched, event)

    def _build(self) -> None:
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(self.tr("Search conversations"))
        self.search.setAccessibleName(self.tr("Search conversations"))
        self.search.setAccessibleDescription(
            self.tr("Finds words in titles, questions, answers and names of clips.")
        )
        self.search.setClearButtonEnabled(True)
        place = QLineEdit.ActionPosition.LeadingPosition
        self.search.addAction(theme.icon("search", "muted"), place)
        self._wait = QTimer(self, singleShot=True, interval=SEARCH_AFTER_MS)
        self._wait.timeout.connect(lambda: self.searched.emit(self.search.text().strip()))
        self.search.textChanged.connect(self._search_soon)

        self.more = QToolButton(self)
        self.more.setIcon(theme.icon("more"))
        self.more.setToolTip(self.tr("Rename, export or delete the chosen conversation"))
        self.more.setAccessibleName(self.tr("Actions for the chosen conversation"))
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setMenu(self._menu)
        theme.mark(self.more, "flat")

        self.list = QListView(self)
        self.list.setModel(self._model)
        self.list.setItemDelegate(HistoryRowDelegate(self.list))
        self.list.setAccessibleName(self.tr("Conversations"))
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.viewport().setAutoFillBackground(False)
        self.list.setMouseTracking(True)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.installEventFilter(self)
        for action in self._actions:
            self.list.addAction(action)
        self.list.clicked.connect(self._open)
        self.list.activated.connect(self._open)
        self.list.selectionModel().currentChanged.connect(self._enable)

        self._empty = QLabel(self.tr("No conversations yet. Open a clip and ask about it."), self)
        self._empty.setWordWrap(True)
        self._empty.setTextFormat(Qt.TextFormat.PlainText)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter)
        self._empty.setContentsMargins(12, 24, 12, 12)
        theme.mark(self._empty, "muted")
        self.list.hide()

        top = QHBoxLayout()
        top.addWidget(self.search, 1)
        top.addWidget(self.more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(top)
        layout.addWidget(self.list, 1)
        layout.addWidget(self._empty, 1)
        layout.addWidget(self._make_undo_bar())
        self._enable()

    def _make_actions(self) -> None:
        self.open_action = self._action(self.tr("Open conversation"), "chat")
        self.open_action.triggered.connect(lambda: self._open(self.list.currentIndex()))
        self.rename_action = self._action(self.tr("Rename conversation"), "edit", Qt.Key.Key_F2)
        self.rename_action.triggered.connect(lambda: self.list.edit(self.list.currentIndex()))
        self.markdown_action = self._action(self.tr("Export conversation as Markdown…"), "export")
        self.markdown_action.triggered.connect(lambda: self._export("markdown"))
        self.json_action = self._action(self.tr("Export conversation as JSON…"), "export")
        self.json_action.triggered.connect(lambda: self._export("json"))
        delete = QKeySequence.StandardKey.Delete
        self.delete_action = self._action(self.tr("Delete conversation"), "trash", delete)
        self.delete_action.triggered.connect(self._delete)
        self.undo_action = self._action(
            self.tr("Undo deleting a conversation"), "undo", QKeySequence.StandardKey.Undo
        )
        self.undo_action.triggered.connect(self._undo)
        self._actions = [
            self.open_action,
            self.rename_action,
            self.markdown_action,
            self.json_action,
            self.delete_action,
            self.undo_action,
        ]
        self.addActions(self._actions)
        self._menu.addActions(self._actions[:4])
        self._menu.addSeparator()
        self._menu.addAction(self.delete_action)

    def _action(
        self, text: str, icon: str, key: Qt.Key | QKeySequence.StandardKey | None = None
    ) -> QAction:
        action = QAction(theme.icon(icon), text, self)
        if key is not None:
            action.setShortcut(QKeySequence(key))
        # Keys such as Delete belong to the list, not to the line beside it.
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        return action

    def _make_undo_bar(self) -> QWidget:
        self.undo_bar = QFrame(self)
        theme.mark(self.undo_bar, "card")
        self._gone_text = QLabel(self.undo_bar)
        self._gone_text.setTextFormat(Qt.TextFormat.PlainText)
        self._gone_text.setWordWrap(True)
        self.undo_button = QPushButton(theme.icon("undo"), self.tr("Undo"), self.undo_bar)
        self.undo_button.clicked.connect(self._undo)
        close = QToolButton(self.undo_bar)
        close.setIcon(theme.icon("close"))
        close.setAccessibleName(self.tr("Close"))
        close.setToolTip(self.tr("Close"))
        close.clicked.connect(self.undo_bar.hide)
        theme.mark(close, "flat")
        row = QHBoxLayout(self.undo_bar)
        row.setContentsMargins(8, 4, 4, 4)
        row.addWidget(self._gone_text, 1)
        row.addWidget(self.undo_button)
        row.addWidget(close)
        self._leave = QTimer(self, singleShot=True, interval=UNDO_STAYS_MS)
        self._leave.timeout.connect(self._leave_unless_used)
        self.undo_bar.hide()
        return self.undo_bar

    def _search_soon(self) -> None:
        self._wait.start()

    def _leave_unless_used(self) -> None:
        focus = self.focusWidget()
        used = self.undo_bar.underMouse() or (
            focus is not None and focus.hasFocus() and self.undo_bar.isAncestorOf(focus)
        )
        if used:
            self._leave.start()
        else:
            self.undo_bar.hide()

    def _chosen(self) -> ConversationRow | None:
        return self._model.row(self.list.currentIndex())

    def _enable(self) -> None:
        chosen = self._chosen() is not None
        for action in self._actions:
            action.setEnabled(chosen)
        self.undo_action.setEnabled(bool(self._gone))
        self.more.setEnabled(chosen)

    def _open(self, index: QModelIndex) -> None:
        row = index.data(ROW)
        if isinstance(row, ConversationRow):
            self.opened.emit(row.id)

    def _export(self, form: str) -> None:
        chosen = self._chosen()
        if chosen is not None:
            self.exportRequested.emit(chosen.id, form)

    def _delete(self) -> None:
        chosen = self._chosen()
        if chosen is None:
            return
        place = self.list.currentIndex().row()
        self._gone.append((chosen.id, chosen.title))
        self._model.drop(chosen.id)
        self._choose_near(place)
        self._show_gone()
        self.deleted.emit(chosen.id)

    def _undo(self) -> None:
        if not self._gone:
            return
        conversation, _ = self._gone.pop()
        self.undo_bar.hide()
        self.undone.emit(conversation)
        self.set_current(conversation)
        self._enable()
        self.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def _choose_near(self, place: int) -> None:
        for row in (*range(place, self._model.rowCount()), *range(place - 1, -1, -1)):
            index = self._model.index(row, 0)
            if self._model.row(index) is not None:
                self.list.setCurrentIndex(index)
                return

    def _show_gone(self) -> None:
        title = self._gone[-1][1]
        text = self.tr("Deleted “{title}”.").format(title=title)
        self._gone_text.setText(text)
        self.undo_button.setAccessibleDescription(text)
        self.undo_bar.show()
        self._leave.start()
        self._enable()
