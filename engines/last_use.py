"""When files of a cache were last used, by their times of change: the longest unused goes first."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# NTFS keeps times in steps of 100 ns.
STEP_NS = 1000


def last_use(path: Path) -> int:
    """Nanoseconds on the clock of the cache's folder; 0 for a file that is gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def mark_used(path: Path, cache: Iterable[Path]) -> None:
    """Makes a file the last used of its cache, as finely as its file system keeps times.

    The time that a system sets by itself moves in steps of milliseconds, in which two files can be
    used, and after the clock was set back it would make this file the oldest. A folder that takes
    nothing is left as it is.

    Args:
        path: the file.
        cache: all files that are dropped in the same order; it may hold `path`.
    """
    newest = max((last_use(other) for other in cache), default=0)
    now = max(time.time_ns(), newest + STEP_NS)
    with suppress(OSError):
        os.utime(path, ns=(now, now))
