"""The connector stage: on cached tower features, each token learns to tell what it holds."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from export.demo.encode import Kept
from export.demo.fit import Log, Plan, fit
from export.demo.labels import TOKEN_CHANNELS, channel, token_labels
from export.demo.mixing import rows
from export.demo.network import Sizes, TellingConnector, initialise
from export.demo.pools import sample_times
from export.demo.towers import HELD_OUT, draw
from export.demo.world import Scene

# Rare channels weigh more, so that events are not drowned by the many empty tokens.
WEIGHT = {"motion": 2.0, "comes": 4.0, "goes": 4.0}


def connector_labels(scenes: list[Scene], sizes: Sizes) -> NDArray[np.int8]:
    """(clips, V, channels) int8."""
    times = sample_times(sizes.num_frames)
    return np.stack(
        [token_labels(scene, times, sizes.vision.grid, sizes.slices) for scene in scenes]
    )


def token_loss(told: Tensor, labels: Tensor) -> Tensor:
    """Binary cross entropy over all channels that are asked."""
    weight = torch.ones(told.shape[-1])
    for name, value in WEIGHT.items():
        at = channel(TOKEN_CHANNELS, name)
        weight[at : at + TOKEN_CHANNELS[name]] = value
    asked = (labels >= 0).float() * weight
    each = F.binary_cross_entropy_with_logits(told, labels.clamp(min=0).float(), reduction="none")
    return (each * asked).sum() / asked.sum() * 10.0


def token_scores(told: Tensor, labels: Tensor) -> dict[str, float]:
    """F1 of every group of channels."""
    scores = {}
    for name, count in TOKEN_CHANNELS.items():
        at = channel(TOKEN_CHANNELS, name)
        said, true = told[..., at : at + count] > 0, labels[..., at : at + count]
        both = float((said & (true == 1)).sum())
        wrong = float((said & (true == 0)).sum()) + float((~said & (true == 1)).sum())
        scores[name] = 2 * both / max(1.0, 2 * both + wrong)
    return scores


def train_connector(
    sizes: Sizes,
    plan: Plan,
    scenes: list[Scene],
    features: Kept,
    books: tuple[Path, Log],
    batch: int = 32,
) -> TellingConnector:
    """Train a fresh connector on the auxiliary labels; `books`: the state's folder, the log."""
    torch.manual_seed(plan.seed)
    model = TellingConnector(sizes)
    initialise(model)
    labels = connector_labels(scenes, sizes)

    def forward(indices: NDArray[np.int64]) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            told: Tensor = model(torch.from_numpy(rows(features, indices.tolist())))[1]
        return told.float()

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        indices = draw(plan, step, len(scenes) - HELD_OUT, batch)
        return token_loss(forward(indices), torch.from_numpy(labels[indices])), {}

    def measure() -> dict[str, float]:
        indices = np.arange(len(scenes) - HELD_OUT, len(scenes))
        with torch.no_grad():
            return token_scores(forward(indices), torch.from_numpy(labels[indices]))

    fit(plan, model, loss, measure, books[1], books[0])
    return model
