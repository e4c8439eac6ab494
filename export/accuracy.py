"""What int4 costs: how far answers are from the unrounded model's, and how far they may be.

`export.measure` asks both; what is here compares, judges and tells.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines.config import AccuracyConfig, AccuracyRow
from engines.errors import ExportError
from export.quantise_state import MatrixRow
from export.readings import Reading
from export.unfinished import NotPublishedError

Array = NDArray[Any]

# A choice that the reference finds less likely than its own by less than this is as good.
TIE_NATS = 0.05
# Outside these a bundle is not published (docs/quantisation.md says where they come from).
LIMITS = {"kl_divergence": 0.15, "perplexity_ratio": 1.15, "same_choice": 0.9}


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
        NotPublishedError: it is.
    """
    found = outside(config)
    if found:
        raise NotPublishedError(
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
