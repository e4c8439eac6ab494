"""The turns of a conversation, one under the other, however many there are.

Only turns near what is seen have widgets: those in sight at once, those about to come into sight in
idle moments; far ones are dropped again. The height of others is remembered, or guessed until they
come near; what the reader looks at stays where it is meanwhile. Text that comes at the end is
followed only while the reader is at the end.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, cast

from PySide6.QtCore import QEvent, QPoint, QRect, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QApplication, QFrame, QScrollArea, QToolButton, QWidget

from app.conversation import Turn
from app.records import TurnStatus
from app.widgets import theme
from app.widgets.turn_rows import Row, Rows, guessed_height
from app.widgets.turn_view import TurnView

MARGIN, BETWEEN, MAX_WIDTH = 14, 18, 760
# Idle work holds the window for no longer than this at a time.
IDLE_S = 0.006
# In heights of what is seen: how far beyond it turns are made, and how far away they are dropped.
AHEAD, FAR = 1.0, 4.0
_NEAR_END = 12


class Transcript(QScrollArea):
    """A list of turns that scrolls."""

    regenerateRequested = Signal(int)
    editRequested = Signal(int, str)
    editEnded = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        """Empty."""
        super().__init__(parent)
        self._rows = Rows()
        self._current: Row | None = None
        self._at_end, self._placing = True, False
        self._content = QWidget()
        self._content.setAccessibleName(self.tr("Conversation"))
        self.setWidget(self._content)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.viewport().setAutoFillBackground(False)
        self._content.setAutoFillBackground(False)
        self.verticalScrollBar().valueChanged.connect(self._scrolled)
        self.verticalScrollBar().setSingleStep(24)
        self._idle = QTimer(self)
        self._idle.setInterval(0)
        self._idle.timeout.connect(self._work)
        self._to_end = QToolButton(self)
        self._to_end.setIcon(theme.icon("chevron-down"))
        self._to_end.setToolTip(self.tr("Scroll to the end"))
        self._to_end.setAccessibleName(self.tr("Scroll to the end"))
        self._to_end.clicked.connect(self.scroll_to_end)
        self._to_end.hide()
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.connect(self._focus_moved)

    def views(self) -> list[TurnView]:
        """The turns that have widgets now, in order."""
        return [row.view for row in self._rows if row.view is not None]

    @property
    def settled(self) -> bool:
        """Whether nothing is left for idle moments."""
        return not self._idle.isActive()

    @property
    def at_end(self) -> bool:
        """Whether text that comes is followed."""
        return self._at_end

    def set_turns(self, turns: Iterable[Turn]) -> None:
        """Show these turns instead, scrolled to the end."""
        self._drop(0)
        for turn in turns:
            self._add(turn)
        self._at_end = True
        self._set_current(self._rows[-1] if self._rows else None)
        self._count_following()
        self._settle_seen()

    def append(self, turn: Turn) -> TurnView:
        """Show one more turn, and scroll to it."""
        row = self._add(turn)
        view = self._make(row)
        self._set_current(row)
        self._count_following()
        self.scroll_to_end()
        return view

    def keep(self, turn_ids: Iterable[int]) -> None:
        """Take away every turn that is not among these, and all after it."""
        kept = set(turn_ids)
        gone = next((row for row in self._rows if row.turn.id not in kept), None)
        if gone is not None:
            self._drop(gone.number - 1)
            self._settle_seen()

    def view(self, turn_id: int) -> TurnView | None:
        """A turn's view, made if it is not yet."""
        row = self._rows.of(turn_id)
        return None if row is None else row.view or self._make(row)

    def last(self) -> TurnView | None:
        """The last turn's view."""
        return self.view(self._rows[-1].turn.id) if self._rows else None

    @property
    def last_turn(self) -> Turn | None:
        """The last turn, with or without widgets."""
        return self._rows[-1].turn if self._rows else None

    def finished(self, turn_id: int, status: str, result: dict[str, Any] | None) -> TurnView | None:
        """An answer ended; it is remembered for when its turn comes into sight again."""
        row = self._rows.of(turn_id)
        if row is None:
            return None
        view = row.view or self._make(row)
        view.finish(status, result, self._rows.told_before(row, result))
        row.turn = replace(
            row.turn, answer=view.answer.markdown, status=cast(TurnStatus, status), result=result
        )
        return view

    def scroll_to_end(self) -> None:
        """Show the end, and follow it."""
        self._at_end = True
        self._settle_seen()

    def go(self, step: int) -> None:
        """Move the keyboard to the turn before or after, and show it."""
        if not self._rows:
            return
        index = 0 if self._current is None else self._current.number - 1
        row = self._rows[max(0, min(len(self._rows) - 1, index + step))]
        view = row.view or self._make(row)
        self._set_current(row)
        self._at_end = row is self._rows[-1]
        self._settle_seen()
        if not self._at_end:
            self.verticalScrollBar().setValue(row.top - MARGIN)
        target: QWidget = view.answer if view.answer.isVisibleTo(view) else view.question
        target.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def showEvent(self, event: QShowEvent) -> None:
        """What was measured while hidden had not its final look."""
        super().showEvent(event)
        self._measure_again()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Break lines anew, first those that are seen."""
        super().resizeEvent(event)
        self._settle_seen()
        side = self._to_end.sizeHint()
        self._to_end.setGeometry(
            (self.viewport().width() - side.width()) // 2,
            self.height() - side.height() - 8,
            side.width(),
            side.height(),
        )

    def changeEvent(self, event: QEvent) -> None:
        """Another font, another height."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._measure_again()

    # Rows.

    def _add(self, turn: Turn) -> Row:
        metrics = self.fontMetrics()
        letters = max(10, self._column()[1] // max(1, metrics.averageCharWidth()))
        height = guessed_height(turn, letters, round(1.25 * metrics.lineSpacing()))
        row = Row(turn, len(self._rows) + 1, height)
        self._rows.append(row)
        return row

    def _make(self, row: Row) -> TurnView:
        told = self._rows.told_before(row, row.turn.result)
        view = TurnView(row.turn, row.number, told, self._content)
        view.heightChanged.connect(lambda: self._grown(row))
        view.regenerateRequested.connect(self.regenerateRequested)
        view.editRequested.connect(self.editRequested)
        view.focused.connect(self.editEnded)
        view.dragged.connect(self._drag_to)
        view.caretMoved.connect(partial(self._show_caret, row))
        view.set_current(row is self._current)
        row.view = view
        view.following = len(self._rows) - row.number
        # The order of the children is the order in which they are read aloud.
        after = next((other.view for other in self._rows[row.number :] if other.view), None)
        if after is not None:
            view.stackUnder(after)
        view.show()
        return view

    def _drop(self, start: int) -> None:
        for row in self._rows[start:]:
            row.unmake()
        del self._rows[start:]
        if self._current not in self._rows:
            self._set_current(self._rows[-1] if self._rows else None)

    def _count_following(self) -> None:
        for row in self._rows:
            if row.view is not None:
                row.view.following = len(self._rows) - row.number

    def _set_current(self, row: Row | None) -> None:
        if row is self._current:
            return
        for other, current in ((self._current, False), (row, True)):
            if other is not None and other.view is not None:
                other.view.set_current(current)
        self._current = row

    # Heights and places.

    def _column(self) -> tuple[int, int]:
        """Left edge and width of the turns: a line that is too long is hard to read."""
        # Room for the scroll bar is left even without one: lines do not break anew when it comes.
        whole = self.width() - self.verticalScrollBar().sizeHint().width()
        width = max(120, min(whole - 2 * MARGIN, MAX_WIDTH))
        return max(MARGIN, (whole - width) // 2), width

    def _measure(self, row: Row) -> None:
        view = row.view or self._make(row)
        row.width = self._column()[1]
        row.height = view.place(row.width)

    def _measure_again(self) -> None:
        for row in self._rows:
            row.width = 0
        self._settle_seen()

    def _grown(self, row: Row) -> None:
        if row in self._rows:
            row.width = 0
            self._settle_seen()

    def _settle_seen(self) -> None:
        """Measure what is in sight, put everything in its place; idle moments do the rest."""
        if self._placing:
            return
        self._placing = True
        anchor = self._anchor()
        self._put(anchor)
        until = time.monotonic() + IDLE_S
        # Each may push others into sight or out of it.
        while stale := self._stale(0):
            self._measure(stale[-1])
            self._put(anchor)
            if time.monotonic() > until:
                break
        self._placing = False
        self._idle.start()
        self._show_to_end()

    def _work(self) -> None:
        """Idle moments: first what is in sight, then what is about to be; far turns are dropped."""
        until = time.monotonic() + IDLE_S
        height = self.viewport().height()
        anchor = self._anchor()
        self._placing = True
        done = False
        while not done and time.monotonic() < until:
            stale = self._stale(0) or self._stale(AHEAD * height)
            if stale:
                self._measure(stale[-1])
                self._put(anchor)
            else:
                done = not self._drop_far(FAR * height)
        self._placing = False
        if done:
            self._idle.stop()
        self._show_to_end()

    def _stale(self, beyond: float) -> list[Row]:
        width = self._column()[1]
        return [row for row in self._near(beyond) if row.width != width or row.view is None]

    def _drop_far(self, beyond: float) -> bool:
        """Drop the widgets of one turn that is far away; False if there is none."""
        near = {id(row) for row in self._near(beyond)}
        for row in self._rows:
            if row.view is not None and id(row) not in near and not row.view.in_use:
                row.unmake()
                return True
        return False

    def _anchor(self) -> tuple[Row, int] | None:
        """What the reader looks at: a turn, and how far below the top edge it begins."""
        if self._at_end:
            return None
        top = self.verticalScrollBar().value()
        row = self._rows.first_below(top)
        return None if row is None else (row, row.top - top)

    def _put(self, anchor: tuple[Row, int] | None) -> None:
        left, width = self._column()
        height = self._rows.stack(left, width, MARGIN, BETWEEN)
        self._content.resize(self.viewport().width(), max(height, self.viewport().height()))
        bar = self.verticalScrollBar()
        bar.setValue(bar.maximum() if anchor is None else anchor[0].top - anchor[1])

    def _near(self, beyond: float) -> list[Row]:
        """The turns in sight, or no further away from it than this many pixels."""
        top = self.verticalScrollBar().value()
        return self._rows.between(top - beyond, top + self.viewport().height() + beyond)

    def _scrolled(self, value: int) -> None:
        if self._placing:
            return
        self._at_end = value >= self.verticalScrollBar().maximum() - _NEAR_END
        self._settle_seen()

    def _show_to_end(self) -> None:
        self._to_end.setVisible(not self._at_end and bool(self._rows))
        self._to_end.raise_()

    def _show_caret(self, row: Row, place: QRect) -> None:
        """The keyboard moved in a text: that line comes into sight."""
        self.ensureVisible(0, row.top + place.center().y(), 0, place.height() + 8)

    def _drag_to(self, place: QPoint) -> None:
        """A selection is drawn beyond the edge."""
        y = self.viewport().mapFromGlobal(place).y()
        bar = self.verticalScrollBar()
        if y < 0:
            bar.setValue(bar.value() + max(-60, y))
        elif y > self.viewport().height():
            bar.setValue(bar.value() + min(60, y - self.viewport().height()))

    def _focus_moved(self, _old: QWidget | None, new: QWidget | None) -> None:
        if new is None or not self._content.isAncestorOf(new):
            return
        for row in self._rows:
            if row.view is not None and row.view.isAncestorOf(new):
                self._set_current(row)
                return
