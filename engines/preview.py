"""What a person is shown of a clip: the frames the model gets, small, and the shape of its sound.

The media libraries are loaded by `preview_steps` alone: a window that draws a preview never parses
a file.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.config import ClipOptions, VisionConfig

THUMBNAIL_PX = 160
PEAK_BINS = 1200
# Sound is decoded in pieces of this length, so that a long track takes no more memory.
CHUNK_S = 30.0
# A longer track is looked at in so many spots: decoding all of a film takes too long.
WHOLE_S = 5 * 60.0
SPOTS = 400
SPOT_S = 0.25
# Spots nearer than this would be decoded as one stretch.
SPOT_DISTANCE_S = 1.0
# Spots whose samples are in memory together.
SPOTS_AT_ONCE = 100


@dataclass(frozen=True, eq=False)
class Preview:
    """A clip at a glance.

    Attributes:
        kind: what the clip is.
        duration_s: its length; None for a still picture.
        fps: frames per second where the rate is constant, else None.
        frame_times_s: when each of the T frames is shown that the model gets; a frame it gets
            several times (a still picture, a very short clip) stands here once.
        thumbnails: those frames, uint8 (T, h, w, 3), sRGB, upright; (0, 0, 0, 3) without pictures.
        peaks: least and largest sample, float32 (bins, 2) in [-1, 1], of equal stretches from 0 to
            `duration_s`, whatever range was asked for; None without sound. Of a track longer than
            `WHOLE_S` only spots were looked at, each stands for the stretch up to the next.
    """

    kind: Literal["video", "image", "audio"]
    duration_s: float | None
    fps: float | None
    frame_times_s: tuple[float, ...]
    thumbnails: NDArray[np.uint8]
    peaks: NDArray[np.float32] | None


def preview_steps(
    options: ClipOptions, vision: VisionConfig, thumbnail_px: int, bins: int
) -> Generator[None, None, Preview]:
    """Looks at a clip, in steps between which it can be given up.

    Args:
        options: what the model is to get.
        vision: decides which frames that is.
        thumbnail_px: the longer side of a thumbnail.
        bins: stretches of the sound.

    Raises:
        MediaError: the clip cannot be read, or the range or the number of frames is not possible.
    """
    from engines import media

    info = media.probe(options.path)
    times: tuple[float, ...] = ()
    thumbnails = np.zeros((0, 0, 0, 3), np.uint8)
    if info.kind != "audio" and options.sound != "only":
        times, thumbnails = yield from _thumbnails(options, vision, max(thumbnail_px, 1))
    peaks = None
    if info.has_sound and info.duration_s:
        peaks = np.zeros((max(bins, 1), 2), np.float32)
        for _ in _fill_peaks(options.path, info.duration_s, peaks):
            yield
    return Preview(info.kind, info.duration_s, info.fps, times, thumbnails, peaks)


def _thumbnails(
    options: ClipOptions, vision: VisionConfig, longer_side: int
) -> Generator[None, None, tuple[tuple[float, ...], NDArray[np.uint8]]]:
    from engines import media
    from engines.video import clip_frames

    wanted = np.unique(clip_frames(options, vision)[0]).tolist()
    times: list[float] = []
    small: list[NDArray[np.uint8]] = []
    for frame in media.read_frames(options.path, wanted):
        # The pictures of a folder may differ in size: all are fitted into the first one's.
        height, width = small[0].shape[:2] if small else _fitted(frame.rgb.shape, longer_side)
        times.append(frame.time_s)
        small.append(_scaled(frame.rgb, height, width))
        yield
    return tuple(times), np.stack(small)


def _fitted(shape: tuple[int, ...], longer_side: int) -> tuple[int, int]:
    scale = longer_side / max(shape[:2])
    return max(round(shape[0] * scale), 1), max(round(shape[1] * scale), 1)


def _scaled(rgb: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The whole picture in the middle of (height, width, 3), black around it."""
    from PIL import Image

    scale = min(height / rgb.shape[0], width / rgb.shape[1])
    size = max(round(rgb.shape[1] * scale), 1), max(round(rgb.shape[0] * scale), 1)
    picture = Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = np.asarray(picture)
    return canvas


def _fill_peaks(path: Path, duration_s: float, peaks: NDArray[np.float32]) -> Iterator[None]:
    """Widens each bin's pair from (0, 0) to the least and the largest sample."""
    from engines import media

    sound = media.sound_info(path)
    if sound is None:
        return
    start_s, end_s = max(sound.start_s, 0.0), min(sound.end_s, duration_s)
    if end_s - start_s > WHOLE_S:
        yield from _fill_from_spots(path, (start_s, end_s), duration_s, peaks)
        return
    for chunk in np.arange(start_s, end_s, CHUNK_S):
        span = float(chunk), min(float(chunk) + CHUNK_S, end_s)
        [part] = media.read_sound(path, [span], rate=None)
        bins_per_s = len(peaks) / duration_s
        widen(peaks, part.samples, span[0] * bins_per_s, bins_per_s / part.sample_rate)
        yield


def widen(
    peaks: NDArray[np.float32], samples: NDArray[np.float32], first: float, step: float
) -> None:
    """Counts samples (n,) into peaks (bins, 2): the first at bin `first`, each next `step` on."""
    if not len(samples):
        return
    bins = np.arange(int(first), min(int(first + step * (len(samples) - 1)), len(peaks) - 1) + 1)
    starts = np.clip(np.ceil((bins - first) / step), 0, len(samples) - 1).astype(np.int64)
    finite = np.clip(np.nan_to_num(samples), -1, 1)
    peaks[bins, 0] = np.minimum(peaks[bins, 0], np.minimum.reduceat(finite, starts))
    peaks[bins, 1] = np.maximum(peaks[bins, 1], np.maximum.reduceat(finite, starts))


def _fill_from_spots(
    path: Path, stretch_s: tuple[float, float], duration_s: float, peaks: NDArray[np.float32]
) -> Iterator[None]:
    from engines import media

    start_s, end_s = stretch_s
    count = min(len(peaks), SPOTS, int((end_s - start_s) / SPOT_DISTANCE_S))
    edges = np.linspace(start_s, end_s, count + 1)
    bins = np.round(edges / duration_s * len(peaks)).astype(np.int64)
    for at in range(0, count, SPOTS_AT_ONCE):
        spots = [(float(edge), float(edge) + SPOT_S) for edge in edges[at:-1][:SPOTS_AT_ONCE]]
        for number, part in enumerate(media.read_sound(path, spots, rate=None), start=at):
            finite = np.clip(np.nan_to_num(part.samples), -1, 1)
            peaks[bins[number] : bins[number + 1]] = finite.min(initial=0), finite.max(initial=0)
        yield
