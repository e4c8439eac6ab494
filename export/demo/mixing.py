"""Which clip meets which sound, and what is asked: the joint stage's material, step by step.

Pictures and sounds are rendered apart and paired here, so the pairs are new in every epoch; a clip
with an event often meets a sound drawn to lie before, with or after it.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.demo.questions import (
    Question,
    all_questions,
    sound_questions,
    talk_questions,
    typed,
)
from export.demo.world import NO_TRACK_SHARE, Clip, Scene, Sound, draw_sync

# How often a type is asked beside the others: harder ones more.
TYPE_WEIGHTS = {
    "motion": 2.5,
    "bounce": 2.5,
    "order": 2.5,
    "sync": 6.0,
    "change": 2.0,
    "exist": 3.5,
    "count": 1.5,
    "absent": 1.5,
    "beeps": 1.2,
    "caption": 1.2,
    "av_caption": 1.2,
    "fu_color": 0.6,
    "fu_shape": 0.6,
    "fu_size": 0.6,
    "fu_motion": 1.0,
    "no_track": 0.5,
    "talk": 14.0,
}
SOUND_ONLY_SHARE = 0.06
NEAREST_S = 0.02


@dataclass(frozen=True)
class Item:
    """One clip of a step: rows of the two pools (-1: none) and the questions asked about it."""

    picture: int
    sound: int
    clip: Clip | None  # None where the file is all there is
    questions: list[Question]


class Mixer:
    """Draws items; everything it gives depends on the generator it is given alone.

    `talks` is how many questions of a clip may stand behind other turns.
    """

    def __init__(
        self,
        scenes: list[Scene],
        sounds: list[Sound],
        pictures: range,
        tracks: range,
        talks: int = 0,
    ) -> None:
        self.scenes, self.sounds, self.talks = scenes, sounds, talks
        self.pictures, self.tracks = pictures, tracks
        free = [i for i in tracks if sounds[i].comparable]
        free.sort(key=lambda i: sounds[i].onset_s)
        self.by_onset = np.array(free)
        self.onsets = np.array([sounds[i].onset_s for i in free])
        self.weights = self._answer_weights()

    def _answer_weights(self, clips: int = 1500) -> dict[tuple[str, str], float]:
        """Weights under which all answers of a type are about equally frequent."""
        seen: Counter[tuple[str, str]] = Counter()
        for index in range(clips):
            rng = np.random.default_rng([23, index])
            picture = self.pictures[int(rng.integers(len(self.pictures)))]
            clip = self.pair(rng, picture)[1]
            seen.update((q.type, q.key) for q in self.ask(clip, rng))
        keys: dict[str, int] = defaultdict(int)
        for kind, _ in seen:
            keys[kind] += 1
        return {
            (kind, key): TYPE_WEIGHTS.get(kind, 1.0) / keys[kind] / (count / clips)
            for (kind, key), count in seen.items()
        }

    def pair(self, rng: np.random.Generator, picture: int) -> tuple[int, Clip]:
        """A sound for a picture, as `world.sample_clip` would choose it."""
        scene = self.scenes[picture]
        if rng.random() < NO_TRACK_SHARE:
            return -1, Clip(scene, None)
        track = self.tracks[int(rng.integers(len(self.tracks)))]
        onset = None if scene.event_s is None else draw_sync(rng, scene.event_s)
        if onset is not None:
            low, high = np.searchsorted(self.onsets, (onset - NEAREST_S, onset + NEAREST_S))
            if high > low:
                track = int(self.by_onset[int(rng.integers(low, high))])
        return track, Clip(scene, self.sounds[track])

    def item(self, rng: np.random.Generator, picture: int, many: int) -> Item:
        """A picture with its sound, or now and then a sound alone, and its questions."""
        track, clip = self.pair(rng, picture)
        if track >= 0 and rng.random() < SOUND_ONLY_SHARE:
            chosen, picture = self.choose(rng, sound_questions(clip, rng), 4), -1
        else:
            chosen = self.choose(rng, self.ask(clip, rng), many)
        return Item(picture, track, clip, [typed(rng, question) for question in chosen])

    def ask(self, clip: Clip, rng: np.random.Generator) -> list[Question]:
        """Everything that may be asked about a clip, in first and in later turns."""
        asked = all_questions(clip, rng)
        return [*asked, *talk_questions(asked, rng, self.talks)] if self.talks else asked

    def choose(self, rng: np.random.Generator, asked: list[Question], many: int) -> list[Question]:
        """Up to `many` questions, drawn by weight without repetition."""
        weight = np.array([self.weights.get((q.type, q.key), 1.0) for q in asked])
        order = np.argsort(-np.log(rng.random(len(asked))) / weight)
        return [asked[int(i)] for i in order[:many]]


def held_out(mixer: Mixer, seed: int, count: int, many: int = 10) -> list[Item]:
    """A fixed set of items with some questions each, for measuring."""
    items = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        picture = mixer.pictures[index % len(mixer.pictures)]
        track, clip = mixer.pair(rng, picture)
        items.append(Item(picture, track, clip, mixer.choose(rng, mixer.ask(clip, rng), many)))
    return items


def rows(features: Sequence[NDArray[np.generic]], indices: list[int]) -> NDArray[np.float32]:
    """Features of the given rows of a chunked pool; zeros for -1."""
    size = len(features[0])
    out = np.zeros((len(indices), *features[0].shape[1:]), np.float32)
    for k, index in enumerate(indices):
        if index >= 0:
            out[k] = features[index // size][index % size]
    return out
