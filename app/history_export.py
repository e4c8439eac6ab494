"""A conversation as Markdown for people and as JSON for programs.

An answer is text that a model wrote about somebody's film, so nothing in it may act: in Markdown it
stands in a quotation, where it cannot end what surrounds it, and HTML, links and pictures in it are
shown as they were written. Emphasis, lists, headings and code of an answer stay within it.
"""

import json
import os
import re
from datetime import UTC, datetime
from typing import Any

from app.records import ConversationRecord, TurnRecord
from engines.command import printable
from engines.config import to_json

FORMAT = "vl2-conversation"
VERSION = 1
_STATUS = {
    "writing": "still being written",
    "stopped": "stopped before its end",
    "failed": "failed",
}
# What begins HTML, an entity, a link, a picture, a footnote or a definition of one.
# A backslash of the answer's own would take the effect from the one put before a bracket.
_ACTIVE = str.maketrans({"<": "&lt;", "&": "&amp;", "[": "\\[", "]": "\\]", "\\": "\\\\"})
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def to_markdown(record: ConversationRecord) -> str:
    """The conversation as a Markdown document (CommonMark)."""
    lines = [f"# {_one_line(record.title)}", ""]
    if record.clip is not None:
        lines.append(f"- Clip: {_code(_shown_path(record))}")
    lines += [f"- Model: {_code(record.bundle)}", f"- Begun: {_time(record.created)}", ""]
    for number, turn in enumerate(record.turns, start=1):
        lines += _markdown_turn(number, turn)
    return "\n".join(lines).rstrip() + "\n"


def to_json_text(record: ConversationRecord) -> str:
    """The conversation as JSON, complete: every turn with its options and its receipt.

    Times are UTC in ISO 8601. Bytes of a file name that are no UTF-8 stand as lone surrogates,
    as Python reads them.
    """
    clip = record.clip
    data = {
        "format": FORMAT,
        "version": VERSION,
        "title": record.title,
        "clip": None if clip is None else to_json(clip),
        "bundle": record.bundle,
        "created": _time(record.created),
        "updated": _time(record.updated),
        "turns": [
            {
                "question": turn.question,
                "answer": turn.answer,
                "status": turn.status,
                "created": _time(turn.created),
                "options": turn.options,
                "receipt": turn.receipt,
            }
            for turn in record.turns
        ],
    }
    text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    # A lone surrogate is written as JSON's own escape, for it has no place in UTF-8.
    return text.encode("utf-8", "backslashreplace").decode()


def _markdown_turn(number: int, turn: TurnRecord) -> list[str]:
    lines = [f"## Question {number}", "", *_quoted(turn.question), "", "### Answer", ""]
    lines += [*_quoted(turn.answer), ""] if turn.answer.strip() else []
    notes = [_STATUS[turn.status]] if turn.status in _STATUS else []
    notes += _facts(turn.receipt or {})
    if notes:
        lines += [f"*{_one_line(' · '.join(notes))}*", ""]
    return lines


def _facts(receipt: dict[str, Any]) -> list[str]:
    """What of a receipt a reader wants to know, as far as it has it."""
    usage, coverage = receipt.get("usage"), receipt.get("coverage")
    facts = []
    if isinstance(usage, dict) and isinstance(usage.get("new_tokens"), int):
        facts.append(f"{usage['new_tokens']} tokens")
    if isinstance(coverage, dict):
        facts.append(f"{len(coverage.get('frame_times_s') or ())} frames")
        facts += [str(note) for note in coverage.get("notes") or ()]
    facts += [receipt[key] for key in ("device", "error") if isinstance(receipt.get(key), str)]
    return facts


def _quoted(text: str) -> list[str]:
    lines = text.strip().translate(_ACTIVE).splitlines()
    return [f"> {printable(line)}".rstrip() for line in lines]


def _one_line(text: str) -> str:
    """Text that is nothing but text, on one line."""
    return _PUNCTUATION.sub(r"\\\1", printable(" ".join(text.split())))


def _code(text: str) -> str:
    text = printable(" ".join(text.split()))
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    # A space keeps a backtick at either end apart from the fence.
    pad = " " if longest else ""
    return f"{fence}{pad}{text}{pad}{fence}" if text else "unknown"


def _shown_path(record: ConversationRecord) -> str:
    if record.clip is None:
        return ""
    return os.fsencode(record.clip.path).decode("utf-8", "replace")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
