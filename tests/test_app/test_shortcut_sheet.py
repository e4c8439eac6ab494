import pytest
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QMainWindow

from app.widgets import theme
from app.widgets.palette import put_under
from app.widgets.shortcut_sheet import ShortcutSheet

pytestmark = pytest.mark.gui


@pytest.fixture
def sheet(qtbot, qapp):
    theme.apply(qapp, "light")
    window = QMainWindow()
    qtbot.addWidget(window)
    actions = []
    for text, keys, heading in (
        ("&Open…", ["Ctrl+O"], "Clip"),
        ("Play", ["Space", "K"], "Player"),
        ("No keys", [], "Player"),
        ("Settings", ["Ctrl+,"], ""),
    ):
        action = QAction(text, window)
        action.setShortcuts(keys)
        put_under(heading, [action])
        actions.append(action)
    actions[1].setEnabled(False)
    sheet = ShortcutSheet(lambda: actions, window)
    sheet.open()
    yield sheet
    sheet.close()


def texts(sheet):
    return [label.text() for label in sheet._scroll.widget().findChildren(QLabel)]


def test_commands_with_keys_under_their_headings(sheet):
    assert set(texts(sheet)) == {
        *("Clip", "Open", "Ctrl+O", "Player", "Play", "Space", "K"),
        *("General", "Settings", "Ctrl+,"),
    }
    assert sheet.search.hasFocus()


@pytest.mark.parametrize(("typed", "left"), [("ctrl+o", "Open"), ("PLAY", "Play")])
def test_search_by_key_or_name(sheet, typed, left):
    sheet.search.setText(typed)
    assert left in texts(sheet)
    assert "Settings" not in texts(sheet)


def test_nothing_fits(sheet):
    sheet.search.setText("qqq")
    assert texts(sheet) == ["No shortcut fits."]
