"""What is asked about a clip and the one right answer: facts to sentences, no pixels.

Every type has a few phrasings and one canonical answer. `key` names the answer's class
("left", "yes"); balancing the keys of a type makes guessing worthless.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from export.demo.world import (
    COLORS,
    MAX_BEEPS,
    SHAPES,
    Clip,
    Scene,
    Sound,
    Thing,
)

NUMBERS = ("no", "one", "two", "three", "four", "five")
PHRASINGS: dict[str, tuple[str, ...]] = {
    "color": (
        "What color is the {shape}?",
        "Which color does the {shape} have?",
        "Tell me the color of the {shape}.",
        "What is the color of the {shape}?",
        "The {shape} is what color?",
        "What colour is the {shape}?",
    ),
    "shape": (
        "What shape is the {color} object?",
        "Which shape does the {color} object have?",
        "What is the shape of the {color} object?",
        "What is the {color} object?",
        "Tell me the shape of the {color} thing.",
        "What shape does the {color} thing have?",
    ),
    "size": (
        "How big is the {name}?",
        "What size is the {name}?",
        "Is the {name} small or large?",
        "Is the {name} big or small?",
        "How large is the {name}?",
        "Tell me the size of the {name}.",
    ),
    "count": (
        "How many objects are there?",
        "How many shapes can you see?",
        "Count the objects.",
        "How many things are in the video?",
        "How many objects do you see?",
        "What is the number of objects?",
    ),
    "background": (
        "What color is the background?",
        "Which color does the background have?",
        "What is the background color?",
        "What is behind the objects?",
        "What colour is the background?",
        "Describe the background.",
    ),
    "exist": (
        "Is there a {name}?",
        "Do you see a {name}?",
        "Can you see a {name}?",
        "Is there a {name} in the video?",
        "Does the video show a {name}?",
        "Is a {name} there?",
    ),
    "motion": (
        "How does the {name} move?",
        "Which way does the {name} move?",
        "In which direction does the {name} go?",
        "Where does the {name} go?",
        "What does the {name} do?",
        "What is the direction of the {name}?",
    ),
    "bounce": (
        "Does the {name} bounce back?",
        "Does the {name} turn around?",
        "Does the {name} come back?",
        "Does the {name} bounce?",
        "Does the {name} change its direction?",
        "Does the {name} return?",
    ),
    "change": (
        "Does the {name} appear or disappear?",
        "What happens to the {name}?",
        "Does the {name} come or go?",
        "Does the {name} stay, appear or disappear?",
        "Is the {name} there all the time?",
        "Does the {name} vanish or show up?",
    ),
    "order": (
        "Which appears {rank}, the {a} or the {b}?",
        "What comes {rank}, the {a} or the {b}?",
        "Which one appears {rank}: the {a} or the {b}?",
        "Which is {rank} to appear, the {a} or the {b}?",
        "Does the {a} or the {b} appear {rank}?",
        "Which appears {rank}: {a} or {b}?",
    ),
    "flash": (
        "Is there a flash?",
        "Does the background flash?",
        "Do you see a flash?",
        "Does anything flash?",
        "Is there a flash of light in the video?",
        "Does the video flash?",
    ),
    "sound": (
        "What do you hear?",
        "What sound is there?",
        "What kind of sound is it?",
        "What can you hear?",
        "Describe the sound.",
        "What does the video sound like?",
    ),
    "beeps": (
        "How many beeps are there?",
        "How many beeps do you hear?",
        "Count the beeps.",
        "How many beeps can you hear?",
        "What is the number of beeps?",
        "How often does it beep?",
    ),
    "pitch": (
        "Is the sound high or low?",
        "What pitch does the sound have?",
        "How high is the sound?",
        "Is it a high or a low sound?",
        "What is the pitch of the sound?",
        "Tell me the pitch.",
    ),
    "timbre": (
        "Is the sound pure or buzzy?",
        "What timbre does the sound have?",
        "Does it sound pure or buzzy?",
        "Is it a pure or a buzzy sound?",
        "What is the timbre of the sound?",
        "Tell me the timbre.",
    ),
    "sync": (
        "Does the sound come before, with or after the moment {event}?",
        "When does the sound come, before, just as or after {event}?",
        "Is the sound before or after the moment {event}, or just then?",
        "Does the sound start before or after {event}?",
        "When {event}, is the sound earlier, later or at the same time?",
        "Do you hear the sound before, after or just as {event}?",
    ),
    "fu_color": (
        "What color is it?",
        "Which color does it have?",
        "What is its color?",
        "What colour is it?",
        "And its color?",
    ),
    "fu_shape": (
        "What shape is it?",
        "Which shape does it have?",
        "What is its shape?",
        "And its shape?",
    ),
    "fu_size": (
        "How big is it?",
        "What size is it?",
        "Is it small or large?",
        "And its size?",
    ),
    "fu_motion": (
        "How does it move?",
        "Which way does it move?",
        "Where does it go?",
        "And how does it move?",
    ),
    "caption": (
        "Describe the video.",
        "What do you see?",
        "Describe what you see.",
        "What happens in the video?",
        "What is in the video?",
        "Tell me what you see.",
    ),
    "av_caption": (
        "Describe the video and the sound.",
        "What do you see and hear?",
        "Describe what you see and hear.",
        "What can be seen and heard?",
        "Describe the video with its sound.",
        "Tell me what you see and hear.",
    ),
}
ABOUT_SOUND = ("sound", "beeps", "pitch", "timbre")
# `no_track` and `absent` borrow the phrasings of the questions that they decline.
TYPES = (*PHRASINGS, "no_track", "absent")
# A question behind up to TALK_TURNS other turns about the same clip; its key is its own type.
TALK = "talk"
TALK_TURNS = 3
NO_TRACK = "There is no audio track in this video."
CAPTION_THINGS = 3
CASUAL_SHARE = 0.2


@dataclass(frozen=True)
class Question:
    """A question with its answer; `history` holds the turns before it, for follow-ups."""

    type: str
    text: str
    answer: str
    key: str
    history: tuple[tuple[str, str], ...] = ()


def answer_class(question: Question) -> str:
    """What a guesser would have to guess: the answer without what the question already names."""
    kind = question.key if question.type == TALK else question.type
    words = question.answer.lower().replace(".", "").replace(",", "").split()
    if kind == "sync" and question.answer != NO_TRACK:
        return words[3]  # "the sound comes before ..."
    nouns = {*COLORS, *SHAPES}
    if kind == "order":
        before = question.text[: question.text.index(" ".join(words[1:3]))]
        return "second named" if nouns & set(before.split()) else "first named"
    given = set(re.findall(r"\w+", question.text.lower()))
    return " ".join("…" if word in nouns & given else word for word in words)


def phrase(rng: np.random.Generator, kind: str, **words: str) -> str:
    """One phrasing of a type, its gaps filled."""
    choices = PHRASINGS[kind]
    text = choices[int(rng.integers(len(choices)))].format(**words)
    return text.replace("a orange", "an orange")


def typed(rng: np.random.Generator, question: Question) -> Question:
    """The question as people type it: one in five without capital, one in five without its end."""
    text = question.text
    if rng.random() < CASUAL_SHARE:
        text = text[0].lower() + text[1:]
    return dataclasses.replace(question, text=text[:-1] if rng.random() < CASUAL_SHARE else text)


def with_article(noun: str) -> str:
    """The noun with its article."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def motion_clause(thing: Thing) -> str:
    """What the thing does, without its name."""
    if thing.motion == "still":
        return "stays still"
    return f"moves {thing.motion}" + (" and bounces back" if thing.turn_s is not None else "")


def event_clause(scene: Scene) -> str:
    """The one event of a flash or change scene."""
    if scene.kind == "flash":
        return "the background flashes"
    thing = next(thing for thing in scene.things if thing.change != "stays")
    return f"the {thing.name} {thing.change}"


def kind_of_sound(sound: Sound) -> str:
    """The sound as a noun."""
    if sound.kind == "noise":
        return "a burst of noise"
    if sound.kind == "beeps":
        return NUMBERS[sound.beeps] + (" beep" if sound.beeps == 1 else " beeps")
    return {"tone": "a steady", "rising": "a rising", "falling": "a falling"}[sound.kind] + " tone"


def sound_sentence(sound: Sound | None) -> str:
    """What is to be heard."""
    if sound is None:
        return NO_TRACK
    if sound.kind == "silent":
        return "The sound track is silent."
    return f"You hear {kind_of_sound(sound)}."


def thing_sentence(thing: Thing) -> str:
    """A thing and what it does, as captions put it."""
    does = motion_clause(thing) if thing.change == "stays" else thing.change
    return f"{with_article(thing.size).capitalize()} {thing.name} {does}."


def caption(scene: Scene) -> str:
    """The whole picture side, things in a fixed order of colour and shape."""
    things = sorted(scene.things, key=lambda t: (COLORS.index(t.color), SHAPES.index(t.shape)))
    ground = f"The background is {scene.background}" + (" and flashes." if scene.flash_s else ".")
    return " ".join([*(thing_sentence(thing) for thing in things), ground])


def _yes(flag: bool, sentence: str, denial: str) -> tuple[str, str]:
    return (f"Yes, {sentence}.", "yes") if flag else (f"No, {denial}.", "no")


def _attributes(scene: Scene, rng: np.random.Generator) -> Iterator[Question]:
    colors = Counter(thing.color for thing in scene.things)
    shapes = Counter(thing.shape for thing in scene.things)
    for thing in scene.things:
        words = {"color": thing.color, "shape": thing.shape, "name": thing.name}
        if shapes[thing.shape] == 1:
            text = phrase(rng, "color", **words)
            yield Question("color", text, f"The {thing.shape} is {thing.color}.", thing.color)
            first = (
                phrase(rng, "exist", name=thing.shape),
                f"Yes, there is {with_article(thing.shape)}.",
            )
            text = phrase(rng, "fu_color")
            yield Question("fu_color", text, f"It is {thing.color}.", thing.color, (first,))
        if colors[thing.color] == 1:
            text = phrase(rng, "shape", **words)
            answer = f"The {thing.color} object is {with_article(thing.shape)}."
            yield Question("shape", text, answer, thing.shape)
            noun = f"{thing.color} object"
            first = phrase(rng, "exist", name=noun), f"Yes, there is {with_article(noun)}."
            text = phrase(rng, "fu_shape")
            yield Question(
                "fu_shape", text, f"It is {with_article(thing.shape)}.", thing.shape, (first,)
            )
        text = phrase(rng, "size", **words)
        yield Question("size", text, f"The {thing.name} is {thing.size}.", thing.size)
        first = phrase(rng, "exist", **words), f"Yes, there is {with_article(thing.name)}."
        text = phrase(rng, "fu_size")
        yield Question("fu_size", text, f"It is {thing.size}.", thing.size, (first,))


def _existence(scene: Scene, rng: np.random.Generator) -> Iterator[Question]:
    """Present things, and as many absent ones; half of these share colour or shape with one."""
    present = {thing.name for thing in scene.things}
    colors = {thing.color for thing in scene.things}
    shapes = {thing.shape for thing in scene.things}
    names = [f"{color} {shape}" for color in COLORS for shape in SHAPES]
    absent = [name for name in names if name not in present]
    hard = [n for n in absent if n.split()[0] in colors or n.split()[1] in shapes]
    for thing in scene.things:
        pool = hard if hard and rng.random() < 0.6 else absent
        for name in (thing.name, pool[int(rng.integers(len(pool)))]):
            there = name in present
            answer, key = _yes(there, f"there is {with_article(name)}", f"there is no {name}")
            yield Question("exist", phrase(rng, "exist", name=name), answer, key)
    for shape in sorted(set(SHAPES) - shapes):
        kind = "color" if rng.random() < 0.5 else "motion"
        text = phrase(rng, kind, shape=shape, name=shape)
        yield Question("absent", text, f"There is no {shape} in this video.", shape)
    for color in sorted(set(COLORS) - colors):
        text = phrase(rng, "shape", color=color)
        yield Question("absent", text, f"There is no {color} object in this video.", color)


def _motions(scene: Scene, rng: np.random.Generator) -> Iterator[Question]:
    for thing in scene.things:
        bounces = thing.turn_s is not None
        if thing.change == "stays":
            key = thing.motion + ("+" if bounces else "")
            clause = motion_clause(thing)
            text = phrase(rng, "motion", name=thing.name)
            yield Question("motion", text, f"The {thing.name} {clause}.", key)
            first = (
                phrase(rng, "exist", name=thing.name),
                f"Yes, there is {with_article(thing.name)}.",
            )
            yield Question("fu_motion", phrase(rng, "fu_motion"), f"It {clause}.", key, (first,))
        if thing.motion != "still":
            does, does_not = f"the {thing.name} bounces back", f"the {thing.name} moves on"
            answer, key = _yes(bounces, does, does_not)
            yield Question("bounce", phrase(rng, "bounce", name=thing.name), answer, key)
        clause = thing.change if thing.change != "stays" else "is there all the time"
        text = phrase(rng, "change", name=thing.name)
        yield Question("change", text, f"The {thing.name} {clause}.", thing.change)


def _events(scene: Scene, rng: np.random.Generator) -> Iterator[Question]:
    if scene.kind == "order":
        pair = [thing for thing in scene.things if thing.appears_s is not None]
        pair = [pair[int(i)] for i in rng.permutation(2)]
        by_time = sorted(pair, key=lambda thing: thing.appears_s or 0.0)
        for rank, chosen in zip(("first", "last"), by_time, strict=True):
            text = phrase(rng, "order", rank=rank, a=pair[0].name, b=pair[1].name)
            key = f"{rank}-{pair.index(chosen)}"
            yield Question("order", text, f"The {chosen.name} appears {rank}.", key)
    elif scene.kind != "change":
        count = len(scene.things)
        noun = "object" if count == 1 else "objects"
        verb = "is" if count == 1 else "are"
        answer = f"There {verb} {NUMBERS[count]} {noun}."
        yield Question("count", phrase(rng, "count"), answer, str(count))
    answer, key = _yes(scene.flash_s is not None, "the background flashes", "there is no flash")
    yield Question("flash", phrase(rng, "flash"), answer, key)
    answer = f"The background is {scene.background}."
    yield Question("background", phrase(rng, "background"), answer, scene.background)


def _sounds(clip: Clip, rng: np.random.Generator) -> Iterator[Question]:
    sound = clip.sound
    if sound is None:
        for kind in ABOUT_SOUND:
            yield Question("no_track", phrase(rng, kind), NO_TRACK, kind)
        if clip.scene.event_s is not None:
            text = phrase(rng, "sync", event=event_clause(clip.scene))
            yield Question("no_track", text, NO_TRACK, "sync")
        return
    yield Question("sound", phrase(rng, "sound"), sound_sentence(sound), sound.kind)
    beeps = sound.beeps
    verb, noun = ("is", "beep") if beeps == 1 else ("are", "beeps")
    if beeps <= MAX_BEEPS:
        answer = f"There {verb} {NUMBERS[beeps]} {noun}."
        yield Question("beeps", phrase(rng, "beeps"), answer, str(beeps))
    if sound.kind in ("tone", "beeps"):
        yield Question("pitch", phrase(rng, "pitch"), f"The sound is {sound.pitch}.", sound.pitch)
    if sound.kind in ("tone", "beeps", "rising", "falling"):
        answer = f"The sound is {sound.timbre}."
        yield Question("timbre", phrase(rng, "timbre"), answer, sound.timbre)
    if clip.sync is not None:
        event = event_clause(clip.scene)
        when = {"before": "before", "together": "just as", "after": "after"}[clip.sync]
        text = phrase(rng, "sync", event=event)
        yield Question("sync", text, f"The sound comes {when} {event}.", clip.sync)


def _captions(clip: Clip, rng: np.random.Generator) -> Iterator[Question]:
    scene = clip.scene
    if len(scene.things) > CAPTION_THINGS:
        return
    seen = caption(scene)
    key = str(len(scene.things))
    yield Question("caption", phrase(rng, "caption"), seen, key)
    text = phrase(rng, "av_caption")
    yield Question("av_caption", text, f"{seen} {sound_sentence(clip.sound)}", key)


GENERATORS: tuple[Callable[[Scene, np.random.Generator], Iterator[Question]], ...] = (
    _attributes,
    _existence,
    _motions,
    _events,
)


def all_questions(clip: Clip, rng: np.random.Generator) -> list[Question]:
    """Everything that may be asked about a clip, each once, phrased by chance."""
    asked = [question for make in GENERATORS for question in make(clip.scene, rng)]
    return [*asked, *_sounds(clip, rng), *_captions(clip, rng)]


def talk_questions(
    asked: Sequence[Question], rng: np.random.Generator, count: int
) -> list[Question]:
    """Some of a clip's questions as later turns, with others of the clip answered before them."""
    talks = []
    for index in rng.permutation(len(asked))[:count]:
        last = asked[int(index)]
        others = [q for q in asked if q is not last and not q.history]
        turns = int(rng.integers(1, TALK_TURNS + 1))
        before = [others[int(i)] for i in rng.permutation(len(others))[:turns]]
        history = (*((q.text, q.answer) for q in before), *last.history)
        talks.append(Question(TALK, last.text, last.answer, last.type, history))
    return talks


def sound_questions(clip: Clip, rng: np.random.Generator) -> list[Question]:
    """What may be asked when only the sound is given."""
    return [question for question in _sounds(clip, rng) if question.type in ABOUT_SOUND]
