"""The first two stages: the vision tower on single frames, the audio tower on single sounds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from export.demo.attention import PlainAttention
from export.demo.fit import Log, Plan, fit
from export.demo.labels import FrameLabels, frame_labels, slot_onsets
from export.demo.network import HearingTower, SeeingTower, Sizes, initialise, normalise
from export.demo.pools import Pool, crowd, load_pool, sound
from export.demo.world import PITCHES, SOUND_KINDS, TIMBRES, Sound

HELD_OUT = 512  # the last items of every pool are never trained on


def gather(chunks: list[NDArray[np.generic]], indices: NDArray[np.int64]) -> NDArray[np.generic]:
    """Items of a chunked pool, stacked."""
    size = len(chunks[0])
    return np.stack([chunks[int(i) // size][int(i) % size] for i in indices])


def draw(plan: Plan, step: int, count: int, batch: int) -> NDArray[np.int64]:
    """This member's items of a step: no repetition within an epoch, by seed and step alone."""
    per_epoch = count // batch
    order = np.random.default_rng([plan.seed, step // per_epoch]).permutation(count)
    at = (step % per_epoch) * batch
    return order[at : at + batch][plan.crew.rank :: plan.crew.size]


@dataclass(frozen=True)
class Lesson:
    """What a tower learns from: its input for items of the pool, and what its words are worth."""

    prepare: Callable[[NDArray[np.int64]], Tensor]
    losses: Callable[[dict[str, Tensor], NDArray[np.int64]], dict[str, Tensor]]
    scores: Callable[[dict[str, Tensor], NDArray[np.int64]], dict[str, float]]


def _teach(
    model: nn.Module, plan: Plan, count: int, lesson: Lesson, batch: int, books: tuple[Path, Log]
) -> None:
    """Train a tower in place on all but the last HELD_OUT of `count` items, which measure it."""
    folder, log = books

    def forward(indices: NDArray[np.int64]) -> dict[str, Tensor]:
        inputs = lesson.prepare(indices)
        with torch.autocast("cpu", torch.bfloat16), PlainAttention():
            return {name: y.float() for name, y in model(inputs).items()}

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        indices = draw(plan, step, count - HELD_OUT, batch)
        parts = lesson.losses(forward(indices), indices)
        return torch.stack(list(parts.values())).sum(), {
            k: float(v.detach()) for k, v in parts.items()
        }

    def measure() -> dict[str, float]:
        indices = np.arange(count - HELD_OUT, count)
        with torch.no_grad():
            return lesson.scores(forward(indices), indices)

    fit(plan, model, loss, measure, log, folder)


def train_vision(
    sizes: Sizes, plan: Plan, pool: Pool, folder: Path, log: Log, batch: int = 96
) -> SeeingTower:
    """Teach the vision tower to name each patch of a crowded frame."""
    torch.manual_seed(plan.seed)
    model = SeeingTower(sizes)
    initialise(model)
    chunks = load_pool(folder / "pools", pool)
    labels = frame_labels([crowd(pool, i) for i in range(pool.count)], 0.1, sizes.vision.grid)

    def pixels(indices: NDArray[np.int64]) -> Tensor:
        return normalise(torch.from_numpy(gather(chunks, indices)))

    lesson = Lesson(
        pixels,
        lambda out, indices: vision_losses(out, labels, indices),
        lambda out, indices: vision_scores(out, labels, indices),
    )
    _teach(model, plan, pool.count, lesson, batch, (folder, log))
    return model


def vision_losses(
    out: dict[str, Tensor], labels: FrameLabels, indices: NDArray[np.int64]
) -> dict[str, Tensor]:
    """Cross entropies of what a patch shows, and the distance of its thing's centre."""
    color = torch.from_numpy(labels.color[indices])
    here = color >= 0
    empty = out["color"].shape[-1] - 1
    ground = torch.from_numpy(labels.background[indices])[:, None].expand(color.shape)
    losses = {
        "color": F.cross_entropy(out["color"].flatten(0, 1), color.where(here, empty).flatten()),
        "background": F.cross_entropy(out["background"].flatten(0, 1), ground.flatten()),
        "offset": F.l1_loss(out["offset"][here], torch.from_numpy(labels.offset[indices])[here]),
    }
    for name, truth in (("shape", labels.shape), ("size", labels.size)):
        wanted = torch.from_numpy(truth[indices])[here]
        losses[name] = F.cross_entropy(out[name][here], wanted)
    return losses


def vision_scores(
    out: dict[str, Tensor], labels: FrameLabels, indices: NDArray[np.int64]
) -> dict[str, float]:
    """Shares of centres named rightly, of frames whose every centre was found, of backgrounds."""
    color = torch.from_numpy(labels.color[indices])
    here = color >= 0
    found = out["color"].argmax(-1)
    empty = out["color"].shape[-1] - 1
    scores = {
        "color": float((found == color)[here].float().mean()),
        "all_centres": float(((found != empty) == here).all(1).float().mean()),
        "offset": float(
            (out["offset"] - torch.from_numpy(labels.offset[indices]))[here].abs().mean()
        ),
    }
    for name, truth in (("shape", labels.shape), ("size", labels.size)):
        wanted = torch.from_numpy(truth[indices])
        scores[name] = float((out[name].argmax(-1) == wanted)[here].float().mean())
    ground = torch.from_numpy(labels.background[indices])
    scores["background"] = float((out["background"].mean(1).argmax(-1) == ground).float().mean())
    return scores


def train_audio(
    sizes: Sizes, plan: Plan, pool: Pool, folder: Path, log: Log, batch: int = 64
) -> HearingTower:
    """Teach the audio tower to name each sound and the moments it starts."""
    torch.manual_seed(plan.seed)
    model = HearingTower(sizes)
    initialise(model)
    chunks = load_pool(folder / "pools", pool)
    truth = sound_truth([sound(pool, i) for i in range(pool.count)], sizes)

    def banks(indices: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(gather(chunks, indices)).float()

    lesson = Lesson(
        banks,
        lambda out, indices: audio_losses(out, truth, indices),
        lambda out, indices: audio_scores(out, truth, indices),
    )
    _teach(model, plan, pool.count, lesson, batch, (folder, log))
    return model


def sound_truth(sounds: list[Sound], sizes: Sizes) -> dict[str, Tensor]:
    """Classes (-1 where a sound has none) and onsets of many sounds."""
    slot_s = sizes.audio.input_patch_size * 0.01
    pitched = ("tone", "beeps")
    voiced = ("tone", "beeps", "rising", "falling")
    truth = {
        "kind": [SOUND_KINDS.index(s.kind) for s in sounds],
        "pitch": [PITCHES.index(s.pitch) if s.kind in pitched else -1 for s in sounds],
        "timbre": [TIMBRES.index(s.timbre) if s.kind in voiced else -1 for s in sounds],
    }
    onsets = np.stack([slot_onsets(s, sizes.audio_slots, slot_s) for s in sounds])
    return {k: torch.tensor(v) for k, v in truth.items()} | {"onset": torch.from_numpy(onsets)}


def audio_losses(
    out: dict[str, Tensor], truth: dict[str, Tensor], indices: NDArray[np.int64]
) -> dict[str, Tensor]:
    """Cross entropies of the classes, and whether and where each slot holds an onset."""
    rows = torch.from_numpy(indices)
    losses = {
        name: F.cross_entropy(out[name], truth[name][rows], ignore_index=-1)
        for name in ("kind", "pitch", "timbre")
    }
    starts, place = truth["onset"][rows].unbind(-1)
    losses["onset"] = F.binary_cross_entropy_with_logits(out["onset"][..., 0], starts)
    losses["place"] = (starts * (out["onset"][..., 1] - place).abs()).sum() / starts.sum()
    return losses


def audio_scores(
    out: dict[str, Tensor], truth: dict[str, Tensor], indices: NDArray[np.int64]
) -> dict[str, float]:
    """Shares of right classes, of sounds whose every onset slot is right, error within a slot."""
    rows = torch.from_numpy(indices)
    scores = {}
    for name in ("kind", "pitch", "timbre"):
        wanted = truth[name][rows]
        right = (out[name].argmax(-1) == wanted)[wanted >= 0]
        scores[name] = float(right.float().mean())
    starts, place = truth["onset"][rows].unbind(-1)
    scores["all_onsets"] = float(((out["onset"][..., 0] > 0) == (starts > 0)).all(1).float().mean())
    error = starts * (out["onset"][..., 1] - place).abs()
    scores["place"] = float(error.sum() / starts.sum())
    return scores
