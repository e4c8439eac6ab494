"""A recorder that opens no device: a demo clip was played into it just before it was started."""

import io
import time
from functools import cache

import numpy as np
from PIL import Image

from app.capture.camera import CameraWish, LiveFrame
from app.capture.cameras import CameraInfo
from app.capture.device_thread import DeviceState
from app.capture.microphones import MicrophoneInfo
from app.capture.recorder import LiveStatus, Recorder, Span
from app.widgets.live_devices import Devices
from assets import demo_clips
from tests.live_devices import SOUND_RATE, jpegs, samples

CLIP = demo_clips() / "bounce.mp4"
CLIP_S, FPS = 4.0, 25.0
DEVICES = Devices((CameraInfo(0, "Desk camera"),), (MicrophoneInfo(0, "Desk microphone", 1),))


@cache
def _film() -> tuple[list[np.ndarray], np.ndarray]:
    return [np.frombuffer(one, np.uint8) for one in jpegs(CLIP)], samples(CLIP)


class StandIn(Recorder):
    """Camera and microphone that gave `plays` times the demo clip, and say what a test sets."""

    made: list["StandIn"] = []  # noqa: RUF012 (a test empties it)
    plays = 3

    def __init__(self, camera: str | None, microphone: str | None, wish: CameraWish) -> None:
        super().__init__(
            None if camera is None else "http://127.0.0.1:9/none",
            None if microphone is None else "default",
        )
        self.asked_for = camera, microphone, wish
        self.opened = self.closed = 0
        self.camera_state = DeviceState("Desk camera", "on", openings=1)
        self.level_db = -20.0
        self.frame: LiveFrame | None = None
        StandIn.made.append(self)

    def start(self) -> None:
        film, sound = _film()
        self.opened += 1
        self.began_s = time.monotonic() - self.plays * CLIP_S
        for play in range(self.plays):
            start_s = self.began_s + play * CLIP_S
            if self._camera is not None:
                for number, jpeg in enumerate(film):
                    self.pictures.put(start_s + number / FPS, jpeg)
            if self._microphone is not None:
                for first in range(0, round(CLIP_S * SOUND_RATE), 960):
                    block = sound[first : first + 960]
                    self.sound.put(start_s + first / SOUND_RATE, block)
        if self._camera is not None:
            with Image.open(io.BytesIO(film[10].tobytes())) as picture:
                self.frame = LiveFrame(self.began_s, np.asarray(picture.convert("RGB")))

    def close(self) -> None:
        self.closed += 1

    @property
    def latest(self) -> LiveFrame | None:
        return self.frame

    def status(self) -> LiveStatus:
        status = super().status()
        on = DeviceState("Desk microphone", "on", openings=1)
        fields = vars(status) | {
            "camera": self.camera_state if self._camera else None,
            "microphone": on if self._microphone else None,
            "size": (224, 224) if self._camera else None,
            "fps": FPS,
            "level_db": self.level_db,
        }
        return LiveStatus(**fields)

    def span(self, play: int = 1) -> Span:
        """The stretch that holds the clip as it was played for the `play`-th time."""
        start_s = self.began_s + play * CLIP_S
        return Span(start_s, start_s + CLIP_S)
