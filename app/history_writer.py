"""Writes the open conversation to the history as it happens; what fails there stops no answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from app.conversation import Conversation, Turn, options_json, suggest_title
from app.history import ClipRecord, History, TurnStatus
from engines.errors import Vl2Error
from engines.sampling import GenerateOptions

Value = TypeVar("Value")


class HistoryWriter:
    """The history as the open conversation needs it.

    Attributes:
        enabled: whether new turns are kept at all.
    """

    def __init__(self, history: History, complain: Callable[[str], None]) -> None:
        """Write to a history.

        Args:
            history: where to.
            complain: gets the sentence when something could not be written.
        """
        self.history = history
        self.enabled = True
        self._complain = complain
        self._unkept = 0  # Turns that are not kept count downwards.

    def begin(
        self,
        conversation: Conversation,
        clip: ClipRecord | None,
        question: str,
        options: GenerateOptions,
        bundle: str,
    ) -> int:
        """Write a question down, and the conversation before its first one.

        Args:
            conversation: gets its number, title and bundle when it is new.
            clip: what it is about.
            question: what is asked about `conversation.clip`.
            options: how it is answered.
            bundle: the id of the bundle that answers.

        Returns:
            The turn's number; a negative one when it is not kept.
        """
        kept = self._kept(conversation, clip, question, options, bundle) if self.enabled else None
        if kept is None:
            self._unkept -= 1
            return self._unkept
        return kept

    def append(self, turn: Turn, text: str) -> None:
        """Write more of an answer."""
        if turn.id > 0:
            self._try(lambda: self.history.append(turn.id, text))

    def finish(self, turn: Turn, status: TurnStatus, result: dict[str, Any] | None) -> None:
        """Write the end of an answer."""
        if turn.id > 0:
            self._try(lambda: self.history.finish(turn.id, turn.answer, status, result))

    def forget_from(self, conversation: Conversation, turn_id: int) -> None:
        """Remove a turn and all after it."""
        number = conversation.id
        if number is not None and turn_id > 0:
            self._try(lambda: self.history.drop_from(number, turn_id))

    def set_hash(self, conversation: Conversation, sha256: str) -> None:
        """Write down by what the clip is found again."""
        number = conversation.id
        if number is not None:
            self._try(lambda: self.history.set_clip_hash(number, sha256))

    def relocate(self, number: int, path: Path) -> None:
        """Write down where a conversation's clip is now."""
        self._try(lambda: self.history.relocate(number, path))

    def _kept(
        self,
        conversation: Conversation,
        clip: ClipRecord | None,
        question: str,
        options: GenerateOptions,
        bundle: str,
    ) -> int | None:
        if conversation.id is None:
            title = suggest_title(question, clip.path.name if clip else None)
            conversation.title, conversation.bundle = title, bundle
            conversation.id = self._try(lambda: self.history.create(title, clip, bundle))
        number = conversation.id
        if number is None:
            return None
        stored = options_json(conversation.clip, options)
        return self._try(lambda: self.history.add_turn(number, question, stored))

    def _try(self, act: Callable[[], Value]) -> Value | None:
        try:
            return act()
        except Vl2Error as error:
            self._complain(str(error))
            return None
