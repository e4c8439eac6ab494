"""How long the frozen program takes to start, with its files out of memory and in it.

    python -m tests.oracles.frozen_start dist/vl2 --runs 5

Prints one JSON line: medians in seconds. "Cold" means that the system was asked to forget the
files of the program (posix_fadvise), not those of itself.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.screen import Hands, screen

QUESTION = "Which way does the red circle move?"


def forget(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def version(program: Path, home: Path) -> float:
    return _run([program, "--version"], home)


def ask(program: Path, home: Path) -> float:
    clip = program.parent / "_internal" / "assets" / "clips" / "bounce.mp4"
    return _run([program, "ask", clip, QUESTION], home)


def _run(command: list[str | Path], home: Path) -> float:
    started = time.monotonic()
    subprocess.run(
        command, env={"HOME": str(home), "PATH": ""}, check=True, capture_output=True, timeout=300
    )
    return time.monotonic() - started


def window(program: Path, home: Path) -> float:
    """Until the window is on the screen."""
    with screen() as display:
        started = time.monotonic()
        environment = {"HOME": str(home), "PATH": "", "DISPLAY": display}
        process = subprocess.Popen([program], env=environment, stderr=subprocess.DEVNULL)
        hands = Hands(display)
        seconds = time.monotonic() - started
        time.sleep(2)
        hands.press("ctrl+q")
        process.wait(60)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parsed = parser.parse_args()
    program = parsed.program.resolve() / "vl2"
    measured: dict[str, float] = {}
    steps: tuple[Callable[[Path, Path], float], ...] = (version, ask, window)
    for step in steps:
        for cold in (True, False):
            seconds = []
            for _ in range(parsed.runs):
                with tempfile.TemporaryDirectory() as home:
                    if cold:
                        forget(program.parent)
                    seconds.append(step(program, Path(home)))
            name = f"{step.__name__} {'cold' if cold else 'warm'}"
            measured[name] = round(statistics.median(seconds), 2)
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main()
