from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QMessageBox, QPushButton

from app.settings import FIELDS, Settings, problem
from app.widgets import theme
from app.widgets.setting_controls import START
from app.widgets.settings_page import NARROW_WIDTH, SettingsPage

pytestmark = pytest.mark.gui


@pytest.fixture
def page(qtbot, qapp):
    theme.apply(qapp, "light")
    page = SettingsPage()
    qtbot.addWidget(page)
    page.resize(900, 700)
    page.show()
    return page


@pytest.fixture
def changes(page):
    got = []
    page.changed.connect(got.append)
    return got


def test_every_setting_with_a_group_has_a_row(page):
    assert list(page.rows) == [field.name for field in FIELDS if field.group]
    for row in page.rows.values():
        assert row.control.main.accessibleName()
        assert row.control.main.accessibleDescription()
        assert row.back.accessibleName()


def test_defaults_are_shown_as_such(page):
    assert not any(row.differs() for row in page.rows.values())
    assert not page.reset_all.isEnabled()
    assert page.settings() == Settings()


def test_showing_settings_tells_of_no_change(page, changes):
    other = Settings(
        theme="dark",
        threads=3,
        temperature=0.7,
        bundle="/x",
        bundle_folders=("/a", "/b"),
        exact=True,
    )
    page.set_settings(other)
    assert page.settings() == other
    values = {name: row.control.value() for name, row in page.rows.items()}
    assert values == {name: getattr(other, name) for name in page.rows}
    assert not changes


def test_a_choice(qtbot, page, changes):
    box = page.rows["theme"].control.box
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Down)
    assert changes[-1].theme == "light"
    assert page.rows["theme"].back.isVisible()


def test_a_switch(qtbot, page, changes):
    box = page.rows["history_enabled"].control.box
    qtbot.keyClick(box, Qt.Key.Key_Space)
    assert changes == [Settings(history_enabled=False)]
    assert box.text() == "Off"


def test_a_number_that_may_be_left_to_the_model(qtbot, page, changes):
    control = page.rows["num_frames"].control
    assert control.spin.isHidden()
    qtbot.keyClick(control.box, Qt.Key.Key_Space)
    assert changes == [Settings(num_frames=START["num_frames"])]
    control.spin.setValue(12)
    assert changes[-1].num_frames == 12
    qtbot.keyClick(control.box, Qt.Key.Key_Space)
    assert changes[-1].num_frames is None


def test_a_fraction_keeps_two_places(page, changes):
    page.rows["temperature"].control.spin.setValue(0.7)
    assert changes == [Settings(temperature=0.7)]


def test_typing_a_number_tells_once(qtbot, page, changes):
    spin = page.rows["seed"].control.spin
    spin.setFocus()
    spin.selectAll()
    qtbot.keyClicks(spin, "123")
    qtbot.keyClick(spin, Qt.Key.Key_Return)
    assert [one.seed for one in changes] == [123]


def test_a_folder(qtbot, page, changes, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/models/av.vl2")
    qtbot.mouseClick(page.rows["bundle"].control.button, Qt.MouseButton.LeftButton)
    assert changes == [Settings(bundle="/models/av.vl2")]
    page.rows["bundle"].control.line.editingFinished.emit()
    assert len(changes) == 1


def test_a_list_of_folders(qtbot, page, changes, monkeypatch):
    control = page.rows["bundle_folders"].control
    folders = iter(["/a", "/b", "/a", ""])
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: next(folders))
    for _ in range(4):
        control.add.click()
    assert changes[-1].bundle_folders == ("/a", "/b")
    assert len(changes) == 2
    assert not control.remove.isEnabled()
    control.list.setCurrentRow(0)
    control.remove.click()
    assert changes[-1].bundle_folders == ("/b",)


def test_back_to_the_default(page, changes):
    page.set_settings(Settings(seed=5, theme="dark"))
    page.rows["seed"].back.click()
    assert changes == [Settings(theme="dark")]
    assert page.rows["seed"].back.isHidden()


def test_reset_all_asks_first_and_keeps_what_the_window_remembers(page, changes):
    page.set_settings(Settings(seed=5, theme="dark", recent=("/a.mp4",), volume=0.3))
    page.reset_all.click()
    question = page.findChild(QMessageBox)
    assert question.defaultButton().text() == "Cancel"
    question.defaultButton().click()
    assert not changes
    page.reset_all.click()
    boxes = [box for box in page.findChildren(QMessageBox) if box.isVisible()]
    reset = next(b for b in boxes[-1].findChildren(QPushButton) if b.text() == "Reset")
    reset.click()
    assert changes == [Settings(recent=("/a.mp4",), volume=0.3)]


def test_search(qtbot, page):
    qtbot.keyClicks(page.search, "LIKELIEST words")
    shown = [name for name, row in page.rows.items() if row.isVisible()]
    assert shown == ["top_p", "top_k"]
    page.search.setText("xyzzy")
    assert page._nothing.isVisible()
    page.search.clear()
    assert all(row.isVisible() for row in page.rows.values())


def test_the_wheel_does_not_change_what_it_passes_over(page, changes):
    spin = page.rows["seed"].control.spin
    page.search.setFocus()
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(5, 5),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(spin, event)
    assert spin.value() == 0
    assert not changes


def test_narrow_puts_controls_under_texts(page):
    row = page.rows["language"]
    assert row.control.y() < row.label.y() + row.label.height()
    page.resize(NARROW_WIDTH - 100, 700)
    QApplication.processEvents()
    assert row.control.y() > row.label.y() + row.label.height()
    assert page._scroll.widget().minimumSizeHint().width() <= NARROW_WIDTH - 100


def test_whatever_the_controls_can_give_is_allowed(page):
    for name, row in page.rows.items():
        if row.field.kind in ("int", "float"):
            for value in (row.field.minimum, row.field.maximum):
                row.control.set_value(value)
                assert problem(name, row.control.value()) is None
        for value, _ in row.field.choices:
            row.control.set_value(value)
            assert row.control.value() == value


def test_where_numbers_begin_is_allowed():
    for name, value in START.items():
        assert problem(name, value) is None
        assert replace(Settings(), **{name: value}) != Settings()
