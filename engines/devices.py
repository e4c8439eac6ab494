"""What this machine has, and which device will run the model."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from engines.backends import cuda_driver, tensorrt_engine
from engines.backends.cuda_driver import Gpu
from engines.backends.onnxruntime import INSTALL, available_providers, provider, runtime_version
from engines.config import BundleConfig, PartDevice
from engines.errors import DeviceError

DEVICES = ("cpu", "cuda", "tensorrt")


@dataclass(frozen=True)
class Device:
    """The device that will run the model.

    Attributes:
        name: "cpu", "cuda" or "tensorrt".
        reason: why, a sentence for the user.
        asked: whether the user named it.
    """

    name: str
    reason: str
    asked: bool = False


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
        device: "auto", "cpu", "cuda" or "tensorrt"; "auto" is the best that can be used here. What
            a bundle has no form for runs on the CPU all the same (`part_devices`, `Sessions`).

    Raises:
        DeviceError: the device is not known, or what drives it is not installed.
    """
    if device == "auto":
        return _best()
    if device not in DEVICES:
        raise DeviceError(f"There is no device {device!r}; use auto, {', '.join(DEVICES)}.")
    if device == "tensorrt":
        engine_gpu()
    else:
        provider(device)
    return Device(device, f"The model runs on {device}, as asked.", asked=True)


def _best() -> Device:
    try:
        if importlib.util.find_spec("tensorrt_rtx") is not None:
            engine_gpu()
            return Device(
                "tensorrt",
                "Compiled engines run on the GPU where the bundle has them; the rest runs on the"
                " CPU.",
            )
    except DeviceError:
        pass  # No driver, no GPU, or no bindings: the next best.
    if not nvidia_gpus():
        return Device("cpu", "The model runs on the CPU.")
    if "CUDAExecutionProvider" in available_providers():
        return Device(
            "cuda", "The encoders run on the GPU (CUDA), the language model runs on the CPU."
        )
    return Device("cpu", f"The model runs on the CPU; there is a GPU, to use it {INSTALL['cuda']}.")


def part_devices(config: BundleConfig, device: str = "auto") -> tuple[PartDevice, ...]:
    """Where each part would run, and why, before engines are looked at (see `Sessions.devices`).

    May ask the GPU's driver, so not on the drawing thread.

    Raises:
        DeviceError: the device cannot be used here (see `resolve`).
    """
    chosen = resolve(device)
    return tuple(
        PartDevice(
            part,
            chosen.name if chosen.name == "tensorrt" else onnx_device(chosen, part),
            chosen.reason,
        )
        for part in parts(config)
    )


def parts(config: BundleConfig) -> tuple[str, ...]:
    """The graphs that a question may run, in their order."""
    return ("vision_tower", "projector", *(("audio",) if config.audio else ()), "decoder")


def onnx_device(device: Device, graph: str) -> str:
    """The device on which ONNX Runtime runs a graph, where `device` was chosen."""
    if device.name == "cpu":
        return "cpu"
    if graph.startswith("decoder"):
        # Its cache is this computer's memory and would cross to the GPU and back at every token.
        return "cuda" if device.name == "cuda" and device.asked else "cpu"
    return "cuda" if "CUDAExecutionProvider" in available_providers() else "cpu"


def engine_gpu() -> Gpu:
    """The GPU that compiled engines run on: CUDA's first.

    Raises:
        DeviceError: the library, the bindings, the driver or a GPU is not there.
    """
    tensorrt_engine.library()
    found = cuda_driver.gpus()
    if not found:
        raise DeviceError(cuda_driver.NO_GPU)
    return found[0]


def driver_version() -> str:
    """The GPU driver's version as nvidia-smi tells it; empty without it."""
    return next(iter(_nvidia_smi("driver_version")), "")


def machine() -> Machine:
    """Looks at this machine.

    Raises:
        DeviceError: ONNX Runtime is not installed or does not load.
    """
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cpu=_cpu_name(),
        cores=usable_cores(),
        memory_bytes=_memory_bytes(),
        onnxruntime=runtime_version(),
        # Azure's stands in every build and would send data away; nothing of ours ever asks for it.
        providers=tuple(p for p in available_providers() if not p.startswith("Azure")),
        gpus=nvidia_gpus(),
    )


def nvidia_gpus() -> tuple[str, ...]:
    """Name, memory and driver of each NVIDIA GPU, as nvidia-smi tells; empty without it."""
    return _nvidia_smi("name,memory.total,driver_version")


def gpu_memory() -> int | None:
    """Bytes of the first NVIDIA GPU's memory, as nvidia-smi tells; None without it."""
    said = next(iter(_nvidia_smi("memory.total")), "").split()
    return int(said[0]) << 20 if len(said) == 2 and said[0].isdecimal() else None


def _nvidia_smi(fields: str) -> tuple[str, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(
            [program, *query], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in answer.stdout.splitlines() if line.strip())


def usable_cores() -> int:
    """Cores that this process may use."""
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
