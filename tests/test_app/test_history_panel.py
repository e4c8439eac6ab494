import datetime
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QApplication, QLineEdit

from app.history import ConversationRow, SnippetRun
from app.widgets import language, theme
from app.widgets.history_panel import HistoryPanel
from app.widgets.history_rows import ROW, day_of

pytestmark = pytest.mark.gui
DAY = 86_400.0
NOW = datetime.datetime(2025, 5, 14, 12).timestamp()  # no day begins while a test runs


def row(number, title="", age=0.0, **changed):
    values = {
        "id": number,
        "title": title or f"Title {number}",
        "clip_name": "bounce.mp4",
        "kind": "video",
        "bundle": "demo",
        "created": NOW - age,
        "updated": NOW - age,
        "turns": 2,
        "snippet": (),
    }
    return ConversationRow(**{**values, **changed})


@pytest.fixture
def panel(qtbot, qapp, monkeypatch):
    monkeypatch.setattr("app.widgets.history_panel.time", SimpleNamespace(time=lambda: NOW))
    theme.apply(qapp, "light")
    language.install(qapp, "en")
    panel = HistoryPanel()
    panel.resize(300, 500)
    qtbot.addWidget(panel)
    panel.set_rows([row(1), row(2, age=2 * DAY), row(3, age=40 * DAY)])
    panel.show()
    return panel


def titles(panel):
    model = panel.list.model()
    return [model.index(at, 0).data() for at in range(model.rowCount())]


def heard(signal):
    got = []
    signal.connect(lambda *values: got.append(values[0] if len(values) == 1 else values))
    return got


def test_days_by_the_calendar():
    half_past_midnight = datetime.datetime(2025, 3, 10, 0, 30)

    def heading(**ago: int) -> str:
        # By the calendar: days on which clocks are changed are not 24 hours long.
        then = half_past_midnight - datetime.timedelta(**ago)
        return day_of(then.timestamp(), half_past_midnight.timestamp())

    assert heading() == "today"
    assert heading(hours=-1) == "today"  # a clock that was put back
    assert heading(hours=1) == "yesterday"
    assert heading(days=7) == "week"
    assert heading(days=8) == "older"


def test_rows_stand_under_headings(panel):
    assert titles(panel) == ["Today", "Title 1", "Last seven days", "Title 2", "Older", "Title 3"]
    heading = panel.list.model().index(0, 0)
    assert not panel.list.model().flags(heading) & Qt.ItemFlag.ItemIsSelectable


def test_a_row_says_everything_to_a_screen_reader(panel):
    text = panel.list.model().index(1, 0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert text.startswith("Title 1, bounce.mp4 · 2 questions, ")


def test_click_and_enter_open(qtbot, panel):
    opened = heard(panel.opened)
    place = panel.list.visualRect(panel.list.model().index(1, 0)).center()
    qtbot.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert opened == [1]
    qtbot.keyClick(panel.list, Qt.Key.Key_Down)
    qtbot.keyClick(panel.list, Qt.Key.Key_Return)
    assert opened == [1, 2]


def test_typing_searches_once(qtbot, panel):
    with qtbot.waitSignal(panel.searched) as searched:
        qtbot.keyClicks(panel.search, " red ")
    assert searched.args == ["red"]


def test_a_snippet_takes_the_second_line(panel):
    found = (SnippetRun("the ", False), SnippetRun("red", True), SnippetRun(" circle", False))
    panel.set_rows([row(7, snippet=found)])
    text = panel.list.model().index(1, 0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert "the red circle" in text
    assert not panel.list.grab().isNull()


def test_renaming_in_place(qtbot, panel):
    renamed = heard(panel.renamed)
    panel.set_current(2)
    panel.list.setFocus()
    qtbot.keyClick(panel.list, Qt.Key.Key_F2)
    editor = panel.list.findChild(QLineEdit)
    assert editor.text() == "Title 2"
    assert editor.accessibleName()
    editor.setText("  Better ")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: renamed == [(2, "Better")])
    assert "Better" in titles(panel)


@pytest.mark.parametrize("text", ["", "   ", "Title 2"])
def test_an_empty_or_same_title_is_no_renaming(panel, text):
    renamed = heard(panel.renamed)
    model = panel.list.model()
    assert not model.setData(model.index(3, 0), text)
    assert not renamed


def test_deleting_can_be_undone(qtbot, panel):
    deleted, undone = heard(panel.deleted), heard(panel.undone)
    panel.set_current(2)
    panel.list.setFocus()
    qtbot.keyClick(panel.list, Qt.Key.Key_Delete)
    assert deleted == [2]
    assert titles(panel) == ["Today", "Title 1", "Older", "Title 3"]
    assert panel.list.currentIndex().data(ROW).id == 3
    assert panel.undo_bar.isVisible()
    qtbot.mouseClick(panel.undo_button, Qt.MouseButton.LeftButton)
    assert undone == [2]
    assert not panel.undo_bar.isVisible()


def test_several_deletions_are_undone_one_by_one(panel):
    undone = heard(panel.undone)
    for number in (1, 2):
        panel.set_current(number)
        panel.delete_action.trigger()
    panel.undo_action.trigger()
    panel.undo_action.trigger()
    assert undone == [2, 1]
    assert not panel.undo_action.isEnabled()


def test_the_undo_bar_goes_unless_it_is_used(qtbot, panel):
    panel.set_current(1)
    panel.delete_action.trigger()
    panel.activateWindow()
    panel.undo_button.setFocus()
    panel._leave_unless_used()
    assert panel.undo_bar.isVisible() or not panel.undo_button.hasFocus()
    panel.search.setFocus()
    panel._leave_unless_used()
    assert not panel.undo_bar.isVisible()
    # The command stays.
    assert panel.undo_action.isEnabled()


def test_deleting_the_last_row_leaves_no_heading(panel):
    for number in (1, 2, 3):
        panel.set_current(number)
        panel.delete_action.trigger()
    assert titles(panel) == []


@pytest.mark.parametrize("form", ["markdown", "json"])
def test_export(panel, form):
    wanted = heard(panel.exportRequested)
    panel.set_current(3)
    getattr(panel, f"{form}_action").trigger()
    assert wanted == [(3, form)]


def test_commands_need_a_chosen_conversation(panel):
    panel.set_current(None)
    actions = (panel.rename_action, panel.delete_action, panel.json_action, panel.open_action)
    assert not any(action.isEnabled() for action in actions)
    panel.set_current(1)
    assert all(action.isEnabled() for action in actions)


def test_the_choice_survives_new_rows(panel):
    panel.set_current(2)
    panel.set_rows([row(4), row(2), row(1)])
    assert panel.list.currentIndex().data(ROW).id == 2


def test_the_menu_comes_by_the_menu_key(panel):
    panel.set_current(1)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(0, 0), QPoint(0, 0))
    QApplication.sendEvent(panel.list, event)
    assert panel._menu.isVisible()
    panel._menu.close()


def test_nothing_yet_and_nothing_found(panel):
    panel.set_rows([])
    assert "No conversations yet" in panel._empty.text()
    assert panel.list.isHidden()
    panel.search.setText("xyz")
    panel.set_rows([])
    assert panel._empty.text() == "No conversation holds “xyz”."


def test_titles_are_no_markup(panel):
    panel.set_rows([row(1, "<b>bold</b> & {braces}")])
    panel.set_current(1)
    panel.delete_action.trigger()
    assert panel._gone_text.text() == "Deleted “<b>bold</b> & {braces}”."
    assert panel._gone_text.textFormat() == Qt.TextFormat.PlainText
