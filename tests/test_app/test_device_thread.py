import threading
import time
from collections.abc import Callable

import pytest

from app.capture import device_thread
from app.capture.device_thread import DeviceThread
from engines.errors import CaptureError

PATIENCE_S = 60.0


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_thread, "FIRST_PAUSE_S", 0.001)


def test_a_device_is_opened_again_until_it_comes_back() -> None:
    attempts: list[int] = []
    steady = threading.Event()

    def record(came_on: Callable[[], None], stopping: threading.Event) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise CaptureError("The camera is in use; close it.")
        came_on()
        came_on()
        if len(attempts) == 3:
            raise CaptureError("The camera was pulled.")
        steady.set()
        stopping.wait()

    device = DeviceThread("front", record)
    assert device.state.kind == "opening"
    device.start()
    assert steady.wait(PATIENCE_S)
    wait_until(lambda: device.state.kind == "on")
    assert (len(attempts), device.state.openings, device.state.sentence) == (4, 2, "")
    device.close()
    assert device.state.kind == "off"


def test_what_is_wrong_can_be_read_while_it_is_tried_again() -> None:
    second = threading.Event()
    seen: list[str] = []

    def record(came_on: Callable[[], None], stopping: threading.Event) -> None:
        if second.is_set():
            seen.append(device.state.sentence)
            stopping.wait()
            return
        second.set()
        raise CaptureError("The microphone may not be used; allow it.")

    device = DeviceThread("desk", record)
    device.start()
    wait_until(lambda: bool(seen))
    assert seen == ["The microphone may not be used; allow it."]
    assert device.state.kind == "waiting"
    device.close()


def test_an_unforeseen_error_does_not_end_the_thread() -> None:
    attempts: list[int] = []

    def record(came_on: Callable[[], None], stopping: threading.Event) -> None:
        attempts.append(1)
        raise ZeroDivisionError("oh")

    device = DeviceThread("odd", record)
    device.start()
    wait_until(lambda: len(attempts) > 1)
    assert "unforeseen" in device.state.sentence
    device.close()


def test_pauses_grow_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(device_thread, "FIRST_PAUSE_S", 0.5)

    def record(came_on: Callable[[], None], stopping: threading.Event) -> None:
        raise CaptureError("No.")

    device = DeviceThread("gone", record)

    def wait(pause_s: float) -> bool:
        pauses.append(pause_s)
        if len(pauses) == 7:
            device._stopping.set()
        return device._stopping.is_set()

    monkeypatch.setattr(device._stopping, "wait", wait)
    device._run()
    assert pauses == [0.5, 1, 2, 4, 8, 8, 8]


def test_closing_what_never_started_is_fine() -> None:
    device = DeviceThread("new", lambda came_on, stopping: None)
    device.close()
    assert device.state.kind == "off"
