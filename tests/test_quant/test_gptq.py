"""GPTQ against the paper's own form, and on matrices small enough to work by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from quant.gptq import (
    Settings,
    activation_order,
    asymmetric_targets,
    factorise,
    quantise,
    round_columns,
)
from quant.grid import Quantised, dequantise, round_to_nearest
from quant.hessian import Hessian
from quant.scales import search_scales


def inputs(count: int, columns: int, seed: int = 0) -> Tensor:
    """Inputs whose columns go together, a few of them much louder than the rest."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(columns, columns, generator=generator) / columns**0.5
    x = torch.randn(count, columns, generator=generator) @ mix
    x[:, ::7] *= 4
    return x


def matrix(rows: int, columns: int, seed: int = 1) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 0.05


def hessian_of(x: Tensor, x_float: Tensor | None = None) -> Hessian:
    hessian = Hessian(x.shape[1], asymmetric=x_float is not None)
    hessian.add(x, torch.ones(len(x)), x_float)
    return hessian


def as_in_the_paper(w: Tensor, h: Tensor, scales: Tensor, order: Tensor, damp: float) -> Tensor:
    """Codes by the inverse's Cholesky factor and right-looking updates, in float64."""
    w, h, columns = w.double().clone(), h.double().clone(), w.shape[1]
    h.diagonal().add_(damp * h.diagonal().mean())
    order = order.flip(0)
    w, h = w[:, order], h[order][:, order]
    upper = torch.linalg.cholesky(torch.linalg.inv(h), upper=True)
    codes = torch.empty_like(w)
    for k in range(columns):
        scale = scales[:, order[k] // (columns // scales.shape[1])].double()
        codes[:, k] = (w[:, k] / scale).round().clamp(-8, 7)
        error = (w[:, k] - codes[:, k] * scale) / upper[k, k]
        w[:, k:] -= error[:, None] * upper[k, k:]
    unsorted = torch.empty_like(codes)
    unsorted[:, order] = codes
    return unsorted.to(torch.int8)


@settings(max_examples=25)
@given(
    rows=st.integers(1, 20),
    groups=st.integers(1, 5),
    group=st.sampled_from([3, 16, 64]),
    seed=st.integers(0, 2**16),
    sign=st.sampled_from([1, -1]),
)
def test_codes_and_error_are_those_of_the_paper(
    rows: int, groups: int, group: int, seed: int, sign: int
) -> None:
    columns = group * groups
    w, x = sign * matrix(rows, columns, seed), inputs(2 * columns, columns, seed)
    h = hessian_of(x).take()
    order = activation_order(h.diagonal())
    scales = search_scales(w, h.diagonal(), group, 4)
    factor, damp = factorise(h[order][:, order], 0.01)
    assert factor is not None
    codes, losses = round_columns(w, scales, factor, order, 4)
    slow = as_in_the_paper(w, h, scales, order, damp)
    # A number that lies between two codes to the last digit may fall to either side, and the rest
    # of its row goes with it.
    assert (codes != slow).any(1).sum() <= 1
    left = (w - dequantise(Quantised(codes, scales, 4))).double()
    h.diagonal().add_(damp * h.diagonal().mean())
    torch.testing.assert_close(
        losses, ((left @ h.double()) * left).sum(-1).float(), rtol=1e-3, atol=1e-9
    )


def test_two_columns_by_hand() -> None:
    # H = [[1, .5], [.5, 4]]: the second column is the more active, so it is rounded first: 1.4 to
    # 1, an error of .4. L of H is [[1, 0], [.5, sqrt 3.75]], so the first column becomes
    # .4 + .4 * .5 / 1 = .6 and is rounded to 1, where rounding to nearest would give 0.
    h = torch.tensor([[1.0, 0.5], [0.5, 4.0]])
    order = activation_order(h.diagonal())
    assert order.tolist() == [0, 1]
    factor, _ = factorise(h, 0.0)
    assert factor is not None
    target, scales = torch.tensor([[0.4, 1.4]]), torch.tensor([[1.0]])
    codes, losses = round_columns(target, scales, factor, order, 4)
    assert codes.tolist() == [[1, 1]]
    # tr((W - Q) H (W - Q)ᵀ) for (-.6, .4): .36 - 2 * .12 + 4 * .16 = .76; for (.4, .4): .96.
    assert losses.tolist() == pytest.approx([0.76])


def test_scales_by_hand() -> None:
    # Only the second input is active: the scale at which 1.6 is exact wins, though the first
    # weight, 7.5, asks for 7.5 / 7 and is then clipped or not as it falls.
    scales = search_scales(torch.tensor([[7.5, 1.6]]), torch.tensor([1e-9, 1.0]), 2, 4)
    steps = 1.6 / scales.item()
    assert steps == pytest.approx(round(steps), abs=1e-3)
    assert torch.equal(scales, scales.half().float())


def test_searched_scales_never_cost_more_than_those_that_clip_nothing() -> None:
    w, activity = matrix(32, 128), inputs(64, 128).square().mean(0)

    def cost(q: Quantised) -> float:
        return float(((dequantise(q) - w).square() * activity).sum())

    searched = search_scales(w, activity, 32, 4)
    codes = (w.reshape(32, 4, 32) / searched[..., None]).round().clamp(-8, 7).flatten(1)
    found = Quantised(codes.to(torch.int8), searched, 4)
    assert (searched > 0).all()
    assert cost(found) < 0.8 * cost(round_to_nearest(w, 32))


@pytest.mark.parametrize("group", [16, 64, -1])
def test_gptq_beats_rounding_on_the_calibration_and_beside_it(group: int) -> None:
    w, x = matrix(48, 64), inputs(600, 64)
    seen, unseen = x[:400], x[400:]
    result = quantise({"w": w}, hessian_of(seen), Settings(group))["w"]
    assert result.error is not None
    assert result.rounding_error is not None
    assert result.error < 0.7 * result.rounding_error
    q = result.quantised
    assert q.plain
    assert q.scales.shape == (48, 64 // group if group > 0 else 1)
    nearest = dequantise(round_to_nearest(w, group if group > 0 else 64))

    def off(found: Tensor) -> float:
        return float(((found - w) @ unseen.T).square().sum())

    assert off(dequantise(q)) < off(nearest)


def test_matrices_of_one_input_are_as_if_alone() -> None:
    weights = {"q": matrix(8, 32, 1), "k": matrix(4, 32, 2)}
    x = inputs(100, 32)
    together = quantise(weights, hessian_of(x), Settings(16))
    for name, weight in weights.items():
        alone = quantise({name: weight}, hessian_of(x), Settings(16))[name]
        assert torch.equal(alone.quantised.codes, together[name].quantised.codes)
        assert alone.error == together[name].error


def test_rows_are_independent_of_the_block_they_fall_into(monkeypatch: pytest.MonkeyPatch) -> None:
    w, x = matrix(40, 48), inputs(100, 48)
    whole = quantise({"w": w}, hessian_of(x), Settings(16))["w"]
    monkeypatch.setattr("quant.gptq.ROWS", 7)
    monkeypatch.setattr("quant.gptq.BLOCK", 20)
    monkeypatch.setattr("quant.gptq.INNER_BLOCK", 3)
    parts = quantise({"w": w}, hessian_of(x), Settings(16))["w"]
    assert (whole.quantised.codes == parts.quantised.codes).float().mean() > 0.99


def test_asymmetric_targets_make_up_for_what_the_input_lost() -> None:
    w, x_float = matrix(6, 24), inputs(500, 24)
    x = x_float + 0.1 * inputs(500, 24, seed=3)
    hessian = hessian_of(x, x_float)
    h = hessian.take()
    target = asymmetric_targets({"w": w}, hessian, h.clone(), 1e-7)["w"]
    best = torch.linalg.lstsq(x.double(), x_float.double() @ w.double().T).solution.T
    torch.testing.assert_close(target.double(), best, rtol=1e-3, atol=1e-5)
    # ||W X_float - Q X||² and tr((W* - Q) H (W* - Q)ᵀ) differ by the same for every Q.
    differences = []
    for q in (torch.zeros_like(w), dequantise(round_to_nearest(w, 24))):
        outputs = (x_float @ w.T - x @ q.T).square().sum()
        differences.append(float(outputs - (((target - q) @ h) * (target - q)).sum()))
    assert differences[0] == pytest.approx(differences[1], rel=1e-2)


def test_both_ways_to_sum_the_difference_agree() -> None:
    w, x_float = matrix(5, 32), inputs(80, 32)
    x, weight = x_float + 0.1 * inputs(80, 32, seed=3), torch.rand(80)
    found = []
    for through in (None, w):
        hessian = Hessian(32, asymmetric=True, through=through)
        hessian.add(x[:50], weight[:50], x_float[:50])
        hessian.add(x[50:], weight[50:], x_float[50:])
        found.append(hessian.cross(w))
    assert found[0] is not None
    assert found[1] is not None
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_what_the_residual_stream_lacks_is_made_up_for() -> None:
    # It lacks x Mᵀ, which the matrix can give: W + M does as the float model's W beside its own.
    w, lacking, x = matrix(6, 24), matrix(6, 24, 5), inputs(500, 24)
    hessian = Hessian(24, asymmetric=True, through=w)
    for part in (slice(0, 200), slice(200, 500)):
        hessian.add(x[part], torch.ones(len(x[part])), x[part], x[part] @ lacking.T)
    target = asymmetric_targets({"w": w}, hessian, hessian.take(), 1e-7)["w"]
    torch.testing.assert_close(target, w + lacking, rtol=1e-2, atol=1e-3)


def test_few_tokens_are_damped_more() -> None:
    w = matrix(4, 32)
    for tokens, damp in ((64, 0.01 + 0.2), (1280, 0.01 + 0.01)):
        result = quantise({"w": w}, hessian_of(inputs(tokens, 32)), Settings(16))["w"]
        assert result.damp == pytest.approx(damp)


def test_scales_count_what_later_columns_cannot_make_up_for() -> None:
    # All inputs are loud together, some more: what is loud in one is made up for in another.
    w, generator = matrix(64, 96), torch.Generator().manual_seed(0)
    loudness = 3 * torch.randn(96, generator=generator)
    x = torch.randn(2000, 96, generator=generator)
    x += torch.randn(2000, 1, generator=generator) * loudness
    result = quantise({"w": w}, hessian_of(x), Settings(16))["w"]
    h = hessian_of(x).take()
    order = activation_order(h.diagonal())
    factor, _ = factorise(h[order][:, order], 0.01 + 0.4 * 96 / 2000)
    assert factor is not None
    by_activity = search_scales(w, h.diagonal(), 16, 4)
    _, losses = round_columns(w, by_activity, factor, order, 4)
    energy = float((w[:, order] @ factor).square().sum())
    assert result.error is not None
    assert result.error < 0.9 * float(losses.sum()) / energy


def test_hessian_is_the_weighted_second_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quant.hessian.BLOCK_COLUMNS", 10)
    x, weight = inputs(60, 32), torch.rand(60)
    weight[::5] = 0
    hessian = Hessian(32)
    hessian.add(x[:33], weight[:33])
    hessian.add(x[33:], weight[33:])
    torch.testing.assert_close(hessian.take(), x.T @ (x * weight[:, None]), rtol=1e-4, atol=1e-4)
    assert hessian.tokens == 48


def test_damping_rises_until_it_helps() -> None:
    # Not positive: one of its eigenvalues is -.05 of the mean of its diagonal.
    h = torch.tensor([[1.0, 1.05], [1.05, 1.0]])
    before = h.clone()
    factor, damp = factorise(h, 0.01)
    assert factor is not None
    assert damp == pytest.approx(0.1)
    torch.testing.assert_close(factor @ factor.T, before + 0.1 * torch.eye(2))
    assert torch.equal(h, before)
    hopeless, _ = factorise(torch.tensor([[1.0, 1e6], [1e6, 1.0]]), 0.01)
    assert hopeless is None


def test_a_singular_hessian_is_damped() -> None:
    w = matrix(4, 32)
    result = quantise({"w": w}, hessian_of(inputs(3, 32)), Settings(16))["w"]
    assert result.damp is not None
    assert result.reason == ""
    assert torch.isfinite(dequantise(result.quantised)).all()


def test_an_input_that_never_came_keeps_its_weight() -> None:
    w, x = matrix(8, 32), inputs(200, 32)
    x[:, 5] = 0
    found = dequantise(quantise({"w": w}, hessian_of(x), Settings(16))["w"].quantised)
    step = found[:, :16].abs().amax(-1) / 7
    assert ((found[:, 5] - w[:, 5]).abs() <= step + 1e-3).all()


def test_nothing_seen_is_rounded_and_said() -> None:
    w = matrix(4, 32)
    result = quantise({"w": w}, Hessian(32), Settings(16))["w"]
    assert result.reason == "no token reached it"
    assert (result.damp, result.error) == (None, None)
    assert torch.equal(result.quantised.codes, round_to_nearest(w, 16).codes)


def test_a_hessian_that_cannot_be_used_is_said() -> None:
    hessian = hessian_of(inputs(10, 32))
    broken = hessian.take()
    broken[0, 1] = broken[1, 0] = 1e9
    hessian._h = broken
    result = quantise({"w": matrix(4, 32)}, hessian, Settings(16))["w"]
    assert result.reason == "its Hessian could not be factorised"
    with pytest.raises(ArithmeticError, match="not finite"):
        quantise({"w": matrix(4, 8)}, hessian_of(torch.full((3, 8), torch.nan)), Settings(8))


def test_a_matrix_that_lies_on_the_grid_stays() -> None:
    codes = torch.randint(-7, 8, (4, 32), generator=torch.Generator().manual_seed(0))
    codes[:, ::16] = 7
    w = codes * 0.25
    result = quantise({"w": w}, hessian_of(inputs(100, 32)), Settings(16))["w"]
    torch.testing.assert_close(dequantise(result.quantised), w)
    assert result.error == pytest.approx(0, abs=1e-9)


def test_a_group_must_divide() -> None:
    with pytest.raises(ValueError, match="group 20 does not divide 32"):
        quantise({"w": matrix(4, 32)}, hessian_of(inputs(9, 32)), Settings(20))
