"""A step's clips and questions as one batch: the clip's tokens once, all its questions behind them.

Each question sees the clip and itself alone, and its positions go on right behind the clip, so a
packed question gives the numbers it would give by itself at a fraction of the cost.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from export.demo.mixing import Item
from export.demo.questions import Question
from export.demo.tokenizer import prefix_ids, question_ids

MAX_KEPT = 200_000  # questions whose tokens are remembered
Tokens = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Layout:
    """Places of the prefix: text in front, visual tokens, audio tokens."""

    text: tuple[int, ...]
    visual: int
    audio: int

    @property
    def length(self) -> int:
        """Places before the first question."""
        return len(self.text) + self.visual + self.audio


@dataclass(frozen=True)
class Packed:
    """One batch. Places that hold nothing have group -1."""

    items: list[Item]  # with the questions that found room
    ids: Tensor  # (B, L) int64; 0 where the clip's features stand
    group: Tensor  # (B, L) int64: 0 the prefix, 1… the questions
    positions: Tensor  # (B, L) int64
    targets: Tensor  # (B, L) int64: the next answer token, -1 elsewhere
    last: Tensor  # (B,) int64: the last place of each prefix
    room: int  # places behind the prefix


def layout(tokenizer: Tokenizer, visual: int, audio: int) -> Layout:
    """The places of a model with so many tokens of each kind."""
    return Layout(tuple(prefix_ids(tokenizer)), visual, audio)


class Packer:
    """Lays out batches; a question's tokens are made once and kept."""

    def __init__(self, tokenizer: Tokenizer, places: Layout) -> None:
        self.tokenizer, self.places = tokenizer, places
        self._cache: dict[Question, Tokens] = {}

    def tokens(self, question: Question) -> Tokens:
        """(prompt behind the clip, answer) of a question."""
        if question not in self._cache:
            if len(self._cache) > MAX_KEPT:
                self._cache.clear()
            self._cache[question] = question_ids(self.tokenizer, question)
        return self._cache[question]

    def pack(self, items: list[Item], room: int | None = None) -> Packed:
        """Lay out a batch of items; with `room`, questions that no longer fit are left out."""
        kept = items if room is None else [self._trim(item, room) for item in items]
        if room is None:
            room = max(sum(self._cost(q) for q in item.questions) for item in kept)
        shape = len(kept), self.places.length + room
        ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        group, targets = np.full(shape, -1, np.int64), np.full(shape, -1, np.int64)
        for row, item in enumerate(kept):
            at = self.places.length
            start = self._place_prefix(item, ids[row], group[row], positions[row])
            for number, question in enumerate(item.questions, 1):
                rest, answer = self.tokens(question)
                end = at + self._cost(question)
                ids[row, at:end] = rest + answer[:-1]
                group[row, at:end] = number
                positions[row, at:end] = start + np.arange(end - at)
                targets[row, end - len(answer) : end] = answer
                at = end
        last = np.array([np.flatnonzero(row == 0)[-1] for row in group])
        return Packed(
            items=kept,
            ids=torch.from_numpy(ids),
            group=torch.from_numpy(group),
            positions=torch.from_numpy(positions),
            targets=torch.from_numpy(targets),
            last=torch.from_numpy(last),
            room=room,
        )

    def _cost(self, question: Question) -> int:
        rest, answer = self.tokens(question)
        return len(rest) + len(answer) - 1

    def _trim(self, item: Item, room: int) -> Item:
        chosen = []
        for question in item.questions:
            if self._cost(question) <= room:
                chosen.append(question)
                room -= self._cost(question)
        return dataclasses.replace(item, questions=chosen)

    def _place_prefix(
        self,
        item: Item,
        ids: NDArray[np.int64],
        group: NDArray[np.int64],
        positions: NDArray[np.int64],
    ) -> int:
        """Fill in one row's prefix; returns how many of its places hold something."""
        text, length = len(self.places.text), self.places.length
        first_audio = text + self.places.visual
        ids[:text], group[:text] = self.places.text, 0
        if item.picture >= 0:
            group[text:first_audio] = 0
        if item.sound >= 0:
            group[first_audio:length] = 0
        filled = np.flatnonzero(group[:length] == 0)
        positions[filled] = np.arange(len(filled))
        return len(filled)


def attention_mask(group: Tensor) -> Tensor:
    """(B, 1, L, L) bool: a place sees the prefix and its own question, never what comes later."""
    length = group.shape[1]
    query, key = group[:, :, None], group[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    allowed = (key >= 0) & ((key == 0) | (key == query)) & causal
    # A place that holds nothing sees itself, so that its softmax is defined.
    return (allowed | torch.eye(length, dtype=torch.bool))[:, None]


def question_scores(packed: Packed, right: Tensor) -> list[tuple[Question, bool]]:
    """Whether every answer token of each question was right; `right` is (B, L) bool."""
    wrong = (packed.targets >= 0) & ~right
    scores = []
    for row, item in enumerate(packed.items):
        groups = packed.group[row]
        for number, question in enumerate(item.questions, 1):
            scores.append((question, not bool(wrong[row][groups == number].any())))
    return scores
