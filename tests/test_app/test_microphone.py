import os
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.capture import microphone as microphone_module
from app.capture import microphones
from app.capture.microphone import QUIET_DB, Microphone
from app.capture.microphones import (
    MicrophoneInfo,
    find_microphone,
    list_microphones,
    quiet_stderr,
    using,
)
from app.capture.rings import SoundRing
from engines.errors import CaptureError

RATE = 48000
BLOCK = RATE // 50
TWO = [MicrophoneInfo(1, "USB Desk", 1), MicrophoneInfo(4, "default", 2)]


class FakeLibrary:
    """sounddevice's list of devices, and how often it was made anew."""

    def __init__(self) -> None:
        self.begun = 0
        self.default = SimpleNamespace(device=[4, 4])

    def _terminate(self) -> None:
        self.begun -= 1

    def _initialize(self) -> None:
        self.begun += 2

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {"name": "Speaker", "max_input_channels": 0},
            {"name": "USB Desk", "max_input_channels": 1},
        ]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    fake = FakeLibrary()
    monkeypatch.setattr(microphones, "sound_library", lambda: fake)
    return fake


def test_microphones_are_listed_without_speakers(library: FakeLibrary) -> None:
    assert list_microphones() == [MicrophoneInfo(1, "USB Desk", 1)]
    assert library.begun == 0


def test_new_ones_are_looked_for_only_while_none_is_open(library: FakeLibrary) -> None:
    list_microphones(anew=True)
    assert library.begun == 1
    with using():
        list_microphones(anew=True)
        assert library.begun == 1
    list_microphones(anew=True)
    assert library.begun == 2


@pytest.mark.parametrize(("wanted", "index"), [("default", 4), ("1", 1), ("desk", 1), ("USB", 1)])
def test_a_microphone_is_found(library: FakeLibrary, wanted: str, index: int) -> None:
    assert find_microphone(wanted, TWO).index == index


def test_an_unknown_microphone_says_which_there_are(library: FakeLibrary) -> None:
    with pytest.raises(CaptureError, match="USB Desk, default"):
        find_microphone("webcam", TWO)
    with pytest.raises(CaptureError, match="none is connected"):
        find_microphone("default", [])


@pytest.mark.skipif(os.name == "nt", reason="nothing is printed there")
def test_what_native_code_prints_is_kept_back(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"ALSA lib confmisc.c: no such device\n")
    os.write(2, b"this is ours\n")
    assert capfd.readouterr().err == "this is ours\n"


def hear(
    microphone: Microphone,
    block: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    now_s: float,
    age_s: float = 0.0,
    overflowed: bool = False,
) -> None:
    monkeypatch.setattr(microphone_module.time, "monotonic", lambda: now_s)
    times = SimpleNamespace(currentTime=1000.0, inputBufferAdcTime=1000.0 - age_s)
    status = SimpleNamespace(input_overflow=overflowed)
    microphone._hear(block, len(block), times, status)


def tone(level: int, channels: int = 1) -> np.ndarray:
    return np.full((BLOCK, channels), level, np.int16)


@pytest.mark.parametrize(
    ("age_s", "taken_s"),
    [
        (0.05, 9.95),  # the device says so, and it can be
        (0.0, 9.98),  # younger than the block is long
        (0.7, 9.98),  # PulseAudio's first seconds
    ],
)
def test_sound_is_placed_where_it_was_heard(
    monkeypatch: pytest.MonkeyPatch, age_s: float, taken_s: float
) -> None:
    ring = SoundRing(10.0, RATE)
    microphone = Microphone("default", ring)
    hear(microphone, tone(1000), monkeypatch, 10.0, age_s)
    assert ring.from_s == pytest.approx(taken_s)
    assert ring.last_s == pytest.approx(taken_s + 0.02)


def test_channels_are_mixed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = SoundRing(10.0, RATE)
    microphone = Microphone("default", ring)
    hear(microphone, np.tile(np.array([[30000, 20000]], np.int16), (BLOCK, 1)), monkeypatch, 10.0)
    assert set(np.rint(ring.read(9.98, 10.0).samples * 32768)) == {25000.0}


def test_the_level_rises_at_once_and_falls_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    microphone = Microphone("default", SoundRing(10.0, RATE))
    levels = []
    for number, level in enumerate([0, 16384, 0, 0]):
        hear(microphone, tone(level), monkeypatch, 10.0 + number * 0.02)
        levels.append(microphone.level_db)
    assert levels[0] == QUIET_DB
    assert levels[1] == pytest.approx(-6.02, abs=0.01)
    assert levels[1] > levels[2] > levels[3] > QUIET_DB
    monkeypatch.setattr(microphone_module.time, "monotonic", lambda: 60.0)
    assert microphone.level_db == QUIET_DB  # it is gone


def test_lost_sound_is_counted_and_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = SoundRing(10.0, RATE)
    microphone = Microphone("default", ring)
    hear(microphone, tone(1000), monkeypatch, 10.0)
    hear(microphone, tone(1000), monkeypatch, 10.12, overflowed=True)
    assert microphone.overflows == 1
    assert ring.read(9.98, 10.12).missing_s == pytest.approx(0.1)
