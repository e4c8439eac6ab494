"""Connections are counted in every process, and told to the one that shows them."""

import pytest

from app import inference
from app.capture import camera
from app.capture.cameras import CameraSource
from app.engine_client import EngineClient
from app.inference import EngineSpec
from app.widgets.status_line import StatusLine
from engines import child_process, media, media_process, offline
from engines.errors import CaptureError
from engines.offline import Connections
from tests.desktop import CLIP


@pytest.fixture
def since():
    """What was counted since the test began."""
    before = offline.connections()
    return lambda: offline.connections() - before


def test_the_engine_process_tells_what_it_counted(since, monkeypatch) -> None:
    monkeypatch.setattr(inference, "CHILD", "tests.chatty_engine")
    with EngineClient(EngineSpec()):
        pass
    assert since() == Connections(refused=2)


@pytest.mark.confined
def test_a_media_child_tells_what_it_counted(since, monkeypatch) -> None:
    command = child_process.command

    def chatty(module: str) -> list[str]:
        return [*command("tests.chatty_engine"), "media"]

    media_process.end_children()
    monkeypatch.setattr(child_process, "command", chatty)
    media._probe.cache_clear()
    assert media.probe(CLIP).duration_s == pytest.approx(4.0, abs=0.1)
    assert since() == Connections(refused=1)
    media._probe.cache_clear()
    assert media.probe(CLIP).has_video
    assert since() == Connections(refused=2)
    media_process.end_children()
    media._probe.cache_clear()


@pytest.mark.parametrize("told", [-1, "3", None, True, 10**9, 1.5, [1]])
def test_a_child_is_not_believed_what_is_no_count(since, told: object) -> None:
    offline.count_child(refused=told)
    assert since() == Connections()


def test_a_camera_s_stream_is_counted_by_itself(since) -> None:
    class NoCamera:
        CAP_PROP_OPEN_TIMEOUT_MSEC = CAP_PROP_READ_TIMEOUT_MSEC = CAP_FFMPEG = 0

        def VideoCapture(self, *_):
            return self

        def isOpened(self):
            return False

        def release(self):
            pass

    for address in ("rtsp://u:p@192.0.2.7/a", "http://127.0.0.1:8080/"):
        with pytest.raises(CaptureError):
            camera._open(NoCamera(), CameraSource(address, address), camera.CameraWish())
    assert since() == Connections(cameras=1)


@pytest.mark.gui
def test_the_status_line_shows_the_count(qtbot, monkeypatch) -> None:
    counted = Connections()
    monkeypatch.setattr("app.widgets.status_line.connections", lambda: counted)
    line = StatusLine()
    qtbot.addWidget(line)
    assert line._offline.text() == "Connections made: 0 (refused: 0)"
    counted = Connections(made=1, refused=2, cameras=3)
    line.count()
    assert line._offline.text() == "Connections made: 1 (refused: 2), cameras: 3"
    assert "you gave: 3." in line._offline.toolTip()
    counted = Connections(refused=2)
    line.set_narrow(True)
    assert line._offline.text() == "offline"
