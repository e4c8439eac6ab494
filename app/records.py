"""What the history gives and takes: plain frozen data, no database."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

TurnStatus = Literal["writing", "done", "stopped", "failed"]


@dataclass(frozen=True)
class ClipRecord:
    """A clip as the history remembers it.

    Attributes:
        path: where it lies, or lay.
        sha256: its `engines.media.clip_hash`, None until that is known.
        size: bytes; of a folder, of all the files in it together.
        kind: "video", "image", "audio" or "frames" (a folder).
    """

    path: Path
    sha256: str | None
    size: int
    kind: str


@dataclass(frozen=True)
class SnippetRun:
    """A stretch of a snippet; `match` where it is what was searched for."""

    text: str
    match: bool


@dataclass(frozen=True)
class ConversationRow:
    """A conversation as a line of the list.

    Attributes:
        clip_name: the clip's file name, printable; None without a clip.
        kind: the clip's kind (see `ClipRecord`).
        bundle: the id of the bundle it began with.
        created, updated: seconds since 1970.
        turns: how many questions.
        snippet: where the search found something; empty without a search.
    """

    id: int
    title: str
    clip_name: str | None
    kind: str | None
    bundle: str
    created: float
    updated: float
    turns: int
    snippet: tuple[SnippetRun, ...] = ()


@dataclass(frozen=True)
class TurnRecord:
    """One question and its answer as far as it was written.

    Attributes:
        options: what `History.add_turn` was given.
        receipt: what `History.finish` was given; None until then, or when it failed.
        created: seconds since 1970.
    """

    id: int
    question: str
    answer: str
    status: TurnStatus
    options: dict[str, Any]
    receipt: dict[str, Any] | None
    created: float


@dataclass(frozen=True)
class ConversationRecord:
    """A whole conversation; see `ConversationRow`."""

    id: int
    title: str
    clip: ClipRecord | None
    bundle: str
    created: float
    updated: float
    turns: tuple[TurnRecord, ...]
