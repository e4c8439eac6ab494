import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QAction
from PySide6.QtWidgets import QMainWindow, QMenu, QTextEdit

from app.widgets import theme
from app.widgets.palette import CommandPalette, command_name, full_name, key_names, put_under

pytestmark = pytest.mark.gui


@pytest.fixture
def window(qtbot, qapp):
    theme.apply(qapp, "light")
    window = QMainWindow()
    window.resize(800, 600)
    window.setCentralWidget(QTextEdit())
    qtbot.addWidget(window)
    window.show()
    return window


def command(window, text, keys="", heading=""):
    action = QAction(theme.icon("play"), text, window)
    action.setShortcut(keys)
    put_under(heading, [action])
    window.addAction(action)
    return action


@pytest.fixture
def commands(window):
    return [
        command(window, "&Open…", "Ctrl+O", "Clip"),
        command(window, "Play / pause", "Space", "Player"),
        command(window, "Step forward", ".", "Player"),
        command(window, "Settings", "Ctrl+,"),
    ]


@pytest.fixture
def palette(window, commands):
    palette = CommandPalette(commands, window)
    palette.open()
    return palette


def shown(palette):
    model = palette.list.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def test_names(window):
    action = command(window, "S&ave && close…", "Ctrl+S", "File")
    assert command_name(action) == "Save & close"
    assert full_name(action) == "File: Save & close"
    assert key_names(action) == ["Ctrl+S"]


def test_it_lists_every_command_with_its_heading(palette):
    assert shown(palette) == [
        "Clip: Open",
        "Player: Play / pause",
        "Player: Step forward",
        "Settings",
    ]
    assert palette.search.hasFocus()


def test_typing_filters_and_enter_runs(qtbot, palette, commands):
    ran = []
    commands[2].triggered.connect(lambda: ran.append("forward"))
    qtbot.keyClicks(palette.search, "step fo")
    assert shown(palette) == ["Player: Step forward"]
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    assert ran == ["forward"]
    assert not palette.isVisible()


@pytest.mark.parametrize("ended_with", [Qt.Key.Key_Return, Qt.Key.Key_Escape])
def test_keys_that_come_late_go_to_what_has_the_keyboard_now(qtbot, window, commands, ended_with):
    other = QTextEdit(window)
    other.show()
    commands[0].triggered.connect(other.setFocus)
    window.activateWindow()
    window.centralWidget().setFocus()
    palette = CommandPalette(commands, window)
    palette.open()
    qtbot.keyClick(palette.search, ended_with)
    meant = other if ended_with == Qt.Key.Key_Return else window.centralWidget()
    # So does X deliver what was typed before it heard that the palette has gone.
    qtbot.keyClicks(palette.search, "What now?")
    assert meant.toPlainText() == "What now?"
    assert palette.search.text() == ""


def test_arrows_choose_and_go_round(qtbot, palette):
    def chosen():
        return palette.list.currentIndex().row()

    assert chosen() == 0
    qtbot.keyClick(palette.search, Qt.Key.Key_Up)
    assert chosen() == 3
    qtbot.keyClick(palette.search, Qt.Key.Key_Down)
    qtbot.keyClick(palette.search, Qt.Key.Key_Down)
    assert chosen() == 1
    qtbot.keyClick(palette.search, Qt.Key.Key_PageDown)
    assert chosen() == 3
    qtbot.keyClick(palette.search, Qt.Key.Key_PageUp)
    assert chosen() == 0


def test_what_cannot_be_used_is_left_out(window, commands, palette):
    commands[0].setEnabled(False)
    commands[1].setVisible(False)
    menu = QMenu("More", window)
    separator = QAction(window)
    separator.setSeparator(True)
    commands += [menu.menuAction(), separator, command(window, ""), commands[3]]
    palette.open()
    assert shown(palette) == ["Player: Step forward", "Settings"]


def test_commands_are_collected_anew(window, commands):
    palette = CommandPalette(lambda: commands, window)
    palette.open()
    before = len(shown(palette))
    palette.close()
    commands.append(command(window, "New one"))
    palette.open()
    assert len(shown(palette)) == before + 1


def test_what_was_used_lately_comes_first(qtbot, palette):
    qtbot.keyClicks(palette.search, "settings")
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    palette.open()
    assert palette.search.text() == ""
    assert shown(palette)[0] == "Settings"


def test_escape_runs_nothing(qtbot, palette, commands):
    ran = []
    commands[0].triggered.connect(lambda: ran.append(1))
    qtbot.keyClick(palette.search, Qt.Key.Key_Escape)
    assert not palette.isVisible()
    assert not ran


def test_nothing_fits(qtbot, palette):
    qtbot.keyClicks(palette.search, "xyzzy")
    assert shown(palette) == []
    assert palette.list.isHidden()
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    assert not palette.isVisible()


def test_a_click_runs(qtbot, palette, commands):
    ran = []
    commands[1].triggered.connect(lambda: ran.append(1))
    place = palette.list.visualRect(palette.list.model().index(1, 0)).center()
    qtbot.mouseClick(palette.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert ran == [1]


def test_rows_say_their_keys_to_a_screen_reader(palette):
    index = palette.list.model().index(0, 0)
    assert index.data(Qt.ItemDataRole.AccessibleTextRole) == "Clip: Open, Ctrl+O"
    for widget in (palette, palette.search, palette.list):
        assert widget.accessibleName()


def test_the_choice_is_announced(qtbot, palette, monkeypatch):
    said = []
    monkeypatch.setattr(
        QAccessible, "updateAccessibility", lambda event: said.append(event.message())
    )
    qtbot.keyClick(palette.search, Qt.Key.Key_Down)
    assert said == ["Player: Play / pause, Space"]


@pytest.mark.parametrize("size", [(320, 240), (1600, 1000)])
def test_it_fits_into_the_window(qtbot, window, palette, size):
    palette.close()
    window.resize(*size)
    palette.open()
    assert palette.width() <= size[0]
    assert palette.height() <= size[1]
    assert not palette.grab().isNull()
