"""Clips that are changed on purpose, to see whether answers follow what is seen and heard.

A control takes clips of the world, changes one thing, and asks what was asked about the clip
before. Two answers are known to each question: that of the clip as it is now, and that of the clip
as it was drawn. Of the types that a control changes, only questions whose answer changes are asked;
of a few types that it must leave alone, only questions whose answer stays.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from export.demo.choosing import Asked
from export.demo.questions import ABOUT_SOUND, NO_TRACK, Question, all_questions
from export.demo.wording import taken_apart
from export.demo.world import DURATION_S, FLASH_S, OPPOSITE, Clip, Scene, Thing

REACH = 100  # clips that are looked through for another sound
LEAVING = "leaving"  # two things vanish one after the other: a kind that only mirroring gives
Plain = Callable[[int], tuple[Clip, list[Question]]]  # clips as they are drawn, by number
Subject = tuple[str, frozenset[tuple[str, str]]]  # a kind of question and the words in its gaps
HEARD = ("sound", "beeps", "pitch", "timbre", "sync", "av_caption")
SEEN = ("color", "shape", "size", "count", "background", "flash", "motion", "bounce", "change")


@dataclass(frozen=True)
class Control:
    """A change, with the types of question whose answers it changes and a few that it does not."""

    apply: Callable[[Plain, int], Clip | None]  # None where it cannot be applied to a clip
    changes: tuple[str, ...]
    keeps: tuple[str, ...]


def mirrored(scene: Scene) -> Scene:
    """The scene played backwards: at each time it looks as it did at DURATION_S less that time.

    What moved left moves right, what bounced does so still, what appeared disappears, and the
    flash lies as far from the end as it lay from the beginning.
    """
    flash = None if scene.flash_s is None else DURATION_S - scene.flash_s - FLASH_S
    return dataclasses.replace(
        scene,
        kind=LEAVING if scene.kind == "order" else scene.kind,
        things=tuple(map(_backwards, scene.things)),
        flash_s=flash,
    )


def _backwards(thing: Thing) -> Thing:
    thing = dataclasses.replace(
        thing,
        turn_s=_from_end(thing.turn_s),
        appears_s=_from_end(thing.vanishes_s),
        vanishes_s=_from_end(thing.appears_s),
    )
    if thing.turn_s is not None:
        return thing  # there and back again is there and back again
    motion = OPPOSITE.get(thing.motion, thing.motion)
    return dataclasses.replace(thing, start=thing.end, end=thing.start, motion=motion)


def _from_end(time_s: float | None) -> float | None:
    return None if time_s is None else DURATION_S - time_s


def _reversed(draw: Plain, index: int) -> Clip:
    clip = draw(index)[0]
    return Clip(mirrored(clip.scene), clip.sound)


def _no_sound(draw: Plain, index: int) -> Clip | None:
    clip = draw(index)[0]
    return None if clip.sound is None else Clip(clip.scene, None)


def _other_sound(draw: Plain, index: int) -> Clip | None:
    """With the sound of the next clip that has one.

    If the sound came before, with or after an event, it is the next one that comes at another of
    these three times.
    """
    clip = draw(index)[0]
    if clip.sound is None:
        return None
    for other in range(index + 1, index + 1 + REACH):
        now = Clip(clip.scene, draw(other)[0].sound)
        if now.sound is not None and (clip.sync is None or now.sync not in (None, clip.sync)):
            return now
    return None


def _other_picture(draw: Plain, index: int) -> Clip:
    return Clip(draw(index + 1)[0].scene, draw(index)[0].sound)


def _reordered(draw: Plain, index: int) -> Clip | None:
    """With the times exchanged at which two things appear."""
    clip = draw(index)[0]
    if clip.scene.kind != "order":
        return None
    one, two, *others = clip.scene.things
    swapped = (
        dataclasses.replace(one, appears_s=two.appears_s),
        dataclasses.replace(two, appears_s=one.appears_s),
    )
    return Clip(dataclasses.replace(clip.scene, things=(*swapped, *others)), clip.sound)


CONTROLS: dict[str, Control] = {
    "reversed": Control(
        _reversed,
        changes=("motion", "fu_motion", "change", "order", "sync"),
        keeps=("color", "bounce", "sound"),
    ),
    "reordered": Control(_reordered, changes=("order",), keeps=("color", "change")),
    "other-sound": Control(_other_sound, changes=HEARD, keeps=("color", "motion", "count")),
    "no-sound": Control(_no_sound, changes=HEARD, keeps=("color", "motion", "count")),
    "other-picture": Control(
        _other_picture,
        changes=(*SEEN, "exist", "absent"),
        keeps=("sound", "beeps", "pitch", "timbre"),
    ),
}


def changed(control: Control, draw: Plain, index: int) -> tuple[Clip, list[Asked]]:
    """A clip under a control, with the questions that tell whether answers follow it.

    Args:
        control: What is done.
        draw: Gives the clips to do it with.
        index: The clip's number; where the control cannot be applied, nothing is asked.
    """
    clip, questions = draw(index)
    now = control.apply(draw, index)
    if now is None:
        return clip, []
    known = facts(now)
    found = []
    for question in questions:
        if question.type not in (*control.changes, *control.keeps):
            continue
        answer = answer_now(question, now, known)
        if answer is None:
            continue
        asked = Asked(dataclasses.replace(question, answer=answer[0], key=answer[1]), question)
        if (answer[0] != question.answer) == (question.type in control.changes):
            found.append(asked)
    return now, found


def facts(clip: Clip) -> dict[Subject, tuple[str, str]]:
    """The answers, with their keys, to all questions about what there is in a clip."""
    return {
        subject(question): (question.answer, question.key)
        for question in all_questions(clip, np.random.default_rng(0))
        if question.type not in ("no_track", "absent")
    }


def subject(question: Question) -> Subject:
    """What a question asks, however it is worded."""
    kind, words = taken_apart(question)
    return kind, frozenset(words.items())


def answer_now(
    question: Question, clip: Clip, known: dict[Subject, tuple[str, str]]
) -> tuple[str, str] | None:
    """The answer to a question about a clip that it was not made for, and its key.

    Args:
        question: What is asked.
        clip: What it is asked about.
        known: The clip's facts.

    Returns:
        None if there is no saying. Without a track, a question about the sound keeps its key.
    """
    kind, words = taken_apart(question)
    if clip.sound is None and kind in (*ABOUT_SOUND, "sync"):
        return NO_TRACK, question.key
    if kind == "order":
        return _in_time(words, clip.scene)
    found = known.get((kind, frozenset(words.items())))
    return _missing(kind, words, clip.scene) if found is None else found


def _in_time(words: dict[str, str], scene: Scene) -> tuple[str, str] | None:
    """Which of two things is first or last to appear.

    Where both disappear the question has no true answer; by the order of their times it is the
    other one than in the clip that was played forwards.
    """
    times = {t.name: t.vanishes_s if t.appears_s is None else t.appears_s for t in scene.things}
    pair, rank = (words["a"], words["b"]), words["rank"]
    one, two = (times.get(name) for name in pair)
    if one is None or two is None:
        return None
    place = int((two < one) == (rank == "first"))
    return f"The {pair[place]} appears {rank}.", f"{rank}-{place}"


def _missing(kind: str, words: dict[str, str], scene: Scene) -> tuple[str, str] | None:
    """The answer about something that is not there."""
    if kind == "exist" and words["name"] not in {thing.name for thing in scene.things}:
        return f"No, there is no {words['name']}.", "no"
    if kind == "color" and words["shape"] not in {thing.shape for thing in scene.things}:
        return f"There is no {words['shape']} in this video.", "none"
    if kind == "shape" and words["color"] not in {thing.color for thing in scene.things}:
        return f"There is no {words['color']} object in this video.", "none"
    return None
