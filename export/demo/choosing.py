"""Which clips a set takes and which of their questions, so that answers are equally frequent."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count

import numpy as np

from export.demo.questions import Question
from export.demo.world import Clip

SURVEY = 1000  # clips drawn before what is rare is known, and again while there are too few
MOST = 200


@dataclass(frozen=True)
class Asked:
    """A question with its true answer; `unchanged` has the answer of the clip as it was drawn."""

    question: Question
    unchanged: Question

    @property
    def cell(self) -> tuple[str, str]:
        """Type and answer: what is balanced."""
        return self.question.type, self.question.key


Draw = Callable[[int], tuple[Clip, list[Asked]]]  # a clip by number, with what may be asked


def first(draw: Draw, clips: int) -> list[int]:
    """The first clips that something may be asked about."""
    found: list[int] = []
    for index in count():
        if len(found) == clips:
            break
        if draw(index)[1]:
            found.append(index)
    return found


def chosen(
    draw: Draw, questions: int, told: Callable[[str], None] = lambda _: None
) -> tuple[list[int], dict[str, int]]:
    """The clips that give every type at least so many questions, all its answers equally often.

    This is a stratified choice, not a plain run of clips: answers that are rare in the world
    (four beeps, five objects) are looked for first, each in the first clips that hold it, until
    nothing is short; what is frequent comes with them.

    Args:
        draw: Gives the clips to choose from. The answers met among the first SURVEY of them are
            all that there are; more are drawn until there is enough of each.
        questions: Of every type at least.
        told: Hears how many were drawn and how many chosen.

    Returns:
        The clips' numbers, in order, and how many questions of each answer of a type to ask.
    """
    drawn: list[Counter[tuple[str, str]]] = []
    supply: Counter[tuple[str, str]] = Counter()
    quotas: dict[str, int] = {}
    rare = 1
    while rare:
        for index in range(len(drawn), len(drawn) + SURVEY):
            drawn.append(Counter(asked.cell for asked in draw(index)[1]))
            supply += drawn[-1]
        answers = Counter(kind for kind, _ in supply)
        quotas = {kind: -(-questions // answers[kind]) for kind in answers}
        rare = sum(times < quotas[kind] for (kind, _), times in supply.items())
        if rare:
            told(f"{len(drawn)} clips drawn, {rare} answers are too rare among them so far")
    short = {cell: quotas[cell[0]] for cell in supply}
    kept: set[int] = set()
    for cell in sorted(supply, key=lambda cell: (supply[cell] / quotas[cell[0]], cell)):
        for index, cells in enumerate(drawn):
            if short[cell] <= 0:
                break
            if index not in kept and cells[cell]:
                kept.add(index)
                for other, times in cells.items():
                    short[other] -= times
    told(f"{len(kept)} of {len(drawn)} clips chosen for {questions} questions of every type")
    return sorted(kept), quotas


def balanced(
    asked: Iterable[tuple[str, Asked]], seed: int, quotas: Mapping[str, int] | None = None
) -> list[tuple[str, Asked]]:
    """As many questions of each type as its rarest answer allows, all answers equally often.

    Args:
        asked: (clip, question) pairs to choose from.
        seed: For the choice.
        quotas: Questions of each answer of a type; by default those that make up MOST of a type.
    """
    rng = np.random.default_rng([seed, 5])
    by_answer: dict[str, dict[str, list[tuple[str, Asked]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for pair in asked:
        kind, key = pair[1].cell
        by_answer[kind][key].append(pair)
    found: list[tuple[str, Asked]] = []
    for kind in sorted(by_answer):
        groups = by_answer[kind]
        wanted = max(1, MOST // len(groups)) if quotas is None else quotas[kind]
        quota = min(*map(len, groups.values()), wanted)
        for key in sorted(groups):
            order = rng.permutation(len(groups[key]))[:quota]
            found += [groups[key][int(i)] for i in order]
    return sorted(found, key=lambda pair: pair[0])
