"""Integer layouts of the two graph flavours and of GPTQ checkpoints, and back.

MatMulNBits (ONNX Runtime, operator of com.microsoft) stores unsigned codes row by row of the
output axis in blocks of one group; DequantizeLinear (standard ONNX, TensorRT) stores signed codes
of the transposed matrix in plain order; GPTQ checkpoints (AutoGPTQ, GPTQModel) store unsigned
codes of the transposed matrix in words of 32 bits, eight rows in one. All put the first of the
numbers that share a byte or a word in the lowest bits.
"""

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8]
Bytes = NDArray[np.uint8]
Words = NDArray[np.int32]

WORD_BITS = 32


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


def zeros_to_matmul_nbits(zeros: Codes, bits: int) -> Bytes:
    """Pack signed zero points (N, G) for MatMulNBits: (N, ceil(G * bits / 8)) uint8."""
    unsigned: Bytes = (zeros.astype(np.int16) + 2 ** (bits - 1)).astype(np.uint8)
    if bits == 8:
        return unsigned
    return _pair(np.pad(unsigned, ((0, 0), (0, unsigned.shape[1] % 2))))


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


def to_gptq_weight(codes: Codes, bits: int) -> Words:
    """Pack codes (N, K) as a GPTQ checkpoint's `qweight`: (K * bits / 32, N) int32.

    Raises:
        ValueError: K does not fill whole words.
    """
    per_word = WORD_BITS // bits
    if codes.shape[1] % per_word:
        raise ValueError(f"{codes.shape[1]} inputs do not fill words of {per_word}")
    return _to_words(codes.T, bits)


def from_gptq_weight(qweight: Words, bits: int) -> Codes:
    """Undo `to_gptq_weight`: returns (N, K) signed codes."""
    return np.ascontiguousarray(_from_words(qweight, bits).T)


def to_gptq_zeros(zeros: Codes, bits: int) -> Words:
    """Pack signed zero points (N, G) as `qzeros` of the first format: (G, N * bits / 32) int32.

    That format holds each zero point less one, taken from whole words as its other readers and
    writers do. N that does not fill the last word is padded.
    """
    per_word = WORD_BITS // bits
    padding = -len(zeros) % per_word
    words = _to_words(np.pad(zeros, ((0, padding), (0, 0))), bits)
    return np.ascontiguousarray((words.view(np.uint32) - _ones(bits)).view(np.int32).T)


def from_gptq_zeros(qzeros: Words, rows: int, bits: int, minus_one: bool = True) -> Codes:
    """Undo `to_gptq_zeros`.

    Args:
        qzeros: (G, N * bits / 32) int32.
        rows: N.
        bits: 4 or 8.
        minus_one: Whether one is taken off, as `checkpoint_format` "gptq" has it; "gptq_v2" not.

    Returns:
        (N, G) signed zero points.
    """
    words = np.ascontiguousarray(qzeros.T).view(np.uint32)
    words = words + _ones(bits) if minus_one else words
    return _from_words(words.view(np.int32), bits)[:rows]


def _ones(bits: int) -> np.uint32:
    """Return the word that holds a one in each of its places."""
    return np.uint32(sum(1 << at for at in range(0, WORD_BITS, bits)))


def _to_words(codes: Codes, bits: int) -> Words:
    """Pack signed (n, m) along the first axis as unsigned: (n * bits / 32, m) int32."""
    per_word = WORD_BITS // bits
    top = 2 ** (bits - 1)
    words = np.zeros((len(codes) // per_word, codes.shape[1]), np.uint32)
    for place in range(per_word):
        unsigned = (codes[place::per_word].astype(np.int16) + top).astype(np.uint32)
        words |= unsigned << np.uint32(bits * place)
    return words.view(np.int32)


def _from_words(words: Words, bits: int) -> Codes:
    """Undo `_to_words`."""
    per_word = WORD_BITS // bits
    unsigned = np.ascontiguousarray(words).view(np.uint32)
    codes = np.empty((len(words) * per_word, words.shape[1]), np.int8)
    for place in range(per_word):
        part = (unsigned >> np.uint32(bits * place)) & np.uint32(2**bits - 1)
        codes[place::per_word] = part.astype(np.int16) - 2 ** (bits - 1)
    return codes


def _pair(nibbles: Bytes) -> Bytes:
    high = np.left_shift(nibbles[..., 1::2], 4, dtype=np.uint8)
    return nibbles[..., 0::2] | high


def _unpair(packed: Bytes) -> Bytes:
    both: Bytes = np.stack([packed & 0xF, packed >> 4], axis=-1)
    return both.reshape(*packed.shape[:-1], -1)
