"""The camera: frames into the ring, each with the time at which it was taken.

By index (V4L2, DirectShow) or address (MJPEG over HTTP, RTSP), all through OpenCV. Frames are kept
as JPEG, no larger than the model can use: a minute of raw frames would take gigabytes.
"""

import math
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from app.capture.cameras import CameraSource, why_not
from app.capture.device_thread import DeviceState, DeviceThread
from app.capture.rings import PictureRing
from engines import offline
from engines.errors import CaptureError

# The longer side of a kept frame is no more than this: about what the largest model's square (384)
# has a use for. A larger one is made smaller by a whole factor, which is quick: 1280 becomes 640.
KEPT_SIDE = 800
KEPT_FPS = 30.0
JPEG_QUALITY = 90
# A network camera that says nothing for so long is lost.
SILENCE_MS = 5000
# What arrives without waiting lay in a buffer: the frames that FFmpeg read ahead when it opened the
# stream. They are older than any clock here can tell, and are passed over.
STALE_WAIT_S = 0.002
STALE_FRAMES = 120
# A device's own time stamp is believed if it is so young.
BELIEVED_AGE_S = 1.0
# Frames that did not come are counted over so long, pauses longer than this aside.
COUNTED_S = 1.0
LOST_S = 1.0


@dataclass(frozen=True)
class CameraWish:
    """How a camera is to be set; None leaves it to the camera. It may not obey."""

    width: int | None = None
    height: int | None = None
    fps: float | None = None


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """The newest frame, for a preview: when it was taken, and uint8 (h, w, 3), RGB."""

    time_s: float
    rgb: NDArray[np.uint8]


class Camera:
    """A camera that fills a ring while it is open.

    Attributes:
        missed: frames that did not come, or could not be read.
        fps: frames a second that come.
        size: width and height of the frames as they come.
    """

    def __init__(
        self,
        source: CameraSource,
        ring: PictureRing,
        wish: CameraWish | None = None,
        delay_s: float = 0.0,
    ) -> None:
        """Starts nothing yet.

        Args:
            source: which camera.
            ring: where frames go.
            wish: how it is to be set.
            delay_s: how long a frame is on its way from the lens to this program, where known.
        """
        self._source = source
        self._ring = ring
        self._wish = wish or CameraWish()
        self._delay_s = delay_s
        self._last_s = 0.0
        self._latest: tuple[float, NDArray[np.uint8]] | None = None
        self._pauses_s: list[float] = []
        self.missed = 0
        self.fps = 0.0
        self.size: tuple[int, int] | None = None
        self._device = DeviceThread(source.name, self._record)
        self.start, self.close = self._device.start, self._device.close

    @property
    def state(self) -> DeviceState:
        """How it is now."""
        return self._device.state

    @property
    def latest(self) -> LiveFrame | None:
        """The newest frame, whether the ring keeps it or not; None until there is one."""
        found = self._latest
        if found is None:
            return None
        return LiveFrame(found[0], np.ascontiguousarray(found[1][:, :, ::-1]))

    def _record(self, came_on: Callable[[], None], stopping: threading.Event) -> None:
        cv = open_cv()
        capture = _open(cv, self._source, self._wish)
        try:
            _skip_stale(capture, self._source, stopping)
            due_s = 0.0
            self._pauses_s = []
            while not stopping.is_set():
                if not capture.grab():
                    raise CaptureError(_lost(self._source))
                time_s = self._stamp(capture)
                self._count_missed(time_s - self._last_s)
                self._last_s = time_s
                # With some grace: of a camera that gives 30 frames a second, none is left out.
                keep = time_s >= due_s - 0.25 / KEPT_FPS
                whole, picture = capture.retrieve()
                if not whole or picture is None:
                    self.missed += 1
                    continue
                came_on()
                self.size = picture.shape[1], picture.shape[0]
                small = _scaled(cv, picture)
                self._latest = time_s, small
                if keep:
                    behind = time_s - due_s > 1 / KEPT_FPS
                    due_s = (time_s if behind else due_s) + 1 / KEPT_FPS
                    self._ring.put(time_s, _jpeg(cv, small))
        finally:
            self.fps = 0.0
            capture.release()

    def _stamp(self, capture: Any) -> float:
        """When the frame that was just grabbed was taken; later than every frame before it."""
        now_s = time.monotonic()
        taken_s = now_s
        if isinstance(self._source.target, int) and sys.platform.startswith("linux"):
            cv = open_cv()
            # V4L2 stamps frames with the clock that `time.monotonic` reads.
            stamp_s = capture.get(cv.CAP_PROP_POS_MSEC) / 1000
            if 0 <= now_s - stamp_s <= BELIEVED_AGE_S:
                taken_s = stamp_s
        return max(taken_s - self._delay_s, self._last_s + 1e-6)

    def _count_missed(self, pause_s: float) -> None:
        """Counts frames that did not come, a second at a time: one may be late, the next early."""
        if pause_s > LOST_S:
            return  # The camera was away: that is said elsewhere.
        self._pauses_s.append(pause_s)
        passed_s = sum(self._pauses_s)
        if passed_s < COUNTED_S:
            return
        self.fps = len(self._pauses_s) / passed_s
        quarter = len(self._pauses_s) // 4
        middle = sorted(self._pauses_s)[quarter : len(self._pauses_s) - quarter]
        expected = round(passed_s / statistics.mean(middle))
        self.missed += max(expected - len(self._pauses_s), 0)
        self._pauses_s = []


@lru_cache(maxsize=1)
def open_cv() -> ModuleType:
    """OpenCV, quiet and with its waiting bounded; CaptureError when it is not installed."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # Frames as they come, and no way from a camera's answer to a file of this computer.
    os.environ.setdefault(
        "OPENCV_FFMPEG_CAPTURE_OPTIONS",
        "fflags;nobuffer|flags;low_delay|analyzeduration;500000|rtsp_transport;tcp"
        "|protocol_whitelist;http,https,tcp,tls,rtp,udp,rtsp,rtsps,crypto",
    )
    try:
        import cv2
    except ImportError as error:
        raise CaptureError(
            f"OpenCV is not installed ({error}); install vl2 with its extra: pip install"
            " 'vl2[live]'."
        ) from error
    cv2.setNumThreads(1)
    return cv2


def _open(cv: ModuleType, source: CameraSource, wish: CameraWish) -> Any:
    if isinstance(source.target, str):
        waits = (cv.CAP_PROP_OPEN_TIMEOUT_MSEC, cv.CAP_PROP_READ_TIMEOUT_MSEC)
        limits = [value for wait in waits for value in (wait, SILENCE_MS)]
        offline.count_camera(urlsplit(source.target).hostname or "")
        capture = cv.VideoCapture(source.target, cv.CAP_FFMPEG, limits)
    else:
        capture = cv.VideoCapture(source.target, _backend(cv))
    if not capture.isOpened():
        capture.release()
        raise CaptureError(why_not(source))
    if isinstance(source.target, int):
        wishes = (
            (cv.CAP_PROP_FRAME_WIDTH, wish.width),
            (cv.CAP_PROP_FRAME_HEIGHT, wish.height),
            (cv.CAP_PROP_FPS, wish.fps),
            (cv.CAP_PROP_BUFFERSIZE, 2),
        )
        for name, value in wishes:
            if value is not None:
                capture.set(name, value)
    return capture


def _backend(cv: ModuleType) -> int:
    backends = {"win32": cv.CAP_DSHOW, "darwin": cv.CAP_AVFOUNDATION, "linux": cv.CAP_V4L2}
    return int(backends.get(sys.platform, cv.CAP_ANY))


def _skip_stale(capture: Any, source: CameraSource, stopping: threading.Event) -> None:
    """Passes over the frames that lay in a buffer; the first one that was waited for is new."""
    for _ in range(STALE_FRAMES):
        started = time.monotonic()
        if not capture.grab():
            raise CaptureError(why_not(source))
        if time.monotonic() - started > STALE_WAIT_S or stopping.is_set():
            return


def _lost(source: CameraSource) -> str:
    return f"The camera {source.name} gives no picture any more; check it, it is tried again."


def _scaled(cv: ModuleType, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    height, width = picture.shape[:2]
    factor = math.ceil(max(height, width) / KEPT_SIDE)
    if factor == 1:
        return picture
    size = max(width // factor, 1), max(height // factor, 1)
    small: NDArray[np.uint8] = cv.resize(picture, size, interpolation=cv.INTER_AREA)
    return small


def _jpeg(cv: ModuleType, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    done, encoded = cv.imencode(".jpg", picture, [cv.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise CaptureError("A frame of the camera cannot be kept; choose another resolution.")
    jpeg: NDArray[np.uint8] = np.array(encoded, np.uint8).reshape(-1)
    return jpeg
