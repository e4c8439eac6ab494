import sys
from types import SimpleNamespace

import pytest

from assets import demo_bundle
from engines import devices
from engines.backends import onnxruntime as backend
from engines.backends import tensorrt_engine
from engines.bundle import read_bundle
from engines.devices import (
    engine_gpu,
    machine,
    nvidia_gpus,
    onnx_device,
    part_devices,
    resolve,
)
from engines.errors import DeviceError
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
