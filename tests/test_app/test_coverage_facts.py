"""What the model got, in words: a screen reader's timeline."""

from app.widgets.coverage_facts import CoverageFacts, description, gaps, merged, summary


def test_gaps_are_what_no_span_covers() -> None:
    assert gaps([(1, 2), (1.5, 3), (5, 6)], 8) == [(0, 1), (3, 5), (6, 8)]
    assert gaps([(0, 3.99)], 4) == []
    assert gaps([], 2) == [(0, 2)]


def test_windows_that_touch_are_one_span() -> None:
    assert merged([(2, 4), (0, 2), (7, 8)]) == [(0, 4), (7, 8)]


def test_a_short_clip_in_words() -> None:
    facts = CoverageFacts(4.0, True, True, (0.2, 0.7), ((0.0, 4.0),), known=True)
    assert summary(facts) == "The model saw 2 frames · heard all of the sound"
    assert description(facts, None) == (
        "4.0 s long; 2 frames at 0.2 s, 0.7 s; sound 0.0 s–4.0 s heard"
    )


def test_what_was_skipped_is_said() -> None:
    facts = CoverageFacts(120.0, True, True, (30.0,), ((0.0, 30.0), (90.0, 120.0)), known=True)
    assert summary(facts) == "The model saw 1 frame · heard 1:00.0 of 2:00.0 of the sound"
    assert description(facts, (10.0, 110.0)) == (
        "2:00.0 long; 1 frame at 0:30.0; sound 0:00.0–0:30.0, 1:30.0–2:00.0 heard; "
        "sound 0:30.0–1:30.0 not heard; chosen range 0:10.0 to 1:50.0"
    )


def test_sound_switched_off_is_said() -> None:
    facts = CoverageFacts(4.0, True, True, (1.0,), (), known=True)
    assert summary(facts) == "The model saw 1 frame · did not hear the sound"
    assert "sound not heard" in description(facts, None)
    assert facts.unheard_s == ((0.0, 4.0),)


def test_before_it_is_known_nothing_counts_as_skipped() -> None:
    facts = CoverageFacts(4.0, True, True, (1.0, 2.0))
    assert facts.unheard_s == ()
    assert summary(facts) == "The model gets 2 frames"
    assert "heard" not in description(facts, None)


def test_stills_and_sounds_have_sentences_of_their_own() -> None:
    still = CoverageFacts(0.0, True, False, (0.0,), known=True)
    assert summary(still) == "The model saw the picture"
    sound = CoverageFacts(4.0, False, True, (), ((0.0, 4.0),), known=True)
    assert summary(sound) == "The model heard all of the sound"


def test_many_frames_are_not_read_out_one_by_one() -> None:
    times = tuple(float(number) for number in range(40))
    facts = CoverageFacts(40.0, True, False, times, known=True)
    assert description(facts, None) == "40.0 s long; 40 frames from 0.0 s to 39.0 s; no sound"
