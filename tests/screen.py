"""A screen that nobody sees, hands that press keys on it, and what was answered."""

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

# Far more than any step takes, traced and on a busy machine: it only ends a test that hangs.
PATIENCE_S = 300.0
TITLE = "VL2 Desktop"


@contextmanager
def screen() -> Iterator[str]:
    """The name of a new X display."""
    read, write = os.pipe()
    # Not the first that is free: a server that ends takes the socket of its number with it, even
    # when another server has just made that anew. Nor do keys repeat that are held for too long.
    name = f":{100 + os.getpid() % 50_000}"
    command = ["Xvfb", name, "-displayfd", str(write), "-r", "-nolisten", "tcp"]
    command += ["-screen", "0", "1400x900x24"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as told:
        assert told.readline() == f"{name[1:]}\n", "Xvfb does not start"
    try:
        yield name
    finally:
        server.terminate()
        server.wait()


def missing_screen() -> str:
    """What of it this machine lacks; nothing when all is there."""
    return ", ".join(name for name in ("Xvfb", "xdotool") if shutil.which(name) is None)


class Hands:
    """Keys pressed in the one window of a display."""

    def __init__(self, display: str) -> None:
        self.display = display
        # Not by its --sync, which looks twice a second: how long a window takes is measured here.
        until(self._visible)
        self.window = self._visible()[0]
        self.xdotool("windowfocus", "--sync", self.window)

    def xdotool(self, *arguments: str) -> None:
        done = self._run(*arguments)
        assert done.returncode == 0, done.stderr

    def _visible(self) -> list[str]:
        """Windows of ours on the screen; the server may not even be asked for one yet."""
        return self._run("search", "--onlyvisible", "--name", TITLE).stdout.split()

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DISPLAY": self.display}
        return subprocess.run(
            ["xdotool", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def press(self, key: str) -> None:
        self.xdotool("key", key)

    def type(self, text: str) -> None:
        self.xdotool("type", "--delay", "40", text)

    def ask(self, question: str) -> None:
        """Go to the line where questions are written, and write one."""
        self.press("ctrl+l")
        self.type(question)
        self.press("Return")


def answers(history: Path) -> list[str]:
    """The finished answers in a history file; none while there is no such file."""
    try:
        with closing(sqlite3.connect(f"file:{history}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT answer FROM turn WHERE status = 'done'")
            return [answer for (answer,) in found]
    except sqlite3.OperationalError:
        return []


def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait for something; AssertionError where it does not come."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
