"""A window that came to a bad end is noticed by the next one; an open or a closed one is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.sentinel import Sentinel
from tests.unprivileged import public_folder, read_only, unprivileged

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from app.sentinel import Sentinel
sentinel = Sentinel(Path(sys.argv[1]))
print(sentinel.ended_badly, flush=True)
sys.stdin.readline()
sentinel.end()
"""


@pytest.fixture
def window(tmp_path: Path):
    """Starts a process that stands for a window; a line of input ends it well."""
    started = []

    def start() -> subprocess.Popen:
        own = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", HOLD, str(tmp_path)]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, env=own, stdin=pipe, stdout=pipe, text=True))
        started[-1].ended_badly = started[-1].stdout.readline() == "True\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_good_end_leaves_nothing(window, tmp_path) -> None:
    first = window()
    assert not first.ended_badly
    first.communicate("\n")
    assert list(tmp_path.glob("window-*")) == []
    assert not window().ended_badly


def test_a_killed_window_is_told_once(window) -> None:
    first = window()
    first.kill()
    first.wait()
    assert window().ended_badly
    assert not window().ended_badly  # The second still runs, and of the first no more is left.


def test_a_window_that_is_still_open_did_not_crash(window) -> None:
    first = window()
    second = window()
    assert not second.ended_badly
    second.kill()
    second.wait()
    third = window()
    assert third.ended_badly
    first.communicate("\n")
    third.communicate("\n")
    assert not window().ended_badly


def test_after_a_power_cut_the_file_of_a_window_is_there_and_nobody_holds_it(tmp_path) -> None:
    (tmp_path / "window-open-0123456789abcdef.lock").touch()
    sentinel = Sentinel(tmp_path)
    assert sentinel.ended_badly
    sentinel.end()
    assert list(tmp_path.glob("window*")) == []


def test_a_folder_that_takes_nothing_stops_no_start() -> None:
    with public_folder() as place:
        folder = place / "data"
        folder.mkdir()
        (folder / "window-open-0123456789abcdef.lock").touch()
        program = "one = Sentinel(path); print(one.ended_badly); one.end(); Sentinel(path).end()"
        with read_only(folder):
            said = unprivileged("from app.sentinel import Sentinel", program, folder)
        assert len(said.split()) == 1


def test_a_history_beside_it_is_none_of_its_business(tmp_path) -> None:
    (tmp_path / "history-open-0123456789abcdef.lock").touch()
    sentinel = Sentinel(tmp_path)
    assert not sentinel.ended_badly
    sentinel.end()
