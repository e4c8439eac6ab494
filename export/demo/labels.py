"""Scenes and sounds to what the auxiliary heads of the early stages are to say.

The tower learns single patches, the connector single tokens (two frames, two by two patches), the
decoder's prefix whole tracks and the whole clip. -1 means "not asked here" throughout.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.demo.render import flashing
from export.demo.world import (
    BACKGROUNDS,
    COLORS,
    MAX_BEEPS,
    MAX_THINGS,
    MOTIONS,
    PITCHES,
    SHAPES,
    SIZES,
    SOUND_KINDS,
    TIMBRES,
    Clip,
    Scene,
    Sound,
)

FLASH_CLASS = len(BACKGROUNDS)
PAIRS = len(COLORS) * len(SHAPES)
WHEN = 9  # before the first of eight frames, between two of them, or after the last
# Channels of a connector token, in this order.
TOKEN_CHANNELS = {
    "color": len(COLORS),
    "shape": len(SHAPES),
    "size": len(SIZES),
    "pair": PAIRS,
    "motion": len(MOTIONS),
    "comes": 1,
    "goes": 1,
    "background": len(BACKGROUNDS),
    "flash": 2,
}
# Channels of a decoder token that a thing stands on, late in the clip.
TRACK_CHANNELS = {
    "pair": PAIRS,
    "size": len(SIZES),
    "motion": len(MOTIONS),
    "bounces": 1,
    "appears": 1,
    "first": 1,
    "last": 1,
    "when": WHEN,
}
# Classes of the decoder's last prefix token.
CLIP_CLASSES = {
    "background": len(BACKGROUNDS),
    "flash": 2,
    "count": MAX_THINGS,
    "sound": len(SOUND_KINDS) + 1,
    "beeps": MAX_BEEPS + 1,
    "pitch": len(PITCHES),
    "timbre": len(TIMBRES),
    "sync": 3,
    "event": WHEN,
    "onset": WHEN,
}
SYNC = ("before", "together", "after")
Slices = tuple[tuple[int, ...], ...]  # the frames that each slice of visual tokens sees


@dataclass(frozen=True)
class FrameLabels:
    """Per-patch truth of single frames."""

    color: NDArray[np.int64]  # (B, N), -1 where no centre lies
    shape: NDArray[np.int64]
    size: NDArray[np.int64]
    offset: NDArray[np.float32]  # (B, N, 2), centre within the patch, -.5 to .5
    background: NDArray[np.int64]  # (B,), FLASH_CLASS in a flash


def frame_labels(scenes: list[Scene], time_s: float, grid: int) -> FrameLabels:
    """Labels of one frame each of some scenes on a grid x grid patch lattice."""
    count = len(scenes)
    classes = np.full((3, count, grid * grid), -1, np.int64)
    offset = np.zeros((count, grid * grid, 2), np.float32)
    ground = np.zeros(count, np.int64)
    for row, scene in enumerate(scenes):
        index = BACKGROUNDS.index(scene.background)
        ground[row] = FLASH_CLASS if flashing(scene, time_s) else index
        for thing in scene.things:
            if not thing.visible(time_s):
                continue
            x, y = (value * grid for value in thing.position(time_s))
            cell = min(int(y), grid - 1) * grid + min(int(x), grid - 1)
            names = (COLORS.index(thing.color), SHAPES.index(thing.shape), SIZES.index(thing.size))
            classes[:, row, cell] = names
            offset[row, cell] = x - int(x) - 0.5, y - int(y) - 0.5
    return FrameLabels(classes[0], classes[1], classes[2], offset, ground)


def channel(table: dict[str, int], name: str) -> int:
    """Where a name's channels begin."""
    names = list(table)
    return sum(table[other] for other in names[: names.index(name)])


def token_labels(scene: Scene, times: list[float], grid: int, slices: Slices) -> NDArray[np.int8]:
    """(slices * side * side, channels) of 0, 1 and -1 for a connector with one step of padding.

    `slices` tells which frames each slice sees; cell c sees patches 2c-1 and 2c.
    """
    side = grid // 2 + 1
    labels = np.zeros((len(slices), side, side, sum(TOKEN_CHANNELS.values())), np.int8)
    at = {name: channel(TOKEN_CHANNELS, name) for name in TOKEN_CHANNELS}
    labels[..., at["background"] + BACKGROUNDS.index(scene.background)] = 1
    for index, frames in enumerate(slices):
        for place, frame in enumerate(frames):
            labels[index, :, :, at["flash"] + place] = flashing(scene, times[frame])
            _mark_looks(labels[index], at, scene, times[frame], grid)
        if len(frames) == 2:
            _mark_movement(labels, at, scene, (times[frames[0]], times[frames[1]]), grid, index)
        else:  # one frame alone tells nothing of these
            labels[index, :, :, at["motion"] : at["goes"] + 1] = -1
    return labels.reshape(len(slices) * side * side, -1)


def _mark_looks(
    labels: NDArray[np.int8], at: dict[str, int], scene: Scene, time_s: float, grid: int
) -> None:
    """What stands on each cell of one slice at this time."""
    for thing in scene.things:
        if thing.visible(time_s):
            cell = labels[_cell(thing.position(time_s), grid)]
            color, shape = COLORS.index(thing.color), SHAPES.index(thing.shape)
            cell[at["color"] + color] = 1
            cell[at["shape"] + shape] = 1
            cell[at["size"] + SIZES.index(thing.size)] = 1
            cell[at["pair"] + color * len(SHAPES) + shape] = 1


def _cell(spot: tuple[float, float], grid: int) -> tuple[int, int]:
    x, y = (min(int(value * grid), grid - 1) for value in spot)
    return (y + 1) // 2, (x + 1) // 2


def _mark_movement(
    labels: NDArray[np.int8],
    at: dict[str, int],
    scene: Scene,
    pair: tuple[float, float],
    grid: int,
    index: int,
) -> None:
    """Directions, coming and going between the two frames of a slice."""
    early, late = pair
    for thing in scene.things:
        seen = thing.visible(early), thing.visible(late)
        cells = {_cell(thing.position(t), grid) for t, s in zip(pair, seen, strict=True) if s}
        for place in cells:
            cell = (index, *place)
            if all(seen):
                ways = {thing.heading(early), thing.heading(late)}
                for way in ways:
                    # Around the turn the way is not one thing: not asked.
                    labels[(*cell, at["motion"] + MOTIONS.index(way))] = 1 if len(ways) == 1 else -1
            else:
                labels[(*cell, at["comes"] if seen[1] else at["goes"])] = 1


def track_labels(scene: Scene, times: list[float], grid: int, slices: Slices) -> NDArray[np.int8]:
    """(len(slices) * side * side, channels): whole-clip facts of the thing on each token."""
    side = grid // 2 + 1
    labels = np.full((len(slices), side, side, sum(TRACK_CHANNELS.values())), -1, np.int8)
    at = {name: channel(TRACK_CHANNELS, name) for name in TRACK_CHANNELS}
    coming = sorted(t.appears_s for t in scene.things if t.appears_s is not None)
    for row, frames in enumerate(slices):
        taken: dict[tuple[int, int], int] = {}
        for number, thing in enumerate(scene.things):
            for frame in frames:
                if not thing.visible(times[frame]):
                    continue
                y, x = _cell(thing.position(times[frame]), grid)
                if taken.setdefault((y, x), number) != number:
                    labels[row, y, x] = -1  # two things on one token
                    continue
                cell = labels[row, y, x]
                cell[:] = 0
                pair = COLORS.index(thing.color) * len(SHAPES) + SHAPES.index(thing.shape)
                cell[at["pair"] + pair] = 1
                cell[at["size"] + SIZES.index(thing.size)] = 1
                cell[at["motion"] + MOTIONS.index(thing.motion)] = 1
                cell[at["bounces"]] = thing.turn_s is not None
                cell[at["appears"]] = thing.change == "appears"
                if thing.appears_s is not None:
                    cell[at["when"] + frames_before(thing.appears_s, times)] = 1
                if len(coming) == 2 and thing.appears_s is not None:
                    cell[at["first"]] = thing.appears_s == coming[0]
                    cell[at["last"]] = thing.appears_s == coming[1]
    return labels.reshape(len(slices) * side * side, -1)


def frames_before(time_s: float, times: list[float]) -> int:
    """How many of the model's frames lie before a time: all that pictures tell of it."""
    return sum(moment < time_s for moment in times)


def clip_labels(clip: Clip, times: list[float]) -> NDArray[np.int64]:
    """One class index per entry of CLIP_CLASSES; `times` are those of the model's frames."""
    scene, sound = clip.scene, clip.sound
    steady = scene.kind not in ("order", "change")
    values = {
        "background": BACKGROUNDS.index(scene.background),
        "flash": int(scene.flash_s is not None),
        "count": len(scene.things) - 1 if steady else -1,
        "sound": len(SOUND_KINDS) if sound is None else SOUND_KINDS.index(sound.kind),
        "beeps": -1 if sound is None else sound.beeps,
        "pitch": -1,
        "timbre": -1,
        "sync": -1 if clip.sync is None else SYNC.index(clip.sync),
        "event": -1 if scene.event_s is None else frames_before(scene.event_s, times),
        "onset": -1,
    }
    if sound is not None and sound.kind != "silent":
        values["onset"] = frames_before(sound.onset_s, times)
    if sound is not None and sound.kind not in ("silent", "noise"):
        values["timbre"] = TIMBRES.index(sound.timbre)
        values["pitch"] = PITCHES.index(sound.pitch) if sound.kind in ("tone", "beeps") else -1
    return np.array([values[name] for name in CLIP_CLASSES])


def slot_onsets(sound: Sound, slots: int, slot_s: float) -> NDArray[np.float32]:
    """(slots, 2): whether a sound starts in each time slot, and where in it (-.5 to .5)."""
    marks = np.zeros((slots, 2), np.float32)
    if sound.kind == "silent":
        return marks
    for index in range(max(1, sound.beeps)):
        place = (sound.onset_s + index * sound.gap_s) / slot_s
        if place < slots:
            marks[int(place)] = 1.0, place - int(place) - 0.5
    return marks
