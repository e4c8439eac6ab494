"""Messages: the turns of a conversation and the one clip it is about, checked.

Knows texts and options; no file is opened here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engines.config import ClipOptions, Mismatch, from_json
from engines.errors import PromptError

Modal = Literal["image", "video", "audio"]
Message = Mapping[str, Any]

MODALS: tuple[Modal, ...] = ("image", "video", "audio")
_ROLES = ("system", "user", "assistant")
_CLIP_TYPES = ("clip", *MODALS)
_CLIP_FIELDS = frozenset(field.name for field in dataclasses.fields(ClipOptions))


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation, text alone."""

    role: str
    text: str


@dataclass(frozen=True)
class Conversation:
    """Checked messages.

    Attributes:
        turns: the texts, in order; the placeholder is not in them.
        clip: the message part that names the clip ({"type", "path", …}), or None.
        modal: the kind of placeholder that was written out in a string, or None.
    """

    turns: tuple[Turn, ...]
    clip: Mapping[str, Any] | None
    modal: Modal | None


def parse_messages(messages: Sequence[Message]) -> Conversation:
    """Checks messages and takes the clip out of the first user turn.

    Args:
        messages: [{"role", "content"}, …]; content is a string or a list of parts
            {"type": "text", "text"} and {"type": "clip"|"video"|"image"|"audio", "path", …}. In the
            first user turn a string may begin with "<video>\\n" (or image, audio), as upstream's
            callers write it.

    Raises:
        PromptError: a role or part that is not known, a clip elsewhere, or a text with a
            placeholder in it.
    """
    turns: list[Turn] = []
    clip: Mapping[str, Any] | None = None
    modal: Modal | None = None
    for message in messages:
        if not isinstance(message, Mapping):
            raise PromptError("A message must be an object with a role and a content.")
        role, content = message.get("role"), message.get("content")
        if role not in _ROLES:
            raise PromptError(f"A message has the role {role!r}; use system, user or assistant.")
        first = role == "user" and all(turn.role != "user" for turn in turns)
        if isinstance(content, str):
            written, text = _leading_placeholder(content) if first else (None, content)
            modal = written or modal
        else:
            text, part = _read_parts(content)
            if part is not None and not first:
                raise PromptError("Only the first question of a conversation can hold the clip.")
            clip = part or clip
        _check_text(text)
        turns.append(Turn(role, text))
    if not turns or turns[-1].role != "user":
        raise PromptError("A conversation must end with a question of the user.")
    return Conversation(tuple(turns), clip, modal)


def clip_message(clip: ClipOptions, question: str) -> Message:
    """The user's first turn: a question about a clip."""
    fields = {name: getattr(clip, name) for name in _CLIP_FIELDS}
    return {
        "role": "user",
        "content": [{"type": "clip", **fields}, {"type": "text", "text": question}],
    }


def clip_options(part: Mapping[str, Any]) -> ClipOptions:
    """What a message's clip part asks for; the sound alone where its type is "audio".

    Raises:
        PromptError: an option that is not a field of `ClipOptions`, or is of another type.
    """
    fields = {name: value for name, value in part.items() if name != "type"}
    unknown = sorted(set(fields) - _CLIP_FIELDS)
    if unknown:
        raise PromptError(
            f"A clip has no option {unknown[0]!r}; use {', '.join(sorted(_CLIP_FIELDS))}."
        )
    if part["type"] == "audio":
        fields.setdefault("sound", "only")
    try:
        return from_json(ClipOptions, fields, "clip")
    except Mismatch as error:
        raise PromptError(f"A clip cannot be asked for like this: {error}.") from error


def _leading_placeholder(content: str) -> tuple[Modal | None, str]:
    for modal in MODALS:
        if content.startswith(f"<{modal}>\n"):
            return modal, content[len(modal) + 3 :]
    return None, content


def _read_parts(content: Any) -> tuple[str, Mapping[str, Any] | None]:
    if not isinstance(content, Sequence):
        raise PromptError("The content of a message must be text or a list of parts.")
    texts: list[str] = []
    clip = None
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in _CLIP_TYPES and "path" in part:
            if clip is not None:
                raise PromptError("A conversation is about one clip, but two were given.")
            clip = part
        else:
            raise PromptError(
                "A part of a message must be text, or a clip, video, image or audio with its path."
            )
    return "\n".join(texts), clip


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PromptError("The text is not valid UTF-8; write or paste it again.") from error
    for modal in MODALS:
        if f"<{modal}>" in text:
            raise PromptError(
                f"The text contains <{modal}>, which stands for the clip itself; write it without"
                " the angle brackets."
            )
