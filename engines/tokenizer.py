"""Text to token ids and back; the library's `tokenizer.json`, nothing of prompts or models."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tokenizers

from engines.errors import BundleError

# What an incomplete UTF-8 sequence decodes to.
_REPLACEMENT = "\ufffd"
# How many times longer a bundle's tokenizer may make a text before it takes it apart; published
# ones replace a space by another character, and put one at the beginning.
MAX_GROWTH = 1000


class Tokenizer:
    """The bundle's tokenizer; special tokens are only those written out in the text."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._native = tokenizers.Tokenizer.from_file(str(path))
            grown = _growth(self._native.normalizer)
        except Exception as error:  # The library raises the bare class.
            raise BundleError(f"{path} is not a tokenizer; export the bundle again.") from error
        if grown > MAX_GROWTH:
            raise BundleError(
                f"{path} makes texts {grown} times longer; use a bundle of somebody you trust."
            )
        self._native.no_truncation()
        self._native.no_padding()

    @property
    def size(self) -> int:
        """The largest token id it can give, plus one."""
        return max(self._native.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def encode(self, text: str) -> list[int]:
        """Token ids of a piece of text, nothing added.

        Raises:
            BundleError: the tokenizer is one that cannot work.
        """
        with self._working():
            return list(self._native.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens left out.

        Raises:
            BundleError: the tokenizer is one that cannot work.
        """
        with self._working():
            return self._native.decode(list(ids), skip_special_tokens=True)

    @contextmanager
    def _working(self) -> Iterator[None]:
        try:
            yield
        except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
            raise
        except BaseException as error:  # The library's own panics are no Exceptions.
            raise BundleError(
                f"The tokenizer {self._path} fails ({error}); export the bundle again."
            ) from error


def _growth(normalizer: Any) -> int:
    """How many times longer it can make a text; an expression may match between all letters."""
    grown = 1
    waiting = [] if normalizer is None else [json.loads(normalizer.__getstate__())]
    while waiting:
        step = waiting.pop()
        waiting += step.get("normalizers", [])
        content, pattern = step.get("content", ""), step.get("pattern") or {}
        replaced = len(pattern.get("String", ""))
        if replaced:
            grown *= -(-max(len(content), replaced) // replaced)
        else:
            grown *= 1 + len(content) + len(step.get("prepend", ""))
    return grown


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
