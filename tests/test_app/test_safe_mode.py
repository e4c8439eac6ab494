"""Safe mode: what it leaves out, how it is shown, offered after a bad end, and left again."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox

from app import settings
from app.cli import build_parser, main
from tests.desktop import CLIP, Desktop, asked_of

pytestmark = pytest.mark.gui

FIRST = asked_of(CLIP.name)[0]


@pytest.fixture
def start(qtbot, qapp, monkeypatch):
    """Makes the window, not started by itself."""
    opened = []

    def begin() -> Desktop:
        from app.widgets.window import MainWindow

        with monkeypatch.context() as patch:
            patch.setattr(MainWindow, "start", lambda *_: None)
            opened.append(Desktop(qtbot, qapp))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def box(desktop: Desktop) -> QMessageBox:
    (found,) = desktop.window.findChildren(QMessageBox)
    return found


def press(desktop: Desktop, text: str) -> None:
    (button,) = (b for b in box(desktop).buttons() if text in b.text().replace("&", ""))
    desktop.bot.mouseClick(button, Qt.MouseButton.LeftButton)


def loaded(desktop: Desktop) -> None:
    desktop.until(lambda: desktop.window.desk.info)


def test_only_the_window_has_one(capsys) -> None:
    for arguments in (["--safe-mode", "doctor"], ["--safe-mode", "ask", "a.mp4", "What?"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert build_parser().parse_args(["--safe-mode"]).safe_mode
    assert build_parser().parse_args(["open", "--safe-mode"]).safe_mode
    assert build_parser().parse_args(["--safe-mode", "open", "a.mp4"]).safe_mode
    assert not build_parser().parse_args(["open", "a.mp4"]).safe_mode


def test_it_leaves_out_what_it_says(start) -> None:
    settings.save(settings.Settings(device="tensorrt"), settings.settings_path())
    desktop = start()
    window = desktop.window
    window.start_safely(CLIP)
    loaded(desktop)
    spec = window._link.spec
    assert (spec.device, spec.keep_encodings, spec.prepacked_gb) == ("cpu", False, 0)
    assert desktop.clip() is None
    (notice,) = (text for text in desktop.views.notices.texts() if text.startswith("Safe mode"))
    assert CLIP.name in notice
    assert desktop.views.status._safe.text() == "safe mode"
    assert not window.commands.live_page.isEnabled()
    window.live._start()
    assert not window.live.recording.busy
    # The settings are the user's, and what is opened on purpose is.
    assert window.store.now.device == "tensorrt"
    desktop.open(CLIP)
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]


def test_there_is_a_way_back(start) -> None:
    desktop = start()
    window = desktop.window
    window.start_safely()
    loaded(desktop)
    assert window.commands.leave_safe_mode.isVisible()
    window.commands.leave_safe_mode.trigger()
    assert window._link.spec.device == "auto"
    assert window._link.spec.keep_encodings
    assert window.commands.live_page.isEnabled()
    assert desktop.views.status._safe.isHidden()
    assert not any(text.startswith("Safe mode") for text in desktop.views.notices.texts())
    assert not window.commands.leave_safe_mode.isVisible()
    desktop.open(CLIP)
    assert desktop.ask(FIRST["question"]) == FIRST["answer"]


def test_it_is_offered_and_taken(start) -> None:
    desktop = start()
    desktop.window.ask_how_to_start(CLIP)
    assert not desktop.window._link.alive  # Nothing is loaded before the answer.
    assert "did not end as it should" in box(desktop).text()
    press(desktop, "Safe mode")
    loaded(desktop)
    assert desktop.window.safe_mode.on
    assert desktop.clip() is None


def test_it_is_offered_and_declined(start) -> None:
    desktop = start()
    desktop.window.ask_how_to_start(None)
    desktop.window.come_forward(CLIP)  # a second start, while the question stands
    assert desktop.clip() is None
    desktop.bot.keyClick(box(desktop), Qt.Key.Key_Escape)
    desktop.until(lambda: desktop.clip() == CLIP)
    assert not desktop.window.safe_mode.on


def test_the_window_can_be_closed_instead_of_answering(start) -> None:
    desktop = start()
    desktop.window.ask_how_to_start(None)
    assert desktop.window.close()
    assert not desktop.window.isVisible()
    assert not desktop.window._link.alive
