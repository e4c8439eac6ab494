"""The timeline under the user's hands: mouse, keys, wheel, and what it says and draws."""

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QAccessible, QColor, QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.widgets import theme
from app.widgets.coverage_bar import CoverageBar
from app.widgets.coverage_facts import CoverageFacts

pytestmark = pytest.mark.gui

PEAKS = np.tile(np.float32([[-0.5, 0.5]]), (100, 1))
FACTS = CoverageFacts(10.0, True, True, (1.0, 5.0, 9.0), ((0.0, 4.0),), known=True, peaks=PEAKS)


@pytest.fixture
def bar(qtbot: QtBot, qapp: QApplication) -> Iterator[CoverageBar]:
    theme.apply(qapp, "light")
    made = CoverageBar()
    qtbot.addWidget(made)
    made.set_facts(FACTS)
    made.resize(842, made.sizeHint().height())  # a lane of 800 pixels
    made.show()
    made.seeks, made.edits = [], []
    made.seekRequested.connect(made.seeks.append)
    made.rangeEdited.connect(made.edits.append)
    return made


def at(bar: CoverageBar, time_s: float, on_axis: bool = False) -> QPoint:
    lanes = bar.lanes()
    y = lanes.axis.center().y() if on_axis else lanes.sound.center().y()
    return QPoint(round(bar.scale().x(time_s)), round(y))


def drag(bar: CoverageBar, start: QPoint, end: QPoint, release: bool = True) -> None:
    left = Qt.MouseButton.LeftButton
    QTest.mousePress(bar, left, pos=start)
    QTest.mouseMove(bar, (start + end) / 2)
    QTest.mouseMove(bar, end)
    if release:
        QTest.mouseRelease(bar, left, pos=end)


def pixels(bar: CoverageBar) -> QImage:
    return bar.grab().toImage()


def is_role(colour: QColor, role: str) -> bool:
    wanted = theme.colour(role)
    pairs = zip(colour.toTuple()[:3], wanted.toTuple()[:3], strict=True)
    return all(abs(a - b) < 12 for a, b in pairs)


def test_a_click_goes_to_its_time(bar: CoverageBar) -> None:
    QTest.mouseClick(bar, Qt.MouseButton.LeftButton, pos=at(bar, 2.5))
    assert bar.seeks == pytest.approx([2.5], abs=0.01)
    assert bar.range_s is None


def test_the_axis_is_followed_by_the_player(bar: CoverageBar) -> None:
    drag(bar, at(bar, 2, on_axis=True), at(bar, 6, on_axis=True))
    assert bar.seeks == pytest.approx([2, 4, 6], abs=0.01)
    assert bar.edits == []


def test_a_drag_in_the_lanes_chooses_a_range(bar: CoverageBar) -> None:
    drag(bar, at(bar, 6), at(bar, 2))
    assert bar.edits == [pytest.approx((2, 6), abs=0.01)]
    assert bar.seeks == []


def test_a_range_is_told_when_it_is_let_go(bar: CoverageBar) -> None:
    drag(bar, at(bar, 2), at(bar, 6), release=False)
    assert bar.edits == []
    assert bar.range_s == pytest.approx((2, 6), abs=0.01)
    QTest.keyClick(bar, Qt.Key.Key_Escape)
    assert bar.range_s is None
    QTest.mouseRelease(bar, Qt.MouseButton.LeftButton, pos=at(bar, 6))
    assert bar.edits == []


def test_an_edge_can_be_dragged(bar: CoverageBar) -> None:
    bar.set_range((2.0, 6.0))
    assert bar.edits == []
    drag(bar, at(bar, 6) + QPoint(3, 0), at(bar, 8))
    assert bar.edits == [pytest.approx((2, 8), abs=0.01)]
    drag(bar, at(bar, 2), at(bar, 9.5))
    assert bar.edits[-1][1] - bar.edits[-1][0] == pytest.approx(0.1)


def test_the_range_by_keys(bar: CoverageBar) -> None:
    bar.set_position(3.0)
    bar.set_edge_here("start")
    bar.set_position(7.0)
    bar.set_edge_here("end")
    assert bar.edits == [(3.0, 10.0), (3.0, 7.0)]
    bar.move_edge(-1)
    step = 7.0 - bar.range_s[1]
    assert 0.05 <= step <= 0.5
    bar.move_edge(1)
    assert bar.range_s == pytest.approx((3.0, 7.0))
    bar.clear_range()
    bar.clear_range()
    assert bar.edits[-2:] == [pytest.approx((3.0, 7.0)), None]


def test_the_wheel_zooms_where_the_pointer_is(bar: CoverageBar) -> None:
    place = QPointF(at(bar, 8.0))
    before = bar.scale().time_s(place.x())
    for turned in (120, 120, 120):
        event = QWheelEvent(
            place,
            bar.mapToGlobal(place),
            QPoint(),
            QPoint(0, turned),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.ControlModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(bar, event)
    assert bar.scale().span_s == pytest.approx(10 / 1.25**3)
    assert bar.scale().time_s(place.x()) == pytest.approx(before)
    bar.zoom(0)
    assert bar.scale().span_s == 10


def test_the_view_follows_the_player(bar: CoverageBar) -> None:
    bar.zoom(10, 0.5)
    assert bar.scale().end_s < 2
    bar.set_position(6.0)
    assert bar.scale().start_s == pytest.approx(6.0)
    bar.zoom(0)


def test_frames_and_bands_are_where_they_belong(bar: CoverageBar) -> None:
    image = pixels(bar)
    lanes, scale = bar.lanes(), bar.scale()
    middle = round(lanes.picture.center().y())
    for time_s in FACTS.frame_times_s:
        assert is_role(image.pixelColor(round(scale.x(time_s)), middle), "picture")
    assert is_role(image.pixelColor(round(scale.x(3.0)), middle), "surface")
    edge = round(lanes.sound.top() + 1)
    assert is_role(image.pixelColor(round(scale.x(2.0)), edge), "sound")
    wave = round(lanes.sound.center().y() + 10)
    assert is_role(image.pixelColor(round(scale.x(2.0)), wave), "sound")
    assert not is_role(image.pixelColor(round(scale.x(5.0)), wave), "sound")


def test_what_was_skipped_has_a_pattern_and_not_only_a_colour(bar: CoverageBar) -> None:
    lanes, scale = bar.lanes(), bar.scale()
    row = round(lanes.sound.top() + 4)

    def kinds(start_s: float, end_s: float) -> set[int]:
        image = pixels(bar)
        left, right = round(scale.x(start_s)), round(scale.x(end_s))
        return {image.pixel(x, row) & 0xFFFFFF for x in range(left, right)}

    bar.set_facts(CoverageFacts(10.0, True, True, (), ((0.0, 4.0),), known=True))
    assert len(kinds(1.0, 3.0)) == 1
    assert len(kinds(8.0, 9.5)) > 1


def test_before_the_model_has_them_frames_are_hollow(bar: CoverageBar) -> None:
    bar.set_facts(CoverageFacts(10.0, True, True, (5.0,), peaks=PEAKS))
    lanes = bar.lanes()
    x, y = round(bar.scale().x(5.0)), round(lanes.picture.center().y())
    assert is_role(pixels(bar).pixelColor(x, y), "surface")


def test_the_pointer_is_told_what_is_under_it(bar: CoverageBar) -> None:
    bar.set_range((0.0, 6.0))
    assert bar.tip_at(QPointF(at(bar, 5.0))) == (
        "0:05.00\nFrame 2 of 3, at 0:05.00\nSound not heard"
    )
    assert bar.tip_at(QPointF(at(bar, 2.0))) == "0:02.00\nSound heard"
    assert bar.tip_at(QPointF(at(bar, 8.0))).endswith("Outside the chosen range")


def test_a_screen_reader_finds_a_slider_in_seconds_and_the_coverage(bar: CoverageBar) -> None:
    interface = QAccessible.queryAccessibleInterface(bar)
    assert interface.role() == QAccessible.Role.Slider
    values = interface.valueInterface()
    bar.set_position(4.7)
    assert (values.currentValue(), values.maximumValue()) == (4, 10)
    assert bar.seeks == []
    values.setCurrentValue(7)
    assert bar.seeks == [7.0]
    assert "3 frames at 1.0 s, 5.0 s, 9.0 s" in bar.accessibleDescription()
    assert "sound 4.0 s–10.0 s not heard" in bar.accessibleDescription()


def test_page_keys_leap(bar: CoverageBar) -> None:
    bar.set_position(5.0)
    QTest.keyClick(bar, Qt.Key.Key_PageDown)
    QTest.keyClick(bar, Qt.Key.Key_PageUp)
    assert bar.seeks == [6.0, 4.0]


@pytest.mark.parametrize("duration", [0.0, 0.04, 36000.0, 40 * 86400.0])
def test_any_length_can_be_drawn_and_handled(bar: CoverageBar, duration: float) -> None:
    times = (0.0, duration / 2, duration)
    bar.set_facts(CoverageFacts(duration, True, True, times, ((0.0, duration),), True, PEAKS))
    for width in (842, 160, 30):
        bar.resize(width, bar.sizeHint().height())
        pixels(bar)
        drag(bar, QPoint(30, 60), QPoint(width - 20, 60))
        bar.zoom(5)
        pixels(bar)
        bar.zoom(0)
        bar.clear_range()


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_a_change_of_theme_is_drawn(bar: CoverageBar, qapp: QApplication, choice: str) -> None:
    pixels(bar)
    theme.apply(qapp, choice)
    lanes = bar.lanes()
    where = QPoint(round(bar.scale().x(7.0)), round(lanes.picture.center().y()))
    assert is_role(pixels(bar).pixelColor(where), "surface")
    theme.apply(qapp, "light")


def test_a_clip_of_sound_alone_fills_the_room(bar: CoverageBar) -> None:
    bar.set_facts(CoverageFacts(10.0, False, True, (), (), peaks=PEAKS))
    bar.set_large(True)
    bar.resize(800, 500)
    assert bar.lanes().picture.height() == 0
    assert bar.lanes().sound.height() > 400
