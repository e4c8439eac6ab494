"""The bundles on this computer: which there are, what they need, and how they come and go.

The demo comes with the program; imported bundles lie in the user's data folder, and only those can
be removed; bundles in further folders are used where they lie. Everything here reads disks: not on
the thread that draws.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from app.bundle_import import copy_bundle, remove_bundle
from app.export_command import ExportChoices, export_command, export_problem, export_progress
from app.memory_need import (
    Need,
    PartDevice,
    PartNeed,
    Verdict,
    human_size,
    need_of,
    part_devices,
    verdict,
)
from app.new_file import place
from assets import demo_bundle
from engines.bundle import MANIFEST, Bundle, Tell, read_bundle
from engines.config import BundleConfig
from engines.errors import BundleError
from engines.machine_memory import Memory, memory_here

__all__ = [
    "ExportChoices",
    "InstalledBundle",
    "Memory",
    "Need",
    "PartDevice",
    "PartNeed",
    "Tell",
    "Verdict",
    "bundles_dir",
    "export_command",
    "export_problem",
    "export_progress",
    "human_size",
    "import_bundle",
    "installed",
    "memory_here",
    "need",
    "part_devices",
    "remove",
    "verdict",
]


@dataclass(frozen=True)
class InstalledBundle:
    """A bundle on this computer, by its manifest; the contents of files are not looked at here.

    Attributes:
        path: its folder.
        name: the model's name, or the folder's where the manifest cannot be read.
        id: SHA-256 of the manifest; "" where it cannot be read.
        config: the manifest; None where it cannot be read.
        size_bytes: of all its files, as they lie there.
        is_demo: it comes with the program.
        removable: it lies in the user's data folder (see `remove`).
        problem: why it cannot be used, in a sentence; None where it can.
    """

    path: Path
    name: str
    id: str
    config: BundleConfig | None
    size_bytes: int
    is_demo: bool
    removable: bool
    problem: str | None = None


def bundles_dir() -> Path:
    """Where imported bundles lie."""
    return user_data_path("vl2-desktop", appauthor=False) / "bundles"


def installed(folders: Sequence[Path] = ()) -> list[InstalledBundle]:
    """The demo, the imported bundles, and those in further folders; each folder once.

    Args:
        folders: each is a bundle or holds some; one that cannot be listed is shown as a problem.
    """
    found = [_look(demo_bundle(), is_demo=True)]
    found += _look_into(bundles_dir(), own=True)
    for folder in folders:
        found += _look_into(folder)
    once: dict[Path, InstalledBundle] = {}
    for bundle in found:
        once.setdefault(place(bundle.path), bundle)
    return list(once.values())


def need(bundle: InstalledBundle, context: int | None = None, exact: bool = False) -> Need:
    """The memory a bundle takes; see `app.memory_need.need_of`.

    Raises:
        BundleError: its manifest cannot be read.
    """
    if bundle.config is None:
        raise BundleError(bundle.problem or f"{bundle.path} cannot be used.")
    return need_of(bundle.config, context, exact)


def import_bundle(
    path: Path,
    tell: Tell = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
    folder: Path | None = None,
) -> InstalledBundle:
    """Copies a bundle into the user's data folder, verified; see `app.bundle_import.copy_bundle`.

    Raises:
        BundleError: it is no bundle, a damaged one, or there already; or the disk does not take it.
        Cancelled: `cancelled` said so.
    """
    target = copy_bundle(path, folder or bundles_dir(), tell, cancelled)
    return _look(target, removable=True)


def remove(path: Path, folder: Path | None = None) -> None:
    """Deletes an imported bundle, nothing else.

    Raises:
        BundleError: it is the demo or lies elsewhere, or cannot be deleted.
    """
    if place(path) == place(demo_bundle()):
        raise BundleError("The demo model is a part of the program and cannot be removed.")
    remove_bundle(path, folder or bundles_dir())


def _look_into(folder: Path, own: bool = False) -> list[InstalledBundle]:
    try:
        single = not own and (folder / MANIFEST).exists()
        inside = [folder] if single else list(_bundles_in(folder))
    except OSError as error:
        if own and isinstance(error, FileNotFoundError):
            return []  # Nothing was imported yet.
        reason = (error.strerror or str(error)).lower()
        sentence = (
            f"The folder {folder} cannot be listed ({reason}); connect its disk and check its"
            " permissions, or take it off the list in the settings."
        )
        return [_broken(folder, sentence)]
    return [_look(path, removable=own and not path.is_symlink()) for path in inside]


def _bundles_in(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        with suppress(OSError):  # A folder that may not be looked into holds no bundle for us.
            if not path.name.startswith(".") and (path / MANIFEST).is_file():
                yield path


def _look(path: Path, is_demo: bool = False, removable: bool = False) -> InstalledBundle:
    try:
        bundle = read_bundle(path)
    except (BundleError, OSError) as error:
        return _broken(path, str(error), is_demo, removable)
    return InstalledBundle(
        path=path,
        name=bundle.config.name,
        id=bundle.id,
        config=bundle.config,
        size_bytes=_size(path),
        is_demo=is_demo,
        removable=removable,
        problem=_missing(bundle),
    )


def _broken(
    path: Path, problem: str, is_demo: bool = False, removable: bool = False
) -> InstalledBundle:
    return InstalledBundle(path, path.name, "", None, _size(path), is_demo, removable, problem)


def _missing(bundle: Bundle) -> str | None:
    """What opening would refuse, as far as sizes tell; what is inside is checked when opened."""
    for name, expected in bundle.config.files.items():
        file = bundle.path / name
        try:
            size = file.stat().st_size
        except OSError:
            return f"The bundle {bundle.path} lacks its file {name}; copy it again or export it."
        if size != expected.size:
            return f"{file} is damaged (its size is wrong); copy the bundle again or export it."
    return None


def _size(path: Path) -> int:
    try:
        return sum(entry.lstat().st_size for entry in path.iterdir())
    except OSError:
        return 0
