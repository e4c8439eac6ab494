"""A bundle's compiled engines on this machine's GPU: opened when trusted, proven and in place.

Each engine that is not used leaves a sentence that says why, and its ONNX graph serves instead.
Before its first use on a machine an engine runs the bundle's self-test.
"""

import mmap
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.backends.cuda_driver import Device, Gpu
from engines.backends.tensorrt_decoder import DecoderSession
from engines.backends.tensorrt_engine import Engine, compiler
from engines.backends.tensorrt_rtx import Session
from engines.bundle import Bundle, open_embeddings
from engines.config import VerificationRow
from engines.engine_files import (
    EngineFile,
    EngineSet,
    build_command,
    check_engine,
    engines_dir,
    open_engine,
)
from engines.engine_files import read_engines as read_list
from engines.engine_proof import Candidate, has_passed, prove
from engines.engine_trust import machine_key
from engines.errors import BundleError, DeviceError, DeviceMemoryError, EngineFileError
from engines.fallback import AnySession
from engines.generate import TokenPrompt, drain, prefill
from engines.kernel_cache import kernel_file
from engines.kv_cache import KvCache
from engines.machine_memory import memory_here
from engines.part_memory import cache_bytes, part_memory, usual_context
from engines.placement import CONTEXT_BYTES, LEAST_CONTEXT, NO_ENGINE, Free, Placement, place
from engines.selftest import OUTPUTS, PARTS, Test, measure, read_selftest, run_test

Array = NDArray[Any]
T = TypeVar("T")
OpenPlain = Callable[[str], AnySession]

_WIDTHS = {"fp16": 2, "bf16": 2, "fp32": 4}


class CompiledGraphs:
    """The engines of one bundle for one GPU.

    Attributes:
        gpu: the GPU.
        reasons: why an engine is not used, by graph: sentences.
        placement: what was decided by memory; None before anything was opened.
    """

    def __init__(self, bundle: Bundle, gpu: Gpu, driver: str = "") -> None:
        """Looks at what is there; opens nothing.

        Args:
            bundle: a checked bundle.
            gpu: see `devices.engine_gpu`.
            driver: its driver's version, where that is known.
        """
        self.gpu = gpu
        self.reasons: dict[str, str] = {}
        self.placement: Placement | None = None
        self._bundle = bundle
        self._driver = f"{driver} {gpu.cuda}"
        self._set: EngineSet | None = None
        self._absent = ""
        self._device: Device | None = None
        self._open: dict[str, Session] = {}
        self._decoder: DecoderSession | None = None
        # ONNX graphs that run beside an engine under test.
        self._beside: dict[str, AnySession] = {}
        self._stopped = False
        try:
            self._set = read_list(bundle, gpu.arch)
        except EngineFileError as error:
            self._absent = str(error)

    def entries(self) -> Mapping[str, EngineFile]:
        """What the list of engines has, by graph; nothing if there is none to be trusted."""
        return {} if self._set is None else self._set.graphs

    def why_not(self, graph: str) -> str | None:
        """Why a graph's engine is not used, in a sentence; None if it is, as far as is known."""
        if graph in self.reasons:
            return self.reasons[graph]
        if graph in self._open:
            return None
        try:
            has_passed(self._candidate(graph))
        except (EngineFileError, DeviceError) as error:
            return str(error)
        return None

    def proven(self, graph: str) -> bool:
        """Whether a graph's engine is open, or has passed its test on this machine."""
        with suppress(EngineFileError, DeviceError):
            return graph in self._open or has_passed(self._candidate(graph))
        return False

    def session(self, graph: str, plain: OpenPlain) -> Session | None:
        """An encoder's engine, opened; None if it is not used (see `reasons`).

        Args:
            graph: its name in the manifest.
            plain: opens a graph in ONNX Runtime, for the other part of its test.
        """
        return self._used(graph, lambda: self._proven(graph, plain))

    def decoder(self, plain: OpenPlain) -> DecoderSession | None:
        """The compiled decoder, opened; None if it is not used."""

        def proven() -> DecoderSession:
            self._proven("decoder", plain)
            return self._open_decoder()

        return self._used("decoder", proven)

    def refuse(self, graph: str, reason: str) -> None:
        """Uses a graph's engine no more, for this reason, and gives its memory back."""
        self.reasons[graph] = reason
        self.release(graph)

    def release(self, graph: str) -> None:
        """Gives a graph's memory on the GPU back; it can be opened again."""
        if graph == "decoder" and self._decoder is not None:
            self._decoder.close()
            self._decoder = None
        session = self._open.pop(graph, None)
        if session is not None:
            session.close()

    def displaced(self, graph: str) -> list[str]:
        """Opened encoders whose memory another one needs, as the placement has it."""
        if self.placement is None or self.placement.kept(graph):
            return []
        return [g for g in self._open if g != graph and not self.placement.kept(g)]

    def stop(self) -> None:
        """Ends what another thread does here, a test too, which then raises Cancelled."""
        self._stopped = True
        for session in (*self._open.values(), *self._beside.values()):
            session.stop()

    def resume(self) -> None:
        """Takes an earlier `stop` back."""
        self._stopped = False
        for session in self._open.values():
            session.resume()

    def close(self) -> None:
        """Gives everything on the GPU back."""
        for graph in list(self._open):
            self.release(graph)
        if self._device is not None:
            self._device.close()
            self._device = None

    def engine_key(self, entry: EngineFile) -> str:
        """What the record of an engine's test belongs to."""
        return machine_key(entry.sha256, self.gpu.name, self._driver, compiler().version)

    def _used(self, graph: str, opened: Callable[[], T]) -> T | None:
        if graph in self.reasons:
            return None
        try:
            return opened()
        except (EngineFileError, DeviceError, BundleError) as error:
            self.refuse(graph, str(error))
            return None

    def _proven(self, graph: str, plain: OpenPlain) -> Session:
        engine = self._candidate(graph)
        known = has_passed(engine)
        self._refuse_unplaced(graph)
        test = next(test for test, parts in PARTS.items() if graph in parts)
        if not known:
            # What is wrong before it runs is not its doing: its file, or a GPU that has failed.
            self._plan(graph).close()
            device = self._opened_device()
            device.activate()
            device.synchronise()
            prove(engine, test, lambda: self._measure(test, graph, plain), lambda: self._stopped)
        return self._load(graph)

    def _candidate(self, graph: str) -> Candidate:
        entry = self._entry(graph)
        path = engines_dir(self._bundle.path, self.gpu.arch) / entry.file
        return Candidate(path, entry.sha256, self.engine_key(entry))

    def _measure(self, test: Test, tested: str, plain: OpenPlain) -> VerificationRow:
        """Runs a graph's engine between the ONNX graphs of its test: it is judged by itself."""

        def run(graph: str, feeds: dict[str, Array]) -> dict[str, Array]:
            if graph == tested:
                return self._load(graph).run(feeds)
            try:
                if graph not in self._beside:
                    self._beside[graph] = plain(graph)
                return self._beside[graph].run(feeds)
            except DeviceError as error:
                raise BundleError(str(error)) from error  # Not the engine's doing.

        stored = read_selftest(self._bundle)
        try:
            embed = open_embeddings(self._bundle).rows
            got = run_test(test, stored, run, self._next_logits, embed)
        finally:
            self._beside.clear()
        limit = stored.limit(test, engine_dtype=self._entry(tested).dtype)
        return measure(test, got, stored.arrays[OUTPUTS[test]], limit)

    def _entry(self, graph: str) -> EngineFile:
        if self._set is None:
            raise EngineFileError(self._absent)
        return check_engine(self._bundle, self._set, graph, compiler())

    def _refuse_unplaced(self, graph: str) -> None:
        if self.placement is None:
            self.placement = self._place()
        if self.placement.where(graph) == "cpu":
            raise DeviceMemoryError(self.placement.reason)
        if graph == "decoder" and self.placement.context < self.context()[0]:
            path = engines_dir(self._bundle.path, self.gpu.arch) / "decoder.engine"
            raise DeviceMemoryError(
                f"The GPU has room for a conversation of {self.placement.context:,} tokens beside"
                f" the decoder, which was built for {self.context()[0]:,}; build it anew with"
                f" {build_command(path, '--context', str(self.placement.context))}."
            )

    def _place(self) -> Placement:
        return plan_memory(self._bundle, self, None, self._opened_device().memory()[0])

    def context(self) -> tuple[int, int]:
        """Tokens that the compiled decoder was built for, and bytes of a number in its cache."""
        entry = self.entries().get("decoder")
        if entry is None:
            return usual_context(self._bundle.config, None), 2
        capacity = entry.inputs["past_key_values.0.key"][1][2]
        fixed = capacity if isinstance(capacity, int) else LEAST_CONTEXT
        return fixed, _WIDTHS[entry.dtype]

    def _opened_device(self) -> Device:
        if self._device is None:
            self._device = Device(self.gpu)
        return self._device

    def _load(self, graph: str) -> Session:
        if graph not in self._open:
            for other in self.displaced(graph):
                self.release(other)
            entry = self._entry(graph)
            path = engines_dir(self._bundle.path, self.gpu.arch) / entry.file
            kernels = kernel_file(self.gpu.name, self._driver, compiler().version, entry.sha256)
            with self._plan(graph) as plan:
                engine = Engine(plan, entry, path, self._opened_device(), kernels)
            self._open[graph] = Session(engine)
        if self._stopped:  # Before it was open.
            self._open[graph].stop()
        return self._open[graph]

    def _plan(self, graph: str) -> mmap.mmap:
        if self._set is None:
            raise EngineFileError(self._absent)
        return open_engine(self._bundle, self._set, graph, compiler())

    def _open_decoder(self) -> DecoderSession:
        if self._decoder is None:
            self._decoder = DecoderSession(self._load("decoder"))
        return self._decoder

    def _next_logits(self, inputs_embeds: Array) -> Array:
        decoder, length = self._open_decoder(), inputs_embeds.shape[1]
        cache = KvCache(
            decoder.layers,
            decoder.kv_heads,
            decoder.head_dim,
            decoder.cache_dtype,
            limit=length,
            grow=decoder.grow,
        )
        cache.reserve(length)
        # The last by itself, as a token is when it is written: a prompt is read by other kernels.
        read = length - 1
        if read:
            prompt = TokenPrompt(inputs_embeds[0, :read], np.zeros(read, np.int64))
            drain(prefill(decoder, cache, prompt))
        return decoder.run(inputs_embeds[:, read:], read, cache.arrays).copy()


def plan_memory(
    bundle: Bundle,
    compiled: CompiledGraphs | None,
    context: int | None,
    gpu_free: int | None = None,
    no_decoder: str = "",
) -> Placement:
    """What of a bundle would be where, by the memory that is free now.

    Args:
        bundle: the bundle.
        compiled: its engines; None where nothing runs them.
        context: tokens of a conversation; None: what the decoder was built for, else usual ones.
        gpu_free: with `compiled`, what is free on the opened GPU besides the driver's own share,
            None: what it has, less that share; without, what the GPU has that ONNX Runtime uses.
        no_decoder: why the decoder is not to run on the GPU (see `place`).
    """
    config, width, entries = bundle.config, None, {}
    tokens, free = usual_context(config, context), gpu_free
    own = 0 if compiled is not None and gpu_free is not None else CONTEXT_BYTES
    if compiled is not None:
        built, width = compiled.context()
        tokens, entries = (built if context is None else tokens), dict(compiled.entries())
        # Where there are no engines at all, the plan is for those that can be built.
        if entries and compiled.why_not("decoder") is not None:
            no_decoder = NO_ENGINE
        if gpu_free is None:
            free = compiled.gpu.total_bytes
    return place(
        part_memory(config, tokens, engines=entries),
        (cache_bytes(config, 1, width), cache_bytes(config, 1)),
        tokens,
        Free(free, memory_here().available_bytes),
        context_bytes=own,
        no_decoder=no_decoder,
    )
