"""What int4 costs: a bundle's answers against the unrounded model's, through the runtime.

The questions are always the same, about bundled clips; they, the clips and what the unrounded model
makes of them are kept in the bundle, so that it can be measured again anywhere. The bundle answers
first. Then the unrounded model reads, in one pass layer by layer, both the recorded answers and
the bundle's own: where it would have chosen every word of an answer itself, it answers the same.
"""

import dataclasses
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import engines
from engines.config import AccuracyConfig, AccuracyRow
from engines.errors import ExportError
from engines.events import Result
from engines.messages import Message, clip_message
from engines.model import VideoLlama2
from engines.sampling import GenerateOptions
from export.calibrate import Composed, Composer
from export.checkpoint import Checkpoint
from export.examples import Example, measured_examples
from export.quantise_state import MatrixRow
from export.readings import FILE, Reading, read_readings, reading_of, write_readings
from export.walk import reference_logits

Array = NDArray[Any]

# In front of the names of the clips that are kept in the bundle.
CLIP_PREFIX = "measured-"
MOST_QUESTIONS = 12
MOST_NEW_TOKENS = 48
# The unrounded model reads no more than about this, so that a large one is done in minutes; at
# least two questions are asked.
MOST_TOKENS = 16384
# A choice that the reference finds less likely than its own by less than this is as good.
TIE_NATS = 0.05
# Outside these a bundle is not published (docs/quantisation.md says where they come from).
LIMITS = {"kl_divergence": 0.15, "perplexity_ratio": 1.15, "same_choice": 0.9}
GRAPHS = {"decoder": False, "decoder_exact": True}


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
    bundle: Path, checkpoint: Checkpoint, composer: Composer, examples: Sequence[Example]
) -> AccuracyConfig:
    """Ask a finished bundle and the unrounded model, and keep what is needed to do it again.

    Args:
        bundle: A folder that `engines.load` opens; what the reference said is added to it.
        checkpoint: The unrounded decoder.
        composer: Its towers, prompt and embeddings.
        examples: What `keep_examples` returned.

    Returns:
        What was measured, without the limits being applied.
    """
    recorded = [composer.compose(example) for example in examples]
    examples = examples[: _affordable([2 * len(made.kinds) for made in recorded])]
    recorded = recorded[: len(examples)]
    answers = _answers(bundle, examples)
    given = [composer.compose(example, ids) for example, ids in zip(examples, answers, strict=True)]
    composer.encoders.release()
    readings = _read_by_reference(checkpoint, examples, recorded, given)
    rows = accuracy_rows(bundle, readings)
    write_readings(bundle / FILE, readings)
    tokens = sum(len(reading.ids) for reading in readings)
    return AccuracyConfig(FILE, len(examples), tokens, dict(LIMITS), rows)


def measure_again(bundle: Path, config: AccuracyConfig) -> AccuracyConfig:
    """Measure a bundle by the readings that are kept in it.

    Raises:
        BundleError: they cannot be read.
    """
    rows = accuracy_rows(bundle, read_readings(bundle / config.file))
    return dataclasses.replace(config, rows=rows)


def accuracy_rows(bundle: Path, readings: Sequence[Reading]) -> tuple[AccuracyRow, ...]:
    """Measure both decoders of an int4 bundle."""
    rows = []
    for graph, exact in GRAPHS.items():
        model = engines.load(bundle, device="cpu", exact=exact, keep_encodings=False)
        found = [
            model.answer_logits(messages(reading.example), reading.ids.tolist())
            for reading in readings
        ]
        rows.append(compare_readings(graph, readings, found))
    return tuple(rows)


def compare_readings(
    graph: str, readings: Sequence[Reading], logits: Sequence[Array]
) -> AccuracyRow:
    """Compare a decoder's logits (n, vocab), reading by reading, with the reference's."""
    divergences, same, answered = [], [], []
    ours, theirs = [], []
    for reading, found in zip(readings, logits, strict=True):
        log_q = torch.log_softmax(torch.from_numpy(found).double(), -1).numpy()
        divergences.append(_divergence(reading, log_q))
        good = _as_good(reading, log_q.argmax(-1))
        same.append(good)
        if reading.given:
            answered.append(bool(good.all()))
        if reading.recorded:
            ours.append(log_q[np.arange(len(reading.ids)), reading.ids])
            theirs.append(reading.own)
    return AccuracyRow(
        graph,
        perplexity=float(np.exp(-np.concatenate(ours).mean())),
        reference_perplexity=float(np.exp(-np.concatenate(theirs).mean())),
        kl_divergence=float(np.concatenate(divergences).mean()),
        same_choice=float(np.concatenate(same).mean()),
        same_answers=float(np.mean(answered)),
    )


def outside(config: AccuracyConfig) -> list[str]:
    """Return a few words about each limit that a bundle does not keep."""
    found = []
    for row in config.rows:
        measured = {
            "kl_divergence": row.kl_divergence,
            "perplexity_ratio": row.perplexity / row.reference_perplexity,
            "same_choice": row.same_choice,
        }
        for name, limit in config.limits.items():
            value = measured[name]
            fine = value >= limit if name == "same_choice" else value <= limit
            if not fine:
                side = "at least" if name == "same_choice" else "at most"
                words = name.replace("_", " ")
                found.append(f"{words} of {row.graph} {value:.3g}, {side} {limit:g} allowed")
    return found


def refuse_to_publish(config: AccuracyConfig, advice: str) -> None:
    """Refuse a new bundle that is too far from the unrounded model.

    Args:
        config: What was measured.
        advice: What would help.

    Raises:
        ExportError: it is.
    """
    found = outside(config)
    if found:
        raise ExportError(
            f"The int4 decoder is too far from the unrounded one ({'; '.join(found)}), so nothing"
            f" was published; {advice}, or publish it as it is with --accept-loss."
        )


def refuse_loss(config: AccuracyConfig, bundle: Path) -> None:
    """Refuse a bundle that no longer answers as it did when it was published.

    Raises:
        ExportError: it is outside the limits it was published under.
    """
    found = outside(config)
    if found:
        raise ExportError(
            f"{bundle} is too far from the unrounded model on this machine ({'; '.join(found)});"
            " report it with the processor's name and the version of ONNX Runtime."
        )


def advice(rows: Sequence[MatrixRow], group: int | None, head: str) -> str:
    """Say which layers lose most and what would help."""
    worst = ", ".join(str(layer) for layer in worst_layers(rows))
    options = ["other clips with --calibration"]
    options = (
        [f"--group {32 if group and group > 32 else 16}", *options] if group != 16 else options
    )
    options += ["--head fp16"] if head == "int4" else []
    return f"layers {worst} lose most: try {', '.join(options)}"


def worst_layers(rows: Iterable[MatrixRow], count: int = 3) -> list[int]:
    """Return the layers whose matrices have the largest mean error."""
    errors: dict[int, list[float]] = {}
    for row in rows:
        if row.layer >= 0:
            errors.setdefault(row.layer, []).append(row.error if row.error is not None else 1.0)
    means = {layer: sum(found) / len(found) for layer, found in errors.items()}
    return sorted(sorted(means, key=lambda layer: -means[layer])[:count])


def accuracy_table(config: AccuracyConfig) -> str:
    """Lay the measurements out in columns."""
    lines = [
        f"{'against unrounded':<18} {'perplexity':>18} {'KL, nats/token':>15}"
        f" {'same choice':>12} {'same answers':>13}  on {config.questions} questions"
    ]
    for row in config.rows:
        perplexity = f"{row.perplexity:.4g} ({row.reference_perplexity:.4g})"
        lines.append(
            f"{row.graph:<18} {perplexity:>18} {row.kl_divergence:>15.4f}"
            f" {row.same_choice:>12.1%} {row.same_answers:>13.0%}"
        )
    if config.accepted_loss:
        lines.append(f"published outside its limits: {'; '.join(outside(config))}")
    return "\n".join(lines)


def messages(example: Example) -> list[Message]:
    """Return an example as the runtime takes it."""
    first, *rest = example.turns
    said: list[Message] = [{"role": turn.role, "content": turn.text} for turn in rest]
    if example.clip is None:
        return [{"role": "user", "content": first.text}, *said]
    return [clip_message(example.clip, first.text), *said]


def _affordable(tokens: Sequence[int]) -> int:
    """Return how many of the first questions may be asked; each costs so many tokens."""
    within = int((np.cumsum(tokens) <= MOST_TOKENS).sum())
    return min(max(within, 2), len(tokens))


def _answers(bundle: Path, examples: Sequence[Example]) -> list[tuple[int, ...]]:
    """Let the bundle answer, greedily."""
    model: VideoLlama2 = engines.load(bundle, device="cpu", keep_encodings=False)
    room = model.config.decoder.max_position_embeddings
    options = GenerateOptions(max_new_tokens=min(MOST_NEW_TOKENS, room), repetition_penalty=1.0)
    answers = []
    for example in examples:
        *_, result = model.generate(messages(example), options)
        assert isinstance(result, Result)
        answers.append(result.token_ids)
    return answers


def _read_by_reference(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    recorded: Sequence[Composed],
    given: Sequence[Composed],
) -> list[Reading]:
    """Let the unrounded decoder read every answer; one that is both kinds is read once."""
    wanted: list[tuple[Example, Composed, bool, bool]] = []
    for example, one, other in zip(examples, recorded, given, strict=True):
        same = one.answer == other.answer
        wanted.append((example, one, True, same))
        if not same:
            wanted.append((example, other, False, True))
    logits = reference_logits(
        checkpoint,
        [made.inputs_embeds for _, made, _, _ in wanted],
        [len(made.answer) for _, made, _, _ in wanted],
    )
    return [
        reading_of(example, np.asarray(made.answer, np.int64), found, is_recorded, is_given)
        for (example, made, is_recorded, is_given), found in zip(wanted, logits, strict=True)
    ]


def _divergence(reading: Reading, log_q: Array) -> Array:
    """KL divergence (n,) over the kept tokens, all others taken as one."""
    kept_q = np.take_along_axis(log_q, reading.top.astype(np.int64), 1)
    p = np.exp(reading.log_p.astype(np.float64))
    rest_p, rest_q = (np.clip(1 - x.sum(-1), 1e-9, 1) for x in (p, np.exp(kept_q)))
    found: Array = (p * (reading.log_p - kept_q)).sum(-1)
    return found + rest_p * np.log(rest_p / rest_q)


def _as_good(reading: Reading, choice: Array) -> Array:
    """Whether the reference finds each choice (n,) as good as its own: (n,) bool."""
    chosen = reading.top == choice[:, None]
    log_p = np.where(chosen, reading.log_p, -np.inf).max(-1)
    good: Array = reading.log_p[:, 0] - log_p <= TIE_NATS
    return good
