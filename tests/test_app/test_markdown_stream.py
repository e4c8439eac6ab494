import random

import pytest

from app.widgets.markdown_stream import PART_LINES, MarkdownStream
from app.widgets.sentences import Sentences, spoken


def settled(text: str) -> list[str]:
    stream = MarkdownStream()
    return [*stream.feed(text), *stream.finish()]


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("one\n\ntwo\n", ["one\n", "two"]),
        ("one\ntwo", ["one\ntwo"]),
        ("- a\n- b\n  - c\n- d", ["- a", "- b\n  - c", "- d"]),
        ("- a\n\n  more\n\nnext", ["- a\n\n  more\n", "next"]),
        ("1. a\n2. b", ["1. a", "2. b"]),
        ("text\n- a", ["text\n- a"]),
        ("text\n# head\nmore", ["text", "# head\nmore"]),
        ("```\na\n\nb\n```\nend", ["```\na\n\nb\n```", "end"]),
        ("text\n~~~\na\n```\n~~~\n", ["text", "~~~\na\n```\n~~~"]),
        ("| a |\n|---|\n| 1 |\n\nend", ["| a |\n|---|\n| 1 |\n", "end"]),
        ("a\r\n\r\nb", ["a\n", "b"]),
        ("", []),
        ("\n\n", []),
    ],
)
def test_segments(text, segments):
    assert settled(text) == segments


def test_pieces_of_any_size_give_the_same_segments():
    text = "# A\n\ntext\n- a\n- b\n\n  c\n\n```py\nx\n\ny\n```\n> q\n\n1. x\n2. y\n\nend"
    whole = settled(text)
    for seed in range(30):
        chance, stream, found, at = random.Random(seed), MarkdownStream(), [], 0
        while at < len(text):
            size = chance.randint(1, 9)
            found += stream.feed(text[at : at + size])
            at += size
        assert [*found, *stream.finish()] == whole


def test_long_code_is_settled_in_closed_parts():
    lines = [f"line {number}" for number in range(PART_LINES * 2)]
    stream = MarkdownStream()
    found = stream.feed("```py\n" + "\n".join(lines) + "\n")
    assert found
    assert all(part.startswith("```py\n") and part.endswith("\n```") for part in found)
    found += [*stream.feed("```\n"), *stream.finish()]
    inside = [line for part in found for line in part.split("\n")[1:-1]]
    assert inside == lines


def test_long_tables_are_settled_in_parts_with_the_same_head():
    rows = [f"| {number} | x |" for number in range(PART_LINES * 3)]
    parts = settled("| a | b |\n|---|:-:|\n" + "\n".join(rows) + "\n\nend")
    assert parts.pop() == "end"
    assert len(parts) > 2
    assert all(part.startswith("| a | b |\n|---|:-:|") for part in parts)
    assert [line for part in parts for line in part.strip().split("\n")[2:]] == rows


def test_settled_text_is_not_kept():
    stream = MarkdownStream()
    for _ in range(1000):
        stream.feed("a paragraph\n\n")
    assert len(stream.tail()) < 100


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        ("Text:\n-", "Text:"),
        ("Text:\n==", "Text:"),
        ("a **bo", "a **bo**"),
        ("a **bold** and", "a **bold** and"),
        ("run `co", "run `co`"),
        ("2 ** 3", "2 ** 3"),
        ("```\n-", "```\n-"),
        ("5", "5"),
    ],
)
def test_tail_holds_back_marks_that_only_began(text, tail):
    stream = MarkdownStream()
    stream.feed(text)
    assert stream.tail() == tail


def test_sentences_come_as_they_end():
    feed = Sentences()
    assert feed.feed("A **red** cir") == []
    assert feed.feed("cle moves. It is 3.5 cm") == ["A red circle moves."]
    assert feed.feed(" wide! \nAnd") == ["It is 3.5 cm wide!"]
    assert feed.finish() == ["And"]
    assert feed.finish() == []


def test_sentences_of_lists_and_other_scripts():
    feed = Sentences()
    assert feed.feed("1. First one.\n2. Second\n") == ["1. First one.", "2. Second"]
    assert feed.feed("圆形移动。它是红色的。") == ["圆形移动。", "它是红色的。"]


def test_spoken_has_no_marks():
    assert (
        spoken("## See [the page](http://x.y) `now` ~~or~~ *never*") == "See the page now or never"
    )
    assert spoken("| a | b |\n|---|---|") == "a b"
    assert spoken("```python") == ""
    assert spoken("snake_case __bold__ mid**dle**") == "snake_case bold middle"
