"""The bundle's graphs, each opened when it is first needed and kept open."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from numpy.typing import NDArray

from engines.backends import tensorrt_rtx
from engines.backends.onnxruntime import DecoderSession, Session, open_session
from engines.bundle import Bundle
from engines.compiled import CompiledGraphs, plan_memory
from engines.config import GraphConfig, PartDevice
from engines.devices import (
    Device,
    driver_version,
    engine_gpu,
    gpu_memory,
    onnx_device,
    parts,
)
from engines.errors import BundleError, DeviceError
from engines.events import Progress
from engines.fallback import AnyDecoder, AnySession, GuardedDecoder, GuardedSession
from engines.machine_memory import obtainable_bytes
from engines.part_memory import opened_bytes
from engines.placement import CACHE_CROSSES, Placement
from engines.prepacked import PrepackedStore

Array = NDArray[Any]

# The library starts as many as it is told to, until the system refuses and it crashes.
MAX_THREADS = 512


class Sessions:
    """The opened graphs of one bundle, each where it runs best of what a device has.

    With "tensorrt" compiled engines run what they can be trusted with, ONNX Runtime the rest. Large
    graphs that run on the CPU are opened from `prepacked`, where that is given and has them or can
    make them. Raises DeviceError for a number of threads that cannot be.

    Attributes:
        compiled: the bundle's engines; None unless "tensorrt" was chosen.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: Device,
        threads: int | None,
        prepacked: PrepackedStore | None = None,
    ) -> None:
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            raise DeviceError(
                f"{threads} threads cannot be used; choose 1 to {MAX_THREADS}, or none to let the"
                " program choose."
            )
        self._bundle = bundle
        self._device = device
        self._threads = threads
        self._prepacked = prepacked
        self._open: dict[str, AnySession] = {}
        self._decoders: dict[str, AnyDecoder] = {}
        # Why ONNX Runtime's CUDA does not run a graph any more.
        self._left_cuda: dict[str, str] = {}
        self.compiled: CompiledGraphs | None = None
        if device.name == "tensorrt":
            self.compiled = CompiledGraphs(bundle, engine_gpu(), driver_version())

    def __contains__(self, graph: str) -> bool:
        return graph in self._open

    def get(self, graph: str) -> AnySession:
        """The session of a graph of the manifest.

        Raises:
            BundleError: the bundle has no such graph, or it is not what the manifest says.
            DeviceError: it cannot be opened on the device.
        """
        if graph not in self._open:
            self._open[graph] = self._engine(graph) or self._onnx(graph)
        return self._open[graph]

    def decoder(self, graph: str) -> AnyDecoder:
        """The decoder, to be bound to any cache; `graph` is the one for ONNX Runtime.

        Raises:
            BundleError: the bundle has no such graph, or it is no decoder.
            DeviceError: it cannot be opened on the device.
        """
        if graph not in self._decoders:
            self._decoders[graph] = self._compiled_decoder(graph) or self._plain_decoder(graph)
        return self._decoders[graph]

    def _compiled_decoder(self, graph: str) -> GuardedDecoder | None:
        found = None if self.compiled is None else self.compiled.decoder(self.plain)
        if found is None:
            return None
        self._open[graph] = found.session

        def give_up(error: DeviceError) -> AnyDecoder:
            self._refuse("decoder", error)
            return self._plain_decoder(graph)

        return GuardedDecoder(found, give_up)

    def _plain_decoder(self, graph: str) -> DecoderSession:
        session = self._open[graph] = self.plain(graph)
        return DecoderSession(session)

    def plain(self, graph: str) -> Session:
        """A graph opened in ONNX Runtime, whatever the engines; raises what `get` raises."""
        declared = self._bundle.config.graphs.get(graph)
        if declared is None:
            raise BundleError(
                f"The bundle {self._bundle.path} has no {graph} graph; use another bundle."
            )
        path = self._bundle.graph_path(graph)
        if not path.is_file():
            raise BundleError(
                f"The bundle {self._bundle.path} was moved or deleted while it was in use; put"
                " it back or load another one."
            )
        session, device = None, self._onnx_device(graph)
        if device == "cpu":
            self._check_room(graph)
            if self._prepacked is not None:
                session = self._prepacked.open(self._bundle, graph, self._threads)
        session = session or open_session(path, device, self._threads)
        _check(session, declared)
        return session

    def _check_room(self, graph: str) -> None:
        """Refuses a graph for which the system would end this program, or another one."""
        if self._prepacked is not None and self._prepacked.holds(self._bundle, graph):
            return  # Its weights are mapped: slow where they do not fit, but no harm.
        needed, left = opened_bytes(self._bundle.config, graph), obtainable_bytes()
        if left is not None and needed > left:
            raise DeviceError(
                f"Opening {graph} of {self._bundle.config.name} takes {needed / 1e9:.1f} GB of"
                f" memory, of which {left / 1e9:.1f} GB are left; close other programs, or use a"
                " smaller bundle."
            )

    def devices(self) -> tuple[PartDevice, ...]:
        """Where each part runs, or would when it is opened, and why."""
        return tuple(self._part_device(part) for part in parts(self._bundle.config))

    def device_used(self) -> str:
        """The device that was chosen, if any part runs there; else where the decoder runs."""
        used = [part.device for part in self.devices()]
        return self._device.name if self._device.name in used else used[-1]

    def cache_read(self, past: int) -> tuple[int, int | None]:
        """What a token reads of the decoder's cache, for `roofline.bytes_per_token`.

        A compiled decoder reads its whole cache, whose unused end a mask hides.

        Args:
            past: tokens in the cache.

        Returns:
            Positions, and bytes of a number: None as on the CPU.
        """
        if self.compiled is None or self._part_device("decoder").device != "tensorrt":
            return past, None
        return self.compiled.context()

    def _part_device(self, part: str) -> PartDevice:
        compiled = self.compiled
        refused = self._device.reason if compiled is None else compiled.why_not(part)
        if compiled is not None and refused is None:
            gpu, known = compiled.gpu, compiled.proven(part)
            when = "" if known else ", if it passes its test before it is first used"
            reason = f"A compiled engine runs it on the {gpu.name} ({gpu.arch}){when}."
            return PartDevice(part, "tensorrt", reason)
        reasons = [reason for reason in (refused, self._left_cuda.get(part)) if reason]
        return PartDevice(part, self._onnx_device(part), " ".join(reasons))

    def plan(self, context: int | None) -> Placement:
        """What would be where, by memory (see `plan_memory`)."""
        if self._device.name != "cuda":
            return plan_memory(self._bundle, self.compiled, context)
        crosses = "" if self._device.asked else CACHE_CROSSES
        return plan_memory(self._bundle, None, context, gpu_memory(), crosses)

    def _onnx_device(self, graph: str) -> str:
        return "cpu" if graph in self._left_cuda else onnx_device(self._device, graph)

    def _onnx(self, graph: str) -> AnySession:
        """A graph in ONNX Runtime; on a GPU that nobody asked for, the CPU takes over from it."""
        by_name = self._device.name == "cuda" and self._device.asked
        if by_name or self._onnx_device(graph) == "cpu":
            return self.plain(graph)
        try:
            return GuardedSession(self.plain(graph), partial(self._leave_cuda, graph))
        except DeviceError as error:
            return self._leave_cuda(graph, error)

    def _leave_cuda(self, graph: str, error: DeviceError) -> AnySession:
        self._left_cuda[graph] = str(error)
        session = self._open[graph] = self.plain(graph)
        return session

    def _engine(self, graph: str) -> GuardedSession | None:
        if self.compiled is None or graph not in parts(self._bundle.config)[:-1]:
            return None  # The decoder has inputs of its own: see `decoder`.
        for other in self.compiled.displaced(graph):
            self.compiled.release(other)
            self._open.pop(other, None)
        session = self.compiled.session(graph, self.plain)
        if session is None:
            return None
        try:
            _check(session, self._bundle.config.graphs[graph])
        except BundleError as error:  # The graph itself may well be what it should.
            self.compiled.refuse(graph, str(error))
            return None
        return GuardedSession(session, partial(self._give_up, graph))

    def _give_up(self, graph: str, error: DeviceError) -> AnySession:
        self._refuse(graph, error)
        session = self._open[graph] = self._onnx(graph)
        return session

    def _refuse(self, graph: str, error: DeviceError) -> None:
        assert self.compiled is not None  # An engine gave up, so there are some.
        self.compiled.refuse(graph, str(error))

    def opening(self, graph: str) -> Iterator[Progress]:
        """Opens a graph unless it is open, or takes turns with others, telling so."""
        if graph not in self._open and not self._takes_turns(graph):
            yield Progress("load", 0, 1)
            (self.decoder if graph.startswith("decoder") else self.get)(graph)
            yield Progress("load", 1, 1)

    def _takes_turns(self, graph: str) -> bool:
        placement = None if self.compiled is None else self.compiled.placement
        return placement is not None and not placement.kept(graph)

    def on_cpu(self) -> dict[str, bool]:
        """The graphs that ONNX Runtime has open on the CPU; True where their weights are mapped."""
        return {
            graph: session.path != self._bundle.graph_path(graph)
            for graph, session in self._open.items()
            if isinstance(session, Session) and self._onnx_device(graph) == "cpu"
        }

    def close(self, graph: str) -> None:
        """Lets an open graph go, with its memory on the GPU; it opens again when it is needed."""
        self._open.pop(graph, None)
        self._decoders.pop(graph, None)
        if self.compiled is not None:
            self.compiled.release("decoder" if graph.startswith("decoder") else graph)

    def close_all(self) -> None:
        """Lets all graphs go, and the GPU."""
        self._open.clear()
        self._decoders.clear()
        if self.compiled is not None:
            self.compiled.close()

    def stop(self) -> None:
        """Ends whatever runs, from another thread; the test of an engine, too."""
        for session in list(self._open.values()):
            session.stop()
        if self.compiled is not None:
            self.compiled.stop()

    def resume(self) -> None:
        """Takes an earlier `stop` back."""
        for session in self._open.values():
            session.resume()
        if self.compiled is not None:
            self.compiled.resume()


def _check(session: AnySession | tensorrt_rtx.Session, declared: GraphConfig) -> None:
    for wanted, found in ((declared.inputs, session.inputs), (declared.outputs, session.outputs)):
        expected = {name: (dtype, _fixed(shape)) for name, (dtype, shape) in wanted.items()}
        actual = {name: (info.dtype.name, _fixed(info.shape)) for name, info in found.items()}
        if expected != actual:
            raise BundleError(
                f"{session.path} does not have the inputs and outputs that the manifest says;"
                " export the bundle again."
            )


def _fixed(shape: tuple[int | str, ...]) -> tuple[int | None, ...]:
    """A shape without the names of its free axes, which are for people."""
    return tuple(size if isinstance(size, int) else None for size in shape)
