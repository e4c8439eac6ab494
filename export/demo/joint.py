"""The last stage: connector, audio projector and decoder learn to answer, towers fixed."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from export.demo.attention import PlainAttention
from export.demo.connecting import connector_labels, token_loss
from export.demo.encode import Kept
from export.demo.fit import Log, Plan, fit
from export.demo.labels import CLIP_CLASSES, clip_labels, track_labels
from export.demo.mixing import Item, Mixer, held_out, rows
from export.demo.network import JointModel, Sizes
from export.demo.packing import (
    Layout,
    Packed,
    Packer,
    attention_mask,
    layout,
    question_scores,
)
from export.demo.pools import sample_times
from export.demo.questions import Question
from export.demo.towers import draw
from export.reference.decoder import rotary

HEAD_WEIGHTS = {"token": 0.1, "track": 0.5, "clip": 1.0, "place": 0.1}
PLACE_LAYER = 1  # the layer whose output is to know when a token is
LATE_FRAME = 5  # tokens that see this frame or later ones can know a thing's whole way


@dataclass(frozen=True)
class Material:
    """What questions are answered from: the model's geometry and pools as tower features."""

    packer: Packer
    clips: Kept
    sounds: Kept


@dataclass(frozen=True)
class Lessons:
    """What the stage learns from beside the material: items to draw, and the heads' labels."""

    train: Mixer
    held: list[Item]
    tokens: NDArray[np.int8]
    tracks: NDArray[np.int8]
    places: Tensor  # (V + A,) int64: when each token is
    times: list[float]  # of the frames


def material(sizes: Sizes, tokenizer: Tokenizer, clips: Kept, sounds: Kept) -> Material:
    """Gather features and geometry."""
    slices, height, width = sizes.visual_grid
    places = layout(tokenizer, slices * height * width, sizes.audio_slots * sizes.audio_bands)
    return Material(Packer(tokenizer, places), clips, sounds)


def lessons(sizes: Sizes, mixers: tuple[Mixer, Mixer]) -> Lessons:
    """Label everything; `mixers` are the trained on and the held out."""
    train, held = mixers
    times, grid = sample_times(sizes.num_frames), sizes.vision.grid
    late = tuple(frames for frames in sizes.slices if frames[-1] >= LATE_FRAME)
    tracks = np.stack([track_labels(scene, times, grid, late) for scene in train.scenes])
    kept_back = held_out(held, 91, 384)
    tokens = connector_labels(train.scenes, sizes)
    return Lessons(train, kept_back, tokens, tracks, token_times(sizes), times)


@dataclass(frozen=True)
class Answered:
    """What a forward pass gives: logits of answer places, and the heads' words."""

    logits: Tensor  # (answer places, vocab)
    told: Tensor  # (B, V, token channels)
    tracks: Tensor  # (B, late V, track channels)
    clip: Tensor  # (B, clip classes)
    places: Tensor  # (B, V + A, slices + steps)


def forward(
    model: JointModel, places: Layout, packed: Packed, clips: Tensor, sounds: Tensor
) -> Answered:
    """Run a packed batch: clips (B, T, N, D), sounds (B, A, C)."""
    text, visual_end = len(places.text), len(places.text) + places.visual
    with torch.autocast("cpu", torch.bfloat16), PlainAttention():
        visual, told = model.connector(clips)
        audio = model.mm_projector_a(sounds)
        words = model.decoder.model.embed_tokens(packed.ids).bfloat16()
        parts = [words[:, :text], visual, audio, words[:, places.length :]]
        x = torch.cat([part.bfloat16() for part in parts], 1)
        cos, sin = rotary(model.decoder.config, packed.positions)
        cos, sin = cos[:, None].bfloat16(), sin[:, None].bfloat16()
        mask = torch.where(attention_mask(packed.group), 0.0, -1e4).bfloat16()
        *early, final = model.decoder.model.layers
        for index, layer in enumerate(early):
            x = layer(x, cos, sin, mask)
            if index == PLACE_LAYER:
                when = model.heads["place"](x[:, text : places.length])
        summary = x[torch.arange(len(x)), packed.last]
        tracks, clip = model.heads["track"](x[:, text:visual_end]), model.heads["clip"](summary)
        x = final(x, cos, sin, mask)
        logits = model.decoder.lm_head(model.decoder.model.norm(x[packed.targets >= 0]))
    return Answered(logits.float(), told.float(), tracks.float(), clip.float(), when.float())


def losses(out: Answered, packed: Packed, labels: Lessons, items: list[Item]) -> dict[str, Tensor]:
    """The answers' cross entropy and the heads' losses."""
    wanted = packed.targets[packed.targets >= 0]
    parts = {"answer": F.cross_entropy(out.logits, wanted)}
    seen = [row for row, item in enumerate(items) if item.picture >= 0]
    pictures = [items[row].picture for row in seen]
    parts["token"] = token_loss(out.told[seen], torch.from_numpy(labels.tokens[pictures]))
    tracks = torch.from_numpy(labels.tracks[pictures])
    asked = (tracks >= 0).float()
    said = out.tracks[seen][:, -tracks.shape[1] :]
    each = F.binary_cross_entropy_with_logits(said, tracks.clamp(min=0).float(), reduction="none")
    parts["track"] = (each * asked).sum() / asked.sum().clamp(min=1) * 5.0
    clips = [item.clip for item in items if item.picture >= 0 and item.clip is not None]
    truth = torch.from_numpy(np.stack([clip_labels(clip, labels.times) for clip in clips]))
    classes = out.clip[seen].split(list(CLIP_CLASSES.values()), dim=-1)
    each_class = [
        F.cross_entropy(logits, truth[:, k], ignore_index=-1, reduction="sum")
        / (truth[:, k] >= 0).sum().clamp(min=1)
        for k, logits in enumerate(classes)
    ]
    parts["clip"] = torch.stack(each_class).mean()
    parts["place"] = place_loss(out.places, packed, labels.places)
    return parts


def place_loss(said: Tensor, packed: Packed, times: Tensor) -> Tensor:
    """Cross entropy of when each clip token is, over the tokens that are there."""
    end = packed.group.shape[1] - packed.room
    there = packed.group[:, end - len(times) : end] == 0
    wanted = times.expand(len(said), -1).where(there, -1)
    return F.cross_entropy(said.flatten(0, 1), wanted.flatten(), ignore_index=-1)


def token_times(sizes: Sizes) -> Tensor:
    """(V + A,) int64: the slice of each visual token, then the step of each audio token."""
    slices, height, width = sizes.visual_grid
    visual = torch.arange(slices).repeat_interleave(height * width)
    audio = torch.arange(sizes.audio_slots).repeat_interleave(sizes.audio_bands)
    return torch.cat([visual, slices + audio])


def run(
    model: JointModel, stuff: Material, items: list[Item], room: int | None = None
) -> tuple[Packed, Answered]:
    """Pack and run some items."""
    packed = stuff.packer.pack(items, room)
    clips = torch.from_numpy(rows(stuff.clips, [item.picture for item in items]))
    sounds = torch.from_numpy(rows(stuff.sounds, [item.sound for item in items]))
    return packed, forward(model, stuff.packer.places, packed, clips, sounds)


def answered(model: JointModel, stuff: Material, items: list[Item]) -> list[tuple[Question, bool]]:
    """Whether each question is answered exactly, by teacher forcing (equal to greedy decoding)."""
    scores = []
    for start in range(0, len(items), 16):
        with torch.no_grad():
            packed, out = run(model, stuff, items[start : start + 16])
        right = torch.zeros_like(packed.targets, dtype=torch.bool)
        asked = packed.targets >= 0
        right[asked] = out.logits.argmax(-1) == packed.targets[asked]
        scores += question_scores(packed, right)
    return scores


def balanced_accuracy(scores: list[tuple[Question, bool]]) -> dict[str, float]:
    """Accuracy of each type, every answer of a type counting the same; `mean` over types."""
    by_key: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for question, right in scores:
        by_key[question.type][question.key].append(right)
    result = {
        kind: float(np.mean([np.mean(right) for right in keys.values()]))
        for kind, keys in sorted(by_key.items())
    }
    return {"mean": float(np.mean(list(result.values()))), **result}


@dataclass(frozen=True)
class Doses:
    """How much a step takes: clips, questions drawn for each, and tokens of these that fit."""

    clips: int = 16
    questions: int = 14
    room: int = 208


def train_joint(
    model: JointModel,
    plan: Plan,
    stuff: Material,
    labels: Lessons,
    doses: Doses,
    books: tuple[Path, Log],
    publish: Callable[[], None] = lambda: None,
) -> None:
    """Train the joint model in place.

    Args:
        model: Trained in place.
        plan: Steps and learning rate.
        stuff: Features to answer from.
        labels: What is asked and known.
        doses: The size of a step.
        books: The folder of the stage's state, and the log.
        publish: Called whenever the held-out items are measured.
    """
    folder, log = books

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng([plan.seed, 7, step, plan.crew.rank])
        pictures = draw(plan, step, len(labels.train.pictures), doses.clips)
        items = [labels.train.item(rng, int(picture), doses.questions) for picture in pictures]
        packed, out = run(model, stuff, items, doses.room)
        parts = losses(out, packed, labels, items)
        total = parts["answer"] + sum(HEAD_WEIGHTS[k] * parts[k] for k in HEAD_WEIGHTS)
        return total, {k: float(v.detach()) for k, v in parts.items()}

    def measure() -> dict[str, float]:
        publish()
        return balanced_accuracy(answered(model, stuff, labels.held))

    fit(plan, model, loss, measure, log, folder)
