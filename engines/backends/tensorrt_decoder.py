"""The compiled decoder with its cache on the GPU, where keys and values are written in place.

No token copies the cache. A run is one copy to the GPU, the engine, one copy back; nothing is bound
anew while the length and the cache stay as they are, so that the library can replay its recorded
launches.
"""

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.cuda_driver import Buffer, Device, Staging
from engines.backends.tensorrt_rtx import Session, refuse_not_finite
from engines.engine_files import build_anew, build_command
from engines.errors import DeviceError, DeviceMemoryError, EngineFileError

Array = NDArray[Any]

# Positions of arrays within one block: what the driver gives out itself is aligned so.
_ALIGNMENT = 256
# Bytes of a number in the cache.
_WIDTHS = {"float16": 2, "bfloat16": 2, "float32": 4}
# What `_Block` lays out, by type; the library reads an address without asking what lies there.
_TYPES = {
    "inputs_embeds": "float32",
    "position_ids": "int64",
    "write_indices": "int64",
    "attention_mask": "bool",
    "logits": "float32",
}


@dataclass(frozen=True)
class CacheArray:
    """Keys or values of one layer on the GPU; stands where ONNX Runtime's cache has an array.

    Attributes:
        shape: (1, kv_heads, capacity, head_dim).
        buffer: the memory.
    """

    shape: tuple[int, int, int, int]
    buffer: Buffer

    @property
    def nbytes(self) -> int:
        """Its size."""
        return self.buffer.nbytes


class DecoderSession:
    """The compiled decoder bound to a cache on the GPU (its inputs: docs/bundle-format.md)."""

    def __init__(self, session: Session) -> None:
        """Takes over an opened engine.

        Raises:
            EngineFileError: it is no decoder, or would copy its cache.
        """
        self.session = session
        entry = session.engine.entry
        self._names = [
            f"{layer}.{part}"
            for layer in range(sum(name.endswith(".key") for name in entry.outputs))
            for part in ("key", "value")
        ]
        self.layers = len(self._names) // 2
        try:
            dtype, (_, kv_heads, _, head_dim) = entry.inputs["past_key_values.0.key"]
            self._hidden = int(entry.inputs["inputs_embeds"][1][-1])
            self._vocab = int(entry.outputs["logits"][1][-1])
            self.kv_heads, self.head_dim = int(kv_heads), int(head_dim)
            self._width = _WIDTHS[dtype]
            least, _, largest = entry.profiles["attention_mask"]
            tensors = {**entry.inputs, **entry.outputs}
            fits = all(tensors[name][0] == dtype for name, dtype in _TYPES.items())
        except (KeyError, ValueError, IndexError) as error:
            raise EngineFileError(
                f"{session.path} does not have a compiled decoder's inputs and outputs;"
                f" {build_anew(session.path)}."
            ) from error
        if not fits:
            raise EngineFileError(
                f"{session.path} takes its inputs in other types than this program gives;"
                f" {build_anew(session.path)}."
            )
        for name in self._names:
            if session.engine.aliased_input(f"present.{name}") != f"past_key_values.{name}":
                raise EngineFileError(
                    f"{session.path} does not write its cache in place; {build_anew(session.path)}."
                )
        # NumPy has no bfloat16, and nothing here looks into the cache.
        self.cache_dtype: np.dtype[Any] = np.dtype("float32" if self._width == 4 else "float16")
        self.most_positions = largest[-1]
        self._least_positions, self._longest = least[-1], largest[-2]
        # The cache that is bound, by its first buffer; not held, so that its memory can go.
        self._bound: weakref.ref[Buffer] | None = None
        self._block: _Block | None = None
        self._next: Array = np.zeros(self._vocab, np.float32)

    @property
    def prefill_chunk(self) -> int:
        """Positions that are best read at once: the longest run that the engine takes."""
        return 1 << (self._longest.bit_length() - 1)

    def run(self, inputs_embeds: Array, past: int, cache: Sequence[Any]) -> Array:
        """Appends tokens to the cache and returns what comes next.

        Args:
            inputs_embeds: (1, L, H) float32.
            past: tokens already in the cache; new ones are written behind them.
            cache: what `grow` gave, for key and value of every layer in turn.

        Returns:
            Logits (vocab,) float32 after the last token: a view that the next call overwrites.

        Raises:
            DeviceMemoryError: the GPU's memory is full.
            DeviceError: the library or the GPU failed.
            Cancelled: the session was stopped.
        """
        self.session.engine.device.activate()
        if self._bound is None or self._bound() is not cache[0].buffer:
            self._bind(cache)
        length, capacity = inputs_embeds.shape[1], cache[0].shape[2]
        if past + length > capacity:
            raise DeviceError(
                f"{self.session.path.name} was to write position {past + length} of a cache of"
                f" {capacity}; report this, and use --device cpu."
            )
        for start, stop in pieces(length, self._longest):
            self.session.refuse_stopped()
            self._step(inputs_embeds[:, start:stop], past + start, capacity, stop == length)
        refuse_not_finite(self.session.path, "logits", self._next)
        return self._next

    def grow(self, arrays: Sequence[Any], used: int, needed: int, wanted: int) -> list[CacheArray]:
        """A larger cache with the contents of a smaller one (see `kv_cache.Grow`).

        Args:
            arrays: the cache so far; not read where `used` is 0.
            used: positions of it that are kept.
            needed: positions that it must hold.
            wanted: positions that it holds if there is room for them.

        Raises:
            DeviceMemoryError: the GPU has no room for both; the old one stays as it is.
            DeviceError: the engine was not built for so many positions.
        """
        if needed > self.most_positions:
            more = build_command(self.session.path, "--context", str(-(-needed // 256) * 256))
            raise DeviceError(
                f"The conversation needs {needed:,} tokens, but {self.session.path} was built for"
                f" {self.most_positions:,}; take fewer frames, or build it anew with {more}."
            )
        most, least = self.most_positions, self._least_positions
        capacities = [min(max(n, least), most) for n in (wanted, needed)]
        try:
            grown = self._allocate(capacities[0])
        except DeviceMemoryError:
            if capacities[1] >= capacities[0]:
                raise
            grown = self._allocate(capacities[1])
        device, row = self.session.engine.device, self.head_dim * self._width
        for index, array in enumerate(grown):
            # A slot that was never written is masked, but what is no number stays none.
            device.clear(array.buffer)
            for head in range(self.kv_heads) if used else ():
                old = arrays[index].buffer.address + head * arrays[index].shape[2] * row
                device.copy(array.buffer.address + head * array.shape[2] * row, old, used * row)
        device.synchronise()
        if used:
            self._bound = None
            for array in arrays:
                array.buffer.free()
        return grown

    def close(self) -> None:
        """Gives the GPU's memory back, but for caches that are still held."""
        if self._block is not None:
            self._block.free()
        self._block = self._bound = None
        self.session.close()

    def _allocate(self, capacity: int) -> list[CacheArray]:
        shape = (1, self.kv_heads, capacity, self.head_dim)
        device, nbytes = self.session.engine.device, int(np.prod(shape)) * self._width
        return [CacheArray(shape, Buffer(device, nbytes)) for _ in self._names]

    def _bind(self, cache: Sequence[CacheArray]) -> None:
        engine = self.session.engine
        for name, array in zip(self._names, cache, strict=True):
            engine.set_input(f"past_key_values.{name}", array.shape, array.buffer.address)
            engine.set_address(f"present.{name}", array.buffer.address)
        self._bound = weakref.ref(cache[0].buffer)

    def _step(self, embeds: Array, past: int, capacity: int, last: bool) -> None:
        engine, device = self.session.engine, self.session.engine.device
        block = self._block_for(embeds.shape[1], capacity)
        positions = past + np.arange(embeds.shape[1])
        block.arrays["inputs_embeds"][...] = embeds
        block.arrays["position_ids"][...] = positions
        block.arrays["write_indices"][...] = past
        np.less_equal(
            np.arange(capacity), positions[:, None], out=block.arrays["attention_mask"][0, 0]
        )
        device.upload(block.buffer.address, block.sent)
        engine.execute()
        if last:
            device.download(block.arrays["logits"], block.address("logits"))
        # The next step writes into what this one's copy reads.
        device.synchronise()
        if last:
            self._next[...] = block.arrays["logits"].reshape(-1)

    def _block_for(self, length: int, capacity: int) -> "_Block":
        block = self._block
        if block is None or block.capacity != capacity:
            if block is not None:
                self._block = None
                block.free()
            # Room for the longest run, so that it is given out once.
            device, sizes = self.session.engine.device, (self._longest, capacity)
            block = self._block = _Block(device, *sizes, self._hidden, self._vocab)
        if block.length != length:
            block.lay_out(length)
            for name in block.arrays:
                if name in self.session.engine.inputs:
                    self._set_input(block, name)
                else:
                    self.session.engine.set_address(name, block.address(name))
        return block

    def _set_input(self, block: "_Block", name: str) -> None:
        engine, array = self.session.engine, block.arrays[name]
        on_host = engine.inputs[name].on_host
        engine.set_input(name, array.shape, array.ctypes.data if on_host else block.address(name))


class _Block:
    """What one run takes and gives, side by side in one piece of memory, here and on the GPU.

    Attributes:
        length: positions that it is laid out for; `capacity` of the cache.
        arrays: the tensors, as views of page-locked memory.
        sent: the bytes that are copied to the GPU before a run: all but the logits.
        buffer: the GPU's side.
    """

    def __init__(
        self, device: Device, longest: int, capacity: int, hidden: int, vocab: int
    ) -> None:
        self.length, self.capacity = 0, capacity
        self._hidden, self._vocab = hidden, vocab
        self._offsets: dict[str, int] = {}
        nbytes = self._place(longest)
        self.buffer, self._staging = Buffer(device, nbytes), Staging(device, nbytes)
        self.arrays: dict[str, Array] = {}
        self.sent = self._staging.array[:0]

    def lay_out(self, length: int) -> None:
        """Puts the tensors of runs of that many positions next to each other."""
        self._place(length)
        self.length = length
        for name, (dtype, shape) in self._tensors(length).items():
            at, nbytes = self._offsets[name], int(np.prod(shape)) * dtype.itemsize
            self.arrays[name] = self._staging.array[at : at + nbytes].view(dtype).reshape(shape)
        self.sent = self._staging.array[: self._offsets["logits"]]

    def address(self, name: str) -> int:
        """Where a tensor lies on the GPU."""
        return self.buffer.address + self._offsets[name]

    def free(self) -> None:
        """Gives the memory back."""
        self.arrays.clear()
        self.buffer.free()
        self._staging.free()

    def _tensors(self, length: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        shapes = {
            "inputs_embeds": (1, length, self._hidden),
            "position_ids": (1, length),
            "write_indices": (1,),
            "attention_mask": (1, 1, length, self.capacity),
            "logits": (1, 1, self._vocab),
        }
        return {name: (np.dtype(_TYPES[name]), shape) for name, shape in shapes.items()}

    def _place(self, length: int) -> int:
        end = 0
        for name, (dtype, shape) in self._tensors(length).items():
            self._offsets[name] = end
            end += -(-int(np.prod(shape)) * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
        return end


def pieces(length: int, longest: int) -> Iterator[tuple[int, int]]:
    """Cuts a run of positions into powers of two, the largest first.

    The library compiles kernels for every length that it meets: this way it meets few.

    Yields:
        (start, stop) of each piece, none longer than `longest`.
    """
    start = 0
    while start < length:
        size = 1 << (min(length - start, longest).bit_length() - 1)
        yield start, start + size
        start += size
