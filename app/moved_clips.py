"""A clip found again after it was moved: by its size, then by its hash.

Reads folders and files; the hash may take a while. Not for the thread that draws.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from app.records import ClipRecord
from engines.errors import MediaError

# A search ends somewhere, also in a home folder that holds everything.
MAX_DEPTH = 8
MAX_ENTRIES = 200_000

ClipStatus = Literal["here", "changed", "gone"]


def clip_record(path: Path, kind: str) -> ClipRecord:
    """What to remember of a clip, its hash still unknown; of a size 0 when it cannot be read."""
    path = path.absolute()
    size = _folder_size(path) if kind == "frames" else _file_size(path)
    return ClipRecord(path, None, size or 0, kind)


def clip_status(clip: ClipRecord) -> ClipStatus:
    """Whether a clip lies where it lay; "changed" when another file has its name. One stat."""
    try:
        status = clip.path.stat()
    except (OSError, ValueError):
        return "gone"
    if clip.kind == "frames":
        return "here" if stat.S_ISDIR(status.st_mode) else "changed"
    same = stat.S_ISREG(status.st_mode) and status.st_size == clip.size
    return "here" if same else "changed"


def find_moved(
    clip: ClipRecord,
    folders: Sequence[Path],
    cancelled: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Looks for a clip in folders and what is below them; links are not followed.

    Args:
        clip: what to look for; without a hash nothing is found, for a size alone proves nothing.
        folders: where to look, the likeliest first.
        cancelled: asked often; True ends the search.

    Returns:
        Where it is now, or None.
    """
    # PyAV and Pillow come along, which the program's own process does not need otherwise.
    from engines.media import clip_hash

    if clip.sha256 is None:
        return None
    for candidate in _candidates(clip, folders, cancelled):
        try:
            if clip_hash(candidate) == clip.sha256:
                return candidate
        except (MediaError, OSError):
            continue
    return None


def _candidates(
    clip: ClipRecord, folders: Sequence[Path], cancelled: Callable[[], bool]
) -> Iterator[Path]:
    seen: set[str] = set()
    waiting = [(str(folder.absolute()), 0) for folder in folders]
    entries = 0
    while waiting:
        folder, depth = waiting.pop(0)
        if folder in seen:
            continue
        seen.add(folder)
        files, below = _listed(folder)
        entries += len(files) + len(below)
        if cancelled() or entries > MAX_ENTRIES:
            return
        if clip.kind != "frames":
            yield from (Path(path) for path, size in files if size == clip.size)
        elif files and sum(size for _, size in files) == clip.size:
            yield Path(folder)
        if depth < MAX_DEPTH:
            waiting += [(path, depth + 1) for path in below]


def _listed(folder: str) -> tuple[list[tuple[str, int]], list[str]]:
    """Regular files with their sizes, and folders; nothing hidden, nothing that may not be read."""
    files: list[tuple[str, int]] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    files.append((entry.path, entry.stat(follow_symlinks=False).st_size))
    except OSError:
        pass
    return sorted(files), sorted(folders)


def _file_size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None


def _folder_size(path: Path) -> int:
    files, _ = _listed(str(path))
    return sum(size for _, size in files)
