"""The last N seconds of pictures and of sound, in memory of a fixed size."""

import threading
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

# A block of sound whose time is off by more than this from where it would follow is behind a gap.
JUMP_S = 0.03


@dataclass(frozen=True, eq=False)
class KeptFrame:
    """A frame: its number in the recording, when it was taken, and a JPEG file, uint8 (n,)."""

    number: int
    time_s: float
    jpeg: NDArray[np.uint8]


class PictureRing:
    """Frames of the last `seconds`, and never more than `limit` bytes of them.

    Attributes:
        crowded_out: frames that were dropped early because the bytes were full.
    """

    def __init__(self, seconds: float, limit: int) -> None:
        self.seconds = seconds
        self.limit = limit
        self.crowded_out = 0
        self._frames: deque[KeptFrame] = deque()
        self._nbytes = 0
        self._count = 0
        self._lock = threading.Lock()

    def put(self, time_s: float, jpeg: NDArray[np.uint8]) -> None:
        """Add a frame taken at `time_s`, later than every one before it."""
        with self._lock:
            self._frames.append(KeptFrame(self._count, time_s, jpeg))
            self._count += 1
            self._nbytes += jpeg.nbytes
            while self._frames[0].time_s < time_s - self.seconds:
                self._drop()
            while self._nbytes > self.limit and len(self._frames) > 1:
                self._drop()
                self.crowded_out += 1

    def between(self, start_s: float, end_s: float) -> list[KeptFrame]:
        """The frames taken from `start_s` on and before `end_s`, in order."""
        with self._lock:
            frames = self._frames
            first = bisect_left(frames, start_s, key=lambda frame: frame.time_s)
            last = bisect_left(frames, end_s, key=lambda frame: frame.time_s)
            return list(islice(frames, first, last))

    @property
    def nbytes(self) -> int:
        """What the frames take."""
        return self._nbytes

    @property
    def from_s(self) -> float | None:
        """When the oldest frame was taken."""
        with self._lock:
            return self._frames[0].time_s if self._frames else None

    @property
    def last_s(self) -> float | None:
        """When the newest frame was taken."""
        with self._lock:
            return self._frames[-1].time_s if self._frames else None

    def _drop(self) -> None:
        self._nbytes -= self._frames.popleft().jpeg.nbytes


@dataclass(frozen=True)
class SoundSpan:
    """A stretch of recorded sound.

    Attributes:
        samples: float32 (n,) in [-1, 1], zeros where nothing was recorded.
        first: the number of the first sample in the recording; gaps count as samples.
        recorded_s: from where to where sound was recorded, in s from the stretch's start.
        missing_s: how much of the stretch between those two is a gap.
    """

    samples: NDArray[np.float32]
    first: int
    recorded_s: tuple[float, float] | None
    missing_s: float


class SoundRing:
    """Sound of the last `seconds`, mono, 16 bit; `rate` samples a second."""

    def __init__(self, seconds: float, rate: int) -> None:
        self.seconds = seconds
        self.rate = rate
        self._samples = np.zeros(max(round(seconds * rate), 1), np.int16)
        # Blocks: number of the first sample, how many, and when the first one was heard.
        self._blocks: deque[tuple[int, int, float]] = deque()
        self._end = 0
        self._lock = threading.Lock()

    def put(self, time_s: float, samples: NDArray[np.int16]) -> None:
        """Add a block, int16 (n,), whose first sample was heard at `time_s`."""
        if not len(samples):
            return
        with self._lock:
            if self._blocks:
                first, count, at_s = self._blocks[-1]
                gap = round((time_s - at_s) * self.rate) - count
                if gap > JUMP_S * self.rate:
                    self._write(np.zeros(min(gap, len(self._samples)), np.int16), first + count)
                    self._end = first + count + gap
            self._blocks.append((self._end, len(samples), time_s))
            kept = samples[-len(self._samples) :]
            self._write(kept, self._end + len(samples) - len(kept))
            self._end += len(samples)
            while self._blocks[0][0] + self._blocks[0][1] <= self._end - len(self._samples):
                self._blocks.popleft()

    def read(self, start_s: float, end_s: float) -> SoundSpan:
        """The sound between two times."""
        count = max(round((end_s - start_s) * self.rate), 0)
        out = np.zeros(count, np.float32)
        with self._lock:
            blocks = [b for b in self._blocks if b[2] < end_s and b[2] + b[1] / self.rate > start_s]
            if not blocks:
                return SoundSpan(out, 0, None, 0.0)
            # A device's clock is never quite ours: the stretch is placed by the time of its first
            # block, and counted from there.
            number, _, at_s = blocks[0]
            first = number + round((start_s - at_s) * self.rate)
            low = max(first, number, self._end - len(self._samples))
            high = min(first + count, self._end)
            places = np.arange(low, high) % len(self._samples)
            out[low - first : high - first] = self._samples[places] / np.float32(32768)
        recorded = sum(min(n + c, high) - max(n, low) for n, c, _ in blocks if n < high)
        span = ((low - first) / self.rate, (high - first) / self.rate)
        return SoundSpan(out, first, span, max(high - low - recorded, 0) / self.rate)

    @property
    def nbytes(self) -> int:
        """What the ring takes, full or not."""
        return self._samples.nbytes

    @property
    def from_s(self) -> float | None:
        """When the oldest sound was heard."""
        with self._lock:
            return self._blocks[0][2] if self._blocks else None

    @property
    def last_s(self) -> float | None:
        """When the newest sound ended."""
        with self._lock:
            if not self._blocks:
                return None
            _, count, at_s = self._blocks[-1]
            return at_s + count / self.rate

    def _write(self, samples: NDArray[np.int16], number: int) -> None:
        start = number % len(self._samples)
        part = len(self._samples) - start
        self._samples[start : start + len(samples)] = samples[:part]
        if len(samples) > part:
            self._samples[: len(samples) - part] = samples[part:]
