"""An unfinished bundle on disk, and which steps of it are done: a killed export goes on from there.

`<bundle>.part` lies beside the bundle to be made. It holds `key.json`, what the result depends on;
`bundle/`, the files so far; and a file for every finished step, with what later steps need of it. A
step's file appears whole, by a rename, after the bundle's own files are on the disk; what stands in
`bundle/` beyond it is written again. So the finished bundle is that of an unbroken run, byte by
byte, on the same machine with the same number of threads.
"""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import DeviceError, ExportError, Vl2Error
from export.lock import locked

Array = NDArray[Any]

SUFFIX = ".part"
KEY, LOCK, BUNDLE, REPLACED = "key.json", "lock", "bundle", "replaced"
# In a step's file beside its arrays: everything else, as JSON.
FACTS = "facts"
# Among the facts: the bundle's files at that moment and their sizes; they may have grown since.
FILES = "files"


class NotPublishedError(ExportError):
    """All is as it should be, but the user must agree before it is published."""


# What is finished is not wrong for these; all other errors of ours are found again by going on.
KEPT_ERRORS = (NotPublishedError, DeviceError)


class Unfinished:
    """The folder of one export.

    Attributes:
        target: The bundle to be made.
        folder: Where its parts are.
        bundle: What will get the target's name.
        dropped: Whether what an earlier run left could not be used.
        over: Whether nothing of the folder is wanted any more.
    """

    def __init__(self, target: Path, key: Mapping[str, Any]) -> None:
        """Open what an earlier run with the same key left, or start anew."""
        self.target = target
        self.folder = part_folder(target)
        self.bundle = self.folder / BUNDLE
        self.dropped = False
        self.over = False
        self.folder.mkdir(exist_ok=True)
        _undo_half_a_replacement(target)
        if _read_json(self.folder / KEY) != json.loads(json.dumps(key)):
            self.dropped = bool(self._steps())
            self._empty()
            _write_json(self.folder / KEY, key)
        self.bundle.mkdir(exist_ok=True)

    @property
    def resumed(self) -> bool:
        """Whether there are finished steps."""
        return bool(self._steps())

    def load(self, step: str) -> tuple[dict[str, Any], dict[str, Array]] | None:
        """Return a finished step's facts and arrays; None where it is not finished."""
        try:
            # By way of memory: NumPy leaves a damaged file open.
            data = io.BytesIO(self._path(step).read_bytes())
            with np.load(data, allow_pickle=False) as file:
                arrays = dict(file)
            facts: dict[str, Any] = json.loads(str(arrays.pop(FACTS)))
            files: dict[str, int] = facts.pop(FILES)
            there = all((self.bundle / name).stat().st_size >= n for name, n in files.items())
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        return (facts, arrays) if there else None

    def save(self, step: str, facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Say that a step is finished, when all that it wrote is on the disk.

        Raises:
            OSError: the disk is full or failed.
        """
        files = {path.name: path.stat().st_size for path in sorted(self.bundle.iterdir())}
        for name in files:
            _to_disk(self.bundle / name)
        text = json.dumps({**facts, FILES: files})
        partial = self.folder / "step.tmp"
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **{FACTS: np.asarray(text), **arrays})
        _to_disk(partial)
        partial.replace(self._path(step))

    def step(self, name: str, run: Callable[[], Mapping[str, Array]]) -> Mapping[str, Array]:
        """Run a step that makes arrays alone, or take what an interrupted run made of it."""
        found = self.load(name)
        if found is not None:
            return found[1]
        made = run()
        self.save(name, {}, made)
        return made

    def publish(self) -> None:
        """Give the finished bundle its name, in the place of an older one if there is one."""
        for path in self.bundle.iterdir():
            _to_disk(path)
        if self.target.exists():
            self.target.rename(self.folder / REPLACED)
        self.bundle.rename(self.target)
        self.over = True

    def _path(self, step: str) -> Path:
        return self.folder / f"{step}.npz"

    def _steps(self) -> list[Path]:
        return sorted(self.folder.glob("*.npz"))

    def _empty(self) -> None:
        # The steps first: what they speak of must not go before them.
        for path in [*self._steps(), self.folder / KEY]:
            path.unlink(missing_ok=True)
        shutil.rmtree(self.bundle, ignore_errors=True)


@contextmanager
def unfinished_bundle(
    target: Path, key: Mapping[str, Any], say: Callable[[str], None]
) -> Iterator[Unfinished]:
    """Work on a bundle; keep what is finished if the work is broken off, but not if it is wrong.

    Args:
        target: The bundle to be made.
        key: All that its bytes depend on.
        say: Told what becomes of what is finished.

    Raises:
        ExportError: another process is at work on it, or the disk is full or failed.
    """
    folder = part_folder(target)
    busy = f"Another process is making {target}; wait for it, or choose another name with -o."
    try:
        folder.mkdir(exist_ok=True)
        with locked(folder / LOCK, busy):
            work = Unfinished(target, key)
            if work.dropped:
                say("what an earlier export left is of other files or options: begun anew")
            if work.resumed:
                say(f"going on from what an interrupted export left in {folder}")
            try:
                yield work
            except BaseException as error:
                _decide(work, error, say)
                raise
            finally:
                # The lock goes with it: whoever opened it before does not take it for one any more.
                if work.over:
                    shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise disk_failed(error, target) from error
    finally:
        _remove_lock_on_windows(folder)


def _decide(work: Unfinished, error: BaseException, say: Callable[[str], None]) -> None:
    """Keep what is finished, unless that is nothing, or what went wrong would go wrong again."""
    if work.over:
        return
    wrong = isinstance(error, Vl2Error) and not isinstance(error, KEPT_ERRORS)
    work.over = wrong or not work.resumed
    if not work.over:
        say(f"what is finished is kept in {work.folder}: the same command goes on from there")


def _remove_lock_on_windows(folder: Path) -> None:
    """Remove what a folder that is not wanted any more has left: no open file goes there."""
    if os.name == "nt":
        with suppress(OSError):
            if [path.name for path in folder.iterdir()] == [LOCK]:
                (folder / LOCK).unlink()  # Refused while another process holds it.
                folder.rmdir()


def disk_failed(error: OSError, target: Path) -> ExportError:
    """Return the sentence for a disk that is full or failed."""
    reason = (error.strerror or str(error)).lower()
    place = str(error.filename or part_folder(target))
    # The unfinished bundle and the state of a quantisation are siblings named after it.
    if place.startswith(str(target)):
        return ExportError(
            f"{target} could not be written ({reason}); free space or choose another place with -o."
        )
    return ExportError(f"{place} could not be read ({reason}); check the disk and the permissions.")


def file_facts(paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Return what changes when a file does: its name, size and time."""
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def part_folder(target: Path) -> Path:
    """Return where a bundle is made."""
    return target.with_name(target.name + SUFFIX)


def _undo_half_a_replacement(target: Path) -> None:
    """Give an older bundle its name back if `publish` was killed between its two renames."""
    older = part_folder(target) / REPLACED
    if not older.exists():
        return
    if target.exists():
        shutil.rmtree(older)
    else:
        older.rename(target)


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps(data, indent=1), encoding="utf-8")
    _to_disk(partial)
    partial.replace(path)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
