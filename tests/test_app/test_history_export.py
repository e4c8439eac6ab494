"""Exports: nothing of an answer breaks the Markdown, nothing is missing in the JSON."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.history_export import to_json_text, to_markdown
from app.records import ClipRecord, ConversationRecord, TurnRecord

RECEIPT = {
    "answer": "A ball.",
    "token_ids": [1, 2],
    "usage": {"new_tokens": 2, "prompt_tokens": 90},
    "coverage": {"frame_times_s": [0.0, 0.5], "sound_spans_s": [[0, 2]], "notes": ["No sound."]},
    "device": "cpu",
    "bundle": "b" * 64,
    "receipt": {"seed": 7},
}
CLIP = ClipRecord(Path("/clips/a `b`.mp4"), "f" * 64, 12, "video")


def record(*turns: tuple[str, str], title: str = "Balls", **fields: Any) -> ConversationRecord:
    rows = tuple(
        TurnRecord(i, question, answer, "done", {"seed": 7}, RECEIPT, 1_700_000_000.0)
        for i, (question, answer) in enumerate(turns)
    )
    values = {"clip": CLIP, "bundle": "b" * 64, "created": 1.7e9, "updated": 1.7e9 + 5}
    return ConversationRecord(1, title, turns=rows, **{**values, **fields})


def flat(markdown: str) -> list[Token]:
    """Every token of a renderer that does all that one might: HTML, links, tables."""
    tokens: list[Token] = []
    for token in MarkdownIt("commonmark", {"html": True, "linkify": False}).parse(markdown):
        tokens += [token, *(token.children or ())]
    return tokens


def outer_headings(markdown: str) -> list[str]:
    """The headings that stand outside quotations."""
    depth, found = 0, []
    tokens = MarkdownIt("commonmark").parse(markdown)
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        depth += (token.type == "blockquote_open") - (token.type == "blockquote_close")
        if token.type == "heading_open" and depth == 0 and after is not None:
            found.append(f"{token.tag} {after.content}")
    return found


def expected_headings(turns: int) -> list[str]:
    return ["h1 Balls"] + [
        heading for i in range(turns) for heading in (f"h2 Question {i + 1}", "h3 Answer")
    ]


def test_a_document_reads_well() -> None:
    text = to_markdown(record(("What moves?", "A **red** ball.\n\n- one\n- two")))
    assert text == (
        "# Balls\n"
        "\n"
        "- Clip: `` /clips/a `b`.mp4 ``\n"
        f"- Model: `{'b' * 64}`\n"
        "- Begun: 2023-11-14T22:13:20+00:00\n"
        "\n"
        "## Question 1\n"
        "\n"
        "> What moves?\n"
        "\n"
        "### Answer\n"
        "\n"
        "> A **red** ball.\n"
        ">\n"
        "> - one\n"
        "> - two\n"
        "\n"
        r"*2 tokens · 2 frames · No sound\. · cpu*"
        "\n"
    )


HOSTILE = [
    "# Question 2\n\n## Answer",
    "```\nnever closed",
    "~~~~\n```\n~~~",
    "<script>alert(1)</script>",
    "<!-- never closed",
    "<div>\n\n# x",
    "</blockquote># out",
    "text\n===",
    "text\n---",
    "\n\n\n# out\n\n\n",
    "\r# out\r\n# out",
    "\x0b# out\x0c# out\u2028# out\x85# out",
    "![x](http://127.0.0.1/track.png)",
    "[click](javascript:alert(1))",
    r"\[click\](javascript:alert(1))",
    r"\\[click\\](javascript:alert(1))",
    r"!\[x\](http://127.0.0.1/track.png)",
    r"\<b>\&lt;b>",
    "[a]: http://127.0.0.1\n\n[a]",
    "[^1]: note",
    "<http://127.0.0.1>",
    "&lt;b&gt; &#60;b&#62;",
    "> > > deep\nlazy",
    "    indented\n\ttab",
    "* * *",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "\\",
    "`",
    "``` ``` ```",
    "1. one\n\n   ```\n   x",
    "\x1b[31mred\x07",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_text_acts_outside_its_quotation(text: str) -> None:
    markdown = to_markdown(record((text, text), ("And?", "Yes.")))
    assert outer_headings(markdown) == expected_headings(2)
    kinds = {token.type for token in flat(markdown)}
    assert not kinds & {"html_block", "html_inline", "link_open", "image"}
    assert "\x1b" not in markdown


@given(st.lists(st.text(max_size=80), max_size=3), st.text(max_size=80))
def test_no_text_acts_outside_its_quotation(answers: list[str], title: str) -> None:
    markdown = to_markdown(record(*((a, a) for a in answers), title=title))
    assert len(outer_headings(markdown)) == 1 + 2 * len(answers)
    kinds = {token.type for token in flat(markdown)}
    assert not kinds & {"html_block", "html_inline", "link_open", "image"}


@pytest.mark.parametrize("title", ["# a *b* <i>c</i>", "a\n# b", "[x](y) `z", "1. one", "_a_"])
def test_a_title_is_text(title: str) -> None:
    markdown = to_markdown(record(("q", "a"), title=title))
    (first, *_) = MarkdownIt("commonmark").parse(markdown)[1:]
    assert "".join(child.content for child in first.children or ()) == " ".join(title.split())


def test_what_is_not_whole_says_so() -> None:
    stopped = TurnRecord(1, "q", "half an", "stopped", {}, None, 0.0)
    odd = {"usage": 3, "coverage": [], "error": "The clip is gone."}
    failed = TurnRecord(2, "q", "", "failed", {}, odd, 0.0)
    text = to_markdown(ConversationRecord(1, "t", None, "", 0.0, 0.0, (stopped, failed)))
    assert "*stopped before its end*" in text
    assert r"*failed · The clip is gone\.*" in text
    assert "Clip:" not in text


def test_json_holds_everything() -> None:
    data = json.loads(to_json_text(record(("What?", "A <b>ball</b>.\n"), title='q"\\')))
    assert data == {
        "format": "vl2-conversation",
        "version": 1,
        "title": 'q"\\',
        "clip": {"path": "/clips/a `b`.mp4", "sha256": "f" * 64, "size": 12, "kind": "video"},
        "bundle": "b" * 64,
        "created": "2023-11-14T22:13:20+00:00",
        "updated": "2023-11-14T22:13:25+00:00",
        "turns": [
            {
                "question": "What?",
                "answer": "A <b>ball</b>.\n",
                "status": "done",
                "created": "2023-11-14T22:13:20+00:00",
                "options": {"seed": 7},
                "receipt": RECEIPT,
            }
        ],
    }


def test_a_file_name_that_is_no_utf_8_comes_back_from_json() -> None:
    path = Path(os.fsdecode(b"/clips/caf\xe9.mp4"))
    text = to_json_text(record(clip=ClipRecord(path, None, 1, "video")))
    text.encode()
    assert Path(json.loads(text)["clip"]["path"]) == path
    assert "caf\ufffd.mp4" in to_markdown(record(clip=ClipRecord(path, None, 1, "video")))
