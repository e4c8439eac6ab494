"""Asks a finished int4 bundle, and the unrounded model what it makes of the answers.

The questions are always the same, about bundled clips; they, the clips and what the unrounded model
makes of them are kept in the bundle, so that it can be measured again anywhere. The bundle answers
first. Then the unrounded model reads, in one pass layer by layer, both the recorded answers and
the bundle's own: where it would have chosen every word of an answer itself, it answers the same.
"""

import dataclasses
import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.config import AccuracyConfig, AccuracyRow, SoundMode
from export.accuracy import LIMITS, compare_readings
from export.ask_bundle import AskedBundle
from export.calibrate import Composed, Composer
from export.checkpoint import Checkpoint
from export.examples import Example, measured_examples
from export.memory import giving_back
from export.readings import (
    FILE,
    Reading,
    read_readings,
    reading_of,
    readings_arrays,
    readings_from,
    write_readings,
)
from export.reference.decoder import DecoderConfig
from export.unfinished import Unfinished
from export.walk import reference_logits

Array = NDArray[Any]

# In front of the names of the clips that are kept in the bundle.
CLIP_PREFIX = "measured-"
MOST_QUESTIONS, LEAST_QUESTIONS = 12, 2
MOST_NEW_TOKENS = 48
MOST_TOKENS = 16384
# The unrounded model computes no more than about this, minutes of two cores; at least two questions
# are asked. One that could not read MOST_TOKENS for it sees few frames, hears nothing beside them
# and is brief.
MOST_FLOPS = 4e13
FEW_FRAMES, FEW_NEW_TOKENS = 2, 16
GRAPHS = {"decoder": False, "decoder_exact": True}
# What to say of the steps, and which share of the time they take.
SHARES = {
    "answers": ("the bundle has answered", 0.2),
    "readings": ("the unrounded model has read the answers", 0.4),
    "measure-decoder": ("int4 measured", 0.2),
    "measure-decoder_exact": ("int4 measured exactly", 0.2),
}
# Runs what has a name and makes arrays, unless that was done before.
Step = Callable[[str, Callable[[], Mapping[str, Array]]], Mapping[str, Array]]


def _at_once(name: str, run: Callable[[], Mapping[str, Array]]) -> Mapping[str, Array]:
    return run()


def keep_examples(bundle: Path) -> list[Example]:
    """Copy the clips that are asked about into a bundle; return the questions about the copies."""
    kept = []
    for example in measured_examples()[:MOST_QUESTIONS]:
        assert example.clip is not None
        copy = bundle / (CLIP_PREFIX + example.clip.path.name)
        shutil.copyfile(example.clip.path, copy)
        clip = dataclasses.replace(example.clip, path=copy)
        kept.append(dataclasses.replace(example, clip=clip))
    return kept


def measure_accuracy(
    work: Unfinished,
    checkpoint: Checkpoint,
    composer: Composer,
    asked: AskedBundle,
    examples: Sequence[Example],
    tell: Callable[[str, float], None],
) -> AccuracyConfig:
    """Ask a finished bundle and the unrounded model, and keep what is needed to do it again.

    Args:
        work: What the reference said is added to its bundle.
        checkpoint: The unrounded decoder.
        composer: Its towers, prompt and embeddings.
        asked: The bundle.
        examples: What `keep_examples` returned.
        tell: Told what was done, and which share of the whole it was.

    Returns:
        What was measured, without the limits being applied.
    """
    room = token_budget(checkpoint.config.decoder)
    brief = room < MOST_TOKENS
    questions = _shortened(examples) if brief else examples
    recorded: list[Composed] = []
    for example in questions:
        made = composer.compose(example)
        room -= len(made.kinds) + len(made.answer)
        if room < 0 and len(recorded) >= LEAST_QUESTIONS:
            break
        recorded.append(made)
    questions = questions[: len(recorded)]
    composer.encoders.release()
    length = FEW_NEW_TOKENS if brief else MOST_NEW_TOKENS

    def answer() -> dict[str, Array]:
        answers = asked.answers(questions, length)
        return {f"ids_{n}": np.asarray(ids, np.int64) for n, ids in enumerate(answers)}

    def read() -> dict[str, Array]:
        given = [
            composer.compose(example, tuple(answers[f"ids_{n}"].tolist()))
            for n, example in enumerate(questions)
        ]
        return readings_arrays(_read_by_reference(checkpoint, questions, recorded, given))

    def told(name: str, run: Callable[[], Mapping[str, Array]]) -> Mapping[str, Array]:
        found = work.step(name, run)
        tell(*SHARES[name])
        return found

    answers = told("answers", answer)
    readings = readings_from(told("readings", read), work.bundle)
    rows = accuracy_rows(asked, readings, told)
    write_readings(work.bundle / FILE, readings)
    tokens = sum(len(reading.ids) for reading in readings)
    return AccuracyConfig(FILE, len(questions), tokens, dict(LIMITS), rows)


def measure_again(bundle: Path, asked: AskedBundle, config: AccuracyConfig) -> AccuracyConfig:
    """Measure a bundle by the readings that are kept in it.

    Raises:
        BundleError: they cannot be read.
    """
    rows = accuracy_rows(asked, read_readings(bundle / config.file))
    return dataclasses.replace(config, rows=rows)


def accuracy_rows(
    asked: AskedBundle, readings: Sequence[Reading], step: Step = _at_once
) -> tuple[AccuracyRow, ...]:
    """Measure both decoders of an int4 bundle; each is a step."""
    examples = [reading.example for reading in readings]
    answers = [reading.ids.tolist() for reading in readings]

    def numbers(graph: str, exact: bool) -> Mapping[str, Array]:
        """Return a row's numbers in the order of its fields."""
        row = compare_readings(graph, readings, asked.answer_logits(examples, answers, exact))
        return {"row": np.asarray(dataclasses.astuple(row)[1:], np.float64)}

    found = {
        graph: step(f"measure-{graph}", functools.partial(numbers, graph, exact))["row"]
        for graph, exact in GRAPHS.items()
    }
    return tuple(AccuracyRow(graph, *values.tolist()) for graph, values in found.items())


def token_budget(config: DecoderConfig) -> int:
    """Return how many tokens the unrounded model may read."""
    attention = 2 * config.head_dim * (config.num_attention_heads + config.num_key_value_heads)
    experts = config.num_experts_per_tok if config.num_local_experts else 1
    numbers = config.hidden_size * (attention + 3 * config.intermediate_size * experts)
    return min(MOST_TOKENS, int(MOST_FLOPS / (2 * numbers * config.num_hidden_layers)))


def _shortened(examples: Sequence[Example]) -> list[Example]:
    """Return the questions with few frames, and without the sound of a picture."""
    found = []
    for example in examples:
        assert example.clip is not None
        sound: SoundMode = "only" if example.clip.sound == "only" else "off"
        clip = dataclasses.replace(example.clip, num_frames=FEW_FRAMES, sound=sound)
        found.append(dataclasses.replace(example, clip=clip))
    return found


@giving_back
def _read_by_reference(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    recorded: Sequence[Composed],
    given: Sequence[Composed],
) -> list[Reading]:
    """Let the unrounded decoder read every answer; one that is both kinds is read once."""
    pairs = [
        (one,) if one.answer == other.answer else (one, other)
        for one, other in zip(recorded, given, strict=True)
    ]
    logits = reference_logits(
        checkpoint,
        [one.inputs_embeds[: -len(one.answer)] for one in recorded],
        [[made.inputs_embeds[-len(made.answer) :] for made in pair] for pair in pairs],
    )
    readings = []
    for example, pair, found in zip(examples, pairs, logits, strict=True):
        for n, (made, one) in enumerate(zip(pair, found, strict=True)):
            ids = np.asarray(made.answer, np.int64)
            is_given = n == 1 or len(pair) == 1
            readings.append(reading_of(example, ids, one, n == 0, is_given))
    return readings
