"""A picture of the program at work: what the model got of a clip, and its answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np

import engines
from engines.config import ClipOptions
from engines.errors import PromptError
from engines.evaluate import Question, read_questions
from engines.events import Result
from engines.media import read_sound
from engines.messages import clip_message
from engines.model import VideoLlama2
from engines.video import prepare_video

SHOWN_RATE = 16_000
MOST_ANSWERS = 5


def draw(bundle: Path, clip: Path, out: Path) -> None:
    """Ask the clip's questions and draw what went in and what came out.

    Args:
        bundle: the model to ask.
        clip: a clip; the first plain questions about it in the questions.jsonl beside it are asked.
        out: the drawing, .png or .svg.

    Raises:
        PromptError: there is no question about the clip.
    """
    model = engines.load(bundle, keep_encodings=False)
    path = clip.parent / "questions.jsonl"
    asked = [q for q in read_questions(path) if q.clip.name == clip.name and not q.history]
    if not asked:
        raise PromptError(f"{path} holds no plain question about {clip.name}; write one.")
    answers = [(question, ask(model, question)) for question in asked[:MOST_ANSWERS]]
    _draw(model, clip, answers, out)


def ask(model: VideoLlama2, question: Question) -> Result:
    """The model's answer to a question about its clip."""
    *_, result = model.generate([clip_message(ClipOptions(question.clip), question.question)])
    if not isinstance(result, Result):
        raise TypeError(f"a generation ended with {result}")
    return result


def _draw(
    model: VideoLlama2, clip: Path, answers: list[tuple[Question, Result]], out: Path
) -> None:
    from matplotlib.figure import Figure

    coverage = answers[0][1].coverage
    count = len(coverage.frame_times_s)
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    grid = figure.add_gridspec(3, count, height_ratios=(2.0, 1.0, 2.6))
    preprocess = model.config.vision.preprocess
    mean, std = (np.array(v)[:, None, None] for v in (preprocess.image_mean, preprocess.image_std))
    pixels = prepare_video(ClipOptions(clip), model.config.vision).pixel_values
    for column, (time_s, frame) in enumerate(zip(coverage.frame_times_s, pixels, strict=True)):
        plot = figure.add_subplot(grid[0, column])
        plot.imshow(np.clip(frame * std + mean, 0, 1).transpose(1, 2, 0))
        plot.set_title(f"{time_s:.2f} s", fontsize=9)
        plot.axis("off")
    _draw_sound(figure.add_subplot(grid[1, :]), clip, answers[0][1])
    text = figure.add_subplot(grid[2, :])
    text.axis("off")
    for row, (question, result) in enumerate(answers):
        y = 0.98 - row / MOST_ANSWERS
        command = f"$ vl2 ask {clip.name} {json.dumps(question.question)}"
        style: dict[str, Any] = {"family": "monospace", "fontsize": 9.5, "va": "top"}
        text.text(0.0, y, command, color="#555555", transform=text.transAxes, **style)
        text.text(0.0, y - 0.085, result.answer, transform=text.transAxes, **style)
    figure.savefig(out, dpi=110)


def _draw_sound(plot: Any, clip: Path, result: Result) -> None:
    spans = result.coverage.sound_spans_s
    for start, end in spans:
        plot.axvspan(start, end, color="#dcebf7")
    if spans:
        waves = read_sound(clip, spans, rate=SHOWN_RATE)
        for (start, _), wave in zip(spans, waves, strict=True):
            times = start + np.arange(len(wave.samples)) / SHOWN_RATE
            plot.plot(times, wave.samples, color="#1f5f99", lw=0.5)
    for time_s in result.coverage.frame_times_s:
        plot.axvline(time_s, color="#b04a2f", lw=1.2)
    plot.set_yticks([])
    plot.set_xlabel("s    blue: sound heard    red: frames seen", fontsize=9)
