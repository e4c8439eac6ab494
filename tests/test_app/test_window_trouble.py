"""What goes wrong around the window is one sentence in it, and the window goes on."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app import history, settings
from assets import demo_bundle
from tests.desktop import CLIP, Desktop, asked_of
from tests.unprivileged import read_only, unprivileged

pytestmark = pytest.mark.gui

MEDIA = Path(__file__).parents[1] / "data" / "media"
FIRST = asked_of("bounce.mp4")[0]


@pytest.fixture
def start(qtbot, qapp) -> Iterator[Callable[[], Desktop]]:
    opened: list[Desktop] = []

    def begin() -> Desktop:
        opened.append(Desktop(qtbot, qapp))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_bad_clips_are_one_sentence_in_the_chat(start, tmp_path) -> None:
    whole = (MEDIA / "testsrc.mp4").read_bytes()
    empty_folder = tmp_path / "frames"
    empty_folder.mkdir()
    (empty_folder / "notes.txt").write_text("no picture")
    (tmp_path / "circle.mp4").symlink_to("circle.mp4")
    bad = [
        tmp_path / "missing.mp4",
        tmp_path / "circle.mp4",
        tmp_path / f"{'x' * 300}.mp4",
        empty_folder,
        write(tmp_path / "empty.mp4", b""),
        write(tmp_path / "cut.mp4", whole[: len(whole) // 2]),
        write(tmp_path / "text.mp4", b"This is a letter and not a film.\n" * 100),
        write(tmp_path / "noise.mp4", bytes(range(256)) * 64),
        write(tmp_path / "picture.png", b"\x89PNG\r\n\x1a\n" + bytes(100)),
        write(tmp_path / "sound.wav", b"RIFF" + bytes(100)),
    ]
    desktop = start()
    for clip in bad:
        desktop.drop(clip)
        desktop.until(lambda clip=clip: clip.name in desktop.error())
        sentence = desktop.error()
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert "unforeseen" not in sentence
        # What is asked all the same fails with the same sentence, in the answer's place.
        desktop.type(FIRST["question"])
        desktop.settled()
        assert clip.name in desktop.turns[-1].result["error"]
    desktop.open(CLIP)
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]


def test_odd_pictures_and_sounds_are_answered(start, tmp_path) -> None:
    desktop = start()
    odd = []
    for width, height in ((1, 1), (16000, 2), (2, 16000)):
        odd.append(tmp_path / f"{width}x{height}.png")
        Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(odd[-1])
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        shutil.copy(MEDIA / "test.png", folder / f"{number}.png")
    for clip in (*odd, folder, MEDIA / "test.png", MEDIA / "sweep.wav", MEDIA / "testsrc.mp4"):
        desktop.open(clip)
        assert desktop.error() == ""
        desktop.ask("What is this?")
        assert [turn.status for turn in desktop.turns] == ["done"], clip


def test_damaged_settings_and_history_are_kept_aside_and_said(start) -> None:
    for path in (settings.settings_path(), history.history_path()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x00 not what it should be " * 500)
    desktop = start()
    said = desktop.views.notices.texts()
    assert any("settings-damaged" in text for text in said)
    assert any("history-damaged" in text for text in said)
    desktop.open(CLIP)
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]
    desktop.until(lambda: len(desktop.rows()) == 1)


def test_a_history_that_cannot_be_written_does_not_stop_answers(start, monkeypatch) -> None:
    desktop = start()
    desktop.open(CLIP)
    with sqlite3.connect(history.history_path()) as database:
        database.execute("DROP TABLE turn")
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]
    assert desktop.views.notices.texts()


def test_without_a_history_nothing_is_kept(start) -> None:
    path = settings.settings_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    settings.save(replace(settings.Settings(), history_enabled=False), path)
    desktop = start()
    desktop.open(CLIP)
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]
    assert desktop.turns[0].id < 0
    desktop.close()
    assert start().rows() == []


def test_a_bundle_that_is_deleted_while_in_use(start, tmp_path) -> None:
    bundle = tmp_path / "mine.vl2"
    shutil.copytree(demo_bundle(), bundle)
    path = settings.settings_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    settings.save(replace(settings.Settings(), bundle=str(bundle)), path)
    desktop = start()
    desktop.open(CLIP)
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]
    shutil.rmtree(bundle)
    # What is loaded goes on; when it has to be loaded again, it is said and the demo is offered.
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]
    desktop.window.desk.load()
    desktop.until(lambda: any("mine.vl2" in text for text in desktop.views.notices.texts()))
    (line,) = [one for one in desktop.views.notices._lines if "mine.vl2" in one.text]
    line.action_button.click()
    desktop.until(lambda: desktop.window.desk.info)
    desktop.window.commands.new_conversation.trigger()
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]
    desktop.close()
    assert json.loads(path.read_bytes())["bundle"] == ""


def test_a_model_is_imported_by_dropping_its_folder(start, tmp_path) -> None:
    bundle = tmp_path / "other.vl2"
    shutil.copytree(demo_bundle(), bundle)
    desktop = start()
    desktop.drop(bundle)
    page = desktop.views.models
    desktop.until(lambda: len(page.cards) == 2)
    page.cards[1].useRequested.emit(page.cards[1].path())
    desktop.until(lambda: "other.vl2" in str(desktop.window.desk.info.get("path", "")))
    desktop.open(CLIP)
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]


def test_the_engine_that_keeps_dying_is_not_started_for_ever(start) -> None:
    desktop = start()
    link = desktop.window._link
    deaths: list[bool] = []
    link.died.connect(lambda _, again: deaths.append(again))
    for number in range(4):
        desktop.until(lambda: link.pid is not None)
        before = link.pid
        link._process.kill()
        desktop.until(lambda number=number: len(deaths) == number + 1)
        if deaths[-1]:
            desktop.until(lambda before=before: link.pid not in (None, before))
    assert deaths == [True, True, True, False]
    (line,) = [one for one in desktop.views.notices._lines if one.action_button is not None]
    line.action_button.click()
    desktop.open(CLIP)
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]


def test_a_home_that_cannot_be_written_is_said(tmp_path) -> None:
    home = tmp_path / "read-only"
    home.mkdir()
    # Everything is loaded by a first window: later the account may not read the libraries.
    imports = (
        "from PySide6.QtWidgets import QApplication\n"
        "from app.history import history_path\n"
        "from app.widgets.one_window import OneWindow\n"
        "from app.window_main import make_window\n"
        "application = QApplication([])\n"
        "OneWindow(history_path().parent).listen()\n"
        "first = make_window(application)\n"
        "first.show()\n"
        "first.close()\n"
    )
    program = (
        "for name in ('HOME', 'XDG_CACHE_HOME', 'XDG_DATA_HOME', 'XDG_CONFIG_HOME'):\n"
        "    os.environ[name] = str(path)\n"
        "print(OneWindow(history_path().parent).listen())\n"
        "window = make_window(application)\n"
        "window.show()\n"
        "print(window._history.notice)\n"
        "window.store.failed.connect(print)\n"
        "window.close()\n"
    )
    with read_only(home):
        lines = unprivileged(imports, program, home).splitlines()
    assert lines[0] == "False"
    assert "history" in lines[1]
    assert "settings could not be saved" in lines[2]
    assert list(home.iterdir()) == []
