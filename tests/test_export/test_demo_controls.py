import dataclasses
from functools import partial

import numpy as np
import pytest

from export.demo.clips import draw_clip
from export.demo.controls import CONTROLS, LEAVING, answer_now, changed, facts, mirrored
from export.demo.questions import NO_TRACK, Question, all_questions
from export.demo.render import render
from export.demo.world import Clip, Scene, Sound, Thing, sample_scene

LEFT = Thing("red", "circle", "small", 0.07, (0.9, 0.2), (0.2, 0.2), "left")
BACK = Thing("blue", "square", "large", 0.13, (0.2, 0.8), (0.8, 0.8), "right", turn_s=1.5)
COMING = Thing("green", "cross", "small", 0.07, (0.5, 0.5), (0.5, 0.5), appears_s=1.0)
LATER = Thing("pink", "triangle", "small", 0.07, (0.2, 0.5), (0.2, 0.5), appears_s=2.5)
SYNC = "Does the sound start before or after the background flashes?"


def flash(flash_s: float, onset_s: float) -> Clip:
    scene = Scene("flash", (LEFT, BACK), "black", "plain", 0, flash_s=flash_s)
    return Clip(scene, Sound("tone", onset_s, 1.0, "high", "pure", 900))


def drawn(*clips: Clip):
    """A draw of the given clips, each with a fixed few questions about it."""

    def draw(index: int) -> tuple[Clip, list[Question]]:
        clip = clips[index % len(clips)]
        known = facts(clip)
        asked = []
        for kind, text in (
            ("motion", "How does the red circle move?"),
            ("motion", "How does the blue square move?"),
            ("bounce", "Does the blue square bounce back?"),
            ("color", "What color is the circle?"),
            ("exist", "Is there a red circle?"),
            ("sound", "What do you hear?"),
            ("sync", SYNC),
        ):
            question = Question(kind, text, "", "")
            found = answer_now(question, clip, known)
            if found is not None:
                asked.append(Question(kind, text, *found))
        return clip, asked

    return draw


def under(name: str, draw) -> dict[str, tuple[str, str]]:
    """Each question of clip 0 under a control, with the answers before and now."""
    return {
        asked.question.text: (asked.unchanged.answer, asked.question.answer)
        for asked in changed(CONTROLS[name], draw, 0)[1]
    }


@pytest.mark.parametrize("index", range(20))
def test_a_mirrored_scene_is_rendered_as_the_scene_backwards(index):
    scene = sample_scene(np.random.default_rng([31, index]))
    times = [0.013 + 0.37 * step for step in range(11)]
    forwards = render(scene, [4.0 - time_s for time_s in times], 56)
    backwards = render(mirrored(scene), times, 56)
    # Rounding a place differently may shade an edge by one level.
    assert np.abs(backwards.astype(int) - forwards).max() <= 1


def test_mirrored_twice_is_as_before():
    scene = Scene("change", (LEFT, BACK, COMING), "black", "plain", 0, flash_s=1.25)
    assert mirrored(mirrored(scene)) == dataclasses.replace(scene, flash_s=pytest.approx(1.25))


def test_mirrored_by_hand():
    scene = mirrored(Scene("flash", (LEFT, BACK), "black", "plain", 0, flash_s=1.0))
    left, back = scene.things
    assert (left.motion, left.start, left.end) == ("right", LEFT.end, LEFT.start)
    assert (back.motion, back.start, back.turn_s) == ("right", BACK.start, 2.5)
    assert scene.flash_s == pytest.approx(4.0 - 1.0 - 0.62)
    two = mirrored(Scene("order", (COMING, LATER, BACK), "black", "plain", 0))
    assert [t.change for t in two.things] == ["disappears", "disappears", "stays"]
    assert [t.vanishes_s for t in two.things[:2]] == [3.0, 1.5]
    assert two.kind == LEAVING
    assert two.event_s is None


def test_backwards_what_moves_turns_around_and_what_bounces_does_not():
    # The flash of 1.2 begins at 4 - 1.2 - .62 = 2.18 backwards; the sound stays at 1.2.
    assert under("reversed", drawn(flash(1.2, 1.2))) == {
        "How does the red circle move?": (
            "The red circle moves left.",
            "The red circle moves right.",
        ),
        "Does the blue square bounce back?": ("Yes, the blue square bounces back.",) * 2,
        "What color is the circle?": ("The circle is red.",) * 2,
        "What do you hear?": ("You hear a steady tone.",) * 2,
        SYNC: (
            "The sound comes just as the background flashes.",
            "The sound comes before the background flashes.",
        ),
    }
    # Here it would be .48 s from the mirrored flash: neither with it nor apart.
    assert SYNC not in under("reversed", drawn(flash(1.7, 1.2 - 0.5)))


def test_another_sound_is_told_of_and_its_time_with_it():
    noise = Clip(Scene("count", (LEFT,), "gray", "plain", 0), Sound("noise", 2.15, 0.4))
    early = Clip(noise.scene, Sound("rising", 1.1, 1.0))
    silent = Clip(noise.scene, None)
    told = {
        "How does the red circle move?": ("The red circle moves left.",) * 2,
        "How does the blue square move?": ("The blue square moves right and bounces back.",) * 2,
        "What color is the circle?": ("The circle is red.",) * 2,
        "What do you hear?": ("You hear a steady tone.", "You hear a burst of noise."),
        SYNC: (
            "The sound comes just as the background flashes.",
            "The sound comes after the background flashes.",
        ),
    }
    # The next clips have no track, and a sound at the very same time: the third one's is taken.
    assert under("other-sound", drawn(flash(1.2, 1.2), silent, early, noise)) == told
    assert under("other-sound", drawn(silent, noise)) == {}
    assert under("other-sound", drawn(flash(1.2, 1.2), silent)) == {}


def test_without_its_track_every_question_about_the_sound_is_declined():
    asked = changed(CONTROLS["no-sound"], drawn(flash(1.2, 1.2)), 0)
    assert asked[0].sound is None
    now = {a.question.type: (a.question.answer, a.question.key) for a in asked[1]}
    assert now["sound"] == (NO_TRACK, "tone")
    assert now["sync"] == (NO_TRACK, "together")
    assert now["color"] == ("The circle is red.", "red")
    assert changed(CONTROLS["no-sound"], drawn(Clip(asked[0].scene, None)), 0)[1] == []


def test_of_other_pictures_what_is_there_is_told_and_what_is_missing_declined():
    right = Thing("red", "circle", "large", 0.13, (0.2, 0.2), (0.8, 0.2), "right")
    other = Clip(Scene("motion", (right, COMING), "white", "plain", 0), None)
    assert under("other-picture", drawn(flash(1.2, 1.2), other)) == {
        "How does the red circle move?": (
            "The red circle moves left.",
            "The red circle moves right.",
        ),
        "What do you hear?": ("You hear a steady tone.",) * 2,
    }
    bare = Clip(Scene("motion", (COMING,), "white", "plain", 0), None)
    told = under("other-picture", drawn(flash(1.2, 1.2), bare))
    assert told["What color is the circle?"][1] == "There is no circle in this video."
    assert told["Is there a red circle?"][1] == "No, there is no red circle."


def test_the_other_of_two_that_appear():
    scene = Scene("order", (COMING, LATER), "black", "plain", 0)
    question = Question(
        "order", "Which appears first, the pink triangle or the green cross?", "", ""
    )
    last = Question("order", "Does the pink triangle or the green cross appear last?", "", "")
    clip = Clip(scene, None)
    assert answer_now(question, clip, {}) == ("The green cross appears first.", "first-1")
    assert answer_now(last, clip, {}) == ("The pink triangle appears last.", "last-0")
    for name in ("reversed", "reordered"):
        now = CONTROLS[name].apply(lambda _: (clip, []), 0)
        assert answer_now(question, now, {}) == ("The pink triangle appears first.", "first-0")
        assert answer_now(last, now, {}) == ("The green cross appears last.", "last-1")
    assert answer_now(question, flash(1.0, 1.0), {}) is None
    assert CONTROLS["reordered"].apply(lambda _: (flash(1.0, 1.0), []), 0) is None


@pytest.mark.parametrize("name", CONTROLS)
def test_what_a_control_concerns_changes_and_what_it_does_not_stays(name):
    control, types = CONTROLS[name], set()
    for index in range(400):
        now, found = changed(control, partial(draw_clip, 77), index)
        before = {question.text: question for question in draw_clip(77, index)[1]}
        for asked in found:
            question, old = asked.question, asked.unchanged
            assert before[old.text].answer == old.answer or old.history
            assert (question.text, question.type) == (old.text, old.type)
            assert (question.answer != old.answer) == (question.type in control.changes)
            types.add(question.type)
        assert now.scene.kind == LEAVING or all_questions(now, np.random.default_rng(1))
    assert types == {*control.changes, *control.keeps}
