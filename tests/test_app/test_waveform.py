"""Columns of a waveform: each shows the bins it covers, no more and no fewer."""

import math

import numpy as np
import pytest
from PySide6.QtCore import QRectF

from app.widgets.time_axis import TimeScale
from app.widgets.waveform import columns, outline


def naive(peaks: np.ndarray, duration: float, scale: TimeScale, count: int) -> np.ndarray:
    found = []
    for number in range(count):
        start = scale.start_s + number * scale.span_s / count
        end = scale.start_s + (number + 1) * scale.span_s / count
        last = len(peaks) - 1
        first = min(math.floor(start / duration * len(peaks) + 1e-9), last)
        after = min(math.floor(end / duration * len(peaks) + 1e-9), last)
        part = peaks[first : max(after, first + 1)]
        found.append((part[:, 0].min(), part[:, 1].max()))
    return np.array(found, np.float32)


@pytest.mark.parametrize("count", [3, 7, 50, 400])
@pytest.mark.parametrize("view", [(0.0, 4.0), (1.1, 1.3), (3.0, 4.0)])
def test_columns_equal_the_naive_way(count: int, view: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    high = rng.random(60).astype(np.float32)
    peaks = np.stack([-rng.random(60).astype(np.float32), high], axis=1)
    scale = TimeScale(*view, 0, 100)
    np.testing.assert_array_equal(
        columns(peaks, 4.0, scale, count), naive(peaks, 4.0, scale, count)
    )


def test_the_loudest_fills_the_lane_and_silence_does_not() -> None:
    lane = QRectF(10, 0, 100, 40)
    scale = TimeScale(0, 1, 10, 100)
    loud = np.tile(np.float32([[-0.5, 0.5]]), (10, 1))
    quiet = loud / 100
    assert outline(loud, 1, scale, lane).boundingRect().height() == pytest.approx(40 * 0.92)
    assert outline(quiet, 1, scale, lane).boundingRect().height() < 4
    assert outline(loud * 0, 1, scale, lane).boundingRect().height() == pytest.approx(1)
