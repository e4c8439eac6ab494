from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QAccessible, QGuiApplication
from PySide6.QtWidgets import QApplication

from app.conversation import Conversation, Turn
from app.widgets import theme
from app.widgets.ask_options import AskOptions
from app.widgets.chat import ChatPane
from engines.config import ClipOptions
from engines.sampling import GenerateOptions

pytestmark = pytest.mark.gui

RESULT = {
    "answer": "A circle moves.",
    "finish_reason": "stop",
    "timing": {"first_token_s": 0.12},
    "device": "cpu",
    "coverage": {"notes": ["The clip has no sound."]},
}


@pytest.fixture
def chat(qtbot, qapp):
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)  # of the test before
    theme.apply(qapp, "light")
    made = ChatPane()
    made.resize(420, 600)
    qtbot.addWidget(made)
    made.show()
    made.set_model(8, hears=True)
    return made


@pytest.fixture
def said(monkeypatch) -> list:
    """What a screen reader is told."""
    found: list = []

    def hear(event):
        if event.type() == QAccessible.Event.Announcement:
            found.append((event.message(), event.politeness()))

    monkeypatch.setattr(QAccessible, "updateAccessibility", hear)
    return found


def talk() -> Conversation:
    return Conversation(clip=ClipOptions(Path("clip.mp4")))


def ask(chat: ChatPane, conversation: Conversation, question: str) -> Turn:
    turn = conversation.ask(question, GenerateOptions())
    chat.begin_answer(turn)
    return turn


def answer(chat: ChatPane, conversation: Conversation, turn: Turn, *pieces: str) -> None:
    for piece in pieces:
        conversation.add_piece(turn.id, piece)
        chat.add_piece(turn.id, piece)
    result = {**RESULT, "answer": "".join(pieces)}
    conversation.finish(turn.id, "done", result)
    chat.finish_answer(turn.id, "done", result)


def heard(signal) -> list:
    found: list = []
    signal.connect(lambda *given: found.append(given[0] if len(given) == 1 else given))
    return found


def test_first_questions(chat, qtbot):
    chat.set_suggestions(["What moves?", "Tom & Jerry?"])
    assert chat.first.isVisible()
    assert chat.first.buttons == []  # nothing to ask about
    chat.set_conversation(talk())
    assert [button.accessibleName() for button in chat.first.buttons] == [
        "What moves?",
        "Tom & Jerry?",
    ]
    asked = heard(chat.asked)
    qtbot.mouseClick(chat.first.buttons[1], Qt.MouseButton.LeftButton)
    assert asked == ["Tom & Jerry?"]


def test_long_first_questions_take_more_lines(chat, qtbot):
    chat.set_conversation(talk())
    chat.set_suggestions(["short", "a much longer question " * 6])
    chat.resize(320, 600)
    qtbot.wait(10)
    short, long = chat.first.buttons
    assert long.height() > short.height()
    assert chat.first.widget().width() <= chat.first.viewport().width()


def test_a_question_and_its_answer(chat, qtbot):
    conversation = talk()
    chat.set_conversation(conversation)
    asked = heard(chat.asked)
    qtbot.keyClicks(chat.composer.edit, "What moves?")
    qtbot.keyClick(chat.composer.edit, Qt.Key.Key_Return)
    assert asked == ["What moves?"]
    turn = ask(chat, conversation, asked[0])
    assert chat.composer.edit.question() == ""
    assert not chat.first.isVisible()
    assert chat.stop_action.isEnabled()
    answer(chat, conversation, turn, "A **cir", "cle** mo", "ves.")
    view = chat.transcript.last()
    assert view.answer.toPlainText() == "A circle moves."
    assert not chat.stop_action.isEnabled()
    assert chat.composer.button.accessibleName() == "Send the question"


def test_a_refused_question_is_not_lost(chat, qtbot):
    chat.set_conversation(talk())
    qtbot.keyClicks(chat.composer.edit, "What moves?")
    qtbot.keyClick(chat.composer.edit, Qt.Key.Key_Return)
    chat.show_error("There is no clip; open one.")
    assert chat.composer.edit.question() == "What moves?"
    assert chat.error == "There is no clip; open one."
    chat.show_error("")
    assert chat.error == ""
    assert not chat._error.isVisible()


def test_what_is_written_meanwhile_stays(chat, qtbot):
    conversation = talk()
    chat.set_conversation(conversation)
    chat.composer.edit.setPlainText("my next question")
    ask(chat, conversation, "A first question by a button")
    assert chat.composer.edit.question() == "my next question"


def test_progress_stands_in_the_waiting_answer(chat):
    chat.set_busy("Reading the clip", 0.5)
    assert chat._busy.isVisible()
    assert "50%" in chat._busy.text()
    conversation = talk()
    chat.set_conversation(conversation)
    turn = ask(chat, conversation, "What moves?")
    chat.set_busy("Looking at the frames, 3 of 8", 0.375)
    assert not chat._busy.isVisible()
    assert "3 of 8" in chat.transcript.last()._labels["status"].text()
    chat.set_busy(None)
    assert chat.transcript.last()._labels["status"].text() == "Waiting …"
    chat.add_piece(turn.id, "A")
    assert chat.transcript.last().status == "writing"


def test_stop_by_escape(chat, qtbot):
    conversation = talk()
    chat.set_conversation(conversation)
    turn = ask(chat, conversation, "What moves?")
    stopped = heard(chat.stopRequested)
    qtbot.keyClick(chat.composer.edit, Qt.Key.Key_Escape)
    assert len(stopped) == 1
    chat.finish_answer(turn.id, "stopped", None)
    qtbot.keyClick(chat.composer.edit, Qt.Key.Key_Escape)
    assert len(stopped) == 1


def test_escape_in_an_edit_leaves_the_edit_alone(chat, qtbot):
    conversation = talk()
    chat.set_conversation(conversation)
    answer(chat, conversation, ask(chat, conversation, "One?"), "Yes.")
    ask(chat, conversation, "Two?")
    stopped = heard(chat.stopRequested)
    view = chat.transcript.views()[0]
    view.begin_edit()
    qtbot.keyClick(view._editor.edit, Qt.Key.Key_Escape)
    assert stopped == []
    assert view._editor is None
    assert chat.composer.edit.hasFocus()


def test_up_edits_the_last_question(chat, qtbot):
    conversation = talk()
    chat.set_conversation(conversation)
    turn = ask(chat, conversation, "One?")
    answer(chat, conversation, turn, "Yes.")
    edited = heard(chat.editRequested)
    qtbot.keyClick(chat.composer.edit, Qt.Key.Key_Up)
    editor = chat.transcript.last()._editor
    qtbot.keyClicks(editor.edit, "Two?")
    qtbot.keyClick(editor.edit, Qt.Key.Key_Return)
    assert edited == [(turn.id, "Two?")]
    new = conversation.edit(0, "Two?", GenerateOptions())
    chat.begin_answer(new)
    assert [view.question.toPlainText() for view in chat.transcript.views()] == ["Two?"]


def test_regenerating_drops_what_came_after(chat):
    conversation = talk()
    chat.set_conversation(conversation)
    for question in ("One?", "Two?", "Three?"):
        answer(chat, conversation, ask(chat, conversation, question), "Yes.")
    again = heard(chat.regenerateRequested)
    chat.transcript.views()[1].regenerate()
    assert again == [conversation.turns[1].id]
    chat.begin_answer(conversation.regenerate(1))
    questions = [view.question.toPlainText() for view in chat.transcript.views()]
    assert questions == ["One?", "Two?"]


def test_pieces_of_a_turn_that_is_gone_do_no_harm(chat):
    conversation = talk()
    chat.set_conversation(conversation)
    turn = ask(chat, conversation, "One?")
    chat.set_conversation(None)
    chat.add_piece(turn.id, "late")
    chat.finish_answer(turn.id, "stopped", None)
    assert chat.first.isVisible()


def test_a_conversation_that_is_being_answered_can_be_shown(chat):
    conversation = talk()
    turn = conversation.ask("One?", GenerateOptions())
    conversation.add_piece(turn.id, "A cir")
    chat.set_conversation(conversation)
    chat.add_piece(turn.id, "cle.")
    chat.finish_answer(turn.id, "done", RESULT)
    assert chat.transcript.last().answer.markdown == "A circle."


def test_sentences_are_read_aloud_as_they_end(chat, said):
    conversation = talk()
    chat.set_conversation(conversation)
    turn = ask(chat, conversation, "What moves?")
    chat.add_piece(turn.id, "A **circle** mo")
    assert said == []
    chat.add_piece(turn.id, "ves. And then")
    assert [text for text, _ in said] == ["A circle moves."]
    conversation.finish(turn.id, "stopped", None)
    chat.finish_answer(turn.id, "stopped", None)
    assert [text for text, _ in said] == ["A circle moves.", "And then", "Stopped here."]
    polite = QAccessible.AnnouncementPoliteness
    assert {how for _, how in said} == {polite.Polite}
    chat.show_error("The engine ended.")
    assert said[-1] == ("The engine ended.", polite.Assertive)
    turn = ask(chat, conversation, "And now?")
    chat.finish_answer(turn.id, "failed", {"error": "It is gone."})
    assert said[-1] == ("Failed: It is gone.", polite.Assertive)


def test_options_reach_the_owner(chat):
    found = []
    chat.optionsChanged.connect(lambda: found.append(chat.options()))
    chat.set_options(AskOptions(sound="off"))
    assert found == []
    chat.bar.modes["on"].trigger()
    assert [options.sound for options in found] == ["on"]
    chat.set_clip(has_picture=True, has_sound=False)
    assert not chat.bar.modes["only"].isEnabled()


def test_commands(chat, qtbot):
    actions = {action.text(): action for action in chat.actions()}
    copy = actions["Copy the last answer"]
    assert not copy.isEnabled()
    conversation = talk()
    chat.set_conversation(conversation)
    turn = ask(chat, conversation, "One?")
    assert not actions["Answer the last question again"].isEnabled()
    answer(chat, conversation, turn, "A **circle**.")
    copy.trigger()
    assert QGuiApplication.clipboard().text() == "A circle."
    actions["Copy the last answer as Markdown"].trigger()
    assert QGuiApplication.clipboard().text() == "A **circle**."
    again = heard(chat.regenerateRequested)
    actions["Answer the last question again"].trigger()
    assert again == [turn.id]
    actions["Edit the last question"].trigger()
    assert chat.transcript.last()._editor is not None
    assert all(not action.icon().isNull() for action in chat.actions())
    keys = [action.shortcut().toString() for action in chat.actions()]
    keys = [key for key in keys if key]
    assert len(keys) == len(set(keys))


def test_everything_has_a_name(chat):
    conversation = talk()
    chat.set_conversation(conversation)
    answer(chat, conversation, ask(chat, conversation, "One?"), "Yes.")
    chat.show_error("Something.")
    for widget in chat.findChildren(object):
        if getattr(widget, "focusPolicy", None) is None or not widget.isVisible():
            continue
        if widget.focusPolicy() == Qt.FocusPolicy.NoFocus or widget.focusProxy() is not None:
            continue
        if widget.objectName().startswith("qt_"):
            continue
        named = QAccessible.queryAccessibleInterface(widget)
        assert named.text(QAccessible.Text.Name), widget


def test_tab_order_goes_from_the_answers_down(chat, qtbot):
    conversation = talk()
    chat.set_conversation(conversation)
    answer(chat, conversation, ask(chat, conversation, "One?"), "Yes.")
    view = chat.transcript.last()
    view.question.setFocus()
    order = [view.question]
    for _ in range(7):
        qtbot.keyClick(QGuiApplication.focusObject(), Qt.Key.Key_Tab)
        order.append(QGuiApplication.focusObject())
    assert order[:6] == [
        view.question,
        view.edit_button,
        view.answer,
        view.copy_button,
        view.again_button,
        view.more_button,
    ]
    assert order[6] is chat.composer.edit


def test_narrow_pane_shows_everything(chat, qtbot):
    conversation = talk()
    chat.set_conversation(conversation)
    answer(chat, conversation, ask(chat, conversation, "What moves? " * 10), "A circle. " * 20)
    chat.resize(320, 600)
    qtbot.waitUntil(lambda: chat.transcript.settled)
    assert chat.width() == 320
    assert chat.bar.frames.geometry().right() <= chat.bar.width()
    assert chat.bar._sampling_button.geometry().right() <= chat.bar.width()
    assert chat.composer.geometry().right() < 320
