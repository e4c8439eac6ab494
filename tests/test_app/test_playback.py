"""Pictures one after another: stills, thumbnails in a film's place."""

from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QSize
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from app.widgets.latest_task import LatestTask
from app.widgets.pictures_playback import still
from app.widgets.playback import PicturesPlayback

pytestmark = pytest.mark.gui


def plain(index: int) -> QImage:
    image = QImage(8, 6, QImage.Format.Format_RGB32)
    image.fill(index)
    return image


class Watched:
    def __init__(self, playback: PicturesPlayback) -> None:
        self.playback = playback
        self.shown: list[int] = []
        self.sizes: list[QSize] = []
        self.positions: list[float] = []
        playback.imageChanged.connect(self._keep)
        playback.positionChanged.connect(self.positions.append)
        playback.render()

    def _keep(self, image: QImage) -> None:
        self.shown.append(image.pixel(0, 0) & 0xFF)
        self.sizes.append(image.size())


def close(playback: PicturesPlayback) -> None:
    playback.close()
    playback.images.close()


def test_each_time_has_its_picture(qtbot: QtBot) -> None:
    watched = Watched(PicturesPlayback([0.0, 1.0, 2.5], 4.0, plain, LatestTask()))
    qtbot.waitUntil(lambda: watched.shown == [0])
    for time_s, number in ((1.0, 1), (2.4, 1), (2.5, 2), (99.0, 2), (-1.0, 0)):
        watched.playback.seek(time_s)
        qtbot.waitUntil(lambda number=number: watched.shown[-1] == number)
    assert watched.positions == [1.0, 2.4, 2.5, 4.0, 0.0]
    close(watched.playback)


def test_steps_stop_at_both_ends(qtbot: QtBot) -> None:
    watched = Watched(PicturesPlayback([0.0, 1.0, 2.5], 4.0, plain, LatestTask()))
    for direction in (-1, 1, 1, 1, -1):
        watched.playback.step(direction)
    assert watched.positions == [0.0, 1.0, 2.5, 2.5, 1.0]
    close(watched.playback)


def test_they_play_and_pause_where_told(qtbot: QtBot) -> None:
    watched = Watched(PicturesPlayback([0.0, 0.1, 0.2], 0.3, plain, LatestTask()))
    playback = watched.playback
    playback.play(until_s=0.15)
    qtbot.waitUntil(lambda: not playback.playing)
    assert playback.position_s == 0.15
    playback.set_rate(3.0)
    playback.play()
    qtbot.waitUntil(lambda: not playback.playing and playback.at_end())
    qtbot.waitUntil(lambda: watched.shown[-1] == 2)
    close(playback)


def test_a_still_is_scaled_to_each_box_and_does_not_play(tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "picture.webp"
    Image.new("RGB", (64, 48)).save(path)
    watched = Watched(still(path, LatestTask()))
    qtbot.waitUntil(lambda: watched.sizes == [QSize(480, 360)])
    watched.playback.set_box(QSize(128, 128))
    qtbot.waitUntil(lambda: watched.sizes[-1] == QSize(128, 96))
    watched.playback.play()
    assert not watched.playback.playing
    close(watched.playback)


def test_what_cannot_be_read_fails(tmp_path: Path, qtbot: QtBot) -> None:
    playback = still(tmp_path / "missing", LatestTask())
    with qtbot.waitSignal(playback.failed):
        playback.render()
    assert playback.broken
    close(playback)
