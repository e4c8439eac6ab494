"""From a clip to the encoders' results, step by step.

Decides which parts of the clip reach the model (`plan_clip`), prepares them and runs the encoders
on a few frames or one window of sound at a time. Whatever does not reach the model is said in the
coverage's notes, or refused.
"""

import itertools
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.audio import prepare_audio
from engines.config import BundleConfig, ClipOptions, Coverage, VisionConfig
from engines.encodings import Encoding
from engines.errors import MediaError
from engines.events import Progress
from engines.media import MediaInfo, probe
from engines.messages import Modal
from engines.video import PreparedVideo, video_steps

Array = NDArray[Any]

# Frames in one run of the vision tower: more are no faster on a CPU, and take more memory.
TOWER_FRAMES = 2


class Encoders(Protocol):
    """The model's encoder graphs, opened when first called."""

    config: BundleConfig

    def open_encoders(self, picture: bool, sound: bool) -> Iterator[Progress]:
        """Opens the graphs that will be needed, telling of each."""

    def vision_features(self, pixel_values: Array) -> Array:
        """(T, 3, S, S) → (T, N, D)."""

    def project(self, vision_features: Array) -> Array:
        """(T, N, D) → (V, H)."""

    def encode_audio(self, fbank: Array) -> Array:
        """(1, F, 128) → (A, H)."""


@dataclass
class EncodeSeconds:
    """Where the time of an encoding went."""

    media_s: float = 0.0
    encode_s: float = 0.0


@dataclass(frozen=True)
class ClipPlan:
    """Which parts of a clip are used, under which placeholder, and what to say about the rest."""

    modal: Modal
    picture: bool
    sound: bool
    notes: tuple[str, ...] = ()


def plan_clip(info: MediaInfo, options: ClipOptions, config: BundleConfig) -> ClipPlan:
    """Decides what of a clip reaches the model.

    Raises:
        MediaError: what was asked for is not in the clip, or the model has no branch for it.
    """
    name = Path(options.path).name
    hears = config.audio is not None
    wants_sound = options.sound == "only" or info.kind == "audio"
    if wants_sound and not hears:
        raise MediaError(
            f"{name} was to be heard, but {config.name} understands pictures only; use a bundle of"
            " an audio-visual model."
        )
    if info.kind == "audio":
        if options.sound == "off":
            raise MediaError(f"{name} holds only sound; leave out --sound off.")
        return ClipPlan("audio", picture=False, sound=True)
    if options.sound == "only":
        if not info.has_sound:
            raise MediaError(f"{name} has no sound track; leave out --sound only.")
        return ClipPlan("audio", picture=False, sound=True)
    if info.kind == "image":
        return ClipPlan("image", picture=True, sound=False)
    if options.sound == "off":
        return ClipPlan("video", picture=True, sound=False)
    if not hears:
        deaf = f"{config.name} understands pictures only; the sound of the clip was not used."
        return ClipPlan("video", picture=True, sound=False, notes=(deaf,) * info.has_sound)
    if not info.has_sound and options.audio_window == "cover":
        silent = "The clip has no sound track; the answer is from the picture alone."
        return ClipPlan("video", picture=True, sound=False, notes=(silent,))
    return ClipPlan("video", picture=True, sound=True)


def encode_steps(
    encoders: Encoders, options: ClipOptions, key: str, seconds: EncodeSeconds
) -> Generator[Progress, None, Encoding]:
    """Prepares and encodes a clip.

    Args:
        encoders: the model's graphs.
        options: what to take from the clip.
        key: the encoding's digest (see `encodings.encoding_key`).
        seconds: filled in with the time spent.

    Yields:
        Progress, and returns the encoding.

    Raises:
        MediaError: the clip cannot be read or lacks what was asked for.
    """
    info = probe(options.path)
    plan = plan_clip(info, options, encoders.config)
    # Everything of the clip first: what is wrong with it is said before a graph is opened.
    yield Progress("media", 0, 1)
    seen = None
    if plan.picture:
        seen = yield from _read_frames(options, encoders.config.vision, seconds)
    started = time.perf_counter()
    ears = encoders.config.audio if plan.sound else None
    heard = prepare_audio(options, ears) if ears is not None else None
    seconds.media_s += time.perf_counter() - started
    yield Progress("media", 1, 1)
    yield from encoders.open_encoders(plan.picture, plan.sound)
    visual = audio = None
    if seen is not None:
        visual = yield from _encode_frames(encoders, seen.pixel_values, seconds)
    if heard is not None:
        audio = yield from _encode_windows(encoders, heard.fbanks, seconds)
    notes = [*info.notes, *plan.notes]
    for part in (seen, heard):
        notes += part.notes if part is not None else ()
    coverage = Coverage(
        frame_times_s=tuple(seen.frame_times_s) if seen else (),
        sound_spans_s=tuple((start, end) for start, end in heard.spans_s) if heard else (),
        notes=tuple(dict.fromkeys(notes)),
    )
    return Encoding(key, plan.modal, visual, audio, coverage)


def _read_frames(
    options: ClipOptions, vision: VisionConfig, seconds: EncodeSeconds
) -> Generator[Progress, None, PreparedVideo]:
    steps = video_steps(options, vision)
    while True:
        started = time.perf_counter()
        try:
            done, total = next(steps)
        except StopIteration as end:
            prepared: PreparedVideo = end.value
            return prepared
        finally:
            seconds.media_s += time.perf_counter() - started
        yield Progress("media", done, total)


def _encode_frames(
    encoders: Encoders, pixel_values: Array, seconds: EncodeSeconds
) -> Generator[Progress, None, Array]:
    rows = repeated_rows(pixel_values)
    frames = pixel_values[np.unique(rows, return_index=True)[1]]
    features = []
    yield Progress("vision", 0, len(frames))
    for start in range(0, len(frames), TOWER_FRAMES):
        started = time.perf_counter()
        features.append(encoders.vision_features(frames[start : start + TOWER_FRAMES]))
        seconds.encode_s += time.perf_counter() - started
        yield Progress("vision", min(start + TOWER_FRAMES, len(frames)), len(frames))
    rows = connector_rows(rows, encoders.config.vision)
    started = time.perf_counter()
    visual_tokens = encoders.project(np.concatenate(features)[rows])
    seconds.encode_s += time.perf_counter() - started
    return visual_tokens


def connector_rows(rows: NDArray[np.int64], vision: VisionConfig) -> NDArray[np.int64]:
    """The frames that the connector gets, by which different one each is.

    A connector that takes frames in pairs would drop an odd one in silence: it is shown twice.
    """
    odd = -len(rows) % vision.min_frames
    return np.concatenate([rows, rows[-1:].repeat(odd)])


def repeated_rows(frames: Array) -> NDArray[np.int64]:
    """For each frame, which of the different ones it is; equal ones stand side by side.

    A still picture and a very short clip repeat frames: the tower need see each only once.
    """
    changes = [bool(np.any(a != b)) for a, b in itertools.pairwise(frames)]
    return np.concatenate([[0], np.cumsum(changes)]).astype(np.int64)


def _encode_windows(
    encoders: Encoders, fbanks: list[Array], seconds: EncodeSeconds
) -> Generator[Progress, None, Array | None]:
    tokens = []
    yield Progress("audio", 0, len(fbanks))
    for done, fbank in enumerate(fbanks, start=1):
        started = time.perf_counter()
        tokens.append(encoders.encode_audio(fbank))
        seconds.encode_s += time.perf_counter() - started
        yield Progress("audio", done, len(fbanks))
    return np.concatenate(tokens) if tokens else None
