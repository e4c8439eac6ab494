import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quant.pack import (
    from_dequantize_linear,
    from_matmul_nbits,
    to_dequantize_linear,
    to_matmul_nbits,
)


@st.composite
def code_matrices(draw: st.DrawFn) -> tuple[NDArray[np.int8], int, int]:
    """Codes (N, K), their group and their bits."""
    bits = draw(st.sampled_from([4, 8]))
    group = draw(st.sampled_from([16, 32]))
    rows, groups = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**16))
    top = 2 ** (bits - 1)
    generator = np.random.default_rng(seed)
    codes = generator.integers(-top, top, (rows, groups * group), dtype=np.int8)
    return codes, group, bits


@settings(deadline=None, max_examples=50)
@given(code_matrices())
def test_packing_comes_back(case: tuple[NDArray[np.int8], int, int]) -> None:
    codes, group, bits = case
    rows, columns = codes.shape
    packed = to_matmul_nbits(codes, group, bits)
    assert packed.shape == (rows, columns // group, group * bits // 8)
    np.testing.assert_array_equal(from_matmul_nbits(packed, bits), codes)
    raw = to_dequantize_linear(codes, bits)
    assert raw.nbytes == codes.size * bits // 8
    np.testing.assert_array_equal(from_dequantize_linear(raw, (columns, rows), bits), codes)


def test_matmul_nbits_by_hand() -> None:
    codes = np.array([[-8, 7, 0, 1] + [0] * 12], np.int8)
    packed = to_matmul_nbits(codes, 16, 4)
    # Codes 0, 15 | 8, 9 | 8, 8 …: the first of a pair in the low nibble, zero is 8.
    assert packed.shape == (1, 1, 8)
    assert packed[0, 0, :3].tolist() == [0xF0, 0x98, 0x88]


def test_dequantize_linear_by_hand() -> None:
    codes = np.array([[1, -1], [2, -8]], np.int8)
    # Transposed to rows of the input axis: 1, 2 | -1, -8, as two's complement nibbles.
    assert to_dequantize_linear(codes, 4).tolist() == [0x21, 0x8F]


@pytest.mark.parametrize("bits", [4, 8])
def test_both_layouts_hold_the_same_integers(bits: int) -> None:
    top = 2 ** (bits - 1)
    codes = np.random.default_rng(0).integers(-top, top, (5, 32), dtype=np.int8)
    one = from_matmul_nbits(to_matmul_nbits(codes, 16, bits), bits)
    other = from_dequantize_linear(to_dequantize_linear(codes, bits), (32, 5), bits)
    np.testing.assert_array_equal(one, other)
