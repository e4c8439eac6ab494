"""A finished bundle asked by the exporter: through the runtime, its decoder whole or in pieces.

Whole is how a user runs it, and how it is asked wherever this computer's memory holds it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import engines
from engines.config import ClipOptions
from engines.encodings import Encoding
from engines.events import Result
from engines.messages import Message, clip_message
from engines.model import VideoLlama2
from engines.sampling import GenerateOptions
from export import pieces
from export.examples import Example
from export.memory import giving_back

Array = NDArray[Any]
# Told in words what is being done.
Tell = Callable[[str], None]


class AskedBundle(Protocol):
    """A bundle that is asked on the CPU; encoders and decoder are never in memory together."""

    def answers(self, examples: Sequence[Example], length: int) -> list[tuple[int, ...]]:
        """Let the bundle answer, greedily, in so many tokens at most."""

    def answer_logits(
        self, examples: Sequence[Example], answers: Sequence[Sequence[int]], exact: bool
    ) -> list[Array]:
        """Return the logits (n, vocab) from which each token of given answers (n,) is chosen."""

    def next_logits(self, inputs_embeds: Array, exact: bool) -> Array:
        """Return the logits (vocab,) behind a prompt (1, L, H)."""


def ask_bundle(folder: Path, in_pieces: bool, tell: Tell) -> AskedBundle:
    """Return a bundle to be asked.

    Args:
        folder: The bundle.
        in_pieces: Run the decoder a layer at a time.
        tell: Told how far it is, in questions or layers.
    """
    return _InPieces(folder, tell) if in_pieces else _Whole(folder, tell)


class _Clips:
    """What the bundle's encoders made of clips; every clip is encoded once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._encodings: dict[ClipOptions, Encoding] = {}

    @giving_back
    def encode(self, examples: Sequence[Example]) -> None:
        # By a model of its own, whose encoders are gone before a decoder is opened.
        model = _open(self.folder)
        for example in examples:
            if example.clip is not None and example.clip not in self._encodings:
                self._encodings[example.clip] = model.encode(example.clip)

    def remember(self, model: VideoLlama2, example: Example) -> None:
        if example.clip is not None:
            model.remember(self._encodings[example.clip])


class _Whole:
    def __init__(self, folder: Path, tell: Tell) -> None:
        self.folder = folder
        self.clips = _Clips(folder)
        self.tell = tell

    @giving_back
    def answers(self, examples: Sequence[Example], length: int) -> list[tuple[int, ...]]:
        self.clips.encode(examples)
        model = _open(self.folder)
        options = GenerateOptions(max_new_tokens=_at_most(model, length), repetition_penalty=1.0)
        answers = []
        for number, example in enumerate(examples, 1):
            self.tell(f"the bundle answers question {number} of {len(examples)}")
            self.clips.remember(model, example)
            *_, result = model.generate(messages(example), options)
            assert isinstance(result, Result)
            answers.append(result.token_ids)
        return answers

    @giving_back
    def answer_logits(
        self, examples: Sequence[Example], answers: Sequence[Sequence[int]], exact: bool
    ) -> list[Array]:
        self.clips.encode(examples)
        model = _open(self.folder, exact)
        found = []
        for number, (example, answer) in enumerate(zip(examples, answers, strict=True), 1):
            self.tell(f"{model.decoder_graph} reads answer {number} of {len(examples)}")
            self.clips.remember(model, example)
            found.append(model.answer_logits(messages(example), answer))
        return found

    @giving_back
    def next_logits(self, inputs_embeds: Array, exact: bool) -> Array:
        model = _open(self.folder, exact)
        self.tell(f"{model.decoder_graph} reads the self-test")
        return model.next_logits(inputs_embeds)


class _InPieces:
    def __init__(self, folder: Path, tell: Tell) -> None:
        self.folder = folder
        self.clips = _Clips(folder)
        self.tell = tell

    def answers(self, examples: Sequence[Example], length: int) -> list[tuple[int, ...]]:
        model, prompts = self._prompts(examples)
        return pieces.greedy_answers(
            model.bundle.graph_path(model.decoder_graph),
            prompts,
            model.embed,
            model.config.decoder.eos_token_ids,
            _at_most(model, length),
            lambda number: self._told(f"the bundle answers, token {number} of {length} at most"),
        )

    def answer_logits(
        self, examples: Sequence[Example], answers: Sequence[Sequence[int]], exact: bool
    ) -> list[Array]:
        model, prompts = self._prompts(examples, exact)
        return pieces.answer_logits(
            model.bundle.graph_path(model.decoder_graph),
            prompts,
            [model.embed(np.asarray(answer, np.int64)) for answer in answers],
            self._told(f"{model.decoder_graph} reads the answers"),
        )

    def next_logits(self, inputs_embeds: Array, exact: bool) -> Array:
        model = _open(self.folder, exact)
        path = model.bundle.graph_path(model.decoder_graph)
        told = self._told(f"{model.decoder_graph} reads the self-test")
        return pieces.next_logits(path, inputs_embeds[0], told)

    @giving_back
    def _prompts(
        self, examples: Sequence[Example], exact: bool = False
    ) -> tuple[VideoLlama2, list[Array]]:
        self.clips.encode(examples)
        model = _open(self.folder, exact)
        prompts = []
        for example in examples:
            self.clips.remember(model, example)
            prompts.append(model.token_prompt(messages(example)).inputs_embeds)
        return model, prompts

    def _told(self, what: str) -> pieces.Told:
        return lambda done, of: self.tell(f"{what}: {done} of {of} layers")


def messages(example: Example) -> list[Message]:
    """Return an example as the runtime takes it."""
    first, *rest = example.turns
    said: list[Message] = [{"role": turn.role, "content": turn.text} for turn in rest]
    if example.clip is None:
        return [{"role": "user", "content": first.text}, *said]
    return [clip_message(example.clip, first.text), *said]


def _open(folder: Path, exact: bool = False) -> VideoLlama2:
    """Open a bundle; its graphs are opened when they are first run."""
    return engines.load(folder, device="cpu", exact=exact, keep_encodings=False, prepacked_gb=0)


def _at_most(model: VideoLlama2, length: int) -> int:
    return min(length, model.config.decoder.max_position_embeddings)
