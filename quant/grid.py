"""The grid a weight is rounded to: integers times one positive scale per group.

Groups lie along the input axis, as every int4 kernel wants them. Scales are float16 values (kept
in float32) so that each graph flavour, whatever type it stores them in, holds the same number.
What we make is symmetric and in order; a matrix that another program made may have zero points,
and its columns sorted by group.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# The smallest scale written: float16's smallest normal number, because kernels flush below it.
MIN_SCALE = 2.0**-14
MAX_SCALE = 65504.0
# Numbers that are rounded at a time.
BLOCK_NUMBERS = 1 << 24


@dataclass(frozen=True)
class Quantised:
    """A weight matrix on a grid: `weight[n, k] = (codes[n, k] - zero) * scales[n, k // group]`.

    Attributes:
        codes: (N, K) int8, from -2**(bits-1) to 2**(bits-1) - 1.
        scales: (N, K / group) float32, positive, each one a float16 value.
        bits: 4 or 8.
        zeros: (N, K / group) int8, in the range of the codes; None is 0 everywhere.
        order: (K,) int64, the input that column k of `codes` belongs to; None is k.
    """

    codes: Tensor
    scales: Tensor
    bits: int
    zeros: Tensor | None = None
    order: Tensor | None = None

    @property
    def group(self) -> int:
        """Weights that share a scale."""
        return self.codes.shape[1] // self.scales.shape[1]

    @property
    def plain(self) -> bool:
        """Whether it is symmetric and in order, the one form that every runtime takes."""
        return self.zeros is None and self.order is None


def group_scales(weight: Tensor, group: int, bits: int) -> Tensor:
    """Return the least scales that clip nothing: weight (N, K) to (N, K / group) float32.

    The grid reaches one step further down than up, so each sign asks for its own scale and the
    larger of the two is taken.

    Raises:
        ValueError: `group` does not divide K.
    """
    rows, columns = weight.shape
    if columns % group:
        raise ValueError(f"group {group} does not divide {columns} inputs")
    top = 2 ** (bits - 1)
    grouped = weight.reshape(rows, columns // group, group)
    scale = torch.maximum(grouped.amax(-1).float() / (top - 1), -grouped.amin(-1).float() / top)
    return to_float16_grid(scale)


def to_float16_grid(scale: Tensor) -> Tensor:
    """Round positive scales to float16 values, upwards where rounding down would clip; float32."""
    scale = scale.clamp(MIN_SCALE, MAX_SCALE)
    rounded = scale.half()
    short = rounded.float() < scale
    up = torch.nextafter(rounded, torch.full_like(rounded, MAX_SCALE))
    return torch.where(short, up, rounded).float()


def round_to_grid(weight: Tensor, scales: Tensor, bits: int) -> Tensor:
    """Return the nearest codes: weight (N, K) and scales (N, K / group) to (N, K) int8."""
    top = 2 ** (bits - 1)
    group = weight.shape[1] // scales.shape[1]
    codes = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    for part in row_blocks(weight):
        grouped = weight[part].float().reshape(-1, scales.shape[1], group)
        steps = (grouped / scales[part, :, None]).round_().clamp_(-top, top - 1)
        codes[part] = steps.flatten(1).to(torch.int8)
    return codes


def round_to_nearest(weight: Tensor, group: int, bits: int = 4) -> Quantised:
    """Quantise a matrix without data.

    Args:
        weight: (N, K) of any float dtype, output rows by input columns.
        group: Input columns that share a scale.
        bits: 4 or 8.

    Raises:
        ValueError: `group` does not divide K.
    """
    scales = group_scales(weight, group, bits)
    return Quantised(round_to_grid(weight, scales, bits), scales, bits)


def dequantise(quantised: Quantised, out: Tensor | None = None) -> Tensor:
    """Return the (N, K) float32 weight that the codes stand for, in `out` if that is given."""
    codes, scales, zeros = quantised.codes, quantised.scales, quantised.zeros
    out = torch.empty(codes.shape, device=codes.device) if out is None else out
    for part in row_blocks(codes):
        grouped = codes[part].float().reshape(-1, scales.shape[1], quantised.group)
        if zeros is not None:
            grouped -= zeros[part, :, None]
        values = (grouped * scales[part, :, None]).flatten(1)
        if quantised.order is None:
            out[part] = values
        else:
            out[part, quantised.order] = values
    return out


def with_group(quantised: Quantised, group: int) -> Quantised:
    """Return the same matrix in smaller groups, by repeating scales and zero points.

    Raises:
        ValueError: `group` does not divide the group it has.
    """
    if quantised.group % group:
        raise ValueError(f"group {group} does not divide a group of {quantised.group}")
    times = quantised.group // group
    zeros = quantised.zeros
    return dataclasses.replace(
        quantised,
        scales=quantised.scales.repeat_interleave(times, 1),
        zeros=None if zeros is None else zeros.repeat_interleave(times, 1),
    )


def row_blocks(matrix: Tensor, numbers: int = BLOCK_NUMBERS) -> Iterator[slice]:
    """Cut a matrix into blocks of rows, so that what is made on the way stays small."""
    rows = max(numbers // max(matrix.shape[1], 1), 1)
    for start in range(0, len(matrix), rows):
        yield slice(start, start + rows)
