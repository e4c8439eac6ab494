from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines.encode import EncodeSeconds, _encode_frames, repeated_rows
from engines.events import Progress
from engines.generate import drain


class FakeEncoders:
    """A tower whose feature of a frame is its first pixel; remembers what it was given."""

    def __init__(self, min_frames: int) -> None:
        self.config: Any = SimpleNamespace(vision=SimpleNamespace(min_frames=min_frames))
        self.seen: list[int] = []
        self.projected: list[float] = []

    def open_encoders(self, picture: bool, sound: bool) -> Iterator[Progress]:
        yield from ()

    def vision_features(self, pixel_values: Any) -> Any:
        self.seen.append(len(pixel_values))
        return pixel_values[:, :1, 0, :1]

    def project(self, vision_features: Any) -> Any:
        self.projected = vision_features[:, 0, 0].tolist()
        return vision_features[:, 0]

    def encode_audio(self, fbank: Any) -> Any:
        raise AssertionError("these clips have no sound")


def frames(*values: float) -> Any:
    return np.ones((len(values), 3, 2, 2), np.float32) * np.reshape(values, (-1, 1, 1, 1))


def test_repeated_frames_are_found() -> None:
    assert repeated_rows(frames(1)).tolist() == [0]
    assert repeated_rows(frames(1, 1, 2, 1, 1, 3)).tolist() == [0, 0, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("values", "runs", "projected"),
    [
        ((1, 2, 3), [2, 1], [1, 2, 3]),
        ((5, 5, 5, 5), [1], [5, 5, 5, 5]),
        ((1, 1, 2, 2, 3), [2, 1], [1, 1, 2, 2, 3]),
    ],
)
def test_the_tower_sees_each_frame_once_and_the_connector_all(
    values: tuple[float, ...], runs: list[int], projected: list[float]
) -> None:
    encoders = FakeEncoders(min_frames=1)
    drain(_encode_frames(encoders, frames(*values), EncodeSeconds()))
    assert encoders.seen == runs
    assert encoders.projected == projected


def test_a_connector_of_pairs_is_given_pairs() -> None:
    encoders = FakeEncoders(min_frames=2)
    drain(_encode_frames(encoders, frames(1, 2, 3), EncodeSeconds()))
    assert encoders.projected == [1, 2, 3, 3]
