"""Clock faces, ticks and zoom, by hand."""

import pytest

from app.widgets.time_axis import (
    TimeScale,
    clock,
    decimals_for,
    moved,
    tick_label,
    tick_step,
    ticks,
    zoomed,
)


@pytest.mark.parametrize(
    ("seconds", "decimals", "text"),
    [
        (0, 0, "0:00"),
        (0.239999, 2, "0:00.24"),
        (59.996, 2, "1:00.00"),
        (61.25, 1, "1:01.2"),
        (3599.5, 0, "1:00:00"),
        (36000, 0, "10:00:00"),
        (-3, 0, "0:00"),
    ],
)
def test_times_are_rounded_not_cut(seconds: float, decimals: int, text: str) -> None:
    assert clock(seconds, decimals) == text


def test_hours_can_be_asked_for() -> None:
    assert clock(5, hours=True) == "0:00:05"


def test_short_clips_have_more_decimals() -> None:
    assert [decimals_for(length) for length in (4, 60, 61, 3601, 36000)] == [2, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("span", "width", "step"),
    [(4, 800, 0.5), (15, 800, 2), (90, 800, 10), (36000, 800, 3600), (36000, 100, 21600)],
)
def test_labels_do_not_touch(span: float, width: float, step: float) -> None:
    assert tick_step(span, width, 60) == step
    assert step / span * width >= 60


def test_ticks_of_a_year_still_end() -> None:
    year = 365 * 86400.0
    step = tick_step(year, 500, 60)
    assert len(ticks(TimeScale(0, year, 0, 500), step)) <= 500 / 60 + 1


def test_ticks_are_the_multiples_in_view() -> None:
    scale = TimeScale(0.9, 2.1, 0, 100)
    assert ticks(scale, 0.5) == pytest.approx([1.0, 1.5, 2.0])
    assert [tick_label(1.5, step) for step in (0.02, 0.5, 1.0)] == ["0:01.50", "0:01.5", "0:02"]


def test_seconds_and_pixels_are_each_others_inverse() -> None:
    scale = TimeScale(10, 20, 30, 200)
    assert scale.x(15) == 130
    assert scale.time_s(130) == 15
    assert scale.time_s(0) == 10
    assert scale.time_s(999) == 20


def test_zoom_keeps_the_place_under_the_pointer() -> None:
    view = zoomed((0.0, 100.0), 100.0, 2.0, 25.0)
    assert view == (12.5, 62.5)
    before, after = TimeScale(0, 100, 0, 400), TimeScale(*view, 0, 400)
    assert before.x(25) == after.x(25)


def test_zoom_stays_inside_the_clip() -> None:
    assert zoomed((0.0, 4.0), 4.0, 0.5, 1.0) == (0.0, 4.0)
    start, end = zoomed((0.0, 4.0), 4.0, 1e9, 4.0)
    assert (start, end) == pytest.approx((3.8, 4.0))
    assert moved((95.0, 0.0), 100.0, 10.0) == (90.0, 100.0)
    assert moved((-5.0, 0.0), 100.0, 10.0) == (0.0, 10.0)
