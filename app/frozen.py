"""What the frozen program (`build.spec`) does before anything else is imported.

The GPU pack is a folder `gpu` beside the program, with the packages that drive NVIDIA GPUs
(docs/packaging.md). Code in it runs as the program does, so it is taken only from somebody who
could have changed the program itself, or from this very user.
"""

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

PACK = "gpu"
_state: dict[str, str] = {}


def prepare() -> None:
    """Put the process's surroundings right, and the GPU pack in front where there is one."""
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # a Windows program without a console
            setattr(sys, stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    _restore_library_path()
    _fill_surroundings()
    folder = Path(sys.executable).parent / PACK
    if not folder.is_dir():
        return
    problem = refusal(folder, Path(sys.executable))
    _state["gpu pack"] = problem or "in use"
    if problem is None:
        sys.path.insert(0, str(folder))


def pack_note() -> str:
    """What came of the GPU pack, for `vl2 doctor`; empty where there is none."""
    return _state.get("gpu pack", "")


def refusal(folder: Path, program: Path) -> str | None:
    """Why a GPU pack is not taken, without naming a place on this computer; None where it is.

    Args:
        folder: the pack.
        program: the program's file; who owns it is trusted anyway.
    """
    if sys.platform == "win32":
        return None  # The folder above it decides there who may write.
    trusted = {0, os.getuid(), program.stat().st_uid}
    for place in (folder, *folder.rglob("*")):
        state, name = place.lstat(), place.relative_to(folder.parent).as_posix()
        if stat.S_ISLNK(state.st_mode):
            return f"not used, {name} is a link; put the files themselves there."
        if state.st_uid not in trusted:
            return f"not used, {name} belongs to somebody else; install the pack again yourself."
        if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"not used, others may write to {name}; run: chmod -R go-w {folder.name}"
    return None


def _fill_surroundings() -> None:
    """A home and a locale where there is none: Qt wants both, and complains on the terminal."""
    if sys.platform == "win32":
        return
    if not os.environ.get("HOME"):
        import pwd

        os.environ.pop("HOME", None)
        with suppress(KeyError):
            os.environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
    if sys.platform == "linux" and not any(map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))):
        os.environ["LC_CTYPE"] = "C.UTF-8"


def _restore_library_path() -> None:
    """Other programs that this one starts get the system's libraries, not the ones in here.

    The loader read the variable when this process started; a child of ours sets its own.
    """
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if before is not None:
        os.environ["LD_LIBRARY_PATH"] = before
    elif getattr(sys, "frozen", False):
        os.environ.pop("LD_LIBRARY_PATH", None)
