"""Files that a user names, whatever the name is: looked for, and written whole or not at all."""

import errno
import os
import stat
from pathlib import Path

from engines.bundle import write_whole


def place(path: Path) -> Path:
    """The path without its links; as it is where they lead nowhere or may not be followed."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # RuntimeError: links that lead in a circle
        return path


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder, and it may be looked at."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def write_file(path: Path, text: str, *, overwrite: bool = True) -> None:
    """Write a text, as UTF-8.

    Args:
        path: where to; in a folder that is there. A link, a pipe or a device (`/dev/stdout`) stays
            what it is and gets the text.
        text: what.
        overwrite: whether a file may be there already.

    Raises:
        OSError: it cannot be written; FileExistsError if it may not be replaced.
    """
    if os.path.lexists(path):
        if not stat.S_ISREG(path.lstat().st_mode):
            path.write_text(text, encoding="utf-8")
            return
        if not overwrite:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    write_whole(path, text.encode(), durable=True)
