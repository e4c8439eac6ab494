"""Answering a file of questions and scoring it: exact match per type, beside what guessing gives.

A line of the file is {"clip", "question", "answer", "type"}. It may hold "history", earlier turns
[[question, answer], …] of the same conversation, and "label", what the answer says apart from the
names in it ("yes", "left"), for an honest share of the majority. Clips are found relative to the
file.
"""

import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.config import ClipOptions
from engines.errors import MediaError, PromptError
from engines.events import Result
from engines.messages import Message, clip_message
from engines.model import VideoLlama2
from engines.sampling import GenerateOptions


@dataclass(frozen=True)
class Question:
    """One line of the file; `history` holds the earlier turns, `label` the answer's class."""

    clip: Path
    question: str
    answer: str
    type: str
    history: tuple[tuple[str, str], ...] = ()
    label: str | None = None


@dataclass(frozen=True)
class Scored:
    """A question with the model's answer; `index` is its place in the file.

    `error` tells why there is no answer: the clip could not be read, which counts as wrong.
    """

    index: int
    question: Question
    answer: str
    correct: bool
    error: str | None = None


@dataclass(frozen=True)
class TypeScore:
    """Exact answers to one type of question, and the share of its commonest label or answer."""

    count: int
    correct: int
    accuracy: float
    majority_answer: str
    majority_accuracy: float


@dataclass(frozen=True)
class Report:
    """All scores; `mean_accuracy` weighs every type alike, `accuracy` every question."""

    count: int
    correct: int
    accuracy: float
    mean_accuracy: float
    types: dict[str, TypeScore]
    device: str
    bundle: str


def read_questions(path: Path) -> list[Question]:
    """Reads a questions file whole, so that a bad line is found before the first answer.

    Raises:
        PromptError: the file cannot be read, is empty, or a line is not a question about a clip
            that is there.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(
            f"The questions {path} cannot be read; give a text file with one JSON object a line."
        ) from error
    found = [
        _read_line(line, path, number) for number, line in enumerate(lines, start=1) if line.strip()
    ]
    if not found:
        raise PromptError(f"{path} holds no question; write one JSON object a line.")
    return found


def evaluate(
    model: VideoLlama2,
    questions: Sequence[Question],
    options: GenerateOptions | None = None,
    clip: ClipOptions | None = None,
) -> Generator[Scored, None, Report]:
    """Answers all questions, those about one clip together, and scores them.

    Args:
        model: the model to score.
        questions: at least one.
        options: how to answer; greedy by default.
        clip: frames, range and sound to use; its path is replaced by each question's.

    Yields:
        Each answered question, and returns the report.
    """
    rank = {clip: i for i, clip in enumerate(dict.fromkeys(q.clip for q in questions))}
    order = sorted(range(len(questions)), key=lambda i: rank[questions[i].clip])
    scored = []
    for index in order:
        question = questions[index]
        about = dataclasses.replace(clip or ClipOptions(question.clip), path=question.clip)
        try:
            *_, result = model.generate(_messages(question, about), options)
        except MediaError as error:
            scored.append(Scored(index, question, "", correct=False, error=str(error)))
        else:
            if not isinstance(result, Result):
                raise TypeError(f"a generation ended with {result}")
            correct = normalise(result.answer) == normalise(question.answer)
            scored.append(Scored(index, question, result.answer, correct))
        yield scored[-1]
    return report(scored, model.device.name, model.bundle.id)


def report(scored: Sequence[Scored], device: str, bundle: str) -> Report:
    """Counts answers per type, in the order of the file."""
    by_type: dict[str, list[Scored]] = {}
    for item in sorted(scored, key=lambda item: item.index):
        by_type.setdefault(item.question.type, []).append(item)
    types = {name: _score(items) for name, items in by_type.items()}
    correct = sum(score.correct for score in types.values())
    mean = sum(score.accuracy for score in types.values()) / len(types)
    return Report(len(scored), correct, correct / len(scored), mean, types, device, bundle)


def normalise(answer: str) -> str:
    """An answer as it is compared: without case, space around or between, and a final full stop."""
    return " ".join(answer.casefold().split()).rstrip(" .")


def _score(items: Sequence[Scored]) -> TypeScore:
    correct = sum(item.correct for item in items)
    wanted = Counter(item.question.label or normalise(item.question.answer) for item in items)
    majority, times = wanted.most_common(1)[0]
    return TypeScore(len(items), correct, correct / len(items), majority, times / len(items))


def _messages(question: Question, clip: ClipOptions) -> list[Message]:
    turns = [*question.history, (question.question, "")]
    messages: list[Message] = [clip_message(clip, turns[0][0])]
    for (_, answer), (following, _) in itertools.pairwise(turns):
        messages.append({"role": "assistant", "content": answer})
        messages.append({"role": "user", "content": following})
    return messages


def _read_line(line: str, path: Path, number: int) -> Question:
    try:
        data: Any = json.loads(line)
        texts = [data[key] for key in ("clip", "question", "answer", "type")]
        history = [(asked, answered) for asked, answered in data.get("history", [])]
        label = data.get("label")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _bad_line(path, number) from error
    spoken = [text for turn in history for text in turn]
    if label is not None:
        spoken.append(label)
    if not all(isinstance(text, str) for text in [*texts, *spoken]):
        raise _bad_line(path, number)
    clip = path.parent / texts[0]
    if not clip.exists():
        raise PromptError(f"Line {number} of {path} is about {clip}, which is not there; fix it.")
    return Question(clip, texts[1], texts[2], texts[3], tuple(history), label)


def _bad_line(path: Path, number: int) -> PromptError:
    return PromptError(
        f"Line {number} of {path} is not a question; write"
        ' {"clip": …, "question": …, "answer": …, "type": …}.'
    )
