"""A decoder that is checked a layer at a time is the decoder that is checked as a whole."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines.bundle import open_bundle
from engines.machine_memory import Memory
from engines.messages import Message
from engines.sampling import GenerateOptions
from export import needs
from export.cli import main
from export.pieces import Pieces, answer_logits, greedy_answers, prompt_chunks
from tests.golden import checkpoint

MESSAGES: list[list[Message]] = [
    [{"role": "user", "content": "Count."}],
    [{"role": "user", "content": "What colour has the circle, and which way does it move? " * 3}],
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("made") / "m.vl2"
    assert main([str(checkpoint("mistral")), "-o", str(target), "--fp32"]) == 0
    return target


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "memory_here", lambda: Memory(1 << 20, 1 << 40))


def counted(function: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    """A method of `Pieces` that notes the file it is called for."""

    def noted(pieces: Pieces, *args: Any) -> Any:
        names.append(pieces.path.name)
        return function(pieces, *args)

    return noted


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("mixtral", ["--rtn", "--accept-loss"]),
        ("mistral", ["--fp16"]),  # Its layers look back as far as a window.
        ("qwen2_av", ["--fp32"]),
    ],
)
def test_an_export_in_pieces_writes_the_same_bundle(
    name: str,
    form: list[str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, cut = tmp_path / "whole.vl2", tmp_path / "cut.vl2"
    read: list[str] = []
    monkeypatch.setattr(Pieces, "read", counted(Pieces.read, read))
    assert main([str(checkpoint(name)), "-o", str(whole), *form]) == 0
    assert read == []
    request.getfixturevalue("little_memory")
    assert main([str(checkpoint(name)), "-o", str(cut), *form]) == 0
    # The check and the self-test of each graph; with the gate, at least a token of the answers,
    # and both graphs measured.
    files = ["decoder.onnx", "decoder.exact.onnx"] if "--rtn" in form else ["decoder.onnx"]
    assert set(read) == set(files)
    assert len(read) >= (7 if "--rtn" in form else 2)
    read.clear()
    for file in whole.iterdir():
        if file.name != "manifest.json":
            assert (cut / file.name).read_bytes() == file.read_bytes(), file.name
    wanted, found = open_bundle(whole).config, open_bundle(cut).config
    plain = {"verification": (), "accuracy": None}
    assert dataclasses.replace(found, **plain) == dataclasses.replace(wanted, **plain)
    if wanted.accuracy is not None:
        assert found.accuracy is not None
        for one, other in zip(found.accuracy.rows, wanted.accuracy.rows, strict=True):
            numbers = [dataclasses.astuple(row)[1:] for row in (one, other)]
            assert numbers[0] == pytest.approx(numbers[1], rel=1e-4, abs=1e-6)
    assert main(["verify", str(cut)]) == 0
    assert set(read) == set(files)


def test_conversations_of_any_length_side_by_side(bundle: Path) -> None:
    model = engines.load(bundle, device="cpu", keep_encodings=False)
    options = GenerateOptions(max_new_tokens=6, repetition_penalty=1.0)
    wanted = [list(model.generate(messages, options))[-1].token_ids for messages in MESSAGES]
    prompts = [model.token_prompt(messages).inputs_embeds for messages in MESSAGES]
    path = model.bundle.graph_path("decoder")
    eos = model.config.decoder.eos_token_ids
    told: list[tuple[int, int]] = []
    numbers: list[int] = []

    def telling(number: int) -> Callable[[int, int], None]:
        numbers.append(number)
        return lambda *at: told.append(at)

    found = greedy_answers(path, prompts, model.embed, eos, 6, telling)
    assert numbers == list(range(1, 1 + max(map(len, wanted))))
    assert found == wanted
    layers = len([name for name in model.bundle.config.graphs["decoder"].outputs if "key" in name])
    assert told[: layers + 1] == [(n, layers + 1) for n in range(1, layers + 2)]
    answers = [model.embed(np.asarray(ids)) for ids in wanted]
    for ids, messages, logits in zip(
        wanted, MESSAGES, answer_logits(path, prompts, answers), strict=True
    ):
        np.testing.assert_allclose(logits, model.answer_logits(messages, ids), atol=1e-5)


def test_an_end_of_one_conversation_leaves_the_other(bundle: Path) -> None:
    model = engines.load(bundle, device="cpu", keep_encodings=False)
    prompts = [model.token_prompt(messages).inputs_embeds for messages in MESSAGES]
    path = model.bundle.graph_path("decoder")
    free = greedy_answers(path, prompts, model.embed, (), 5)
    assert [len(one) for one in free] == [5, 5]
    at, end = next((n, id) for n, id in enumerate(free[0]) if id not in free[1])
    ended = greedy_answers(path, prompts, model.embed, {end}, 5)
    assert ended == [free[0][: at + 1], free[1]]


def test_reading_on_is_reading_at_once(bundle: Path) -> None:
    path = open_bundle(bundle).graph_path("decoder")
    width = int(open_bundle(bundle).config.graphs["decoder"].inputs["inputs_embeds"][1][2])
    prompt = np.random.default_rng(0).standard_normal((300, width)).astype(np.float32)
    chunks = prompt_chunks(prompt)
    assert [chunk.shape[1] for chunk in chunks] == [128, 128, 44]
    at_once = Pieces(path, [300]).read([chunks])[0]
    bit_by_bit = Pieces(path, [300])
    for chunk, wanted in zip(chunks, at_once, strict=True):
        ((found,),) = bit_by_bit.read([[chunk]])
        np.testing.assert_array_equal(found, wanted)
