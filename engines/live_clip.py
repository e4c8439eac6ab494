"""A stretch of a live recording, in memory: what the model gets of camera and microphone."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.config import ClipOptions


@dataclass(frozen=True, eq=False)
class LiveClip:
    """A stretch of a live recording. Times count in s from its start.

    Attributes:
        name: what sentences call it.
        duration_s: its length.
        frame_times_s: when each of the T frames that the model gets was taken, ascending; a frame
            may stand here several times.
        frame_keys: T names, each of one frame of one recording and of no other.
        frames: T JPEG files, uint8 (n,) each; none without a camera.
        sound: float32 (n,) in [-1, 1] from the clip's start on, zeros where nothing was recorded;
            empty without a microphone.
        sample_rate: of `sound`, Hz.
        sound_span_s: where in the clip sound was recorded, None for nowhere.
        sound_key: names the recording of the sound and where in it the clip's first sample lies.
        notes: sentences for the user.
    """

    name: str
    duration_s: float
    frame_times_s: tuple[float, ...]
    frame_keys: tuple[str, ...]
    frames: tuple[NDArray[np.uint8], ...]
    sound: NDArray[np.float32]
    sample_rate: int
    sound_span_s: tuple[float, float] | None
    sound_key: tuple[str, int]
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 (hex) that stands for the clip as its content's hash does for a file."""
        parts = [self.frame_keys, self.frame_times_s, self.sound_key, len(self.sound)]
        return hashlib.sha256(json.dumps([*parts, self.duration_s]).encode()).hexdigest()

    def options(self, **chosen: Any) -> ClipOptions:
        """What to ask of it: `chosen` are fields of `ClipOptions`; frames and range are its own."""
        return ClipOptions(Path(self.name), **chosen)
