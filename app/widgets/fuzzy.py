"""Finding a command by a few of its letters, in order; words typed in any order."""

from dataclasses import dataclass

START_OF_TEXT, START_OF_WORD, NEXT_TO_IT = 8, 6, 7


@dataclass(frozen=True)
class Match:
    """How well a text fits what was typed.

    Attributes:
        score: Larger is better; comparable for one query only.
        positions: Places of the letters found, ascending.
    """

    score: int
    positions: tuple[int, ...]


def match(query: str, text: str) -> Match | None:
    """Find every word of the query in the text, each as letters in order; None if one is missing.

    Upper and lower case count the same. An empty query fits everything, with score 0.
    """
    score, positions = 0, set[int]()
    for word in query.casefold().split():
        found = _best(word, text)
        if found is None:
            return None
        score += found.score
        positions.update(found.positions)
    return Match(score, tuple(sorted(positions)))


def _best(word: str, text: str) -> Match | None:
    """The places of the word's letters that score highest, of all ways to choose them."""
    letters = [letter.casefold() for letter in text]
    # For each place: the best way to end there with the letters so far.
    ways: dict[int, Match] = {}
    for number, wanted in enumerate(word):
        longer: dict[int, Match] = {}
        best_before: Match | None = None
        for place, letter in enumerate(letters):
            before = ways.get(place - 1)
            if before is not None and (best_before is None or before.score > best_before.score):
                best_before = before
            if letter != wanted:
                continue
            if number == 0:
                longer[place] = Match(_worth(text, place), (place,))
                continue
            choices = [_after(way, text, place) for way in (best_before, before) if way is not None]
            if choices:
                longer[place] = max(choices, key=lambda way: way.score)
        ways = longer
    return max(ways.values(), key=lambda way: way.score, default=None)


def _after(way: Match, text: str, place: int) -> Match:
    worth = max(_worth(text, place), NEXT_TO_IT if way.positions[-1] == place - 1 else 0)
    return Match(way.score + worth, (*way.positions, place))


def _worth(text: str, place: int) -> int:
    if place == 0:
        return START_OF_TEXT
    return START_OF_WORD if not text[place - 1].isalnum() else 1
