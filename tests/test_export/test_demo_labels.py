import numpy as np
import pytest

from export.demo.labels import (
    CLIP_CLASSES,
    FLASH_CLASS,
    TOKEN_CHANNELS,
    TRACK_CHANNELS,
    WHEN,
    channel,
    clip_labels,
    frame_labels,
    frames_before,
    slot_onsets,
    token_labels,
    track_labels,
)
from export.demo.network import Sizes
from export.demo.world import BACKGROUNDS, MOTIONS, Clip, Scene, Sound, Thing

SLICES = Sizes().slices
TIMES = [0.24, 0.76, 1.24, 1.72, 2.24, 2.72, 3.2, 3.72]
MOVING = Thing("red", "circle", "small", 0.07, (0.1, 0.1), (0.9, 0.1), "right")
COMING = Thing("blue", "cross", "large", 0.13, (0.5, 0.9), (0.5, 0.9), appears_s=1.5)


def token(labels, grid, index, y, x):
    return labels.reshape(grid)[index, y, x]


def test_frame_labels_mark_the_centre_s_patch():
    scene = Scene("crowd", (COMING, MOVING), "gray", "plain", 0, flash_s=2.0)
    labels = frame_labels([scene, scene], 2.1, 7)
    assert labels.background.tolist() == [FLASH_CLASS] * 2
    assert np.count_nonzero(labels.color[0] >= 0) == 2
    cell = 6 * 7 + 3  # y .9, x .5
    assert (labels.color[0, cell], labels.shape[0, cell], labels.size[0, cell]) == (2, 3, 1)
    assert np.allclose(labels.offset[0, cell], (0.0, -0.2), atol=1e-6)
    assert frame_labels([scene], 1.0, 7).background[0] == BACKGROUNDS.index("gray")


def test_token_labels_follow_a_thing_through_the_slices():
    scene = Scene("motion", (MOVING, COMING), "gray", "plain", 0)
    labels = token_labels(scene, TIMES, 7, SLICES).reshape(5, 4, 4, -1)
    red = channel(TOKEN_CHANNELS, "color")
    right = channel(TOKEN_CHANNELS, "motion") + MOTIONS.index("right")
    comes = channel(TOKEN_CHANNELS, "comes")
    # x .148 at the first frame, patch 1, cell 1; y .1, patch 0, cell 0.
    assert labels[0, 0, 1, red] == 1
    assert labels[0, 0, 1, right] == -1
    assert labels[2, 0, 2, right] == 1
    assert labels[4, 0, 3, red] == 1
    # It appears between the frames at 1.24 and 1.72, that is between two slices: neither sees it.
    assert labels[1:4, 3, 2, comes].tolist() == [0, 0, 0]
    assert labels[0, 3, 2, comes] == labels[4, 3, 2, comes] == -1
    assert (labels[..., channel(TOKEN_CHANNELS, "background") + 1] == 1).all()


def test_a_thing_that_appears_within_a_slice_comes():
    coming = Thing("blue", "cross", "large", 0.13, (0.5, 0.9), (0.5, 0.9), appears_s=1.0)
    labels = token_labels(Scene("change", (coming,), "gray", "plain", 0), TIMES, 7, SLICES)
    labels = labels.reshape(5, 4, 4, -1)
    comes = channel(TOKEN_CHANNELS, "comes")
    assert labels[1, 3, 2, comes] == 1
    assert labels[2:4, :, :, comes].max() == 0


def test_a_slice_of_one_frame_tells_what_stands_there_and_nothing_of_movement():
    scene = Scene("flash", (MOVING,), "gray", "plain", 0, flash_s=0.7)
    frames = Sizes(pooled=True).slices
    labels = token_labels(scene, TIMES, 7, frames).reshape(8, 4, 4, -1)
    red, flash = (channel(TOKEN_CHANNELS, name) for name in ("color", "flash"))
    motion, goes = (channel(TOKEN_CHANNELS, name) for name in ("motion", "goes"))
    # x .148 and .852 at the first and the last frame: patches 1 and 5, cells 1 and 3.
    assert labels[0, 0, 1, red] == labels[7, 0, 3, red] == 1
    assert labels[:, 0, 0, flash].tolist() == [0, 1, 1, 0, 0, 0, 0, 0]
    assert (labels[..., flash + 1] == 0).all()
    assert (labels[..., motion : goes + 1] == -1).all()


def test_track_labels_hold_a_thing_s_whole_way():
    bouncing = Thing("red", "circle", "small", 0.07, (0.1, 0.1), (0.9, 0.1), "right", turn_s=2.0)
    scene = Scene("motion", (bouncing,), "gray", "plain", 0)
    labels = track_labels(scene, TIMES, 7, SLICES[3:]).reshape(2, 4, 4, -1)
    way = channel(TRACK_CHANNELS, "motion") + MOTIONS.index("right")
    bounces = channel(TRACK_CHANNELS, "bounces")
    asked = labels[..., 0] >= 0
    assert asked.any(axis=(1, 2)).all()
    assert (labels[asked][:, way] == 1).all()
    assert (labels[asked][:, bounces] == 1).all()


def test_track_labels_say_between_which_frames_a_thing_appears():
    scene = Scene("change", (COMING,), "gray", "plain", 0)  # it appears at 1.5
    labels = track_labels(scene, TIMES, 7, SLICES[3:]).reshape(2, 4, 4, -1)
    when = channel(TRACK_CHANNELS, "when")
    said = labels[labels[..., 0] >= 0][:, when : when + WHEN]
    assert len(said) == 2
    assert said.argmax(1).tolist() == [3, 3]
    assert (said.sum(1) == 1).all()
    always = track_labels(Scene("motion", (MOVING,), "gray", "plain", 0), TIMES, 7, SLICES[3:])
    assert always[always[:, 0] >= 0][:, when : when + WHEN].max() == 0


@pytest.mark.parametrize(
    ("time_s", "before"), [(0.1, 0), (0.24, 0), (0.25, 1), (1.5, 3), (3.72, 7), (3.8, 8)]
)
def test_a_time_is_told_by_the_frames_before_it(time_s, before):
    assert frames_before(time_s, TIMES) == before < WHEN


def test_clip_labels():
    scene = Scene("flash", (MOVING,), "brown", "plain", 0, flash_s=1.0)
    sound = Sound("beeps", 1.95, 0.2, "high", "buzzy", 900, beeps=1)
    named = dict(zip(CLIP_CLASSES, clip_labels(Clip(scene, sound), TIMES).tolist(), strict=True))
    assert named == {
        "background": 3, "flash": 1, "count": 0, "sound": 4, "beeps": 1, "pitch": 1,
        "timbre": 1, "sync": 2, "event": 2, "onset": 4,
    }  # fmt: skip
    silent = dict(zip(CLIP_CLASSES, clip_labels(Clip(scene, None), TIMES).tolist(), strict=True))
    assert (silent["sound"], silent["beeps"], silent["sync"]) == (6, -1, -1)
    assert (silent["event"], silent["onset"]) == (2, -1)
    still = Clip(Scene("motion", (MOVING,), "brown", "plain", 0), Sound("silent"))
    named = dict(zip(CLIP_CLASSES, clip_labels(still, TIMES).tolist(), strict=True))
    assert (named["event"], named["onset"]) == (-1, -1)


def test_onsets_of_beeps():
    sound = Sound("beeps", 0.5, 0.1, beeps=2, gap_s=0.5)
    marks = slot_onsets(sound, 4, 0.4)
    assert marks[:, 0].tolist() == [0, 1, 1, 0]
    assert np.allclose(marks[1:3, 1], (0.5 / 0.4 - 1.5, 1.0 / 0.4 - 2.5))
