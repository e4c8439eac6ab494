"""Large files that will be mapped, brought into memory in pages of 2 MB where the system can.

Writing a token reads gigabytes of mapped weights; with pages of 4 kB up to a quarter of the time
goes into finding them. Linux keeps a file in large pages only if they were read through a mapping
that asked for them, and other mappings of the file then share those. Elsewhere nothing is done.
"""

import mmap
import os
from contextlib import suppress
from pathlib import Path

PAGE_BYTES = 2 << 20
_ADVICE = getattr(mmap, "MADV_HUGEPAGE", None)


def fill(path: Path, available_bytes: int | None) -> int:
    """Reads what is not in memory of a file, in large pages.

    Args:
        path: the file.
        available_bytes: memory that may be used; a file that does not fit is left to be read as
            needed, and so is any where this is not known.

    Returns:
        The bytes that are now in memory, 0 where nothing was done.
    """
    if _ADVICE is None or available_bytes is None:
        return 0
    with suppress(OSError, ValueError), path.open("rb") as stream:  # ValueError: it is empty.
        size = os.fstat(stream.fileno()).st_size
        if size > available_bytes:
            return 0
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            mapped.madvise(_ADVICE)
            for start in range(0, size, PAGE_BYTES):
                mapped[start]
        return size
    return 0


def drop(path: Path) -> None:
    """Lets the memory go that holds a file just written, in whatever pages, if nobody uses it."""
    if _ADVICE is not None:
        with suppress(OSError), path.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
