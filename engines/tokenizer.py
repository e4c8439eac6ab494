"""Text to token ids and back; the library's `tokenizer.json`, nothing of prompts or models."""

from collections.abc import Sequence
from pathlib import Path

import tokenizers

from engines.errors import BundleError

# What an incomplete UTF-8 sequence decodes to.
_REPLACEMENT = "\ufffd"


class Tokenizer:
    """The bundle's tokenizer; special tokens are only those written out in the text."""

    def __init__(self, path: Path) -> None:
        try:
            self._native = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # The library raises the bare class.
            raise BundleError(f"{path} is not a tokenizer; export the bundle again.") from error
        self._native.no_truncation()
        self._native.no_padding()

    @property
    def size(self) -> int:
        """The largest token id it can give, plus one."""
        return max(self._native.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def encode(self, text: str) -> list[int]:
        """Token ids of a piece of text, nothing added."""
        return list(self._native.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens left out."""
        return self._native.decode(list(ids), skip_special_tokens=True)


class TextStream:
    """Turns tokens into text as they come, whole characters only.

    A token is decoded together with the ones before it, because its text depends on them: spaces
    at the start of a SentencePiece text vanish, and one character may take several byte tokens.
    Space around the whole answer is left out, as upstream strips it.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._start = 0  # The window that is decoded again begins here,
        self._read = 0  # and what stands before this is already given out.
        self._space = ""  # Held back until something follows it.
        self._begun = False

    def push(self, token_id: int) -> str:
        """Takes the next token; returns the text that became certain, often one word."""
        self._ids.append(token_id)
        given = self._tokenizer.decode(self._ids[self._start : self._read])
        text = self._tokenizer.decode(self._ids[self._start :])
        if text.endswith(_REPLACEMENT) or len(text) <= len(given):
            return ""
        self._start, self._read = self._read, len(self._ids)
        return self._trim(text[len(given) :])

    def finish(self) -> str:
        """The rest: bytes that never became a character."""
        given = self._tokenizer.decode(self._ids[self._start : self._read])
        text = self._tokenizer.decode(self._ids[self._start :])
        self._start = self._read = len(self._ids)
        return self._trim(text[len(given) :])

    def _trim(self, text: str) -> str:
        text = self._space + text
        if not self._begun:
            text = text.lstrip()
        kept = text.rstrip()
        self._space = text[len(kept) :]
        self._begun = self._begun or bool(kept)
        return kept
