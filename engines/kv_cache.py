"""The decoder's cache: pre-allocated keys and values, and what stands at each position.

Plain arrays, or what a backend gives in their stead; the backend writes into them. Knows no model
and no text.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]
# (arrays so far, positions of them that are kept, positions needed, more that would be good) →
# larger arrays.
Grow = Callable[[Sequence[Any], int, int, int], list[Any]]

_ALIGNMENT = 64


class KvCache:
    """Keys and values of every layer for one conversation.

    Attributes:
        arrays: key and value of each layer in turn, (1, kv_heads, capacity, head_dim); a new list
            when the capacity grows, the same arrays rewritten in place otherwise. On a GPU,
            objects with such a `shape` and `nbytes`.
        keys: (length,) int64, what stands at each position: a token id, or a negative number that
            belongs to one position of one clip (see `media_keys`).
    """

    def __init__(
        self,
        layers: int,
        kv_heads: int,
        head_dim: int,
        dtype: np.dtype[Any],
        limit: int,
        grow: Grow | None = None,
    ) -> None:
        self.limit = limit
        self._grow = grow or grow_arrays
        shape = (1, kv_heads, 0, head_dim)
        self.arrays: list[Any] = [np.zeros(shape, dtype) for _ in range(2 * layers)]
        self._keys: Keys = np.zeros(0, np.int64)
        self.length = 0

    @property
    def capacity(self) -> int:
        """Positions that fit without growing."""
        return int(self.arrays[0].shape[2])

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values, used or not."""
        return sum(array.nbytes for array in self.arrays)

    @property
    def keys(self) -> Keys:
        """What stands at each cached position (length,)."""
        return self._keys[: self.length]

    def reserve(self, positions: int) -> None:
        """Makes room for that many positions in all, keeping what is cached.

        Grows at least twofold, so that a long conversation is copied a few times and not at every
        turn; memory that was never written costs nothing where the system gives it out lazily.
        """
        if positions <= self.capacity:
            return
        wanted = min(max(positions, 2 * self.capacity), max(self.limit, positions))
        capacity = -(-wanted // _ALIGNMENT) * _ALIGNMENT
        grown = self._grow(self.arrays, self.length, positions, capacity)
        keys = np.zeros(grown[0].shape[2], np.int64)
        keys[: self.length] = self.keys
        self.arrays, self._keys = grown, keys

    def appended(self, keys: Keys) -> None:
        """Records that the decoder has just written positions holding these keys."""
        self._keys[self.length : self.length + len(keys)] = keys
        self.length += len(keys)

    def trim(self, length: int) -> None:
        """Forgets every position from `length` on."""
        self.length = min(self.length, length)

    def common_prefix(self, keys: Keys) -> int:
        """How many leading positions of a prompt (its keys) are already cached."""
        n = min(self.length, len(keys))
        different = np.flatnonzero(self._keys[:n] != keys[:n])
        return int(different[0]) if different.size else n


def grow_arrays(
    arrays: Sequence[NDArray[Any]], used: int, needed: int, wanted: int
) -> list[NDArray[Any]]:
    """Larger NumPy arrays with the contents of smaller ones (see `Grow`)."""
    grown = []
    for array in arrays:
        _, heads, _, width = array.shape
        larger = np.zeros((1, heads, max(needed, wanted), width), array.dtype)
        larger[:, :, :used] = array[:, :, :used]
        grown.append(larger)
    return grown


def media_keys(clip: str, count: int) -> Keys:
    """Keys for the positions of a clip's tokens.

    Args:
        clip: hexadecimal digest that stands for the encoder results (42 bits of it are used).
        count: number of positions, below 2**20.

    Returns:
        (count,) int64, all negative, different for another clip or another position.
    """
    base = (int(clip[:16], 16) % (1 << 42)) << 20
    return -(base + 1 + np.arange(count, dtype=np.int64))
