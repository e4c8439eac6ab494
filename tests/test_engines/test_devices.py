from types import SimpleNamespace

import pytest

from engines import devices
from engines.backends import onnxruntime as backend
from engines.devices import machine, nvidia_gpus, resolve
from engines.errors import DeviceError


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with_provider(monkeypatch, "CPUExecutionProvider")
    monkeypatch.setattr(devices.shutil, "which", lambda _: None)


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
    assert "install onnxruntime-gpu" in resolve("auto").reason
    with_provider(monkeypatch, "CUDAExecutionProvider")
    assert "--device cuda" in resolve("auto").reason


@pytest.mark.parametrize(
    ("device", "hint"), [("cuda", "onnxruntime-gpu"), ("tensorrt", "TensorRT")]
)
def test_what_is_not_there_says_what_to_install(device: str, hint: str) -> None:
    with pytest.raises(DeviceError, match=f"install .*{hint}.*--device cpu"):
        resolve(device)


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
