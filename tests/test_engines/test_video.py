from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines import media, video
from engines.config import ClipOptions, PreprocessConfig, VisionConfig
from engines.errors import MediaError
from engines.timeline import Timeline
from tests.clips import MEDIA, Tone, click_track, hollow, write_clip

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
CLIP = PreprocessConfig("shortest_edge", 84, 84, CLIP_MEAN, CLIP_STD, 1 / 255)
SIGLIP = PreprocessConfig("squash", 84, None, (0.5,) * 3, (0.5,) * 3, 1 / 255)
PLAIN = PreprocessConfig("shortest_edge", 24, 24, (0.0,) * 3, (1.0,) * 3, 1.0)


def vision(preprocess: PreprocessConfig, num_frames: int = 8, min_frames: int = 1) -> VisionConfig:
    return VisionConfig(
        image_size=84,
        patch_size=14,
        hidden_size=48,
        num_frames=num_frames,
        tokens_per_frame=36,
        min_frames=min_frames,
        projector_type="stc_connector",
        preprocess=preprocess,
    )


# Sampling: the reference's numbers


@pytest.mark.parametrize(
    ("count", "num_frames", "expected"),
    [
        (300, 8, [19, 56, 93, 131, 168, 206, 243, 280]),
        (
            300,
            16,
            [9, 28, 47, 65, 84, 103, 121, 140, 159, 178, 196, 215, 234, 252, 271, 290],
        ),
        (5, 8, [0, 1, 1, 2, 2, 3, 3, 4]),
        (9, 8, [1, 2, 3, 4, 5, 6, 7, 8]),
        (1, 4, [0, 0, 0, 0]),
        (2, 1, [1]),
    ],
)
def test_frame_indices(count: int, num_frames: int, expected: list[int]) -> None:
    assert video.frame_indices(count, num_frames).tolist() == expected


def test_range_indices() -> None:
    # start = int(s fps) - 1 and end = int(e fps) - 1, both cut to the clip
    assert video.range_indices((2.0, 4.0), 25.0, 150) == (49, 99)
    assert video.range_indices((0.0, 6.0), 25.0, 150) == (0, 149)
    assert video.range_indices((0.0, 0.01), 25.0, 150) == (0, 0)
    assert video.range_indices((5.99, 6.0), 25.0, 149) == (148, 148)


def options(name: str | Path, **fields: object) -> ClipOptions:
    return ClipOptions(MEDIA / name, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "range_s",
    [(3, 2), (2, 2), (-1, 2), (6.0, 7.0), (float("nan"), 1), (0, float("inf")), (1e9, 2e9)],
)
def test_impossible_ranges_are_refused(range_s: tuple[float, float]) -> None:
    with pytest.raises(MediaError, match=r"^The range .*\.$"):
        video.prepare_video(options("testsrc.mp4", range_s=range_s), vision(CLIP))


def test_range_beyond_the_end_is_told() -> None:
    prepared = video.prepare_video(options("testsrc.mp4", range_s=(4.0, 60.0)), vision(CLIP))
    assert prepared.notes == ("The picture ends at 6.00 s, and so does the range.",)
    assert min(prepared.frame_times_s) >= 3.96


def test_a_range_counts_from_the_clip_not_from_its_first_picture() -> None:
    late = Timeline(2.0 + np.arange(100) / 25, 6.0, 25.0)  # two seconds of sound come first
    clip = ClipOptions(Path("late.mkv"), range_s=(4.0, 5.0))
    indices, _ = video.choose_frames(clip, late, 4)
    times = late.times_s[indices]
    assert (times.min() >= 3.96, times.max() <= 5.0) == (True, True)


def test_a_picture_that_ends_before_the_sound_is_called_by_its_name(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "short.mp4", frames=10, tone=Tone(click_track(44100, 3.0, ())))
    clip = ClipOptions(path, range_s=(1.0, 2.0))
    with pytest.raises(MediaError, match=r"after the end of the picture, which is at 0\.40 s"):
        video.prepare_video(clip, vision(CLIP))


def test_range_of_a_still_picture_is_refused() -> None:
    with pytest.raises(MediaError, match="has no time"):
        video.prepare_video(options("test.png", range_s=(0.0, 1.0)), vision(CLIP))


def test_variable_rate_is_sampled_in_time(tmp_path: Path) -> None:
    times = [0, 100, 200, 300, 400, 2000, 3000]
    path = write_clip(tmp_path / "vfr.mkv", frames=7, times_ms=times)
    # The moments 0.5, 1.5, 2.5, ... s; the last frame lasts to the end of the file.
    clip = ClipOptions(path, range_s=(0.0, 3.0))
    timeline = media.read_timeline(path)
    indices, _ = video.choose_frames(clip, timeline, 3)
    assert indices.tolist() == [4, 4, 5]
    assert video.prepare_video(clip, vision(CLIP, 3)).frame_times_s == (0.4, 0.4, 2.0)


@pytest.mark.parametrize("count", [0, -1, 129])
def test_number_of_frames(count: int) -> None:
    with pytest.raises(MediaError, match="ask for 1 to 128"):
        video.prepare_video(options("testsrc.mp4", num_frames=count), vision(CLIP))


def test_up_to_128_frames() -> None:
    prepared = video.prepare_video(options("testsrc.mp4", num_frames=128), vision(CLIP))
    assert prepared.pixel_values.shape == (128, 3, 84, 84)
    assert list(prepared.frame_times_s) == sorted(prepared.frame_times_s)
    assert prepared.frame_times_s[-1] == pytest.approx(5.92)


def test_least_number_of_frames() -> None:
    prepared = video.prepare_video(
        options("testsrc.mp4", num_frames=1), vision(SIGLIP, min_frames=2)
    )
    assert prepared.pixel_values.shape == (2, 3, 84, 84)
    assert np.array_equal(*prepared.pixel_values)
    assert prepared.frame_times_s == (3.0, 3.0)


def test_sound_file_has_no_pictures() -> None:
    with pytest.raises(MediaError, match="sound but no pictures"):
        video.prepare_video(options("sweep.wav"), vision(CLIP))


# Pixels: the reference's numbers


@pytest.mark.parametrize(
    ("name", "stored", "config"),
    [
        ("testsrc.mp4", "clip_video", CLIP),
        ("test.png", "clip_image", CLIP),
        ("testsrc.mp4", "siglip_video", SIGLIP),
    ],
)
def test_pixels_are_the_reference(name: str, stored: str, config: PreprocessConfig) -> None:
    expected = np.load(MEDIA / "reference.npz")[stored]  # (T, 3, 84, 84) uint8
    prepared = video.prepare_video(options(name), vision(config))
    assert prepared.pixel_values.shape == (8, 3, 84, 84)
    assert prepared.pixel_values.dtype == np.float32
    mean = np.array(config.image_mean)[:, None, None]
    std = np.array(config.image_std)[:, None, None]
    pixels = (prepared.pixel_values * std + mean) * 255
    difference = np.abs(pixels - expected)
    assert difference.mean() < 1e-3  # of 255; the bound asked for is 0.1
    assert difference.max() < 1.01  # a step of rounding


def test_frame_times_of_testsrc() -> None:
    times = video.prepare_video(options("testsrc.mp4"), vision(CLIP)).frame_times_s
    assert times == pytest.approx([0.36, 1.12, 1.88, 2.6, 3.36, 4.08, 4.84, 5.6])


def test_normalising_by_hand() -> None:
    config = PreprocessConfig("squash", 2, None, (0.5, 0.25, 0.0), (0.5, 0.25, 2.0), 1 / 255)
    pixels = video.preprocess_frame(np.full((2, 2, 3), 255, np.uint8), config)
    assert pixels.shape == (3, 2, 2)
    assert pixels[:, 0, 0] == pytest.approx([1.0, 3.0, 0.5])
    assert video.preprocess([np.zeros((5, 7, 3), np.uint8)] * 2, vision(config)).shape == (
        2,
        3,
        2,
        2,
    )


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (321, 97), (84, 84), (85, 400), (30, 31)])
def test_crop_by_box_equals_the_plain_way(size: tuple[int, int]) -> None:
    image = Image.open(MEDIA / "test.png").convert("RGB").resize(size)
    short = min(size)
    full = image.resize(
        (int(84 * size[0] / short), int(84 * size[1] / short)), Image.Resampling.BICUBIC
    )
    for crop in (84, 50):
        left, top = (full.width - crop) // 2, (full.height - crop) // 2
        plain = np.asarray(full.crop((left, top, left + crop, top + crop)), np.int32)
        boxed = np.asarray(video.resize_and_crop(image, 84, crop), np.int32)
        difference = np.abs(plain - boxed)
        # Pillow chooses the order of its two passes by the sizes, and rounds in between.
        assert difference.max() <= (1 if crop == 84 else 8)
        assert difference.mean() < 0.2


def test_crop_larger_than_the_picture_is_black_outside() -> None:
    square = np.asarray(video.resize_and_crop(Image.new("RGB", (8, 8), "white"), 4, 6))
    assert square.shape == (6, 6, 3)
    assert square[1:5, 1:5].min() == 255
    assert square.sum() == 16 * 3 * 255


@pytest.mark.parametrize("size", [(1, 1), (16000, 1), (1, 16000), (16000, 20)])
@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize("config", [CLIP, SIGLIP])
def test_extreme_pictures(size: tuple[int, int], pad: bool, config: PreprocessConfig) -> None:
    rgb = np.full((size[1], size[0], 3), 200, np.uint8)
    pixels = video.preprocess_frame(rgb, config, pad=pad)
    assert pixels.shape == (3, 84, 84)
    assert np.isfinite(pixels).all()


def test_pad_to_square() -> None:
    wide = Image.new("RGB", (4, 1), (9, 9, 9))
    square = np.asarray(video.pad_to_square(wide, CLIP_MEAN))
    assert square.shape == (4, 4, 3)
    # (4 - 1) // 2 = 1 row of the mean colour above, 2 below
    assert square[:, 0, 0].tolist() == [122, 9, 122, 122]
    assert square[0, 0].tolist() == [122, 116, 104]


def test_pad_option_changes_the_pixels() -> None:
    padded = video.prepare_video(options("test.png", num_frames=1, pad=True), vision(PLAIN))
    assert padded.pixel_values[0, 0, 0, 0] == 0  # int(255 * mean) of PLAIN
    plain = video.prepare_video(options("test.png", num_frames=1), vision(PLAIN))
    assert not np.array_equal(padded.pixel_values, plain.pixel_values)


def test_damaged_frames_are_told(tmp_path: Path) -> None:
    path = hollow(write_clip(tmp_path / "hole.mp4", codec_options={"x264-params": "keyint=10"}))
    prepared = video.prepare_video(ClipOptions(path, num_frames=50), vision(CLIP))
    assert len(prepared.notes) == 1
    assert "of the 50 frames could not be decoded whole" in prepared.notes[0]


def test_frames_are_told_one_by_one() -> None:
    steps = list(video.video_steps(options("testsrc.mp4", num_frames=3), vision(CLIP)))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert list(video.video_steps(options("test.png"), vision(CLIP))) == [(1, 1)]
