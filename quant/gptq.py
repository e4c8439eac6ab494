"""GPTQ (Frantar et al., arXiv 2210.17323): rounds a matrix column by column, each later column
making up for the errors of the earlier ones, so that the output of the layer changes least.

The objective for a matrix W (N, K) with inputs of second moments H is tr((W - Q) H (W - Q)ᵀ). With
H + damping = L Lᵀ and columns rounded from the last to the first, that is the sum over columns k of
L_kk² (w_k + sum over i > k of (w_i - q_i) L_ik / L_kk - q_k)²: rounding the bracket is all there is
to do. This is the paper's algorithm (the same codes) with one factorisation and no inverse.

- Activation order: the most active columns are rounded first, when there is most left to make up
  with. The groups keep their places ("static groups"), so nothing is sorted at run time.
- Scales are searched before (`quant.scales`). An error in column k costs what the columns still to
  come cannot make up for, L_kk², and not H_kk: that is its weight in the search.
- Asymmetric calibration: not W but W* = W + W D (H + ridge)⁻¹ is rounded, the matrix that gives the
  float model's outputs from the inputs that the quantised layers before it really send.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from quant.grid import Quantised, dequantise, round_to_nearest
from quant.hessian import Hessian
from quant.scales import search_scales

# Each failed factorisation makes the damping so many times larger, so often.
DAMP_STEP, DAMP_STEPS = 10.0, 4
# Damping beside the least, times inputs per token: few tokens say little of how inputs correlate.
SCARCITY = 0.4
# Columns between two large matrix products, and between two small ones; rows at a time.
BLOCK, INNER_BLOCK, ROWS = 128, 16, 2048
# Rows on which the error of plain rounding is measured, for the report.
SAMPLED_ROWS = 256


@dataclass(frozen=True)
class Settings:
    """How to quantise.

    Attributes:
        group: Inputs that share a scale; -1 is a whole row.
        bits: 4 or 8.
        damp: Added to H's diagonal at least, as a share of its mean; more where tokens are few.
        ridge: Likewise, where W* is solved for: too small and W* fits the calibration's noise.
    """

    group: int
    bits: int = 4
    damp: float = 0.01
    ridge: float = 0.3


@dataclass(frozen=True)
class Rounded:
    """A quantised matrix and how it went.

    Attributes:
        quantised: The matrix.
        error: Of the outputs, as a share of their energy, on some rows and the calibration's
            inputs; None where it was not measured.
        rounding_error: What rounding to nearest would have cost on the same rows.
        damp: The damping that was needed; None where the matrix was rounded to nearest.
        reason: Why it was rounded to nearest, if it was.
    """

    quantised: Quantised
    error: float | None
    rounding_error: float | None
    damp: float | None
    reason: str = ""


def quantise(
    weights: Mapping[str, Tensor], hessian: Hessian, settings: Settings
) -> dict[str, Rounded]:
    """Quantise the matrices (N, K) float32 that share one input.

    Args:
        weights: The matrices by name.
        hessian: Of their input; it is used up.
        settings: How.

    Raises:
        ValueError: the group does not divide K.
        ArithmeticError: an input was not finite.
    """
    h = hessian.take()
    activity = h.diagonal().clone()
    mean = float(activity.mean())
    if not torch.isfinite(activity).all():
        raise ArithmeticError("an input is not finite")
    if mean <= 0:
        return _rounded(weights, settings, "no token reached it")
    targets = asymmetric_targets(weights, hessian, h, settings.ridge)
    order = activation_order(activity)
    h = h[order[:, None], order[None, :]]
    scarce = SCARCITY * len(activity) / max(hessian.tokens, 1)
    factor, damp = factorise(h, settings.damp + scarce)
    del h
    if factor is None:
        return _rounded(weights, settings, "its Hessian could not be factorised")
    return {
        name: _quantise_one(weight, targets[name], factor, damp, order, settings)
        for name, weight in weights.items()
    }


def activation_order(activity: Tensor) -> Tensor:
    """Return the columns (K,) int64 by rising activity; rounding begins with the last."""
    return torch.argsort(activity, stable=True)


def factorise(h: Tensor, damp: float) -> tuple[Tensor | None, float]:
    """Return lower L with L Lᵀ = H + damp * mean(diag H), and the damping that it took.

    H's diagonal is left as it was. L is None where even the largest damping does not help.
    """
    diagonal = h.diagonal().clone()
    mean = diagonal.mean()
    for _ in range(DAMP_STEPS):
        h.diagonal().copy_(diagonal + damp * mean)
        factor, info = torch.linalg.cholesky_ex(h)
        if not int(info) and bool(torch.isfinite(factor.diagonal()).all()):
            h.diagonal().copy_(diagonal)
            return factor, damp
        damp *= DAMP_STEP
    h.diagonal().copy_(diagonal)
    return None, damp


def asymmetric_targets(
    weights: Mapping[str, Tensor], hessian: Hessian, h: Tensor, ridge: float
) -> dict[str, Tensor]:
    """Return W* for each W; W itself where the float stream was not kept or H cannot be solved."""
    crosses = {name: hessian.cross(weight) for name, weight in weights.items()}
    hessian.drop_cross()
    if any(cross is None for cross in crosses.values()):
        return dict(weights)
    factor, _ = factorise(h, ridge)
    if factor is None:
        return dict(weights)
    targets = {}
    for name, weight in weights.items():
        cross = crosses.pop(name)
        assert cross is not None
        # `torch.cholesky_solve` would copy the factor, which is as large as a layer.
        for start in range(0, len(weight), ROWS):
            part = slice(start, start + ROWS)
            solved = torch.linalg.solve_triangular(factor, cross[part].T, upper=False)
            solved = torch.linalg.solve_triangular(factor.T, solved, upper=True)
            cross[part] = weight[part] + solved.T
        targets[name] = cross
    return targets


def round_columns(
    target: Tensor, scales: Tensor, factor: Tensor, order: Tensor, bits: int
) -> tuple[Tensor, Tensor]:
    """Round every column, most active first, making up for the errors on the way.

    Args:
        target: (N, K) float32.
        scales: (N, K / group) float32.
        factor: (K, K) lower, of H in `order`.
        order: (K,) int64, the columns by rising activity.
        bits: 4 or 8.

    Returns:
        Codes (N, K) int8, and each row's error (N,): its share of tr((W - Q) H (W - Q)ᵀ).
    """
    codes = torch.empty(target.shape, dtype=torch.int8, device=target.device)
    losses = torch.empty(len(target), device=target.device)
    for start in range(0, len(target), ROWS):
        part = slice(start, start + ROWS)
        codes[part], losses[part] = _round_rows(target[part], scales[part], factor, order, bits)
    return codes, losses


def _round_rows(
    target: Tensor, scales: Tensor, factor: Tensor, order: Tensor, bits: int
) -> tuple[Tensor, Tensor]:
    """Do `round_columns` for few enough rows; inputs lie along the first axis, for speed."""
    columns, top = target.shape[1], 2 ** (bits - 1)
    w = target[:, order].T.contiguous()  # (K, rows)
    group_of = order // (columns // scales.shape[1])
    scale_rows = scales.T.contiguous()
    errors = torch.empty_like(w)
    codes = torch.empty(w.shape, dtype=torch.int8, device=w.device)
    loss = torch.zeros(w.shape[1], device=w.device)
    diagonal = factor.diagonal()
    for end in range(columns, 0, -BLOCK):
        begin = max(end - BLOCK, 0)
        unit = factor[begin:, begin:end] / diagonal[begin:end]  # of ones on its diagonal
        made_up = torch.addmm(w[begin:end], unit[end - begin :].T, errors[end:])
        scale = scale_rows[group_of[begin:end]]
        for stop in range(end, begin, -INNER_BLOCK):
            start = max(stop - INNER_BLOCK, begin)
            for k in range(stop - 1, start - 1, -1):
                at = k - begin
                step = scale[at]
                code = (made_up[at] / step).round_().clamp_(-top, top - 1)
                codes[k] = code
                code.mul_(step)
                torch.sub(w[k], code, out=errors[k])
                made_up[start - begin : at].addr_(unit[at, start - begin : at], errors[k])
                made_up[at].sub_(code)  # what is left of it: this column's share of the error
            left = slice(0, start - begin)
            inner = slice(start - begin, stop - begin)
            made_up[left].addmm_(unit[inner, left].T, errors[start:stop])
        loss += made_up.mul_(diagonal[begin:end, None]).square_().sum(0)
    unsorted = torch.empty_like(codes)
    unsorted[order] = codes
    return unsorted.T, loss


def _quantise_one(
    weight: Tensor,
    target: Tensor,
    factor: Tensor,
    damp: float,
    order: Tensor,
    settings: Settings,
) -> Rounded:
    group = weight.shape[1] if settings.group == -1 else settings.group
    cost = torch.empty_like(factor.diagonal())
    cost[order] = factor.diagonal().square()
    scales = search_scales(target, cost, group, settings.bits)
    codes, losses = round_columns(target, scales, factor, order, settings.bits)
    some = slice(None, None, -(-len(weight) // SAMPLED_ROWS))
    energy = float((weight[some][:, order] @ factor).square().sum()) or 1.0
    error = float(losses[some].sum()) / energy
    nearest = round_to_nearest(weight[some], group, settings.bits)
    left = (target[some] - dequantise(nearest))[:, order] @ factor
    rounding_error = float(left.square().sum()) / energy
    if not error <= rounding_error:
        nearest = round_to_nearest(weight, group, settings.bits)
        return Rounded(nearest, rounding_error, rounding_error, None, "GPTQ did not do better")
    quantised = Quantised(codes, scales, settings.bits)
    return Rounded(quantised, error, rounding_error, damp)


def _rounded(weights: Mapping[str, Tensor], settings: Settings, reason: str) -> dict[str, Rounded]:
    return {name: round_plainly(weight, settings, reason) for name, weight in weights.items()}


def round_plainly(weight: Tensor, settings: Settings, reason: str) -> Rounded:
    """Round a matrix (N, K) to nearest, which costs nobody knows what, and say why."""
    group = weight.shape[1] if settings.group == -1 else settings.group
    return Rounded(round_to_nearest(weight, group, settings.bits), None, None, None, reason)
