"""Python processes of our own, spoken to over their stdin and stdout; see `engines.wire`."""

import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, BinaryIO, cast


def command(module: str) -> list[str]:
    """The command line that runs a module of ours; a frozen program knows it as an argument."""
    if getattr(sys, "frozen", False):
        return [sys.executable, argument(module)]
    # Not from the working folder, which may hold anything: only this very package.
    return [sys.executable, "-P", "-m", module]


def argument(module: str) -> str:
    """What tells a frozen program, which has no `python -m`, to be a module of ours."""
    return f"--{module}"


def start(
    module: str,
    variables: Mapping[str, str] | None = None,
    *,
    passed: Collection[str] | None = None,
    quiet: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a module of ours with pipes for stdin and stdout.

    Args:
        module: its full name; it calls `take_pipes` first.
        variables: of its environment, beside this process's own.
        passed: which of this process's own it gets; None: all.
        quiet: it gets no stderr, which may be a terminal that could be read from, too.

    Raises:
        OSError: the system can start no further process.
    """
    flags = 0
    executable: str | None = None
    interpreter: dict[str, str] = {}
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW
        base = getattr(sys, "_base_executable", sys.executable)
        if not getattr(sys, "frozen", False) and base != sys.executable:
            # A virtual environment's python.exe only starts another process, which a job object
            # would not let it; told so, that other one finds the environment by itself.
            executable, interpreter = base, {"__PYVENV_LAUNCHER__": sys.executable}
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {
        name: value
        for name, value in os.environ.items()
        # A frozen program's loader tells itself by variables of its own where it lies.
        if passed is None or name.upper() in passed or name.startswith("_PYI_")
    }
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return subprocess.Popen(
        command(module),
        executable=executable,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A program with a window may have none.
        stderr=subprocess.DEVNULL if quiet or sys.__stderr__ is None else None,
        env={**environment, **interpreter, **(variables or {})},
        creationflags=flags,
        # Ctrl+C on a terminal is this process's to hear: it closes the child.
        start_new_session=sys.platform != "win32",
    )


def pipe(stream: IO[bytes] | None) -> BinaryIO:
    """One end of a child's pipes."""
    if stream is None:
        raise AssertionError("the process was started without pipes")
    return cast(BinaryIO, stream)


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes that stdin and stdout are, for this program alone.

    Afterwards descriptor 0 is empty and 1 is stderr: whatever a library reads or prints, from
    Python or from native code, it does not touch the packets.
    """
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, sink
