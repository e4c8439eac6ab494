"""The log: what the program did and what failed in it; nothing of what the user did with it.

A line is an event and facts, each a number or a word of ours. What could say something about a
person is never given to it: no questions, answers, names or places of files, cameras or computers.
Of an exception it gets the kind and where in our code it was raised, but never the message, which
names files; of a clip the ending, the size and the kind.

Nothing is written before `begin`. Every line is written by itself, so that several processes can
share the file and the folder may be deleted at any time; a disk that is full is no error.
"""

import errno
import faulthandler
import os
import re
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from platformdirs import user_log_path

from engines.file_lock import only_writer, own_folder
from engines.version import VERSION

FILE_BYTES = 512 << 10
# The file that is written and those before it: log.txt, log.1.txt, log.2.txt.
FILES = 3
MAX_LINE = 2000
MAX_WORD = 120
MAX_FRAMES = 12
MAX_CRASH_BYTES = 64 << 10
Fact = str | int | float | bool | None
_PACKAGES = frozenset({"app", "engines", "export", "quant", "assets"})
_ROOT = Path(__file__).parents[1]
# No slash of either kind, no @, no quotes: what is left of a path or an address is no address.
_ODD = re.compile(r"[^A-Za-z0-9 _.,:;+%()<>-]")
# Any other ending of a clip's may be a part of its name.
_ENDINGS = frozenset(
    ("mp4", "m4v", "mkv", "webm", "mov", "avi", "mpg", "mpeg", "ts", "mts", "m2ts", "wmv", "flv",
     "3gp", "ogv", "gif", "png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "avif", "wav", "mp3",
     "flac", "ogg", "oga", "opus", "m4a", "aac", "wma", "aiff", "aif")
)  # fmt: skip
# Somebody else may have written in the file: nothing that moves a terminal's cursor.
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\n]")
_FAULT = re.compile(r'File "([^"\n]+)", line (\d+) in (\S+)')


class _Writer:
    """The file, and who writes."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.lock = threading.Lock()
        self.crash: BinaryIO | None = None

    def write(self, line: str) -> None:
        content = f"{line[:MAX_LINE]}\n".encode("ascii", "replace")
        with self.lock, suppress(OSError):
            own_folder(self.folder)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            place = os.open(_file(self.folder, 0), flags, 0o600)
            try:
                os.write(place, content)
                size = os.fstat(place).st_size
            finally:
                os.close(place)
            if size >= FILE_BYTES:
                self._turn()

    def _turn(self) -> None:
        """The file becomes the one before; the oldest goes."""
        with only_writer(self.folder / "log.lock") as alone:
            if not alone or _file(self.folder, 0).stat().st_size < FILE_BYTES:
                return  # Another process does it, or has done it.
            for age in range(FILES - 1, 0, -1):
                with suppress(FileNotFoundError):
                    _file(self.folder, age - 1).replace(_file(self.folder, age))


_writer: _Writer | None = None


def log_dir() -> Path:
    """Where this user's log lies; safe to delete."""
    return user_log_path("vl2-desktop", appauthor=False)


def begin(program: str, folder: Path | None = None) -> None:
    """Write from now on what this process notes, and what it crashes with.

    Args:
        program: "window" or "engine": which of ours this process is.
        folder: where to; None is the user's.
    """
    global _writer  # noqa: PLW0603 (one log for a process, as there is one stderr)
    _writer = _Writer(program, folder or log_dir())
    note("start", version=VERSION, python=sys.version.split()[0], system=sys.platform)
    with suppress(OSError):
        _hear_crashes(_writer)


def end() -> None:
    """Write nothing any more."""
    global _writer
    writer, _writer = _writer, None
    if writer is not None and writer.crash is not None:
        faulthandler.disable()
        writer.crash.close()


def hear_crashes() -> bool:
    """Write of a crash again, after somebody else heard them; False if nothing is written here."""
    if _writer is None or _writer.crash is None:
        return False
    faulthandler.enable(_writer.crash)
    return True


def note(event: str, **facts: Fact) -> None:
    """Write one line.

    Args:
        event: what happened, a word of ours.
        facts: numbers, and words of ours: never a text of the user's, of a file or of a model.
    """
    writer = _writer
    if writer is None:
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    said = " ".join(f"{name}={_word(value)}" for name, value in facts.items() if value is not None)
    writer.write(f"{now} {writer.program} {os.getpid()} {event} {said}".rstrip())


def failure(event: str, error: BaseException, **facts: Fact) -> None:
    """Write what was raised and where in our code; never its message."""
    number = error.errno if isinstance(error, OSError) else None
    reason = errno.errorcode.get(number) if number is not None else None
    note(event, **facts, error=type(error).__name__, errno=reason, at=_frames(error.__traceback__))
    if error.__cause__ is not None:
        cause = error.__cause__
        note(f"{event}_cause", error=type(cause).__name__, at=_frames(cause.__traceback__))


def clip_facts(path: Path) -> dict[str, Fact]:
    """What may be said of a clip: ending and size."""
    ending = path.suffix.lower().removeprefix(".")
    facts: dict[str, Fact] = {"ending": ending if ending in _ENDINGS else "other"}
    with suppress(OSError, ValueError):
        facts["bytes"] = path.stat().st_size
    return facts


def tail(limit: int, folder: Path | None = None) -> str:
    """The last lines of the log, whole ones, at most so many bytes; "" where there is none."""
    folder = folder or log_dir()
    found: list[bytes] = []
    missing = limit
    for age in range(FILES):
        with suppress(OSError):
            content = _file(folder, age).read_bytes()[-missing:] if missing > 0 else b""
            missing -= len(content)
            found.insert(0, content)
    text = b"".join(found).decode("ascii", "replace")
    if missing <= 0:  # The first line is likely not whole.
        text = text.partition("\n")[2]
    return _UNPRINTABLE.sub("?", text)


def _file(folder: Path, age: int) -> Path:
    return folder / ("log.txt" if age == 0 else f"log.{age}.txt")


def _word(value: Fact) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, _Frames):
        return str(value)
    text = _ODD.sub("?", str(value))[:MAX_WORD]
    return f"'{text}'" if " " in text else text


class _Frames(str):
    """Places in our code, which may hold a slash."""

    __slots__ = ()


def _frames(trace: TracebackType | None) -> _Frames:
    found = [
        _frame(entry.filename, entry.lineno or 0, entry.name)
        for entry in traceback.extract_tb(trace)
    ]
    return _joined(found)


def _joined(frames: list[str]) -> _Frames:
    kept: list[str] = []
    for frame in frames:
        if frame != "..." or not kept or kept[-1] != "...":
            kept.append(frame)
    return _Frames(">".join(kept[-MAX_FRAMES:]))


def _frame(filename: str, line: int, function: str) -> str:
    """A place in our code; "..." for any other, whose path would say where it is installed."""
    path = Path(filename)
    with suppress(ValueError):
        path = path.relative_to(_ROOT)
    # A frozen program's files are named from the package on.
    if path.is_absolute() or path.parts[:1] == () or path.parts[0] not in _PACKAGES:
        return "..."
    place = _ODD.sub("?", path.as_posix().replace("/", ":")).replace(":", "/")
    return f"{place}:{line}:{_ODD.sub('?', function)}"


def _hear_crashes(writer: _Writer) -> None:
    """Have Python write where a crash happened; what the one before wrote goes into the log."""
    path = writer.folder / f"{writer.program}.crash"
    with suppress(FileNotFoundError), path.open("rb") as file:
        text = file.read(MAX_CRASH_BYTES).decode("utf-8", "replace")
        if text:
            kind = text.partition("\n")[0].partition(":")[2].strip()
            found = [_frame(name, int(line), place) for name, line, place in _FAULT.findall(text)]
            # Unlike a traceback, it names the innermost call first.
            note("crashed_before", kind=kind, at=_joined(found[MAX_FRAMES::-1]))
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    writer.crash = os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)
    faulthandler.enable(writer.crash)
