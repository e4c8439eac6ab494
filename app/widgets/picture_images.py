"""Pictures for the screen as QImages of a size. Runs off the window's thread; parses nothing."""

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage

from engines.errors import MediaError
from engines.media import PlayOptions, play

# More than any screen shows of a still; it is kept in this size for scaling again.
LARGEST_STILL = 4096


def fitted(picture: QSize, box: QSize) -> QSize:
    """The largest size of a picture's shape inside a box; at least one pixel each way."""
    size = picture.scaled(box, Qt.AspectRatioMode.KeepAspectRatio)
    return size.expandedTo(QSize(1, 1))


def scaled(image: QImage, box: QSize) -> QImage:
    """An image at the size at which it fits into the box (pixels of the screen)."""
    if image.isNull() or box.isEmpty():
        return image
    return image.scaled(
        fitted(image.size(), box),
        Qt.AspectRatioMode.IgnoreAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )


def array_image(rgb: NDArray[np.uint8]) -> QImage:
    """A thumbnail, uint8 (h, w, 3), as an image of its own memory."""
    height, width = rgb.shape[:2]
    packed = np.ascontiguousarray(rgb)
    return QImage(packed.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def read_picture(path: Path, time_s: float, box: QSize) -> QImage:
    """What a clip shows at a time, no larger than a box; null where nothing decodes."""
    options = PlayOptions(time_s, box.width(), box.height(), 0)
    try:
        with closing(play(path, options)) as parts:
            first = next(parts, None)
    except MediaError:
        return QImage()
    return QImage() if first is None else array_image(np.asarray(first.content, np.uint8))


def read_still(path: Path) -> QImage:
    """A picture from a file, upright, in a box of `LARGEST_STILL`; null when it does not decode."""
    return read_picture(path, 0.0, QSize(LARGEST_STILL, LARGEST_STILL))
