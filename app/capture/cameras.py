"""Which cameras are here, and what a user's word for one means."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from engines.errors import CaptureError

# A network camera's protocols; nothing that could name a file of this computer.
SCHEMES = ("http", "https", "rtsp", "rtsps")
DEVICES = Path("/dev")
SYSTEM = Path("/sys/class/video4linux")


@dataclass(frozen=True)
class CameraInfo:
    """A camera of this computer: OpenCV's number for it, and its name."""

    index: int
    name: str


@dataclass(frozen=True)
class CameraSource:
    """What is opened: an index or an address, and what a user reads of it (without a password)."""

    target: int | str
    name: str


def list_cameras(devices: Path = DEVICES, system: Path = SYSTEM) -> list[CameraInfo]:
    """The cameras of this computer, by index.

    Args:
        devices: where the system keeps its devices (Linux).
        system: where it tells their names (Linux).
    """
    if sys.platform == "win32":
        return _direct_show_cameras()
    found = []
    for device in devices.glob("video*"):
        digits = device.name.removeprefix("video")
        # A camera's second node gives no pictures but data about them.
        if digits.isdigit() and _read(system / device.name / "index") in ("", "0"):
            name = _read(system / device.name / "name") or f"camera {digits}"
            found.append(CameraInfo(int(digits), name))
    return sorted(found, key=lambda camera: camera.index)


def find_camera(wanted: str, cameras: list[CameraInfo]) -> CameraSource:
    """What a user's word for a camera means: an index, a part of a name, or an address.

    Raises:
        CaptureError: there is no such camera.
    """
    if "://" in wanted:
        return CameraSource(wanted, _shown_address(wanted))
    if wanted.isdecimal():
        name = next((c.name for c in cameras if c.index == int(wanted)), f"camera {wanted}")
        return CameraSource(int(wanted), name)
    fitting = [camera for camera in cameras if wanted.casefold() in camera.name.casefold()]
    if not fitting:
        known = ", ".join(f"{camera.index}: {camera.name}" for camera in cameras)
        here = f"choose one of {known}" if known else "none is connected"
        raise CaptureError(f"There is no camera called {wanted!r}; {here}, or give an address.")
    exact = [camera for camera in fitting if camera.name.casefold() == wanted.casefold()]
    camera = (exact or fitting)[0]
    return CameraSource(camera.index, camera.name)


def why_not(source: CameraSource, devices: Path = DEVICES) -> str:
    """Why a camera could not be opened: one sentence."""
    if isinstance(source.target, str):
        return (
            f"The camera at {source.name} does not answer; check its address and the network, it"
            " is tried again."
        )
    path = devices / f"video{source.target}"
    if sys.platform.startswith("linux"):
        if not path.exists():
            return f"There is no camera {source.name} ({path}); connect it, it is tried again."
        if not os.access(path, os.R_OK | os.W_OK):
            return (
                f"The camera {source.name} may not be used by this account; allow it (on Linux: add"
                f" the account to the group of {path}), it is tried again."
            )
    return (
        f"The camera {source.name} gives no picture; close other programs that use it or connect"
        " it again, it is tried again."
    )


def _shown_address(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme.lower() not in SCHEMES or not parts.hostname:
        raise CaptureError(
            f"The camera's address begins with {parts.scheme!r}; give one that begins with"
            f" {', '.join(f'{scheme}://' for scheme in SCHEMES)}."
        )
    # Name and password stand before the last "@".
    host = parts.netloc.rpartition("@")[2]
    return re.sub(r"[^\x20-\x7e]", "", f"{parts.scheme}://{host}{parts.path}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _direct_show_cameras() -> list[CameraInfo]:
    """DirectShow lists cameras in the order that OpenCV numbers them by."""
    from av.device import enumerate_input_devices

    devices = enumerate_input_devices("dshow")
    cameras = [device for device in devices if "video" in device.media_types]
    return [CameraInfo(index, device.description) for index, device in enumerate(cameras)]
