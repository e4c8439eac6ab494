"""Captions as sets of facts: how much of a long answer is right where not every word is."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from engines.errors import ExportError

CAPTIONS = ("caption", "av_caption")
THING = re.compile(r"An? (small|large) (\w+) (\w+) (.+)")
GROUND = re.compile(r"The background is (\w+)( and flashes)?")

Fact = tuple[str, ...]


def facts(caption: str) -> set[Fact]:
    """What a caption says: of each thing that it is there, its size and what it does; the rest.

    A sentence of no known form counts as one fact.
    """
    return set(_facts(caption))


def _facts(caption: str) -> Iterator[Fact]:
    for sentence in filter(None, (part.strip() for part in caption.split("."))):
        if thing := THING.fullmatch(sentence):
            size, color, shape, does = thing.groups()
            yield color, shape
            yield color, shape, size
            yield color, shape, does
        elif ground := GROUND.fullmatch(sentence):
            yield "background", ground[1]
            yield "flash", "yes" if ground[2] else "no"
        else:
            yield (sentence,)


def share_right(pairs: list[tuple[str, str]]) -> float:
    """The share of facts that are right, of all that should have been said or were.

    Args:
        pairs: (caption wanted, caption given); at least one.
    """
    right = said = 0
    for wanted, given in pairs:
        truth, told = facts(wanted), facts(given)
        right += len(truth & told)
        said += max(len(truth), len(told))
    return right / said


def report(path: Path) -> dict[str, float]:
    """The share of right facts of each type of caption in what `vl2 eval --json` printed.

    Raises:
        ExportError: the file is no such record, or holds no caption.
    """
    try:
        answers = json.loads(path.read_text(encoding="utf-8"))["answers"]
        found = {
            kind: [(a["wanted"], a["answer"]) for a in answers if a["type"] == kind]
            for kind in CAPTIONS
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{path} is not what `vl2 eval --json` prints; give a file of its output."
        ) from error
    shares = {kind: share_right(pairs) for kind, pairs in found.items() if pairs}
    if not shares:
        raise ExportError(f"{path} holds no answers to captions; score a set that asks for them.")
    return shares
