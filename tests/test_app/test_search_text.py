"""Folding and snippets of the history's search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.search_text import MAX_TERM, MAX_TERMS, fold, snippet, terms


def shown(text: str, query: str) -> str:
    return "".join(
        f"[{run.text}]" if run.match else run.text for run in snippet(text, terms(query))
    )


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Red BALL", "red ball"),
        ("Élan über Straße", "elan uber strasse"),
        ("ﬁne", "fine"),
        ("ＡＢＣ", "abc"),
        ("a\u00a0b\u2003c\nd", "a b c d"),
        ("one\ntwo\n\n three", "one two three"),
        ("İstanbul", "istanbul"),
        ("视频", "视频"),
        ("", ""),
    ],
)
def test_what_a_search_ignores(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("red ball", ["red", "ball"]),
        ("Red red RED", ["red"]),
        ('"red  ball" x', ["red ball", "x"]),
        ('"red ball', ["red", "ball"]),
        ('a"b', ["a", "b"]),
        ('" "', []),
        ("", []),
        ("\u0301", []),
    ],
)
def test_what_a_query_asks_for(query: str, wanted: list[str]) -> None:
    assert terms(query) == wanted


def test_a_query_is_bounded() -> None:
    assert len(terms(" ".join(map(str, range(1000))))) == MAX_TERMS
    assert terms("x" * 10_000) == ["x" * MAX_TERM]


def test_every_find_is_marked_and_the_text_otherwise_as_it_was() -> None:
    assert shown("A red Ball, a ball.", "ball RED") == "A [red] [Ball], a [ball]."
    assert shown("Straße", "strasse") == "[Straße]"
    assert shown("Straße", "ass") == "Str[aß]e"
    assert shown("e\u0301lan vital", "elan") == "[e\u0301lan] vital"
    assert shown("aaa", "aa") == "[aa]a"
    assert shown("abcd", "bc abc") == "[abc]d"
    assert shown("nothing", "zzz") == "nothing"


def test_a_long_text_is_cut_at_words_where_there_are_any() -> None:
    text = f"{'before ' * 30}needle{' after' * 30}"
    assert shown(text, "needle").startswith("… before before before before [needle] after")
    assert shown(text, "needle").endswith(" …")
    assert shown("x" * 100 + "needle" + "y" * 300, "needle").startswith(
        "… " + "x" * 32 + "[needle]"
    )


@given(st.text(max_size=300), st.text(max_size=30))
def test_no_text_and_no_query_is_too_odd(text: str, query: str) -> None:
    wanted = terms(query)
    runs = snippet(text, wanted)
    plain = " ".join(text.split())
    body = [run.text for run in runs]
    cuts = [body, body[1:], body[:-1], body[1:-1]]
    assert any("".join(cut) in plain for cut in cuts)
    if len(plain) <= 32:
        assert "".join(body) == plain
    folded = fold(plain)
    if any(term in folded for term in wanted):
        assert any(run.match for run in runs)
    assert all(run.text for run in runs)
