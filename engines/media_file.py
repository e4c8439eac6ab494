"""Opening a clip's file safely: a regular file that never blocks. Parses nothing."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from engines.errors import MediaError


def shown(path: Path) -> str:
    """The path as it can be printed anywhere: undecodable and control characters become marks."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def file_stamp(path: Path) -> tuple[int, int, int]:
    """What differs, as a key of a cache, when the file at a path is another one or was changed."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return (0, 0, 0)  # opening it says what is wrong
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def is_folder(path: Path) -> bool:
    """Whether there is a folder at a path."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False  # opening it says what is wrong


def open_regular(path: Path) -> BinaryIO:
    """Open a regular, non-empty file for reading.

    Raises:
        MediaError: missing, unreadable, empty, a folder, a device or a pipe.
    """
    name = shown(path)
    try:
        # Asked before opening: opening a device can already do something to it.
        _refuse_special(path.stat(), name)
        # Not blocking, should a pipe have taken the file's place since.
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        file = os.fdopen(os.open(path, flags), "rb")
    except FileNotFoundError as error:
        raise MediaError(f"There is no file {name}; check its name and folder.") from error
    except PermissionError as error:
        raise MediaError(
            f"The file {name} may not be read by this account; change its permissions or copy it."
        ) from error
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise MediaError(
            f"The file {name} cannot be opened ({reason}); check its name and folder."
        ) from error
    try:
        _refuse_special(os.fstat(file.fileno()), name)
    except MediaError:
        file.close()
        raise
    return file


def _refuse_special(status: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(f"{name} is a folder; name a file, or a folder that holds pictures.")
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{name} is a device or a pipe, not a file; save the clip to a file.")
    if status.st_size == 0:
        raise MediaError(f"The file {name} is empty (0 bytes); copy or download it again.")
