"""The program with its window as a process of its own: started, spoken to from outside, ended."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app import window_main
from app.history import history_path
from app.settings import settings_path
from engines.errors import WindowError
from engines.log import log_dir
from tests.desktop import CLIP, asked_of
from tests.screen import PATIENCE_S, Hands, answers, missing_screen, screen, until

pytestmark = pytest.mark.gui

ROOT = Path(__file__).parents[2]


def recent() -> list[str]:
    try:
        return json.loads(settings_path().read_bytes())["recent"]
    except (OSError, ValueError):
        return []


def written() -> str:
    """The log of the programs so far."""
    return "".join(file.read_text() for file in log_dir().glob("log*.txt"))


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
    fourth = run("--safe-mode")
    until(lambda: written().count(" shown ") == 2)
    fifth = run("open", clips[0])
    assert fifth.wait(PATIENCE_S) == 0
    until(lambda: recent() == [str(clips[0]), str(clips[1])])
    assert fourth.poll() is None


def test_a_killed_window_is_followed_by_a_question_and_a_closed_one_is_not(run, home) -> None:
    first = run("open", CLIP)
    until(lambda: " loaded " in written())
    first.kill()
    first.wait()
    second = run("open", CLIP)
    until(lambda: written().count(" shown ") == 2)
    assert "ended_badly_before=True safe_mode=False" in written()
    assert written().count(" loaded ") == 1  # It waits for the answer.
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE_S) == 0
    third = run("open", CLIP)
    until(lambda: written().count(" loaded ") == 2)
    assert written().count("ended_badly_before=False safe_mode=False") == 2
    third.send_signal(signal.SIGTERM)
    assert third.wait(PATIENCE_S) == 0
    assert "made=0 refused=0 cameras=0" in written().splitlines()[-1]


def test_safe_mode_is_not_for_a_window_that_is_open(run) -> None:
    run("--safe-mode")
    until(lambda: " shown " in written())
    second = run("open", "--safe-mode")
    assert second.wait(PATIENCE_S) == 1
    assert second.stderr.read().startswith("vl2: The window is open already")


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
    if missing_screen():
        pytest.fail(f"{missing_screen()} is missing; make_desktop.sh installs it")
    with screen() as name:
        yield name


def test_keys_pressed_from_outside_ask_and_quit(run, display, home) -> None:
    first, second = asked_of(CLIP.name)[:2]
    process = run("open", CLIP, QT_QPA_PLATFORM="xcb", DISPLAY=display)
    hands = Hands(display)
    hands.ask(first["question"])
    until(lambda: answers(history_path()) == [first["answer"]])
    # The palette is found, filled in and run by keys alone: it begins another conversation. Whoever
    # types faster than the program works loses no letter: here it does nothing meanwhile.
    hands.press("ctrl+shift+p")
    hands.type("new conversation")
    process.send_signal(signal.SIGSTOP)
    hands.press("Return")
    hands.type(second["question"])
    hands.press("Return")
    process.send_signal(signal.SIGCONT)
    both = sorted([first["answer"], second["answer"]])
    until(lambda: sorted(answers(history_path())) == both)
    hands.press("ctrl+q")
    assert process.wait(PATIENCE_S) == 0
    assert "Traceback" not in process.stderr.read()
