"""A folder that appears whole or not at all: written as a sibling, renamed when it is finished."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.errors import ExportError
from export.unfinished import disk_failed

# Endings, with the process number behind: unlike what a user calls a copy of his own.
PART, OLD = ".part-", ".replaced-"


def check_target(target: Path, replace: bool) -> None:
    """Refuse early what could only fail late.

    Args:
        target: The folder to be made.
        replace: An existing one may be replaced.

    Raises:
        ExportError: the target exists, or has no parent folder.
    """
    if target.exists() and not replace:
        raise ExportError(
            f"{target} exists already; choose another name with -o, or replace it with --force."
        )
    if target.exists() and not (target / "manifest.json").is_file() and not _is_empty(target):
        raise ExportError(f"{target} is not a bundle, so it is not replaced; choose another name.")
    parent = target.absolute().parent
    if not parent.is_dir():
        raise ExportError(f"The folder {parent} does not exist; make it or choose another with -o.")


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """Give a temporary sibling of `target`, and remove it if the work in it does not end well.

    Raises:
        ExportError: the disk is full, or cannot be written.
    """
    part = target.with_name(f"{target.name}{PART}{os.getpid()}")
    try:
        _remove_stale(target)
        part.mkdir()
        yield part
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            raise disk_failed(error, target) from error
        raise


def publish(part: Path, target: Path) -> None:
    """Give the finished folder its name, in the place of an older one if there is one."""
    for path in part.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    old = target.with_name(f"{target.name}{OLD}{os.getpid()}")
    if target.exists():
        target.rename(old)
    part.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _remove_stale(target: Path) -> None:
    """Remove what an export to the same name left behind when it was killed.

    One that was killed between the two renames of `publish` left no target but the older one under
    another name, which gets its own back.
    """
    for path in _left_behind(target, OLD):
        if target.exists():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.rename(target)
    for path in _left_behind(target, PART):
        shutil.rmtree(path, ignore_errors=True)


def _left_behind(target: Path, mark: str) -> list[Path]:
    """Return siblings of a process that is gone, or of one that had this very process's number."""
    start = target.name + mark
    numbers = {
        path: path.name.removeprefix(start)
        for path in sorted(target.absolute().parent.iterdir())
        if path.name.startswith(start)
    }
    own = str(os.getpid())
    return [
        path
        for path, number in numbers.items()
        if number.isdigit() and (number == own or not _runs(number))
    ]


def _runs(process: str) -> bool:
    # Asking is harmless only on POSIX; on Windows a running export's open files resist removal.
    if os.name != "posix" or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is None
