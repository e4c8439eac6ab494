"""Integer layouts of the two graph flavours, and back.

MatMulNBits (ONNX Runtime, operator of com.microsoft) stores unsigned codes row by row of the
output axis in blocks of one group; DequantizeLinear (standard ONNX, TensorRT) stores signed codes
of the transposed matrix in plain order. Both put the first of two nibbles in the low half.
"""

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8]
Bytes = NDArray[np.uint8]


def to_matmul_nbits(codes: Codes, group: int, bits: int) -> Bytes:
    """Pack for MatMulNBits.

    Args:
        codes: (N, K) signed.
        group: Block size; divides K.
        bits: 4 or 8.

    Returns:
        (N, K / group, group * bits / 8) uint8 of codes + 2**(bits-1), the implied zero point.
    """
    rows, columns = codes.shape
    # Turning the top bit of a code adds half of its range to it, in two's complement.
    raw: Bytes = np.ascontiguousarray(codes).view(np.uint8)
    unsigned = raw ^ np.uint8(0x80) if bits == 8 else (raw & np.uint8(0xF)) ^ np.uint8(0x8)
    blocks = unsigned.reshape(rows, columns // group, group)
    return blocks if bits == 8 else _pair(blocks)


def from_matmul_nbits(packed: Bytes, bits: int) -> Codes:
    """Undo `to_matmul_nbits`: returns (N, K) signed codes."""
    blocks = packed if bits == 8 else _unpair(packed)
    codes: Codes = (blocks.astype(np.int16) - 2 ** (bits - 1)).astype(np.int8)
    return codes.reshape(len(packed), -1)


def to_dequantize_linear(codes: Codes, bits: int) -> Bytes:
    """Pack for DequantizeLinear over axis 0 of the transposed matrix.

    Args:
        codes: (N, K) signed; K * N even for 4 bits.
        bits: 4 or 8.

    Returns:
        uint8 raw data of an INT4 or INT8 tensor of shape (K, N).
    """
    flat: Bytes = np.ascontiguousarray(codes.T).reshape(-1).view(np.uint8)
    return flat if bits == 8 else _pair(flat & np.uint8(0xF))


def from_dequantize_linear(packed: Bytes, shape: tuple[int, int], bits: int) -> Codes:
    """Undo `to_dequantize_linear` for a tensor of `shape` (K, N): returns (N, K) signed codes."""
    # A nibble is shifted to the top and back down so that its sign spreads.
    flat = packed.view(np.int8) if bits == 8 else (_unpair(packed) << 4).view(np.int8) >> 4
    return np.ascontiguousarray(flat.reshape(shape).T)


def _pair(nibbles: Bytes) -> Bytes:
    high = np.left_shift(nibbles[..., 1::2], 4, dtype=np.uint8)
    return nibbles[..., 0::2] | high


def _unpair(packed: Bytes) -> Bytes:
    both: Bytes = np.stack([packed & 0xF, packed >> 4], axis=-1)
    return both.reshape(*packed.shape[:-1], -1)
