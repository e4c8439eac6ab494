"""Fresh clips as real files: mp4 with H.264 pictures and AAC sound, and balanced questions.

questions.jsonl holds an object a line: "clip" (file name), "question", "answer", "type", "label"
(what there is to guess, for the share of the majority) and, for a follow-up, "history": the turns
before it as [question, answer] pairs.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.video import VideoStream
from numpy.typing import NDArray

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


def balanced(
    asked: Iterable[tuple[str, Question]], seed: int, most: int = 200
) -> list[tuple[str, Question]]:
    """As many questions of each type as its rarest answer allows, all answers equally often.

    Args:
        asked: (clip, question) pairs to choose from.
        seed: For the choice.
        most: Questions of a type at most.
    """
    rng = np.random.default_rng([seed, 5])
    by_answer: dict[str, dict[str, list[tuple[str, Question]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for name, question in asked:
        by_answer[question.type][question.key].append((name, question))
    chosen: list[tuple[str, Question]] = []
    for kind in sorted(by_answer):
        groups = by_answer[kind]
        quota = min(*map(len, groups.values()), max(1, most // len(groups)))
        for key in sorted(groups):
            order = rng.permutation(len(groups[key]))[:quota]
            chosen += [groups[key][int(i)] for i in order]
    return sorted(chosen, key=lambda pair: pair[0])


def write_clips(
    folder: Path, count: int, seed: int, told: Callable[[str], None] = lambda _: None
) -> None:
    """Write `count` clips and their balanced questions; a seed always gives the same set."""
    folder.mkdir(parents=True, exist_ok=True)
    asked: list[tuple[str, Question]] = []
    for index in range(count):
        name = f"clip-{index:04d}.mp4"
        clip, questions = draw_clip(seed, index)
        write_clip(folder / name, clip)
        asked += [(name, question) for question in questions]
        if (index + 1) % 50 == 0:
            told(f"{index + 1} of {count} clips written")
    write_questions(folder / "questions.jsonl", balanced(asked, seed))


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
