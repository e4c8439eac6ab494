"""The microphone: sound into the ring, placed by the time at which it was heard."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.capture.clocks import SoundClock
from app.capture.device_thread import DeviceState, DeviceThread
from app.capture.microphones import (
    MicrophoneInfo,
    find_microphone,
    list_microphones,
    quiet_stderr,
    sound_library,
    using,
)
from app.capture.rings import SoundRing
from engines.errors import CaptureError

RATE = 48000
BLOCK_S = 0.02
# A microphone that gives nothing for so long is lost; the first sound may take longer.
SILENCE_S = 3.0
FIRST_SOUND_S = 8.0
# The level meter shows the loudest of this time.
METER_S = 0.1
QUIET_DB = -90.0
# A block cannot be younger than it is long. PulseAudio says so all the same, and that it is half a
# second old for the first second: an age beyond this is no device's but a guess.
BELIEVED_AGE_S = 0.1
_WATCH_S = 0.2


class Microphone:
    """A microphone that fills a ring while it is open.

    Attributes:
        overflows: times at which samples were lost because the program was too slow.
    """

    def __init__(self, wanted: str, ring: SoundRing, delay_s: float = 0.0) -> None:
        """Starts nothing yet.

        Args:
            wanted: "default", a number, or a part of its name.
            ring: where sound goes, at the ring's rate.
            delay_s: how long sound is on its way beyond what the device tells, where known.
        """
        self._wanted = wanted
        self._ring = ring
        self._delay_s = delay_s
        self._clock = SoundClock(ring.rate)
        self._heard_s = 0.0
        self._level = QUIET_DB
        self.overflows = 0
        self._device = DeviceThread(wanted, self._record)
        self.start, self.close = self._device.start, self._device.close

    @property
    def state(self) -> DeviceState:
        """How it is now."""
        return self._device.state

    @property
    def level_db(self) -> float:
        """How loud it is now: dB below full scale, -90 (silence) to 0."""
        return self._level if time.monotonic() - self._heard_s < SILENCE_S else QUIET_DB

    def _record(self, came_on: Callable[[], None], stopping: threading.Event) -> None:
        device = find_microphone(self._wanted, list_microphones(anew=True))
        with using():
            stream = self._open(device)
            opened_s = time.monotonic()
            try:
                while not stopping.wait(_WATCH_S):
                    if self._heard_s > opened_s:
                        came_on()
                    last_s = max(self._heard_s + SILENCE_S, opened_s + FIRST_SOUND_S)
                    if time.monotonic() > last_s or not stream.active:
                        raise CaptureError(
                            f"The microphone {device.name} gives no sound any more; check it, it is"
                            " tried again."
                        )
            finally:
                _close(stream)

    def _open(self, device: MicrophoneInfo) -> Any:
        sounds = sound_library()
        problem: Exception | None = None
        # Some devices only give what they have: then its channels are mixed down.
        for channels in dict.fromkeys((1, device.channels)):
            stream = None
            try:
                with quiet_stderr():
                    stream = sounds.InputStream(
                        samplerate=self._ring.rate,
                        blocksize=round(BLOCK_S * self._ring.rate),
                        device=device.index,
                        channels=channels,
                        dtype="int16",
                        latency="low",
                        callback=self._hear,
                    )
                    stream.start()
            except (sounds.PortAudioError, ValueError) as error:
                problem = error
                if stream is not None:
                    _close(stream)
            else:
                return stream
        raise CaptureError(
            f"The microphone {device.name} cannot be opened ({_reason(problem)}); close other"
            " programs that use it and allow its use, it is tried again."
        ) from problem

    def _hear(self, block: NDArray[np.int16], count: int, times: Any, status: Any) -> None:
        """On PortAudio's thread: a block, (count, channels)."""
        now_s = time.monotonic()
        length_s = count / self._ring.rate
        age_s = times.currentTime - times.inputBufferAdcTime
        if not length_s <= age_s <= length_s + BELIEVED_AGE_S:
            age_s = length_s
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1).astype(np.int16)
        if status.input_overflow:
            self.overflows += 1
        taken_s = now_s - age_s - self._delay_s
        self._ring.put(self._clock.stamp(taken_s, count, status.input_overflow), mono)
        self._meter(mono, length_s)
        self._heard_s = now_s

    def _meter(self, mono: NDArray[np.int16], seconds: float) -> None:
        mean_square = float(np.mean(np.square(mono.astype(np.float32) / 32768)))
        level = 10 * np.log10(max(mean_square, 1e-9))
        # Up at once, down over `METER_S`, so that a short sound is seen.
        fall = (0.0 - QUIET_DB) * seconds / METER_S / 4
        self._level = float(max(level, self._level - fall, QUIET_DB))


def _close(stream: Any) -> None:
    with quiet_stderr():
        stream.abort(ignore_errors=True)
        stream.close(ignore_errors=True)


def _reason(problem: Exception | None) -> str:
    return str(problem).partition("[")[0].strip().removeprefix("Error opening InputStream: ")
