import numpy as np
import pytest

from app.capture.clocks import SoundClock

RATE, COUNT = 1000, 20  # blocks of 20 ms


def stamps(heard_s: np.ndarray) -> np.ndarray:
    clock = SoundClock(RATE)
    return np.array([clock.stamp(float(at), COUNT) for at in heard_s])


def test_late_arrivals_do_not_move_the_sound() -> None:
    true_s = 10 + np.arange(500) * 0.02
    late = true_s + np.where(np.arange(500) % 7 == 3, 0.06, 0.0)  # every seventh comes late
    found = stamps(late)
    assert np.abs(found - true_s)[100:].max() < 0.002
    assert (np.diff(found) > 0).all()


def test_a_late_first_block_is_forgotten() -> None:
    true_s = np.arange(100) * 0.02
    late = true_s + np.where(np.arange(100) == 0, 0.1, 0.0)
    found = stamps(late)
    assert found[0] == pytest.approx(0.1)
    assert np.abs(found - true_s)[60:].max() < 0.002
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("rate", [0.999, 1.001])
def test_a_clock_that_is_off_is_followed_for_hours(rate: float) -> None:
    true_s = np.arange(180_000) * 0.02 * rate  # an hour
    found = stamps(true_s)
    assert np.abs(found - true_s).max() < 0.005


def test_a_gap_is_believed_at_once() -> None:
    clock = SoundClock(RATE)
    clock.stamp(1.0, COUNT)
    assert clock.stamp(3.0, COUNT) == 3.0
    # After an overflow, also a short one.
    assert clock.stamp(3.12, COUNT, overflowed=True) == 3.12
    assert clock.stamp(3.24, COUNT) == pytest.approx(3.1405)
