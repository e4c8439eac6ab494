"""Conversations in a SQLite file, written as they happen: a crash costs the token being written.

Usable from several threads (one at a time gets in) and beside other programs with the same file.
Nothing here fails for the file's sake when it is opened: `History.notice` says what had to be done.
Later, what cannot be read or written is a StoreError.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import RLock, Thread
from typing import Any

from platformdirs import user_data_path

from app import moved_clips
from app.database import Opened, error_code, instead_in_memory, open_database, rebuild_index
from app.history_export import to_json_text, to_markdown
from app.history_rows import (
    clip_columns,
    clip_of,
    index_text,
    inserted,
    json_text,
    moment,
    moment_of_use,
    one_line,
    pieces,
    reindex_text,
    settle,
    shown_name,
    storable,
    turn_record,
)
from app.history_search import find_conversations
from app.moved_clips import clip_record, clip_status
from app.presence import Presence, is_gone, tidy
from app.records import (
    ClipRecord,
    ConversationRecord,
    ConversationRow,
    SnippetRun,
    TurnRecord,
    TurnStatus,
)
from app.search_text import terms
from engines.errors import StoreError

__all__ = [
    "ClipRecord",
    "ConversationRecord",
    "ConversationRow",
    "History",
    "SnippetRun",
    "TurnRecord",
    "TurnStatus",
    "clip_record",
    "clip_status",
    "history_path",
]

# What a program deleted it can have back until it ends. Deletions of others are left alone for so
# long: they may still run.
UNDO_S = 24 * 3600.0
# The journal is written into the file, which waits for the disk, when it has grown to this.
CHECKPOINT_BYTES = 4 << 20


def history_path() -> Path:
    """Where this user's history lies."""
    return user_data_path("vl2-desktop", appauthor=False) / "history.sqlite"


class History:
    """All conversations of a user.

    Attributes:
        path: the file; None when none was wanted.
        in_memory: nothing is kept when the program ends.
        notice: a sentence for the user about the file, or None.
    """

    def __init__(self, path: Path | None, opened: Opened) -> None:
        """See `open`."""
        self.path = path
        self.in_memory = opened.in_memory
        self.notice = opened.notice
        self._database = opened.connection
        self._lock = RLock()
        self._presence: Presence | None = None
        self._checkpoint: Thread | None = None
        self._deleted: set[int] = set()
        with self._changing() as database:
            if path is not None and not self.in_memory:
                tidy(path)
                self._presence = Presence(path)
            self._settle_abandoned(database)
        with suppress(StoreError):  # It is tried again at the end.
            self.purge_deleted()

    @classmethod
    def open(cls, path: Path | None) -> "History":
        """Opens a history, or begins one.

        Args:
            path: the file (see `history_path`); None keeps everything in memory only.

        Raises:
            StoreError: the installed SQLite cannot hold a history.
        """
        opened = open_database(path)
        try:
            return cls(path, opened)
        except (StoreError, OSError) as error:
            opened.connection.close()
            if path is None:
                raise
            return cls(path, instead_in_memory(path, str(error).rstrip(".")))

    def close(self) -> None:
        """Forgets for good what was deleted, and closes the file."""
        with suppress(StoreError):
            self.purge_deleted()
        with self._lock:
            if self._checkpoint is not None:
                self._checkpoint.join()
            self._database.close()
            if self._presence is not None:
                self._presence.end()

    def create(self, title: str, clip: ClipRecord | None, bundle: str) -> int:
        """Begins a conversation about a clip with a bundle (its id); returns its number."""
        name = None if clip is None else shown_name(clip.path)
        title = one_line(title) or name or "Conversation"
        columns = clip_columns(clip)
        with self._changing() as database:
            now = moment_of_use(database)
            number = inserted(
                database.execute(
                    "INSERT INTO conversation (title, bundle, clip_path, clip_sha256, clip_size,"
                    " clip_kind, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (title, storable(bundle), *columns, now, now),
                )
            )
            index_text(database, number, "title", title)
            if name is not None:
                index_text(database, number, "clip", name)
        return number

    def rename(self, conversation_id: int, title: str) -> None:
        """Gives a conversation another title; an empty one changes nothing."""
        title = one_line(title)
        if title:
            with self._changing() as database:
                database.execute(
                    "UPDATE conversation SET title = ? WHERE id = ?", (title, conversation_id)
                )
                reindex_text(database, conversation_id, "title", title)

    def delete(self, conversation_id: int) -> None:
        """Takes a conversation off the list; `undelete` brings it back until the program ends."""
        with self._lock:
            self._mark_deleted(conversation_id, time.time())
            self._deleted.add(conversation_id)

    def undelete(self, conversation_id: int) -> None:
        """Brings a deleted conversation back."""
        with self._lock:
            self._mark_deleted(conversation_id, None)
            self._deleted.discard(conversation_id)

    def purge_deleted(self) -> None:
        """Removes for good what was deleted here, and by others that long ago have ended.

        May take a moment; `close` does it too.
        """
        with self._changing() as database:
            removed = database.execute(
                "DELETE FROM conversation WHERE deleted <= ?", (time.time() - UNDO_S,)
            ).rowcount
            for number in self._deleted:
                removed += database.execute(
                    "DELETE FROM conversation WHERE id = ? AND deleted IS NOT NULL", (number,)
                ).rowcount
            if removed:
                # Its words leave the index, and the file, too.
                database.execute("INSERT INTO entry_text (entry_text) VALUES ('optimize')")
            self._deleted.clear()
        if removed and not self.in_memory:
            with self._reading() as database:
                database.execute("PRAGMA wal_checkpoint (TRUNCATE)")

    def conversations(self, query: str = "", limit: int = 200) -> list[ConversationRow]:
        """The conversations, the last used first.

        Args:
            query: words that each stand somewhere in a conversation's title, clip name, questions
                or answers; any text is allowed (see `app.search_text`).
            limit: at most so many.
        """
        wanted = terms(storable(query))
        try:
            with self._lock:
                return find_conversations(self._database, wanted, limit)
        except sqlite3.DatabaseError as error:
            if not _is_corrupt(error):
                raise self._failure("read", error) from error
        with self._changing() as database:
            rebuild_index(database)
        with self._reading() as database:
            return find_conversations(database, wanted, limit)

    def load(self, conversation_id: int) -> ConversationRecord:
        """A whole conversation, also a deleted one.

        Raises:
            StoreError: it is not there.
        """
        with self._reading() as database:
            found = database.execute(
                "SELECT title, clip_path, clip_sha256, clip_size, clip_kind, bundle, created,"
                " updated FROM conversation WHERE id = ?",
                (conversation_id,),
            ).fetchone()
            if found is None:
                raise StoreError("The conversation is not in the history any more; choose another.")
            rows = database.execute(
                "SELECT id, question, answer, status, options, receipt, created FROM turn"
                " WHERE conversation = ? ORDER BY id",
                (conversation_id,),
            ).fetchall()
            turns = tuple(turn_record(database, row) for row in rows)
        title, *clip, bundle, created, updated = found
        times = moment(created), moment(updated)
        return ConversationRecord(conversation_id, title, clip_of(*clip), bundle, *times, turns)

    def add_turn(self, conversation_id: int, question: str, options: Mapping[str, Any]) -> int:
        """Adds a question that is now being answered; returns the turn's number.

        Args:
            conversation_id: of which conversation.
            question: as the user wrote it.
            options: JSON-like, how it was asked (dataclasses and paths are turned into JSON).

        Raises:
            StoreError: the conversation is not there, or the disk does not take it.
        """
        question = storable(question)
        token = None if self._presence is None else self._presence.token
        with self._changing() as database:
            now = moment_of_use(database)
            touched = database.execute(
                "UPDATE conversation SET updated = ? WHERE id = ?", (now, conversation_id)
            )
            if not touched.rowcount:
                raise StoreError("The conversation is not in the history any more; begin another.")
            turn = inserted(
                database.execute(
                    "INSERT INTO turn (conversation, question, status, options, created, writer)"
                    " VALUES (?, ?, 'writing', ?, ?, ?)",
                    (conversation_id, question, json_text(options), now, token),
                )
            )
            index_text(database, conversation_id, "question", question, turn)
        return turn

    def append(self, turn_id: int, text: str) -> None:
        """Adds text to the answer being written; a turn that is not (any more) is left alone.

        What could not be written here does no harm if `finish` can be.
        """
        if not text:
            return
        with self._guarded("written") as database:
            database.execute(
                "INSERT INTO piece (turn, place, text) SELECT id,"
                " (SELECT COALESCE(MAX(place) + 1, 0) FROM piece WHERE turn = turn.id), ?"
                " FROM turn WHERE id = ? AND status = 'writing'",
                (storable(text), turn_id),
            )

    def finish(
        self, turn_id: int, answer: str, status: TurnStatus, receipt: Mapping[str, Any] | None
    ) -> None:
        """Replaces what was appended by the whole answer; a turn that was dropped stays so.

        Args:
            turn_id: which turn.
            answer: the whole text.
            status: "done", "stopped" or "failed".
            receipt: JSON-like, what `vl2 ask --json` prints.
        """
        with self._changing() as database:
            settle(database, turn_id, storable(answer), status, receipt)
        self._checkpoint_if_due()

    def drop_from(self, conversation_id: int, turn_id: int) -> None:
        """Removes a turn and all after it, because it is asked again or otherwise."""
        with self._changing() as database:
            database.execute(
                "DELETE FROM turn WHERE conversation = ? AND id >= ?", (conversation_id, turn_id)
            )

    def set_clip_hash(self, conversation_id: int, sha256: str) -> None:
        """Remembers the hash (`engines.media.clip_hash`) by which the clip is found again."""
        with self._changing() as database:
            database.execute(
                "UPDATE conversation SET clip_sha256 = ? WHERE id = ?", (sha256, conversation_id)
            )

    def relocate(self, conversation_id: int, path: Path) -> None:
        """Says where the clip is now, for all conversations about that very clip."""
        clip = self.load(conversation_id).clip
        if clip is None:
            return
        name = shown_name(path)
        with self._changing() as database:
            moved = database.execute(
                "SELECT id FROM conversation WHERE clip_path = ? AND clip_sha256 IS ?",
                (os.fsencode(clip.path), clip.sha256),
            ).fetchall()
            for (number,) in moved:
                database.execute(
                    "UPDATE conversation SET clip_path = ? WHERE id = ?",
                    (os.fsencode(path.absolute()), number),
                )
                reindex_text(database, number, "clip", name)

    def find_moved(
        self,
        conversation_id: int,
        folders: Sequence[Path],
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Path | None:
        """Looks for the conversation's clip, first beside where it lay, then in the folders.

        Takes its time: not for the thread that draws. See `app.moved_clips.find_moved`.
        """
        clip = self.load(conversation_id).clip
        if clip is None:
            return None
        return moved_clips.find_moved(clip, [clip.path.parent, *folders], cancelled)

    def export_markdown(self, conversation_id: int) -> str:
        """The conversation for people; see `app.history_export`."""
        return to_markdown(self.load(conversation_id))

    def export_json(self, conversation_id: int) -> str:
        """The conversation for programs, with options and receipts; see `app.history_export`."""
        return to_json_text(self.load(conversation_id))

    def _mark_deleted(self, conversation_id: int, deleted: float | None) -> None:
        with self._changing() as database:
            database.execute(
                "UPDATE conversation SET deleted = ? WHERE id = ?", (deleted, conversation_id)
            )

    def _settle_abandoned(self, database: sqlite3.Connection) -> None:
        """Answers that ended programs were writing stay as far as they came."""
        writers = database.execute("SELECT DISTINCT writer FROM turn WHERE status = 'writing'")
        for (writer,) in writers.fetchall():
            alive = self._presence is not None and self.path is not None and writer is not None
            if alive and self.path is not None and not is_gone(self.path, writer):
                continue
            turns = database.execute(
                "SELECT id FROM turn WHERE status = 'writing' AND writer IS ?", (writer,)
            )
            for (turn,) in turns.fetchall():
                settle(database, turn, pieces(database, turn), "stopped", None)

    def _checkpoint_if_due(self) -> None:
        if self.in_memory or self.path is None:
            return
        if self._checkpoint is not None and self._checkpoint.is_alive():
            return
        with suppress(OSError):
            if Path(f"{self.path}-wal").stat().st_size >= CHECKPOINT_BYTES:
                # It waits for the disk, so not in the caller's thread.
                self._checkpoint = Thread(target=_write_back, args=(self.path,), daemon=True)
                self._checkpoint.start()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        with self._guarded("written") as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error) and _is_corrupt(error):
                    # Mostly the search's index, which needs no more than this: so the next try
                    # succeeds.
                    with suppress(sqlite3.Error):
                        rebuild_index(database)
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._guarded("read") as database:
            yield database

    @contextmanager
    def _guarded(self, what: str) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise self._failure(what, error) from error

    def _failure(self, what: str, error: sqlite3.Error) -> StoreError:
        return StoreError(
            f"The history {self.path or 'in memory'} cannot be {what} ({str(error).lower()}); free"
            " space on its disk, or start the program again, which puts a damaged history aside."
        )


def _is_corrupt(error: sqlite3.Error) -> bool:
    return error_code(error) == sqlite3.SQLITE_CORRUPT


def _write_back(path: Path) -> None:
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint (PASSIVE)")
