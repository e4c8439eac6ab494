"""What TensorRT compiled for this GPU when an engine first ran, kept so that it is compiled once.

Files of the user's own cache folder, safe to delete, bounded. The key holds everything that the
kernels depend on, so that after a change of driver or library they are made anew; TensorRT itself
refuses what does not fit as well.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

from engines.bundle import cache_dir, write_whole
from engines.last_use import last_use, mark_used

# Beyond this, what was used longest ago goes.
MAX_BYTES = 2 << 30
_SUFFIX = ".kernels"


def kernel_file(gpu: str, driver: str, version: str, engine_sha256: str) -> Path:
    """Where the kernels of one engine lie, on one GPU with one driver and TensorRT."""
    key = "\n".join((gpu, driver, version, engine_sha256))
    return cache_dir() / "kernels" / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}{_SUFFIX}"


def read_kernels(path: Path) -> bytes | None:
    """The file's content; None where there is none that can be read, or more than is ever kept."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    _mark(path)
    return content or None


def write_kernels(path: Path, content: bytes) -> None:
    """Keeps the content, if the disk takes it: without it, the next start compiles again."""
    with suppress(OSError):
        write_whole(path, content)
        _mark(path)
        _prune(path.parent, MAX_BYTES)


def _mark(path: Path) -> None:
    mark_used(path, path.parent.glob(f"*{_SUFFIX}"))


def _prune(folder: Path, limit: int) -> None:
    kept = 0
    for file in sorted(folder.glob(f"*{_SUFFIX}"), key=last_use, reverse=True):
        kept += file.stat().st_size
        if kept > limit:
            file.unlink()
