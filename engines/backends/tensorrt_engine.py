"""TensorRT for RTX: one compiled engine on a GPU, with its execution context.

The library is imported when the first engine is opened. An engine arrives as bytes that
`engine_files.open_engine` vouched for, never as a path. Every call of the library goes through
`Engine.ask`, which turns what it refuses into our errors. Tested against the real package and a
stand-in for the GPU; not run on one yet.
"""

import mmap
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from engines.backends.cuda_driver import Device
from engines.engine_files import Compiler, EngineFile, build_anew
from engines.errors import DeviceError, DeviceMemoryError, EngineFileError
from engines.kernel_cache import read_kernels, write_kernels

T = TypeVar("T")

# The library's names of types to ours. NumPy has no bfloat16; nothing but the cache, which stays
# on the GPU, is ever of that type, and only its width matters here.
_TYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
# Why the library says that an engine cannot run here: bit of its diagnosis, and a phrase.
_REFUSALS = {
    "VERSION_MISMATCH": "another version of TensorRT built it",
    "UNSUPPORTED_CC": "it was built for another kind of GPU",
    "OLD_CUDA_DRIVER": "the GPU's driver is too old",
    "OLD_CUDA_RUNTIME": "CUDA is too old",
    "MALFORMED_ENGINE": "it is not an engine",
    "CUDA_ERROR": "the GPU's driver does not answer",
}


@lru_cache(maxsize=1)
def library() -> Any:
    """The module `tensorrt_rtx`, imported once.

    Raises:
        DeviceError: it is not installed, or its native library does not load.
    """
    try:
        import tensorrt_rtx
    except (ImportError, OSError) as error:
        raise DeviceError(
            f"TensorRT for RTX could not be loaded ({error}); install it with: pip install"
            " tensorrt-rtx-cu12 cuda-bindings."
        ) from error
    return tensorrt_rtx


def compiler() -> Compiler:
    """What runs engines here: only what the same version built.

    Raises:
        DeviceError: it is not installed.
    """
    return Compiler("rtx", str(library().__version__))


@lru_cache(maxsize=1)
def _logger() -> Any:
    # One for all engines, for good: the library wants it to outlive everything made with it.
    trt = library()

    class Log(trt.ILogger):  # type: ignore[misc, name-defined]
        """Keeps the errors of one call; stdout and stderr are ours."""

        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)

    return Log()


@dataclass(frozen=True)
class TensorType:
    """A tensor of an engine.

    Attributes:
        dtype: its type, by its name in a manifest.
        shape: -1 is a free axis.
        on_host: whether it lies in this computer's memory instead of the GPU's.
    """

    dtype: str
    shape: tuple[int, ...]
    on_host: bool


class Engine:
    """A compiled graph on a GPU, ready to run.

    Attributes:
        path: its file, for messages.
        device: the GPU.
        entry: what the list of engines says about it.
        inputs, outputs: its tensors by name, as the library has them.
    """

    def __init__(
        self,
        plan: mmap.mmap | bytes,
        entry: EngineFile,
        path: Path,
        device: Device,
        kernels: Path | None = None,
    ) -> None:
        """Puts an engine on a GPU.

        Args:
            plan: its bytes, as `engine_files.open_engine` gave them.
            entry: its entry in the list of engines.
            path: its file, for messages only.
            device: the opened GPU.
            kernels: where what is compiled for this GPU is kept; None keeps nothing.

        Raises:
            EngineFileError: it cannot run here, or is not what the list says.
            DeviceMemoryError: the GPU has no room for it.
            DeviceError: the library or the GPU failed.
        """
        self.path, self.device, self.entry = path, device, entry
        self._kernels, self._kernel_bytes = kernels, -1
        self._log = _logger()
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._settled = True
        device.activate()
        try:
            self._open(plan)
        except AttributeError as error:  # Of a version that has it no more.
            raise self._failure(Engine, str(error)) from error

    def _open(self, plan: mmap.mmap | bytes) -> None:
        self._runtime = self.ask(library().Runtime, self._log)
        self._refuse_unfit(plan)
        self._engine = self.ask(self._runtime.deserialize_cuda_engine, plan)
        self.inputs, self.outputs = self._tensors()
        self._check_tensors()
        self._config, self._cache, self._context = self._open_context()

    def ask(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Calls the library; None, False and its exceptions are failures.

        Raises:
            DeviceMemoryError: the GPU's memory is full.
            DeviceError: anything else.
        """
        self._log.errors.clear()
        try:
            value = function(*arguments, **named)
        except (RuntimeError, TypeError, ValueError, MemoryError) as error:
            raise self._failure(function, str(error)) from error
        if value is None or value is False:
            # The first is the cause, the others are what came of it.
            raise self._failure(function, next(iter(self._log.errors), ""))
        return value

    def set_input(self, name: str, shape: tuple[int, ...], address: int) -> None:
        """Says of which shape an input is and where it lies; it is kept until it is said anew."""
        if self._shapes.get(name) != shape:
            self._settled = False
            self.ask(self._context.set_input_shape, name, shape)
            self._shapes[name] = shape
        self.set_address(name, address)

    def set_address(self, name: str, address: int) -> None:
        """Says where an input or an output lies."""
        if self._addresses.get(name) != address:
            self.ask(self._context.set_tensor_address, name, address)
            self._addresses[name] = address

    def output_shape(self, name: str) -> tuple[int, ...]:
        """The shape of an output for the inputs as they are set.

        Raises:
            DeviceError: the library does not know it before it runs.
        """
        function = self._context.get_tensor_shape
        shape = tuple(int(n) for n in self.ask(function, name))
        if any(n < 0 for n in shape):
            raise self._failure(function, f"it does not know the shape of {name}")
        return shape

    def aliased_input(self, output: str) -> str:
        """The input in whose memory an output is written; empty if it has its own."""
        try:
            return self._engine.get_aliased_input_tensor(output) or ""
        except (RuntimeError, TypeError):
            return ""

    def execute(self) -> None:
        """Queues a run on the GPU's stream; every tensor must have its shape and address.

        Raises:
            DeviceError: a tensor is not set, or the library refused.
        """
        unset = [n for n in (*self.inputs, *self.outputs) if not self._addresses.get(n)]
        if not self._settled:
            unset += self.ask(self._context.infer_shapes)
        if unset:
            raise DeviceError(
                f"{self.path.name} cannot run: its tensor {unset[0]} is not set; report this, and"
                " use --device cpu."
            )
        self.ask(self._context.execute_async_v3, self.device.stream)
        fresh, self._settled = not self._settled, True
        if fresh:
            self._keep_kernels()

    def close(self) -> None:
        """Gives the GPU's memory back; the engine cannot be used any more."""
        # In this order: each was made by the next.
        self._context = self._cache = self._config = self._engine = self._runtime = None

    def __del__(self) -> None:
        # Let go without `close`, they would go in the order in which they came.
        with suppress(Exception):
            self.close()

    def _refuse_unfit(self, plan: mmap.mmap | bytes) -> None:
        trt = library()
        validity, diagnosis = self.ask(self._runtime.get_engine_validity, plan)
        if validity != trt.EngineValidity.INVALID:
            return
        reasons = trt.EngineInvalidityDiagnostics
        if diagnosis & int(reasons.INSUFFICIENT_GPU_MEMORY):
            raise self._failure(self._runtime.get_engine_validity, "out of memory")
        for name, phrase in _REFUSALS.items():
            if diagnosis & int(getattr(reasons, name)):
                raise EngineFileError(
                    f"{self.path} cannot run on this GPU: {phrase}; {build_anew(self.path)}."
                )

    def _tensors(self) -> tuple[dict[str, TensorType], dict[str, TensorType]]:
        trt, engine = library(), self._engine
        found: tuple[dict[str, TensorType], dict[str, TensorType]] = ({}, {})
        for index in range(engine.num_io_tensors):
            name = self.ask(engine.get_tensor_name, index)
            is_output = self.ask(engine.get_tensor_mode, name) == trt.TensorIOMode.OUTPUT
            kind = self.ask(engine.get_tensor_dtype, name).name
            shape = tuple(int(n) for n in self.ask(engine.get_tensor_shape, name))
            on_host = self.ask(engine.get_tensor_location, name) == trt.TensorLocation.HOST
            found[is_output][name] = TensorType(_TYPES.get(kind, kind), shape, bool(on_host))
        return found

    def _check_tensors(self) -> None:
        for declared, found in (
            (self.entry.inputs, self.inputs),
            (self.entry.outputs, self.outputs),
        ):
            wanted = {name: dtype for name, (dtype, _) in declared.items()}
            if wanted != {name: tensor.dtype for name, tensor in found.items()}:
                raise EngineFileError(
                    f"{self.path} does not have the inputs and outputs that its list says;"
                    f" {build_anew(self.path)}."
                )

    def _open_context(self) -> tuple[Any, Any, Any]:
        # Configuration and cache must live as long as the context that is made with them.
        trt = library()
        config = self.ask(self._engine.create_runtime_config)
        cache = self.ask(config.create_runtime_cache)
        kept = read_kernels(self._kernels) if self._kernels else None
        with suppress(DeviceError):  # Of another driver, or damaged: compiled anew.
            if kept is not None:
                self.ask(cache.deserialize, kept)
                self._kernel_bytes = len(kept)
        self.ask(config.set_runtime_cache, cache)
        # Compiled when a shape is first met, so that the kernels that passed the self-test are the
        # ones that answer; the callers see to it that shapes are few.
        specialise = trt.DynamicShapesKernelSpecializationStrategy
        name = "dynamic_shapes_kernel_specialization_strategy"
        self._configure(config, name, specialise.EAGER)
        # The library records the launches of a run and replays them while nothing changes.
        self._configure(config, "cuda_graph_strategy", trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE)
        context = self.ask(self._engine.create_execution_context, runtime_config=config)
        return config, cache, context

    def _configure(self, config: Any, name: str, value: Any) -> None:
        try:
            setattr(config, name, value)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise self._failure(setattr, f"{name}: {error}") from error

    def _keep_kernels(self) -> None:
        if self._kernels is None:
            return
        with suppress(DeviceError):  # Without it, the next start compiles again.
            blob = self.ask(self._cache.serialize)
            if blob.nbytes != self._kernel_bytes:
                self._kernel_bytes = blob.nbytes
                write_kernels(self._kernels, bytes(blob))

    def _failure(self, function: Callable[..., Any], text: str) -> DeviceError:
        name = getattr(function, "__name__", type(function).__name__)
        if any(_tells_full(said) for said in (text, *self._log.errors)):
            return DeviceMemoryError(
                f"The GPU's memory does not hold {self.path.name}; close other programs that use"
                " it, or use --device cpu."
            )
        detail = f": {_first_line(text)}" if text else ""
        return DeviceError(
            f"TensorRT failed with {self.path.name} ({name}{detail}); use --device cpu, or"
            f" {build_anew(self.path)}."
        )


def _tells_full(text: str) -> bool:
    # "OutOfMemory", "out of memory", CUDA_ERROR_OUT_OF_MEMORY, cudaErrorMemoryAllocation.
    plain = text.lower().replace(" ", "").replace("_", "")
    return "outofmemory" in plain or "errormemoryallocation" in plain


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0].strip().rstrip(".") if text.strip() else ""
