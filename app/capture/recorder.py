"""Camera and microphone together: what the last N seconds hold, and stretches of it for the model.

All times are `time.monotonic`, in s.
"""

import math
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.capture.camera import Camera, CameraWish, LiveFrame
from app.capture.cameras import find_camera, list_cameras
from app.capture.device_thread import DeviceState
from app.capture.microphone import QUIET_DB, RATE, Microphone
from app.capture.rings import KeptFrame, PictureRing, SoundRing
from engines.config import ClipOptions
from engines.errors import CaptureError
from engines.live_clip import LiveClip

SECONDS = 60.0
# What pictures may take: a minute of 30 frames a second, 640 x 360, is about 105 MB.
PICTURE_BYTES = 160 << 20
# A frame stands for what was to be seen until the next one came, but not for longer than this.
SHOWN_S = 1.0
# So much missing at the edges of a stretch is not worth a word.
SLACK_S = 0.5


@dataclass(frozen=True)
class Span:
    """A stretch of the recording, from `start_s` to before `end_s`."""

    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class LiveStatus:
    """How the recording is at a moment.

    Attributes:
        now_s: the moment.
        camera, microphone: how the devices are; None for one that was not asked for.
        pictures_from_s, sound_from_s: since when what is kept goes, None while there is nothing.
        size: width and height of the camera's frames.
        fps: frames a second that the camera gives.
        missed: frames that the camera did not give in time or that could not be read.
        crowded_out: frames that were dropped early because their bytes were full.
        overflows: times at which sound was lost because the program was too slow.
        level_db: how loud it is, -90 to 0.
        nbytes: what pictures and sound take.
    """

    now_s: float
    camera: DeviceState | None
    microphone: DeviceState | None
    pictures_from_s: float | None
    sound_from_s: float | None
    size: tuple[int, int] | None
    fps: float
    missed: int
    crowded_out: int
    overflows: int
    level_db: float
    nbytes: int


class Recorder:
    """Records from `start` to `close`; every method may be called from any thread."""

    def __init__(
        self,
        camera: str | None,
        microphone: str | None,
        seconds: float = SECONDS,
        wish: CameraWish | None = None,
        picture_bytes: int = PICTURE_BYTES,
    ) -> None:
        """Starts nothing yet.

        Args:
            camera: an index, a part of a name, or an address; None for no camera.
            microphone: "default", a number, or a part of a name; None for no microphone.
            seconds: how much is kept.
            wish: how the camera is to be set.
            picture_bytes: what the pictures may take at most.

        Raises:
            CaptureError: neither was asked for, or there is no camera of that name.
        """
        if camera is None and microphone is None:
            raise CaptureError("Nothing is to be recorded; choose a camera or a microphone.")
        self.id = secrets.token_hex(8)
        self.pictures = PictureRing(seconds, picture_bytes)
        self.sound = SoundRing(seconds, RATE)
        self._camera = None
        if camera is not None:
            self._camera = Camera(find_camera(camera, list_cameras()), self.pictures, wish)
        self._microphone = None if microphone is None else Microphone(microphone, self.sound)

    def start(self) -> None:
        """Open the devices, each in its own thread; what goes wrong is in the status."""
        for device in (self._camera, self._microphone):
            if device is not None:
                device.start()

    def close(self) -> None:
        """Close the devices; what was recorded stays."""
        for device in (self._camera, self._microphone):
            if device is not None:
                device.close()

    @property
    def most_bytes(self) -> int:
        """What pictures and sound can take at most."""
        return self.pictures.limit + self.sound.nbytes

    @property
    def latest(self) -> LiveFrame | None:
        """The newest frame, for a preview; None without a camera or before its first frame."""
        return None if self._camera is None else self._camera.latest

    def status(self) -> LiveStatus:
        """How it is now; cheap."""
        camera, microphone = self._camera, self._microphone
        return LiveStatus(
            now_s=time.monotonic(),
            camera=camera.state if camera else None,
            microphone=microphone.state if microphone else None,
            pictures_from_s=self.pictures.from_s,
            sound_from_s=self.sound.from_s,
            size=camera.size if camera else None,
            fps=camera.fps if camera else 0.0,
            missed=camera.missed if camera else 0,
            crowded_out=self.pictures.crowded_out,
            overflows=microphone.overflows if microphone else 0,
            level_db=microphone.level_db if microphone else QUIET_DB,
            nbytes=self.pictures.nbytes + self.sound.nbytes,
        )

    def last(self, seconds: float, num_frames: int) -> Span:
        """The last `seconds`, so placed that its frames are those of stretches before it.

        The model gets the frame in the middle of each of `num_frames` equal parts. Those middles
        lie on a grid of fixed times, so that a stretch shares all but its new frames with the one
        before: the end is moved by half a part at most, and the last frame is no older than a
        part, on average half of one, as it is with a file.
        """
        part_s = seconds / num_frames
        now_s = time.monotonic()
        newest_s = self.pictures.last_s
        if newest_s is None or now_s - newest_s > SHOWN_S:
            newest_s = now_s  # No camera, or one that is lost: the sound goes on.
        end_s = math.floor(newest_s / part_s) * part_s + part_s / 2
        return Span(end_s - seconds, end_s)

    def clip(self, span: Span, num_frames: int, name: str = "live") -> LiveClip:
        """A stretch as the model takes it; its frames are chosen as those of a file are.

        Args:
            span: the stretch, of at least a moment.
            num_frames: how many frames the model gets.
            name: what sentences call it.

        Raises:
            MediaError: the number of frames is not possible.
        """
        frames, times, notes = self._choose(span, num_frames)
        heard = self.sound.read(span.start_s, span.end_s)
        if self._microphone is not None:
            notes += _about_sound(heard.recorded_s, heard.missing_s, span, time.monotonic())
        return LiveClip(
            name=name,
            duration_s=span.seconds,
            frame_times_s=times,
            frame_keys=tuple(f"{self.id}:{frame.number}" for frame in frames),
            frames=tuple(frame.jpeg for frame in frames),
            sound=heard.samples if heard.recorded_s else np.zeros(0, np.float32),
            sample_rate=self.sound.rate,
            sound_span_s=heard.recorded_s,
            sound_key=(self.id, heard.first),
            notes=notes,
        )

    def frames(self, span: Span) -> list[KeptFrame]:
        """All frames of a stretch, beginning with the one to be seen at its start."""
        frames = self.pictures.between(span.start_s - SHOWN_S, span.end_s)
        before = sum(frame.time_s <= span.start_s for frame in frames)
        return frames[max(before - 1, 0) :]

    def _choose(
        self, span: Span, num_frames: int
    ) -> tuple[list[KeptFrame], tuple[float, ...], tuple[str, ...]]:
        from engines.timeline import Timeline
        from engines.video import choose_frames

        there = self.frames(span)
        if not there:
            lost = ("There was no picture in this stretch.",) if self._camera else ()
            return [], (), lost
        times = np.array([frame.time_s - span.start_s for frame in there])
        timeline = Timeline(times, span.seconds, None)
        options = ClipOptions(Path("live"), num_frames, (0.0, span.seconds))
        chosen, _ = choose_frames(options, timeline, num_frames)
        shown = np.diff(times, append=min(span.end_s, time.monotonic()) - span.start_s)
        dark_s = float(np.sum(np.maximum(shown - SHOWN_S, 0))) + max(float(times[0]), 0.0)
        notes: tuple[str, ...] = ()
        if dark_s > SLACK_S:
            notes = (f"The camera gave no picture for {dark_s:.1f} s of this stretch.",)
        taken = tuple(max(float(times[i]), 0.0) for i in chosen)
        return [there[i] for i in chosen], taken, notes


def _about_sound(
    recorded_s: tuple[float, float] | None, missing_s: float, span: Span, now_s: float
) -> tuple[str, ...]:
    if recorded_s is None:
        return ("There was no sound in this stretch.",)
    end_s = min(span.end_s, now_s) - span.start_s
    silent_s = missing_s + recorded_s[0] + max(end_s - recorded_s[1], 0.0)
    if silent_s <= SLACK_S:
        return ()
    return (f"The microphone gave no sound for {silent_s:.1f} s of this stretch.",)
