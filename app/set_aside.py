"""Files that cannot be used are kept under a name that says so; nothing is deleted."""

import time
from pathlib import Path


def set_aside(path: Path, also: tuple[str, ...] = ()) -> Path:
    """Renames a file to `<stem>-damaged-<date>-<time><suffix>` beside it.

    Args:
        path: the file, or whatever else stands in its place.
        also: endings of companions that belong to it, such as "-wal"; renamed alike where present.

    Returns:
        Where the file is now.

    Raises:
        OSError: it cannot be renamed.
    """
    stem = f"{path.stem}-damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    target, count = path.with_name(f"{stem}{path.suffix}"), 1
    while target.exists():
        count += 1
        target = path.with_name(f"{stem}-{count}{path.suffix}")
    path.rename(target)
    for ending in also:
        companion = path.with_name(path.name + ending)
        if companion.exists():
            companion.rename(target.with_name(target.name + ending))
    return target
