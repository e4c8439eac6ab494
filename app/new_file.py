"""Files that a user asked for by name: written whole or not at all."""

import errno
import os
import stat
from pathlib import Path

from engines.bundle import write_whole


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
