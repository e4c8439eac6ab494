import numpy as np
import pytest

from app.capture.rings import PictureRing, SoundRing

RATE = 100


def picture(size: int) -> np.ndarray:
    return np.zeros(size, np.uint8)


def block(first: int, count: int) -> np.ndarray:
    """Samples that tell their number."""
    return np.arange(first, first + count, dtype=np.int16)


def heard(ring: SoundRing, start_s: float, end_s: float) -> list[int]:
    return np.rint(ring.read(start_s, end_s).samples * 32768).astype(int).tolist()


def test_pictures_older_than_the_ring_are_dropped() -> None:
    ring = PictureRing(seconds=1.0, limit=1000)
    for number in range(5):
        ring.put(10 + number * 0.5, picture(10))
    assert [frame.number for frame in ring.between(0, 99)] == [2, 3, 4]
    assert [frame.time_s for frame in ring.between(11.5, 12.0)] == [11.5]
    assert (ring.nbytes, ring.from_s, ring.last_s, ring.crowded_out) == (30, 11.0, 12.0, 0)


def test_pictures_never_take_more_than_their_bytes() -> None:
    ring = PictureRing(seconds=60.0, limit=100)
    most = 0
    for number in range(50):
        ring.put(float(number), picture(30 + number % 3))
        most = max(most, ring.nbytes)
    assert most <= 100
    assert ring.crowded_out > 0
    assert ring.between(0, 99)[-1].number == 49
    ring.put(50.0, picture(500))  # larger than all: it stays alone
    assert [frame.number for frame in ring.between(0, 99)] == [50]


def test_an_empty_ring_has_nothing() -> None:
    assert PictureRing(1, 1).between(0, 9) == []
    assert (PictureRing(1, 1).from_s, SoundRing(1, RATE).last_s) == (None, None)
    assert SoundRing(1, RATE).read(0, 1).recorded_s is None


def test_sound_is_read_by_its_time() -> None:
    ring = SoundRing(2.0, RATE)
    for number in range(10):
        ring.put(5 + number * 0.1, block(number * 10, 10))
    span = ring.read(5.25, 5.45)
    assert heard(ring, 5.25, 5.45) == list(range(25, 45))
    assert (span.first, span.recorded_s, span.missing_s) == (25, (0.0, 0.2), 0.0)
    before = ring.read(4.9, 5.1)
    assert before.recorded_s == pytest.approx((0.1, 0.2))
    assert heard(ring, 4.9, 5.1) == [0] * 10 + list(range(10))
    assert ring.read(5.95, 6.2).recorded_s == pytest.approx((0.0, 0.05))


def test_a_ring_that_is_full_keeps_the_newest_sound() -> None:
    ring = SoundRing(1.0, RATE)
    for number in range(35):
        ring.put(number * 0.1, block(number * 10, 10))
    assert heard(ring, 2.5, 3.5) == list(range(250, 350))
    assert ring.from_s == 2.5
    assert ring.read(0.0, 2.4).recorded_s is None
    assert ring.nbytes == RATE * 2
    ring.put(3.5, block(0, 500))  # one block longer than the ring
    assert heard(ring, 7.5, 8.5) == list(range(400, 500))


def test_a_gap_is_silence_of_its_length_and_is_told() -> None:
    ring = SoundRing(10.0, RATE)
    ring.put(1.0, block(100, 50))
    ring.put(2.0, block(200, 50))
    span = ring.read(1.0, 2.5)
    assert heard(ring, 1.0, 2.5) == [*range(100, 150), *[0] * 50, *range(200, 250)]
    assert (span.recorded_s, span.missing_s) == ((0.0, 1.5), 0.5)
    # Numbers go on through the gap: no two moments have the same one.
    assert ring.read(2.0, 2.5).first - span.first == 100


def test_a_device_clock_that_drifts_does_not_shift_the_newest_sound() -> None:
    ring = SoundRing(100.0, RATE)
    time_s = 0.0
    for number in range(900):
        ring.put(time_s, block(number % 1000, 10))
        time_s += 0.1 * 1.001  # the device is a tenth of a percent slow
    last = ring.read(time_s - 0.2, time_s)
    assert last.samples[-1] > 0
    assert last.recorded_s == pytest.approx((0.0, 0.2), abs=0.011)
