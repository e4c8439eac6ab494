"""Ctrl+Shift+P: every command of the window, found by a few letters, by keyboard alone.

The commands are the window's `QAction`s. The heading a command stands under, such as "Player", is
its property `GROUP`, set by `put_under`.
"""

from collections.abc import Callable, Iterable, Sequence

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
)
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QAction,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPen,
)
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QLabel,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.widgets import theme
from app.widgets.found_text import draw_found, draw_keys
from app.widgets.fuzzy import Match, match

GROUP = "commandGroup"
WIDTH, HEIGHT = 620, 420
PAD = 10

_ACTION = Qt.ItemDataRole.UserRole
_MATCH = Qt.ItemDataRole.UserRole + 1

Index = QModelIndex | QPersistentModelIndex


def put_under(heading: str, actions: Iterable[QAction]) -> None:
    """Set the heading under which palette and shortcut sheet show these commands."""
    for action in actions:
        action.setProperty(GROUP, heading)


def command_name(action: QAction) -> str:
    """Return what a command is called: its text without mnemonic and dots."""
    text = action.text().replace("&&", "\0").replace("&", "").replace("\0", "&")
    return text.removesuffix("…").removesuffix("...").strip()


def full_name(action: QAction) -> str:
    """Return heading and name, as in "Player: Step forward"."""
    heading = action.property(GROUP)
    return f"{heading}: {command_name(action)}" if heading else command_name(action)


def key_names(action: QAction) -> list[str]:
    """Return the command's shortcuts as the platform writes them."""
    native = QKeySequence.SequenceFormat.NativeText
    return [sequence.toString(native) for sequence in action.shortcuts() if not sequence.isEmpty()]


class CommandPalette(QFrame):
    """The list of commands over the window; `open` shows it, Enter runs, Esc closes."""

    def __init__(
        self, commands: Sequence[QAction] | Callable[[], Iterable[QAction]], parent: QWidget
    ) -> None:
        """Make it, hidden.

        Args:
            commands: The actions, or a function that collects them anew at each `open`.
            parent: The window it belongs to.
        """
        super().__init__(parent, Qt.WindowType.Popup)
        self._window = parent
        self._commands = commands
        self._lately: list[QAction] = []
        self._before: QWidget | None = None
        self._highest = HEIGHT
        self.setObjectName("commandPalette")
        self.setProperty("kind", "popup")
        self.setAccessibleName(self.tr("Command palette"))

        self.search = QLineEdit(self)
        self.search.setPlaceholderText(self.tr("Type a command"))
        self.search.setAccessibleName(self.tr("Search commands"))
        self.search.setAccessibleDescription(
            self.tr("Up and Down choose a command, Enter runs it, Escape closes the list.")
        )
        self.search.addAction(
            theme.icon("search", "muted"), QLineEdit.ActionPosition.LeadingPosition
        )
        self.search.installEventFilter(self)
        self.search.textChanged.connect(self._filter)

        self._model = _Commands(self)
        self.list = QListView(self)
        self.list.setModel(self._model)
        self.list.setItemDelegate(_CommandRow(self.list))
        self.list.setAccessibleName(self.tr("Commands"))
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setUniformItemSizes(True)
        self.list.setMouseTracking(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.clicked.connect(self._run)
        self.list.entered.connect(self.list.setCurrentIndex)
        self._nothing = QLabel(self.tr("No command fits."), self)
        self._nothing.setProperty("kind", "muted")
        self._nothing.setContentsMargins(PAD, PAD, PAD, PAD)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self.search)
        layout.addWidget(self.list)
        layout.addWidget(self._nothing)

    def open(self) -> None:
        """Show it over the upper middle of the window, with an empty search."""
        commands = self._commands() if callable(self._commands) else self._commands
        usable = [one for one in dict.fromkeys(commands) if _usable(one)]
        order = {action: number for number, action in enumerate(self._lately)}
        usable.sort(key=lambda action: order.get(action, len(order)))
        self._model.offer(usable)
        window = self._window.window()
        self._before = window.focusWidget()
        width = max(260, min(WIDTH, window.width() - 32))
        self._highest = min(HEIGHT, max(180, window.height() - 64))
        self.setFixedWidth(width)
        corner = QPoint((window.width() - width) // 2, max(16, window.height() // 10))
        self.move(window.mapToGlobal(corner))
        self.search.clear()
        self._filter("")
        self.show()
        self.search.setFocus(Qt.FocusReason.PopupFocusReason)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let the keys that move the choice through from the search line."""
        if watched is self.search and isinstance(event, QKeyEvent):
            if not self.isVisible():
                return self._hand_on(event)
            if event.type() == QEvent.Type.KeyPress:
                return self._key(event)
        return super().eventFilter(watched, event)

    def _hand_on(self, event: QKeyEvent) -> bool:
        """A key that was pressed before the system knew that the palette has gone."""
        meant = QApplication.focusWidget() or self._window.window().focusWidget()
        if meant is not None and meant is not self.search:
            QApplication.sendEvent(meant, event)
        return True

    def _key(self, event: QKeyEvent) -> bool:
        key, count = event.key(), self._model.rowCount()
        row = self.list.currentIndex().row()
        page = max(1, self.list.viewport().height() // max(1, self.list.sizeHintForRow(0)) - 1)
        moves = {
            Qt.Key.Key_Down: (row + 1) % max(1, count),
            Qt.Key.Key_Up: (row - 1) % max(1, count),
            Qt.Key.Key_PageDown: min(row + page, count - 1),
            Qt.Key.Key_PageUp: max(row - page, 0),
        }
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._run(self.list.currentIndex())
        elif key == Qt.Key.Key_Escape:
            self.hide()
        elif key in moves:
            self._choose(moves[Qt.Key(key)])
        else:
            return False
        return True

    def _filter(self, query: str) -> None:
        self._model.filter(query)
        empty = self._model.rowCount() == 0
        self._nothing.setVisible(empty)
        self.list.setVisible(not empty)
        rows = self._model.rowCount() * max(1, self.list.sizeHintForRow(0))
        room = self._highest - self.search.sizeHint().height() - 3 * PAD
        self.list.setFixedHeight(min(rows + 4, room))
        self.setFixedHeight(self.sizeHint().height())
        self._choose(0)

    def _choose(self, row: int) -> None:
        index = self._model.index(row, 0)
        self.list.setCurrentIndex(index)
        if index.isValid() and self.isVisible():
            # The keyboard stays in the search line, so the choice is said aloud.
            said = str(index.data(Qt.ItemDataRole.AccessibleTextRole))
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self.search, said))

    def _run(self, index: Index) -> None:
        action = index.data(_ACTION)
        # Not closed: that would drop the keys that are on their way to it already.
        self.hide()
        if isinstance(action, QAction):
            self._lately = [action, *(one for one in self._lately if one is not action)]
            # Commands may mean the widget that had the keyboard, such as "copy".
            if self._before is not None:
                self._before.setFocus(Qt.FocusReason.PopupFocusReason)
            action.trigger()


def _usable(action: QAction) -> bool:
    named = bool(command_name(action)) and not action.isSeparator() and action.menu() is None
    return named and action.isEnabled() and action.isVisible()


class _Commands(QAbstractListModel):
    """The commands that fit, best first."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._all: list[QAction] = []
        self._rows: list[tuple[QAction, Match]] = []

    def offer(self, actions: list[QAction]) -> None:
        self._all = actions

    def filter(self, query: str) -> None:
        found = [(one, match(query, full_name(one))) for one in self._all]
        fitting = [(one, fit) for one, fit in found if fit is not None]
        if query.strip():  # Of those that fit as well, the one with less beside it.
            fitting.sort(key=lambda row: (-row[1].score, len(full_name(row[0]))))
        self.beginResetModel()
        self._rows = fitting
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        action, fit = self._rows[index.row()]
        values: dict[int, object] = {
            Qt.ItemDataRole.DisplayRole: full_name(action),
            Qt.ItemDataRole.AccessibleTextRole: ", ".join([full_name(action), *key_names(action)]),
            Qt.ItemDataRole.ToolTipRole: action.statusTip() or None,
            _ACTION: action,
            _MATCH: fit,
        }
        return values.get(role)


class _CommandRow(QStyledItemDelegate):
    """Icon, name with the letters found in bold, shortcut as keys on the right."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(100, option.fontMetrics.height() + 14)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        action, fit = index.data(_ACTION), index.data(_MATCH)
        area = option.rect.adjusted(2, 1, -2, -1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(QPen(theme.colour("accent"), 1.0))
            painter.setBrush(theme.colour("selected"))
            painter.drawRoundedRect(area.adjusted(0, 0, -1, -1), 5, 5)
        area = area.adjusted(PAD, 0, -PAD, 0)
        side = option.fontMetrics.height()
        if not action.icon().isNull():
            place = QRect(area.left(), area.center().y() - side // 2, side, side)
            action.icon().paint(painter, place)
        area.setLeft(area.left() + side + PAD)
        for keys in reversed(key_names(action)[:1]):
            area.setRight(draw_keys(painter, option.font, area, keys) - PAD)
        heading = len(full_name(action)) - len(command_name(action))
        draw_found(painter, option.font, area, full_name(action), fit.positions, heading)
        painter.restore()
