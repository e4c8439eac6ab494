"""ONNX Runtime: graphs opened as sessions, and the decoder with its cache written in place.

The library is imported when the first session is opened, never before, with its telemetry off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.errors import BundleError, Cancelled, DeviceError, Vl2Error
from engines.kv_cache import grow_arrays
from engines.offline import go_offline

Array = NDArray[Any]

# Execution providers that serve a device, the preferred one first. "cpu" needs none but the CPU's.
PROVIDERS: dict[str, tuple[str, ...]] = {
    "cpu": (),
    "cuda": ("CUDAExecutionProvider",),
}
# What to do where a device has no provider.
INSTALL = {"cuda": "install onnxruntime-gpu with its CUDA libraries"}
_DTYPES: dict[str, DTypeLike] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}
# Weights stay as they lie in the file, which is mapped.
_UNPACKED = {"session.disable_prepacking": "1"}
# Where the external data of a graph lie that is not read from a file.
_DATA_FOLDER = "session.model_external_initializers_file_folder_path"


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a graph; a dimension that may vary is a name."""

    shape: tuple[int | str, ...]
    dtype: np.dtype[Any]


@lru_cache(maxsize=1)
def runtime() -> Any:
    """The onnxruntime module, imported once with telemetry off.

    Raises:
        DeviceError: it is not installed, or its native library does not load.
    """
    go_offline()  # The switches are read once, when the library initialises.
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(
            f"ONNX Runtime could not be loaded ({error}); install it with: pip install onnxruntime."
        ) from error
    onnxruntime.set_default_logger_severity(4)  # Failures arrive as exceptions; stderr is ours.
    return onnxruntime


def runtime_version() -> str:
    """The version of the installed ONNX Runtime."""
    return str(runtime().__version__)


def available_providers() -> list[str]:
    """Execution providers that the installed ONNX Runtime was built with."""
    return [str(name) for name in runtime().get_available_providers()]


@lru_cache(maxsize=1)
def _runtime_errors() -> tuple[type[Exception], ...]:
    # The library's exceptions share no base class of their own.
    runtime()
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = (getattr(state, name) for name in dir(state))
    own = [c for c in found if isinstance(c, type) and issubclass(c, Exception)]
    return (*own, RuntimeError, ValueError)


class Session:
    """One opened graph: named arrays in, named arrays out."""

    def __init__(self, native: Any, path: Path) -> None:
        self.native = native
        self.path = path
        self.inputs = _tensor_infos(native.get_inputs())
        self.outputs = _tensor_infos(native.get_outputs())
        self.providers: list[str] = list(native.get_providers())
        self.options, self._shrinking = runtime().RunOptions(), runtime().RunOptions()
        # An encoder's activations are large and it runs once per clip: give the memory back.
        self._shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the graph once.

        Args:
            feeds: an array for every input, in the input's dtype.

        Raises:
            DeviceError: the library refused the arrays or failed.
            Cancelled: `stop` was called meanwhile.
        """
        try:
            values = self.native.run(None, dict(feeds), self._shrinking)
        except _runtime_errors() as error:
            raise self.failure(error) from error
        return dict(zip(self.outputs, values, strict=True))

    def stop(self) -> None:
        """Ends a run that another thread is in, between two operators; the next run if none is."""
        self.options.terminate = self._shrinking.terminate = True

    def resume(self) -> None:
        """Takes an earlier `stop` back."""
        self.options.terminate = self._shrinking.terminate = False

    def failure(self, error: Exception) -> Vl2Error:
        """What an exception of the library means to a user."""
        if self.options.terminate:
            return Cancelled("The work was stopped.")
        return DeviceError(
            f"{self.path.name} failed while running ({_first_line(error)}); try a shorter clip, or"
            " --device cpu."
        )


def open_session(
    path: Path,
    device: str = "cpu",
    threads: int | None = None,
    entries: Mapping[str, str] | None = None,
    save_to: Path | None = None,
    model: bytes | None = None,
) -> Session:
    """Opens a graph.

    Args:
        path: the `.onnx` file; its external data lie beside it.
        device: "cpu" or "cuda", already chosen (see `engines.devices.resolve`).
        threads: threads inside an operator; None means one per physical core.
        entries: further session settings by the library's own keys.
        save_to: where to write the graph as it was optimised.
        model: a graph to open in the place of the file's, over the same external data.

    Raises:
        DeviceError: the device is not there, or the graph cannot be opened on it.
    """
    ort = runtime()
    wanted = provider(device)
    if wanted and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # Finds the CUDA libraries that pip installed.
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    for key, value in (entries or {}).items():
        options.add_session_config_entry(key, value)
    if save_to is not None:
        options.optimized_model_filepath = str(save_to)
    if model is not None:
        options.add_session_config_entry(_DATA_FOLDER, str(path.parent))
    providers = [*([wanted] if wanted else []), "CPUExecutionProvider"]
    try:
        # Its Python wrapper would print to stdout and change to the CPU in silence.
        native = ort.InferenceSession(
            model or str(path), options, providers=providers, enable_fallback=0
        )
    except MemoryError as error:
        raise DeviceError(
            f"There is not enough memory to open {path.name}; close other programs or use a"
            " smaller bundle."
        ) from error
    except _runtime_errors() as error:
        raise DeviceError(
            f"ONNX Runtime {ort.__version__} cannot open {path} ({_first_line(error)}); export the"
            " bundle again or install the version in constraints.txt."
        ) from error
    if wanted and wanted not in native.get_providers():
        raise DeviceError(
            f"{device} was asked for but ONNX Runtime fell back to the CPU for {path.name};"
            f" {INSTALL[device]}, or use --device cpu."
        )
    return Session(native, path)


def save_ready(path: Path, folder: Path, packed: bool) -> None:
    """Writes a graph into a folder as this library wants it on this CPU, for `open_ready`.

    Args:
        path: the `.onnx` file.
        folder: gets a file of the same name and one of its weights (`.data`).
        packed: write the weights a second time, packed for the CPU's products. The originals stay:
            the library packs them at each opening to find the packed ones by their hash.

    Raises:
        DeviceError: it cannot be opened or written; the disk may be full.
    """
    weights = "session.optimized_model_external_initializers_file_name"
    entries = {weights: f"{path.stem}.data"} | ({} if packed else _UNPACKED)
    if packed:
        entries["session.save_external_prepacked_constant_initializers"] = "1"
    open_session(path, entries=entries, save_to=folder / path.name)


def open_ready(path: Path, threads: int | None, packed: bool) -> Session:
    """Opens what `save_ready` wrote, with the same `packed`: its weights are mapped.

    Raises:
        DeviceError: it cannot be opened.
    """
    return open_session(path, "cpu", threads, {} if packed else _UNPACKED)


class DecoderSession:
    """The decoder graph bound to a cache: keys and values are written where they are kept.

    Raises BundleError when the graph does not have a decoder's inputs and outputs.

    Past and present of a layer are bound to the same array, so no token copies the cache. Arrays
    for one token are bound once and rewritten in place; only a chunk of several tokens binds anew.
    """

    grow = staticmethod(grow_arrays)

    def __init__(self, session: Session) -> None:
        self.session = session
        self.layers = sum(name.endswith(".key") for name in session.outputs)
        try:
            key = session.inputs["past_key_values.0.key"]
            hidden = session.inputs["inputs_embeds"].shape[-1]
            vocab = session.outputs["logits"].shape[-1]
            _, kv_heads, _, head_dim = key.shape
        except (KeyError, IndexError, ValueError) as error:
            raise _no_decoder(session.path) from error
        if not (
            isinstance(hidden, int)
            and isinstance(vocab, int)
            and isinstance(kv_heads, int)
            and isinstance(head_dim, int)
        ):
            raise _no_decoder(session.path)
        self.cache_dtype: np.dtype[Any] = key.dtype
        self.kv_heads, self.head_dim = kv_heads, head_dim
        self._seqlens_k = np.zeros(1, np.int32)
        self._total = np.zeros((), np.int32)
        self._keep = np.ones((), np.int64)
        self._embed = np.zeros((1, 1, hidden), np.float32)
        self._logits = np.zeros((1, 1, vocab), np.float32)
        self._next: Array = self._logits.reshape(vocab)
        self._bound: Sequence[Array] | None = None
        self._one = self._chunk = session.native.io_binding()

    def run(self, inputs_embeds: Array, past: int, cache: Sequence[Array]) -> Array:
        """Appends tokens to the cache and returns what comes next.

        Args:
            inputs_embeds: (1, L, H) float32.
            past: tokens already in the cache; new ones are written behind them.
            cache: key and value of every layer in turn, each (1, kv_heads, capacity, head_dim) of
                `cache_dtype`; written in place from position `past` to `past + L`.

        Returns:
            Logits (vocab,) float32 after the last token: a view that the next call overwrites.

        Raises:
            DeviceError: the library failed.
            Cancelled: the session was stopped meanwhile.
        """
        if cache is not self._bound:
            self._bind(cache)
        length = inputs_embeds.shape[1]
        self._total[...] = past + length
        self._seqlens_k[0] = past + length - 1
        if length == 1:
            binding = self._one
            self._embed[...] = inputs_embeds
        else:
            binding = self._chunk
            binding.bind_cpu_input("inputs_embeds", np.ascontiguousarray(inputs_embeds, np.float32))
        try:
            self.session.native.run_with_iobinding(binding, self.session.options)
        except _runtime_errors() as error:
            raise self.session.failure(error) from error
        return self._next

    def _bind(self, cache: Sequence[Array]) -> None:
        value = runtime().OrtValue.ortvalue_from_numpy  # On the CPU it shares the array's memory.
        self._one = self.session.native.io_binding()
        self._chunk = self.session.native.io_binding()
        self._one.bind_ortvalue_input("inputs_embeds", value(self._embed))
        for binding in (self._one, self._chunk):
            binding.bind_ortvalue_input("seqlens_k", value(self._seqlens_k))
            binding.bind_ortvalue_input("total_sequence_length", value(self._total))
            binding.bind_ortvalue_input("logits_to_keep", value(self._keep))
            binding.bind_ortvalue_output("logits", value(self._logits))
            for index, array in enumerate(cache):
                layer, part = divmod(index, 2)
                name = f"{layer}.{('key', 'value')[part]}"
                shared = value(array)
                binding.bind_ortvalue_input(f"past_key_values.{name}", shared)
                binding.bind_ortvalue_output(f"present.{name}", shared)
        self._bound = cache


def provider(device: str) -> str | None:
    """The execution provider that serves a device of `PROVIDERS`; None for the CPU.

    Raises:
        DeviceError: the installed ONNX Runtime has none; the message says what to install.
    """
    candidates = PROVIDERS[device]
    available = available_providers()
    for name in candidates:
        if name in available:
            return name
    if candidates:
        raise DeviceError(
            f"{device} cannot be used: ONNX Runtime {runtime_version()} was built without it;"
            f" {INSTALL[device]}, or use --device cpu."
        )
    return None


def _no_decoder(path: Path) -> BundleError:
    return BundleError(
        f"{path} does not have a decoder's inputs and outputs; export the bundle again."
    )


def _tensor_infos(native: Sequence[Any]) -> dict[str, TensorInfo]:
    return {
        item.name: TensorInfo(
            tuple(d if isinstance(d, int) else str(d) for d in item.shape),
            np.dtype(_DTYPES[item.type]),
        )
        for item in native
    }


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].strip().rstrip(".") if text else type(error).__name__
