"""Files of our own: in folders that nobody else may look into, for one process at a time.

The system lets go of a lock when its process ends, however.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def own_folder(folder: Path) -> None:
    """Make a folder that no other user may look into, and so those above it that are missing.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        if folder.parent != folder:  # A drive that is not there is its own parent.
            own_folder(folder.parent)  # `parents` of mkdir would leave those open to all.
        folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def only_writer(path: Path) -> Iterator[bool]:
    """Whether no other process holds this file; it is held as long as the context lasts.

    Raises:
        OSError: the file cannot be made.
    """
    with path.open("a+b") as stream:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        # Who held it before may have removed it since it was opened here: then it locks nothing.
        yield _is_same(stream.fileno(), path)


def _is_same(number: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except OSError:
        return False
