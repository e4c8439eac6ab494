import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quant.pack import (
    from_dequantize_linear,
    from_gptq_weight,
    from_gptq_zeros,
    from_matmul_nbits,
    to_dequantize_linear,
    to_gptq_weight,
    to_gptq_zeros,
    to_matmul_nbits,
    zeros_to_matmul_nbits,
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


@settings(max_examples=50)
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


@settings(max_examples=50)
@given(
    rows=st.integers(1, 21),
    words=st.integers(1, 9),
    bits=st.sampled_from([4, 8]),
    second=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_gptq_layout_comes_back(rows: int, words: int, bits: int, second: bool, seed: int) -> None:
    generator, top = np.random.default_rng(seed), 2 ** (bits - 1)
    codes = generator.integers(-top, top, (rows, words * 32 // bits), dtype=np.int8)
    packed = to_gptq_weight(codes, bits)
    assert packed.shape == (words, rows)
    np.testing.assert_array_equal(from_gptq_weight(packed, bits), codes)
    # Zero points may be the least there is: the one taken off is then borrowed from the next.
    zeros = generator.integers(-top, top, (rows, words), dtype=np.int8)
    stored = to_gptq_zeros(zeros, bits)
    assert stored.shape == (words, -(-rows * bits // 32))
    if second:
        ones = np.uint32(0x11111111 if bits == 4 else 0x01010101)
        stored = (stored.view(np.uint32) + ones).view(np.int32)
    found = from_gptq_zeros(stored, rows, bits, minus_one=not second)
    np.testing.assert_array_equal(found, zeros)


def test_gptq_layout_by_hand() -> None:
    # Eight inputs of one output: codes 0 to 6 and 15 less 8, the first in the lowest bits.
    codes = np.array([[-8, -7, -6, -5, -4, -3, -2, 7]], np.int8)
    assert to_gptq_weight(codes, 4).view(np.uint32).tolist() == [[0xF6543210]]
    # The zero point of a symmetric matrix is 8, written as 7; rows 3 to 7 of the word are padding.
    zeros = np.zeros((8, 2), np.int8)
    assert to_gptq_zeros(zeros, 4).view(np.uint32).tolist() == [[0x77777777], [0x77777777]]
    assert to_gptq_zeros(zeros[:3], 4).shape == (2, 1)


def test_gptq_weights_must_fill_their_words() -> None:
    with pytest.raises(ValueError, match="12 inputs do not fill words of 8"):
        to_gptq_weight(np.zeros((3, 12), np.int8), 4)


def test_zero_points_of_matmul_nbits_by_hand() -> None:
    # Zero points 8, 9, 0 of three groups: two in the first byte, the odd one alone.
    zeros = np.array([[0, 1, -8]], np.int8)
    assert zeros_to_matmul_nbits(zeros, 4).tolist() == [[0x98, 0x00]]
    assert zeros_to_matmul_nbits(zeros, 8).tolist() == [[128, 129, 120]]


@pytest.mark.parametrize("bits", [4, 8])
def test_every_layout_holds_the_same_integers(bits: int) -> None:
    top = 2 ** (bits - 1)
    codes = np.random.default_rng(0).integers(-top, top, (5, 32), dtype=np.int8)
    found = from_gptq_weight(to_gptq_weight(codes, bits), bits)
    one = from_matmul_nbits(to_matmul_nbits(found, 16, bits), bits)
    other = from_dequantize_linear(to_dequantize_linear(found, bits), (32, 5), bits)
    np.testing.assert_array_equal(one, codes)
    np.testing.assert_array_equal(other, codes)
