import pytest
import torch

from quant.grid import (
    MIN_SCALE,
    Quantised,
    dequantise,
    group_scales,
    round_to_grid,
    round_to_nearest,
    with_group,
)


def test_a_matrix_worked_by_hand() -> None:
    # First group: the top of the grid is 7, so 7.0 asks for scale 1; -8 would be reached by -8.
    # Second group: -4 reaches -8 at scale 0.5, while 3.5 alone would ask for 0.5 as well.
    weight = torch.tensor([[7.0, -8.0, 0.4, 2.6, -4.0, 3.5, 0.2, -0.3]])
    result = round_to_nearest(weight, group=4)
    assert result.scales.tolist() == [[1.0, 0.5]]
    assert result.codes.tolist() == [[7, -8, 0, 3, -8, 7, 0, -1]]
    assert dequantise(result).tolist() == [[7.0, -8.0, 0.0, 3.0, -4.0, 3.5, 0.0, -0.5]]
    assert result.group == 4


@pytest.mark.parametrize("bits", [4, 8])
def test_rounding_is_off_by_half_a_step_at_most(bits: int) -> None:
    weight = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))
    result = round_to_nearest(weight, 32, bits)
    step = result.scales.repeat_interleave(32, dim=1)
    assert ((dequantise(result) - weight).abs() <= step * 0.5000001).all()
    assert result.codes.min() >= -(2 ** (bits - 1))
    assert result.codes.max() <= 2 ** (bits - 1) - 1


def test_scales_are_float16_values_that_clip_nothing() -> None:
    weight = torch.randn(32, 32, generator=torch.Generator().manual_seed(1))
    scales = group_scales(weight, 16, bits=4)
    assert torch.equal(scales, scales.half().float())
    grouped = weight.reshape(32, 2, 16)
    assert (grouped.amax(-1) <= 7 * scales).all()
    assert (grouped.amin(-1) >= -8 * scales).all()


def test_a_group_of_zeros_has_a_harmless_scale() -> None:
    result = round_to_nearest(torch.zeros(2, 16), 16)
    assert result.scales.tolist() == [[MIN_SCALE], [MIN_SCALE]]
    assert not result.codes.any()


def test_values_beyond_float16_are_clipped_not_infinite() -> None:
    scales = group_scales(torch.full((1, 16), 1e9), 16, bits=4)
    assert torch.isfinite(scales).all()
    assert round_to_grid(torch.full((1, 16), 1e9), scales, 4).unique().tolist() == [7]


def test_a_group_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="group 32 does not divide 48"):
        round_to_nearest(torch.zeros(2, 48), 32)


def test_dequantise_is_codes_times_scales() -> None:
    codes = torch.tensor([[1, -2, 3, 4]], dtype=torch.int8)
    result = dequantise(Quantised(codes, torch.tensor([[2.0, 0.5]]), 4))
    assert result.tolist() == [[2.0, -4.0, 1.5, 2.0]]


def test_zero_points_and_order_worked_by_hand() -> None:
    # Columns 0 and 1 of the codes belong to inputs 2 and 0, and so on; zero points 1 and -1.
    codes = torch.tensor([[1, 2, 3, -4]], dtype=torch.int8)
    zeros = torch.tensor([[1, -1]], dtype=torch.int8)
    order = torch.tensor([2, 0, 3, 1])
    result = Quantised(codes, torch.tensor([[2.0, 0.5]]), 4, zeros, order)
    assert dequantise(result).tolist() == [[2.0, -1.5, 0.0, 2.0]]
    assert not result.plain


def test_smaller_groups_repeat_the_scales() -> None:
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(2))
    whole = round_to_nearest(weight, 64)
    parts = with_group(whole, 16)
    assert parts.scales.shape == (4, 4)
    assert torch.equal(dequantise(parts), dequantise(whole))
    with pytest.raises(ValueError, match="group 48 does not divide"):
        with_group(whole, 48)
