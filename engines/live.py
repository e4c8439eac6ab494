"""A stretch of a live recording through the encoders, without doing work twice.

It is encoded as a file is, except that the tower's features of a frame and the tokens of a full
window of sound are kept by their keys (`KeptFeatures`): the next stretch, which overlaps this one,
costs only what is new in it and the connector. Nothing of it is written to disk.
"""

import io
import itertools
import time
from collections import OrderedDict
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engines.audio import PreparedAudio, Span, prepare_sound
from engines.config import AudioConfig, ClipOptions, Coverage, VisionConfig
from engines.encode import (
    TOWER_FRAMES,
    Encoders,
    EncodeSeconds,
    connector_rows,
    plan_clip,
)
from engines.encodings import Encoding
from engines.errors import MediaError
from engines.events import Progress
from engines.live_clip import LiveClip
from engines.media import MediaInfo, Sound, SoundInfo
from engines.video import preprocess_frame

Array = NDArray[Any]

# What the features of frames and windows may take together: 64 frames of CLIP-L at 336 px (2.4 MB
# each), or two windows of 30 s for a 7B model (21 MB each) and 40 frames of SigLIP.
KEPT_BYTES = 160 << 20
# More than a minute's stretches hold: what has left the recording is never asked for again.
KEPT_ENTRIES = 128
MAX_LIVE_SIDE = 4096
# The share of a picture's patches that a change is measured in: a small thing that moves counts.
CHANGED_SHARE = 0.1


class KeptFeatures:
    """Encoders' results by key, the ones used last, up to a number of bytes and of results."""

    def __init__(self, limit: int = KEPT_BYTES, entries: int = KEPT_ENTRIES) -> None:
        self._limit = limit
        self._entries = entries
        self._kept: OrderedDict[str, Array] = OrderedDict()
        self.nbytes = 0

    def get(self, key: str) -> Array | None:
        """What is kept under a key, or None."""
        if (found := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: str, array: Array) -> None:
        """Keeps a result, and drops those that were not used for longest."""
        if (before := self._kept.pop(key, None)) is not None:
            self.nbytes -= before.nbytes
        # A copy: a row of a larger result would hold all of it.
        self._kept[key] = np.array(array)
        self.nbytes += array.nbytes
        while len(self._kept) > 1 and (
            self.nbytes > self._limit or len(self._kept) > self._entries
        ):
            self.nbytes -= self._kept.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Forgets everything."""
        self._kept.clear()
        self.nbytes = 0


def live_steps(
    encoders: Encoders,
    clip: LiveClip,
    options: ClipOptions,
    key: str,
    seconds: EncodeSeconds,
    kept: KeptFeatures,
) -> Generator[Progress, None, Encoding]:
    """Encodes a stretch of a live recording; as `engines.encode.encode_steps` does a file.

    Raises:
        MediaError: what was asked for is not in it, or the model has no branch for it.
    """
    check_live(clip)
    plan = plan_clip(live_info(clip), options, encoders.config)
    yield Progress("media", 0, 1)
    started = time.perf_counter()
    ears = encoders.config.audio if plan.sound else None
    heard = None if ears is None else _prepare_sound(clip, options, ears)
    seconds.media_s += time.perf_counter() - started
    yield Progress("media", 1, 1)
    yield from encoders.open_encoders(plan.picture, plan.sound)
    visual = audio = None
    if plan.picture:
        features = yield from frame_features(encoders, clip, options.pad, seconds, kept)
        vision = encoders.config.vision
        started = time.perf_counter()
        rows = np.sort(np.resize(np.arange(len(features)), max(len(features), vision.min_frames)))
        visual = encoders.project(np.stack(features)[connector_rows(rows, vision)])
        seconds.encode_s += time.perf_counter() - started
    if heard is not None and ears is not None:
        audio = yield from _encode_sound(encoders, clip, heard, ears, seconds, kept)
    coverage = Coverage(
        frame_times_s=clip.frame_times_s if plan.picture else (),
        sound_spans_s=heard.spans_s if heard else (),
        notes=tuple(dict.fromkeys([*clip.notes, *plan.notes, *(heard.notes if heard else ())])),
    )
    return Encoding(key, plan.modal, visual, audio, coverage)


def frame_features(
    encoders: Encoders,
    clip: LiveClip,
    pad: bool,
    seconds: EncodeSeconds,
    kept: KeptFeatures,
) -> Generator[Progress, None, list[Array]]:
    """The tower's features (N, D) of each of a clip's T frames; only unknown ones are computed."""
    vision = encoders.config.vision
    names = [f"{key} padded" if pad else key for key in clip.frame_keys]
    frames = dict(zip(names, clip.frames, strict=True))
    found = {name: kept.get(name) for name in frames}
    missing = [name for name, features in found.items() if features is None]
    yield Progress("vision", len(frames) - len(missing), len(frames))
    for at in range(0, len(missing), TOWER_FRAMES):
        chunk = missing[at : at + TOWER_FRAMES]
        started = time.perf_counter()
        pixels = np.stack([_pixels(frames[name], vision, pad) for name in chunk])
        decoded = time.perf_counter()
        for name, features in zip(chunk, encoders.vision_features(pixels), strict=True):
            kept.put(name, features)
            found[name] = features
        seconds.media_s += decoded - started
        seconds.encode_s += time.perf_counter() - decoded
        yield Progress("vision", len(frames) - len(missing) + at + len(chunk), len(frames))
    features_of = {name: features for name, features in found.items() if features is not None}
    return [features_of[name] for name in names]


def live_info(clip: LiveClip) -> MediaInfo:
    """What a clip is, as `engines.media.probe` says it of a file."""
    return MediaInfo(
        kind="video" if clip.frames else "audio",
        path=Path(clip.name),
        duration_s=clip.duration_s,
        fps=None,
        frame_count=len(clip.frames),
        width=None,
        height=None,
        rotation=0,
        has_video=bool(clip.frames),
        has_sound=clip.sound_span_s is not None,
        sample_rate=clip.sample_rate,
        channels=1,
        notes=clip.notes,
    )


def read_live_sound(
    clip: LiveClip, spans_s: Sequence[Span], *, rate: int | None, first_channel: bool = False
) -> list[Sound]:
    """Spans of a clip's sound, as `engines.media.read_sound` gives them of a file."""
    from engines.sound_reader import resample_s16

    samples, out_rate = clip.sound, clip.sample_rate
    if rate is not None and len(samples):
        samples, out_rate = resample_s16(samples[None], "mono", clip.sample_rate, rate), rate
    there = clip.sound_span_s or (0.0, 0.0)
    found = []
    for start_s, end_s in spans_s:
        span = np.zeros(round((end_s - start_s) * out_rate), np.float32)
        part = samples[round(start_s * out_rate) :][: len(span)]
        span[: len(part)] = part
        from_s = min(max(there[0], start_s), end_s)
        found.append(Sound(span, out_rate, from_s, max(from_s, min(there[1], end_s))))
    return found


def changes(features: Sequence[Array]) -> Array:
    """How much each of T frames differs from the one before it, 0 (not at all) to 2; (T - 1,).

    The mean cosine distance of the tenth of the patches whose features (N, D) differ most.
    """
    units = [f / np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-12) for f in features]
    found = []
    for before, after in itertools.pairwise(units):
        distances = np.sort(1 - np.sum(before * after, axis=1))
        most = max(round(len(distances) * CHANGED_SHARE), 1)
        found.append(float(distances[-most:].mean()))
    return np.array(found)


def check_live(clip: LiveClip) -> None:
    """MediaError unless its parts fit together, or when there is nothing in it."""
    counts = {len(clip.frame_times_s), len(clip.frame_keys), len(clip.frames)}
    if len(counts) > 1 or clip.sample_rate < 1:
        raise MediaError("The live recording's parts do not fit together; start it again.")
    if not clip.frames and clip.sound_span_s is None:
        raise MediaError(
            "There is neither picture nor sound of these seconds; wait a moment, and look whether"
            " camera and microphone are on."
        )


def _prepare_sound(clip: LiveClip, options: ClipOptions, audio: AudioConfig) -> PreparedAudio:
    # A hole of a stopped microphone inside is silence; what comes before and after is none.
    span = clip.sound_span_s or (0.0, 0.0)
    info = SoundInfo(
        start_s=span[0],
        end_s=span[1],
        padded_end_s=span[1],
        clip_end_s=clip.duration_s,
        sample_rate=clip.sample_rate,
        with_pictures=bool(clip.frames),
    )
    return prepare_sound(options, audio, info, partial(read_live_sound, clip))


def _encode_sound(
    encoders: Encoders,
    clip: LiveClip,
    heard: PreparedAudio,
    audio: AudioConfig,
    seconds: EncodeSeconds,
    kept: KeptFeatures,
) -> Generator[Progress, None, Array | None]:
    tokens: list[Array] = []
    yield Progress("audio", 0, len(heard.fbanks))
    spans = heard.spans_s if len(heard.spans_s) == len(heard.fbanks) else ()
    for number, fbank in enumerate(heard.fbanks):
        key = _window_key(clip, spans[number], audio) if spans else None
        found = None if key is None else kept.get(key)
        if found is None:
            started = time.perf_counter()
            found = encoders.encode_audio(fbank)
            seconds.encode_s += time.perf_counter() - started
            if key is not None:
                kept.put(key, found)
        tokens.append(found)
        yield Progress("audio", number + 1, len(heard.fbanks))
    return np.concatenate(tokens) if tokens else None


def _window_key(clip: LiveClip, span_s: Span, audio: AudioConfig) -> str | None:
    """Names a window by where its sound begins in the recording; only a full one comes again."""
    if span_s[1] - span_s[0] < audio.window_s - 0.5 / clip.sample_rate:
        return None
    recording, first = clip.sound_key
    return f"{recording}:{first + round(span_s[0] * clip.sample_rate)}:{bool(clip.frames)}"


def _pixels(jpeg: NDArray[np.uint8], vision: VisionConfig, pad: bool) -> NDArray[np.float32]:
    try:
        with Image.open(io.BytesIO(jpeg.tobytes()), formats=("JPEG",)) as image:
            fits = max(image.size) <= MAX_LIVE_SIDE
            rgb = np.asarray(image.convert("RGB")) if fits else None
    except (OSError, ValueError) as error:
        raise MediaError(f"A live frame cannot be read ({error}); ask again.") from error
    if rgb is None:
        raise MediaError(f"A live frame has more than {MAX_LIVE_SIDE} pixels a side; ask again.")
    return preprocess_frame(rgb, vision.preprocess, pad=pad)
