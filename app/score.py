"""`vl2 eval`: a file of questions answered and scored, with the time left."""

import json
import sys
import time
from pathlib import Path

from app.background import interruptible
from app.terminal import say, show
from engines.config import ClipOptions, to_json
from engines.evaluate import Report, Scored, evaluate, read_questions
from engines.model import VideoLlama2
from engines.sampling import GenerateOptions


def score(
    model: VideoLlama2,
    path: Path,
    clip: ClipOptions,
    options: GenerateOptions,
    as_json: bool,
) -> None:
    """Answer every question of the file and print the scores, or one JSON object with all."""
    questions = read_questions(path)
    steps = interruptible(evaluate(model, questions, options, clip), model.stop)
    started = time.monotonic()
    answered: list[Scored] = []
    while True:
        try:
            answered.append(next(steps))
        except StopIteration as end:
            report: Report = end.value
            break
        if answered[-1].error is not None:
            say(answered[-1].error)
        _tell(len(answered), len(questions), started)
    if as_json:
        fields = {**to_json(report), "answers": [_answer(item) for item in answered]}
        show(json.dumps(fields, ensure_ascii=False))
    else:
        show(table(report))


def table(report: Report) -> str:
    """The scores as aligned text: a type a line, the majority's share beside it."""
    width = max(len("type"), *(len(name) for name in report.types))
    lines = [f"{'type':<{width}}  questions  exact %  majority %"]
    for name, row in sorted(report.types.items()):
        exact, majority = 100 * row.accuracy, 100 * row.majority_accuracy
        lines.append(f"{name:<{width}}  {row.count:>9}  {exact:>7.1f}  {majority:>10.1f}")
    overall, mean = 100 * report.accuracy, 100 * report.mean_accuracy
    lines.append(f"{'all':<{width}}  {report.count:>9}  {overall:>7.1f}")
    lines.append(f"{'mean of types':<{width}}  {len(report.types):>9}  {mean:>7.1f}")
    return "\n".join(lines)


def _answer(item: Scored) -> dict[str, object]:
    question = item.question
    return {
        "clip": question.clip.name,
        "type": question.type,
        "question": question.question,
        "wanted": question.answer,
        "answer": item.answer,
        "correct": item.correct,
        "error": item.error,
    }


def _tell(done: int, total: int, started: float) -> None:
    live = sys.stderr.isatty()
    if not live and done % 100 and done != total:
        return
    left = (time.monotonic() - started) / done * (total - done)
    line = f"{done} of {total} answered, {left:.0f} s left"
    if live:
        end = "\n" if done == total else ""
        print(f"\r\x1b[K{line}", end=end, file=sys.stderr, flush=True)
    else:
        say(line)
