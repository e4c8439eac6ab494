import numpy as np
import pytest

from app.capture.watch import LONGEST_REST_S, Moment, Watch, loudest_db, says_yes

QUIET = -70.0


def look(watch: Watch, now_s: float, *new: float, level_db: float = QUIET) -> bool:
    """A look at frames of the last second, each so different from the one before; True: asked."""
    times = now_s - np.arange(len(new), -1, -1) * 0.1
    worth = watch.worth_asking(now_s, times, np.array(new), level_db)
    if worth:
        watch.answered(now_s, "No.", now_s - 1, now_s)
    return worth


def test_it_is_time_to_look_every_few_seconds() -> None:
    watch = Watch("Is there a dog?", every_s=3.0)
    assert watch.due(0.0)
    look(watch, 10.0)
    assert not watch.due(12.9)
    assert watch.due(13.0)


def test_the_first_look_asks_and_nothing_new_does_not() -> None:
    watch = Watch("Is there a dog?")
    assert look(watch, 10, 0.0, 0.0)
    assert not look(watch, 13, 0.001, 0.002)
    assert look(watch, 16, 0.0, 0.3)
    assert not look(watch, 19, 0.001, 0.0)


def test_a_noisy_camera_opens_no_gate() -> None:
    watch = Watch("Is there a dog?")
    look(watch, 10, *[0.05] * 10)
    assert not look(watch, 13, *[0.06] * 10)
    assert look(watch, 16, *[0.05] * 9, 0.2)


def test_frames_seen_before_do_not_count_again() -> None:
    watch = Watch("Is there a dog?")
    look(watch, 10, 0.0)
    times = np.array([8.0, 9.0, 10.0, 11.0])
    assert not watch.worth_asking(11.5, times, np.array([0.9, 0.9, 0.0]), QUIET)


def test_a_sound_opens_the_gate_and_hiss_does_not() -> None:
    watch = Watch("Does it ring?")
    look(watch, 10, level_db=-75)
    assert not look(watch, 13, level_db=-62)
    assert look(watch, 16, level_db=-20)
    assert not look(watch, 19, level_db=-22)
    assert look(watch, 22, level_db=-75)  # and when it ends


def test_the_model_is_asked_now_and_then_all_the_same() -> None:
    watch = Watch("Is there a dog?")
    look(watch, 10)
    assert not look(watch, 10 + LONGEST_REST_S - 1)
    assert look(watch, 10 + LONGEST_REST_S)


def test_a_moment_is_a_yes_after_none() -> None:
    watch = Watch("Is there a dog?")
    assert watch.answered(10, "No, there is no dog.", 5, 10) is None
    moment = watch.answered(13, "Yes, there is a dog.", 8, 13)
    assert moment == Moment("Is there a dog?", "Yes, there is a dog.", 8, 13)
    assert watch.answered(16, "Yes, it is still there.", 11, 16) is None
    assert watch.answered(19, "It left.", 14, 19) is None
    assert watch.answered(22, "yes", 17, 22) is not None
    assert watch.asked == 5


@pytest.mark.parametrize(
    ("answer", "yes"),
    [("Yes.", True), (' "yes, I see', True), ("Ja.", True), ("Yesterday", False), ("", False)],
)
def test_what_counts_as_yes(answer: str, yes: bool) -> None:
    assert says_yes(answer) is yes


def test_loudness_is_that_of_the_loudest_tenth_of_a_second() -> None:
    samples = np.zeros(1000, np.float32)
    assert loudest_db(samples, 1000) == pytest.approx(-90.0)
    samples[300:400] = 0.1
    assert loudest_db(samples, 1000) == pytest.approx(-20.0, abs=1e-4)
    assert loudest_db(samples[:50], 1000) == -90.0
