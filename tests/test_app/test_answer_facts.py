import json

import pytest
from PySide6.QtCore import QLocale

from app.widgets.answer_facts import (
    footer_line,
    notes,
    receipt_json,
    receipt_lines,
    receipt_text,
)

RESULT = {
    "answer": "A circle.",
    "finish_reason": "stop",
    "usage": {
        "prompt_tokens": 142,
        "visual_tokens": 80,
        "audio_tokens": 48,
        "text_tokens": 14,
        "new_tokens": 31,
    },
    "timing": {"first_token_s": 0.1234, "decode_tokens_per_s": 80.4},
    "coverage": {"frame_times_s": [0, 0.5], "sound_spans_s": [[0, 4.0]], "notes": ["No sound."]},
    "device": "cpu",
    "bundle": "3fa9c1d2e4f5a6b7c8",
}
RECEIPT = {
    **RESULT,
    "receipt_version": 1,
    "bundle": {"id": "3fa9c1d2e4f5a6b7c8", "name": "VL2 demo", "path": "x"},
    "device": {"name": "cpu", "exact": False, "threads": None},
    "options": {"temperature": 0.7, "seed": 3},
}


@pytest.fixture(autouse=True)
def english():
    QLocale.setDefault(QLocale("en"))


def test_footer_tells_speed_tokens_and_device():
    assert footer_line(RESULT) == (
        "first word 0.12 s · 80 tokens/s · 80 picture + 48 sound + 14 text tokens · CPU"
    )


def test_footer_leaves_out_what_is_not_there():
    timing = {"first_token_s": 1, "decode_tokens_per_s": None}
    usage = {"visual_tokens": 80, "audio_tokens": 0, "text_tokens": 9}
    assert footer_line({"timing": timing, "usage": usage}) == (
        "first word 1.00 s · 80 picture + 9 text tokens"
    )
    assert footer_line({}) == ""
    assert footer_line({"timing": {"decode_tokens_per_s": 4.26}}) == "4.3 tokens/s"


def test_numbers_are_written_as_the_language_does():
    QLocale.setDefault(QLocale("de"))
    assert footer_line({"timing": {"first_token_s": 0.12}}) == "first word 0,12 s"


def test_notes_tell_what_was_missed_and_what_was_cut():
    assert notes(RESULT) == ["No sound."]
    (cut,) = notes({"finish_reason": "length"})
    assert "longest" in cut


def test_receipt_in_plain_words():
    lines = dict(receipt_lines({**RESULT, "receipt": RECEIPT}))
    assert lines["Model"] == "VL2 demo"
    assert lines["Bundle"] == "3fa9c1d2e4f5…"
    assert lines["Ran on"] == "CPU"
    assert "0.70" in lines["Words chosen"]
    assert "seed 3" in lines["Words chosen"]
    assert lines["Frames seen at"] == "0.00, 0.50 s"
    assert lines["Sound heard"] == "0.00–4.00 s"
    assert lines["Tokens"] == "142 read, 31 written"


def test_receipt_of_an_older_answer():
    text = receipt_text(RESULT)
    assert "Bundle: 3fa9c1d2e4f5…" in text
    assert "likeliest" in text
    many = {"coverage": {"frame_times_s": list(range(128))}}
    assert "104 more" in receipt_text(many)


def test_receipt_as_json_is_the_receipt_alone():
    assert json.loads(receipt_json({**RESULT, "receipt": RECEIPT})) == RECEIPT
    assert json.loads(receipt_json(RESULT)) == RESULT
