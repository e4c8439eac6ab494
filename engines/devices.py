"""What this machine has, and which device will run the model."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from engines.backends.onnxruntime import (
    INSTALL,
    PROVIDERS,
    available_providers,
    provider,
    runtime_version,
)
from engines.errors import DeviceError


@dataclass(frozen=True)
class Device:
    """The device that will run the model, and why; `reason` is a sentence for the user."""

    name: str
    reason: str


@dataclass(frozen=True)
class Machine:
    """What this machine has; sizes in bytes, None where the system does not say."""

    system: str
    python: str
    cpu: str
    cores: int
    memory_bytes: int | None
    onnxruntime: str
    providers: tuple[str, ...]
    gpus: tuple[str, ...]


def resolve(device: str) -> Device:
    """Turns the user's wish into the device that will run.

    Args:
        device: "auto", "cpu", "cuda" or "tensorrt"; "auto" is the CPU, which every bundle supports.

    Raises:
        DeviceError: the device is not known, or the installed ONNX Runtime cannot drive it.
    """
    if device == "auto":
        return Device("cpu", f"The model runs on the CPU{_unused_gpu()}.")
    if device not in PROVIDERS:
        raise DeviceError(f"There is no device {device!r}; use auto, {', '.join(PROVIDERS)}.")
    provider(device)
    return Device(device, f"The model runs on {device}, as asked.")


def machine() -> Machine:
    """Looks at this machine.

    Raises:
        DeviceError: ONNX Runtime is not installed or does not load.
    """
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cpu=_cpu_name(),
        cores=_usable_cores(),
        memory_bytes=_memory_bytes(),
        onnxruntime=runtime_version(),
        # Azure's stands in every build and would send data away; nothing of ours ever asks for it.
        providers=tuple(p for p in available_providers() if not p.startswith("Azure")),
        gpus=nvidia_gpus(),
    )


def nvidia_gpus() -> tuple[str, ...]:
    """Name, memory and driver of each NVIDIA GPU, as nvidia-smi tells; empty without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(
            [program, *query], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())


def _unused_gpu() -> str:
    if not nvidia_gpus():
        return ""
    if "CUDAExecutionProvider" in available_providers():
        return "; there is a GPU, use it with --device cuda"
    return f"; there is a GPU, to use it {INSTALL['cuda']}"


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    if sys.platform == "win32":
        return None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
