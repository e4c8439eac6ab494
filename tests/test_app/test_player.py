"""The player as a user meets it: real clips, real previews, keys and mouse."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.widgets import theme
from app.widgets.player import PlayerPane
from assets import demo_clips
from engines.config import Coverage
from tests.clip_views import preview_of
from tests.clips import MEDIA

pytestmark = pytest.mark.gui

BOUNCE = demo_clips() / "bounce.mp4"
NO_SOUND = demo_clips() / "no-sound.mp4"


@pytest.fixture
def pane(qtbot: QtBot, qapp: QApplication) -> Iterator[PlayerPane]:
    theme.apply(qapp, "light")
    made = PlayerPane()
    qtbot.addWidget(made)
    made.resize(760, 620)
    made.show()
    made.ranges = []
    made.rangeChanged.connect(made.ranges.append)
    yield made
    made.close_clip()


@pytest.fixture
def until(qtbot: QtBot) -> Callable[[Callable[[], object]], None]:
    return lambda condition: qtbot.waitUntil(lambda: bool(condition()))


@pytest.fixture
def bounce(pane: PlayerPane, until: Callable) -> PlayerPane:
    """The pane with a film, its preview and all of it seen and heard."""
    pane.open(BOUNCE, "video")
    preview = preview_of(BOUNCE)
    pane.set_preview(preview)
    pane.set_coverage(Coverage(preview.frame_times_s, ((0.0, 4.0),)))
    until(lambda: not pane.view.image.isNull())
    pane.bar.setFocus()
    return pane


def press(pane: PlayerPane, key: Qt.Key, modifier: Qt.KeyboardModifier | None = None) -> None:
    # To whoever has the focus, as a keyboard does it.
    target = pane.focusWidget() or pane
    QTest.keyClick(target, key, modifier or Qt.KeyboardModifier.NoModifier)


def red(pane: PlayerPane) -> int:
    image = pane.view.image
    return -99 if image.isNull() else image.pixelColor(9, 9).red()


def test_without_a_clip_it_invites(pane: PlayerPane, qtbot: QtBot) -> None:
    assert pane.empty.isVisible()
    assert not pane.bar.isVisible()
    for button, signal in zip(
        pane.empty.buttons(), (pane.openRequested, pane.demoRequested), strict=True
    ):
        with qtbot.waitSignal(signal):
            QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        with qtbot.waitSignal(signal):
            button.setFocus()
            press(pane, Qt.Key.Key_Space)
    assert not any(action.isEnabled() for action in pane.actions())


def test_a_film_shows_picture_times_frames_and_what_the_model_got(bounce: PlayerPane) -> None:
    assert bounce.transport.time.text() == "0:00.00 / 0:04.00"
    assert bounce.status.summary.text() == "The model saw 8 frames · heard all of the sound"
    assert bounce.strip.count() == 8
    assert bounce.strip.isVisible()
    assert bounce.bar.facts.heard_s == ((0.0, 4.0),)
    assert bounce.range_s is None


def test_opening_the_same_clip_twice_and_closing_leaves_nothing(
    pane: PlayerPane, until: Callable
) -> None:
    for _ in range(3):
        pane.open(BOUNCE, "video")
        until(lambda: not pane.view.image.isNull())
    pane.close_clip()
    assert pane.empty.isVisible()
    assert pane.view.image.isNull()
    assert pane.position_s == 0
    pane.set_preview(preview_of(NO_SOUND))  # an answer that comes too late
    assert pane.strip.count() == 0


def test_keys_play_and_move(bounce: PlayerPane, until: Callable) -> None:
    press(bounce, Qt.Key.Key_Space)
    until(lambda: bounce.playing)
    assert bounce.controls.actions["play"].text() == "Pause"
    press(bounce, Qt.Key.Key_K)
    until(lambda: not bounce.playing)
    press(bounce, Qt.Key.Key_Home)
    assert bounce.position_s == 0
    press(bounce, Qt.Key.Key_Right)
    assert bounce.position_s == 4.0
    press(bounce, Qt.Key.Key_Left)
    assert bounce.position_s == 0
    press(bounce, Qt.Key.Key_Period)
    until(lambda: bounce.position_s == pytest.approx(0.04, abs=0.002))
    press(bounce, Qt.Key.Key_End)
    assert bounce.position_s == 4.0


def test_keys_for_speed(bounce: PlayerPane) -> None:
    for key, shown in ((Qt.Key.Key_L, "1.25×"), (Qt.Key.Key_J, "1×"), (Qt.Key.Key_J, "0.75×")):
        press(bounce, key)
        assert bounce.transport.speed.text() == shown
    for _ in range(9):
        press(bounce, Qt.Key.Key_J)
    assert bounce.transport.speed.text() == "0.25×"
    press(bounce, Qt.Key.Key_K, Qt.KeyboardModifier.ShiftModifier)
    assert bounce.transport.speed.text() == "1×"


def test_keys_for_the_range(bounce: PlayerPane) -> None:
    bounce.seek(1.0)
    press(bounce, Qt.Key.Key_I)
    bounce.seek(3.0)
    press(bounce, Qt.Key.Key_O)
    assert bounce.ranges == [(1.0, 4.0), (1.0, 3.0)]
    press(bounce, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert bounce.range_s[1] > 3.0
    assert bounce.transport.range_button.isVisible()
    press(bounce, Qt.Key.Key_Escape)
    assert bounce.ranges[-1] is None
    assert not bounce.transport.range_button.isVisible()
    assert not bounce.controls.actions["clear-range"].isEnabled()


def test_a_range_given_from_outside_is_not_told_back(pane: PlayerPane, until: Callable) -> None:
    pane.open(BOUNCE, "video", (1.0, 2.0))
    pane.set_preview(preview_of(BOUNCE, range_s=(1.0, 2.0)))
    assert pane.range_s == (1.0, 2.0)
    assert pane.position_s == 1.0
    pane.set_range(None)
    assert pane.range_s is None
    assert pane.ranges == []


def test_the_range_is_played_and_played_again(bounce: PlayerPane, until: Callable) -> None:
    bounce.set_range((1.0, 1.3))
    play = bounce.controls.actions["play-range"]
    for _ in range(2):
        play.trigger()
        until(lambda: bounce.playing)
        until(lambda: not bounce.playing)
        assert bounce.position_s == 1.3
    press(bounce, Qt.Key.Key_Space)  # at its end: once more
    until(lambda: bounce.playing and bounce.position_s < 1.3)
    until(lambda: not bounce.playing)
    assert bounce.position_s == 1.3


def test_outside_the_range_it_plays_on(bounce: PlayerPane, until: Callable) -> None:
    bounce.set_range((1.0, 1.3))
    bounce.seek(3.5)
    press(bounce, Qt.Key.Key_Space)
    until(lambda: bounce.playing)
    until(lambda: not bounce.playing)
    assert bounce.position_s == pytest.approx(4.0, abs=0.05)


def test_a_thumbnail_goes_to_its_frame(bounce: PlayerPane) -> None:
    item = bounce.strip.item(3)
    where = bounce.strip.visualItemRect(item).center()
    QTest.mouseClick(bounce.strip.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert bounce.position_s == pytest.approx(bounce.bar.facts.frame_times_s[3])
    assert bounce.strip.now == 3
    press(bounce, Qt.Key.Key_Right)  # the strip's own key
    press(bounce, Qt.Key.Key_Return)
    assert bounce.strip.now == 4


def test_dragging_over_the_timeline_tells_a_range(bounce: PlayerPane) -> None:
    bar = bounce.bar
    y = round(bar.lanes().sound.center().y())
    left = Qt.MouseButton.LeftButton
    QTest.mousePress(bar, left, pos=QPoint(round(bar.scale().x(1)), y))
    QTest.mouseMove(bar, QPoint(round(bar.scale().x(2)), y))
    QTest.mouseMove(bar, QPoint(round(bar.scale().x(3)), y))
    QTest.mouseRelease(bar, left, pos=QPoint(round(bar.scale().x(3)), y))
    assert bounce.ranges == [pytest.approx((1, 3), abs=0.01)]


def test_a_click_on_the_picture_plays_and_pauses(bounce: PlayerPane, until: Callable) -> None:
    QTest.mouseClick(bounce.view, Qt.MouseButton.LeftButton)
    until(lambda: bounce.playing)
    QTest.mouseClick(bounce.view, Qt.MouseButton.LeftButton)
    until(lambda: not bounce.playing)


def test_a_focused_button_keeps_its_space_key(bounce: PlayerPane) -> None:
    forward = bounce.transport.key_users()[2]
    forward.setFocus()
    press(bounce, Qt.Key.Key_Space)
    assert not bounce.playing


def test_typing_elsewhere_is_not_heard(bounce: PlayerPane, qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    bounce.setParent(window)
    field = QWidget(window)
    field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    window.show()
    field.setFocus()
    QTest.keyClick(field, Qt.Key.Key_L)
    assert bounce.transport.speed.text() == "1×"
    bounce.setParent(None)


def test_progress_can_be_cancelled(bounce: PlayerPane, qtbot: QtBot) -> None:
    height = bounce.status.height()
    bounce.set_busy("Looking at frames 3 of 8", 3 / 8)
    assert bounce.status.busy.isVisible()
    assert not bounce.status.summary.isVisible()
    assert bounce.status.progress.value() == 375
    assert bounce.status.height() == height
    with qtbot.waitSignal(bounce.cancelRequested):
        QTest.mouseClick(bounce.status.cancel, Qt.MouseButton.LeftButton)
    bounce.set_busy("Opening", None)
    assert bounce.status.progress.maximum() == 0
    bounce.set_busy(None)
    assert bounce.status.summary.isVisible()


def test_new_options_take_the_coverage_away(bounce: PlayerPane) -> None:
    bounce.set_coverage(None)
    assert bounce.status.summary.text() == "The model gets 8 frames"
    bounce.set_coverage(Coverage((1.0,), (), ("The sound was left out.",)))
    assert bounce.bar.facts.unheard_s == ((0.0, 4.0),)
    assert bounce.status.notes.text() == "The sound was left out."


def test_a_clip_without_sound_says_so(pane: PlayerPane, until: Callable) -> None:
    pane.open(NO_SOUND, "video")
    pane.set_preview(preview_of(NO_SOUND))
    until(lambda: not pane.view.image.isNull())
    until(lambda: pane.transport.volume.toolTip() == "The clip has no sound")
    assert not pane.controls.actions["mute"].isEnabled()
    assert pane.bar.facts.has_sound is False


def test_a_sound_file_shows_its_wave_large(pane: PlayerPane, until: Callable) -> None:
    pane.open(MEDIA / "sweep.wav", "audio")
    pane.set_preview(preview_of(MEDIA / "sweep.wav"))
    pane.set_coverage(Coverage((), ((0.0, 7.5),)))
    until(lambda: pane.bar.lanes().sound.height() > 300)
    assert not pane.view.isVisible()
    assert not pane.strip.isVisible()
    assert pane.status.summary.text() == "The model heard all of the sound"
    pane.bar.setFocus()
    press(pane, Qt.Key.Key_Space)
    until(lambda: pane.position_s > 0.1)
    assert not pane.controls.actions["step-forward"].isEnabled()


def test_a_picture_is_shown_without_a_timeline(pane: PlayerPane, until: Callable) -> None:
    pane.open(MEDIA / "test.png", "image")
    until(lambda: not pane.view.image.isNull())
    pane.set_preview(preview_of(MEDIA / "test.png"))
    pane.set_coverage(Coverage((0.0,) * 8, ()))
    assert pane.status.summary.text() == "The model saw the picture"
    assert not any(part.isVisible() for part in (pane.bar, pane.transport, pane.strip))


def test_a_folder_of_frames_plays(pane: PlayerPane, until: Callable, tmp_path: Path) -> None:
    for number in range(6):
        Image.new("RGB", (64, 48), (number * 40, 0, 0)).save(tmp_path / f"{number}.png")
    pane.open(tmp_path, "frames")
    until(lambda: pane.bar.facts.duration_s == pytest.approx(2.0))
    pane.seek(1.0)
    until(lambda: red(pane) == 120)
    pane.bar.setFocus()
    press(pane, Qt.Key.Key_Period)
    assert pane.position_s == pytest.approx(4 / 3)


def test_an_animation_plays(pane: PlayerPane, until: Callable, tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    frames = [Image.new("RGB", (64, 48), (number * 60, 0, 0)) for number in range(4)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=200)
    pane.open(path, "video")
    pane.set_preview(preview_of(path))
    pane.seek(0.5)
    until(lambda: abs(red(pane) - 120) < 8)


def test_what_cannot_be_played_is_said_and_its_thumbnails_work(
    pane: PlayerPane, until: Callable, tmp_path: Path
) -> None:
    path = tmp_path / "odd.mp4"
    path.write_text("nothing that QtMultimedia knows")
    pane.open(path, "video")
    until(lambda: "odd.mp4 cannot be played here" in pane.view.sentence)
    pane.set_preview(preview_of(BOUNCE))  # the engine's libraries could read it
    until(lambda: not pane.view.image.isNull())
    assert "odd.mp4 cannot be played here" in pane.status.problem.text()
    first = QImage(pane.view.image)
    pane.seek(pane.bar.facts.frame_times_s[5])
    until(lambda: pane.view.image != first)
    assert pane.strip.now == 5
    pane.bar.setFocus()
    press(pane, Qt.Key.Key_Space)
    until(lambda: pane.playing)


@pytest.mark.parametrize("kind", ["video", "image", "audio", "frames"])
def test_a_file_that_is_gone_does_no_harm(
    pane: PlayerPane, until: Callable, tmp_path: Path, kind: str
) -> None:
    pane.open(tmp_path / "gone", kind)
    pane.set_coverage(Coverage())
    until(lambda: pane.view.sentence or pane.status.problem.text())
    pane.show_problem("The clip is gone.")
    assert pane.view.sentence == "The clip is gone."
    assert not pane.bar.isVisible()


def test_every_control_has_a_name_and_a_place_in_the_tab_order(bounce: PlayerPane) -> None:
    bounce.set_range((1.0, 2.0))
    bounce.set_busy("Working", 0.5)
    bounce.resize(1000, 700)
    controls = [
        *(w for w in bounce.findChildren(QAbstractButton) if w.isVisible()),
        *(bounce.transport.volume, bounce.bar, bounce.strip, bounce.view),
    ]
    unnamed = [w for w in controls if not (w.accessibleName() or getattr(w, "text", str)())]
    assert unnamed == []
    for widget in (bounce.bar, bounce.strip, *bounce.transport.key_users()):
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_every_command_is_named_and_its_keys_are_its_own(pane: PlayerPane) -> None:
    keys = [key.toString() for action in pane.actions() for key in action.shortcuts()]
    assert len(keys) == len(set(keys))
    for action in pane.actions():
        assert action.text()
        assert action.objectName()
        assert action.shortcuts()
        assert action.shortcutContext() == Qt.ShortcutContext.WidgetWithChildrenShortcut


@pytest.mark.parametrize("width", [1200, 700, 420, 340])
def test_everything_fits_into_a_narrow_window(bounce: PlayerPane, width: int) -> None:
    bounce.set_range((1.0, 2.0))
    bounce.resize(width, 560)
    QApplication.processEvents()
    assert bounce.width() == width
    right = bounce.transport.width()
    for part in bounce.transport.findChildren(QWidget):
        if part.parent() is bounce.transport and part.isVisible():
            assert part.geometry().right() <= right, part
    assert bounce.transport.time.isVisible()


def test_a_low_window_gives_its_room_to_the_picture(bounce: PlayerPane) -> None:
    bounce.resize(700, 330)
    QApplication.processEvents()
    assert not bounce.strip.isVisible()
    assert bounce.view.height() >= 90
    bounce.resize(700, 600)
    QApplication.processEvents()
    assert bounce.strip.isVisible()


def test_ten_hours_are_only_a_longer_line(pane: PlayerPane, tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    shutil.copy(BOUNCE, path)
    preview = preview_of(BOUNCE)
    ten_hours = 36000.0
    times = tuple(np.linspace(60, ten_hours - 60, 8))
    pane.open(path, "video")
    pane.set_preview(
        type(preview)("video", ten_hours, 25.0, times, preview.thumbnails, preview.peaks)
    )
    assert pane.transport.time.text() == "0:00:00 / 10:00:00"
    assert pane.strip.item(7).text() == "9:59:00"
    pane.grab()


def test_a_film_that_breaks_off_is_told_until_it_plays_again(
    bounce: PlayerPane, until: Callable
) -> None:
    bounce.warm_up().interrupted.emit("bounce.mp4 could not be read: its decoder ended.")
    assert bounce.status.problem.isVisible()
    assert bounce.status.problem.text() == "bounce.mp4 could not be read: its decoder ended."
    QTest.keyClick(bounce.bar, Qt.Key.Key_Space)
    until(lambda: not bounce.status.problem.isVisible())
