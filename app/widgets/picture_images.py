"""Pictures for the screen: a playing film's frames, stills and thumbnails as QImages of a size.

Runs off the window's thread. `QVideoFrame.toImage` would hold Python's lock for as long as it
takes (tens of milliseconds with a film in 4K), so frames are scaled and coloured by libswscale,
which does not. Nothing here opens a video file.
"""

from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage, QImageReader, QTransform

from app.widgets.multimedia import QVideoFrame, QVideoFrameFormat

# Beyond this, one picture would take more memory than the window may.
ALLOCATION_MB = 512
# More than any screen shows of a still; it is kept in this size for scaling again.
LARGEST_STILL = QSize(4096, 4096)
# What Qt reads of the formats that a clip may have; drawings that refer to other files are not.
_STILLS = {b"png", b"jpeg", b"webp", b"bmp", b"gif", b"tiff", b"ppm", b"pgm", b"pbm"}

_Format = QVideoFrameFormat.PixelFormat
# Qt's pixel formats as libswscale names them.
_NAMES = {
    _Format.Format_YUV420P: "yuv420p",
    _Format.Format_YUV422P: "yuv422p",
    _Format.Format_NV12: "nv12",
    _Format.Format_NV21: "nv21",
    _Format.Format_P010: "p010le",
    _Format.Format_P016: "p016le",
    _Format.Format_YUV420P10: "yuv420p10le",
    _Format.Format_YUYV: "yuyv422",
    _Format.Format_UYVY: "uyvy422",
    _Format.Format_Y8: "gray",
    _Format.Format_Y16: "gray16le",
    _Format.Format_BGRA8888: "bgra",
    _Format.Format_BGRX8888: "bgr0",
    _Format.Format_RGBA8888: "rgba",
    _Format.Format_RGBX8888: "rgb0",
    _Format.Format_ARGB8888: "argb",
    _Format.Format_XRGB8888: "0rgb",
    _Format.Format_ABGR8888: "abgr",
    _Format.Format_XBGR8888: "0bgr",
}
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_BT601, _BT709, _BT2020 = 6, 1, 9  # AVCOL_SPC_*
_SPACES = {
    QVideoFrameFormat.ColorSpace.ColorSpace_BT601: _BT601,
    QVideoFrameFormat.ColorSpace.ColorSpace_BT709: _BT709,
    QVideoFrameFormat.ColorSpace.ColorSpace_BT2020: _BT2020,
}
# Players take an untold colour space for that of television from this height on.
_HD_HEIGHT = 720


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


def frame_image(frame: QVideoFrame, box: QSize) -> QImage:
    """A film's frame as it is to be seen, fitted into a box; a null image when it has no pixels."""
    name = _NAMES.get(frame.pixelFormat())
    if name is None:
        return scaled(frame.toImage(), box)  # slow, and turned already
    layout = frame.surfaceFormat()
    degrees = (layout.rotation().value + frame.rotation().value) % 360
    inner = fitted(frame.size(), box.transposed() if degrees in (90, 270) else box)
    image = _converted(frame, name, inner)
    if degrees:
        image = image.transformed(QTransform().rotate(degrees))
    if layout.isMirrored() != frame.mirrored():
        image = image.flipped(Qt.Orientation.Horizontal)
    return image


def array_image(rgb: NDArray[np.uint8]) -> QImage:
    """A thumbnail, uint8 (h, w, 3), as an image of its own memory."""
    height, width = rgb.shape[:2]
    packed = np.ascontiguousarray(rgb)
    return QImage(packed.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def read_still(path: Path) -> QImage:
    """A picture from a file, upright, at most `LARGEST_STILL`; null when Qt cannot read it."""
    QImageReader.setAllocationLimit(ALLOCATION_MB)
    reader = QImageReader(str(path))
    reader.setAutoTransform(True)
    reader.setDecideFormatFromContent(True)
    if reader.format().data() not in _STILLS:
        return QImage()
    size = reader.size()
    if size.isValid() and size.boundedTo(LARGEST_STILL) != size:
        reader.setScaledSize(fitted(size, LARGEST_STILL))
    return reader.read()


def _converted(frame: QVideoFrame, name: str, size: QSize) -> QImage:
    source = _mapped(frame, name)
    if source is None:
        return QImage()
    smaller = size.width() < source.width
    out = source.reformat(
        size.width(),
        size.height(),
        "bgra",
        src_colorspace=_colour_space(frame),
        interpolation="AREA" if smaller else "BICUBIC",
        threads=1,
    )
    plane = out.planes[0]
    image = QImage(
        memoryview(plane), size.width(), size.height(), plane.line_size, QImage.Format.Format_RGB32
    )
    return image.copy()


def _mapped(frame: QVideoFrame, name: str) -> av.VideoFrame | None:
    """A copy of a frame's pixels, row by row: the two libraries pad rows differently."""
    frame = QVideoFrame(frame)
    if not frame.map(QVideoFrame.MapMode.ReadOnly):
        return None
    try:
        result = av.VideoFrame(frame.width(), frame.height(), name)
        for number, plane in enumerate(result.planes):
            # Of an odd number of rows, half of them may be rounded down.
            source = _rows(frame.bits(number), frame.bytesPerLine(number))
            target = _rows(plane, plane.line_size)
            height = min(len(source), len(target))
            width = min(source.shape[1], target.shape[1])
            target[:height, :width] = source[:height, :width]
            target[height:, :width] = source[height - 1, :width]
    finally:
        frame.unmap()
    if frame.surfaceFormat().colorRange() == QVideoFrameFormat.ColorRange.ColorRange_Full:
        result.color_range = _FULL_RANGE
    return result


def _rows(buffer: Any, stride: int) -> NDArray[np.uint8]:
    flat = np.frombuffer(buffer, np.uint8)
    return flat[: len(flat) // stride * stride].reshape(-1, stride)


def _colour_space(frame: QVideoFrame) -> int:
    told = _SPACES.get(frame.surfaceFormat().colorSpace())
    return told or (_BT709 if frame.height() >= _HD_HEIGHT else _BT601)
