"""The range of a clip: begun, moved and dragged, always inside the clip and never empty."""

import pytest

from app.widgets.range_choice import RangeChoice


@pytest.fixture
def choice() -> RangeChoice:
    made = RangeChoice()
    made.duration_s = 10.0
    return made


def test_beginning_and_end_are_set_one_after_the_other(choice: RangeChoice) -> None:
    choice.begin_or_end_at("start", 2.0)
    assert (choice.range_s, choice.edge) == ((2.0, 10.0), "start")
    choice.begin_or_end_at("end", 5.0)
    assert (choice.range_s, choice.edge) == ((2.0, 5.0), "end")


def test_an_edge_on_the_wrong_side_of_the_other_begins_anew(choice: RangeChoice) -> None:
    choice.take((2.0, 5.0))
    choice.begin_or_end_at("start", 7.0)
    assert choice.range_s == (7.0, 10.0)
    choice.begin_or_end_at("end", 3.0)
    assert choice.range_s == (0.0, 3.0)


def test_the_whole_clip_is_no_range(choice: RangeChoice) -> None:
    choice.take((-1.0, 11.0))
    assert choice.range_s is None


def test_a_range_has_a_least_length(choice: RangeChoice) -> None:
    choice.begin_or_end_at("start", 10.0)
    assert choice.range_s == (9.9, 10.0)
    choice.begin_or_end_at("end", 0.0)
    assert choice.range_s == (0.0, 0.1)


def test_keys_move_the_edge_that_was_set_last(choice: RangeChoice) -> None:
    choice.nudge(0.5, 4.0)
    assert (choice.range_s, choice.edge) == ((4.0, 4.5), "end")
    choice.nudge(0.5, 4.0)
    assert choice.range_s == (4.0, 5.0)
    choice.begin_or_end_at("start", 4.2)
    choice.nudge(-0.5, 0.0)
    assert choice.range_s == (3.7, 5.0)


def test_a_dragged_edge_stops_at_the_other(choice: RangeChoice) -> None:
    choice.take((2.0, 5.0))
    choice.edge = "start"
    choice.drag(9.0)
    assert choice.range_s == (4.9, 5.0)
    choice.drag(-4.0)
    assert choice.range_s == (0.0, 5.0)


def test_dragging_backwards_gives_the_same_span(choice: RangeChoice) -> None:
    choice.span_between(6.0, 2.0)
    assert (choice.range_s, choice.edge) == ((2.0, 6.0), "start")


def test_a_clip_shorter_than_the_least_range() -> None:
    short = RangeChoice()
    short.duration_s = 0.05
    short.begin_or_end_at("start", 0.02)
    assert short.range_s is None
