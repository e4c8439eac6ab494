"""Words of a search: folding, what a query asks for, and the stretch of a text that shows it.

A search finds every word of the query anywhere, also inside longer words, whatever its case and
accents: so it needs no rules for any language, and Chinese is found as German is. "Words in quotes"
are found together.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from app.records import SnippetRun

MAX_TERMS = 16
MAX_TERM = 200
# Characters before the first find, and in all.
SNIPPET_LEAD = 32
SNIPPET_LENGTH = 120
_TERM = re.compile(r'"([^"]+)"|([^\s"]+)')


def fold(text: str) -> str:
    """The text without the differences that a search ignores: case, accents, kinds of space."""
    text = " ".join(text.split())
    return text.lower() if text.isascii() else "".join(map(_folded, text))


def terms(query: str) -> list[str]:
    """What a query asks for, folded, each once; any text is a query.

    Only so much of a very long one is used as nobody types.
    """
    found = (fold(a or b).strip() for a, b in _TERM.findall(query))
    return list(dict.fromkeys(term[:MAX_TERM] for term in found if term))[:MAX_TERMS]


def snippet(text: str, wanted: Sequence[str]) -> tuple[SnippetRun, ...]:
    """The stretch of a text around the first find, cut into what matches and what does not.

    Args:
        text: any text; its line breaks become spaces.
        wanted: folded terms (see `terms`).
    """
    text = " ".join(text.split())
    folded, places = _fold_with_places(text)
    finds = sorted(_finds(folded, wanted))
    first = places[finds[0][0]] if finds else 0
    begin = max(0, first - SNIPPET_LEAD)
    if begin:
        # Not in the middle of a word, where words are short enough.
        begin = text.find(" ", begin, first) + 1 or begin
    end = min(len(text), begin + SNIPPET_LENGTH)
    matching = [False] * (len(text) + 1)
    for start, stop in finds:
        for at in range(places[start], places[stop - 1] + 1):
            matching[at] = True
    return _runs(text, begin, end, matching)


def _runs(text: str, begin: int, end: int, matching: Sequence[bool]) -> tuple[SnippetRun, ...]:
    runs: list[SnippetRun] = []
    start = begin
    for at in range(begin + 1, end + 1):
        if at == end or matching[at] != matching[start]:
            runs.append(SnippetRun(text[start:at], matching[start]))
            start = at
    if begin:
        runs.insert(0, SnippetRun("… ", False))
    if end < len(text):
        runs.append(SnippetRun(" …", False))
    return tuple(runs)


def _finds(folded: str, wanted: Iterable[str]) -> Iterable[tuple[int, int]]:
    for term in wanted:
        at = folded.find(term)
        while at >= 0:
            yield at, at + len(term)
            at = folded.find(term, at + len(term))


def _fold_with_places(text: str) -> tuple[str, Sequence[int]]:
    """The folded text, and for each of its characters which one of `text` it came from."""
    if text.isascii():
        return fold(text), range(len(text))
    parts: list[str] = []
    places: list[int] = []
    for at, character in enumerate(text):
        part = _folded(character)
        parts.append(part)
        places += [at] * len(part)
    return "".join(parts), places


@lru_cache(maxsize=1 << 14)
def _folded(character: str) -> str:
    if character.isspace():
        return " "
    parts = unicodedata.normalize("NFKD", character.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))
