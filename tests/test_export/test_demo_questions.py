import numpy as np
import pytest

from export.demo.questions import (
    CASUAL_SHARE,
    NO_TRACK,
    PHRASINGS,
    TALK_TURNS,
    TYPES,
    Question,
    all_questions,
    answer_class,
    caption,
    sound_questions,
    talk_questions,
    typed,
)
from export.demo.world import Clip, Scene, Sound, Thing, sample_clip

RED = Thing("red", "circle", "small", 0.07, (0.9, 0.2), (0.2, 0.2), "left")
BOUNCING = Thing("blue", "square", "large", 0.13, (0.2, 0.8), (0.8, 0.8), "right", turn_s=2.0)
COMING = Thing("orange", "cross", "small", 0.07, (0.5, 0.5), (0.5, 0.5), appears_s=2.0)


def answers(scene: Scene, sound: Sound | None = None) -> dict[tuple[str, str], set[str]]:
    """Answers by (type, key), whatever the phrasing."""
    found: dict[tuple[str, str], set[str]] = {}
    for seed in range(6):
        for q in all_questions(Clip(scene, sound), np.random.default_rng(seed)):
            found.setdefault((q.type, q.key), set()).add(q.answer)
    return found


def test_a_moving_scene():
    said = answers(Scene("motion", (RED, BOUNCING), "pink", "plain", 0))
    assert said["color", "red"] == {"The circle is red."}
    assert said["shape", "square"] == {"The blue object is a square."}
    assert said["size", "large"] == {"The blue square is large."}
    assert said["motion", "left"] == {"The red circle moves left."}
    assert said["motion", "right+"] == {"The blue square moves right and bounces back."}
    assert said["bounce", "yes"] == {"Yes, the blue square bounces back."}
    assert said["bounce", "no"] == {"No, the red circle moves on."}
    assert said["count", "2"] == {"There are two objects."}
    assert said["background", "pink"] == {"The background is pink."}
    assert said["flash", "no"] == {"No, there is no flash."}
    assert "Yes, there is a red circle." in said["exist", "yes"]
    assert not said["exist", "no"] & {"No, there is no red circle.", "No, there is no blue square."}
    assert said["absent", "triangle"] == {"There is no triangle in this video."}
    assert said["fu_motion", "left"] == {"It moves left."}
    assert said["no_track", "beeps"] == {"There is no audio track in this video."}


def test_an_event_and_a_sound():
    scene = Scene("change", (COMING, RED), "black", "plain", 0)
    said = answers(scene, Sound("tone", 1.0, 1.0, "high", "buzzy", 900))
    assert said["change", "appears"] == {"The orange cross appears."}
    assert said["change", "stays"] == {"The red circle is there all the time."}
    assert said["sync", "before"] == {"The sound comes before the orange cross appears."}
    assert said["sound", "tone"] == {"You hear a steady tone."}
    assert said["pitch", "high"] == {"The sound is high."}
    assert said["timbre", "buzzy"] == {"The sound is buzzy."}
    assert said["beeps", "0"] == {"There are no beeps."}
    assert said["caption", "2"] == {
        "A small red circle moves left. A small orange cross appears. The background is black."
    }
    assert ("count", "2") not in said


def test_without_a_track_even_synchrony_is_declined():
    said = answers(Scene("change", (COMING, RED), "black", "plain", 0))
    assert said["no_track", "sync"] == {NO_TRACK}
    assert ("no_track", "sync") not in answers(Scene("motion", (RED,), "black", "plain", 0))


def test_order_names_the_one_that_appears_first():
    late = Thing("green", "circle", "small", 0.07, (0.2, 0.2), (0.2, 0.2), appears_s=3.2)
    said = answers(Scene("order", (late, COMING), "black", "plain", 0))
    first = said.get(("order", "first-0"), set()) | said.get(("order", "first-1"), set())
    last = said.get(("order", "last-0"), set()) | said.get(("order", "last-1"), set())
    assert first == {"The orange cross appears first."}
    assert last == {"The green circle appears last."}


def test_a_flash():
    scene = Scene("flash", (RED,), "brown", "plain", 0, flash_s=1.0)
    said = answers(scene, Sound("beeps", 1.02, 0.15, "low", "pure", 300, beeps=1))
    assert said["flash", "yes"] == {"Yes, the background flashes."}
    assert said["sync", "together"] == {"The sound comes just as the background flashes."}
    assert said["beeps", "1"] == {"There is one beep."}
    assert caption(scene) == "A small red circle moves left. The background is brown and flashes."


def test_a_follow_up_carries_the_turn_before_it():
    scene = Scene("count", (RED,), "gray", "plain", 0)
    asked = all_questions(Clip(scene, None), np.random.default_rng(1))
    follow_ups = [q for q in asked if q.type.startswith("fu_")]
    assert follow_ups
    for question in follow_ups:
        assert question.history[0][1].startswith("Yes, there is a")
        assert " it" in question.text


def test_with_the_sound_alone_only_sounds_are_asked_about():
    asked = sound_questions(
        Clip(Scene("count", (RED,), "gray", "plain", 0), Sound("silent")), np.random.default_rng(0)
    )
    assert {q.type for q in asked} == {"sound", "beeps"}


def test_every_type_is_asked_and_articles_are_right():
    seen = set()
    for index in range(300):
        rng = np.random.default_rng([2, index])
        for question in all_questions(sample_clip(rng), rng):
            seen.add(question.type)
            assert "a orange" not in question.text + question.answer
            assert question.answer[-1] == "."
            assert question.answer[0].isupper()
    assert seen == set(TYPES)


def test_talk_is_a_question_behind_others_with_their_true_answers():
    for index in range(40):
        rng = np.random.default_rng([3, index])
        asked = all_questions(sample_clip(rng), rng)
        first_turns = {(q.text, q.answer) for q in asked if not q.history}
        for talk in talk_questions(asked, rng, 4):
            assert talk.type == "talk"
            own = 1 if talk.key.startswith("fu_") else 0
            before, rest = talk.history[: len(talk.history) - own], talk.history[-own:] * own
            assert 1 <= len(before) <= TALK_TURNS
            assert set(before) <= first_turns
            (last, *_) = [q for q in asked if (q.text, q.history) == (talk.text, rest)]
            assert (talk.key, talk.answer) == (last.type, last.answer)
            assert answer_class(talk) == answer_class(last)


@pytest.mark.parametrize("count", [1, 5])
def test_counts(count):
    colors = ("red", "green", "blue", "yellow", "purple")
    things = tuple(Thing(c, "circle", "small", 0.07, (0.5, 0.5), (0.5, 0.5)) for c in colors)
    said = answers(Scene("count", things[:count], "gray", "plain", 0))
    expected = {1: "There is one object.", 5: "There are five objects."}
    assert said["count", str(count)] == {expected[count]}
    assert ("color", "red") in said if count == 1 else ("color", "red") not in said


def test_some_questions_are_typed_without_capital_or_end():
    question = Question("flash", "Is there a flash?", "No, there is no flash.", "no")
    rng = np.random.default_rng(0)
    found = [typed(rng, question) for _ in range(2000)]
    assert {(q.type, q.answer, q.key) for q in found} == {("flash", question.answer, "no")}
    lower = [q.text[0] == "i" for q in found]
    open_ended = [q.text[-1] != "?" for q in found]
    assert {q.text.lower().rstrip("?") for q in found} == {"is there a flash"}
    for share in (np.mean(lower), np.mean(open_ended)):
        assert abs(share - CASUAL_SHARE) < 0.04
    both = np.mean(np.logical_and(lower, open_ended))
    assert abs(both - CASUAL_SHARE**2) < 0.02


def test_no_phrasing_stands_twice():
    for choices in PHRASINGS.values():
        assert len(set(choices)) == len(choices) >= 4
