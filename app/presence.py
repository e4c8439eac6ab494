"""Which of the programs that wrote in a history are still there.

Each holds a small file beside the history locked while it has the history open. The lock goes with
the process, however that ends: unlike a process number, it is never somebody else's. SQLite does
the locking, which works alike on every system. Call these within a transaction of the history that
writes, so that two programs do not do it at once.
"""

import secrets
import sqlite3
from contextlib import closing, suppress
from pathlib import Path


class Presence:
    """This program's sign beside a history; `token` stands in what it writes.

    Raises OSError or sqlite3.Error when no file can be made there.
    """

    def __init__(self, history: Path) -> None:
        self.token = secrets.token_hex(8)
        self._path = _sign(history, self.token)
        self._connection = sqlite3.connect(
            self._path, timeout=0, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("BEGIN EXCLUSIVE")

    def end(self) -> None:
        """Takes the sign away."""
        self._connection.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def is_gone(history: Path, token: str) -> bool:
    """True when the program that wrote under this token has ended."""
    sign = _sign(history, token)
    return not sign.exists() or _is_free(sign)


def tidy(history: Path) -> int:
    """Removes the signs of programs that were killed; returns how many there were."""
    found = 0
    for sign in history.parent.glob(f"{history.stem}-open-*.lock"):
        if _is_free(sign):
            found += 1
            with suppress(OSError):
                sign.unlink(missing_ok=True)
    return found


def _is_free(sign: Path) -> bool:
    try:
        with closing(sqlite3.connect(sign, timeout=0, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return False  # Held; or it cannot be opened, and nobody can tell.
    except sqlite3.DatabaseError:
        return True  # Not a sign of ours: nobody holds it.
    return True


def _sign(history: Path, token: str) -> Path:
    return history.with_name(f"{history.stem}-open-{token}.lock")
