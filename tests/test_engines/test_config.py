"""Plain dataclasses to JSON and back, with every type checked."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engines.config import ClipOptions, Coverage, Mismatch, from_json, to_json
from engines.events import Timing


@dataclass(frozen=True)
class Loose:
    facts: dict[str, Any]


@pytest.mark.parametrize(
    "value",
    [
        ClipOptions(Path("a/\udcff.mp4"), 4, (0.5, 1.0), "only", "reference", 7, True),
        ClipOptions(Path("b.png")),
        Coverage((0.0, 1.5), ((0.0, 2.0),), ("A note.",)),
        Timing(1.0, 2.0, 3.0, 4.0, None),
        Loose({"any": [1, {"thing": None}]}),
    ],
)
def test_what_was_written_is_read_again(value: object) -> None:
    assert from_json(type(value), json.loads(json.dumps(to_json(value))), "it") == value


def test_a_tuple_may_come_as_one() -> None:
    assert from_json(ClipOptions, {"path": "a", "range_s": (1, 2)}, "clip").range_s == (1.0, 2.0)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({}, r"clip\.path is missing"),
        ({"path": 3}, r"clip\.path"),
        ({"path": "\ud800"}, r"clip\.path cannot be a file's name"),
        ({"path": "a", "num_frames": True}, "num_frames"),
        ({"path": "a", "num_frames": 1.5}, "num_frames"),
        ({"path": "a", "sound": ["on"]}, "sound"),
        ({"path": "a", "range_s": [1.0]}, "range_s"),
        ({"path": "a", "range_s": [1.0, 10**400]}, "too large"),
        ({"path": "a", "colour": "red"}, "unknown key 'colour'"),
        ("a.mp4", "clip is not an object"),
    ],
)
def test_what_is_of_another_type_is_refused(fields: Any, where: str) -> None:
    with pytest.raises(Mismatch, match=where):
        from_json(ClipOptions, fields, "clip")
