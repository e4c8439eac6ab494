"""The open conversation: a clip, its turns, and what goes to the model for each.

State alone: no window, no database, no model. The clip's options belong to a question, not to the
conversation: switching the sound off changes what the next question is asked about, and leaves the
answers before it as they were given.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as changed
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.config import ClipOptions, Mismatch, from_json, to_json
from engines.errors import PromptError
from engines.messages import MODALS, Message, clip_message
from engines.sampling import GenerateOptions

if TYPE_CHECKING:
    from app.records import ConversationRecord, TurnStatus

MAX_TITLE = 60
_PLACEHOLDER = re.compile(f"<({'|'.join(MODALS)})>")


@dataclass
class Turn:
    """One question and its answer.

    Attributes:
        id: the history's number, or a negative one where no history gave it.
        clip: what of the clip it asks about; None asks about no clip.
        options: how it is answered.
        answer: the text so far.
        status: see `app.records.TurnStatus`.
        result: what `vl2 ask --json` prints, when it is done.
    """

    id: int
    question: str
    clip: ClipOptions | None
    options: GenerateOptions
    answer: str = ""
    status: "TurnStatus" = "writing"
    result: dict[str, Any] | None = None


@dataclass
class Conversation:
    """A conversation.

    Attributes:
        clip: what the next question will be asked about; may be changed at any time.
        id: the history's number; None while it has none.
        bundle: the id of the bundle it began with.
        turns: in order; only the last one can be "writing".
    """

    clip: ClipOptions | None = None
    id: int | None = None
    title: str = ""
    bundle: str = ""
    turns: list[Turn] = field(default_factory=list)
    _local_ids: Iterator[int] = field(
        default_factory=lambda: count(-1, -1), init=False, repr=False, compare=False
    )

    @property
    def writing(self) -> Turn | None:
        """The turn that is being answered, if one is."""
        last = self.turns[-1] if self.turns else None
        return last if last is not None and last.status == "writing" else None

    def turn(self, turn_id: int) -> Turn | None:
        """A turn by its id; None where it is not there (any more)."""
        return next((turn for turn in self.turns if turn.id == turn_id), None)

    def index(self, turn_id: int) -> int:
        """A turn's place in `turns`.

        Raises:
            KeyError: it is not there (any more).
        """
        for place, turn in enumerate(self.turns):
            if turn.id == turn_id:
                return place
        raise KeyError(turn_id)

    def check(self, question: str) -> None:
        """Whether a question can be asked now.

        Raises:
            PromptError: it is empty or holds a placeholder, or an answer is still being written.
        """
        if not question.strip():
            raise PromptError("The question is empty; write one.")
        found = _PLACEHOLDER.search(question)
        if found:
            raise PromptError(
                f"The question contains {found[0]}, which stands for the clip itself; write it"
                " without the angle brackets."
            )
        if self.writing is not None:
            raise PromptError("An answer is still being written; wait for its end, or stop it.")

    def ask(self, question: str, options: GenerateOptions, turn_id: int | None = None) -> Turn:
        """Appends a question about `clip` as it is now; it is "writing" until `finish`.

        Args:
            question: what is asked.
            options: how to answer.
            turn_id: the history's number, where there is one.

        Raises:
            PromptError: see `check`.
        """
        self.check(question)
        # Never one that a dropped turn had: a late piece of its answer must not land here.
        number = next(self._local_ids) if turn_id is None else turn_id
        turn = Turn(number, question, self.clip, options)
        self.turns.append(turn)
        return turn

    def add_piece(self, turn_id: int, text: str) -> None:
        """Adds text to an answer; for a turn that is not being written (any more), nothing."""
        turn = self.turn(turn_id)
        if turn is not None and turn.status == "writing":
            turn.answer += text

    def finish(self, turn_id: int, status: "TurnStatus", result: dict[str, Any] | None) -> None:
        """Ends an answer; with a result, its text is the answer. A dropped turn stays so."""
        turn = self.turn(turn_id)
        if turn is None:
            return
        turn.status, turn.result = status, result
        if result is not None:
            turn.answer = str(result.get("answer", turn.answer))

    def edit(
        self, index: int, text: str, options: GenerateOptions, turn_id: int | None = None
    ) -> Turn:
        """Asks another question in the place of a turn; it and all after it are dropped.

        Raises:
            PromptError: the text cannot be asked; nothing is dropped then.
        """
        kept, self.turns = self.turns, self.turns[:index]
        try:
            return self.ask(text, options, turn_id)
        except PromptError:
            self.turns = kept
            raise

    def regenerate(
        self, index: int, options: GenerateOptions | None = None, turn_id: int | None = None
    ) -> Turn:
        """Asks a turn's question again; it and all after it are dropped.

        Args:
            index: which turn.
            options: how to answer now; None as then, but by other chance (the next seed) where
                chance plays a part. Without chance the same question has the same answer.
            turn_id: the history's number of the new turn, where there is one.
        """
        before = self.turns[index]
        if options is None:
            options = before.options
            if options.temperature:
                options = changed(options, seed=options.seed + 1)
        return self.edit(index, before.question, options, turn_id)

    def messages_for(self, index: int) -> list[Message]:
        """What goes to the model for a turn: all that was said before it, and its question.

        The clip stands at the beginning with this turn's options, whatever the earlier answers
        were given about. Questions that failed or were stopped before a word are left out.
        """
        turn = self.turns[index]
        said: list[tuple[str, str]] = [
            (earlier.question, earlier.answer.strip())
            for earlier in self.turns[:index]
            if earlier.status != "failed" and earlier.answer.strip()
        ]
        messages: list[Message] = []
        for question, answer in said:
            messages.append({"role": "user", "content": question})
            # In an answer a placeholder is only text, which the prompt could not tell.
            messages.append({"role": "assistant", "content": _PLACEHOLDER.sub(r"< \1>", answer)})
        messages.append({"role": "user", "content": turn.question})
        if turn.clip is not None:
            first = messages[0]["content"]
            messages[0] = clip_message(turn.clip, first)
        return messages

    @classmethod
    def restored(cls, record: "ConversationRecord") -> "Conversation":
        """A conversation out of the history, its clip where it is now.

        What another program is writing is shown as far as it has come.
        """
        turns = []
        for stored in record.turns:
            clip, options = parse_options(stored.options)
            if clip is not None and record.clip is not None:
                clip = changed(clip, path=record.clip.path)
            turns.append(
                Turn(
                    stored.id,
                    stored.question,
                    clip,
                    options,
                    stored.answer,
                    "stopped" if stored.status == "writing" else stored.status,
                    stored.receipt,
                )
            )
        asked = [turn.clip for turn in turns if turn.clip is not None]
        clip = asked[-1] if asked else None
        if clip is None and record.clip is not None:
            clip = ClipOptions(record.clip.path)
        return cls(clip, record.id, record.title, record.bundle, turns)


def options_json(clip: ClipOptions | None, options: GenerateOptions) -> dict[str, Any]:
    """What a history keeps of how a question was asked: {"clip": …, "generate": …}."""
    return {"clip": to_json(clip), "generate": to_json(options)}


def parse_options(stored: Mapping[str, Any]) -> tuple[ClipOptions | None, GenerateOptions]:
    """What `options_json` made; defaults where another version wrote what is not known here."""
    return _parsed_clip(stored.get("clip")), _parsed_generate(stored.get("generate"))


def suggest_title(question: str, clip_name: str | None) -> str:
    """A title for a conversation that begins with this question: its first words."""
    text = " ".join(question.split())
    if len(text) > MAX_TITLE:
        cut = text.rfind(" ", MAX_TITLE // 2, MAX_TITLE)
        text = text[: cut if cut > 0 else MAX_TITLE - 1].rstrip(" ,;:.") + "…"
    return text or clip_name or ""


def _parsed_clip(stored: Any) -> ClipOptions | None:
    if not isinstance(stored, dict) or not isinstance(stored.get("path"), str):
        return None
    try:
        return from_json(ClipOptions, stored, "clip")
    except Mismatch:
        return ClipOptions(Path(stored["path"]))


def _parsed_generate(stored: Any) -> GenerateOptions:
    try:
        return from_json(GenerateOptions, stored, "generate")
    except Mismatch:
        return GenerateOptions()
