import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import engines
from assets import demo_bundle
from engines import devices, sessions
from engines.backends import onnxruntime as backend
from engines.backends import tensorrt_engine
from engines.bundle import open_bundle, read_bundle
from engines.config import ClipOptions
from engines.devices import (
    engine_gpu,
    machine,
    nvidia_gpus,
    onnx_device,
    part_devices,
    resolve,
)
from engines.errors import DeviceError
from engines.events import Result
from engines.messages import clip_message
from engines.placement import CONTEXT_BYTES
from engines.sampling import GenerateOptions
from tests import gpu_stand_in


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with_provider(monkeypatch, "CPUExecutionProvider")
    monkeypatch.setattr(devices.shutil, "which", lambda _: None)
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda _: None)


def with_provider(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for module in (devices, backend):
        monkeypatch.setattr(module, "available_providers", lambda: list(names))


def with_gpu(monkeypatch: pytest.MonkeyPatch, output: str = "RTX, 8192 MiB, 580\n") -> None:
    monkeypatch.setattr(devices.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(devices.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=output))


def test_auto_is_the_cpu_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("auto").name == resolve("cpu").name == "cpu"
    assert resolve("auto").reason == "The model runs on the CPU."
    with_gpu(monkeypatch)
    assert resolve("auto").name == "cpu"
    assert "install onnxruntime-gpu" in resolve("auto").reason


def test_auto_takes_cuda_for_the_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu(monkeypatch)
    with_provider(monkeypatch, "CUDAExecutionProvider")
    found = resolve("auto")
    assert (found.name, found.asked) == ("cuda", False)
    assert onnx_device(found, "vision_tower") == "cuda"
    assert onnx_device(found, "decoder_exact") == "cpu"
    assert onnx_device(resolve("cuda"), "decoder") == "cuda"  # As asked.
    config = read_bundle(demo_bundle()).config
    assert [p.device for p in part_devices(config)] == ["cuda", "cuda", "cuda", "cpu"]


def test_auto_takes_compiled_engines_where_they_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: name)
    assert resolve("auto").name == "cpu"  # The library is here, but no driver.
    gpu_stand_in.install(monkeypatch)
    found = resolve("auto")
    assert found.name == "tensorrt"
    # What has no engine runs on CUDA, where ONNX Runtime has it.
    assert [onnx_device(found, part) for part in ("audio", "decoder")] == ["cpu", "cpu"]
    with_provider(monkeypatch, "CUDAExecutionProvider")
    assert [onnx_device(found, part) for part in ("audio", "decoder")] == ["cuda", "cpu"]
    assert engine_gpu().arch == "sm89"


def ask(bundle: Path, device: str) -> Result:
    model = engines.load(bundle, device, threads=1, keep_encodings=False)
    question = clip_message(ClipOptions(Path("film.mp4")), "What is it?")
    *_, result = model.generate([question], GenerateOptions(max_new_tokens=6, ignore_eos=True))
    assert isinstance(result, Result)
    return result


def on_cuda(monkeypatch: pytest.MonkeyPatch, when: str, *graphs: str) -> None:
    """Stands for ONNX Runtime's CUDA, which is not here: of some graphs it runs out of memory."""
    real = sessions.open_session

    def full(*_: Any) -> None:
        raise DeviceError("The GPU has no room for it.")

    def opened(path: Path, device: str, threads: int | None) -> backend.Session:
        fails = device == "cuda" and path.stem in graphs
        if fails and when == "opened":
            full()
        session = real(path, "cpu", threads)
        if fails and when == "run":
            monkeypatch.setattr(session, "run", full)
        return session

    with_gpu(monkeypatch)
    with_provider(monkeypatch, "CPUExecutionProvider", "CUDAExecutionProvider")
    monkeypatch.setattr(sessions, "open_session", opened)


@pytest.mark.parametrize("when", ["opened", "run"])
def test_a_graph_that_cuda_has_no_room_for_goes_on_on_the_cpu(
    tiny_bundle: Path, fake_media: Any, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    wanted = ask(tiny_bundle, "cpu").token_ids
    on_cuda(monkeypatch, when, "projector", "audio")
    found = ask(tiny_bundle, "auto")
    assert found.token_ids == wanted
    places = {part.part: part for part in found.devices}
    assert [part.device for part in found.devices] == ["cuda", "cpu", "cpu", "cpu"]
    said = "The encoders run on the GPU (CUDA), the language model runs on the CPU."
    assert places["vision_tower"].reason == places["decoder"].reason == said
    assert places["audio"].reason == f"{said} The GPU has no room for it."
    # Who asks for it by name is told that it does not work.
    with pytest.raises(DeviceError, match="no room for it"):
        ask(tiny_bundle, "cuda")


def test_what_left_the_gpu_counts_as_open_on_the_cpu(
    tiny_bundle: Path, fake_media: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cuda(monkeypatch, "run", "audio")
    model = engines.load(tiny_bundle, "auto", threads=1, keep_encodings=False)
    model.encode_audio(np.zeros((1, 8, 128), np.float32))
    assert model.sessions.on_cpu() == {"audio": False}


@pytest.mark.parametrize(
    ("device", "memory", "places", "reason"),
    [
        ("auto", "8192 MiB", ["gpu", "gpu", "gpu", "cpu", "cpu", "gpu"], "The decoder would move"),
        ("cuda", "8192 MiB", ["gpu"] * 6, "Everything fits on the GPU."),
        ("cuda", "[N/A]", ["cpu"] * 5, "Everything runs on the CPU."),
        ("cpu", "8192 MiB", ["cpu"] * 5, "Everything runs on the CPU."),
    ],
)
def test_the_plan_of_memory_knows_cuda(
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    memory: str,
    places: list[str],
    reason: str,
) -> None:
    with_provider(monkeypatch, "CPUExecutionProvider", "CUDAExecutionProvider")
    with_gpu(monkeypatch, f"{memory}\n")
    planned = sessions.Sessions(open_bundle(tiny_bundle), resolve(device), None).plan(None)
    assert [row.where for row in planned.rows] == places
    assert planned.reason.startswith(reason)
    if len(places) == 6:
        assert planned.rows[-1].nbytes == CONTEXT_BYTES


def test_tensorrt_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_stand_in.install(monkeypatch)
    monkeypatch.setattr(gpu_stand_in.FakeDriver, "_cuDeviceGetCount", lambda _: 0)
    with pytest.raises(DeviceError, match=r"no NVIDIA GPU here; use --device cpu"):
        resolve("tensorrt")


def test_what_is_not_there_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match=r"install onnxruntime-gpu.*--device cpu"):
        resolve("cuda")
    with pytest.raises(DeviceError, match=r"install the driver.*--device cpu"):
        resolve("tensorrt")
    tensorrt_engine.library.cache_clear()
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(DeviceError, match=r"pip install tensorrt-rtx-cu12 cuda-bindings"):
        resolve("tensorrt")
    tensorrt_engine.library.cache_clear()


def test_what_is_there_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with_provider(monkeypatch, "CUDAExecutionProvider")
    assert resolve("cuda").name == "cuda"


def test_an_unknown_device() -> None:
    with pytest.raises(DeviceError, match="no device 'tpu'"):
        resolve("tpu")


def test_this_machine() -> None:
    found = machine()
    assert found.cores >= 1
    assert found.cpu
    assert found.onnxruntime[0].isdigit()
    assert found.gpus == ()


def test_gpus_as_nvidia_smi_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu(monkeypatch, "RTX A, 8192 MiB, 580\nRTX B, 24576 MiB, 580\n\n")
    assert nvidia_gpus() == ("RTX A, 8192 MiB, 580", "RTX B, 24576 MiB, 580")

    def fail(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(devices.subprocess, "run", fail)
    assert nvidia_gpus() == ()
