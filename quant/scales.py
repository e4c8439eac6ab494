"""The scale of each group that hurts the layer's output least: Hessian-weighted clipping.

A weight's rounding error costs its square times a weight of its input: how active that is, and how
little of it the other inputs can make up for. A scale that clips one rare large weight and rounds
all others more finely is often the better.
"""

import torch
from torch import Tensor

from quant.grid import MAX_SCALE, MIN_SCALE, group_scales, row_blocks

# Scales tried, as shares of the least one that clips nothing. At 4 bits the best lies near .8.
SHARES = tuple(1.0 - 0.025 * i for i in range(24))
# Numbers in hand at a time: they stay in the processor's own memory.
BLOCK_NUMBERS = 1 << 18


def search_scales(weight: Tensor, cost: Tensor, group: int, bits: int) -> Tensor:
    """Return the scales with the least weighted square error of plain rounding.

    Each of `SHARES` is tried, then the best is moved to the least squares fit of its own codes.

    Args:
        weight: (N, K) float32.
        cost: (K,) positive, what a square of error in each input costs.
        group: Inputs that share a scale.
        bits: 4 or 8.

    Returns:
        (N, K / group) float32, each a positive normal float16 value.

    Raises:
        ValueError: `group` does not divide K.
    """
    whole = group_scales(weight, group, bits)
    best = torch.empty_like(whole)
    share = cost.reshape(1, -1, group)
    for part in row_blocks(weight, BLOCK_NUMBERS):
        grouped = weight[part].reshape(-1, whole.shape[1], group)
        best[part] = _search(grouped, share, whole[part], bits)
    return best


def _search(grouped: Tensor, cost: Tensor, whole: Tensor, bits: int) -> Tensor:
    """Search for (rows, groups, group) weights; `whole` (rows, groups) clips nothing."""
    best = whole.clone()
    error = torch.full_like(whole, torch.inf)
    for share in SHARES:
        _keep_better(grouped, cost, whole * share, bits, best, error)
    codes = _codes(grouped, best, bits)
    weighted = codes * cost
    fitted = (weighted * grouped).sum(-1) / (weighted * codes).sum(-1).clamp_min(1e-30)
    _keep_better(grouped, cost, fitted, bits, best, error)
    return best


def _keep_better(
    grouped: Tensor, cost: Tensor, scale: Tensor, bits: int, best: Tensor, error: Tensor
) -> None:
    """Put a scale, as float16 holds it, in the place of the best one wherever it costs less."""
    scale = scale.clamp(MIN_SCALE, MAX_SCALE).half().float()
    left = _codes(grouped, scale, bits).mul_(scale[..., None]).sub_(grouped)
    found = left.square_().mul_(cost).sum(-1)
    better = found < error
    torch.where(better, scale, best, out=best)
    torch.where(better, found, error, out=error)


def _codes(grouped: Tensor, scale: Tensor, bits: int) -> Tensor:
    top = 2 ** (bits - 1)
    return (grouped / scale[..., None]).round_().clamp_(-top, top - 1)
