"""Which microphones are here. PortAudio lists them once; to look again it is started anew."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

from engines.errors import CaptureError

DEFAULT = "default"
# Held while PortAudio is started anew and while a stream is opened or closed.
_lock = threading.RLock()
_open_streams = 0


@dataclass(frozen=True)
class MicrophoneInfo:
    """A microphone: PortAudio's number for it, its name, and how many channels it has."""

    index: int
    name: str
    channels: int


@lru_cache(maxsize=1)
def sound_library() -> ModuleType:
    """sounddevice; CaptureError when it or PortAudio is not installed."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise CaptureError(
            f"The microphone cannot be used ({error}); install vl2 with its extra: pip install"
            " 'vl2[live]', on Linux also the package libportaudio2."
        ) from error
    library: ModuleType = sounddevice
    return library


def list_microphones(anew: bool = False) -> list[MicrophoneInfo]:
    """The microphones of this computer.

    Args:
        anew: look for new ones; only possible while none is open, else the list is as it was.

    Raises:
        CaptureError: sounddevice or PortAudio is not installed.
    """
    sounds = sound_library()
    with _lock, quiet_stderr():
        if anew and not _open_streams:
            sounds._terminate()
            sounds._initialize()
        devices = sounds.query_devices()
    found = [
        MicrophoneInfo(index, str(d["name"]), int(d["max_input_channels"]))
        for index, d in enumerate(devices)
    ]
    return [microphone for microphone in found if microphone.channels > 0]


def find_microphone(wanted: str, microphones: list[MicrophoneInfo]) -> MicrophoneInfo:
    """The microphone that a user's word means: "default", a number, or a part of a name.

    Raises:
        CaptureError: there is no such microphone.
    """
    if wanted == DEFAULT:
        sounds = sound_library()
        number = sounds.default.device[0]
        fitting = [m for m in microphones if m.index == number] or microphones
    elif wanted.isdecimal():
        fitting = [m for m in microphones if m.index == int(wanted)]
    else:
        fitting = [m for m in microphones if m.name.casefold() == wanted.casefold()]
        fitting += [m for m in microphones if wanted.casefold() in m.name.casefold()]
    if not fitting:
        known = ", ".join(microphone.name for microphone in microphones)
        here = f"choose one of {known}" if known else "none is connected, or all sound is off"
        raise CaptureError(f"There is no microphone {wanted!r} ({here}); it is looked for again.")
    return fitting[0]


@contextmanager
def using() -> Iterator[None]:
    """Counts a stream as open: PortAudio is not started anew under it."""
    global _open_streams  # noqa: PLW0603 (PortAudio itself is one for the process)
    with _lock:
        _open_streams += 1
    try:
        yield
    finally:
        with _lock:
            _open_streams -= 1


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Takes what ALSA and PortAudio print, from native code, when a device cannot be opened."""
    if not sys.platform.startswith("linux") or sys.stderr is None:
        yield
        return
    with _lock:
        sys.stderr.flush()
        kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nothing)
