"""A stand-in for the GPU alone: NVIDIA's driver, and the classes of TensorRT that need one.

Everything that works without a GPU is the real package's: enumerations, `CUdeviceptr`, the logger.
Each call is bound to the real function's signature first, so that what passes here is what the real
library takes. What is queued on a stream happens when the stream is waited for and not before: who
reads too early, or writes too early into what is still to be copied, gets wrong numbers.
"""

import ctypes
import inspect
import re
import weakref
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.backends import cuda_driver, tensorrt_engine
from engines.backends.onnxruntime import runtime

TOTAL_BYTES = 8 << 30
STREAM = 77
BYTES = {"FLOAT": "f4", "HALF": "f2", "INT64": "i8", "INT32": "i4", "BOOL": "?"}


class StandIn:
    """What the code under test did to the GPU, and where it is to fail.

    Attributes:
        calls: names of all calls in their order.
        live: sizes of what is allocated, by address.
        free_bytes: of the GPU's memory.
        fail_at: number of the call that fails (from 0), None for none.
        failure: how: a CUresult for the driver; None, False or an exception for TensorRT.
        queued: what the stream will do.
    """

    def __init__(self, driver: Any, trt: Any) -> None:
        self.driver, self.trt = driver, trt
        self.calls: list[str] = []
        self.live: dict[int, int] = {}
        self.memory: dict[int, Any] = {}
        self.free_bytes = TOTAL_BYTES
        self.fail_at: int | None = None
        self.failure: Any = None
        self.failed: str | None = None
        self.queued: list[Callable[[], None]] = []
        self.models: dict[bytes, Path] = {}
        self.kernels = b"compiled kernels"
        self.executions: list[dict[str, tuple[int, ...]]] = []
        self.bindings: list[str] = []
        self.contexts = 0

    def called(self, name: str) -> bool:
        """Writes a call down; True if it is to fail."""
        self.calls.append(name)
        if self.fail_at == len(self.calls) - 1:
            self.failed = name
            return True
        return False

    def host(self, address: int, nbytes: int) -> Any:
        """Memory at an address, which must lie within what was given out."""
        start = max((a for a in self.live if a <= address), default=None)
        assert start is not None, "an address that was never given out"
        assert address + nbytes <= start + self.live[start], "beyond what was given out"
        return (ctypes.c_uint8 * nbytes).from_address(address)

    def array(self, address: int, kind: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        dtype = np.dtype(BYTES[kind])
        block = self.host(address, int(np.prod(shape)) * dtype.itemsize)
        return np.frombuffer(block, dtype).reshape(shape)

    def allocate(self, nbytes: int) -> int:
        block = np.full(nbytes + 256, 0xFF, np.uint8)  # What was there before: NaN, as floats.
        address = -(-block.ctypes.data // 256) * 256
        self.live[address], self.memory[address] = nbytes, block
        return int(address)

    def release(self, address: int) -> None:
        assert address in self.live, "freed twice, or never given out"
        assert not self.queued, "freed while the stream may still use it"
        del self.live[address]  # The memory is kept, so that no address is given out twice.


class FakeDriver:
    """`cuda.bindings.driver`: real types, calls bound to the real signatures, no GPU."""

    def __init__(self, stand_in: StandIn) -> None:
        self._s = stand_in

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._s.driver, name)
        if not name.startswith("cu"):
            return real
        own = getattr(self, f"_{name}")

        def call(*arguments: Any) -> Any:
            inspect.signature(real).bind(*arguments)
            _convert(real, arguments)
            if self._s.called(name):
                return (self._s.failure,)
            values = own(*arguments)
            values = values if isinstance(values, tuple) else () if values is None else (values,)
            return (self._s.driver.CUresult.CUDA_SUCCESS, *values)

        return call

    def _cuInit(self, flags: int) -> None:
        assert flags == 0

    def _cuDriverGetVersion(self) -> int:
        return 13000

    def _cuDeviceGetCount(self) -> int:
        return 1

    def _cuDeviceGet(self, ordinal: int) -> Any:
        return self._s.driver.CUdevice(ordinal)

    def _cuDeviceGetName(self, length: int, device: Any) -> bytes:
        return b"NVIDIA GeForce RTX 4060\0\0\0"[:length]

    def _cuDeviceGetAttribute(self, attribute: Any, device: Any) -> int:
        kinds = self._s.driver.CUdevice_attribute
        major = kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
        minor = kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR
        return {major: 8, minor: 9}[attribute]

    def _cuDeviceTotalMem(self, device: Any) -> int:
        return TOTAL_BYTES

    def _cuDevicePrimaryCtxRetain(self, device: Any) -> Any:
        self._s.contexts += 1
        return self._s.driver.CUcontext(11)

    def _cuDevicePrimaryCtxRelease(self, device: Any) -> None:
        self._s.contexts -= 1

    def _cuCtxSetCurrent(self, context: Any) -> None:
        assert int(context) == 11
        assert self._s.contexts > 0, "the context was given back"

    def _cuStreamCreate(self, flags: Any) -> Any:
        assert flags == self._s.driver.CUstream_flags.CU_STREAM_NON_BLOCKING
        return self._s.driver.CUstream(STREAM)

    def _cuStreamDestroy(self, stream: Any) -> None:
        assert int(stream) == STREAM

    def _cuStreamSynchronize(self, stream: Any) -> None:
        assert int(stream) == STREAM
        waiting, self._s.queued = self._s.queued, []
        for work in waiting:
            work()

    def _cuMemGetInfo(self) -> tuple[int, int]:
        return self._s.free_bytes - sum(self._s.live.values()), TOTAL_BYTES

    def _cuMemAlloc(self, nbytes: int) -> Any:
        assert nbytes > 0, "the driver refuses to give out nothing"
        return self._s.driver.CUdeviceptr(self._s.allocate(nbytes))

    def _cuMemFree(self, address: Any) -> None:
        self._s.release(int(address))

    def _cuMemHostAlloc(self, nbytes: int, flags: int) -> int:
        assert nbytes > 0
        return self._s.allocate(nbytes)

    def _cuMemFreeHost(self, address: int) -> None:
        self._s.release(address)

    def _cuMemcpyHtoDAsync(self, target: Any, source: int, nbytes: int, stream: Any) -> None:
        self._move(int(target), source, nbytes, stream, on_gpu=(int(target),))

    def _cuMemcpyDtoHAsync(self, target: int, source: Any, nbytes: int, stream: Any) -> None:
        self._move(target, int(source), nbytes, stream, on_gpu=(int(source),))

    def _cuMemcpyDtoDAsync(self, target: Any, source: Any, nbytes: int, stream: Any) -> None:
        ends = int(target), int(source)
        self._move(*ends, nbytes, stream, on_gpu=ends)

    def _cuMemsetD8Async(self, target: Any, value: int, count: int, stream: Any) -> None:
        assert int(stream) == STREAM
        self._s.host(int(target), count)
        self._s.queued.append(lambda: ctypes.memset(int(target), value, count) and None)

    def _move(
        self, target: int, source: int, nbytes: int, stream: Any, on_gpu: tuple[int, ...]
    ) -> None:
        assert int(stream) == STREAM
        for address in on_gpu:
            self._s.host(address, nbytes)
        self._s.queued.append(lambda: ctypes.memmove(target, source, nbytes) and None)

    def _cuEventCreate(self, flags: int) -> Any:
        return self._s.driver.CUevent(5)

    def _cuEventRecord(self, event: Any, stream: Any) -> None:
        assert int(stream) == STREAM

    def _cuEventElapsedTime(self, start: Any, end: Any) -> float:
        assert not self._s.queued, "the time is known when the work is done"
        return 12.5  # Milliseconds.

    def _cuEventDestroy(self, event: Any) -> None:
        assert int(event) == 5


# Kinds of arguments that the real function took, as far as it goes without a driver.
_taken: set[Any] = set()


@lru_cache(maxsize=1)
def _driverless(driver: Any) -> bool:
    try:
        driver.cuInit(0)
    except RuntimeError:
        return True
    return False  # What follows would happen to a real GPU.


def _convert(real: Any, arguments: tuple[Any, ...]) -> None:
    """Has the real function convert arguments; it gets no further than to the missing driver."""
    kinds = (real.__name__, *map(type, arguments))
    if kinds in _taken or not _driverless(pytest.importorskip("cuda.bindings.driver")):
        return
    with pytest.raises(RuntimeError):
        real(*arguments)
    _taken.add(kinds)


def overloads(function: Any) -> list[list[tuple[str, str, bool]]]:
    """The signatures in a pybind docstring: (name, type, whether it has a default) each."""
    found = []
    for line in (function.__doc__ or "").splitlines():
        match = re.match(r"(?:\d+\. )?(\w+)\((.*)\) -> ", line.strip())
        if match and match[1] == function.__name__ and "*args" not in match[2]:
            # Defaults show their value in <…>, which may hold commas.
            text = re.sub(r"<[^<>]*>", "", match[2])
            parts = [p.strip() for p in re.split(r",(?![^\[]*\])", text) if p.strip()]
            found.append(
                [
                    (p.partition(":")[0], p.partition(":")[2].partition("=")[0].strip(), "=" in p)
                    for p in parts
                    if not p.startswith("self:")
                ]
            )
    return found


def fits(value: Any, kind: str) -> bool:
    """Whether pybind would take a value for a parameter of that type."""
    if kind == "str":
        return isinstance(value, str)
    if kind in ("tuple", "list"):
        return type(value).__name__ == kind
    if kind.endswith("SupportsInt"):
        return isinstance(value, int) and not isinstance(value, bool)
    if kind.endswith("Buffer"):
        return memoryview(value).contiguous
    bare = re.split(r"\.|::", kind)[-1]  # Of what is registered later, pybind knows the C++ name.
    return bare in {c.__name__.removeprefix("Fake") for c in type(value).__mro__}


def bind(function: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Fails unless some overload of the real function takes the arguments."""
    signatures = overloads(function)
    assert signatures, f"{function.__name__} documents no signature"
    for parameters in signatures:
        given = dict(zip((name for name, _, _ in parameters), arguments, strict=False)) | named
        if (
            len(arguments) <= len(parameters)
            and set(given) <= {name for name, _, _ in parameters}
            and all(default or name in given for name, _, default in parameters)
            and all(fits(given[name], kind) for name, kind, _ in parameters if name in given)
        ):
            return
    raise AssertionError(f"{function.__name__} takes {signatures}, not {arguments} {named}")


class Checked:
    """A class of TensorRT that needs a GPU: its methods are bound to the real ones first."""

    real: Any

    def __init__(self, stand_in: StandIn, real: Any) -> None:
        object.__setattr__(self, "_s", stand_in)
        object.__setattr__(self, "real", real)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name == "real":
            return object.__getattribute__(self, name)
        real = getattr(object.__getattribute__(self, "real"), name)  # It must exist there.
        own = object.__getattribute__(self, name)
        if not callable(own):
            return own
        stand_in: StandIn = object.__getattribute__(self, "_s")

        def call(*arguments: Any, **named: Any) -> Any:
            bind(real, arguments, named)
            if stand_in.called(name):
                if isinstance(stand_in.failure, Exception):
                    raise stand_in.failure
                return stand_in.failure
            return own(*arguments, **named)

        call.__name__ = name
        return call


class FakeIRuntimeCache(Checked):
    def serialize(self) -> Any:
        content = self._s.kernels

        class Blob(bytes):
            nbytes = len(content)

        return Blob(content)

    def deserialize(self, blob: Any) -> bool:
        assert self._s.contexts, "there must be a current CUDA context"
        return bytes(blob) == self._s.kernels


class FakeIRuntimeConfig(Checked):
    cuda_graph_strategy: Any = None
    dynamic_shapes_kernel_specialization_strategy: Any = None

    def __setattr__(self, name: str, value: Any) -> None:
        assert isinstance(getattr(self.real, name), property)
        if self._s.called(f"set {name}"):
            raise RuntimeError("refused")
        object.__setattr__(self, name, value)

    def create_runtime_cache(self) -> Any:
        return FakeIRuntimeCache(self._s, self._s.trt.IRuntimeCache)

    def set_runtime_cache(self, cache: Any) -> bool:
        object.__setattr__(self, "_cache", weakref.ref(cache))
        return True


class FakeIExecutionContext(Checked):
    def __init__(self, stand_in: StandIn, real: Any, engine: Any) -> None:
        super().__init__(stand_in, real)
        for name, value in (("_engine", engine), ("_shapes", {}), ("_addresses", {})):
            object.__setattr__(self, name, value)

    def _made_with(self, config: Any) -> None:
        object.__setattr__(self, "_kept", (weakref.ref(config), config._cache))

    def set_input_shape(self, name: str, shape: Any) -> bool:
        wanted = self._engine._tensors[name][2]
        assert len(wanted) == len(shape)
        self._s.bindings.append(f"shape {name}")
        if any(w not in (-1, n) for w, n in zip(wanted, shape, strict=True)):
            return False
        self._shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert name in self._engine._tensors
        self._s.bindings.append(f"address {name}")
        self._addresses[name] = memory
        return True

    def get_tensor_shape(self, name: str) -> Any:
        assert not self._unset(), "shapes are asked for before they are known"
        return self._outputs()[name]

    def infer_shapes(self) -> list[str]:
        return self._unset()

    def _unset(self) -> list[str]:
        tensors = self._engine._tensors
        return [
            n for n, (mode, _, _) in tensors.items() if mode == "INPUT" and n not in self._shapes
        ]

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle == STREAM
        # "Keep the IRuntimeConfig and IRuntimeCache alive while contexts created from them are in
        # use" (TensorRT-RTX, CPU-Only AOT, deferred weight loading).
        assert all(kept() is not None for kept in self._kept)
        tensors = self._engine._tensors
        assert set(self._addresses) == set(tensors), "a tensor has no address"
        assert not self._unset()
        shapes, addresses = dict(self._shapes), dict(self._addresses)
        for name, (mode, _, _) in tensors.items():
            if mode == "OUTPUT" and (source := self._engine._alias(name)):
                assert addresses[name] == addresses[source], "the cache must be written in place"
        self._s.executions.append(shapes)
        self._s.queued.append(lambda: self._compute(shapes, addresses))
        return True

    def _compute(self, shapes: dict[str, Any], addresses: dict[str, int]) -> None:
        tensors = self._engine._tensors
        feeds = {
            n: self._s.array(addresses[n], tensors[n][1], shape) for n, shape in shapes.items()
        }
        session = self._engine._session
        names = [output.name for output in session.get_outputs()]
        values = session.run(names, {n: array.copy() for n, array in feeds.items()})
        for name, value in zip(names, values, strict=True):
            self._s.array(addresses[name], tensors[name][1], value.shape)[...] = value

    def _outputs(self) -> dict[str, Any]:
        # What the graph gives for such inputs: shapes of a run over zeros.
        tensors = self._engine._tensors
        feeds = {
            n: np.zeros(shape, np.dtype(BYTES[tensors[n][1]])) for n, shape in self._shapes.items()
        }
        session = self._engine._session
        names = [output.name for output in session.get_outputs()]
        return {n: v.shape for n, v in zip(names, session.run(names, feeds), strict=True)}


class FakeICudaEngine(Checked):
    def __init__(self, stand_in: StandIn, real: Any, model: Path) -> None:
        super().__init__(stand_in, real)
        session = _session(str(model))
        kinds = {"tensor(float)": "FLOAT", "tensor(float16)": "HALF", "tensor(int64)": "INT64"}
        kinds |= {"tensor(bool)": "BOOL", "tensor(int32)": "INT32"}
        tensors = {
            item.name: (
                mode,
                kinds[item.type],
                tuple(n if isinstance(n, int) else -1 for n in item.shape),
            )
            for mode, items in (("INPUT", session.get_inputs()), ("OUTPUT", session.get_outputs()))
            for item in items
        }
        for name, value in (("_session", session), ("_tensors", tensors)):
            object.__setattr__(self, name, value)

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self._s.trt.TensorIOMode.__members__[self._tensors[name][0]]

    def get_tensor_dtype(self, name: str) -> Any:
        return self._s.trt.DataType.__members__[self._tensors[name][1]]

    def get_tensor_shape(self, name: str) -> Any:
        return self._s.trt.Dims(self._tensors[name][2])

    def get_tensor_location(self, name: str) -> Any:
        return self._s.trt.TensorLocation.DEVICE

    def get_aliased_input_tensor(self, name: str) -> Any:
        return self._alias(name)

    def create_runtime_config(self) -> Any:
        return FakeIRuntimeConfig(self._s, self._s.trt.IRuntimeConfig)

    def create_execution_context(self, **named: Any) -> Any:
        graphs = self._s.trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        assert named["runtime_config"].cuda_graph_strategy == graphs
        context = FakeIExecutionContext(self._s, self._s.trt.IExecutionContext, self)
        context._made_with(named["runtime_config"])
        return context

    def _alias(self, name: str) -> str | None:
        return name.replace("present", "past_key_values") if name.startswith("present") else None


class FakeRuntime(Checked):
    def get_engine_validity(self, buffer: Any) -> tuple[Any, int]:
        trt = self._s.trt
        if bytes(buffer) not in self._s.models:
            malformed = trt.EngineInvalidityDiagnostics.MALFORMED_ENGINE
            return trt.EngineValidity.INVALID, int(malformed)
        return trt.EngineValidity.VALID, 0

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        model = self._s.models[bytes(serialized_engine)]
        return FakeICudaEngine(self._s, self._s.trt.ICudaEngine, model)


_opened: dict[str, Any] = {}


def _session(model: str) -> Any:
    if model not in _opened:
        options = runtime().SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "0")
        _opened[model] = runtime().InferenceSession(model, options)
    return _opened[model]


def install(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Puts the stand-in where the real driver and the real runtime would be; skips without them."""
    driver = pytest.importorskip("cuda.bindings.driver")
    trt = pytest.importorskip("tensorrt_rtx")
    stand_in = StandIn(driver, trt)

    def make_runtime(*arguments: Any, **named: Any) -> Any:
        bind(trt.Runtime.__init__, arguments, named)
        if stand_in.called("Runtime"):
            if isinstance(stand_in.failure, Exception):
                raise stand_in.failure
            return stand_in.failure
        return FakeRuntime(stand_in, trt.Runtime)

    class Module:
        Runtime = staticmethod(make_runtime)

        def __getattr__(self, name: str) -> Any:
            return getattr(trt, name)

    fake = FakeDriver(stand_in)
    monkeypatch.setattr(cuda_driver, "library", lambda: fake)
    module = Module()
    monkeypatch.setattr(tensorrt_engine, "library", lambda: module)
    return stand_in
