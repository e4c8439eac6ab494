"""Exact answers on real files, read the way the runtime reads them, with the parts in torch."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engines import audio, video
from engines.config import AudioConfig, ClipOptions, PreprocessConfig, VisionConfig
from export.demo.encode import encode_clips, encode_sounds
from export.demo.joint import answered, material
from export.demo.mixing import Item
from export.demo.network import IMAGE_MEAN, IMAGE_STD, PROJECTOR_TYPE, JointModel, Sizes
from export.demo.questions import Question, answer_class
from export.reference.audio_tower import AudioTower
from export.reference.vision_tower import VisionTower


@dataclass(frozen=True)
class TypeScore:
    """How one type of question went."""

    kind: str
    right: int
    asked: int
    majority: float  # the share that always giving the most frequent answer would get right

    @property
    def accuracy(self) -> float:
        """Share of exact answers."""
        return self.right / self.asked


def vision_config(sizes: Sizes) -> VisionConfig:
    """What the runtime's manifest says of the pictures."""
    tower = sizes.vision
    return VisionConfig(
        image_size=tower.image_size,
        patch_size=tower.patch_size,
        hidden_size=tower.hidden_size,
        num_frames=sizes.num_frames,
        tokens_per_frame=tower.num_patches,
        min_frames=1,
        projector_type=PROJECTOR_TYPE,
        preprocess=PreprocessConfig(
            "shortest_edge", tower.image_size, tower.image_size, IMAGE_MEAN, IMAGE_STD, 1 / 255
        ),
    )


def audio_config(sizes: Sizes) -> AudioConfig:
    """What the runtime's manifest says of the sound."""
    tokens = sizes.audio_slots * sizes.audio_bands
    return AudioConfig(128, 16_000, sizes.window_s, 0.5, 8, tokens, 1, fbank_bf16=True)


@dataclass(frozen=True)
class Files:
    """Clips read from disk, as tower features; `sound` -1 where a file has no track."""

    rows: dict[str, int]
    clips: NDArray[np.float16]
    sounds: NDArray[np.float16]
    sound_rows: dict[str, int]


def read_files(
    folder: Path, names: Sequence[str], sizes: Sizes, towers: tuple[VisionTower, AudioTower]
) -> Files:
    """Decode, preprocess and encode each file."""
    seeing, hearing = towers
    clips, sound_rows = [], {}
    sounds: list[NDArray[np.float16]] = []
    for name in names:
        options = ClipOptions(folder / name)
        pixels = video.prepare_video(options, vision_config(sizes)).pixel_values
        clips.append(encode_clips(seeing, pixels[None]))
        banks = audio.prepare_audio(options, audio_config(sizes)).fbanks
        sound_rows[name] = len(sounds) if banks else -1
        sounds += [encode_sounds(hearing, bank) for bank in banks[:1]]
    rows = {name: row for row, name in enumerate(names)}
    empty = np.zeros((0, sizes.audio_slots * sizes.audio_bands, sizes.audio.encoder_embed_dim))
    heard = np.concatenate([*sounds, empty.astype(np.float16)])
    return Files(rows, np.concatenate(clips), heard, sound_rows)


def read_questions(path: Path) -> list[tuple[str, Question]]:
    """(clip, question) pairs of a questions.jsonl; the answer stands for its class."""
    pairs = []
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        history = tuple((asked, said) for asked, said in line.get("history", []))
        question = Question(line["type"], line["question"], line["answer"], line["answer"], history)
        pairs.append((line["clip"], question))
    return pairs


def score(
    folder: Path,
    sizes: Sizes,
    tokenizer: Tokenizer,
    towers: tuple[VisionTower, AudioTower],
    model: JointModel,
) -> tuple[list[TypeScore], list[tuple[str, Question, bool]]]:
    """Answer a folder's questions.jsonl; per type, and each question with whether it was right."""
    asked: dict[str, list[Question]] = defaultdict(list)
    for name, question in read_questions(folder / "questions.jsonl"):
        asked[name].append(question)
    files = read_files(folder, sorted(asked), sizes, towers)
    groups = [
        (name, questions[start : start + 12])
        for name, questions in sorted(asked.items())
        for start in range(0, len(questions), 12)
    ]
    items = [Item(files.rows[name], files.sound_rows[name], None, group) for name, group in groups]
    stuff = material(sizes, tokenizer, [files.clips], [files.sounds])
    results = answered(model, stuff, items)
    owners = [name for name, group in groups for _ in group]
    told = [(name, q, right) for name, (q, right) in zip(owners, results, strict=True)]
    return by_type([(q, right) for _, q, right in told]), told


def by_type(results: Sequence[tuple[Question, bool]]) -> list[TypeScore]:
    """Count per type, with the majority's share of its answers' classes."""
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    right: Counter[str] = Counter()
    for question, correct in results:
        answers[question.type][answer_class(question)] += 1
        right[question.type] += correct
    return [
        TypeScore(kind, right[kind], keys.total(), keys.most_common(1)[0][1] / keys.total())
        for kind, keys in sorted(answers.items())
    ]


def mean_accuracy(scores: Sequence[TypeScore]) -> float:
    """The mean over types."""
    return float(np.mean([score.accuracy for score in scores]))
