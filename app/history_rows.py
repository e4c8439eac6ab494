"""Between the history's tables and its records: what is stored, indexed and read back."""

import json
import os
import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.records import ClipRecord, ConversationRow, SnippetRun, TurnRecord, TurnStatus
from app.search_text import fold
from engines.config import to_json

MAX_TITLE = 200
DAY_S = 24 * 3600.0
YEAR_9999 = 253_370_764_800.0
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def settle(
    database: sqlite3.Connection,
    turn: int,
    answer: str,
    status: TurnStatus,
    receipt: Mapping[str, Any] | None,
) -> None:
    """Ends a turn: its answer replaces its pieces, in the index too; nothing for one not there."""
    found = database.execute("SELECT conversation FROM turn WHERE id = ?", (turn,)).fetchone()
    if found is None:
        return
    kept = None if receipt is None else json_text(receipt)
    database.execute(
        "UPDATE turn SET answer = ?, status = ?, receipt = ?, writer = NULL WHERE id = ?",
        (answer, status, kept, turn),
    )
    database.execute("DELETE FROM piece WHERE turn = ?", (turn,))
    database.execute("DELETE FROM entry WHERE turn = ? AND field = 'answer'", (turn,))
    index_text(database, found[0], "answer", answer, turn)


def pieces(database: sqlite3.Connection, turn: int) -> str:
    """The answer of a turn that is still being written."""
    rows = database.execute("SELECT text FROM piece WHERE turn = ? ORDER BY place", (turn,))
    return "".join(text for (text,) in rows)


def index_text(
    database: sqlite3.Connection, conversation: int, field: str, text: str, turn: int | None = None
) -> None:
    """Makes a text of a conversation findable; `field` says which text it is."""
    database.execute(
        "INSERT INTO entry (conversation, turn, field, folded) VALUES (?, ?, ?, ?)",
        (conversation, turn, field, fold(text)),
    )


def reindex_text(database: sqlite3.Connection, conversation: int, field: str, text: str) -> None:
    """Makes another text findable in the place of one that was."""
    removed = database.execute(
        "DELETE FROM entry WHERE conversation = ? AND field = ?", (conversation, field)
    )
    if removed.rowcount:
        index_text(database, conversation, field, text)


def moment_of_use(database: sqlite3.Connection) -> float:
    """Seconds since 1970, after every use so far: a clock that was set back changes no order.

    Unless it was set back by more than a day: then what came before was the mistake.
    """
    now = time.time()
    (newest,) = database.execute("SELECT MAX(updated) FROM conversation").fetchone()
    if isinstance(newest, float) and now <= newest < now + DAY_S:
        return newest + 0.001
    return now


def conversation_row(row: Sequence[Any], found: tuple[SnippetRun, ...]) -> ConversationRow:
    """A line of the list, from the columns that `app.history_search` asks for."""
    number, title, path, kind, bundle, created, updated, turns = row
    name = None if path is None else shown_name(Path(os.fsdecode(path)))
    times = moment(created), moment(updated)
    return ConversationRow(number, title, name, kind, bundle, *times, turns, found)


def moment(seconds: float) -> float:
    """Seconds since 1970, 0 where a damaged file holds what no calendar does."""
    return seconds if 0 <= seconds < YEAR_9999 else 0.0


def turn_record(database: sqlite3.Connection, row: Sequence[Any]) -> TurnRecord:
    """A turn, from the columns that `History.load` asks for."""
    number, question, answer, status, options, receipt, created = row
    if status == "writing":
        answer = pieces(database, number)
    kept = None if receipt is None else _parsed(receipt)
    asked = _parsed(options)
    return TurnRecord(number, question, answer, status, asked, kept, moment(created))


def clip_of(path: bytes | None, sha256: str | None, size: int, kind: str) -> ClipRecord | None:
    """A clip from its columns; None where there is none."""
    return None if path is None else ClipRecord(Path(os.fsdecode(path)), sha256, size, kind)


def clip_columns(clip: ClipRecord | None) -> tuple[Any, ...]:
    """A clip's columns: path as the system writes it, hash, size, kind."""
    if clip is None:
        return (None, None, None, None)
    return (os.fsencode(clip.path.absolute()), clip.sha256, clip.size, clip.kind)


def inserted(cursor: sqlite3.Cursor) -> int:
    """The number of the row that was inserted."""
    return int(cursor.lastrowid or 0)


def json_text(value: Mapping[str, Any]) -> str:
    """JSON of what a caller gave: dataclasses, paths and anything odd turned into plain values."""
    # Escapes keep lone surrogates of file names, which the database would not take.
    return json.dumps(to_json(dict(value)), default=str)


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def storable(text: str) -> str:
    """The text without what SQLite does not take: NUL, and halves of a character."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str) -> str:
    """A title: one line, not too long."""
    return " ".join(storable(text).split())[:MAX_TITLE]


def shown_name(path: Path) -> str:
    """A file's name as it can be shown anywhere."""
    return os.fsencode(path.name).decode("utf-8", "replace")
