import pytest
from PySide6.QtCore import QEvent, QMimeData, Qt, QUrl
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from app.widgets import theme
from app.widgets.composer import Composer
from app.widgets.question_edit import MAX_LINES, QuestionEditor

pytestmark = pytest.mark.gui


@pytest.fixture
def composer(qtbot, qapp):
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)  # of the test before
    theme.apply(qapp, "light")
    # As in the window: nothing stretches it.
    page = QWidget()
    column = QVBoxLayout(page)
    made = Composer()
    column.addWidget(made)
    column.addStretch(1)
    page.resize(400, 500)
    qtbot.addWidget(page)
    page.show()
    made.edit.setFocus()
    made.page = page
    return made


def heard(signal) -> list:
    found: list = []
    signal.connect(lambda *given: found.append(given[0] if len(given) == 1 else given))
    return found


def test_enter_sends_and_shift_enter_begins_a_line(composer, qtbot):
    sent = heard(composer.submitted)
    qtbot.keyClicks(composer.edit, "one")
    qtbot.keyClick(composer.edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(composer.edit, "two")
    assert sent == []
    qtbot.keyClick(composer.edit, Qt.Key.Key_Return)
    assert sent == ["one\ntwo"]
    assert composer.edit.toPlainText() == "one\ntwo"  # kept until it was taken
    composer.clear()
    qtbot.keyClick(composer.edit, Qt.Key.Key_Enter)
    assert len(sent) == 1


def test_nothing_but_space_is_not_sent(composer, qtbot):
    sent = heard(composer.submitted)
    assert not composer.button.isEnabled()
    qtbot.keyClicks(composer.edit, "   ")
    qtbot.keyClick(composer.edit, Qt.Key.Key_Return)
    assert sent == []
    assert not composer.button.isEnabled()


def test_it_grows_with_its_lines_up_to_six(composer, qtbot):
    heights = [composer.edit.height()]
    for number in range(MAX_LINES + 3):
        composer.edit.setPlainText("line\n" * number + "line")
        heights.append(composer.edit.height())
    growing = heights[1 : MAX_LINES + 1]
    assert growing == sorted(set(growing))
    assert len(set(heights[MAX_LINES:])) == 1
    assert composer.edit.verticalScrollBar().maximum() > 0
    composer.clear()
    assert composer.edit.height() == heights[0]


def test_a_narrower_field_breaks_lines_and_grows(composer, qtbot):
    composer.edit.setPlainText("word " * 14)
    wide = composer.edit.height()
    composer.page.resize(220, 500)
    qtbot.waitUntil(lambda: composer.edit.height() > wide)


def test_send_becomes_stop(composer, qtbot):
    sent, stopped = heard(composer.submitted), heard(composer.stopRequested)
    composer.edit.setPlainText("next")
    composer.set_answering(True)
    assert composer.button.accessibleName() == "Stop the answer"
    qtbot.keyClick(composer.edit, Qt.Key.Key_Return)
    assert sent == []
    qtbot.keyClick(composer.edit, Qt.Key.Key_Escape)
    qtbot.mouseClick(composer.button, Qt.MouseButton.LeftButton)
    assert len(stopped) == 2
    composer.set_answering(False)
    qtbot.keyClick(composer.edit, Qt.Key.Key_Escape)
    assert len(stopped) == 2
    qtbot.mouseClick(composer.button, Qt.MouseButton.LeftButton)
    assert sent == ["next"]


def test_up_edits_the_last_question_only_where_nothing_is_written(composer, qtbot):
    asked = heard(composer.editLastRequested)
    composer.edit.setPlainText("a")
    qtbot.keyClick(composer.edit, Qt.Key.Key_Up)
    assert asked == []
    composer.clear()
    qtbot.keyClick(composer.edit, Qt.Key.Key_Up)
    assert len(asked) == 1


def test_pasted_text_goes_in_as_it_is_and_files_are_the_windows(composer):
    pasted = heard(composer.mediaPasted)
    data = QMimeData()
    data.setHtml("<b>bold</b>")
    data.setText("bold")
    QGuiApplication.clipboard().setMimeData(data)
    composer.edit.paste()
    assert composer.edit.toPlainText() == "bold"
    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile("/clip.mp4")])
    QGuiApplication.clipboard().setMimeData(files)
    composer.edit.paste()
    assert composer.edit.toPlainText() == "bold"
    assert len(pasted) == 1


class Drag:
    """What is asked of an event of a drag."""

    def __init__(self, data: QMimeData) -> None:
        self.data, self.ignored = data, False

    def mimeData(self) -> QMimeData:
        return self.data

    def ignore(self) -> None:
        self.ignored = True


def test_dropped_files_are_left_to_the_window(composer):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/clip.mp4")])
    for hear in (composer.edit.dragEnterEvent, composer.edit.dragMoveEvent):
        drag = Drag(data)
        hear(drag)
        assert drag.ignored


def test_editor_of_an_earlier_question(qtbot, qapp):
    editor = QuestionEditor("What moves?", following=2)
    qtbot.addWidget(editor)
    editor.resize(300, 200)
    editor.show()
    editor.setFocus()
    sent, left = heard(editor.submitted), heard(editor.cancelled)
    assert editor.edit.textCursor().selectedText() == "What moves?"
    qtbot.keyClicks(editor.edit, "What stands?")
    qtbot.keyClick(editor.edit, Qt.Key.Key_Escape)
    assert left
    qtbot.keyClick(editor.edit, Qt.Key.Key_Return)
    assert sent == ["What stands?"]
    low = editor.fit(300)
    editor.edit.setPlainText("a\nb\nc")
    assert editor.fit(300) > low
