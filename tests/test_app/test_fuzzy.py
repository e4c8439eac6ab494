import itertools

from hypothesis import given
from hypothesis import strategies as st

from app.widgets.fuzzy import NEXT_TO_IT, START_OF_TEXT, START_OF_WORD, Match, match


def naive(word: str, text: str) -> int | None:
    """The best score over every way to find the letters in order."""
    best = None
    for places in itertools.combinations(range(len(text)), len(word)):
        if any(
            text[place].casefold() != letter for place, letter in zip(places, word, strict=True)
        ):
            continue
        score = 0
        for number, place in enumerate(places):
            start = place == 0 or not text[place - 1].isalnum()
            worth = (START_OF_TEXT if place == 0 else START_OF_WORD) if start else 1
            if number and places[number - 1] == place - 1:
                worth = max(worth, NEXT_TO_IT)
            score += worth
        best = score if best is None else max(best, score)
    return best


@given(st.text("ab", min_size=1, max_size=4), st.text("abA ", max_size=9))
def test_the_best_way_is_found(word, text):
    found = match(word, text)
    best = naive(word, text)
    assert (None if found is None else found.score) == best


@given(st.text("abc ", max_size=5), st.text("abC -", max_size=12))
def test_positions_are_those_of_the_letters(query, text):
    found = match(query, text)
    if found is not None:
        letters = {letter for letter in query if letter != " "}
        assert {text[place].casefold() for place in found.positions} == letters
        assert list(found.positions) == sorted(set(found.positions))


def test_by_hand():
    assert match("", "Open") == Match(0, ())
    assert match("x", "Open") is None
    assert match("op", "Open") == Match(START_OF_TEXT + NEXT_TO_IT, (0, 1))
    assert match("sf", "Player: Step forward") == Match(2 * START_OF_WORD, (8, 13))


def test_words_in_any_order_and_case():
    found = match("FORWARD step", "Player: Step forward")
    assert found is not None
    assert found.positions == (8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19)


def test_a_run_of_letters_beats_scattered_ones():
    scattered = match("co", "C old")
    together = match("co", "Copy")
    assert scattered is not None
    assert together is not None
    assert together.score > scattered.score
