import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QGuiApplication, QHelpEvent, QTextCursor
from PySide6.QtWidgets import QApplication, QToolTip

from app.conversation import Turn
from app.widgets import theme
from app.widgets.transcript import Transcript
from app.widgets.turn_view import TurnView
from engines.config import ClipOptions
from engines.sampling import GenerateOptions

pytestmark = pytest.mark.gui

ANSWER = "A **red** circle moves from the left to the right. " * 4
RESULT = {
    "finish_reason": "stop",
    "usage": {"visual_tokens": 80, "audio_tokens": 48, "text_tokens": 14},
    "timing": {"first_token_s": 0.12, "decode_tokens_per_s": 80},
    "coverage": {"notes": []},
    "device": "cpu",
    "bundle": "3fa9c1d2e4f5",
    "receipt": {"receipt_version": 1, "answer": "x"},
}


def turn(number, question="What moves?", answer=ANSWER, status="done", result=RESULT):
    clip = ClipOptions(Path("clip.mp4"))
    return Turn(number, question, clip, GenerateOptions(), answer, status, result)


def noted(*notes: str) -> dict:
    return {**RESULT, "coverage": {"notes": list(notes)}}


@pytest.fixture
def transcript(qtbot, qapp):
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)  # of the test before
    theme.apply(qapp, "light")
    made = Transcript()
    made.resize(420, 500)
    qtbot.addWidget(made)
    made.show()
    return made


def fill(transcript, qtbot, count, **given):
    transcript.set_turns([turn(number, **given) for number in range(1, count + 1)])
    qtbot.waitUntil(lambda: transcript.settled)


def heard(signal) -> list:
    found: list = []
    signal.connect(lambda *given: found.append(given[0] if len(given) == 1 else given))
    return found


def at_bottom(transcript) -> bool:
    bar = transcript.verticalScrollBar()
    return bar.value() == bar.maximum()


def test_many_turns_have_few_widgets(transcript, qtbot):
    fill(transcript, qtbot, 200)
    assert at_bottom(transcript)
    assert len(transcript.views()) < 30
    assert transcript.views()[-1].turn_id == 200
    transcript.verticalScrollBar().setValue(0)
    qtbot.waitUntil(lambda: transcript.settled)
    assert transcript.views()[0].turn_id == 1
    assert len(transcript.views()) < 30


def test_turns_stand_one_under_the_other(transcript, qtbot):
    fill(transcript, qtbot, 12)
    views = transcript.views()
    for above, below in itertools.pairwise(views):
        assert below.y() >= above.y() + above.height() > 0
        for part in above.children():
            if hasattr(part, "geometry") and part.isVisible():
                assert above.rect().contains(part.geometry())
    # A screen reader goes from child to child.
    children = [child for child in transcript._content.children() if isinstance(child, TurnView)]
    assert [child.turn_id for child in children] == [view.turn_id for view in views]


def test_the_end_is_followed_only_by_a_reader_who_is_there(transcript, qtbot):
    fill(transcript, qtbot, 20)
    view = transcript.append(turn(21, answer="", status="writing", result=None))
    for _ in range(40):
        view.add_piece("more and more words ")
    view.answer.flush()
    assert at_bottom(transcript)
    bar = transcript.verticalScrollBar()
    bar.setValue(bar.maximum() - 300)
    qtbot.waitUntil(lambda: transcript.settled)
    seen = view.mapTo(transcript, QPoint(0, 0))
    for _ in range(40):
        view.add_piece("more and more words ")
    view.answer.flush()
    qtbot.waitUntil(lambda: transcript.settled)
    assert not at_bottom(transcript)
    assert view.mapTo(transcript, QPoint(0, 0)) == seen
    assert transcript._to_end.isVisible()
    qtbot.mouseClick(transcript._to_end, Qt.MouseButton.LeftButton)
    assert at_bottom(transcript)
    assert not transcript._to_end.isVisible()


def test_what_is_looked_at_stays_while_heights_become_known(transcript, qtbot):
    turns = [turn(number, answer="- item\n" * 30) for number in range(1, 61)]
    transcript.set_turns(turns)
    qtbot.waitUntil(lambda: transcript.settled)
    bar = transcript.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    row, offset = transcript._anchor()
    qtbot.waitUntil(lambda: transcript.settled)
    after, now = transcript._anchor()
    assert (after.number, now) == (row.number, offset)


def test_another_width_breaks_lines_anew(transcript, qtbot):
    fill(transcript, qtbot, 10)
    before = transcript.views()[-1].height()
    transcript.resize(260, 500)
    qtbot.waitUntil(lambda: transcript.settled)
    last = transcript.views()[-1]
    assert last.height() > before
    assert last.answer.height() >= last.answer.document().size().height()
    assert at_bottom(transcript)
    assert transcript.horizontalScrollBar().maximum() == 0


def test_a_selection_is_not_dropped_with_distance(transcript, qtbot):
    fill(transcript, qtbot, 100)
    chosen = transcript.views()[-1]
    cursor = chosen.answer.textCursor()
    cursor.select(QTextCursor.SelectionType.Document)
    chosen.answer.setTextCursor(cursor)
    transcript.verticalScrollBar().setValue(0)
    qtbot.waitUntil(lambda: transcript.settled)
    assert chosen in transcript.views()


def test_what_a_turn_was_is_remembered_when_it_comes_back(transcript, qtbot):
    fill(transcript, qtbot, 50)
    view = transcript.append(turn(51, answer="", status="writing", result=None))
    view.add_piece("The **answer**.")
    transcript.finished(51, "stopped", None)
    transcript.verticalScrollBar().setValue(0)
    QApplication.processEvents()
    qtbot.waitUntil(lambda: transcript.settled)
    assert 51 not in [one.turn_id for one in transcript.views()]
    transcript.scroll_to_end()
    qtbot.waitUntil(lambda: transcript.settled)
    again = transcript.views()[-1]
    assert (again.turn_id, again.status, again.answer.markdown) == (
        51,
        "stopped",
        "The **answer**.",
    )


def test_turns_that_were_replaced_go_away(transcript, qtbot):
    fill(transcript, qtbot, 5)
    transcript.keep([1, 2, 3])
    assert [view.turn_id for view in transcript.views()] == [1, 2, 3]
    transcript.keep([1, 2, 3])
    assert len(transcript.views()) == 3
    assert transcript.last_turn.id == 3


def test_footer_receipt_and_notes(transcript, qtbot, monkeypatch):
    transcript.set_turns([turn(1, result=noted("No sound.")), turn(2, result=noted("No sound."))])
    qtbot.waitUntil(lambda: transcript.settled)
    first, second = transcript.views()
    assert first._labels["footer"].text().replace("\u00a0", " ").startswith("first word 0.12 s")
    assert first._labels["notes"].text() == "No sound."
    assert "notes" not in second._labels  # told already
    shown = []
    monkeypatch.setattr(QToolTip, "showText", lambda _place, text, _widget: shown.append(text))
    footer = first._labels["footer"]
    event = QHelpEvent(QHelpEvent.Type.ToolTip, QPoint(3, 3), footer.mapToGlobal(QPoint(3, 3)))
    QApplication.sendEvent(footer, event)
    assert "Ran on: CPU" in shown[0]


def test_states(transcript, qtbot):
    view = transcript.append(turn(1, answer="", status="writing", result=None))
    assert view.status == "waiting"
    assert view._labels["status"].text() == "Waiting …"
    view.set_progress("Looking at the frames, 3 of 8", 0.375)
    assert view._labels["status"].text() == "Looking at the frames, 3 of 8 …"
    assert view._progress.value() == 375
    view.set_progress("Listening", None)
    assert view._progress.maximum() == 0
    view.add_piece("A circle")
    assert view._progress is None
    assert view._labels["status"].text() == "Writing …"
    transcript.finished(1, "stopped", None)
    assert view._labels["status"].text() == "Stopped here."
    assert view.more_button.isVisible()
    transcript.append(turn(2, answer="", status="writing", result=None))
    transcript.finished(2, "failed", {"error": "The clip is gone; open another."})
    failed = transcript.last()
    words, retry = failed._failure
    assert words.toPlainText() == "Failed: The clip is gone; open another."
    again = heard(transcript.regenerateRequested)
    qtbot.mouseClick(retry, Qt.MouseButton.LeftButton)
    assert again == [2]


def test_a_failed_turn_of_the_history(transcript, qtbot):
    transcript.set_turns([turn(1, answer="", status="failed", result=None)])
    assert transcript.last().failure() == "Failed: There was no answer."


def entries(view) -> dict:
    menu = view.menu()
    return {action.text(): action for action in menu.actions() if action.text()}


def test_menu_copies(transcript, qtbot):
    fill(transcript, qtbot, 2, answer="A **red** circle.\n\n- one")
    view = transcript.views()[0]
    found = entries(view)
    clipboard = QGuiApplication.clipboard()
    found["Copy answer"].trigger()
    assert clipboard.text() == "A red circle.\n\n- one"
    found["Copy answer as Markdown"].trigger()
    assert clipboard.text() == "A **red** circle.\n\n- one"
    found["Copy question"].trigger()
    assert clipboard.text() == "What moves?"
    found["Copy receipt (JSON)"].trigger()
    assert json.loads(clipboard.text()) == RESULT["receipt"]
    assert "Copy selection" not in found
    view.answer.selectAll()
    assert "Copy selection" in entries(view)


def test_menu_asks_again(transcript, qtbot):
    fill(transcript, qtbot, 3)
    again = heard(transcript.regenerateRequested)
    first, last = transcript.views()[0], transcript.views()[-1]
    entries(last)["Answer again"].trigger()
    assert [text for text in entries(first) if text.startswith("Answer again, removing")]
    qtbot.mouseClick(first.again_button, Qt.MouseButton.LeftButton)
    assert again == [3, 1]


def test_a_turn_without_a_result_has_no_receipt(transcript, qtbot):
    transcript.set_turns([replace(turn(1), result=None, status="stopped")])
    assert not entries(transcript.last())["Show receipt"].isEnabled()
    transcript.last().show_receipt()  # does nothing


def test_editing_a_question_in_its_place(transcript, qtbot):
    fill(transcript, qtbot, 2)
    edited, ended = heard(transcript.editRequested), heard(transcript.editEnded)
    view = transcript.views()[0]
    low = view.height()
    qtbot.mouseClick(view.edit_button, Qt.MouseButton.LeftButton)
    editor = view._editor
    assert editor.isVisible()
    assert not view.question.isVisible()
    assert view.height() > low
    qtbot.keyClick(editor.edit, Qt.Key.Key_Escape)
    assert view.question.isVisible()
    assert view.height() == low
    assert ended
    assert edited == []
    view.begin_edit()
    qtbot.keyClicks(view._editor.edit, "What stands?")
    qtbot.keyClick(view._editor.edit, Qt.Key.Key_Return)
    assert edited == [(1, "What stands?")]


def test_only_one_turn_is_in_the_order_of_the_tab_key(transcript, qtbot):
    fill(transcript, qtbot, 4)

    def in_order():
        strong = Qt.FocusPolicy.StrongFocus
        return [view.turn_id for view in transcript.views() if view.answer.focusPolicy() == strong]

    assert in_order() == [4]
    transcript.go(-1)
    assert in_order() == [3]
    assert transcript.views()[2].answer.hasFocus()
    transcript.go(-9)
    assert in_order() == [1]
    transcript.views()[1].answer.setFocus()
    assert in_order() == [2]
    transcript.go(9)
    assert in_order() == [4]
    assert at_bottom(transcript)


def test_page_keys_scroll_the_conversation(transcript, qtbot):
    fill(transcript, qtbot, 20)
    transcript.go(0)
    before = transcript.verticalScrollBar().value()
    qtbot.keyClick(transcript.last().answer, Qt.Key.Key_PageUp)
    assert transcript.verticalScrollBar().value() < before


def test_names_for_a_screen_reader(transcript, qtbot):
    fill(transcript, qtbot, 2)
    view = transcript.views()[1]
    assert view.question.accessibleName() == "Question 2"
    assert view.answer.accessibleName() == "Answer 2"
    for button in (view.edit_button, view.copy_button, view.again_button, view.more_button):
        assert button.accessibleName()
        assert button.toolTip()
