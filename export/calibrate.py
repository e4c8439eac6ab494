"""Calibration: conversations as the model will really see them, ready to go through its layers.

System prompt, picture tokens, sound tokens, question, answer: made by the runtime's own
preprocessing and prompt, with the torch reference's towers in the place of the graphs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.bundle import Embeddings
from engines.config import BundleConfig
from engines.errors import ExportError, MediaError, PromptError
from engines.prompt import prompt_ids, render_prompt
from export.examples import Example
from export.reference_encoders import ReferenceEncoders

# How much tokens of different kinds count: each the same, or each kind as much as the text.
TokenWeights = Literal["equal", "balanced"]
TEXT, ANSWER, VISUAL, AUDIO = range(4)
KINDS = ("text", "answer", "visual", "audio")
TOKENS = 32768
SEED = 0


@dataclass(frozen=True)
class Composed:
    """One conversation as the decoder takes it.

    Attributes:
        inputs_embeds: (L, H) float32; the answer, if there is one, stands at the end.
        kinds: (L,) int8, TEXT, ANSWER, VISUAL or AUDIO.
        answer: Ids of the answer and of the token that ends it.
    """

    inputs_embeds: Tensor
    kinds: Tensor
    answer: tuple[int, ...]


@dataclass(frozen=True)
class Calibration:
    """Conversations laid end to end.

    Attributes:
        inputs_embeds: (T, H) float32.
        lengths: Of the conversations; they add up to T.
        weights: (T,) float32, how much each token counts.
        facts: Tokens by kind, conversations, and sentences about what was left out.
    """

    inputs_embeds: Tensor
    lengths: list[int]
    weights: Tensor
    facts: dict[str, Any]


class Composer:
    """Puts conversations together: words by the embeddings as stored, clips by the towers."""

    def __init__(
        self,
        encoders: ReferenceEncoders,
        tokenizer: tokenizers.Tokenizer,
        embeddings: Embeddings,
    ) -> None:
        self.encoders = encoders
        self.tokenizer = tokenizer
        self.embeddings = embeddings

    @property
    def config(self) -> BundleConfig:
        """The manifest as it will be."""
        return self.encoders.config

    def compose(self, example: Example, answer: tuple[int, ...] | None = None) -> Composed:
        """Put an example together, with its own answer or the tokens of another.

        Raises:
            MediaError: its clip cannot be read, or lacks what was asked for.
            PromptError: the chat template refuses the conversation.
        """
        encoding = self.encoders.encode(example.clip) if example.clip else None
        modal = encoding.modal if encoding else None
        text = render_prompt(example.turns, modal, self.config.prompt)
        ids = prompt_ids(text, modal, self._encode)
        if answer is None:
            answer = self.answer_ids(example.answer) if example.answer is not None else ()
        pieces = []
        for part in np.split(ids, np.flatnonzero(ids < 0)):
            if encoding is not None and len(part) and part[0] < 0:
                pieces += _media_pieces(encoding.visual_tokens, VISUAL)
                pieces += _media_pieces(encoding.audio_tokens, AUDIO)
            pieces.append((self._embed(part[part >= 0]), TEXT))
        pieces.append((self._embed(np.asarray(answer, np.int64)), ANSWER))
        return Composed(
            torch.cat([embeds for embeds, _ in pieces]),
            torch.cat([torch.full((len(e),), kind, dtype=torch.int8) for e, kind in pieces]),
            answer,
        )

    def answer_ids(self, answer: str) -> tuple[int, ...]:
        """Return the tokens of an answer, with the one that ends it."""
        special = self.config.prompt.special_tokens.get("eos_token")
        end = self.tokenizer.token_to_id(special) if special else None
        end = self.config.decoder.eos_token_ids[0] if end is None else end
        return (*self._encode(answer), end)

    def _embed(self, ids: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.embeddings.rows(ids))

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)


def calibrate(
    composer: Composer,
    examples: Sequence[Example],
    told: Callable[[str, int], None],
    tokens: int = TOKENS,
    weights: TokenWeights = "balanced",
) -> Calibration:
    """Put examples together, in an order drawn from a fixed seed, until there are enough tokens.

    Args:
        composer: Puts them together.
        examples: At least one.
        told: Is told of each, with the number of tokens so far.
        tokens: How many are enough.
        weights: How much tokens of different kinds count.

    Raises:
        ExportError: no example can be used.
    """
    order = np.random.default_rng(SEED).permutation(len(examples))
    room = composer.config.decoder.max_position_embeddings
    found: list[Composed] = []
    notes: dict[str, None] = {}
    total = 0
    for index in order:
        try:
            made = composer.compose(examples[index])
        except (MediaError, PromptError) as error:
            notes[str(error)] = None
            continue
        if len(made.kinds) > room:
            notes[f"A conversation of {len(made.kinds)} tokens is longer than the model takes."] = (
                None
            )
            continue
        found.append(made)
        total += len(made.kinds)
        told(f"calibration: {len(found)} conversations, {total} tokens", len(made.kinds))
        if total >= tokens:
            break
    if not found:
        raise ExportError(
            f"Nothing to calibrate with could be used ({next(iter(notes), '')[:-1]}); give other"
            " clips with --calibration."
        )
    composer.encoders.release()  # Laid end to end, the conversations are in memory twice.
    kinds = torch.cat([made.kinds for made in found])
    counts = {name: int((kinds == kind).sum()) for kind, name in enumerate(KINDS)}
    facts = {"conversations": len(found), "tokens": counts, "weights": weights}
    return Calibration(
        torch.cat([made.inputs_embeds for made in found]),
        [len(made.kinds) for made in found],
        token_weights(kinds, weights),
        {**facts, "notes": list(notes)},
    )


def token_weights(kinds: Tensor, weights: TokenWeights) -> Tensor:
    """Return how much each token (T,) counts, float32.

    Balanced, all picture tokens together count as much as all the text does, and so do all sound
    tokens, unless there are fewer of them than of text: a clip has ten times the tokens of what is
    said about it.
    """
    found = torch.ones(len(kinds))
    if weights == "equal":
        return found
    words = int(((kinds == TEXT) | (kinds == ANSWER)).sum())
    for kind in (VISUAL, AUDIO):
        count = int((kinds == kind).sum())
        if count > words > 0:
            found[kinds == kind] = words / count
    return found


def _media_pieces(tokens: Any, kind: int) -> list[tuple[Tensor, int]]:
    return [] if tokens is None else [(torch.from_numpy(tokens), kind)]
