import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.capture import recorder as recorder_module
from app.capture.clip_file import write_clip
from app.capture.recorder import Recorder, Span
from engines import media
from engines.errors import CaptureError
from tests.live_devices import jpeg

RATE = 48000


@pytest.fixture
def recorder() -> Recorder:
    """One that is never started: what it holds is put there by hand."""
    return Recorder("http://127.0.0.1:9/none", "default", seconds=60)


def see(recorder: Recorder, *times_s: float, size: tuple[int, int] = (48, 64)) -> None:
    for at_s in times_s:
        green = np.zeros((*size, 3), np.uint8)
        green[:, :, 1] = round(at_s * 10) % 256
        recorder.pictures.put(at_s, np.frombuffer(jpeg(green), np.uint8))


def hear(recorder: Recorder, start_s: float, seconds: float, level: int = 1000) -> None:
    for number in range(round(seconds * 50)):
        block = np.full(RATE // 50, level, np.int16)
        recorder.sound.put(start_s + number / 50, block)


def at(monkeypatch: pytest.MonkeyPatch, now_s: float) -> None:
    monkeypatch.setattr(recorder_module.time, "monotonic", lambda: now_s)


def test_stretches_share_their_frames(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[tuple[str, ...]] = []
    see(recorder, *(100 + np.arange(0, 20, 0.04)))
    for now_s in (110.0, 110.3, 110.97, 111.4):
        # As if the camera had come so far only.
        monkeypatch.setattr(type(recorder.pictures), "last_s", now_s)
        at(monkeypatch, now_s + 0.02)
        span = recorder.last(8.0, 8)
        assert span.seconds == pytest.approx(8.0)
        assert abs(span.end_s - now_s) <= 0.5 + 1e-9
        keys.append(recorder.clip(span, 8).frame_keys)
    first, same, still, next_one = keys
    assert first == same == still
    assert next_one[:-1] == first[1:]
    assert len(set(first) | set(next_one)) == 9


def test_frames_are_those_to_be_seen_in_the_middle_of_equal_parts(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(recorder, 10.0, 10.4, 11.0, 11.45, 12.5)
    at(monkeypatch, 14.0)
    clip = recorder.clip(Span(10.0, 12.0), 4)
    # Middles at .25, .75, 1.25, 1.75.
    assert clip.frame_times_s == pytest.approx((0.0, 0.4, 1.0, 1.45))
    assert [key.partition(":")[2] for key in clip.frame_keys] == ["0", "1", "2", "3"]
    later = recorder.clip(Span(10.2, 10.9), 2)
    assert later.frame_times_s == pytest.approx((0.0, 0.2))  # the first was taken before


def test_picture_and_sound_lie_on_one_clock(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(recorder, *(50 + np.arange(0, 4, 0.1)))
    hear(recorder, 50.0, 2.0, 0)
    hear(recorder, 52.0, 2.0, 16384)
    at(monkeypatch, 54.0)
    clip = recorder.clip(Span(51.0, 53.0), 4)
    assert clip.sound_span_s == pytest.approx((0.0, 2.0))
    assert np.flatnonzero(clip.sound)[0] == RATE
    assert clip.sound[-1] == 0.5
    assert clip.sound_key == (recorder.id, RATE)
    assert clip.notes == ()
    assert clip.digest != recorder.clip(Span(51.0, 53.1), 4).digest


def test_what_is_missing_is_said(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 30.0)
    nothing = recorder.clip(Span(20.0, 24.0), 4)
    assert nothing.notes == (
        "There was no picture in this stretch.",
        "There was no sound in this stretch.",
    )
    assert (nothing.frames, nothing.sound_span_s) == ((), None)
    see(recorder, *(20 + np.arange(0, 1, 0.1)), *(27 + np.arange(0, 1, 0.1)))
    hear(recorder, 22.0, 2.0)
    notes = recorder.clip(Span(20.0, 28.0), 4).notes
    assert notes == (
        "The camera gave no picture for 5.1 s of this stretch.",
        "The microphone gave no sound for 6.0 s of this stretch.",
    )


def test_a_lost_camera_does_not_hold_the_window_back(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(recorder, 10.0)
    at(monkeypatch, 40.0)
    assert abs(recorder.last(8.0, 8).end_s - 40.0) <= 0.5


@pytest.mark.parametrize("frozen", [False, True])
def test_a_stretch_is_kept_as_a_clip_that_can_be_asked_about(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, frozen: bool
) -> None:
    # The frozen program has another encoder.
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    times = 10 + np.cumsum([0.0, *np.tile([0.03, 0.05], 40)])  # no constant rate
    see(recorder, *times)
    see(recorder, 13.3, size=(60, 90))  # the camera was opened anew with another size
    hear(recorder, 10.0, 2.0, 0)
    hear(recorder, 12.0, 2.0, 16384)
    at(monkeypatch, 20.0)
    path = tmp_path / "kept.mp4"
    write_clip(path, recorder, Span(11.0, 13.5))
    info = media.probe(path)
    assert (info.width, info.height, info.has_sound, info.sample_rate) == (64, 48, True, RATE)
    shown = [t - 11.0 for t in [*times[times >= 11.0 - 1e-9], 13.3]]
    found = media.read_timeline(path).times_s
    first = len(found) - len(shown)  # one frame before stands at the start
    assert first in (0, 1)
    np.testing.assert_allclose(found[first:], shown, atol=0.002)
    [sound] = media.read_sound(path, [(0.5, 1.5)], rate=None)
    loud = np.flatnonzero(np.abs(sound.samples) > 0.25)
    assert loud[0] / RATE == pytest.approx(0.5, abs=0.03)
    assert sorted(p.name for p in tmp_path.glob("*.mp4*")) == ["kept.mp4"]


def test_a_clip_that_cannot_be_written_leaves_nothing(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, 20.0)
    with pytest.raises(CaptureError, match="Nothing of this stretch"):
        write_clip(tmp_path / "a.mp4", recorder, Span(1, 2))
    see(recorder, 10.0, 10.1)
    with pytest.raises(CaptureError, match="cannot be written"):
        write_clip(tmp_path / "no such folder" / "a.mp4", recorder, Span(10, 11))
    (tmp_path / "b.mp4").mkdir()
    with pytest.raises(CaptureError, match="cannot be written"):
        write_clip(tmp_path / "b.mp4", recorder, Span(10, 11))
    assert [p.name for p in tmp_path.iterdir() if p.name != "home"] == ["b.mp4"]


def test_sound_alone_is_kept_as_a_clip(tmp_path: Path) -> None:
    recorder = Recorder(None, "default")
    now_s = time.monotonic()
    hear(recorder, now_s - 2, 2.0)
    span = Span(now_s - 2, now_s)
    write_clip(tmp_path / "a.mp4", recorder, span)
    assert media.probe(tmp_path / "a.mp4").kind == "audio"


def test_something_must_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CaptureError, match="Nothing is to be recorded"):
        Recorder(None, None)
    none: list[Any] = []
    monkeypatch.setattr(recorder_module, "list_cameras", lambda: none)
    with pytest.raises(CaptureError, match="no camera called"):
        Recorder("back", None)
