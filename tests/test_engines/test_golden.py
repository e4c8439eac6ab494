"""The runtime against the published implementation, through the public API, stage by stage."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines.config import ClipOptions
from engines.events import Result
from engines.messages import clip_message
from engines.model import VideoLlama2
from engines.sampling import GenerateOptions
from export.cli import main as vl2_export
from tests.golden import (
    AUDIO_ROWS,
    CHECKPOINTS,
    PROJECTORS,
    Case,
    cases,
    checkpoint,
    projector_case,
    projector_checkpoint,
    relative_error,
)

TOLERANCE = 1e-4
ALL = [case for name in CHECKPOINTS for case in cases(name)]
ALL += [projector_case(kind) for kind in PROJECTORS]
PICTURES = [case for case in ALL if case.pixel_values is not None]
SOUNDS = [case for case in ALL if case.fbank is not None]
CLIPS = [case for case in ALL if case.clip is not None]


class Models:
    """Each checkpoint exported and loaded once, when a test first asks for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.get = cache(self._get)

    def _get(self, name: str, precision: str = "fp32", exact: bool = False) -> VideoLlama2:
        bundle = self._folder / f"{name}-{precision}"
        if not bundle.exists():
            found = name not in PROJECTORS
            source = checkpoint(name) if found else projector_checkpoint(name, self._folder)
            assert vl2_export([str(source), "-o", str(bundle), f"--{precision}"]) == 0
        return engines.load(bundle, exact=exact, threads=1, keep_encodings=False)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("golden"))


@pytest.fixture
def model(case: Case, models: Models) -> VideoLlama2:
    return models.get(case.checkpoint)


def prompt_embeds(model: VideoLlama2, case: Case) -> Any:
    """The reference's embeddings of the whole prompt, (1, L, H)."""
    ids = case.arrays["input_ids"]
    media = [model.encode_video(case.pixel_values)] if case.pixel_values is not None else []
    media += [model.encode_audio(case.fbank)] if case.fbank is not None else []
    at = np.flatnonzero(ids < 0)
    if not at.size:
        return model.embed(ids)[None]
    embeds = [model.embed(ids[: at[0]]), *media, model.embed(ids[at[0] + 1 :])]
    return np.concatenate(embeds)[None]


@pytest.mark.parametrize("case", ALL, ids=str)
def test_prompt_and_token_ids(model: VideoLlama2, case: Case) -> None:
    messages = [{"role": "user", "content": case.content}]
    assert model.prompt_text(messages) == case.prompt
    assert model.prompt_ids(messages).tolist() == case.arrays["input_ids"].tolist()


@pytest.mark.parametrize("case", PICTURES, ids=str)
def test_vision_features_and_visual_tokens(model: VideoLlama2, case: Case) -> None:
    features = model.vision_features(case.pixel_values)
    assert relative_error(features, case.arrays["vision_features"]) < TOLERANCE
    tokens = model.project(case.arrays["vision_features"])
    assert relative_error(tokens, case.arrays["visual_tokens"]) < TOLERANCE
    tokens = model.encode_video(case.pixel_values)
    assert relative_error(tokens, case.arrays["visual_tokens"]) < TOLERANCE


@pytest.mark.parametrize("case", SOUNDS, ids=str)
def test_audio_tokens(model: VideoLlama2, case: Case) -> None:
    tokens = model.encode_audio(case.fbank)
    assert tokens.shape == (1496, 64)
    assert relative_error(tokens[AUDIO_ROWS], case.arrays["audio_tokens"]) < TOLERANCE


@pytest.mark.parametrize("case", ALL, ids=str)
def test_logits_at_the_end_of_the_prompt_and_after_each_token(
    model: VideoLlama2, case: Case
) -> None:
    embeds = prompt_embeds(model, case)
    assert relative_error(model.next_logits(embeds), case.arrays["last_logits"]) < TOLERANCE
    tokens = case.arrays["greedy_tokens"]
    steps = range(len(tokens)) if embeds.shape[1] < 200 else (0, 1, len(tokens) - 1)
    for step in steps:
        forced = np.concatenate([embeds, model.embed(tokens[: step + 1])[None]], axis=1)
        expected = case.arrays["step_logits"][step]
        assert relative_error(model.next_logits(forced), expected) < TOLERANCE


@pytest.mark.parametrize("case", ALL, ids=str)
def test_greedy_tokens_from_the_file_on(model: VideoLlama2, case: Case) -> None:
    message: Any = {"role": "user", "content": case.question}
    if case.clip is not None:
        clip = ClipOptions(case.clip, sound=case.sound, audio_window="reference")  # type: ignore[arg-type]
        message = clip_message(clip, case.question)
    *_, result = model.generate([message], GenerateOptions(max_new_tokens=24))
    assert isinstance(result, Result)
    assert list(result.token_ids) == case.arrays["greedy_tokens"].tolist()
    media = [len(case.arrays["visual_tokens"])] if case.pixel_values is not None else []
    media += [1496] if case.fbank is not None else []
    expected = len(case.arrays["input_ids"]) + sum(media) - (1 if media else 0)
    assert result.usage.prompt_tokens == expected


@pytest.mark.parametrize("case", CLIPS, ids=str)
def test_pixels_and_filter_banks_from_the_file_on(model: VideoLlama2, case: Case) -> None:
    if case.pixel_values is not None:
        found = model.prepare_video(case.clip or "")
        std = np.array(model.config.vision.preprocess.image_std, np.float32).reshape(3, 1, 1)
        assert found.shape == case.pixel_values.shape
        difference = (found - case.pixel_values) * std
        assert np.abs(difference).mean() < 0.1 / 255
    if case.fbank is not None:
        banks = model.prepare_audio(case.clip or "", audio_window="reference")
        assert np.abs(banks - case.fbank).mean() < 0.05


@pytest.fixture(scope="module")
def film() -> Case:
    return next(case for case in ALL if str(case) == "qwen2-video")


def test_half_precision_keeps_close_to_the_reference(models: Models, film: Case) -> None:
    half = models.get("qwen2", "fp16")
    found = half.next_logits(prompt_embeds(half, film))
    assert relative_error(found, film.arrays["last_logits"]) < 0.01
    assert answer_length(half) == 5


def test_four_bits_with_exact_and_with_fast_products(models: Models, film: Case) -> None:
    fast, exact = (models.get("qwen2", "int4", exact) for exact in (False, True))
    embeds = prompt_embeds(exact, film)
    # Random weights have no slack for four bits, so the two are held against each other.
    error = relative_error(fast.next_logits(embeds), exact.next_logits(embeds))
    assert 0 < error < 0.1
    assert answer_length(fast) == answer_length(exact) == 5


def answer_length(model: VideoLlama2) -> int:
    question = {"role": "user", "content": "Hello"}
    *_, result = model.generate([question], GenerateOptions(max_new_tokens=5, ignore_eos=True))
    assert isinstance(result, Result)
    return result.usage.new_tokens
