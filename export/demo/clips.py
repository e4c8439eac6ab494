"""Fresh clips as real files: mp4 with H.264 pictures and AAC sound, and balanced questions.

questions.jsonl holds an object a line: "clip" (file name), "question", "answer", "type", "label"
(what there is to guess, for the share of the majority) and, for a follow-up, "history": the turns
before it as [question, answer] pairs. Under a control, unchanged.jsonl holds the same questions
with the answers of the clips as they were drawn.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.video import VideoStream
from numpy.typing import NDArray

from export.demo.choosing import Asked, Draw, balanced, chosen, first
from export.demo.controls import CONTROLS, changed
from export.demo.pools import (
    FRAME_COUNT,
    FRAME_RATE,
    SOUND_RATE,
    SOUND_SAMPLES,
    add_sound,
    encode_sound,
)
from export.demo.questions import Question, all_questions, answer_class, talk_questions
from export.demo.render import CLIP_SIZE, render
from export.demo.sound import waveform
from export.demo.wording import paraphrased
from export.demo.world import Clip, sample_clip

SOUND_BITS = 64_000
TALKS = 4  # questions of a clip that are asked again behind other turns
QUALITY = {"crf": "23", "preset": "veryfast", "threads": "1"}


def write_clip(path: Path, clip: Clip) -> None:
    """Write one clip as mp4."""
    times = [index / FRAME_RATE for index in range(FRAME_COUNT)]
    with av.open(path, "w", format="mp4") as out:
        pictures: VideoStream = out.add_stream("libx264", rate=FRAME_RATE, options=QUALITY)
        track = None if clip.sound is None else add_sound(out, SOUND_BITS)
        _encode_frames(out, pictures, render(clip.scene, times, CLIP_SIZE))
        if clip.sound is not None and track is not None:
            wave = waveform(clip.sound, SOUND_SAMPLES / SOUND_RATE, SOUND_RATE)
            encode_sound(out, track, wave)


def _encode_frames(out: OutputContainer, stream: VideoStream, frames: NDArray[np.uint8]) -> None:
    stream.width, stream.height = frames.shape[2], frames.shape[1]
    stream.pix_fmt = "yuv420p"
    for index, picture in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def draw_clip(seed: int, index: int) -> tuple[Clip, list[Question]]:
    """Clip `index` of a seed with everything that may be asked about it."""
    rng = np.random.default_rng([seed, 4, index])
    clip = sample_clip(rng)
    asked = all_questions(clip, rng)
    return clip, [*asked, *talk_questions(asked, rng, TALKS)]


@dataclass(frozen=True)
class Wanted:
    """A set of clips: a seed, and how many clips or how many questions of every type at least.

    `control` is a name of CONTROLS; `paraphrased` asks in words that were never trained on.
    """

    seed: int
    clips: int | None = None
    questions: int | None = None
    control: str | None = None
    paraphrased: bool = False


# Sets with a name, for quantisation: what is tuned on the one is measured on the other.
SETS = {
    "calibration": Wanted(seed=51_001, clips=48),
    "evaluation": Wanted(seed=81_007, questions=200),
}


def write_clips(
    folder: Path, count: int, seed: int, told: Callable[[str], None] = lambda _: None
) -> None:
    """Write `count` clips and their balanced questions; a seed always gives the same set."""
    write_set(folder, Wanted(seed, clips=count), told)


def write_set(folder: Path, wanted: Wanted, told: Callable[[str], None] = lambda _: None) -> int:
    """Write a set of clips with questions.jsonl and, under a control, unchanged.jsonl.

    Args:
        folder: Where to; made if need be. A clip is named by its number among those of the seed.
        wanted: Which set; the same gives the same set.
        told: Hears how far it is.

    Returns:
        The number of clips.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draw = drawing(wanted)
    if wanted.questions is None:
        indices, quotas = first(draw, wanted.clips or 0), None
    else:
        indices, quotas = chosen(draw, wanted.questions, told)
    asked: list[tuple[str, Asked]] = []
    for number, index in enumerate(indices, 1):
        name = f"clip-{index:04d}.mp4"
        clip, about = draw(index)
        write_clip(folder / name, clip)
        asked += [(name, question) for question in about]
        if number % 50 == 0:
            told(f"{number} of {len(indices)} clips written")
    _write_both(folder, wanted, balanced(asked, wanted.seed, quotas))
    return len(indices)


def _write_both(folder: Path, wanted: Wanted, pairs: list[tuple[str, Asked]]) -> None:
    names = [name for name, _ in pairs]
    questions = [asked.question for _, asked in pairs]
    if wanted.paraphrased:
        questions = paraphrased(questions, wanted.seed)
    write_questions(folder / "questions.jsonl", zip(names, questions, strict=True))
    before = folder / "unchanged.jsonl"
    before.unlink(missing_ok=True)  # of another set in the same folder
    if wanted.control is not None:
        write_questions(before, ((name, asked.unchanged) for name, asked in pairs))


def drawing(wanted: Wanted) -> Draw:
    """How a set's clips are drawn by number, each with what may be asked about it."""

    def plain(index: int) -> tuple[Clip, list[Asked]]:
        clip, questions = draw_clip(wanted.seed, index)
        return clip, [Asked(question, question) for question in questions]

    if wanted.control is None:
        return plain
    return partial(changed, CONTROLS[wanted.control], partial(draw_clip, wanted.seed))


def write_questions(path: Path, pairs: Iterable[tuple[str, Question]]) -> None:
    """Write (clip, question) pairs, an object a line."""
    with path.open("w", encoding="utf-8") as file:
        for name, question in pairs:
            file.write(json.dumps(as_line(name, question)) + "\n")


def as_line(name: str, question: Question) -> dict[str, Any]:
    """A question as it stands in questions.jsonl."""
    line: dict[str, Any] = {
        "clip": name,
        "question": question.text,
        "answer": question.answer,
        "type": question.type,
        "label": answer_class(question),
    }
    if question.history:
        line["history"] = [list(turn) for turn in question.history]
    return line
