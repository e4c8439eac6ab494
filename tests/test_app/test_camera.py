"""A real camera path: MJPEG over loopback HTTP, opened by OpenCV as any camera is."""

import subprocess
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2", reason="the extra `live` is not installed")

from app.capture import camera as camera_module
from app.capture import device_thread
from app.capture.camera import KEPT_SIDE, Camera, _scaled, open_cv
from app.capture.cameras import CameraSource, find_camera
from app.capture.rings import PictureRing
from tests.live_devices import PictureServer, jpeg

PATIENCE_S = 120.0


def grey(value: int, height: int = 48, width: int = 64) -> bytes:
    return jpeg(np.full((height, width, 3), value, np.uint8))


def wait_until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def value_of(frame: Any) -> int:
    picture = open_cv().imdecode(frame.jpeg, 1)
    return int(picture.mean())


@pytest.fixture
def ring() -> PictureRing:
    return PictureRing(60.0, 50 << 20)


def test_a_network_camera_is_recorded_and_comes_back(
    ring: PictureRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_thread, "FIRST_PAUSE_S", 0.05)
    server = PictureServer(grey(50))
    camera = Camera(find_camera(server.url, []), ring)
    camera.start()
    try:
        wait_until(lambda: len(ring.between(0, 1e12)) >= 5)
        assert camera.state.kind == "on"
        assert camera.size == (64, 48)
        server.close()
        wait_until(lambda: camera.state.kind == "waiting")
        assert server.url in camera.state.sentence
        last_s = ring.last_s
        assert last_s is not None
        with PictureServer(grey(200), port=server.port):
            wait_until(lambda: camera.state.openings == 2)
            wait_until(lambda: len(ring.between(last_s + 1e-6, 1e12)) >= 3)
            latest = camera.latest
    finally:
        camera.close()
        server.close()
    assert camera.state.kind == "off"
    frames = ring.between(0, 1e12)
    times = np.array([frame.time_s for frame in frames])
    assert (np.diff(times) > 0).all()
    assert [value_of(frames[0]), value_of(frames[-1])] == pytest.approx([50, 200], abs=3)
    assert latest is not None
    assert latest.rgb.shape == (48, 64, 3)


def test_a_film_is_seen_in_its_order_and_time(ring: PictureRing) -> None:
    film = [grey(20 * number) for number in range(1, 11)]
    with PictureServer(grey(0), fps=50.0) as server:
        camera = Camera(find_camera(server.url, []), ring)
        camera.start()
        try:
            wait_until(lambda: camera.state.kind == "on")
            start_s = time.monotonic() + 0.2
            server.play(film, start_s, fps=10.0)
            wait_until(lambda: value_of(ring.between(0, 1e12)[-1]) > 190)
        finally:
            camera.close()
    values = [value_of(frame) for frame in ring.between(start_s, 1e12)]
    assert values == sorted(values)
    first = next(frame for frame in ring.between(0, 1e12) if value_of(frame) > 10)
    assert first.time_s >= start_s  # never before it was shown


RTSP_SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_address("127.0.0.1"); server.set_service("0")
picture = "video/x-raw,format=I420,width=320,height=240,framerate=10/1"
factory.set_launch(f"( videotestsrc is-live=true pattern=ball ! {picture} ! jpegenc ! rtpjpegpay name=pay0 )")
factory.set_shared(True)
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""  # noqa: E501 (one pipeline)
# Debian: gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good, python3-gi, for its own Python.
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.mark.slow
def test_an_rtsp_camera_is_recorded(ring: PictureRing) -> None:
    try:
        process = subprocess.Popen(
            [SYSTEM_PYTHON, "-c", RTSP_SERVER], stdout=subprocess.PIPE, text=True
        )
    except OSError:
        pytest.skip("there is no Python of the system")
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    if not port:
        process.communicate()
        pytest.skip("GStreamer's RTSP server is not installed")
    camera = Camera(find_camera(f"rtsp://127.0.0.1:{port}/camera", []), ring)
    camera.start()
    try:
        wait_until(lambda: len(ring.between(0, 1e12)) >= 5)
    finally:
        camera.close()
        process.kill()
        process.communicate()
    assert camera.size == (320, 240)
    assert (np.diff([frame.time_s for frame in ring.between(0, 1e12)]) > 0).all()


def test_what_the_camera_does_not_allow_is_one_sentence(ring: PictureRing) -> None:
    camera = Camera(CameraSource(987, "camera 987"), ring)
    camera.start()
    wait_until(lambda: camera.state.kind == "waiting")
    assert "camera 987" in camera.state.sentence
    assert "\n" not in camera.state.sentence
    camera.close()
    gone = Camera(CameraSource("http://127.0.0.1:9/x", "http://127.0.0.1:9/x"), ring)
    gone.start()
    wait_until(lambda: gone.state.kind == "waiting")
    assert "does not answer" in gone.state.sentence
    gone.close()


class FakeCapture:
    """A camera whose frames are there at made-up times."""

    def __init__(self, clock: SimpleNamespace, pauses_s: list[float]) -> None:
        self._clock = clock
        self._pauses_s = pauses_s
        self.released = False

    def grab(self) -> bool:
        if not self._pauses_s:
            return False
        self._clock.now_s += self._pauses_s.pop(0)
        return True

    def retrieve(self) -> tuple[bool, Any]:
        return True, np.zeros((4, 6, 3), np.uint8)

    def get(self, _name: int) -> float:
        return 0.0

    def release(self) -> None:
        self.released = True


def record(
    monkeypatch: pytest.MonkeyPatch, ring: PictureRing, pauses_s: list[float]
) -> tuple[Camera, FakeCapture]:
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(camera_module.time, "monotonic", lambda: clock.now_s)
    capture = FakeCapture(clock, pauses_s)
    monkeypatch.setattr(camera_module, "_open", lambda *_: capture)
    camera = Camera(CameraSource("http://fake", "fake"), ring)
    with pytest.raises(Exception, match="gives no picture any more"):
        camera._record(lambda: None, threading.Event())
    return camera, capture


def test_frames_that_lay_in_a_buffer_are_passed_over(
    monkeypatch: pytest.MonkeyPatch, ring: PictureRing
) -> None:
    record(monkeypatch, ring, [0.0005] * 7 + [0.04] * 4)
    # Seven were there at once; the first that was waited for tells where the stream is now.
    assert len(ring.between(0, 1e12)) == 3


@pytest.mark.parametrize(
    ("pauses_s", "missed"),
    [
        ([0.04] * 40 + [0.12] + [0.04] * 40, 2),
        ([0.06, 0.02] * 60, 0),  # as a network has it: late, and then early
        ([0.04] * 40 + [5.0] + [0.04] * 40, 0),  # away, which is told as such
    ],
)
def test_frames_that_did_not_come_are_counted(
    monkeypatch: pytest.MonkeyPatch, ring: PictureRing, pauses_s: list[float], missed: int
) -> None:
    camera, capture = record(monkeypatch, ring, pauses_s)
    assert camera.missed == missed
    assert capture.released


def test_more_frames_than_are_kept_are_thinned_evenly(
    monkeypatch: pytest.MonkeyPatch, ring: PictureRing
) -> None:
    record(monkeypatch, ring, [1 / 60] * 61)
    kept = [frame.time_s for frame in ring.between(0, 1e12)]
    np.testing.assert_allclose(np.diff(kept), 1 / 30, atol=1e-6)


def test_a_camera_of_thirty_frames_keeps_all(
    monkeypatch: pytest.MonkeyPatch, ring: PictureRing
) -> None:
    jitter = [1 / 30 + (0.004 if i % 2 else -0.004) for i in range(61)]
    record(monkeypatch, ring, jitter)
    assert len(ring.between(0, 1e12)) == 60


def test_large_frames_become_smaller_by_a_whole_factor() -> None:
    cv = open_cv()
    sizes = {(720, 1280): (360, 640), (1080, 1920): (360, 640), (480, 640): (480, 640)}
    for before, after in sizes.items():
        small = _scaled(cv, np.zeros((*before, 3), np.uint8))
        assert small.shape == (*after, 3)
        assert max(small.shape) <= KEPT_SIDE
    assert _scaled(cv, np.zeros((4, 6), np.uint8)).shape == (4, 6, 3)
