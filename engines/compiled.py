"""A bundle's compiled engines on this machine's GPU: opened when trusted, proven and in place.

Each engine that is not used leaves a sentence that says why, and its ONNX graph serves instead.
Before its first use on a machine an engine runs the bundle's self-test.
"""

import mmap
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.backends.cuda_driver import Device, Gpu
from engines.backends.tensorrt_decoder import DecoderSession
from engines.backends.tensorrt_engine import Engine, compiler
from engines.backends.tensorrt_rtx import Session
from engines.bundle import Bundle, open_embeddings
from engines.config import VerificationRow
from engines.engine_files import EngineFile, EngineSet, check_engine, engines_dir, open_engine
from engines.engine_files import read_engines as read_list
from engines.engine_trust import Outcome, forget, machine_key, recall, record
from engines.errors import BundleError, DeviceError, DeviceMemoryError, EngineFileError
from engines.generate import TokenPrompt, drain, prefill
from engines.kernel_cache import kernel_file
from engines.kv_cache import KvCache
from engines.machine_memory import memory_here
from engines.part_memory import cache_bytes, part_memory, usual_context
from engines.placement import CONTEXT_BYTES, LEAST_CONTEXT, Free, Placement, place
from engines.selftest import OUTPUTS, PARTS, Test, measure, passed, read_selftest, run_test

Array = NDArray[Any]
T = TypeVar("T")
Run = Callable[[str, dict[str, Array]], dict[str, Array]]

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
        try:
            self._entry(graph)
        except (EngineFileError, DeviceError) as error:
            return str(error)
        return None

    def session(self, graph: str, plain: Run) -> Session | None:
        """An encoder's engine, opened; None if it is not used (see `reasons`).

        Args:
            graph: its name in the manifest.
            plain: runs a graph in ONNX Runtime, for the parts of a test that have no engine.
        """
        return self._used(graph, lambda: self._proven(graph, plain))

    def decoder(self, plain: Run) -> DecoderSession | None:
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

    def _proven(self, graph: str, plain: Run) -> Session:
        entry = self._entry(graph)
        self._refuse_unplaced(graph)
        before = recall(self.engine_key(entry))
        if before is not None and before.state != "passed":
            path = engines_dir(self._bundle.path, self.gpu.arch) / entry.file
            how = "ended the program" if before.state == "begun" else "failed"
            raise EngineFileError(
                f"{path} {how} in the self-test on this machine, so it was set aside; build it"
                " anew with vl2-export engines, or test it again with vl2 selftest --device"
                " tensorrt."
            )
        if before is None:
            self._prove(next(test for test, parts in PARTS.items() if graph in parts), plain)
        if graph in self.reasons:  # Found out while it was to be tested.
            raise EngineFileError(self.reasons[graph])
        return self._load(graph)

    def _prove(self, test: Test, plain: Run) -> None:
        """Runs a test and keeps what came of it for every engine that took part.

        Raises:
            EngineFileError: it was not passed, or an engine does not fit this GPU.
            DeviceMemoryError: there is no room now; nothing is kept then.
            DeviceError: the library or the GPU failed.
            BundleError: the self-test does not fit its bundle; nothing is kept then.
        """
        tested = self._vouched_for(test)
        if not tested:
            return  # Nothing is left to be tested; `reasons` say why.
        # A GPU that has failed already says so here, and nothing about these engines.
        device = self._opened_device()
        device.activate()
        device.synchronise()
        keys = [self.engine_key(entry) for entry in tested.values()]
        before = [recall(key) for key in keys]

        def keep(came: Outcome) -> None:
            for key in keys:
                record(key, came)

        keep(Outcome("begun", test))
        try:
            row = self._measure(test, tested, plain)
        except BaseException as error:
            # Ended by the user, or not the engine's fault: nobody knows.
            if isinstance(error, DeviceMemoryError) or not isinstance(
                error, EngineFileError | DeviceError
            ):
                _take_back(keys, before)
            else:
                keep(Outcome("failed", str(error)))
            raise
        detail = f"{test} differs by {row.max_rel:.2g} of the largest value"
        keep(Outcome("passed" if passed(row) else "failed", detail))
        if not passed(row):
            names = " and ".join(entry.file for entry in tested.values())
            raise EngineFileError(
                f"{names} failed the self-test ({detail}, {row.tolerance:.2g} is allowed), so the"
                " ONNX graphs are used; build them anew with vl2-export engines."
            )

    def _vouched_for(self, test: Test) -> dict[str, EngineFile]:
        """The engines that take part in a test: those whose files are what their list says."""
        found = {}
        for graph in PARTS[test]:
            if graph in self.reasons or graph not in self.entries():
                continue
            try:
                found[graph] = self._entry(graph)
                self._plan(graph).close()
            except EngineFileError as error:
                self.refuse(graph, str(error))
                found.pop(graph, None)
        return found

    def _measure(self, test: Test, tested: dict[str, EngineFile], plain: Run) -> VerificationRow:
        def run(graph: str, feeds: dict[str, Array]) -> dict[str, Array]:
            if graph not in tested:
                return plain(graph, feeds)
            return self._load(graph).run(feeds)

        stored = read_selftest(self._bundle)
        got = run_test(test, stored, run, self._next_logits, open_embeddings(self._bundle).rows)
        dtypes = {entry.dtype for entry in tested.values()}
        dtype = next((d for d in ("bf16", "fp16") if d in dtypes), "fp32")
        limit = stored.limit(test, engine_dtype=dtype)
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
            raise DeviceMemoryError(
                f"The GPU has room for a conversation of {self.placement.context:,} tokens beside"
                f" the decoder, which was built for {self.context()[0]:,}; build it anew with"
                f" vl2-export engines --context {self.placement.context}."
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
) -> Placement:
    """What of a bundle would be where, by the memory that is free now.

    Args:
        bundle: the bundle.
        compiled: its engines; None where there is no GPU to run them.
        context: tokens of a conversation; None: what the decoder was built for, else usual ones.
        gpu_free: what is free on the GPU besides the driver's own share, where it is open;
            None: what the GPU has, less that share.
    """
    config, width, entries, decoder_on_gpu = bundle.config, None, {}, True
    tokens, free, own = usual_context(config, context), gpu_free, 0
    if compiled is not None:
        built, width = compiled.context()
        tokens, entries = (built if context is None else tokens), dict(compiled.entries())
        # Where there are no engines at all, the plan is for those that can be built.
        decoder_on_gpu = not entries or compiled.why_not("decoder") is None
        if gpu_free is None:
            free, own = compiled.gpu.total_bytes, CONTEXT_BYTES
    return place(
        part_memory(config, tokens, engines=entries),
        (cache_bytes(config, 1, width), cache_bytes(config, 1)),
        tokens,
        Free(free, memory_here().available_bytes),
        context_bytes=own,
        decoder_on_gpu=decoder_on_gpu,
    )


def _take_back(keys: list[str], before: list[Outcome | None]) -> None:
    for key, tested in zip(keys, before, strict=True):
        if tested is None:
            forget(key)
        else:
            record(key, tested)
