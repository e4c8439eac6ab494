"""Run by hand on a machine with an NVIDIA GPU: `pytest tests/gpu -m gpu`."""

import shutil
from pathlib import Path

import pytest

from assets import demo_bundle
from engines.backends.cuda_driver import Device, gpus
from engines.errors import DeviceError
from tests.gpu.report import report


def gpu_here() -> bool:
    try:
        return bool(gpus())
    except DeviceError:
        return False


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not gpu_here(), reason="no NVIDIA GPU")]


def test_memory_is_given_out_and_back() -> None:
    device = Device(gpus()[0])
    before, total = device.memory()
    assert 0 < before <= total
    assert 1e9 < 2 * (64 << 20) * 10 / device.time_copies(64 << 20, 10) < 1e14
    device.close()


def test_the_demo_s_engines_pass_and_answer(tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(demo_bundle(), tmp_path / "demo.vl2"))
    assert report(bundle, None) == []
