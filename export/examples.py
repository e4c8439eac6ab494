"""Questions and answers to calibrate and to measure with: a folder of clips, or what is bundled.

A folder may hold `questions.jsonl`, a JSON object a line: {"clip", "question", "answer"}, with
"history", earlier turns [[question, answer], …], if there were any, and "sound": "off" or "only" if
not all of the clip is used. Without "clip" a line is a conversation about nothing seen or heard.
Clips that no line names are asked what happens in them.
"""

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import assets
from engines import media
from engines.config import ClipOptions, SoundMode
from engines.errors import ExportError, MediaError
from engines.messages import Turn

QUESTIONS = "questions.jsonl"
SOUNDS: dict[str, SoundMode] = {"on": "on", "off": "off", "only": "only"}
# Asked about clips of which nothing else is known.
OPEN_QUESTIONS = (
    "Describe what you see and hear.",
    "What happens in this video?",
    "What can be heard?",
)


@dataclass(frozen=True)
class Example:
    """A question, what was said before it, and the answer if one is known."""

    clip: ClipOptions | None
    question: str
    answer: str | None = None
    history: tuple[tuple[str, str], ...] = ()

    @property
    def turns(self) -> list[Turn]:
        """The conversation up to the question."""
        said = [
            Turn(role, text)
            for pair in self.history
            for role, text in zip(("user", "assistant"), pair, strict=True)
        ]
        return [*said, Turn("user", self.question)]


def read_examples(folder: Path) -> tuple[list[Example], list[str]]:
    """Read a folder of clips.

    Returns:
        The examples, and a sentence for each clip that cannot be used.

    Raises:
        ExportError: the folder is not there, a line of its questions is none, or no clip can be
            used.
    """
    if not folder.is_dir():
        raise ExportError(f"{folder} is not a folder; give one with clips to calibrate with.")
    listed = folder / QUESTIONS
    lines = read_lines(listed) if listed.is_file() else []
    named = {example.clip.path for example in lines if example.clip}
    loose = [
        path
        for path in sorted(folder.iterdir())
        if path not in named and path.is_file() and path != listed and path.name[0] != "."
    ]
    notes, usable = _usable(sorted(named) + loose)
    found = [example for example in lines if example.clip is None or example.clip.path in usable]
    found += [
        Example(ClipOptions(path), question)
        for path in loose
        if path in usable
        for question in OPEN_QUESTIONS
    ]
    if not found:
        why = f" ({notes[0]})" if notes else ""
        raise ExportError(
            f"{folder} holds no clip that can be used{why.replace('.)', ')')}; put videos, pictures"
            " or sounds into it, or leave --calibration out."
        )
    return found, notes


def bundled_examples() -> list[Example]:
    """Return what is calibrated with when nothing else is given: bundled clips and texts."""
    kept = set(measured_clips())
    about_clips = read_lines(assets.demo_clips() / QUESTIONS)
    shown = [e for e in about_clips if e.clip is not None and e.clip.path not in kept]
    return shown + read_lines(assets.calibration_texts())


def measured_examples() -> list[Example]:
    """Return what int4 is measured with: about bundled clips that are not calibrated with.

    The clips take turns, so that the first few are about all of them.
    """
    about_clips = read_lines(assets.demo_clips() / QUESTIONS)
    of_each = [[e for e in about_clips if e.clip and e.clip.path == p] for p in measured_clips()]
    turns = itertools.zip_longest(*of_each)
    return [example for turn in turns for example in turn if example is not None]


def measured_clips() -> list[Path]:
    """Return every third of the bundled clips."""
    about_clips = read_lines(assets.demo_clips() / QUESTIONS)
    return sorted({e.clip.path for e in about_clips if e.clip})[::3]


def read_lines(path: Path) -> list[Example]:
    """Read a file of questions; the clips of its lines lie beside it.

    Raises:
        ExportError: it cannot be read, or a line is no question.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(
            f"The questions {path} cannot be read; give a text file with one JSON object a line."
        ) from error
    return [
        _read_line(line, path, number)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]


def digest(examples: Sequence[Example]) -> str:
    """Hash all that can change what is calibrated with: texts and the clips' content."""
    clips = {e.clip.path: media.clip_hash(e.clip.path) for e in examples if e.clip}
    facts = [
        [
            [clips[e.clip.path], e.clip.sound] if e.clip else None,
            e.question,
            e.answer,
            e.history,
        ]
        for e in examples
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _usable(paths: Sequence[Path]) -> tuple[list[str], set[Path]]:
    """Look into each file; return a sentence for each that is no clip, and the others."""
    notes, usable = [], set()
    for path in paths:
        try:
            media.probe(path)
        except MediaError as error:
            notes.append(str(error))
        else:
            usable.add(path)
    return notes, usable


def parse_line(line: str, folder: Path) -> Example:
    """Read one line of questions about the clips of a folder.

    Raises:
        ValueError: it is no question.
    """
    data: Any = json.loads(line)
    try:
        clip, sound = data.get("clip"), data.get("sound", "on")
        texts = [data["question"], data["answer"]]
        history = tuple((asked, answered) for asked, answered in data.get("history", []))
        spoken = [*texts, *(text for turn in history for text in turn)]
        if not all(isinstance(text, str) for text in [*spoken, clip or ""]) or sound not in SOUNDS:
            raise ValueError("a value is of another kind")
        frames = data.get("frames")
        if frames is not None and type(frames) is not int:
            raise ValueError("a value is of another kind")
        options = None if clip is None else ClipOptions(folder / clip, frames, sound=SOUNDS[sound])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("a key is missing or of another type") from error
    return Example(options, texts[0], texts[1], history)


def to_line(example: Example) -> str:
    """Return an example as a line of questions, beside its clip."""
    data: dict[str, Any] = {"question": example.question, "answer": example.answer or ""}
    if example.clip is not None:
        about: dict[str, Any] = {"clip": example.clip.path.name, "sound": example.clip.sound}
        if example.clip.num_frames is not None:
            about["frames"] = example.clip.num_frames
        data = {**about, **data}
    if example.history:
        data["history"] = example.history
    return json.dumps(data, ensure_ascii=False)


def _read_line(line: str, path: Path, number: int) -> Example:
    try:
        return parse_line(line, path.parent)
    except (ValueError, RecursionError) as error:
        raise ExportError(
            f"Line {number} of {path} is not a question; write"
            ' {"clip": …, "question": …, "answer": …}.'
        ) from error
