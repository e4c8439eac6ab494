"""Previews: the frames that the model gets, small, and the sound's least and largest samples."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines import preview
from engines.config import ClipOptions, PreprocessConfig, VisionConfig
from engines.errors import MediaError
from engines.generate import drain
from engines.preview import Preview, preview_steps, widen
from engines.video import prepare_video
from tests.clips import MEDIA, Tone, click_track, write_clip

PLAIN = PreprocessConfig("squash", 24, None, (0.0,) * 3, (1.0,) * 3, 1.0)
VISION = VisionConfig(24, 12, 8, 4, 4, 1, "stc_connector", PLAIN)
RATE = 8000


def seen(options: ClipOptions, thumbnail_px: int = 32, bins: int = 40) -> Preview:
    return drain(preview_steps(options, VISION, thumbnail_px, bins))


def test_thumbnails_are_the_frames_that_the_model_gets(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    for options in (ClipOptions(clip), ClipOptions(clip, num_frames=6, range_s=(0.4, 1.6))):
        found = seen(options)
        prepared = prepare_video(options, VISION)
        assert found.frame_times_s == prepared.frame_times_s
        assert found.thumbnails.shape == (len(prepared.frame_times_s), 24, 32, 3)
        # The green of picture n is 2n, and there are 25 pictures a second.
        green = found.thumbnails[:, :, :, 1].mean(axis=(1, 2))
        assert green == pytest.approx([50 * time for time in found.frame_times_s], abs=4)
    assert (found.kind, found.duration_s, found.fps) == ("video", 2.0, 25.0)
    assert found.peaks is None


def test_repeated_frames_stand_once(tmp_path: Path) -> None:
    assert seen(ClipOptions(MEDIA / "test.png")).frame_times_s == (0.0,)
    short = seen(ClipOptions(write_clip(tmp_path / "short.mp4", frames=2)))
    assert short.frame_times_s == pytest.approx((0.0, 0.04))
    assert len(short.thumbnails) == 2


def test_pictures_of_different_sizes_are_fitted_into_the_first(tmp_path: Path) -> None:
    for name, size in (("a.png", (40, 20)), ("b.png", (20, 40)), ("c.png", (1, 900))):
        Image.new("RGB", size, (200, 0, 0)).save(tmp_path / name)
    found = seen(ClipOptions(tmp_path))
    assert found.thumbnails.shape == (3, 16, 32, 3)
    assert (found.thumbnails[0, :, :, 0] == 200).all()
    assert (found.thumbnails[1, :, 12:20, 0] == 200).all()
    assert not found.thumbnails[1, :, :12].any()
    assert (found.thumbnails[2, :, 15:16, 0] == 200).any()


def test_sound_alone_has_no_pictures() -> None:
    for options in (
        ClipOptions(MEDIA / "sweep.wav"),
        ClipOptions(MEDIA / "testsrc.mp4", sound="only"),
    ):
        found = seen(options)
        assert found.thumbnails.shape == (0, 0, 0, 3)
        assert found.frame_times_s == ()
        assert found.peaks is not None


def clicks_of(path: Path, bins: int = 40) -> list[int]:
    peaks = seen(ClipOptions(path), bins=bins).peaks
    assert peaks is not None
    assert peaks.dtype == np.float32
    assert (peaks[:, 0] <= 0).all()
    return np.flatnonzero(peaks[:, 1] > 0.5).tolist()


def test_peaks_stand_where_the_sound_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 2 s in 40 bins of 50 ms.
    clicks = [0.52, 1.01, 1.93]
    tone = Tone(click_track(RATE, 2.0, clicks), RATE, codec="pcm_s16le")
    clip = write_clip(tmp_path / "a.mkv", tone=tone)
    assert clicks_of(clip) == [10, 20, 38]
    monkeypatch.setattr(preview, "CHUNK_S", 0.3)  # in several pieces
    assert clicks_of(clip) == [10, 20, 38]
    # Whatever range is asked for, the whole clip's sound is drawn.
    ranged = seen(ClipOptions(clip, range_s=(0.0, 0.2)), bins=40).peaks
    assert ranged is not None
    assert np.flatnonzero(ranged[:, 1] > 0.5).tolist() == [10, 20, 38]


def test_a_long_track_is_looked_at_in_spots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "WHOLE_S", 5.0)
    monkeypatch.setattr(preview, "SPOTS_AT_ONCE", 3)
    # 10 s, a spot of 0.25 s at each whole second, each for four of 40 bins.
    samples = click_track(RATE, 10.0, [0.5, 3.1, 6.4])
    clip = write_clip(tmp_path / "a.wav", frames=0, tone=Tone(samples, RATE, codec="pcm_s16le"))
    assert clicks_of(clip) == [12, 13, 14, 15]


def test_samples_are_counted_into_their_bins() -> None:
    peaks = np.zeros((4, 2), np.float32)
    widen(peaks, np.array([0.1, -0.2, 0.3, 0.4], np.float32), first=0.5, step=0.5)
    assert peaks[:, 0].tolist() == pytest.approx([0, -0.2, 0, 0])
    assert peaks[:, 1].tolist() == pytest.approx([0.1, 0.3, 0.4, 0])
    widen(peaks, np.array([np.nan, 7.0], np.float32), first=3.0, step=0.1)
    assert peaks[3].tolist() == [0, 1]
    # Fewer samples than bins, and samples behind the last bin.
    peaks = np.zeros((4, 2), np.float32)
    widen(peaks, np.array([0.5, 0.7], np.float32), first=1.0, step=2.0)
    assert peaks[:, 1].tolist() == pytest.approx([0, 0.5, 0.7, 0.7])
    widen(peaks, np.ones(9, np.float32), first=3.5, step=1.0)
    assert peaks[:, 1].tolist() == pytest.approx([0, 0.5, 0.7, 1])
    widen(peaks, np.zeros(0, np.float32), first=0.0, step=1.0)


def test_what_cannot_be_seen_is_a_sentence(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    for options in (
        ClipOptions(tmp_path / "none.mp4"),
        ClipOptions(clip, num_frames=0),
        ClipOptions(clip, range_s=(7.0, 8.0)),
    ):
        with pytest.raises(MediaError):
            seen(options)
