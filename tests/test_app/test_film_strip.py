"""The frames the model gets, as a row to choose from."""

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.widgets.film_strip import IMAGE_ROLE, FilmStrip

pytestmark = pytest.mark.gui

TIMES = (0.24, 0.76, 1.24, 1.72)


def thumbnails(count: int, height: int = 90, width: int = 160) -> np.ndarray:
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[..., 0] = np.arange(count)[:, None, None] * 50
    return frames


@pytest.fixture
def strip(qtbot: QtBot) -> Iterator[FilmStrip]:
    made = FilmStrip()
    qtbot.addWidget(made)
    made.set_frames(TIMES, thumbnails(4), 2)
    made.resize(700, made.height())
    made.show()
    made.seeks = []
    made.seekRequested.connect(made.seeks.append)
    return made


def test_it_shows_exactly_the_frames_with_their_times(strip: FilmStrip) -> None:
    items = [strip.item(row) for row in range(strip.count())]
    assert [item.text() for item in items] == ["0:00.24", "0:00.76", "0:01.24", "0:01.72"]
    reds = [QImage(item.data(IMAGE_ROLE)).pixelColor(3, 3).red() for item in items]
    assert reds == [0, 50, 100, 150]
    spoken = items[1].data(Qt.ItemDataRole.AccessibleTextRole)
    assert spoken == "Frame 2 of 4, at 0:00.76"


def test_a_click_goes_to_a_frame(strip: FilmStrip) -> None:
    where = strip.visualItemRect(strip.item(2)).center()
    QTest.mouseClick(strip.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert strip.seeks == [1.24]


def test_arrows_and_enter_go_to_a_frame(strip: FilmStrip) -> None:
    strip.setCurrentRow(0)
    QTest.keyClick(strip, Qt.Key.Key_Right)
    QTest.keyClick(strip, Qt.Key.Key_Return)
    assert strip.seeks == [0.76]


@pytest.mark.parametrize(("time_s", "now"), [(0.0, -1), (0.239, 0), (0.5, 0), (1.24, 2), (9.0, 3)])
def test_the_frame_of_the_moment_is_marked(strip: FilmStrip, time_s: float, now: int) -> None:
    strip.set_position(time_s)
    assert strip.now == now


def test_the_mark_is_an_edge_and_a_sign_not_only_a_colour(strip: FilmStrip) -> None:
    def ink(row: int) -> int:
        image = strip.viewport().grab(strip.visualItemRect(strip.item(row))).toImage()
        gray = image.convertToFormat(QImage.Format.Format_Grayscale8)
        rows = np.frombuffer(gray.constBits(), np.uint8).reshape(gray.height(), -1)
        return int((np.abs(rows[75:, : gray.width()].astype(int) - rows[-1, 1]) > 40).sum())

    before = ink(1)
    strip.set_position(0.8)
    assert ink(1) > before * 1.3


@pytest.mark.parametrize("shape", [(160, 90), (45, 160), (160, 2), (160, 160)])
def test_any_shape_fits(strip: FilmStrip, shape: tuple[int, int]) -> None:
    strip.set_frames(TIMES, thumbnails(4, *shape), 2)
    strip.grab()
    rect = strip.visualItemRect(strip.item(0))
    assert rect.height() <= strip.height()
    assert 40 <= rect.width() <= 160


def test_new_frames_replace_the_old_and_none_is_marked(strip: FilmStrip) -> None:
    strip.set_position(1.0)
    strip.set_frames((0.5,), thumbnails(1), 1)
    assert (strip.count(), strip.now) == (1, -1)
    strip.set_frames((), np.zeros((0, 0, 0, 3), np.uint8), 1)
    assert strip.count() == 0
    strip.set_position(3.0)
