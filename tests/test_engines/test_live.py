"""Stretches of a live recording through the encoders: as a file, and no work done twice."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import engines
from assets import demo_bundle, demo_clips
from engines.config import ClipOptions
from engines.errors import MediaError
from engines.events import Result
from engines.generate import drain
from engines.live import KeptFeatures, changes, read_live_sound
from engines.live_clip import LiveClip
from engines.messages import clip_message
from engines.model import VideoLlama2
from engines.stages import Counters
from engines.video import frame_indices

RATE = 48000
CLIP = demo_clips() / "bounce.mp4"
QUESTION = "Tell me what you see and hear."


def jpeg(rgb: Any) -> Any:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=95)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def recorded(path: Path) -> tuple[list[Any], Any]:
    """A demo clip as a camera and a microphone give it: JPEG frames, samples float32 (n,)."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    with av.open(path) as container:
        frames = [jpeg(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    with av.open(path) as container:
        sound = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    return frames, np.concatenate([f.to_ndarray().reshape(-1) for f in sound])


def live_clip(
    frames: list[Any], sound: Any, numbers: list[int], first: int = 0, seconds: float = 4.0
) -> LiveClip:
    return LiveClip(
        name="live",
        duration_s=seconds,
        frame_times_s=tuple(number / 25 - first / RATE for number in numbers),
        frame_keys=tuple(f"here:{number}" for number in numbers),
        frames=tuple(frames[number % len(frames)] for number in numbers),
        sound=sound,
        sample_rate=RATE,
        sound_span_s=(0.0, len(sound) / RATE) if len(sound) else None,
        sound_key=("here", first),
    )


def ask(model: VideoLlama2, clip: LiveClip, question: str, **options: Any) -> Result:
    message = clip_message(clip.options(**options), question)
    *_, result = model.generate([message], live=clip)
    assert isinstance(result, Result)
    return result


@pytest.fixture(scope="module")
def loaded() -> VideoLlama2:
    return engines.load(demo_bundle(), keep_encodings=False)


@pytest.fixture
def model(loaded: VideoLlama2) -> VideoLlama2:
    loaded.forget()
    loaded.counters = Counters()
    return loaded


@pytest.fixture(scope="module")
def bounce() -> tuple[list[Any], Any]:
    return recorded(CLIP)


def test_a_stretch_is_answered_as_the_file_it_was_played_from(
    model: VideoLlama2, bounce: tuple[list[Any], Any]
) -> None:
    numbers = frame_indices(100, 8).tolist()
    live = ask(model, live_clip(*bounce, numbers), QUESTION)
    *_, file = model.generate([clip_message(ClipOptions(CLIP), QUESTION)])
    assert isinstance(file, Result)
    assert live.answer == file.answer
    assert live.usage == file.usage
    assert live.coverage.frame_times_s == pytest.approx(file.coverage.frame_times_s)
    assert live.coverage.sound_spans_s == ((0.0, len(bounce[1]) / RATE),)


def test_the_next_stretch_costs_its_new_frames_and_the_connector(
    model: VideoLlama2, bounce: tuple[list[Any], Any]
) -> None:
    frames, sound = bounce
    counters = model.counters
    ask(model, live_clip(frames, sound, [6, 18, 31, 43, 56, 68, 80, 93]), QUESTION)
    assert counters.frames_encoded == 8
    later = live_clip(frames, sound, [31, 43, 56, 68, 80, 93, 106, 118], RATE)
    ask(model, later, QUESTION)
    assert counters.frames_encoded == 10
    ask(model, later, "How many beeps are there?")
    assert (counters.frames_encoded, counters.encodings_reused) == (10, 1)
    changed = drain(model.look(live_clip(frames, sound, [106, 118, 131])))
    assert (counters.frames_encoded, changed.shape) == (11, (2,))
    # Other pixels: nothing that is kept fits them.
    ask(model, later, QUESTION, pad=True)
    assert counters.frames_encoded == 19


def test_a_full_window_of_sound_is_heard_once(
    model: VideoLlama2, bounce: tuple[list[Any], Any]
) -> None:
    long = np.tile(bounce[1][: 2 * RATE], 6)  # 12 s; the demo's windows are of 4 s
    counters = model.counters
    first = live_clip([], long[: 8 * RATE], [], 0, 8.0)
    ask(model, first, "What do you hear?")
    assert counters.sound_windows_encoded == 2
    shifted = live_clip([], long[4 * RATE :], [], 4 * RATE, 8.0)
    ask(model, shifted, "What do you hear?")
    assert counters.sound_windows_encoded == 3
    # A window that begins elsewhere holds other sound.
    ask(model, live_clip([], long[: 4 * RATE], [], 5 * RATE, 4.0), "What do you hear?")
    assert counters.sound_windows_encoded == 4


def test_what_is_kept_gives_the_same_tokens(
    model: VideoLlama2, bounce: tuple[list[Any], Any]
) -> None:
    numbers = [31, 43, 56, 68, 80, 93, 106, 118]
    ask(model, live_clip(*bounce, [6, 18, *numbers[:6]]), QUESTION)
    clip = live_clip(*bounce, numbers)
    kept = model.encode(clip.options(), clip)
    model.forget()
    fresh = model.encode(clip.options(), clip)
    assert kept is not fresh
    # A frame that stood beside another one in the tower is rounded differently there.
    np.testing.assert_allclose(kept.visual_tokens, fresh.visual_tokens, atol=1e-4)
    np.testing.assert_array_equal(kept.audio_tokens, fresh.audio_tokens)


def test_what_a_camera_saw_leaves_no_trace(
    bounce: tuple[list[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    model = engines.load(demo_bundle())
    ask(model, live_clip(*bounce, [6, 18]), QUESTION)
    assert list(tmp_path.rglob("*.encoding")) == []
    list(model.generate([clip_message(ClipOptions(CLIP), QUESTION)]))
    assert len(list(tmp_path.rglob("*.encoding"))) == 1  # A file's encoding goes there.


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frames": ()}, "do not fit together"),
        ({"frames": (np.zeros(9, np.uint8),) * 2}, "cannot be read"),
        ({"frames": (), "frame_keys": (), "frame_times_s": (), "sound_span_s": None}, "neither"),
    ],
)
def test_a_stretch_with_nothing_in_it_is_refused(
    model: VideoLlama2, bounce: tuple[list[Any], Any], changed: dict[str, Any], message: str
) -> None:
    clip = replace(live_clip(*bounce, [6, 18]), **changed)
    with pytest.raises(MediaError, match=message):
        ask(model, clip, QUESTION)


def test_a_camera_without_a_microphone_is_asked_about_alone(
    model: VideoLlama2, bounce: tuple[list[Any], Any]
) -> None:
    clip = live_clip(bounce[0], np.zeros(0, np.float32), frame_indices(100, 8).tolist())
    result = ask(model, clip, "How does the red circle move?")
    assert result.answer == "The red circle moves left and bounces back."
    assert result.usage.audio_tokens == 0
    assert "no sound" in result.coverage.notes[0]


def test_kept_features_stay_within_their_bytes() -> None:
    kept = KeptFeatures(limit=100)
    for number in range(4):
        kept.put(str(number), np.full(5, number, np.float64))  # 40 bytes each
    assert [kept.get(str(number)) is None for number in range(4)] == [True, True, False, False]
    assert kept.nbytes == 80
    kept.get("2")
    kept.put("4", np.zeros(5))
    assert kept.get("3") is None
    assert kept.get("2") is not None
    kept.put("4", np.zeros(3))
    assert kept.nbytes == 40 + 24
    kept.clear()
    assert kept.nbytes == 0
    few = KeptFeatures(entries=2)
    for number in range(4):
        few.put(str(number), np.zeros(5))
    assert [few.get(str(number)) is None for number in range(4)] == [True, True, False, False]


def test_changes_are_those_of_the_patches_that_change_most() -> None:
    still = np.tile([[1.0, 0.0]], (20, 1))
    moved = still.copy()
    moved[3] = [0.0, 2.0]  # one patch of twenty turns by a right angle: distance 1
    moved[4] = [-1.0, 0.0]  # and one around: distance 2
    np.testing.assert_allclose(changes([still, moved, moved * 7]), [1.5, 0.0], atol=1e-12)
    assert changes([still]).shape == (0,)


def test_live_sound_is_cut_where_it_was_recorded() -> None:
    sound = np.arange(8, dtype=np.float32) / 8
    clip = LiveClip("live", 4.0, (), (), (), sound, 2, (1.0, 3.5), ("here", 0))
    first, last = read_live_sound(clip, [(0.0, 2.0), (3.0, 5.0)], rate=None)
    assert first.samples.tolist() == [0, 1 / 8, 2 / 8, 3 / 8]
    assert (first.start_s, first.end_s) == (1.0, 2.0)
    assert last.samples.tolist() == [6 / 8, 7 / 8, 0, 0]
    assert (last.start_s, last.end_s, last.sample_rate) == (3.0, 3.5, 2)
