"""Compiles one ONNX graph by TensorRT for RTX, which needs no GPU for it, or by plain TensorRT.

Both have the same interface, so everything here takes the module. Compiling is done in a process
of its own (`export.tensorrt_process`): it takes memory that is not given back, and cannot be
interrupted from within.
"""

import hashlib
import importlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.devices import engine_gpu
from engines.engine_files import Compiler, Flavour, Sizes, Tensors
from engines.errors import DeviceError, ExportError

# For which TensorRT for RTX compiles ahead of time: Turing, Ampere, Ada, Blackwell.
ARCHS = ("sm75", "sm80", "sm86", "sm89", "sm120", "sm121")
# Turing takes neither int4 weights nor bfloat16, and no decoder in 16 bits fits on its cards.
NO_DECODER = frozenset({"sm75"})
MODULES: Mapping[Flavour, str] = {"rtx": "tensorrt_rtx", "classic": "tensorrt"}
INSTALL: Mapping[Flavour, str] = {
    "rtx": "pip install 'vl2[tensorrt]'",
    "classic": "pip install tensorrt, from NVIDIA's own index",
}
# As the manifest names them, by the compiler's own names.
DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
Profiles = dict[str, tuple[Sizes, Sizes, Sizes]]
_UNUSED = re.compile(r"Unused Input: (\S+)")
# What the compiler says of the memory that an engine will take. Its scratch memory is a part of its
# activations in all engines that were looked at; should it ever be more, it counts.
_MEMORY = re.compile(
    r"(Total Activation|Total Weights|Total Device Persistent|Max Scratch) Memory: (\d+) bytes"
)
_MEMORY_KINDS = 4
_COMPUTE_CAPABILITY = re.compile(r"(\d+)\.(\d)")


@dataclass(frozen=True)
class Job:
    """What is to be compiled.

    Attributes:
        flavour: By which of the two.
        arch: For which GPUs, such as "sm89".
        graph: The .onnx file.
        engine: Where the result goes.
        inputs: As the graph declares them, and so `outputs`; a str is a free axis.
        profiles: Least, usual and largest shape of each input with free axes.
    """

    flavour: Flavour
    arch: str
    graph: Path
    engine: Path
    inputs: Tensors
    outputs: Tensors
    profiles: Profiles


@dataclass(frozen=True)
class Compiled:
    """What came out: the file's size in bytes and hash, tensors as they were read back, memory."""

    size: int
    sha256: str
    inputs: Tensors
    outputs: Tensors
    weights_bytes: int
    activation_bytes: int
    build_s: float


def load_compiler(flavour: Flavour) -> tuple[Any, Compiler]:
    """Import the compiler.

    Returns:
        The module, and what engines it makes are run by.

    Raises:
        ExportError: it is not installed, or its native library does not load.
    """
    name = MODULES[flavour]
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ExportError(
            f"Engines need the package {name}, which cannot be loaded ({reason}); install it with:"
            f" {INSTALL[flavour]}."
        ) from error
    return module, Compiler(flavour, str(module.__version__))


def this_arch() -> str:
    """Return the architecture of the GPU that would run engines here, such as "sm89".

    CUDA counts GPUs in an order of its own, and the program runs engines on CUDA's first; where
    that cannot be asked, it is nvidia-smi's first.

    Raises:
        ExportError: there is none, or the driver does not tell.
    """
    with suppress(DeviceError):
        return engine_gpu().arch
    program = shutil.which("nvidia-smi")
    answer = ""
    if program is not None:
        query = [program, "--query-gpu=compute_cap", "--format=csv,noheader"]
        try:
            done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
            answer = done.stdout
        except (OSError, subprocess.SubprocessError):
            answer = ""
    found = _COMPUTE_CAPABILITY.match(answer.strip())
    if found is None:
        raise ExportError(
            "This machine has no NVIDIA GPU to build engines for; say for which with --arch, such"
            " as --arch sm89, or --arch all."
        )
    return f"sm{found[1]}{found[2]}"


def chosen_archs(asked: str, flavour: Flavour) -> list[str]:
    """Return the architectures that `--arch` names.

    Args:
        asked: Names with commas between, "all", or "this".
        flavour: Plain TensorRT compiles for the GPU at hand alone.

    Raises:
        ExportError: one is not known, or cannot be compiled for here.
    """
    if asked == "this" or flavour == "classic":
        here = this_arch()
        if asked not in ("this", here):
            raise ExportError(
                f"Plain TensorRT compiles for the GPU at hand alone, which is {here}; leave --arch"
                " out, or take --tensorrt-flavour rtx."
            )
        names = [here]
    else:
        names = list(ARCHS) if asked == "all" else asked.split(",")
    for name in names:
        if flavour == "rtx" and name not in ARCHS:
            raise ExportError(
                f"TensorRT for RTX does not compile for {name!r}; --arch takes"
                f" {', '.join(ARCHS)}, all or this."
            )
    return list(dict.fromkeys(names))


def compile_graph(trt: Any, job: Job) -> Compiled:
    """Compile a graph and write the engine.

    Args:
        trt: The module `tensorrt_rtx` or `tensorrt`.
        job: What.

    Raises:
        ExportError: the compiler does not take the graph, or left out a part of it.
        OSError: the disk is full or failed.
    """
    log = _Log()
    started = time.monotonic()
    builder, network, parser = _open(trt, log, job)
    if not _asked(job, log, parser.parse_from_file, os.fspath(job.graph)):
        raise _refused(job, parser.get_error(0).desc() if parser.num_errors else log.error)
    inputs = _read_back(network.num_inputs, network.get_input, job.inputs, job)
    outputs = _read_back(network.num_outputs, network.get_output, job.outputs, job)
    _check_caches(trt, network, outputs, job)
    config = _configured(trt, builder, job, log)
    plan = _asked(job, log, builder.build_serialized_network, network, config)
    if plan is None:
        raise _refused(job, log.error)
    if log.unused:
        # It would run and give wrong answers: nothing looks at what comes in there.
        raise _refused(job, f"it leaves the input {log.unused[0]} unused")
    content = memoryview(plan)
    # Without a GPU no engine can be opened; that it names all it takes and gives can be seen.
    missing = [n for n in (*inputs, *outputs) if not re.search(re.escape(n.encode()), content)]
    if missing or len(log.memory) < _MEMORY_KINDS:
        raise _refused(job, f"the engine does not name {', '.join(missing) or 'its memory'}")
    with job.engine.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return Compiled(
        size=content.nbytes,
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=inputs,
        outputs=outputs,
        weights_bytes=log.memory["Total Weights"],
        activation_bytes=log.working_bytes(),
        build_s=round(time.monotonic() - started, 2),
    )


@dataclass
class _Log:
    """What the compiler says, as far as it matters."""

    error: str = "it does not say why"
    unused: list[str] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)

    def note(self, is_error: bool, message: str) -> None:
        if is_error and "cudaError" not in message:
            self.error = message
        if found := _UNUSED.match(message):
            self.unused.append(found[1])
        if found := _MEMORY.match(message):
            self.memory[found[1]] = int(found[2])

    def working_bytes(self) -> int:
        """What a running context takes beside the weights: all that the compiler said of it."""
        moving = max(self.memory["Total Activation"], self.memory["Max Scratch"])
        return moving + self.memory["Total Device Persistent"]


def _open(trt: Any, log: _Log, job: Job) -> tuple[Any, Any, Any]:
    """Return builder, empty network and parser."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            log.note(severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR), message)

    logger = Logger()
    try:
        builder = trt.Builder(logger)
    except TypeError as error:  # What its bindings make of a null pointer.
        raise ExportError(
            f"Plain TensorRT cannot compile here ({_one_line(log.error)}): it needs the NVIDIA GPU"
            " and its driver; take --tensorrt-flavour rtx."
        ) from error
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    return builder, network, trt.OnnxParser(network, logger)


def _check_caches(trt: Any, network: Any, outputs: Tensors, job: Job) -> None:
    """Refuse a decoder whose cache would be copied for every token instead of written in place."""
    kinds = [network.get_layer(index).type for index in range(network.num_layers)]
    written = kinds.count(getattr(trt.LayerType, "KV_CACHE_UPDATE", None))
    wanted = sum(name.startswith("present.") for name in outputs)
    if written != wanted:
        raise _refused(job, f"it writes {written} of {wanted} caches in place")


def _configured(trt: Any, builder: Any, job: Job, log: _Log) -> Any:
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for name, (least, usual, most) in job.profiles.items():
        _asked(job, log, profile.set_shape, name, least, usual, most)
    if _asked(job, log, config.add_optimization_profile, profile) < 0:
        raise _refused(job, "its profile is not taken")
    if job.flavour == "rtx":
        config.num_compute_capabilities = 1
        arch = getattr(trt.ComputeCapability, job.arch.upper())
        _asked(job, log, config.set_compute_capability, arch, 0)
    return config


def _asked(job: Job, log: _Log, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the compiler; what it raises is its refusal, and nothing else is taken for one."""
    try:
        return function(*arguments)
    except (RuntimeError, ValueError) as error:
        raise _refused(job, str(error) or log.error) from error


def _read_back(
    count: int, get: Callable[[int], Any], declared: Tensors, job: Job
) -> dict[str, tuple[str, tuple[int | str, ...]]]:
    """Return the tensors of the compiler's network, which must be those that the graph declares."""
    tensors = [get(index) for index in range(count)]
    found = {tensor.name: tensor for tensor in tensors}
    if set(found) != set(declared):
        odd = sorted(set(found) ^ set(declared))
        raise _refused(job, f"it has {odd[0]} on one side alone")
    read: Tensors = {}
    for name, (dtype, shape) in declared.items():
        kind, sizes = DTYPES.get(found[name].dtype.name), tuple(found[name].shape)
        # An output's axis may be free to the compiler where the graph has it fixed.
        fits = len(sizes) == len(shape) and all(
            size < 0 or isinstance(axis, str) or size == axis
            for size, axis in zip(sizes, shape, strict=True)
        )
        if kind != dtype or not fits:
            raise _refused(job, f"it reads {name} as {kind} {sizes}, not as {dtype} {shape}")
        read[name] = (
            dtype,
            tuple(size if size >= 0 else axis for size, axis in zip(sizes, shape, strict=True)),
        )
    return read


def _refused(job: Job, reason: str) -> ExportError:
    return ExportError(
        f"{job.graph.name} cannot be compiled for {job.arch} ({_one_line(reason)}); the graph goes"
        " on answering through ONNX Runtime, and the compiler's message is worth a report."
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300].rstrip(".")
