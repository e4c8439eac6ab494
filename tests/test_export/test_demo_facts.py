import json

import pytest

from engines.errors import ExportError
from export.demo.facts import facts, report, share_right

WANTED = "A small red circle moves left. The background is gray and flashes. You hear two beeps."


def test_a_caption_is_taken_apart():
    assert facts(WANTED) == {
        ("red", "circle"),
        ("red", "circle", "small"),
        ("red", "circle", "moves left"),
        ("background", "gray"),
        ("flash", "yes"),
        ("You hear two beeps",),
    }


def test_one_wrong_word_costs_one_fact():
    assert share_right([(WANTED, WANTED)]) == 1.0
    assert share_right([(WANTED, WANTED.replace("small", "large"))]) == pytest.approx(5 / 6)


def test_what_is_invented_or_left_out_counts_against_a_caption():
    more = WANTED + " A large blue cross appears."
    assert share_right([(WANTED, more)]) == pytest.approx(6 / 9)
    assert share_right([(more, WANTED)]) == pytest.approx(6 / 9)


def test_a_record_of_scores_is_read(tmp_path):
    answers = [
        {"type": "caption", "wanted": WANTED, "answer": WANTED},
        {"type": "color", "wanted": "The circle is red.", "answer": "no"},
    ]
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"answers": answers}))
    assert report(path) == {"caption": 1.0}


@pytest.mark.parametrize("text", ["", "[]", '{"answers": [{}]}', '{"answers": []}'])
def test_what_is_no_record_is_refused(tmp_path, text):
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(ExportError, match=r"scores\.json"):
        report(path)
