"""Whether the window before this one came to a good end: a file that only such an end removes.

A window holds its file locked while it runs (see `app.presence`), so that one that is still open is
never taken for one that crashed, and a process number that came again never for either.
"""

import os
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

from app.presence import Presence, tidy
from engines.file_lock import own_folder


class Sentinel:
    """This window's file.

    Attributes:
        ended_badly: a window before this one crashed, was killed, or lost its power.
    """

    def __init__(self, folder: Path) -> None:
        """Look for files of windows that are gone, remove them, and leave one's own.

        Args:
            folder: the user's own; where it cannot be written, nothing is known and nothing kept.
        """
        beside = folder / "window"
        self._presence: Presence | None = None
        self.ended_badly = False
        with suppress(OSError, sqlite3.Error):
            own_folder(folder)
            self.ended_badly = tidy(beside) > 0
            self._presence = Presence(beside)
            _to_disk(folder)

    def end(self) -> None:
        """This window ended as it should."""
        if self._presence is not None:
            self._presence.end()
            self._presence = None


def _to_disk(folder: Path) -> None:
    """A power cut in the next seconds is to find the file, too."""
    if sys.platform == "win32":
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
