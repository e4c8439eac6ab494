"""Pixels of films, stills and thumbnails, held against values worked by hand."""

import threading
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QImage

from app.widgets.multimedia import QtVideo, QVideoFrame, QVideoFrameFormat
from app.widgets.picture_images import array_image, fitted, frame_image, read_still, scaled

pytestmark = pytest.mark.gui

Format = QVideoFrameFormat.PixelFormat
# Pure red in studio-range BT.601.
RED = (82, 90, 240)
BOX = QSize(400, 400)


def planar(width: int, height: int, kind: Format, colour: tuple[int, int, int]) -> QVideoFrame:
    frame = QVideoFrame(QVideoFrameFormat(QSize(width, height), kind))
    assert frame.map(QVideoFrame.MapMode.WriteOnly)
    for number, value in enumerate(colour):
        np.frombuffer(frame.bits(number), np.uint8)[:] = value
    frame.unmap()
    return frame


def near(image: QImage, x: int, y: int, colour: tuple[int, int, int], tolerance: int = 3) -> bool:
    found = QColor(image.pixel(x, y)).toTuple()[:3]
    return all(abs(a - b) <= tolerance for a, b in zip(found, colour, strict=True))


@pytest.mark.parametrize("size", [(64, 48), (66, 50), (161, 121)])
@pytest.mark.parametrize("kind", [Format.Format_YUV420P, Format.Format_YUV422P])
def test_a_films_colours_and_shape(size: tuple[int, int], kind: Format) -> None:
    image = frame_image(planar(*size, kind, RED), BOX)
    assert image.size() == fitted(QSize(*size), BOX)
    assert near(image, 5, 5, (255, 0, 0))
    assert near(image, image.width() - 2, image.height() - 2, (255, 0, 0))


def test_bgr_and_gray_frames() -> None:
    frame = QVideoFrame(QVideoFrameFormat(QSize(32, 32), Format.Format_BGRX8888))
    frame.map(QVideoFrame.MapMode.WriteOnly)
    np.frombuffer(frame.bits(0), np.uint8).reshape(-1, 4)[:] = (10, 20, 200, 0)
    frame.unmap()
    assert near(frame_image(frame, BOX), 5, 5, (200, 20, 10))
    gray = planar(32, 32, Format.Format_Y8, (130,))
    assert frame_image(gray, BOX).size() == BOX


def test_high_films_are_television_low_ones_are_not() -> None:
    low = frame_image(planar(64, 48, Format.Format_YUV420P, (100, 90, 200)), BOX)
    high = frame_image(planar(64, 720, Format.Format_YUV420P, (100, 90, 200)), BOX)
    assert QColor(low.pixel(3, 3)) != QColor(high.pixel(3, 3))


def test_a_turned_film_is_shown_upright() -> None:
    frame = planar(64, 32, Format.Format_YUV420P, RED)
    layout = frame.surfaceFormat()
    layout.setRotation(QtVideo.Rotation.Clockwise90)
    turned = QVideoFrame(layout)
    turned.map(QVideoFrame.MapMode.WriteOnly)
    luma = np.frombuffer(turned.bits(0), np.uint8).reshape(-1, turned.bytesPerLine(0))
    luma[:] = 16
    luma[:, :32] = 235  # the left half is white
    for number in (1, 2):
        np.frombuffer(turned.bits(number), np.uint8)[:] = 128
    turned.unmap()
    image = frame_image(turned, QSize(100, 200))
    assert image.size() == QSize(100, 200)
    assert near(image, 50, 20, (255, 255, 255), 8)  # left came to be on top
    assert near(image, 50, 180, (0, 0, 0), 8)


def test_other_threads_go_on_while_a_large_frame_is_made() -> None:
    frame = planar(3840, 2160, Format.Format_YUV420P, RED)
    before = threading.active_count()
    image = frame_image(frame, QSize(960, 960))
    assert image.size() == QSize(960, 540)
    assert threading.active_count() == before


def test_an_empty_frame_gives_no_image() -> None:
    assert frame_image(QVideoFrame(), BOX).isNull()


def test_a_thumbnail_keeps_its_pixels() -> None:
    rgb = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    image = array_image(rgb[:, ::-1])
    assert (image.width(), image.height()) == (7, 5)
    assert QColor(image.pixel(0, 0)).toTuple()[:3] == tuple(rgb[0, 6])


def test_any_shape_fits() -> None:
    assert fitted(QSize(3200, 900), QSize(320, 320)) == QSize(320, 90)
    assert fitted(QSize(1, 5000), QSize(320, 100)) == QSize(1, 100)
    assert scaled(QImage(), BOX).isNull()


def test_a_photograph_is_turned_as_its_camera_said(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    Image.new("RGB", (60, 20), (0, 0, 255)).save(path, exif=exif)
    assert read_still(path).size() == QSize(20, 60)


def test_a_huge_picture_is_read_small(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("L", (9000, 30), 255).save(path)
    assert read_still(path).width() == 4096


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    assert read_still(path).isNull()
    assert read_still(tmp_path / "missing.png").isNull()


def test_the_bundled_ffmpeg_knows_every_format() -> None:
    from app.widgets.picture_images import _NAMES

    for name in _NAMES.values():
        assert av.VideoFrame(16, 16, name).reformat(8, 8, "bgra").width == 8
