"""Packets on a pipe between two processes: a line of JSON, then arrays as raw bytes.

Nothing is pickled, and everything is bounded: what arrives is data, whoever wrote it. A line is
ASCII, so that any text and any file's name crosses as it is.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAX_LINE_BYTES = 16 << 20
MAX_ARRAY_BYTES = 256 << 20
MAX_AXES = 4
# More than the frames of any live stretch. Without it a line of nothing but empty arrays would be
# a million of them.
MAX_ARRAYS = 4096
# The first line of a writer that follows other output: whatever stands before it is passed over.
GREETING = b'{"vl2-wire": 1}\n'
MAX_NOISE_BYTES = 1 << 20
_DTYPES = {"uint8": np.uint8, "float32": np.float32, "float64": np.float64}


class WireError(ValueError):
    """What came is no packet, or what was to be sent is too large for one; the message says so."""


@dataclass(frozen=True, eq=False)
class Packet:
    """A JSON object and arrays, uint8, float32 or float64, that belong to it."""

    head: dict[str, Any]
    arrays: tuple[NDArray[Any], ...] = ()


def to_bytes(head: dict[str, Any], arrays: Sequence[NDArray[Any]] = ()) -> bytes:
    """A packet as it is written.

    Raises:
        WireError: it is too large, or an array is of another dtype.
    """
    shapes = [[array.dtype.name, list(array.shape)] for array in arrays]
    line = json.dumps({"head": head, "arrays": shapes}).encode("ascii") + b"\n"
    too_many = len(arrays) > MAX_ARRAYS or sum(a.nbytes for a in arrays) > MAX_ARRAY_BYTES
    if len(line) > MAX_LINE_BYTES or too_many:
        raise WireError("the packet is too large")
    if any(array.dtype.name not in _DTYPES for array in arrays):
        raise WireError("an array is of no type that can be sent")
    return b"".join([line, *(array.tobytes() for array in arrays)])


def write(stream: BinaryIO, packet: Packet) -> None:
    """Write a packet and flush.

    Raises:
        WireError: it is too large, or an array is of another dtype.
        OSError: the other end is gone.
    """
    stream.write(to_bytes(packet.head, packet.arrays))
    stream.flush()


def read(stream: BinaryIO) -> Packet | None:
    """The next packet of a blocking, buffered stream, or None at its end.

    Raises:
        WireError: what came is no packet.
    """
    line = stream.readline(MAX_LINE_BYTES + 1)
    if not line:
        return None
    if not line.endswith(b"\n"):
        raise WireError("a line has no end")
    try:
        packet = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WireError("a line is not JSON") from error
    if not (isinstance(packet, dict) and isinstance(packet.get("head"), dict)):
        raise WireError("a line is no packet")
    listed = _list(packet.get("arrays"))
    if len(listed) > MAX_ARRAYS:
        raise WireError("a packet holds too many arrays")
    shapes = [_shape(item) for item in listed]
    if sum(dtype.itemsize * math.prod(shape) for dtype, shape in shapes) > MAX_ARRAY_BYTES:
        raise WireError("an array is too large")
    return Packet(packet["head"], tuple(_read_array(stream, *shape) for shape in shapes))


def skip_noise(stream: BinaryIO) -> None:
    """Passes over whatever stands before the greeting.

    Raises:
        WireError: there is too much of it, or the stream ends.
    """
    skipped = 0
    while skipped <= MAX_NOISE_BYTES:
        line = stream.readline(MAX_NOISE_BYTES)
        if line.endswith(GREETING):  # Noise without a line's end may stand in front of it.
            return
        if not line:
            raise WireError("the stream ended before it began")
        skipped += len(line)
    raise WireError("the stream holds something else")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise WireError("a line is no packet")
    return value


def _shape(item: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    match item:
        case [str(dtype), list(shape)] if dtype in _DTYPES and len(shape) <= MAX_AXES:
            if all(type(size) is int and 0 <= size <= MAX_ARRAY_BYTES for size in shape):
                return np.dtype(_DTYPES[dtype]), tuple(shape)
    raise WireError("a packet holds an array of no known form")


def _read_array(stream: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    wanted = dtype.itemsize * math.prod(shape)
    content = stream.read(wanted)
    if len(content) < wanted:
        raise WireError("the stream ended in the middle of an array")
    return np.frombuffer(content, dtype).reshape(shape)
