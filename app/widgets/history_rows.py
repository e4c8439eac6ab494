"""The rows of the history: under headings by day, each with title, clip or snippet, and time."""

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractListModel,
    QDate,
    QDateTime,
    QLocale,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QFont, QPainter, QPen
from PySide6.QtWidgets import (
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.history import ConversationRow, SnippetRun
from app.widgets import theme
from app.widgets.found_text import draw_found

ROW = Qt.ItemDataRole.UserRole
PAD = 10

Index = QModelIndex | QPersistentModelIndex
Day = Literal["today", "yesterday", "week", "older"]
KIND_ICONS = {"video": "film", "image": "picture", "audio": "sound", "frames": "frames"}


def day_of(then: float, now: float) -> Day:
    """Return under which heading a time stands; both in seconds since 1970."""
    days = (
        datetime.date.fromtimestamp(now).toordinal() - datetime.date.fromtimestamp(then).toordinal()
    )
    if days <= 0:
        return "today"
    if days == 1:
        return "yesterday"
    return "week" if days <= 7 else "older"


class HistoryRows(QAbstractListModel):
    """Conversations and, between them, headings that cannot be chosen."""

    renamed = Signal(int, str)

    def __init__(self, parent: QObject) -> None:
        """Make it, empty."""
        super().__init__(parent)
        self._rows: list[ConversationRow | Day] = []
        self._now = 0.0

    def set_rows(self, rows: Sequence[ConversationRow], now: float) -> None:
        """Show these; the headings are as of `now` in seconds since 1970."""
        self.beginResetModel()
        self._now = now
        self._rows = []
        for row in rows:
            day = day_of(row.updated, now)
            if self._heading() != day:
                self._rows.append(day)
            self._rows.append(row)
        self.endResetModel()

    def drop(self, conversation: int) -> None:
        """Take one out, and its heading if nothing is left under it."""
        place = self.place_of(conversation)
        if place is None:
            return
        last = place + 1 == len(self._rows) or isinstance(self._rows[place + 1], str)
        first = place if not (last and isinstance(self._rows[place - 1], str)) else place - 1
        self.beginRemoveRows(QModelIndex(), first, place)
        del self._rows[first : place + 1]
        self.endRemoveRows()

    def place_of(self, conversation: int) -> int | None:
        """Return the row of a conversation."""
        for place, row in enumerate(self._rows):
            if isinstance(row, ConversationRow) and row.id == conversation:
                return place
        return None

    def row(self, index: Index) -> ConversationRow | None:
        """Return the conversation at an index; None for a heading."""
        row = self._rows[index.row()] if index.isValid() else None
        return row if isinstance(row, ConversationRow) else None

    def rowCount(self, parent: Index | None = None) -> int:
        """Return how many rows there are, headings among them."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Headings cannot be chosen."""
        if self.row(index) is None:
            return Qt.ItemFlag.NoItemFlags
        flag = Qt.ItemFlag
        return flag.ItemIsEnabled | flag.ItemIsSelectable | flag.ItemIsEditable

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return title or heading, what a screen reader says, or the row itself."""
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        if isinstance(row, str):
            shown = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole)
            return self._day_name(row) if role in shown else None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return row.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ", ".join(filter(None, (row.title, self.second_line(row), self.when(row))))
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(filter(None, (row.title, row.clip_name, self.when(row, long=True))))
        return row if role == ROW else None

    def setData(self, index: Index, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Rename, and tell of it; an empty or unchanged title is no renaming."""
        row = self.row(index)
        title = str(value).strip()
        if row is None or role != Qt.ItemDataRole.EditRole or title in ("", row.title):
            return False
        self._rows[index.row()] = replace(row, title=title)
        self.dataChanged.emit(index, index)
        self.renamed.emit(row.id, title)
        return True

    def second_line(self, row: ConversationRow) -> str:
        """Return the snippet of a search, else the clip and how many questions there are."""
        if row.snippet:
            return "".join(run.text for run in row.snippet)
        count = self.tr("%n question(s)", "", row.turns)
        return f"{row.clip_name} · {count}" if row.clip_name else count

    def when(self, row: ConversationRow, long: bool = False) -> str:
        """Return the time of the last word in as few words as are clear under its heading."""
        locale = QLocale()
        moment = QDateTime.fromSecsSinceEpoch(int(row.updated))
        if long:
            return locale.toString(moment, QLocale.FormatType.LongFormat)
        day = day_of(row.updated, self._now)
        if day in ("today", "yesterday"):
            return locale.toString(moment.time(), QLocale.FormatType.ShortFormat)
        if day == "week":
            return locale.dayName(moment.date().dayOfWeek(), QLocale.FormatType.ShortFormat)
        return locale.toString(QDate(moment.date()), QLocale.FormatType.ShortFormat)

    def _heading(self) -> Day | None:
        days = [row for row in self._rows if not isinstance(row, ConversationRow)]
        return days[-1] if days else None

    def _day_name(self, day: Day) -> str:
        names = {
            "today": self.tr("Today"),
            "yesterday": self.tr("Yesterday"),
            "week": self.tr("Last seven days"),
            "older": self.tr("Older"),
        }
        return names[day]


class HistoryRowDelegate(QStyledItemDelegate):
    """Draws a row as two lines and lets the title be edited in its place."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Two lines, or one for a heading."""
        height = option.fontMetrics.height()
        if index.data(ROW) is None:
            return QSize(80, height + 16)
        return QSize(80, 2 * height + 18)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw it."""
        row, model = index.data(ROW), index.model()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if isinstance(row, ConversationRow) and isinstance(model, HistoryRows):
            _draw_background(painter, option)
            _draw_row(painter, option, row, model)
        else:
            font = QFont(option.font)
            font.setWeight(QFont.Weight.DemiBold)
            painter.setFont(font)
            painter.setPen(theme.colour("muted"))
            area = option.rect.adjusted(PAD, 6, -PAD, 0)
            painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, str(index.data()))
        painter.restore()

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        """A line in the place of the title."""
        editor = QLineEdit(parent)
        editor.setMaxLength(200)
        editor.setAccessibleName(self.tr("New title"))
        return editor

    def updateEditorGeometry(
        self, editor: QWidget, option: QStyleOptionViewItem, index: Index
    ) -> None:
        """Over the first line, as wide as the row."""
        area = option.rect.adjusted(3, 2, -3, 0)
        area.setHeight(editor.sizeHint().height())
        editor.setGeometry(area)

    def setModelData(self, editor: QWidget, model: QAbstractItemModel, index: Index) -> None:
        """Give the new title to the model."""
        if isinstance(editor, QLineEdit):
            model.setData(index, editor.text())


def _draw_background(painter: QPainter, option: QStyleOptionViewItem) -> None:
    area = option.rect.adjusted(2, 1, -3, -2)
    state = option.state
    if state & QStyle.StateFlag.State_Selected:
        focused = bool(state & QStyle.StateFlag.State_HasFocus)
        pen = QPen(theme.colour("accent"), 2.0) if focused else QPen(theme.colour("accent", 0.5))
        painter.setPen(pen)
        painter.setBrush(theme.colour("selected"))
    elif state & QStyle.StateFlag.State_MouseOver:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.colour("hover"))
    else:
        return
    painter.drawRoundedRect(area, 6, 6)


def _draw_row(
    painter: QPainter, option: QStyleOptionViewItem, row: ConversationRow, model: HistoryRows
) -> None:
    metrics = option.fontMetrics
    area = option.rect.adjusted(PAD, 7, -PAD, 0)
    first = QRect(area.left(), area.top(), area.width(), metrics.height())
    second = first.translated(0, metrics.height() + 3)

    when = model.when(row)
    width = metrics.horizontalAdvance(when)
    painter.setPen(theme.colour("muted"))
    painter.drawText(first, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, when)
    painter.setPen(theme.colour("text"))
    room = first.width() - width - PAD
    title = metrics.elidedText(row.title, Qt.TextElideMode.ElideRight, room)
    painter.drawText(first, Qt.AlignmentFlag.AlignVCenter, title)
    if row.snippet:
        _draw_snippet(painter, option.font, second, row.snippet)
        return
    name = KIND_ICONS.get(row.kind or "")
    if name is not None:
        side = metrics.height() - 1
        theme.icon(name, "muted").paint(painter, QRect(second.left(), second.top(), side, side))
        second.setLeft(second.left() + side + 5)
    painter.setPen(theme.colour("muted"))
    text = metrics.elidedText(model.second_line(row), Qt.TextElideMode.ElideMiddle, second.width())
    painter.drawText(second, Qt.AlignmentFlag.AlignVCenter, text)


def _draw_snippet(
    painter: QPainter, font: QFont, area: QRect, snippet: Sequence[SnippetRun]
) -> None:
    text, found = "", list[int]()
    for run in snippet:
        piece = run.text.replace("\n", " ")
        if run.match:
            found += range(len(text), len(text) + len(piece))
        text += piece
    draw_found(painter, font, area, text, found)
