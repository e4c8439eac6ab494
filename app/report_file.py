"""The file that a user attaches to a report of an error: `vl2 doctor --report FILE`, or the window.

One text, so that who sends it can read all of it before. Nothing in it says what was asked, about
what, or where anything lies on this computer: settings that hold texts and places are only said to
be set, models are named by the hash of their manifest.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import fields
from importlib import metadata
from pathlib import Path

from app import bundles
from app.bundles import InstalledBundle
from app.kept_files import KeptFiles
from app.memory_need import human_size
from app.new_file import write_file
from app.settings import Settings, field_named
from engines import log
from engines.command import printable
from engines.errors import Cancelled, StoreError
from engines.media_file import shown
from engines.version import VERSION

LOG_BYTES = 256 << 10
_WHAT = """\
VL2 Desktop, report for the maintainers

In this file: what this computer has, versions of libraries, which settings differ from the
default, which models are here (their form, not their name), how much is kept on the disk, and the
last lines of the program's log.
Not in it: questions, answers, clips, names or places of files, addresses of cameras, passwords,
your name or this computer's.
Please read it before you send it.
"""
_LIBRARIES = (
    *("numpy", "onnxruntime", "av", "pillow", "tokenizers", "jinja2", "platformdirs"),
    *("PySide6-Essentials", "PySide6-Addons", "opencv-python-headless", "sounddevice"),
    *("onnxruntime-gpu", "tensorrt-rtx-cu12", "cuda-bindings"),
)


def report_text(
    machine: dict[str, str],
    settings: Settings,
    found: Iterable[InstalledBundle],
    kept: Iterable[KeptFiles],
) -> str:
    """The whole text.

    Args:
        machine: rows of `vl2 doctor` that name no place.
        settings: the user's.
        found: the bundles on this computer.
        kept: what is kept on the disk.
    """
    parts = {
        "This computer": _rows(machine),
        "Versions": _rows({"vl2": VERSION, **dict(_versions())}),
        "Settings that differ from the default": _rows(dict(_changed(settings))),
        "Models": [_model(bundle) for bundle in found],
        "Kept on the disk": [
            f"{one.name}: {human_size(one.used_bytes)}"
            + ("" if one.limit_bytes is None else f" of at most {human_size(one.limit_bytes)}")
            for one in kept
        ],
        "Log, the last lines": log.tail(LOG_BYTES).splitlines() or ["(empty)"],
    }
    made = time.strftime("made %Y-%m-%d %H:%M UTC", time.gmtime())
    lines = [_WHAT + made]
    for heading, rows in parts.items():
        lines += ["", f"== {heading}", *(rows or ["(none)"])]
    return printable("\n".join(lines)) + "\n"


def write_report(path: Path, text: str, overwrite: bool) -> None:
    """Write the text to a file.

    Raises:
        StoreError: there is a file already, or the disk does not take this one.
    """
    try:
        write_file(path, text, overwrite=overwrite)
    except FileExistsError as error:
        raise StoreError(
            f"There is a file {shown(path)} already; choose another name, or add --overwrite."
        ) from error
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise StoreError(
            f"The report cannot be written to {shown(path)} ({reason}); choose another place."
        ) from error


def report_by_command(path: Path, closing: Callable[[], bool]) -> Path:
    """Have `vl2 doctor` write the file, in a process of its own: it loads the inference library.

    Args:
        path: the file; one that is there is replaced.
        closing: asked now and then whether to give up.

    Returns:
        The file.

    Raises:
        StoreError: it cannot be written.
        Cancelled: given up.
    """
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW
    frozen = getattr(sys, "frozen", False)
    command = [sys.executable] if frozen else [sys.executable, "-P", "-m", "app"]
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    with subprocess.Popen(
        [*command, "doctor", "--report", str(path.absolute()), "--overwrite"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        creationflags=flags,
    ) as running:
        while True:
            try:
                _, told = running.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                if closing():
                    _end(running)
                    raise Cancelled from None
    if running.returncode:
        lines = told.decode("utf-8", "replace").splitlines() or ["it said nothing."]
        raise StoreError(lines[-1].removeprefix("vl2: "))
    return path


def _end(running: subprocess.Popen[bytes]) -> None:
    running.terminate()  # It takes away what it has begun to write.
    try:
        running.wait(1)
    except subprocess.TimeoutExpired:
        running.kill()


def _rows(facts: dict[str, str]) -> list[str]:
    return [f"{name}: {value}" for name, value in facts.items()]


def _versions() -> Iterator[tuple[str, str]]:
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)


def _changed(settings: Settings) -> Iterator[tuple[str, str]]:
    default = Settings()
    for one in fields(Settings):
        value = getattr(settings, one.name)
        if value == getattr(default, one.name):
            continue
        if one.name == "unknown":
            yield "unknown keys", str(len(value))
        elif field_named(one.name).kind in ("choice", "bool", "int", "float"):
            yield one.name, str(value)
        elif isinstance(value, tuple):
            yield one.name, f"{len(value)} entries"
        else:
            yield one.name, "set"


def _model(bundle: InstalledBundle) -> str:
    kind = "demo" if bundle.is_demo else "imported" if bundle.removable else "in a further folder"
    config = bundle.config
    if config is None:
        return f"{kind}: its manifest cannot be read"
    state = "" if bundle.problem is None else ", a file is missing or of the wrong size"
    decoder = config.decoder
    return (
        f"{kind}: {bundle.id[:12]}, {config.quantisation.scheme}, {human_size(bundle.size_bytes)},"
        f" {len(config.graphs)} graphs, hidden size {decoder.hidden_size},"
        f" {decoder.num_hidden_layers} layers{', hears' if config.audio else ''}{state}"
    )


def installed_here(settings: Settings) -> list[InstalledBundle]:
    """The bundles that the window would offer."""
    return bundles.installed([Path(folder) for folder in settings.bundle_folders])
