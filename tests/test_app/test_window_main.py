"""The program with its window as a process of its own: started, spoken to from outside, ended."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app import window_main
from app.history import history_path
from app.settings import settings_path
from engines.errors import WindowError
from tests.desktop import CLIP, asked_of

pytestmark = pytest.mark.gui

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def recent() -> list[str]:
    try:
        return json.loads(settings_path().read_bytes())["recent"]
    except (OSError, ValueError):
        return []


@pytest.fixture
def run() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts `vl2` as a user does."""
    started: list[subprocess.Popen] = []

    def start(*arguments: str | Path, **environment: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "app", *(str(argument) for argument in arguments)]
        own = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, env=own, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Clips of the user's own, which the program remembers."""
    made = [tmp_path / "first.mp4", tmp_path / "second.mp4"]
    for path in made:
        path.write_bytes(CLIP.read_bytes())
    return made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_the_window_in_good_order(run, clips, number) -> None:
    process = run("open", clips[0])
    until(lambda: recent() == [str(clips[0])])
    process.send_signal(number)
    assert process.wait(PATIENCE_S) == 0
    assert json.loads(settings_path().read_bytes())["window_geometry"]


def test_a_second_start_hands_its_clip_to_the_first(run, clips) -> None:
    first = run("open", clips[0])
    until(lambda: recent() == [str(clips[0])])
    second = run("open", clips[1])
    assert second.wait(PATIENCE_S) == 0
    until(lambda: recent() == [str(clips[1]), str(clips[0])])
    assert first.poll() is None
    third = run()
    assert third.wait(PATIENCE_S) == 0
    # A program that was killed leaves its socket and lock behind; the next one starts all the same.
    first.kill()
    first.wait()
    fourth = run("open", clips[0])
    until(lambda: recent() == [str(clips[0]), str(clips[1])])
    assert fourth.poll() is None


def test_without_a_screen_one_sentence_says_so(run) -> None:
    process = run(QT_QPA_PLATFORM="", DISPLAY="", WAYLAND_DISPLAY="")
    assert process.wait(PATIENCE_S) == 1
    sentence = process.stderr.read()
    assert sentence.startswith("vl2: There is no screen")
    assert len(sentence.splitlines()) == 1


def test_a_missing_library_is_one_sentence(monkeypatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    monkeypatch.setenv("DISPLAY", ":77")
    monkeypatch.setattr(window_main.ctypes, "CDLL", missing)
    monkeypatch.setattr(window_main.sys, "platform", "linux")
    with pytest.raises(WindowError, match=r"libxcb-cursor.*apt-get install"):
        window_main.check_screen()


@pytest.fixture
def display() -> Iterator[str]:
    """A screen that nobody sees."""
    for program in ("Xvfb", "xdotool"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing; make_desktop.sh installs it")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


def test_keys_pressed_from_outside_ask_and_quit(run, display, home) -> None:
    def xdotool(*arguments: str) -> str:
        environment = {**os.environ, "DISPLAY": display}
        done = subprocess.run(
            ["xdotool", *arguments], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def answers() -> list[str]:
        try:
            with closing(sqlite3.connect(f"file:{history_path()}?mode=ro", uri=True)) as database:
                found = database.execute("SELECT answer FROM turn WHERE status = 'done'")
                return [answer for (answer,) in found]
        except sqlite3.OperationalError:
            return []

    first, second = asked_of(CLIP.name)[:2]
    process = run("open", CLIP, QT_QPA_PLATFORM="xcb", DISPLAY=display)
    window = xdotool("search", "--sync", "--onlyvisible", "--name", "VL2 Desktop").split()[0]
    xdotool("windowfocus", "--sync", window)
    xdotool("key", "--window", window, "ctrl+l")
    xdotool("type", "--delay", "20", first["question"])
    xdotool("key", "Return")
    until(lambda: answers() == [first["answer"]])
    # The palette is found, filled in and run by keys alone: it begins another conversation.
    xdotool("key", "ctrl+shift+p")
    xdotool("type", "--delay", "40", "new conversation")
    xdotool("key", "Return")
    xdotool("type", "--delay", "20", second["question"])
    xdotool("key", "Return")
    until(lambda: sorted(answers()) == sorted([first["answer"], second["answer"]]))
    xdotool("key", "ctrl+q")
    assert process.wait(PATIENCE_S) == 0
    assert "Traceback" not in process.stderr.read()
