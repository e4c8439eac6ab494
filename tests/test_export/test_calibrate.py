"""Calibration: folders of clips, conversations as the runtime makes them, weights of tokens."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch

import engines
from engines.bundle import Embeddings
from engines.config import ClipOptions
from engines.errors import ExportError
from export.ask_bundle import messages
from export.calibrate import (
    ANSWER,
    AUDIO,
    TEXT,
    VISUAL,
    Composer,
    calibrate,
    token_weights,
)
from export.checkpoint import Checkpoint
from export.cli import main
from export.examples import (
    Example,
    bundled_examples,
    digest,
    measured_examples,
    read_examples,
    read_lines,
)
from export.reference_encoders import ReferenceEncoders
from tests.golden import DATA, checkpoint

MEDIA = DATA / "media"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audio-visual checkpoint in 32 bits; not to be changed."""
    target = tmp_path_factory.mktemp("made") / "av.vl2"
    assert main([str(checkpoint("qwen2_av")), "-o", str(target), "--fp32"]) == 0
    return target


@pytest.fixture
def composer(bundle: Path) -> Composer:
    model = Checkpoint(checkpoint("qwen2_av"))
    config = engines.load(bundle, keep_encodings=False).config
    tokenizer = tokenizers.Tokenizer.from_file(str(bundle / "tokenizer.json"))
    embeddings = Embeddings(np.load(bundle / "embed_tokens.npy"))
    return Composer(ReferenceEncoders(model, config), tokenizer, embeddings)


def clip(name: str, **options: Any) -> ClipOptions:
    return ClipOptions(MEDIA / name, **options)


@pytest.mark.parametrize(
    "example",
    [
        Example(clip("test.png"), "What is it?", "A card."),
        Example(clip("sweep.wav"), "What is it?", "A tone.", (("Hear it?", "Yes."),)),
        Example(None, "Why?", "Because."),
    ],
    ids=["picture", "sound", "text"],
)
def test_a_conversation_is_what_the_runtime_makes_of_it(
    bundle: Path, composer: Composer, example: Example
) -> None:
    made = composer.compose(example)
    model = engines.load(bundle, device="cpu", keep_encodings=False)
    prompt = made.inputs_embeds[: len(made.kinds) - len(made.answer)]
    # The first token's logits by the runtime, and those after the prompt put together here.
    wanted = model.answer_logits(messages(example), made.answer)[0]
    got = model.next_logits(prompt[None].numpy())
    np.testing.assert_allclose(got, wanted, atol=2e-3 * np.abs(wanted).max())
    assert made.answer[-1] in model.config.decoder.eos_token_ids
    assert (made.kinds[-len(made.answer) :] == ANSWER).all()
    kinds = set(made.kinds.tolist()) - {TEXT, ANSWER}
    name = example.clip.path.name if example.clip else ""
    assert kinds == {"test.png": {VISUAL}, "sweep.wav": {AUDIO}, "": set()}[name]
    shorter = composer.compose(example, made.answer[:1])
    assert len(shorter.kinds) == len(made.kinds) - len(made.answer) + 1


def test_weights_of_tokens_by_hand() -> None:
    kinds = torch.tensor([TEXT, ANSWER, TEXT] + [VISUAL] * 6 + [AUDIO])
    assert token_weights(kinds, "equal").tolist() == [1] * 10
    # Three words, six picture tokens of a half each; one token of sound is fewer than the words.
    assert token_weights(kinds, "balanced").tolist() == [1, 1, 1] + [0.5] * 6 + [1]
    assert token_weights(kinds[3:], "balanced").tolist() == [1] * 7


def test_enough_is_enough_and_the_order_is_fixed(composer: Composer) -> None:
    examples = [Example(None, f"Question {i}?", "Yes.") for i in range(30)]
    told: list[str] = []
    made = calibrate(composer, examples, lambda label, _: told.append(label), tokens=200)
    assert 200 <= sum(made.lengths) < 260
    assert len(made.inputs_embeds) == len(made.weights) == sum(made.lengths)
    assert made.facts["conversations"] == len(made.lengths) == len(told) < 30
    assert sum(made.facts["tokens"].values()) == sum(made.lengths)
    again = calibrate(composer, examples, lambda *_: None, tokens=200)
    assert torch.equal(again.inputs_embeds, made.inputs_embeds)


def test_examples_that_cannot_be_used_are_left_out_and_said(composer: Composer) -> None:
    bad = Example(clip("test.png", sound="only"), "What?", "Nothing.")
    good = Example(None, "Why?", "Because.")
    made = calibrate(composer, [bad, good], lambda *_: None)
    assert len(made.lengths) == 1
    assert "test.png has no sound track" in made.facts["notes"][0]
    with pytest.raises(ExportError, match=r"could be used \(test.png has no sound track"):
        calibrate(composer, [bad], lambda *_: None)


def folder_with(tmp_path: Path, *names: str) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in names:
        shutil.copy(MEDIA / name, folder / name)
    return folder


def test_a_folder_of_clips_with_and_without_questions(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "test.png", "sweep.wav")
    (folder / ".hidden").write_text("no clip")
    found, notes = read_examples(folder)
    assert len(found) == 2 * 3
    assert (notes, {example.answer for example in found}) == ([], {None})
    lines: list[dict[str, Any]] = [
        {"clip": "test.png", "question": "What?", "answer": "A card.", "sound": "off"},
        {"question": "Why?", "answer": "So.", "history": [["A?", "B."]]},
    ]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found, _ = read_examples(folder)
    assert [example.question for example in found[:2]] == ["What?", "Why?"]
    assert found[0].clip == ClipOptions(folder / "test.png", sound="off")
    assert found[1].clip is None
    assert [(turn.role, turn.text) for turn in found[1].turns] == [
        ("user", "A?"),
        ("assistant", "B."),
        ("user", "Why?"),
    ]
    assert {e.clip.path.name for e in found[2:] if e.clip} == {"sweep.wav"}


def test_folders_that_hold_nothing(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    with pytest.raises(ExportError, match="clips holds no clip that can be used; put videos"):
        read_examples(folder)
    (folder / "notes.txt").write_text("not a clip")
    with pytest.raises(ExportError, match=r"holds no clip that can be used \(.*notes\.txt"):
        read_examples(folder)
    shutil.copy(MEDIA / "test.png", folder / "test.png")
    found, notes = read_examples(folder)
    assert len(found) == 3
    assert len(notes) == 1
    assert "notes.txt" in notes[0]
    with pytest.raises(ExportError, match="is not a folder"):
        read_examples(tmp_path / "gone")


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        '{"question": "What?"}',
        '{"question": "What?", "answer": 3}',
        '{"question": "What?", "answer": "x", "history": [["a"]]}',
        '{"question": "What?", "answer": "x", "sound": "loud"}',
        '{"question": "What?", "answer": "x", "clip": 7}',
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "What?", "answer": "x"}\n\n' + line)
    with pytest.raises(ExportError, match=r"Line 3 of .*jsonl is not a question"):
        read_lines(path)


def test_what_is_bundled_is_not_what_is_measured_with() -> None:
    calibrated, measured = bundled_examples(), measured_examples()
    clips = {e.clip.path for e in calibrated if e.clip}
    assert clips
    assert not clips & {e.clip.path for e in measured if e.clip}
    assert all(e.clip is not None and e.clip.path.is_file() for e in measured)
    texts = [e for e in calibrated if e.clip is None]
    assert len(texts) > 20
    assert all(e.answer for e in texts)


def test_the_digest_changes_with_whatever_matters(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "test.png")
    one = Example(ClipOptions(folder / "test.png"), "What?", "A card.")
    others = [
        Example(ClipOptions(folder / "test.png", sound="off"), "What?", "A card."),
        Example(ClipOptions(folder / "test.png"), "Why?", "A card."),
        Example(ClipOptions(folder / "test.png"), "What?", "A chart."),
        Example(ClipOptions(folder / "test.png"), "What?", "A card.", (("a", "b"),)),
        Example(None, "What?", "A card."),
    ]
    found = {digest([example]) for example in [one, *others]}
    assert len(found) == 6
    moved = tmp_path / "moved.png"
    shutil.copy(folder / "test.png", moved)
    assert digest([Example(ClipOptions(moved), "What?", "A card.")]) == digest([one])
