"""Stills and thumbnails for the screen."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QImage

from app.widgets.picture_images import array_image, fitted, read_still, scaled

pytestmark = pytest.mark.gui

BOX = QSize(400, 400)


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
