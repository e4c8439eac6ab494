"""Compiling one graph, by the real compiler and without a GPU; what it must not do in silence."""

import dataclasses
import errno
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.errors import DeviceError, ExportError
from export import tensorrt, tensorrt_process
from export.tensorrt import Job, chosen_archs, compile_graph, load_compiler, this_arch
from export.tensorrt_process import compile_apart
from tests import gpu_stand_in

needs_compiler = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="tensorrt_rtx is not installed: pip install 'vl2[tensorrt]'",
)
HALF, LONG = TensorProto.FLOAT16, TensorProto.INT64


def save(path: Path, nodes: list[Any], tensors: dict[str, Any], outputs: dict[str, Any]) -> Job:
    """Write a graph and return the job of compiling it."""

    def infos(named: dict[str, Any]) -> list[Any]:
        return [helper.make_tensor_value_info(name, *kind) for name, kind in named.items()]

    weights = [numpy_helper.from_array(np.ones((16, 16), np.float16), "w")]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes, "g", infos(tensors), infos(outputs), weights if "w" in used else []
    )
    opsets = [helper.make_opsetid("", 24)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=11), path)
    names = {HALF: "float16", LONG: "int64"}
    declared = [
        {name: (names[kind], tuple(shape)) for name, (kind, shape) in side.items()}
        for side in (tensors, outputs)
    ]
    free = [name for name, (_, shape) in tensors.items() if "L" in shape]
    profiles = {name: tuple(with_length(tensors[name][1], n) for n in (1, 1, 64)) for name in free}
    return Job("rtx", "sm89", path, path.with_suffix(".engine"), *declared, profiles)


def with_length(shape: list[int | str], length: int) -> tuple[int, ...]:
    return tuple(length if axis == "L" else int(axis) for axis in shape)


@pytest.fixture
def product(tmp_path: Path) -> Job:
    """A matrix product of a free length."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    kind = (HALF, ["L", 16])
    return save(tmp_path / "product.onnx", nodes, {"x": kind}, {"y": kind})


def attention(path: Path) -> Job:
    """Attention over a cache of which only so many keys count: the form that is misread."""
    cache = (HALF, [1, 2, 64, 16])
    nodes = [
        helper.make_node("TensorScatter", [f"past_{p}", p, "at"], [f"present.{p}"], axis=2)
        for p in "kv"
    ]
    inputs = ["q", "present.k", "present.v", "", "", "", "length"]
    nodes.append(helper.make_node("Attention", inputs, ["y"], is_causal=1))
    tensors = {"q": (HALF, [1, 4, "L", 16]), "past_k": cache, "past_v": cache}
    tensors |= {p: (HALF, [1, 2, "L", 16]) for p in "kv"}
    tensors |= {"at": (LONG, [1]), "length": (LONG, [1])}
    outputs = {"y": (HALF, [1, 4, "L", 16]), "present.k": cache, "present.v": cache}
    return save(path, nodes, tensors, outputs)


@needs_compiler
def test_a_graph_is_compiled_in_a_process_of_its_own(product: Job) -> None:
    made = compile_apart(product)
    assert made.size == product.engine.stat().st_size > 1000
    assert made.inputs == {"x": ("float16", ("L", 16))}
    assert made.outputs == {"y": ("float16", ("L", 16))}
    assert made.weights_bytes >= 16 * 16 * 2
    assert made.activation_bytes >= 0
    module, compiler = load_compiler("rtx")
    assert compiler.version == module.__version__


@needs_compiler
def test_an_input_that_the_compiler_drops_fails_the_build(tmp_path: Path) -> None:
    module, _ = load_compiler("rtx")
    job = attention(tmp_path / "attention.onnx")
    with pytest.raises(ExportError, match=r"leaves the input length unused"):
        compile_graph(module, job)
    assert not job.engine.exists()


@needs_compiler
def test_a_cache_that_would_be_copied_fails_the_build(tmp_path: Path) -> None:
    module, _ = load_compiler("rtx")
    nodes = [helper.make_node("Add", ["past", "past"], ["present.0.key"])]
    cache = (HALF, [1, 2, 64, 16])
    job = save(tmp_path / "copied.onnx", nodes, {"past": cache}, {"present.0.key": cache})
    with pytest.raises(ExportError, match="writes 0 of 1 caches in place"):
        compile_graph(module, job)


@needs_compiler
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"inputs": {"x": ("float32", ("L", 16))}}, "reads x as float16"),
        ({"inputs": {"x": ("float16", ("L", 8))}}, r"reads x as float16 \(-1, 16\)"),
        ({"inputs": {"x": ("float16", ("L",))}}, "reads x"),
        ({"outputs": {"z": ("float16", ("L", 16))}}, "has y on one side alone"),
        ({"profiles": {"x": ((1, 16), (1, 16), (1, 99))}}, "cannot be compiled for sm89"),
        ({"profiles": {}}, "cannot be compiled for sm89"),
        ({"graph": Path("nowhere.onnx")}, r"nowhere\.onnx cannot be compiled"),
    ],
    ids=["dtype", "size", "rank", "name", "profile", "no profile", "no file"],
)
def test_what_is_not_as_declared(product: Job, changes: dict[str, Any], sentence: str) -> None:
    module, _ = load_compiler("rtx")
    with pytest.raises(ExportError, match=sentence) as caught:
        compile_graph(module, dataclasses.replace(product, **changes))
    assert "\n" not in str(caught.value)
    assert not product.engine.exists()


@needs_compiler
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_an_error_of_the_disk(product: Job) -> None:
    product.engine.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        compile_apart(product)
    assert caught.value.errno == errno.ENOSPC
    assert not product.engine.is_symlink()
    assert Path("/dev/full").exists()


def test_a_compiler_that_is_ended_from_outside(
    product: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(module: str) -> subprocess.Popen[bytes]:
        code = "import os, signal, sys; sys.stdin.readline(); os.kill(os.getpid(), signal.SIGKILL)"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen([sys.executable, "-c", code], **pipes))
        return started[0]

    monkeypatch.setattr(tensorrt_process, "start", start)
    product.engine.write_bytes(b"half of it")
    with pytest.raises(ExportError, match=r"was ended while it worked .* lack of memory"):
        compile_apart(product)
    assert not product.engine.exists()


def test_an_interrupted_wait_ends_the_compiler(
    product: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def interrupted(*_: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(tensorrt_process, "start", lambda module: sleeper)
    monkeypatch.setattr(tensorrt_process, "_converse", interrupted)
    product.engine.write_bytes(b"half of it")
    with pytest.raises(KeyboardInterrupt):
        compile_apart(product)
    assert sleeper.poll() is not None
    assert not product.engine.exists()


@needs_compiler
@pytest.mark.parametrize("error", [RuntimeError, ValueError])
@pytest.mark.parametrize("at", ["parse_from_file", "set_shape", "build_serialized_network"])
def test_what_the_compiler_raises_is_its_refusal(
    product: Job, error: type[Exception], at: str
) -> None:
    module, _ = load_compiler("rtx")

    def failing(*_: object) -> None:
        raise error("the compiler\ngave up")

    class Part:
        """A part of the compiler, one of whose methods fails."""

        def __init__(self, real: Any) -> None:
            self.real = real

        def __getattr__(self, name: str) -> Any:
            return failing if name == at else getattr(self.real, name)

    class Builder(Part):
        def create_optimization_profile(self) -> Any:
            real = self.real.create_optimization_profile()
            return Part(real) if at == "set_shape" else real

    class Module(Part):
        def Builder(self, logger: Any) -> Any:
            return Builder(self.real.Builder(logger))

        def OnnxParser(self, network: Any, logger: Any) -> Any:
            return Part(self.real.OnnxParser(network, logger))

    with pytest.raises(ExportError, match=r"for sm89 \(the compiler gave up\); the graph goes"):
        compile_graph(Module(module), product)
    assert not product.engine.exists()


def test_the_memory_of_an_engine_is_all_that_the_compiler_says() -> None:
    log = tensorrt._Log()
    said = {"Total Activation": 1000, "Max Scratch": 400, "Total Device Persistent": 70}
    for kind, size in {**said, "Total Host Persistent": 5, "Total Weights": 9}.items():
        log.note(False, f"{kind} Memory: {size} bytes")
    assert log.working_bytes() == 1070  # Scratch memory is a part of the activations.
    assert log.memory["Total Weights"] == 9
    log.note(False, "Max Scratch Memory: 3000 bytes")
    assert log.working_bytes() == 3070


@needs_compiler
@pytest.mark.parametrize("silent", ["Max Scratch", "Total Device Persistent"])
def test_an_engine_whose_memory_nobody_knows_is_not_taken(
    product: Job, monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    module, _ = load_compiler("rtx")
    real = tensorrt._Log.note
    monkeypatch.setattr(
        tensorrt._Log,
        "note",
        lambda self, bad, said: None if said.startswith(silent) else real(self, bad, said),
    )
    with pytest.raises(ExportError, match="does not name its memory"):
        compile_graph(module, product)


def test_plain_tensorrt_without_a_gpu(product: Job) -> None:
    class Logger:
        ERROR, INTERNAL_ERROR = 1, 2

    def builder(logger: Any) -> None:
        logger.log(Logger.ERROR, "CUDA initialization failure\nwith error: 35")
        raise TypeError("factory function returned nullptr")

    module = SimpleNamespace(ILogger=Logger, Builder=builder)
    with pytest.raises(ExportError, match=r"\(CUDA initialization failure with error: 35\)"):
        compile_graph(module, dataclasses.replace(product, flavour="classic"))


@needs_compiler
def test_both_flavours_go_through_the_same_calls(product: Job) -> None:
    module, _ = load_compiler("rtx")
    asked: list[str] = []

    class Config:
        def add_optimization_profile(self, profile: Any) -> int:
            return 0

        def __setattr__(self, name: str, value: object) -> None:
            asked.append(name)

        def set_compute_capability(self, *_: object) -> None:
            asked.append("set_compute_capability")

    logger = module.Logger(module.Logger.ERROR)
    real = module.Builder(logger)
    builder = SimpleNamespace(
        create_builder_config=Config, create_optimization_profile=real.create_optimization_profile
    )
    log = tensorrt._Log()
    tensorrt._configured(module, builder, dataclasses.replace(product, flavour="classic"), log)
    assert asked == []
    tensorrt._configured(module, builder, product, log)
    assert asked == ["num_compute_capabilities", "set_compute_capability"]


def test_architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_archs("sm89,sm120,sm89", "rtx") == ["sm89", "sm120"]
    assert chosen_archs("all", "rtx") == ["sm75", "sm80", "sm86", "sm89", "sm120", "sm121"]
    with pytest.raises(ExportError, match="does not compile for 'sm70'"):
        chosen_archs("sm89,sm70", "rtx")
    monkeypatch.setattr(tensorrt, "this_arch", lambda: "sm90")
    assert chosen_archs("this", "classic") == ["sm90"]
    with pytest.raises(ExportError, match="for the GPU at hand alone, which is sm90"):
        chosen_archs("sm89", "classic")
    with pytest.raises(ExportError, match="does not compile for 'sm90'"):
        chosen_archs("this", "rtx")


@pytest.mark.parametrize(
    ("answer", "arch"), [("8.9", "sm89"), ("12.0\n8.6", "sm120"), ("", None), ("N/A", None)]
)
def test_the_gpu_that_is_here(
    answer: str, arch: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{answer}\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    if arch is not None:
        assert this_arch() == arch
        return
    with pytest.raises(ExportError, match="no NVIDIA GPU to build engines for"):
        this_arch()


def test_cuda_s_first_gpu_is_the_one_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu_stand_in.install(monkeypatch)  # CUDA's: sm89.
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '8.6\\n8.9\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert this_arch() == "sm89"
    monkeypatch.setattr(tensorrt, "engine_gpu", no_gpu)
    assert this_arch() == "sm86"


def no_gpu() -> Any:
    raise DeviceError("There is no NVIDIA GPU here.")


def test_a_compiler_that_is_not_installed() -> None:
    with pytest.raises(ExportError, match=r"package tensorrt, which cannot be .*install it"):
        load_compiler("classic")
