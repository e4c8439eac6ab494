"""Where the turns of a conversation stand, and which of them have widgets."""

from dataclasses import dataclass
from typing import Any

from app.conversation import Turn
from app.widgets.answer_facts import notes
from app.widgets.turn_view import TurnView


@dataclass(eq=False)
class Row:
    """One turn, seen or not.

    Attributes:
        turn: as it is remembered.
        number: its place, from 1.
        height: in pixels; guessed until it was measured.
        width: at which the height was measured; 0: guessed.
        top: in pixels from the top of the conversation.
        view: its widgets, if it has any now.
    """

    turn: Turn
    number: int
    height: int
    width: int = 0
    top: int = 0
    view: TurnView | None = None

    def unmake(self) -> None:
        """Drop its widgets."""
        if self.view is not None:
            self.view.hide()
            self.view.deleteLater()
            self.view = None


class Rows(list[Row]):
    """The rows of a conversation, in order."""

    def of(self, turn_id: int) -> Row | None:
        """The row of a turn."""
        return next((row for row in reversed(self) if row.turn.id == turn_id), None)

    def stack(self, left: int, width: int, margin: int, between: int) -> int:
        """Put one under the other; return the height of all, margins included, in pixels."""
        y = margin
        for row in self:
            row.top = y
            if row.view is not None:
                row.view.setGeometry(left, y, width, row.height)
            y += row.height + between
        return y - between + margin

    def between(self, top: float, bottom: float) -> list[Row]:
        """The rows of which something is between two heights."""
        return [row for row in self if row.top < bottom and row.top + row.height > top]

    def first_below(self, top: int) -> Row | None:
        """The first row that is not wholly above a height."""
        return next((row for row in self if row.top + row.height > top), None)

    def told_before(self, row: Row, result: dict[str, Any] | None) -> list[str]:
        """Notes told with the turns before; looked for only where there is one to tell."""
        if not notes(result or {}):
            return []
        earlier = self[: row.number - 1]
        return [note for other in earlier for note in notes(other.turn.result or {})]


def guessed_height(turn: Turn, letters: int, line: int) -> int:
    """About how high a turn will be, with so many letters in a line of so many pixels."""
    lines = 2 + len(turn.question) // letters + len(turn.answer) // letters
    return 60 + line * lines
