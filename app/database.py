"""The history's database file: opened, migrated, and never in the way of the program's start.

Whatever is wrong with the file, a working connection comes back, and a sentence that says what was
done: a damaged file is kept aside and a new one begun; what cannot be written is copied into
memory, from where it can still be read.
"""

import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.set_aside import set_aside
from engines.errors import StoreError
from engines.file_lock import own_folder

# Another process may be writing; a moment later it is not.
BUSY_S = 5.0
OLDEST_SQLITE = (3, 37)  # STRICT tables; full-text search by trigrams came before.
COMPANIONS = ("-wal", "-shm")

# Each step leads from one version of the file (PRAGMA user_version) to the next. Steps that were
# released are never changed: what they made is on users' disks.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE conversation (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL,
            bundle TEXT NOT NULL,
            clip_path BLOB,
            clip_sha256 TEXT,
            clip_size INTEGER,
            clip_kind TEXT,
            created REAL NOT NULL,
            updated REAL NOT NULL,
            deleted REAL
        ) STRICT""",
        # Numbers are never given twice: a piece that comes late for a dropped turn must not
        # reach another one.
        """CREATE TABLE turn (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
            question TEXT NOT NULL,
            answer TEXT NOT NULL DEFAULT '',
            status TEXT NOT NULL CHECK (status IN ('writing', 'done', 'stopped', 'failed')),
            options TEXT NOT NULL,
            receipt TEXT,
            created REAL NOT NULL,
            writer TEXT
        ) STRICT""",
        "CREATE INDEX turn_of_conversation ON turn (conversation)",
        "CREATE INDEX turn_being_written ON turn (writer) WHERE status = 'writing'",
        # An answer while it is written: a row a token, so that a token costs the same however
        # long the answer is.
        """CREATE TABLE piece (
            turn INTEGER NOT NULL REFERENCES turn ON DELETE CASCADE,
            place INTEGER NOT NULL,
            text TEXT NOT NULL,
            PRIMARY KEY (turn, place)
        ) STRICT, WITHOUT ROWID""",
        # What a search looks through, folded (see app/search_text.py), a row a text.
        """CREATE TABLE entry (
            id INTEGER PRIMARY KEY,
            conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
            turn INTEGER REFERENCES turn ON DELETE CASCADE,
            field TEXT NOT NULL,
            folded TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX entry_of_conversation ON entry (conversation)",
        "CREATE INDEX entry_of_turn ON entry (turn)",
        """CREATE VIRTUAL TABLE entry_text USING fts5 (
            folded, content = 'entry', content_rowid = 'id', tokenize = 'trigram case_sensitive 1'
        )""",
        """CREATE TRIGGER entry_added AFTER INSERT ON entry BEGIN
            INSERT INTO entry_text (rowid, folded) VALUES (new.id, new.folded);
        END""",
        """CREATE TRIGGER entry_removed AFTER DELETE ON entry BEGIN
            INSERT INTO entry_text (entry_text, rowid, folded)
            VALUES ('delete', old.id, old.folded);
        END""",
    ),
)
_TABLES = ("conversation", "turn", "piece", "entry", "entry_text")
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


@dataclass(frozen=True)
class Opened:
    """A working database; `notice` says what had to be done for it (else None)."""

    connection: sqlite3.Connection
    in_memory: bool
    notice: str | None = None


class _NewerError(Exception):
    """The file is of a version that this program does not know."""


def open_database(path: Path | None) -> Opened:
    """Opens the file, or makes it; None keeps everything in memory.

    Raises:
        StoreError: the installed SQLite cannot hold a history at all.
    """
    _require_library()
    if path is None:
        return Opened(_in_memory(), in_memory=True)
    try:
        _make(path)
        return Opened(_connect(path), in_memory=False)
    except _NewerError:
        return instead_in_memory(path, "a newer version of this program wrote it; update this one")
    except OSError as error:
        return instead_in_memory(path, _because(error.strerror or str(error)))
    except UnicodeDecodeError:  # SQLite's complaint quotes what it found in the file.
        return _begun_anew(path)
    except sqlite3.Error as error:
        if _is_damaged(error):
            return _begun_anew(path)
        return instead_in_memory(path, _because(str(error)))


def _require_library() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreError(
            f"SQLite {sqlite3.sqlite_version} is too old for the history; use a Python that has"
            f" SQLite {'.'.join(map(str, OLDEST_SQLITE))} or newer."
        )
    with closing(sqlite3.connect(":memory:")) as connection:
        options = {name for (name,) in connection.execute("PRAGMA compile_options")}
    if "ENABLE_FTS5" not in options:
        raise StoreError(
            "This Python's SQLite has no full-text search (FTS5), which the history needs; use"
            " another Python."
        )


def error_code(error: sqlite3.Error) -> int:
    """The library's primary result code of an exception."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def _begun_anew(path: Path) -> Opened:
    try:
        kept = set_aside(path, COMPANIONS)
        _make(path)
        connection = _connect(path)
    except (OSError, sqlite3.Error) as error:
        reason = f"it is damaged and cannot be put aside ({str(error).lower()})"
        return instead_in_memory(path, reason)
    notice = (
        f"The history {path} was damaged; it is kept as {kept.name} and a new history was begun."
    )
    return Opened(connection, in_memory=False, notice=notice)


def instead_in_memory(path: Path, reason: str) -> Opened:
    """A database in memory with what can be read of the file, which cannot be written to."""
    notice = (
        f"The history {path} cannot be written to: {reason}; what is said now is kept only until"
        " the program ends."
    )
    try:
        connection = _copy_in_memory(path)
    except (OSError, sqlite3.Error, UnicodeDecodeError, _NewerError):
        connection = _in_memory()
    return Opened(connection, in_memory=True, notice=notice)


def _copy_in_memory(path: Path) -> sqlite3.Connection:
    # From a copy, because even reading makes files beside the database.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        with suppress(FileNotFoundError):
            shutil.copyfile(f"{path}-wal", f"{copy}-wal")
        with closing(_connect(copy)) as source:
            source.execute("PRAGMA journal_mode = DELETE")  # Memory has no such journal.
            memory = _prepared(":memory:")
            source.backup(memory)
    return memory


def _make(path: Path) -> None:
    """The file and its folder, for nobody else to read."""
    own_folder(path.parent)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _in_memory() -> sqlite3.Connection:
    connection = _prepared(":memory:")
    _migrate(connection)
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = _prepared(path)
    try:
        _write_ahead(connection)
        _migrate(connection)
        _check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepared(path: Path | str) -> sqlite3.Connection:
    # Used by one thread at a time, not by one thread alone.
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    # A damaged letter does not make a whole conversation unreadable.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # What was deleted is not left on the disk.
    connection.execute("PRAGMA synchronous = NORMAL")  # A power cut loses the last moments at most.
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # It waits for the disk: see History.
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    # Changing the mode of a new file does not wait for another process that does so too.
    until = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as error:
            if error_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")  # Of two programs, one does it and the other finds it.
    try:
        _apply_steps(connection)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _apply_steps(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise _NewerError
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    # Written each time: so it shows now, not at the first question, that it cannot be.
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _check(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA quick_check (1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    for table in _TABLES:
        connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()


def rebuild_index(connection: sqlite3.Connection) -> None:
    """Makes the search's index again from the texts that it indexes."""
    connection.execute("INSERT INTO entry_text (entry_text) VALUES ('rebuild')")


def _is_damaged(error: sqlite3.Error) -> bool:
    return error_code(error) in _DAMAGED


def _because(reason: str) -> str:
    return f"{reason.lower()}; check the folder's permissions and free space"
