"""One process at a time at one piece of work; the system lets go when that one ends, however."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.errors import ExportError


@contextmanager
def locked(path: Path, sentence: str) -> Iterator[None]:
    """Hold a file that only one process can hold.

    Args:
        path: The file; made if it is not there, and left there.
        sentence: What a user is told when another process holds it.

    Raises:
        ExportError: another process holds it.
    """
    with path.open("ab") as file:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ExportError(sentence) from error
        yield
