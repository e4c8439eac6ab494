"""Engines that hand over to their ONNX graph when the GPU fails, in the middle of an answer too.

The surface is a session's and a decoder's. A full GPU, a driver that gives up, a prompt longer than
the engine was built for: the work goes on in ONNX Runtime, and what was wrong is told.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from engines.backends import tensorrt_decoder
from engines.backends.cuda_driver import Buffer
from engines.backends.onnxruntime import TensorInfo
from engines.errors import DeviceError
from engines.generate import PREFILL_CHUNK
from engines.kv_cache import grow_arrays

Array = NDArray[Any]


class AnySession(Protocol):
    """An opened graph, whatever runs it."""

    path: Path
    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]

    @property
    def providers(self) -> list[str]:
        """What runs it, as the library calls it."""

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Named arrays in, named arrays out."""

    def stop(self) -> None:
        """Ends a run that another thread is in."""

    def resume(self) -> None:
        """Takes an earlier `stop` back."""


class AnyDecoder(Protocol):
    """An opened decoder, whatever runs it."""

    layers: int
    kv_heads: int
    head_dim: int
    cache_dtype: np.dtype[Any]

    def run(self, inputs_embeds: Array, past: int, cache: Sequence[Any]) -> Array:
        """See `backends.onnxruntime.DecoderSession.run`."""

    def grow(self, arrays: Sequence[Any], used: int, needed: int, wanted: int) -> list[Any]:
        """See `kv_cache.Grow`."""


class GuardedSession:
    """An encoder on the GPU whose graph takes over elsewhere when it fails."""

    def __init__(self, session: AnySession, give_up: Callable[[DeviceError], AnySession]) -> None:
        """Takes over an opened engine, or a graph that ONNX Runtime runs there.

        Args:
            session: what runs on the GPU.
            give_up: told of the failure; gives the session that takes over.
        """
        self._session = session
        self._give_up: Callable[[DeviceError], AnySession] | None = give_up
        self._failure: DeviceError | None = None
        self.path, self.inputs, self.outputs = session.path, session.inputs, session.outputs

    @property
    def providers(self) -> list[str]:
        """What runs it now."""
        return self._session.providers

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs it, or what took over once it has failed; see there what it raises."""
        if self._failure is None:
            try:
                return self._session.run(feeds)
            except DeviceError as error:
                self._failure = _bare(error)
        if self._give_up is not None:
            self._session = self._give_up(self._failure)
            self._give_up = None  # Not before: a graph that did not open is tried again.
        return self._session.run(feeds)

    def stop(self) -> None:
        """Ends a run that another thread is in."""
        self._session.stop()

    def resume(self) -> None:
        """Takes an earlier `stop` back."""
        self._session.resume()


class GuardedDecoder:
    """The compiled decoder whose graph takes over when it fails, with all that was read so far.

    It keeps the embeddings of what is in the cache (16 kB a token for a width of 4096), so that the
    graph can read them again: the cache itself is out of reach when a GPU has failed.
    """

    def __init__(
        self,
        decoder: tensorrt_decoder.DecoderSession,
        give_up: Callable[[DeviceError], AnyDecoder],
    ) -> None:
        """Takes over an opened engine.

        Args:
            decoder: the engine.
            give_up: told of the failure; gives the graph's decoder.
        """
        self._compiled = decoder
        self._give_up = give_up
        self._plain: AnyDecoder | None = None
        self._failure: DeviceError | None = None
        self.layers, self.kv_heads, self.head_dim = (
            decoder.layers,
            decoder.kv_heads,
            decoder.head_dim,
        )
        self.cache_dtype = decoder.cache_dtype
        # By a cache's first buffer: embeddings of what it holds, and what stands in for it after
        # a failure. Neither keeps a cache alive.
        self._read: WeakKeyDictionary[Buffer, Array] = WeakKeyDictionary()
        self._stand_ins: WeakKeyDictionary[Buffer, list[Any]] = WeakKeyDictionary()

    @property
    def prefill_chunk(self) -> int:
        """Positions that are best read at once."""
        return PREFILL_CHUNK if self._failure is not None else self._compiled.prefill_chunk

    @property
    def most_positions(self) -> int | None:
        """Positions that the cache can have; None where nothing but the model sets an end."""
        return None if self._failure is not None else self._compiled.most_positions

    def run(self, inputs_embeds: Array, past: int, cache: Sequence[Any]) -> Array:
        """Appends tokens to the cache and returns what comes next; see the engine's `run`.

        Raises:
            DeviceError: the graph failed too.
            Cancelled: the work was stopped.
        """
        if self._failure is None:
            try:
                logits = self._compiled.run(inputs_embeds, past, cache)
            except DeviceError as error:
                self._failure = _bare(error)
            else:
                self._remember(inputs_embeds, past, cache[0])
                return logits
        plain = self._taken_over(self._failure)
        return plain.run(inputs_embeds, past, self._reachable(cache, past))

    def grow(self, arrays: Sequence[Any], used: int, needed: int, wanted: int) -> list[Any]:
        """A larger cache with the contents of a smaller one; see `kv_cache.Grow`."""
        if self._failure is None:
            try:
                grown: list[Any] = self._compiled.grow(arrays, used, needed, wanted)
            except DeviceError as error:
                self._failure = _bare(error)
            else:
                if used:
                    self._remember(self._read.pop(arrays[0].buffer)[None, :used], 0, grown[0])
                return grown
        self._taken_over(self._failure)
        smaller = self._reachable(arrays, used) if used else self._empty()
        return grow_arrays(smaller, used, needed, wanted)

    def _taken_over(self, failure: DeviceError) -> AnyDecoder:
        if self._plain is None:  # Also where the graph did not open the first time.
            self._plain = self._give_up(failure)
        return self._plain

    def _remember(self, embeds: Array, past: int, cache: tensorrt_decoder.CacheArray) -> None:
        kept = self._read.get(cache.buffer)
        if kept is None:  # Rows that were never written cost nothing.
            kept = np.empty((cache.shape[2], embeds.shape[2]), np.float32)
            self._read[cache.buffer] = kept
        kept[past : past + embeds.shape[1]] = embeds[0]

    def _reachable(self, cache: Sequence[Any], used: int) -> list[Any]:
        """A cache in this computer's memory: itself, or what stands in for one on the GPU."""
        if isinstance(cache[0], np.ndarray):
            return list(cache)
        buffer: Buffer = cache[0].buffer
        if buffer not in self._stand_ins:
            capacity = cache[0].shape[2]
            arrays = grow_arrays(self._empty(), 0, capacity, capacity)
            self._read_again(buffer, used, arrays)
            self._stand_ins[buffer] = arrays
            for array in cache:
                array.buffer.free()
        return self._stand_ins[buffer]

    def _read_again(self, cache: Buffer, used: int, arrays: list[Any]) -> None:
        assert self._plain is not None  # It stands in for the engine.
        if used:
            embeds = self._read[cache][None, :used]
            for start in range(0, used, PREFILL_CHUNK):
                stop = min(start + PREFILL_CHUNK, used)
                self._plain.run(embeds[:, start:stop], start, arrays)

    def _empty(self) -> list[Any]:
        assert self._plain is not None
        shape = (1, self._plain.kv_heads, 0, self._plain.head_dim)
        return [np.zeros(shape, self._plain.cache_dtype)] * (2 * self.layers)


def _bare(error: DeviceError) -> DeviceError:
    """An error without its traceback, which would keep the engine and its memory."""
    return type(error)(str(error))
