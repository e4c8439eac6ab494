"""From a clip's pictures to what the vision tower takes: which frames, and their pixels."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engines import media
from engines.config import ClipOptions, PreprocessConfig, VisionConfig
from engines.errors import MediaError
from engines.generate import drain
from engines.media_file import shown
from engines.timeline import Timeline, check_range

MAX_FRAMES = 128
# Squares larger than this are not built: the picture is made smaller first.
MAX_PAD_SIDE = 4096


@dataclass(frozen=True)
class PreparedVideo:
    """Pictures ready for the vision tower.

    Attributes:
        pixel_values: (T, 3, S, S) float32.
        frame_times_s: when each of the T frames is shown; a still picture is at 0.
        notes: sentences for the user.
    """

    pixel_values: NDArray[np.float32]
    frame_times_s: tuple[float, ...]
    notes: tuple[str, ...] = ()


def prepare_video(options: ClipOptions, vision: VisionConfig) -> PreparedVideo:
    """`video_steps` in one go."""
    return drain(video_steps(options, vision))


def video_steps(
    options: ClipOptions, vision: VisionConfig
) -> Generator[tuple[int, int], None, PreparedVideo]:
    """Sample a clip's frames and make pixel values of them, one frame in memory at a time.

    A still picture is repeated to the number of frames, as upstream does; fewer frames than the
    connector takes are repeated to its least number.

    Yields:
        Different frames done, and how many there are.

    Raises:
        MediaError: the clip cannot be read, has no pictures, or the range or the number of frames
            is not possible.
    """
    chosen, notes = clip_frames(options, vision)
    unique, position = np.unique(chosen, return_inverse=True)
    rows = np.sort(np.resize(position, max(len(chosen), vision.min_frames)))
    side = output_side(vision.preprocess)
    pixel_values = np.empty((len(rows), 3, side, side), np.float32)
    times, damaged = [], 0
    for number, frame in enumerate(media.read_frames(options.path, unique.tolist())):
        pixel_values[rows == number] = preprocess_frame(
            frame.rgb, vision.preprocess, pad=options.pad
        )
        times.append(frame.time_s)
        damaged += not frame.exact
        yield number + 1, len(unique)
    if damaged:
        notes += (
            f"{damaged} of the {len(unique)} frames could not be decoded whole; the nearest "
            "pictures stand for them.",
        )
    return PreparedVideo(pixel_values, tuple(times[row] for row in rows), notes)


def clip_frames(
    options: ClipOptions, vision: VisionConfig
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Which frames of a clip the model gets, indices (count,), and notes; see `choose_frames`.

    Raises:
        MediaError: the clip cannot be read, has no pictures, or the range or the number of frames
            is not possible.
    """
    count = vision.num_frames if options.num_frames is None else options.num_frames
    if not 1 <= count <= MAX_FRAMES:
        raise MediaError(
            f"{count} frames of {shown(options.path)} cannot be taken; ask for 1 to {MAX_FRAMES}."
        )
    return choose_frames(options, media.read_timeline(options.path), count)


def frame_indices(count: int, num_frames: int) -> NDArray[np.int64]:
    """The reference's uniform sampling: the middle of each of `num_frames` equal parts.

    Args:
        count: frames there are, at least 1.
        num_frames: frames to take.

    Returns:
        (num_frames,) int64, ascending, in 0..count-1; a short clip repeats frames.
    """
    middles = (count - 1) * (2 * np.arange(num_frames) + 1) / (2 * num_frames)
    # np.round sends halves to the even neighbour; the reference's own 1e-6 sends them up.
    return np.round(middles + 1e-6).astype(np.int64)


def choose_frames(
    options: ClipOptions, timeline: Timeline, count: int
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Indices (count,) of the frames to take, and notes.

    A constant rate goes by the reference's rule for ranges and indices; a varying one by time:
    the frame on the screen at the middle of each of `count` equal spans of time.

    Raises:
        MediaError: the range is no part of the clip.
    """
    notes = timeline.notes
    total = len(timeline.times_s)
    if options.range_s is not None and timeline.end_s == 0:
        raise MediaError(
            f"The picture {shown(options.path)} has no time to take a range of; leave it out."
        )
    start_s, end_s = float(timeline.times_s[0]), timeline.end_s
    if options.range_s is not None:
        (start_s, end_s), more = check_range(
            options.path, options.range_s, timeline.end_s, "picture"
        )
        notes += more
    if total > 1 and timeline.fps is None:
        moments = start_s + (end_s - start_s) * (2 * np.arange(count) + 1) / (2 * count)
        shown_at = np.searchsorted(timeline.times_s, moments, side="right") - 1
        return np.maximum(shown_at, 0), notes
    first, last = 0, total - 1
    if options.range_s is not None and timeline.fps is not None:
        # The rule counts frames from the first one, which sound may precede.
        lead_s = float(timeline.times_s[0])
        first, last = range_indices((start_s - lead_s, end_s - lead_s), timeline.fps, total)
    return first + frame_indices(last - first + 1, count), notes


def range_indices(range_s: tuple[float, float], fps: float, total: int) -> tuple[int, int]:
    """First and last frame of a range by the reference's rule, which counts from 1.

    At least one frame is taken.
    """
    first = min(max(int(range_s[0] * fps) - 1, 0), total - 1)
    last = min(int(range_s[1] * fps) - 1, total - 1)
    return first, max(first, last)


def preprocess(
    frames: Iterable[NDArray[np.uint8]], vision: VisionConfig, *, pad: bool = False
) -> NDArray[np.float32]:
    """Frames, uint8 (h, w, 3) each, to pixel values (T, 3, S, S) float32."""
    return np.stack([preprocess_frame(frame, vision.preprocess, pad=pad) for frame in frames])


def output_side(config: PreprocessConfig) -> int:
    """Side of the square that `preprocess_frame` makes, in pixels."""
    squash = config.resize == "squash"
    return config.size if squash or config.crop is None else config.crop


def preprocess_frame(
    rgb: NDArray[np.uint8], config: PreprocessConfig, *, pad: bool = False
) -> NDArray[np.float32]:
    """One frame, uint8 (h, w, 3), to (3, S, S) float32: bicubic, rescaled and normalised."""
    image = Image.fromarray(rgb)
    if pad:
        image = pad_to_square(image, config.image_mean)
    if config.resize == "squash":
        image = image.resize((config.size, config.size), Image.Resampling.BICUBIC)
    else:
        image = resize_and_crop(image, config.size, output_side(config))
    scaled = np.asarray(image, np.float32) * np.float32(config.rescale_factor)  # (S, S, 3)
    mean = np.array(config.image_mean, np.float32)
    std = np.array(config.image_std, np.float32)
    return np.ascontiguousarray(((scaled - mean) / std).transpose(2, 0, 1))


def resize_and_crop(image: Image.Image, size: int, crop: int) -> Image.Image:
    """Resize the shortest edge to `size`, then take the central square of side `crop`.

    Only the square is computed: a strip a thousand times longer than wide costs no more than a
    square picture. What a crop larger than the picture has no pixels for is black.
    """
    width, height = image.size
    short = min(width, height)
    new_width, new_height = (int(size * side / short) for side in image.size)
    left, top = (new_width - crop) // 2, (new_height - crop) // 2
    inner = (max(left, 0), max(top, 0), min(left + crop, new_width), min(top + crop, new_height))
    scale_x, scale_y = width / new_width, height / new_height
    box = (inner[0] * scale_x, inner[1] * scale_y, inner[2] * scale_x, inner[3] * scale_y)
    # Rounding may carry the far side past the picture's edge, which Pillow refuses.
    box = (box[0], box[1], min(box[2], width), min(box[3], height))
    inner_size = (inner[2] - inner[0], inner[3] - inner[1])
    resized = image.resize(inner_size, Image.Resampling.BICUBIC, box=box)
    if inner_size == (crop, crop):
        return resized
    square = Image.new("RGB", (crop, crop))
    square.paste(resized, (inner[0] - left, inner[1] - top))
    return square


def pad_to_square(image: Image.Image, mean: tuple[float, ...]) -> Image.Image:
    """Centre a picture on a square of the mean colour, as upstream does in training."""
    side = max(image.size)
    if side > MAX_PAD_SIDE:
        smaller = tuple(max(ceil(edge * MAX_PAD_SIDE / side), 1) for edge in image.size)
        image = image.resize((smaller[0], smaller[1]), Image.Resampling.BICUBIC)
        side = MAX_PAD_SIDE
    width, height = image.size
    colour = tuple(int(255 * value) for value in mean)
    square = Image.new("RGB", (side, side), colour)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square
