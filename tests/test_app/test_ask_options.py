import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QApplication, QSpinBox, QWidget

from app.widgets import theme
from app.widgets.ask_options import AskOptions, AskOptionsBar
from engines.sampling import GenerateOptions

pytestmark = pytest.mark.gui


@pytest.fixture
def bar(qtbot, qapp):
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)  # of the test before
    theme.apply(qapp, "light")
    page = QWidget()  # a window of its own would not get narrower than its words
    made = AskOptionsBar(page)
    made.resize(520, 40)
    page.resize(900, 60)
    qtbot.addWidget(page)
    page.show()
    made.set_model(8, hears=True)
    made.page = page
    return made


def changes(bar: AskOptionsBar) -> list[AskOptions]:
    found: list[AskOptions] = []
    bar.changed.connect(lambda: found.append(bar.options()))
    return found


def test_defaults_are_the_models(bar):
    assert bar.options() == AskOptions()


def test_switch_by_mouse_and_keyboard(bar, qtbot):
    found = changes(bar)
    qtbot.mouseClick(bar._buttons["off"], Qt.MouseButton.LeftButton)
    bar._buttons["only"].setFocus()
    qtbot.keyClick(bar._buttons["only"], Qt.Key.Key_Space)
    bar.modes["only"].trigger()  # chosen already
    assert [options.sound for options in found] == ["off", "only"]
    assert bar.modes["only"].isChecked()
    assert not bar.modes["off"].isChecked()


def test_set_options_tells_nothing(bar):
    found = changes(bar)
    wanted = AskOptions(
        "off",
        16,
        GenerateOptions(temperature=0.7, top_p=0.8, top_k=40, seed=3, max_new_tokens=100),
    )
    bar.set_options(wanted)
    assert bar.options() == wanted
    assert found == []


def test_what_the_clip_lacks_is_disabled_with_the_reason(bar):
    bar.set_clip(has_picture=True, has_sound=False)
    assert bar.modes["off"].isEnabled()
    assert bar.modes["off"].isChecked()  # it is what the model gets
    for mode in ("on", "only"):
        assert not bar.modes[mode].isEnabled()
        assert bar.modes[mode].toolTip() == "This clip has no sound."
        assert bar._buttons[mode].accessibleDescription() == "This clip has no sound."
    assert bar.options().sound == "on"  # the wish, for the next clip
    bar.set_clip(has_picture=True, has_sound=True)
    assert bar.modes["on"].isChecked()
    bar.set_clip(has_picture=False, has_sound=True)
    assert bar.modes["only"].isChecked()
    assert bar.modes["off"].toolTip() == "This clip has no picture."
    assert not bar.frames.isEnabled()


def test_a_wish_that_the_clip_cannot_meet_is_told_as_changed(bar):
    bar.modes["only"].trigger()
    found = changes(bar)
    bar.set_clip(has_picture=True, has_sound=False)
    assert [options.sound for options in found] == ["on"]
    bar.set_clip(has_picture=True, has_sound=False)
    assert len(found) == 1


def test_a_deaf_model(bar):
    bar.set_model(16, hears=False)
    assert bar.modes["off"].isChecked()
    assert bar.modes["on"].toolTip() == "This model does not take sound."


def test_number_of_frames(bar, qtbot):
    found = changes(bar)
    bar.frames.setValue(16)
    assert found[-1].num_frames == 16
    bar.frames.setValue(8)
    assert found[-1].num_frames is None
    bar.set_model(12, hears=True, max_frames=20)
    assert bar.frames.value() == 12
    assert bar.frames.maximum() == 20
    assert "12" in bar.frames.toolTip()
    bar.modes["only"].trigger()
    assert not bar.frames.isEnabled()
    bar.set_clip(has_picture=True, has_sound=False, is_video=False)
    assert not bar.frames.isEnabled()


def test_words_go_where_there_is_no_room(bar, qtbot):
    style = Qt.ToolButtonStyle.ToolButtonTextBesideIcon
    seen = []
    for width in range(900, bar.minimumSizeHint().width() - 1, -5):
        bar.resize(width, 40)
        shown = [mode for mode, one in bar._buttons.items() if one.toolButtonStyle() == style]
        if shown not in seen:
            seen.append(shown)
    assert seen == [["on", "off", "only"], ["on"], []]
    assert all(button.accessibleName() for button in bar._buttons.values())


def test_sampling_counts_at_once(bar, qtbot):
    found = changes(bar)
    popover = bar.popover
    popover.temperature.setValue(0.7)
    popover.top_p.setValue(0.5)
    popover.top_k.setValue(0)
    popover.seed.setValue(4)
    popover.length.setValue(64)
    assert found[-1].generate == GenerateOptions(
        temperature=0.7, top_p=0.5, top_k=0, seed=4, max_new_tokens=64
    )
    assert bar.sampling.toolTip().endswith("(changed)")
    popover.reset.click()
    assert found[-1].generate == GenerateOptions()


def test_without_chance_its_settings_do_nothing(bar):
    popover = bar.popover
    fields: tuple[QSpinBox, ...] = (popover.top_p, popover.top_k, popover.seed)
    assert not any(field.isEnabled() for field in fields)
    assert all(field.toolTip() for field in fields)
    popover.temperature.setValue(0.5)
    assert all(field.isEnabled() for field in fields)
    assert not any(field.toolTip() for field in fields)


def test_what_is_not_shown_is_kept(bar):
    hidden = GenerateOptions(repetition_penalty=1.2, ignore_eos=True)
    bar.set_options(AskOptions(generate=hidden))
    bar.popover.temperature.setValue(0.5)
    kept = bar.options().generate
    assert (kept.repetition_penalty, kept.ignore_eos) == (1.2, True)


def test_popover_opens_and_closes_by_keyboard(bar, qtbot):
    bar._sampling_button.setFocus()
    qtbot.keyClick(bar._sampling_button, Qt.Key.Key_Space)
    assert bar.popover.isVisible()
    for field in (bar.popover.temperature, bar.popover.seed, bar.popover.length):
        assert field.accessibleName()
        assert field.accessibleDescription()
    qtbot.keyClick(bar.popover, Qt.Key.Key_Escape)
    assert not bar.popover.isVisible()
