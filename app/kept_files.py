"""What the program keeps on this disk, how large it is, how large it may become. No Qt.

What can be made again may be deleted at any time, also while the program runs; every such folder
drops the longest unused beyond its size.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.bundles import bundles_dir
from app.history import history_path
from engines import encodings, kernel_cache, log
from engines.bundle import cache_dir
from engines.engine_trust import records_path
from engines.prepacked import prepacked_store


@dataclass(frozen=True)
class KeptFiles:
    """One folder, or one file.

    Attributes:
        name: a few words of what it holds.
        path: where it is.
        used_bytes: what it takes.
        limit_bytes: what it may take; None where the user alone decides.
        disposable: it may be deleted at any time.
    """

    name: str
    path: Path
    used_bytes: int
    limit_bytes: int | None
    disposable: bool


def kept_files(prepacked_gb: int | None = None) -> tuple[KeptFiles, ...]:
    """Everything that is kept.

    Args:
        prepacked_gb: what the settings allow; None as `engines.prepacked.prepacked_store`.
    """
    cache, ready = cache_dir(), prepacked_store(prepacked_gb).usage()
    kernels, history, tests = cache / "kernels", history_path(), records_path()
    return (
        KeptFiles("clips as the model gets them", cache / encodings.FOLDER,
                  _size(cache / encodings.FOLDER), encodings.DISK_BYTES, True),
        KeptFiles("graphs made ready for this processor", ready.folder,
                  _size(ready.folder), ready.limit_bytes, True),
        KeptFiles("GPU kernels", kernels, _size(kernels), kernel_cache.MAX_BYTES, True),
        KeptFiles("log", log.log_dir(), _size(log.log_dir()), log.FILES * log.FILE_BYTES, True),
        KeptFiles("imported models", bundles_dir(), _size(bundles_dir()), None, False),
        KeptFiles("tests of GPU engines", tests, _size(tests), None, False),
        KeptFiles("history", history, sum(map(_size, _with_companions(history))), None, False),
    )  # fmt: skip


def _with_companions(file: Path) -> Iterator[Path]:
    yield from (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm"))


def _size(path: Path) -> int:
    """Bytes of a file or of all in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    with suppress(OSError):
        if not path.is_dir():
            return path.lstat().st_size
        for file in path.rglob("*"):
            with suppress(OSError):
                total += file.lstat().st_size if not file.is_dir() else 0
    return total
