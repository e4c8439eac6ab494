import pytest

from app.widgets.notice_bar import MAX_LINES, NoticeBar

pytestmark = pytest.mark.gui


@pytest.fixture
def bar(qtbot):
    bar = NoticeBar()
    qtbot.addWidget(bar)
    bar.resize(800, 10)
    return bar


def test_it_takes_no_room_while_nothing_is_said(bar) -> None:
    assert bar.isHidden()
    bar.say("One.")
    assert not bar.isHidden()
    bar.clear()
    assert bar.isHidden()


def test_a_line_is_closed_by_its_button(bar) -> None:
    bar.say("One.")
    bar.say("Two.", "error")
    bar._lines[0].close_button.click()
    assert bar.texts() == ["Two."]
    bar.withdraw("Two.")
    assert bar.isHidden()


def test_the_same_is_not_said_twice_and_the_oldest_goes(bar) -> None:
    bar.say("One.")
    bar.say("Two.")
    bar.say("One.")
    assert bar.texts() == ["Two.", "One."]
    for number in range(MAX_LINES):
        bar.say(f"Line {number}.")
    assert bar.texts() == [f"Line {number}." for number in range(MAX_LINES)]


def test_the_action_is_done_and_the_line_goes(bar) -> None:
    done = []
    bar.say("The clip is gone.", "warning", ("Find it…", lambda: done.append(1)))
    bar._lines[0].action_button.click()
    assert done == [1]
    assert bar.texts() == []


def test_a_line_is_as_high_as_its_text_at_this_width(bar) -> None:
    bar.say("A sentence that needs one line of a wide window.")
    one = bar.heightForWidth(800)
    assert one < bar.heightForWidth(200)
    assert bar.layout().heightForWidth(800) == one
    assert one < 60


def test_text_is_text(bar) -> None:
    bar.say("<b>bold.mp4</b> & co")
    assert bar.texts() == ["<b>bold.mp4</b> & co"]
    assert bar._lines[0].accessibleName() == "<b>bold.mp4</b> & co"
