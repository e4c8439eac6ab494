import re
from collections import Counter

import numpy as np
import pytest

from export.demo.clips import draw_clip
from export.demo.paraphrases import PARAPHRASES
from export.demo.questions import PHRASINGS, Question, answer_class
from export.demo.wording import BORROWED, paraphrased, taken_apart


def plain(text: str) -> str:
    """Without case, punctuation and spaces, gaps kept."""
    return re.sub(r"[^a-z{}]", "", text.lower())


def gaps(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w+)\}", text))


def test_there_are_twenty_paraphrases_of_every_type():
    assert set(PARAPHRASES) == set(PHRASINGS)
    for kind, choices in PARAPHRASES.items():
        assert len(choices) == len({plain(text) for text in choices}) == 20
        for text in choices:
            assert gaps(text) == gaps(PHRASINGS[kind][0])
            assert text == text.strip()


def test_no_paraphrase_was_trained_on():
    trained = {plain(text) for choices in PHRASINGS.values() for text in choices}
    for choices in PARAPHRASES.values():
        assert not trained & {plain(text) for text in choices}


def test_paraphrases_of_the_gaps_differ_from_every_question_of_a_clip():
    questions = [q for index in range(60) for q in draw_clip(12, index)[1]]
    trained = {plain(question.text) for question in questions}
    assert not trained & {plain(question.text) for question in paraphrased(questions, 1)}


def test_a_question_is_taken_apart_into_what_it_was_made_of():
    for index in range(150):
        for question in draw_clip(13, index)[1]:
            kind, words = taken_apart(question)
            made = {p.format(**words).replace("a orange", "an orange") for p in PHRASINGS[kind]}
            assert question.text in made
            if question.type in BORROWED:
                assert kind in BORROWED[question.type]
            elif question.type != "talk":
                assert kind == question.type
            if kind.startswith("fu_"):
                assert words["name"] in question.history[-1][0]


def test_taken_apart_by_hand():
    order = Question("order", "What comes last, the red circle or the orange cross?", "", "")
    assert taken_apart(order) == (
        "order",
        {"rank": "last", "a": "red circle", "b": "orange cross"},
    )
    absent = Question("absent", "What is the shape of the red object?", "", "red")
    assert taken_apart(absent) == ("shape", {"color": "red"})
    sync = Question("no_track", "Does the sound start before or after the flash?", "", "sync")
    assert taken_apart(sync) == ("sync", {"event": "the flash"})
    before = (("Can you see an orange circle?", "Yes, there is an orange circle."),)
    talk = Question("talk", "And its color?", "It is orange.", "fu_color", before)
    assert taken_apart(talk) == ("fu_color", {"name": "orange circle"})
    with pytest.raises(ValueError, match="is no phrasing of flash"):
        taken_apart(Question("flash", "Is it bright?", "", ""))


def test_all_paraphrases_are_used_equally_often():
    asked = [Question("exist", f"Is there a {c} cross?", "", "") for c in ("red", "orange")] * 35
    said = [question.text for question in paraphrased(asked, seed=2)]
    assert not any("a orange" in text for text in said)
    forms = Counter(re.sub("an? (red|orange) cross", "…", text) for text in said)
    assert len(forms) == 20
    assert set(forms.values()) == {3, 4}
    assert paraphrased(asked, 2) == paraphrased(asked, 2) != paraphrased(asked, 3)


def test_what_there_is_to_guess_is_the_same_in_other_words():
    rng = np.random.default_rng(0)
    for index in rng.integers(1000, size=80):
        asked = [q for q in draw_clip(14, int(index))[1] if q.type == "order"]
        for question, other in zip(asked, paraphrased(asked, 1), strict=True):
            assert answer_class(question) == answer_class(other)
