"""`vl2 doctor --report`: what helps to find an error, and not a word of what the user did."""

import json
import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QPushButton

from app import report_file, settings
from app.cli import main
from app.widgets.stray_errors import StrayErrors
from assets import demo_bundle
from engines import log, offline
from engines.errors import StoreError
from tests.desktop import CLIP, Desktop, asked_of

pytestmark = pytest.mark.gui

# In everything that a person may write or own.
CANARY = "zebrafish"


@pytest.fixture
def window_log(home):
    """This process writes the log, as the window's does."""
    log.begin("window")
    yield log.log_dir()
    log.end()


def everything(folder: Path) -> str:
    return "".join(file.read_text("utf-8", "replace") for file in sorted(folder.iterdir()))


def test_it_says_what_is_here_and_what_is_in_it(capfd, tmp_path) -> None:
    assert main(["doctor", "--report", str(tmp_path / "r.txt")]) == 0
    assert "Not in it: questions" in capfd.readouterr().out
    text = (tmp_path / "r.txt").read_text()
    for heading in ("This computer", "Versions", "Settings that differ", "Models", "Log"):
        assert f"== {heading}" in text
    assert "onnxruntime: 1." in text
    assert "Connections made: 0 (refused: " in text  # other tests try to reach somebody
    assert "demo: " in text
    assert text.startswith("VL2 Desktop, report")


def test_a_file_is_only_replaced_when_that_is_wanted(capfd, tmp_path) -> None:
    path = tmp_path / "r.txt"
    path.write_text("mine")
    assert main(["doctor", "--report", str(path)]) == 1
    assert "already" in capfd.readouterr().err
    assert path.read_text() == "mine"
    assert main(["doctor", "--report", str(path), "--overwrite"]) == 0
    assert "== Versions" in path.read_text()
    assert list(tmp_path.glob("*.tmp")) == []


def test_a_place_that_does_not_take_it_is_one_sentence(capfd, tmp_path) -> None:
    assert main(["doctor", "--report", str(tmp_path / "none" / "r.txt")]) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "cannot be written" in said
    with pytest.raises(StoreError):
        report_file.write_report(tmp_path, "text", overwrite=True)


def test_settings_are_told_without_their_texts(tmp_path) -> None:
    mine = settings.Settings(
        theme="dark", bundle=f"/home/{CANARY}", recent=(f"/{CANARY}.mp4",), temperature=0.5,
        unknown={CANARY: CANARY},
    )  # fmt: skip
    text = report_file.report_text({}, mine, [], [])
    assert "theme: dark" in text
    assert "temperature: 0.5" in text
    assert "bundle: set" in text
    assert "recent: 1 entries" in text
    assert "unknown keys: 1" in text
    assert "exact" not in text
    assert CANARY not in text


def test_nothing_that_a_person_wrote_or_owns_is_in_log_or_report(
    qtbot, qapp, home, tmp_path, window_log
) -> None:
    folder = tmp_path / f"{CANARY} folder"
    folder.mkdir()
    clip = folder / f"my {CANARY}.mp4"
    clip.write_bytes(CLIP.read_bytes())
    broken = folder / f"broken.{CANARY}"
    broken.write_bytes(b"no film" * 100)
    path = settings.settings_path()
    settings.save(
        replace(settings.Settings(), bundle_folders=(str(folder),), unknown={CANARY: CANARY}), path
    )
    desktop = Desktop(qtbot, qapp)
    window = desktop.window
    answer = ""
    try:
        desktop.open(clip)
        answer = desktop.ask(asked_of(CLIP.name)[0]["question"])
        desktop.ask(f"Who is {CANARY}?")
        window.open_clip(broken)
        desktop.until(lambda: broken.name in desktop.error())
        # A camera that is not there, by an address with a name and a password.
        address = f"rtsp://{CANARY}:{CANARY}@127.0.0.1:9/{CANARY}"
        refused = []
        window.live.recording.refused.connect(refused.append)
        window.live.recording.start(address, None, window.live.page.devices.wish())
        desktop.until(lambda: refused or window.live.recording.on)
        window.live.recording.forget()
        # A bundle that cannot be loaded.
        bad = folder / f"{CANARY}.vl2"
        bad.mkdir()
        (bad / "manifest.json").write_text(f'{{"name": "{CANARY}"}}')
        window.desk.use(bad)
        desktop.until(lambda: any(CANARY in text for text in desktop.views.notices.texts()))
        # Exceptions that nobody caught, with a name in their message.
        stray = StrayErrors(window.say, window)
        try:
            int(f"{CANARY} at {clip}")
        except ValueError as error:
            stray.caught(ValueError, error, error.__traceback__)
        try:
            (folder / f"{CANARY}.txt").read_text()
        except OSError as error:
            what = (OSError, error, error.__traceback__, threading.current_thread())
            stray.caught_in_thread(threading.ExceptHookArgs(what))
        qtbot.waitUntil(lambda: any("unforeseen" in t for t in desktop.views.notices.texts()))
    finally:
        desktop.close()
    out = tmp_path / "report.txt"
    assert main(["doctor", str(bad), "--report", str(out)]) == 0
    written = everything(window_log) + out.read_text()
    for event in ("loaded", "answered", "job_failed", "unforeseen", "clip live="):
        assert f" {event}" in written
    assert "ending=mp4" in written
    assert "ending=other" in written
    assert "error=ValueError" in written
    assert len(answer) > 10
    assert answer not in written
    for secret in (CANARY, str(home), str(tmp_path), "127.0.0.1", os.uname().nodename):
        assert secret not in written, secret


def test_the_help_menu_saves_it_and_shows_where_it_is(qtbot, qapp, home, tmp_path, monkeypatch):
    path, chosen, opened = tmp_path / f"{CANARY} ü.txt", [None], []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(chosen[0] or ""), ""))
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    desktop = Desktop(qtbot, qapp)
    try:
        notices, command = desktop.views.notices, desktop.window.commands.report
        help_menu = desktop.window.menuBar().actions()[-1].menu()
        assert command in help_menu.actions()
        command.trigger()
        assert command.isEnabled()  # nothing was chosen
        chosen[0] = path
        command.trigger()
        assert not command.isEnabled()
        desktop.until(command.isEnabled)
        (said,) = (text for text in notices.texts() if str(path) in text)
        assert "read it before you send it" in said
        text = path.read_text("utf-8")
        assert text.startswith("VL2 Desktop, report")
        assert "== Log, the last lines" in text
        assert CANARY not in text
        button = next(one for one in notices.findChildren(QPushButton) if one.text() == "Read it")
        button.click()
        assert opened == [str(path)]
        assert any("opens" in text for text in notices.texts())  # openUrl gave None: it did not
        chosen[0] = tmp_path / "none" / "r.txt"
        command.trigger()
        desktop.until(command.isEnabled)
        assert any("cannot be written" in text for text in notices.texts())
        # One that is still being written when the window closes is given up.
        chosen[0] = path
        command.trigger()
    finally:
        desktop.close()
    assert path.read_text("utf-8").startswith("VL2 Desktop, report")
    assert list(tmp_path.glob("*.tmp")) == []


def test_a_killed_child_is_in_the_log_by_its_end_alone(home, tmp_path) -> None:
    code = (
        "import sys; from pathlib import Path; from engines import log, media, media_process;"
        "from engines.errors import MediaError; log.begin('engine');"
        "child = media_process._start(); child.process.kill(); child.process.wait();"
        "path = Path(sys.argv[1]); child.clip = (str(path), media_process.file_stamp(path));"
        "print(media_process._death(child, path))"
    )
    clip = tmp_path / f"{CANARY}.webm"
    clip.write_bytes(b"x" * 77)
    done = subprocess.run(
        [sys.executable, "-c", code, str(clip)], capture_output=True, text=True, check=True
    )
    assert CANARY in done.stdout
    written = everything(log.log_dir())
    assert "media_child_died code=-9" in written
    assert "ending=webm bytes=77" in written
    assert CANARY not in written


def test_the_log_in_the_report_cannot_move_a_cursor(home, tmp_path) -> None:
    log.log_dir().mkdir(parents=True)
    (log.log_dir() / "log.txt").write_bytes(b"\x1b[2J\x07 \xff line\n")
    text = report_file.report_text({}, settings.Settings(), [], [])
    assert text.isprintable() or set(filter(lambda c: not c.isprintable(), text)) == {"\n"}


def test_doctor_tells_what_is_kept_and_what_the_last_window_counted(capfd, home) -> None:
    log.begin("window")
    log.note("end", s=1.0, **vars(offline.Connections(1, 2, 3)))
    log.end()
    capfd.readouterr()
    assert main(["doctor"]) == 0
    out = capfd.readouterr().out
    now = offline.connections()  # Tests before this one may have been refused some.
    assert f"Connections made: {now.made} (refused: {now.refused}) by this command" in out
    assert "closed last: 1 (refused: 2, streams of cameras: 3)" in out
    assert out.count("may be deleted at any time") == 4
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert {one["name"] for one in found["kept"] if one["disposable"]} >= {"log", "GPU kernels"}
    assert found["connections"] == vars(now)


def test_doctor_changes_nothing(capfd, home) -> None:
    path = settings.settings_path()
    path.parent.mkdir(parents=True)
    path.write_text("{ damaged")
    assert main(["doctor"]) == 0
    assert path.read_text() == "{ damaged"
    assert stat.S_ISREG(path.lstat().st_mode)
    assert demo_bundle().is_dir()
