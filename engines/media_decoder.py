"""What a clip's file holds, read in this very process: what the media child does (`media_child`).

Same questions as `engines.media`, which asks them across a pipe.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.errors import MediaError
from engines.media import Frame, MediaInfo, Sound, SoundInfo
from engines.media_file import file_stamp, is_folder, shown
from engines.packet_index import PacketIndex, PictureTrack, read_index
from engines.pictures import (
    FOLDER_FPS,
    animation_times,
    folder_frames,
    is_animated,
    left_out,
    open_picture,
    read_animation,
    read_picture,
)
from engines.sound_reader import read_spans
from engines.timeline import Timeline, constant_rate
from engines.video_reader import decode_frames


def probe(path: Path) -> MediaInfo:
    """What a clip is, from its content.

    Raises:
        MediaError: it cannot be read, or is no clip.
    """
    source = classify(path)
    if source == "container":
        return _probe_container(path, file_stamp(path))
    frame = next(read_frames(path, [0]))
    height, width = frame.rgb.shape[:2]
    still = source == "image"
    timeline = read_timeline(path)
    return MediaInfo(
        kind="image" if still else "video",
        path=path,
        duration_s=None if still else timeline.end_s,
        fps=None if still else timeline.fps,
        frame_count=len(timeline.times_s),
        width=width,
        height=height,
        rotation=0,
        has_video=not still,
        has_sound=False,
        sample_rate=None,
        channels=None,
    )


@lru_cache(maxsize=16)
def _probe_container(path: Path, stamp: tuple[int, int, int]) -> MediaInfo:
    """Its size is known from a frame; `stamp` makes a changed file another cache key."""
    index = read_index(path)
    track, sound = index.pictures, index.sound
    width = height = rotation = 0
    if track is not None:
        first = next(decode_frames(path, track, [int(track.shown_ts[0])]))
        height, width = first.rgb.shape[:2]
        rotation = first.rotation
    return MediaInfo(
        kind="audio" if track is None else "video",
        path=path,
        duration_s=index.end_s,
        fps=_picture_timeline(index, track).fps if track else None,
        frame_count=len(track.shown_ts) if track else None,
        width=width or None,
        height=height or None,
        rotation=rotation,
        has_video=track is not None,
        has_sound=sound is not None,
        sample_rate=sound.sample_rate if sound else None,
        channels=sound.channels if sound else None,
        notes=index.notes,
    )


def read_timeline(path: Path) -> Timeline:
    """The times of all frames of a clip; a still picture has one, at 0.

    Raises:
        MediaError: the clip cannot be read, or has no pictures.
    """
    source = classify(path)
    if source == "folder":
        count = len(folder_frames(path))
        times = np.arange(count, dtype=np.float64) / FOLDER_FPS
        return Timeline(times, count / FOLDER_FPS, FOLDER_FPS, left_out(path, count))
    if source == "image":
        return Timeline(np.zeros(1), 0.0, None)
    if source == "animation":
        return _animation_timeline(path, file_stamp(path))
    index = read_index(path)
    if index.pictures is None:
        raise MediaError(
            f"The file {shown(path)} has sound but no pictures; ask for its sound only."
        )
    return _picture_timeline(index, index.pictures)


@lru_cache(maxsize=4)
def _animation_timeline(path: Path, stamp: tuple[int, int, int]) -> Timeline:
    """Every frame is decoded for its duration; `stamp` makes a changed file another cache key."""
    times, end_s = animation_times(path)
    return Timeline(times, end_s, constant_rate(times, end_s, None))


def _picture_timeline(index: PacketIndex, track: PictureTrack) -> Timeline:
    base = float(track.time_base)
    times: NDArray[np.float64] = track.shown_ts.astype(np.float64) * base - index.origin_s
    end_s = track.end_ts * base - index.origin_s
    return Timeline(times, end_s, constant_rate(times, end_s, track.declared_fps), index.notes)


def read_frames(path: Path, indices: Sequence[int]) -> Iterator[Frame]:
    """The frames at ascending indices of the clip's timeline, one at a time.

    Only one frame is held, so a long clip takes no more memory than a short one.

    Raises:
        MediaError: the clip cannot be read, has no pictures, or none of them decodes.
    """
    source = classify(path)
    if source == "folder":
        files = folder_frames(path)
        for index in indices:
            yield Frame(index / FOLDER_FPS, read_picture(files[index]))
    elif source == "image":
        rgb = read_picture(path)
        for _ in indices:
            yield Frame(0.0, rgb)
    elif source == "animation":
        times = read_timeline(path).times_s
        for index, rgb in zip(indices, read_animation(path, indices), strict=True):
            yield Frame(float(times[index]), rgb)
    else:
        yield from _container_frames(path, indices)


def _container_frames(path: Path, indices: Sequence[int]) -> Iterator[Frame]:
    index = read_index(path)
    track = index.pictures
    if track is None:
        raise MediaError(
            f"The file {shown(path)} has sound but no pictures; ask for its sound only."
        )
    wanted = [int(track.shown_ts[i]) for i in indices]
    step = float(np.median(np.diff(track.shown_ts))) if len(track.shown_ts) > 1 else 0.0
    for ts, frame in zip(wanted, decode_frames(path, track, wanted), strict=True):
        # Packets that show nothing of their own (VP8's hidden references) are a step off at most.
        exact = abs(ts - frame.ts) <= 1.5 * step and not frame.damaged
        time_s = float(frame.ts * track.time_base) - index.origin_s
        yield Frame(time_s, frame.rgb, exact)


def sound_info(path: Path) -> SoundInfo | None:
    """Where a clip's sound lies, or None when it has no sound.

    Raises:
        MediaError: the clip cannot be read.
    """
    if classify(path) != "container":
        return None
    index = read_index(path)
    if index.sound is None or index.sound.end_s <= index.sound.start_s:
        return None
    sound = index.sound
    return SoundInfo(
        start_s=sound.start_s,
        end_s=sound.end_s,
        padded_end_s=sound.padded_end_s,
        clip_end_s=index.end_s,
        sample_rate=sound.sample_rate,
        with_pictures=index.pictures is not None,
        notes=index.notes,
    )


def read_sound(
    path: Path,
    spans_s: Sequence[tuple[float, float]],
    *,
    rate: int | None,
    first_channel: bool = False,
) -> list[Sound]:
    """Spans of a clip's sound, ascending by start; see `engines.sound_reader.read_spans`.

    Raises:
        MediaError: the clip cannot be read.
    """
    return read_spans(path, read_index(path), spans_s, rate=rate, first_channel=first_channel)


def classify(path: Path) -> Literal["folder", "image", "animation", "container"]:
    """What kind of file it is, by its content."""
    if is_folder(path):
        return "folder"
    with open_picture(path) as image:
        if image is None:
            return "container"
        return "animation" if is_animated(image) else "image"
