"""The torch reference's towers behind the runtime's own way from a clip to tokens."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engines.config import BundleConfig, ClipOptions
from engines.encode import EncodeSeconds, encode_steps
from engines.encodings import Encoding
from engines.events import Progress
from engines.generate import drain
from export.checkpoint import Checkpoint, SoundEncoder
from export.memory import giving_back
from export.reference.vision_tower import VisionTower

Array = NDArray[Any]


class ReferenceEncoders:
    """A checkpoint's towers as `engines.encode.Encoders`, each read when it is first needed.

    Attributes:
        config: As the bundle's manifest will have it.
    """

    def __init__(self, checkpoint: Checkpoint, config: BundleConfig) -> None:
        self.checkpoint = checkpoint
        self.config = config
        self._encoded: dict[ClipOptions, Encoding] = {}

    def encode(self, clip: ClipOptions) -> Encoding:
        """Read and encode a clip, once.

        Raises:
            MediaError: it cannot be read, or lacks what was asked for.
        """
        if clip not in self._encoded:
            steps = encode_steps(self, clip, str(clip.path), EncodeSeconds())
            self._encoded[clip] = drain(steps)
        return self._encoded[clip]

    @giving_back
    def release(self) -> None:
        """Let go of the towers, which are read again when they are needed again."""
        for name in ("_vision_tower", "_projector", "_sound_encoder"):
            self.__dict__.pop(name, None)

    def open_encoders(self, picture: bool, sound: bool) -> Iterator[Progress]:
        """Do nothing: a tower is read when it is called."""
        yield from ()

    def vision_features(self, pixel_values: Array) -> Array:
        """(T, 3, S, S) to (T, N, D)."""
        with torch.inference_mode():
            return self._vision_tower(torch.from_numpy(np.ascontiguousarray(pixel_values))).numpy()

    def project(self, vision_features: Array) -> Array:
        """(T, N, D) to (V, H)."""
        with torch.inference_mode():
            return self._projector(torch.from_numpy(vision_features)[None])[0].numpy()

    def encode_audio(self, fbank: Array) -> Array:
        """(1, F, 128) to (A, H)."""
        with torch.inference_mode():
            return self._sound_encoder(torch.from_numpy(fbank))[0].numpy()

    @cached_property
    def _vision_tower(self) -> VisionTower:
        return self.checkpoint.vision_tower()

    @cached_property
    def _projector(self) -> nn.Module:
        return self.checkpoint.projector()

    @cached_property
    def _sound_encoder(self) -> SoundEncoder:
        return self.checkpoint.sound_encoder()
