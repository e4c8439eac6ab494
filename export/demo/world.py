"""What can be in a demo clip: still, moving, appearing things, a flash, and one sound.

Plain data and how it is drawn by chance; this file knows nothing of pixels or waveforms.
Positions and radii are fractions of the picture's width (x to the right, y down), times seconds.
"""

from dataclasses import dataclass

import numpy as np

DURATION_S = 4.0
COLORS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("circle", "square", "triangle", "cross")
SIZES = ("small", "large")
BACKGROUNDS = ("black", "gray", "white", "brown", "pink")
TEXTURES = ("plain", "gradient", "noise", "stripes")
DIRECTIONS = ("left", "right", "up", "down")
MOTIONS = (*DIRECTIONS, "still")
OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}
SOUND_KINDS = ("silent", "tone", "rising", "falling", "beeps", "noise")
PITCHES = ("low", "high")
TIMBRES = ("pure", "buzzy")
MAX_THINGS = 5
MAX_BEEPS = 4

FLASH_S = 0.62  # longer than the gap between two of eight frames, so one of them shows it
RADIUS = {"small": (0.066, 0.080), "large": (0.118, 0.138)}
LANES = (0.19, 0.5, 0.81)
JITTER = 0.015
# A sound is "together" with an event within .1 s; "before" or "after" means at least .9 s.
TOGETHER_S = 0.1
APART_S = (0.9, 1.2)
CENTRE_S = (1.0, 2.8)  # the middle between a sound and an event it is compared with
EVENT_S = (0.4, 3.4)
SOUND_END_S = 3.9
NO_TRACK_SHARE = 0.12
SCENE_KINDS = {"motion": 0.32, "order": 0.18, "change": 0.20, "flash": 0.15, "count": 0.15}


@dataclass(frozen=True)
class Thing:
    """One coloured shape; `start` to `end` is its way, `turn_s` when it bounces back."""

    color: str
    shape: str
    size: str
    radius: float
    start: tuple[float, float]
    end: tuple[float, float]
    motion: str = "still"
    turn_s: float | None = None
    appears_s: float | None = None
    vanishes_s: float | None = None

    @property
    def name(self) -> str:
        """Colour and shape: unlike any other thing's in the same clip."""
        return f"{self.color} {self.shape}"

    @property
    def change(self) -> str:
        """`appears`, `disappears` or `stays`."""
        if self.appears_s is not None:
            return "appears"
        return "stays" if self.vanishes_s is None else "disappears"

    def visible(self, time_s: float) -> bool:
        """Whether the thing is in the picture at this time."""
        if self.appears_s is not None and time_s < self.appears_s:
            return False
        return self.vanishes_s is None or time_s < self.vanishes_s

    def position(self, time_s: float) -> tuple[float, float]:
        """Centre at this time: straight from start to end, or there and back again."""
        if self.turn_s is None:
            share = time_s / DURATION_S
        elif time_s <= self.turn_s:
            share = time_s / self.turn_s
        else:
            share = (DURATION_S - time_s) / (DURATION_S - self.turn_s)
        (x0, y0), (x1, y1) = self.start, self.end
        return x0 + share * (x1 - x0), y0 + share * (y1 - y0)

    def heading(self, time_s: float) -> str:
        """Where it is going at this time; the opposite way after the turn."""
        if self.turn_s is None or time_s <= self.turn_s:
            return self.motion
        return OPPOSITE[self.motion]


@dataclass(frozen=True)
class Scene:
    """The picture side of a clip; at most one thing changes, unless the kind is `order`."""

    kind: str
    things: tuple[Thing, ...]
    background: str
    texture: str
    look_seed: int  # small changes of colour and the texture's pattern
    flash_s: float | None = None

    @property
    def event_s(self) -> float | None:
        """When the one event happens that a sound can be compared with."""
        if self.kind == "flash":
            return self.flash_s
        if self.kind == "change":
            for thing in self.things:
                if thing.change != "stays":
                    return thing.vanishes_s if thing.appears_s is None else thing.appears_s
        return None


@dataclass(frozen=True)
class Sound:
    """The sound side of a clip: one sound, or a silent track."""

    kind: str
    onset_s: float = 0.0
    length_s: float = 0.0
    pitch: str = "low"
    timbre: str = "pure"
    frequency: float = 0.0
    beeps: int = 0
    gap_s: float = 0.0
    loudness: float = 0.4
    hiss: float = 0.0  # standard deviation of the background noise; 0 is digital silence
    seed: int = 0

    @property
    def comparable(self) -> bool:
        """Whether its start can be compared with an event: one onset, free to lie anywhere."""
        return self.kind not in ("silent", "beeps") or self.beeps == 1


@dataclass(frozen=True)
class Clip:
    """A scene and its sound; `sound` None means the file has no sound track at all."""

    scene: Scene
    sound: Sound | None

    @property
    def sync(self) -> str | None:
        """`before`, `together` or `after`: the sound's start against the event; None if unasked."""
        event = self.scene.event_s
        if event is None or self.sound is None or not self.sound.comparable:
            return None
        return sync_label(self.sound.onset_s - event)


def sync_label(lag_s: float) -> str | None:
    """Name the lag of a sound behind an event; None in the bands that are never asked."""
    if abs(lag_s) <= TOGETHER_S:
        return "together"
    if not APART_S[0] <= abs(lag_s) <= APART_S[1]:
        return None
    return "before" if lag_s < 0 else "after"


def pick(rng: np.random.Generator, items: tuple[str, ...]) -> str:
    """One of the items, all equally likely."""
    return items[int(rng.integers(len(items)))]


def span(rng: np.random.Generator, low: float, high: float) -> float:
    """A uniform number between low and high."""
    return float(rng.uniform(low, high))


def sample_scene(rng: np.random.Generator, kind: str | None = None) -> Scene:
    """Draw a scene, of the given kind or of a kind drawn by its share."""
    if kind is None:
        kind = str(rng.choice(list(SCENE_KINDS), p=list(SCENE_KINDS.values())))
    if kind == "count":
        things = _still_things(rng, int(rng.integers(1, MAX_THINGS + 1)))
    elif kind == "order":
        things = _ordered(rng, _still_things(rng, int(rng.integers(2, 4))))
    elif kind == "change":
        things = _changed(rng, _lane_things(rng, int(rng.integers(1, 4)), still_share=0.6))
    else:
        things = _lane_things(rng, int(rng.integers(1, 4)), still_share=0.2)
    return Scene(
        kind=kind,
        things=things,
        background=pick(rng, BACKGROUNDS),
        texture=pick(rng, TEXTURES),
        look_seed=int(rng.integers(2**31)),
        flash_s=span(rng, EVENT_S[0], EVENT_S[1] - 0.05) if kind == "flash" else None,
    )


def _looks(rng: np.random.Generator, count: int) -> list[tuple[str, str, str, float]]:
    """Colour, shape, size and radius of `count` things, no two of the same colour and shape."""
    pairs = rng.choice(len(COLORS) * len(SHAPES), size=count, replace=False)
    looks = []
    for pair in pairs:
        size = pick(rng, SIZES)
        color, shape = COLORS[int(pair) // len(SHAPES)], SHAPES[int(pair) % len(SHAPES)]
        looks.append((color, shape, size, span(rng, *RADIUS[size])))
    return looks


def _still_things(rng: np.random.Generator, count: int) -> tuple[Thing, ...]:
    cells = rng.choice(len(LANES) ** 2, size=count, replace=False)
    things = []
    for (color, shape, size, radius), cell in zip(_looks(rng, count), cells, strict=True):
        x = LANES[int(cell) % len(LANES)] + span(rng, -JITTER, JITTER)
        y = LANES[int(cell) // len(LANES)] + span(rng, -JITTER, JITTER)
        things.append(Thing(color, shape, size, radius, (x, y), (x, y)))
    return tuple(things)


def _lane_things(rng: np.random.Generator, count: int, still_share: float) -> tuple[Thing, ...]:
    """Things in lanes side by side, all upright or all level, so that none meets another."""
    level = bool(rng.random() < 0.5)
    lanes = rng.choice(len(LANES), size=count, replace=False)
    things = []
    for look, lane in zip(_looks(rng, count), lanes, strict=True):
        across = LANES[int(lane)] + span(rng, -JITTER, JITTER)
        moving = bool(rng.random() >= still_share)
        things.append(_lane_thing(rng, look, across, level, moving))
    return tuple(things)


def _lane_thing(
    rng: np.random.Generator,
    look: tuple[str, str, str, float],
    across: float,
    level: bool,
    moving: bool,
) -> Thing:
    color, shape, size, radius = look
    room = 1 - 2 * radius - 0.02
    if not moving:
        along = radius + 0.01 + span(rng, 0, room)
        spot = (along, across) if level else (across, along)
        return Thing(color, shape, size, radius, spot, spot)
    travel = min(span(rng, 0.62, 0.78), room)
    low = radius + 0.01 + span(rng, 0, room - travel)
    forward = bool(rng.random() < 0.5)  # towards larger coordinates: right or down
    begin, stop = (low, low + travel) if forward else (low + travel, low)
    turn = span(rng, 1.6, 2.4) if rng.random() < 0.5 else None
    if level:
        motion = "right" if forward else "left"
        return Thing(
            color, shape, size, radius, (begin, across), (stop, across), motion, turn_s=turn
        )
    motion = "down" if forward else "up"
    return Thing(color, shape, size, radius, (across, begin), (across, stop), motion, turn_s=turn)


def _replace_thing(thing: Thing, appears: float | None, vanishes: float | None) -> Thing:
    """The same thing, standing still where it is after one second, that comes or goes."""
    spot = thing.position(1.0)
    return Thing(
        thing.color,
        thing.shape,
        thing.size,
        thing.radius,
        spot,
        spot,
        appears_s=appears,
        vanishes_s=vanishes,
    )


def _changed(rng: np.random.Generator, things: tuple[Thing, ...]) -> tuple[Thing, ...]:
    when = span(rng, *EVENT_S)
    appears = bool(rng.random() < 0.5)
    first = _replace_thing(things[0], when if appears else None, None if appears else when)
    return (first, *things[1:])


def _ordered(rng: np.random.Generator, things: tuple[Thing, ...]) -> tuple[Thing, ...]:
    """The first two things appear, at least .9 s apart."""
    early = span(rng, 0.5, 2.4)
    late = span(rng, early + 0.9, 3.5)
    times = (early, late) if rng.random() < 0.5 else (late, early)
    coming = [_replace_thing(thing, when, None) for thing, when in zip(things, times, strict=False)]
    return (*coming, *things[2:])


def sample_sound(rng: np.random.Generator, onset_s: float | None = None) -> Sound:
    """Draw a sound; with a given onset, one whose start can be compared with an event."""
    kind = pick(rng, SOUND_KINDS)
    if onset_s is not None and kind == "silent":
        kind = pick(rng, SOUND_KINDS[1:])
    hiss = 0.0 if rng.random() < 0.5 else span(rng, 0.0003, 0.003)
    seed = int(rng.integers(2**31))
    if kind == "silent":
        return Sound(kind, hiss=hiss, seed=seed)
    beeps = int(rng.integers(1, MAX_BEEPS + 1)) if kind == "beeps" and onset_s is None else 0
    beeps = 1 if kind == "beeps" and onset_s is not None else beeps
    gap = span(rng, 0.42, 0.62)
    ranges = {"beeps": (0.13, 0.19), "noise": (0.3, 0.6)}
    length = span(rng, *ranges.get(kind, (0.8, 1.3)))
    latest = SOUND_END_S - max(0, beeps - 1) * gap - max(0.2, min(length, 0.5))
    onset = span(rng, 0.3, latest) if onset_s is None else onset_s
    pitch = pick(rng, PITCHES)
    return Sound(
        kind=kind,
        onset_s=onset,
        length_s=min(length, SOUND_END_S - onset),
        pitch=pitch,
        timbre=pick(rng, TIMBRES),
        frequency=span(rng, 210, 330) if pitch == "low" else span(rng, 850, 1300),
        beeps=beeps,
        gap_s=gap,
        loudness=span(rng, 0.15, 0.6),
        hiss=hiss,
        seed=seed,
    )


def sample_crowd(rng: np.random.Generator) -> Scene:
    """A still scene of three to nine things anywhere: what the vision tower learns to see on."""
    things: list[Thing] = []
    for color, shape, size, radius in _looks(rng, int(rng.integers(3, 10))):
        for _ in range(20):
            x, y = (span(rng, radius + 0.005, 0.995 - radius) for _ in range(2))
            if all(_apart((x, y), radius, other) for other in things):
                things.append(Thing(color, shape, size, radius, (x, y), (x, y)))
                break
    return Scene(
        kind="crowd",
        things=tuple(things),
        background=pick(rng, BACKGROUNDS),
        texture=pick(rng, TEXTURES),
        look_seed=int(rng.integers(2**31)),
        flash_s=0.0 if rng.random() < 1 / 6 else None,
    )


def _apart(spot: tuple[float, float], radius: float, other: Thing) -> bool:
    dx, dy = spot[0] - other.start[0], spot[1] - other.start[1]
    return float(np.hypot(dx, dy)) > radius + other.radius


def draw_sync(rng: np.random.Generator, event_s: float) -> float | None:
    """An onset for a sound to be compared with an event at `event_s`, or None.

    Label and lag are drawn evenly, and the pair is kept if its middle lies in CENTRE_S: seen
    alone, neither the onset nor the event's time then gives more than half of the labels.
    """
    label = int(rng.integers(3)) - 1
    lag = label * span(rng, *APART_S) if label else span(rng, -TOGETHER_S, TOGETHER_S)
    if not CENTRE_S[0] <= event_s + lag / 2 <= CENTRE_S[1]:
        return None
    return event_s + lag


def sample_clip(rng: np.random.Generator) -> Clip:
    """Draw a whole clip: a scene, and a sound, a silent track or no track at all."""
    scene = sample_scene(rng)
    if rng.random() < NO_TRACK_SHARE:
        return Clip(scene, None)
    onset = None if scene.event_s is None else draw_sync(rng, scene.event_s)
    return Clip(scene, sample_sound(rng, onset))
