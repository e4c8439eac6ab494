import numpy as np
import pytest

from export.demo.render import CLIP_SIZE, FLASH_RGB, RGB, flashing, render
from export.demo.sound import waveform
from export.demo.world import (
    APART_S,
    CENTRE_S,
    Scene,
    Sound,
    Thing,
    draw_sync,
    sample_clip,
    sample_crowd,
    sample_scene,
    sync_label,
)


def clips(seed: int, count: int):
    return [sample_clip(np.random.default_rng([seed, i])) for i in range(count)]


def near(pixel, rgb, tolerance=45):
    return np.abs(pixel.astype(int) - np.array(rgb)).max() <= tolerance


def test_the_same_seed_draws_the_same_clips():
    assert clips(3, 40) == clips(3, 40)
    assert clips(3, 40) != clips(4, 40)


def test_things_of_a_clip_differ_in_colour_or_shape_and_stay_in_the_picture():
    for clip in clips(5, 200):
        names = [thing.name for thing in clip.scene.things]
        assert len(set(names)) == len(names)
        for thing in clip.scene.things:
            for time_s in (0.0, 1.7, 4.0):
                x, y = thing.position(time_s)
                assert thing.radius <= x <= 1 - thing.radius
                assert thing.radius <= y <= 1 - thing.radius


def test_things_never_touch():
    for index in range(150):
        scene = sample_scene(np.random.default_rng([6, index]))
        for time_s in np.linspace(0, 4, 9):
            spots = [(thing.position(time_s), thing.radius) for thing in scene.things]
            for k, ((x, y), radius) in enumerate(spots):
                for (x2, y2), other in spots[:k]:
                    assert np.hypot(x - x2, y - y2) > 0.98 * (radius + other)


def test_a_bouncing_thing_comes_back_and_turns_its_heading():
    thing = Thing("red", "circle", "small", 0.07, (0.9, 0.5), (0.2, 0.5), "left", turn_s=2.0)
    assert thing.position(2.0) == pytest.approx((0.2, 0.5))
    assert thing.position(4.0) == pytest.approx((0.9, 0.5))
    assert thing.heading(1.0) == "left"
    assert thing.heading(3.0) == "right"


def test_a_frame_shows_what_the_scene_says():
    things = (
        Thing("red", "circle", "large", 0.13, (0.2, 0.5), (0.8, 0.5), "right"),
        Thing("blue", "square", "large", 0.13, (0.5, 0.81), (0.5, 0.81), appears_s=2.0),
    )
    scene = Scene("flash", things, "white", "plain", look_seed=1, flash_s=3.0)
    start, end = render(scene, [0.0, 3.3])
    at = CLIP_SIZE // 2
    assert near(start[at, round(0.2 * CLIP_SIZE)], RGB["red"])
    assert near(start[round(0.81 * CLIP_SIZE), at], RGB["white"])
    assert near(end[at, round(0.695 * CLIP_SIZE)], RGB["red"])
    assert near(end[round(0.81 * CLIP_SIZE), at], RGB["blue"])
    assert near(end[5, 5], FLASH_RGB)
    assert near(start[5, 5], RGB["white"])
    assert flashing(scene, 3.61)
    assert not flashing(scene, 3.63)


@pytest.mark.parametrize("shape", ["circle", "square", "triangle", "cross"])
def test_a_shape_fills_about_its_radius(shape):
    thing = Thing("green", shape, "large", 0.13, (0.5, 0.5), (0.5, 0.5))
    frame = render(Scene("count", (thing,), "black", "plain", 2), [0.0])[0]
    green = frame[..., 1] > 100
    rows, columns = np.nonzero(green)
    for spread in (np.ptp(rows), np.ptp(columns)):
        assert 1.5 * 0.13 < spread / CLIP_SIZE < 2.2 * 0.13


def test_a_crowd_has_things_apart():
    scene = sample_crowd(np.random.default_rng(8))
    assert len(scene.things) >= 3


@pytest.mark.parametrize(("kind", "beeps"), [("tone", 0), ("noise", 0), ("beeps", 3)])
def test_a_sound_starts_at_its_onset_and_not_before(kind, beeps):
    sound = Sound(kind, onset_s=1.0, length_s=0.2, frequency=300, beeps=beeps, gap_s=0.5)
    wave = waveform(sound, 3.968, 16_000)
    loud = np.flatnonzero(np.abs(wave) > 0.02) / 16_000
    assert 1.0 <= loud[0] < 1.01
    bursts = 1 + int((np.diff(loud) > 0.1).sum())
    assert bursts == max(1, beeps)


def test_a_silent_track_is_digital_silence():
    assert not waveform(Sound("silent"), 1.0, 16_000).any()


def test_a_steady_tone_has_its_frequency():
    wave = waveform(Sound("tone", 0.0, 1.0, frequency=1000), 1.0, 16_000)
    assert np.abs(np.fft.rfft(wave)).argmax() == 1000


def test_sync_labels():
    assert sync_label(0.05) == "together"
    assert sync_label(-0.9) == "before"
    assert sync_label(0.9) == "after"
    assert sync_label(0.5) is None
    assert sync_label(2.0) is None


def test_neither_the_onset_nor_the_event_alone_gives_the_sync_label():
    rng = np.random.default_rng(9)
    pairs = []
    while len(pairs) < 6000:
        event = float(rng.uniform(0.4, 3.4))
        onset = draw_sync(rng, event)
        if onset is not None:
            pairs.append((event, onset, sync_label(onset - event)))
    labels = [label for *_, label in pairs]
    for label in ("before", "together", "after"):
        assert 0.28 < labels.count(label) / len(labels) < 0.39
    for column in (0, 1):
        bins: dict[int, list[str]] = {}
        for pair in pairs:
            bins.setdefault(int(pair[column] * 10), []).append(pair[2])
        guessed = sum(max(map(found.count, set(found))) for found in bins.values())
        assert guessed / len(pairs) < 0.6
    for event, onset, _ in pairs:
        assert CENTRE_S[0] <= (event + onset) / 2 <= CENTRE_S[1]
        assert abs(onset - event) <= APART_S[1]
