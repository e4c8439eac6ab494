"""A film as it is played: every picture once, sound without a gap, both in time."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines import media
from engines.media import Played, PlayOptions
from tests.clips import MEDIA, Tone, write_clip

BEEPS_S = (0.2, 0.8, 1.4)
RATE = 48_000


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    beeps = np.zeros(2 * 44_100, np.float32)
    for start_s in BEEPS_S:
        at = round(start_s * 44_100)
        beeps[at : at + 4_410] = 0.8 * np.sin(np.arange(4_410) * 0.3)
    tone = Tone(beeps)
    return write_clip(tmp_path_factory.mktemp("play") / "film.mp4", tone=tone)


def played(path: Path, options: PlayOptions) -> tuple[list[Played], list[Played]]:
    parts = list(media.play(path, options))
    assert [part.time_s for part in parts] == sorted(part.time_s for part in parts)
    pictures = [part for part in parts if part.content.dtype == np.uint8]
    return pictures, [part for part in parts if part.content.dtype == np.float32]


def beeps_heard(sound: list[Played], options: PlayOptions) -> list[float]:
    """When the beeps are heard, in clip time."""
    samples = np.concatenate([part.content for part in sound])[:, 0]
    loud = np.flatnonzero(np.abs(samples) > 0.3)
    first = loud[np.flatnonzero(np.diff(loud, prepend=-RATE) > RATE // 10)]
    return [sound[0].time_s + float(at) * options.tempo / options.sample_rate for at in first]


@pytest.mark.parametrize("start_s", [0.0, 0.5, 1.03])
def test_it_plays_every_picture_and_beep_from_a_time_on(film: Path, start_s: float) -> None:
    options = PlayOptions(start_s, 64, 48, RATE)
    pictures, sound = played(film, options)
    times = media.read_timeline(film).times_s
    first = int(np.searchsorted(times, start_s + 1e-6, side="right")) - 1
    assert [p.time_s for p in pictures] == pytest.approx(times[first:].tolist())
    expected = list(media.read_frames(film, range(first, len(times))))
    for picture, frame in zip(pictures, expected, strict=True):
        assert np.abs(picture.content.astype(int) - frame.rgb).max() <= 3
    wanted = [beep for beep in BEEPS_S if beep > start_s]
    assert beeps_heard(sound, options) == pytest.approx(wanted, abs=0.002)


def test_sound_has_no_gap_and_lasts_as_long_as_the_clip(film: Path) -> None:
    _, sound = played(film, PlayOptions(0.0, 0, 0, RATE))
    for before, part in pairwise(sound):
        assert part.time_s == pytest.approx(before.time_s + len(before.content) / RATE)
    assert sum(len(part.content) for part in sound) / RATE == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("tempo", [0.5, 2.0])
def test_tempo_keeps_sound_and_clip_time_together(film: Path, tempo: float) -> None:
    options = PlayOptions(0.0, 0, 0, RATE, tempo)
    _, sound = played(film, options)
    seconds = sum(len(part.content) for part in sound) / RATE
    assert seconds == pytest.approx(2.0 / tempo, abs=0.1)
    assert beeps_heard(sound, options) == pytest.approx(list(BEEPS_S), abs=0.05)


def test_pictures_fit_into_the_box(film: Path) -> None:
    pictures, sound = played(film, PlayOptions(1.9, 32, 32, 0))
    assert {picture.content.shape for picture in pictures} == {(24, 32, 3)}
    assert sound == []


def test_animated_pictures_and_folders_are_played(tmp_path: Path) -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    images = [Image.new("RGB", (20, 10), colour) for colour in colours]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=200)
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, image in enumerate(images):
        image.save(folder / f"{number}.png")
    for path, times_s in ((tmp_path / "a.gif", [0.2, 0.4]), (folder, [1 / 3, 2 / 3])):
        pictures, sound = played(path, PlayOptions(0.35, 10, 10, RATE))
        assert [picture.time_s for picture in pictures] == pytest.approx(times_s)
        assert {picture.content.shape for picture in pictures} == {(5, 10, 3)}
        found = [picture.content[2, 5].argmax() for picture in pictures]
        assert found == [1, 2]
        assert sound == []


def test_sound_file_is_played_without_pictures() -> None:
    pictures, sound = played(MEDIA / "sweep.wav", PlayOptions(7.0, 640, 480, RATE))
    assert pictures == []
    assert sum(len(part.content) for part in sound) / RATE == pytest.approx(0.5, abs=0.02)
    assert np.abs(sound[0].content).max() > 0.05


@pytest.mark.confined
def test_child_plays_the_same(film: Path) -> None:
    pictures, sound = played(film, PlayOptions(1.5, 64, 48, RATE))
    assert len(pictures) == 13
    assert sum(len(part.content) for part in sound) / RATE == pytest.approx(0.5, abs=0.05)
