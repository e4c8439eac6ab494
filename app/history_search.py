"""The list of conversations, and the search through it."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from app.history_rows import conversation_row, shown_name
from app.records import ConversationRow, SnippetRun
from app.search_text import snippet

# The index knows stretches of so many characters; shorter words are looked for text by text.
TRIGRAM = 3


def find_conversations(
    database: sqlite3.Connection, wanted: Sequence[str], limit: int
) -> list[ConversationRow]:
    """The conversations that hold every term, the last used first; deleted ones are left out.

    Args:
        database: the history.
        wanted: folded terms (see `app.search_text.terms`); none wants all.
        limit: at most so many.
    """
    narrowed = " INTERSECT ".join(_one_term(term) for term in wanted)
    rows = database.execute(
        "SELECT id, title, clip_path, clip_kind, bundle, created, updated,"
        " (SELECT COUNT(*) FROM turn WHERE conversation = conversation.id)"
        " FROM conversation WHERE deleted IS NULL"
        + (f" AND id IN ({narrowed})" if wanted else "")
        + " ORDER BY updated DESC, id DESC LIMIT ?",
        (*map(_parameter, wanted), limit),
    ).fetchall()
    return [conversation_row(row, _snippet(database, row[0], wanted)) for row in rows]


def _one_term(term: str) -> str:
    if len(term) < TRIGRAM:
        return "SELECT conversation FROM entry WHERE instr(folded, ?)"
    return (
        "SELECT conversation FROM entry_text JOIN entry ON entry.id = entry_text.rowid"
        " WHERE entry_text MATCH ?"
    )


def _parameter(term: str) -> str:
    # Between quotes everything is text to FTS5; a quote itself is doubled.
    return term if len(term) < TRIGRAM else '"' + term.replace('"', '""') + '"'


def _snippet(
    database: sqlite3.Connection, conversation: int, wanted: Sequence[str]
) -> tuple[SnippetRun, ...]:
    """From the text of a conversation that holds the most of what is wanted."""
    if not wanted:
        return ()
    finds = " + ".join(["(instr(folded, ?) > 0)"] * len(wanted))
    found = database.execute(
        "SELECT field, title, question, answer, clip_path FROM entry"
        " JOIN conversation ON conversation.id = entry.conversation"
        " LEFT JOIN turn ON turn.id = entry.turn WHERE entry.conversation = ?"
        f" ORDER BY {finds} DESC, entry.id LIMIT 1",
        (conversation, *wanted),
    ).fetchone()
    if found is None:  # Another program has removed it since it was found.
        return ()
    field, title, question, answer, path = found
    name = shown_name(Path(os.fsdecode(path))) if path is not None else ""
    texts = {"title": title, "question": question, "answer": answer, "clip": name}
    # A damaged letter may have made another word of the field's name.
    text = texts.get(field) or ""
    return snippet(text, wanted)
