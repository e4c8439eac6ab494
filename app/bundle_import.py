"""A bundle copied into the program's own folder, whole and verified, or not at all; and removed."""

import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.memory_need import human_size
from engines.bundle import MANIFEST, Bundle, Tell, read_bundle
from engines.errors import BundleError, Cancelled
from engines.file_lock import own_folder

BLOCK_BYTES = 4 << 20
# For the file system's own needs.
SPARE_BYTES = 32 << 20
PART, GONE = ".importing-", ".removing-"
# What another import still writes to is younger than this.
ABANDONED_S = 3600.0
_ODD = re.compile(r"[^\w .+()-]")


def copy_bundle(source: Path, folder: Path, tell: Tell, cancelled: Callable[[], bool]) -> Path:
    """Copies a bundle into a folder, where it appears under its name when all of it is verified.

    Args:
        source: the bundle's folder; it and its files must be no links.
        folder: where it goes; made if it is not there.
        tell: called with (bytes done, bytes in all).
        cancelled: asked often; True ends the work.

    Returns:
        The bundle's new folder.

    Raises:
        BundleError: it is no bundle, a damaged one, or there already; or the disk does not take it.
        Cancelled: `cancelled` said so. Nothing is left of it then, nor after an error.
    """
    if source.is_symlink():
        raise BundleError(f"{source} is a link; import the folder that it leads to.")
    bundle = read_bundle(source)
    _refuse_copies(bundle, folder)
    with _writing(folder):
        own_folder(folder)
        sweep(folder)
        _check_space(bundle, folder)
        with _part(folder) as part:
            _copy_files(bundle, part, tell, cancelled)
            target = _free_name(folder, bundle)
            part.rename(target)
    return target


def remove_bundle(path: Path, folder: Path) -> None:
    """Deletes a bundle that lies in a folder; it disappears at once.

    Raises:
        BundleError: it is not a bundle in that folder, or cannot be deleted.
    """
    named = path.name != "" and not path.name.startswith(".")
    inside = named and path.parent.resolve() == folder.resolve()
    if not inside or path.is_symlink() or not (path / MANIFEST).is_file():
        raise BundleError(
            f"{path} is not a bundle that was imported, so it is not deleted; delete it yourself if"
            " you want it gone."
        )
    gone = folder / f"{GONE}{secrets.token_hex(6)}"
    try:
        path.rename(gone)
        shutil.rmtree(gone)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be deleted ({_reason(error)}); end what uses it and check the folder's"
            " permissions."
        ) from error


def sweep(folder: Path) -> None:
    """Removes what imports and removals that were killed left behind."""
    for path in [*folder.glob(f"{PART}*"), *folder.glob(f"{GONE}*")]:
        with suppress(OSError):
            last = max(p.lstat().st_mtime for p in (path, *path.rglob("*")))
            # In the future, too: the clock was set back since.
            if abs(time.time() - last) > ABANDONED_S:
                shutil.rmtree(path, ignore_errors=True)


def _refuse_copies(bundle: Bundle, folder: Path) -> None:
    if bundle.path.resolve().parent == folder.resolve():
        raise BundleError(f"{bundle.path} is among the models already; choose it there.")
    for other in folder.glob(f"[!.]*/{MANIFEST}"):  # not what a killed import or removal left
        with suppress(OSError):
            if hashlib.sha256(other.read_bytes()).hexdigest() == bundle.id:
                raise BundleError(
                    f"The same bundle is among the models already, as {other.parent.name}; choose"
                    " it there."
                )


def _check_space(bundle: Bundle, folder: Path) -> None:
    needed = _total(bundle) + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BundleError(
            f"The bundle needs {human_size(needed)} but {folder} has {human_size(free)} free; free"
            " some space first."
        )


def _copy_files(bundle: Bundle, part: Path, tell: Tell, cancelled: Callable[[], bool]) -> None:
    done, total = 0, _total(bundle)
    tell(0, total)
    for name, expected in bundle.config.files.items():
        digest = hashlib.sha256()
        for block in _copied_blocks(bundle.path / name, part / name, expected.size):
            if cancelled():
                raise Cancelled("The import was stopped.")
            digest.update(block)
            done += len(block)
            tell(min(done, total), total)
        size = (part / name).stat().st_size
        if size != expected.size or digest.hexdigest() != expected.sha256:
            raise BundleError(
                f"{bundle.path / name} is damaged (it is not the file its manifest names); copy the"
                " bundle again or export it."
            )
    # The manifest last, read again: what was checked is what is written.
    text = b"".join(_blocks(bundle.path / MANIFEST))
    if hashlib.sha256(text).hexdigest() != bundle.id:
        raise BundleError(f"{bundle.path} was changed during the import; import it again.")
    with (part / MANIFEST).open("xb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    read_bundle(part)


def _copied_blocks(source: Path, target: Path, limit: int) -> Iterator[bytes]:
    """The blocks of a file while they are copied; stops soon after more than `limit` bytes."""
    with target.open("xb") as file:
        written = 0
        for block in _blocks(source):
            file.write(block)
            written += len(block)
            yield block
            if written > limit:
                break
        file.flush()
        os.fsync(file.fileno())


def _blocks(path: Path) -> Iterator[bytes]:
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    # Neither a link, nor waiting for a pipe that has taken the file's place.
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise BundleError(f"{path} is a link or a folder; put the file itself into the bundle.")
        with os.fdopen(os.open(path, flags), "rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block
    except FileNotFoundError as error:
        raise BundleError(
            f"The bundle {path.parent} lacks its file {path.name}; copy the bundle again or export"
            " it."
        ) from error


@contextmanager
def _part(folder: Path) -> Iterator[Path]:
    part = folder / f"{PART}{secrets.token_hex(6)}"
    part.mkdir(mode=0o700)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        raise BundleError(
            f"The bundle cannot be imported: {place} cannot be read or written ({_reason(error)});"
            " check the disk and the permissions."
        ) from error


def _free_name(folder: Path, bundle: Bundle) -> Path:
    wanted = _ODD.sub("_", bundle.path.resolve().name).strip(" .") or f"bundle-{bundle.id[:12]}"
    target, count = folder / wanted, 1
    while target.exists() or target.is_symlink():
        count += 1
        target = folder / f"{wanted}-{count}"
    return target


def _total(bundle: Bundle) -> int:
    return sum(file.size for file in bundle.config.files.values())


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
