from collections import Counter, defaultdict

from export.demo.choosing import Asked, balanced, chosen, first
from export.demo.clips import Wanted, draw_clip, drawing
from export.demo.questions import Question
from export.demo.world import Clip, Scene

CLIP = Clip(Scene("count", (), "gray", "plain", 0), None)


def ask(key: str, kind: str = "flash") -> Asked:
    question = Question(kind, "Is there a flash?", key, key)
    return Asked(question, question)


def drawn(*keys: str):
    """Clips whose questions have the keys of one string each, over and over."""
    return lambda index: (CLIP, [ask(key) for key in keys[index % len(keys)]])


def test_answers_of_a_type_are_equally_frequent():
    draw = drawing(Wanted(seed=3))
    found = balanced([(str(i), asked) for i in range(250) for asked in draw(i)[1]], seed=3)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for _, asked in found:
        counts[asked.question.type][asked.question.key] += 1
    assert set(counts["flash"]) == {"yes", "no"}
    assert set(counts["sync"]) == {"before", "together", "after"}
    for keys in counts.values():
        assert len(set(keys.values())) == 1
        assert keys.total() <= 200


def test_balanced_takes_the_rarest_answer_as_the_measure():
    asked = [("a", ask("no")), ("b", ask("no")), ("c", ask("no")), ("d", ask("yes"))]
    assert sorted(a.question.key for _, a in balanced(asked, seed=0)) == ["no", "yes"]
    assert len(balanced([*asked, ("e", ask("yes"))], 0, {"flash": 2})) == 4
    assert len(balanced([*asked, ("e", ask("yes"))], 0, {"flash": 1})) == 2


def test_chosen_looks_for_what_is_rare_first():
    # "c" is rarest, and brings an "a" with it; one "a" and two "b" are still short then.
    draw = drawn("a", "a", "b", "a", "ac", "b", "a")
    indices, quotas = chosen(draw, questions=6)
    assert quotas == {"flash": 2}
    assert indices == [2, 4, 5, 11]
    # Four of three answers: two each, so at least four.
    assert chosen(draw, questions=4)[1] == {"flash": 2}


def test_chosen_draws_on_while_something_is_too_rare():
    told: list[str] = []

    def draw(index: int) -> tuple[Clip, list[Asked]]:
        return CLIP, [ask("yes" if index % 700 == 0 else "no")]

    indices, quotas = chosen(draw, questions=8, told=told.append)
    assert quotas == {"flash": 4}
    assert indices == [0, 1, 2, 3, 4, 700, 1400, 2100]
    assert told == [
        "1000 clips drawn, 1 answers are too rare among them so far",
        "2000 clips drawn, 1 answers are too rare among them so far",
        "8 of 3000 clips chosen for 8 questions of every type",
    ]


def test_every_type_gets_its_questions_from_the_world():
    draw = drawing(Wanted(seed=9))
    indices, quotas = chosen(draw, questions=12)
    asked = [(str(i), a) for i in indices for a in draw(i)[1]]
    counts = Counter(a.question.type for _, a in balanced(asked, 9, quotas))
    assert set(counts) == {q.type for i in range(300) for q in draw_clip(9, i)[1]}
    assert min(counts.values()) >= 12
    assert chosen(draw, questions=12) == (indices, quotas)


def test_first_leaves_out_clips_that_nothing_is_asked_about():
    assert first(drawn("", "a", "", "ab"), 3) == [1, 3, 5]
