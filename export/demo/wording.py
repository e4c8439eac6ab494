"""Questions taken apart into what they ask and of what, and asked again in other words."""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache

import numpy as np

from export.demo.paraphrases import PARAPHRASES
from export.demo.questions import ABOUT_SOUND, PHRASINGS, TALK, Question

# The types that borrow others' phrasings, with those.
BORROWED = {"no_track": (*ABOUT_SOUND, "sync"), "absent": ("color", "motion", "shape")}
GAPS = {"color": r"\w+", "shape": r"\w+", "rank": "first|last", "event": ".+"}
NAME = r"\w+ \w+|\w+"  # a colour and a shape, or one of them


def taken_apart(question: Question) -> tuple[str, dict[str, str]]:
    """The kind of question as it is worded, and the words in its gaps.

    A follow-up has the name of what it is about from the turn before it.

    Raises:
        ValueError: it is not worded as any phrasing of its type.
    """
    kind = question.key if question.type == TALK else question.type
    for worded in BORROWED.get(kind, (kind,)):
        for pattern in _patterns(worded):
            if found := pattern.fullmatch(question.text):
                words = found.groupdict()
                if worded.startswith("fu_"):
                    asked, said = question.history[-1]
                    words |= taken_apart(Question("exist", asked, said, "yes"))[1]
                return worded, words
    raise ValueError(f"{question.text!r} is no phrasing of {kind}")


@cache
def _patterns(kind: str) -> tuple[re.Pattern[str], ...]:
    return tuple(map(_pattern, PHRASINGS[kind]))


def _pattern(phrasing: str) -> re.Pattern[str]:
    """A phrasing as an expression with a named group for each gap."""
    parts = re.split(r"\{(\w+)\}", phrasing)
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = f"(?P<{part}>{GAPS.get(part, NAME)})"
        else:
            parts[place] = re.sub(r"\ba $", "an? ", re.escape(part).replace(r"\ ", " "))
    return re.compile("".join(parts))


def paraphrased(asked: Iterable[Question], seed: int) -> list[Question]:
    """The same questions, each in one of its kind's paraphrases; earlier turns stay as they are.

    The paraphrases of a kind are dealt out like shuffled cards, so all are used equally often.
    """
    rng = np.random.default_rng([seed, 6])
    decks: dict[tuple[str, str], list[str]] = defaultdict(list)
    found = []
    for question in asked:
        kind, words = taken_apart(question)
        deck = decks[question.type, kind]
        if not deck:
            deck += [PARAPHRASES[kind][int(i)] for i in rng.permutation(len(PARAPHRASES[kind]))]
        text = deck.pop().format(**words).replace("a orange", "an orange")
        found.append(dataclasses.replace(question, text=text))
    return found
