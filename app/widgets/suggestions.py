"""First questions about a clip, for somebody who does not know yet what can be asked."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication

from assets import demo_clips

translate = QCoreApplication.translate

MOST = 4
_FIRST = "Describe what you see and hear."


def suggested_questions(info: Mapping[str, Any], clip: Path, kind: str = "video") -> list[str]:
    """Questions to begin with; of a demo clip those that its own file of questions has.

    Args:
        info: what is known of the loaded model (`inference.Loaded`); empty while it is loading.
        clip: the clip.
        kind: what it is, as the history calls it.
    """
    if clip.parent == demo_clips():
        return _of_demo_clip(clip.name)[:MOST]
    told = info.get("card", {}).get("suggested_questions", [])
    return [str(question) for question in told][:MOST] or _general(kind)


@cache
def _of_demo_clip(name: str) -> list[str]:
    lines = (demo_clips() / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line) for line in lines]
    questions = [one["question"] for one in asked if one["clip"] == name and "history" not in one]
    return sorted(dict.fromkeys(questions), key=lambda question: question != _FIRST)


def _general(kind: str) -> list[str]:
    if kind == "audio":
        return [
            translate("Suggestions", "What do you hear?"),
            translate("Suggestions", "Does anybody speak?"),
        ]
    if kind == "image":
        return [
            translate("Suggestions", "What is in the picture?"),
            translate("Suggestions", "What stands out?"),
        ]
    return [
        translate("Suggestions", "What happens here?"),
        translate("Suggestions", "What do you hear?"),
        translate("Suggestions", "Who or what can be seen?"),
    ]
