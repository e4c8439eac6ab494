"""The stages before the decoder, each by itself: a file to arrays, arrays to tokens.

Parity with upstream is checked here, stage by stage (tests/test_engines/test_golden.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import audio, media, video
from engines.bundle import Bundle, open_embeddings
from engines.config import BundleConfig, ClipOptions
from engines.encode import TOWER_FRAMES
from engines.errors import MediaError
from engines.events import Progress
from engines.sessions import Sessions

Array = NDArray[Any]


@dataclass
class Counters:
    """Work done since the model was loaded, and work that was spared."""

    clips_encoded: int = 0
    frames_encoded: int = 0
    sound_windows_encoded: int = 0
    positions_prefilled: int = 0
    tokens_decoded: int = 0
    encodings_reused: int = 0
    positions_reused: int = 0


class Stages:
    """Encoders and embeddings of a bundle.

    Attributes:
        bundle: the folder, its id and its manifest.
        config: the manifest.
        sessions: its graphs.
        counters: work done so far.
    """

    def __init__(self, bundle: Bundle, sessions: Sessions) -> None:
        self.bundle = bundle
        self.config: BundleConfig = bundle.config
        self.sessions = sessions
        self.counters = Counters()
        # As a plain array: a memmap's own bookkeeping costs more than the row of one token.
        self._embeddings = open_embeddings(bundle)

    def prepare_video(self, path: Path | str, **options: Any) -> Array:
        """Pixel values (T, 3, S, S) float32 of a clip; `options` are fields of `ClipOptions`.

        A still picture is one frame, unless `num_frames` is given: `encode_video` repeats it.
        """
        clip = ClipOptions(Path(path), **options)
        pixel_values = video.prepare_video(clip, self.config.vision).pixel_values
        still = clip.num_frames is None and media.probe(clip.path).kind == "image"
        return pixel_values[:1] if still else pixel_values

    def prepare_audio(self, path: Path | str, **options: Any) -> Array:
        """Filter banks (windows, F, 128) float32 of a clip's sound; `options` as `ClipOptions`.

        Raises:
            MediaError: the model has no audio branch, or the clip no sound.
        """
        clip = ClipOptions(Path(path), **options)
        if self.config.audio is None:
            raise MediaError(
                f"{clip.path.name} was to be heard, but {self.config.name} understands pictures"
                " only; use a bundle of an audio-visual model."
            )
        return np.concatenate(audio.prepare_audio(clip, self.config.audio).fbanks)

    def encode_video(self, pixel_values: Array) -> Array:
        """Frames (T, 3, S, S) float32 → visual tokens (V, H) float32.

        A single frame is a picture: it is shown as the model's number of frames, as upstream does.
        """
        starts = range(0, len(pixel_values), TOWER_FRAMES)
        chunks = [self.vision_features(pixel_values[i : i + TOWER_FRAMES]) for i in starts]
        return self.project(np.concatenate(chunks))

    def vision_features(self, pixel_values: Array) -> Array:
        """Frames (T, 3, S, S) float32 → features of their patches (T, N, D) float32."""
        self.counters.frames_encoded += len(pixel_values)
        pixels = np.ascontiguousarray(pixel_values, np.float32)
        return self.sessions.get("vision_tower").run({"pixel_values": pixels})["vision_features"]

    def project(self, vision_features: Array) -> Array:
        """Features of T frames (T, N, D) → visual tokens (V, H) float32; one frame is repeated."""
        if len(vision_features) == 1:
            vision_features = np.repeat(vision_features, self.config.vision.num_frames, axis=0)
        feeds = {"vision_features": np.ascontiguousarray(vision_features, np.float32)}
        return self.sessions.get("projector").run(feeds)["visual_tokens"]

    def encode_audio(self, fbank: Array) -> Array:
        """Filter banks (1, F, 128) float32 → audio tokens (A, H) float32."""
        self.counters.sound_windows_encoded += len(fbank)
        feeds = {"fbank": np.ascontiguousarray(fbank, np.float32)}
        tokens = self.sessions.get("audio").run(feeds)["audio_tokens"]
        return tokens.reshape(-1, self.config.decoder.hidden_size)

    def embed(self, ids: NDArray[np.int64]) -> Array:
        """Token ids (n,) ≥ 0 → embeddings (n, H) float32; ValueError outside the vocabulary."""
        if ids.size and (ids.min() < 0 or ids.max() >= len(self._embeddings)):
            raise ValueError("token ids outside the vocabulary")
        return self._embeddings.rows(ids)

    def open_encoders(self, picture: bool, sound: bool) -> Iterator[Progress]:
        """Opens the graphs that a clip needs, unless they are open."""
        names = ["vision_tower", "projector"] * picture + ["audio"] * sound
        for name in names:
            yield from self.sessions.opening(name)
