"""GPTQ layer by layer: right inputs, both streams, experts, and a run that goes on after a kill."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engines.errors import ExportError
from export.calibrate import Calibration
from export.checkpoint import Checkpoint
from export.gptq_checkpoint import CONFIG, GptqFolder, config_json, write_json
from export.progress import Progress
from export.quantise import quantise_decoder
from export.quantise_layer import QuantiseOptions
from export.quantise_state import STREAMS, MatrixRow, QuantiseState
from export.storage import store_back
from export.streams import Stream
from export.walk import reference_logits
from quant.gptq import Settings, quantise
from quant.grid import dequantise, round_to_nearest
from quant.hessian import Hessian
from tests.golden import checkpoint

LENGTHS = [30, 41, 57]
OPTIONS = QuantiseOptions(group=32)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def calibration(model: Checkpoint, seed: int = 0, lengths: list[int] | None = None) -> Calibration:
    """Conversations of random words, whose tokens do not all count the same."""
    generator = torch.Generator().manual_seed(seed)
    table, lengths = model.embed_tokens().float(), lengths or LENGTHS
    ids = torch.randint(0, len(table), (sum(lengths),), generator=generator)
    weights = torch.ones(len(ids))
    weights[::3] = 0.25
    return Calibration(table[ids], lengths, weights, {})


def run(
    model: Checkpoint,
    folder: Path,
    options: QuantiseOptions = OPTIONS,
    made: Calibration | None = None,
) -> tuple[GptqFolder, list[MatrixRow]]:
    state = QuantiseState(folder, {"key": 1})
    made = made or calibration(model)
    rows = quantise_decoder(model, made, options, state, Progress(1))
    write_json(folder / CONFIG, config_json(4, options.group, options.damp))
    return GptqFolder(folder, state.weight_files()), rows


def quantised_layer(model: Checkpoint, source: GptqFolder, index: int) -> Any:
    """A layer of the checkpoint with the weights that were stored."""
    layer = model.decoder_layer(index)
    for name, module in layer.named_modules():
        path = f"model.layers.{index}.{name}"
        if f"{path}.qweight" in source.tensors:
            module.weight.copy_(dequantise(source.matrix(path, *module.weight.shape)))
    return layer


@pytest.mark.parametrize("name", ["mistral", "qwen2", "mixtral"])
def test_every_matrix_is_quantised_on_what_the_quantised_layers_before_it_give(
    name: str, tmp_path: Path
) -> None:
    model = Checkpoint(checkpoint(name))
    source, rows = run(model, tmp_path / "state")
    made = calibration(model)
    config = model.config.decoder
    ours, theirs = (Stream(config, made.inputs_embeds.clone(), LENGTHS) for _ in range(2))
    # Layer 0 as it was stored and as it is; then the first matrix of layer 1, done again.
    ours.advance(0, quantised_layer(model, source, 0))
    theirs.advance(0, model.decoder_layer(0))
    layer = model.decoder_layer(1)
    hessian = Hessian(config.hidden_size, asymmetric=True)
    hessian.add(layer.input_layernorm(ours.x), made.weights, layer.input_layernorm(theirs.x))
    weights = {"v_proj": layer.self_attn.v_proj.weight}
    again = quantise(weights, hessian, Settings(32))["v_proj"].quantised
    stored = source.matrix("model.layers.1.self_attn.v_proj", *weights["v_proj"].shape)
    # The sums were made in other pieces: a number between two codes may fall to either side.
    assert (stored.codes == again.codes).float().mean() > 0.99
    per_layer = 4 + 3 * max(config.num_local_experts, 1)
    assert len(rows) == config.num_hidden_layers * per_layer
    assert {row.layer for row in rows} == set(range(config.num_hidden_layers))
    first = next(row for row in rows if row.matrix == "self_attn.q_proj")
    assert (first.layer, first.tokens, first.reason) == (0, sum(LENGTHS), "")
    assert first.drift == 0
    assert rows[-1].drift is not None
    assert rows[-1].drift > 0


@pytest.mark.parametrize("name", ["mistral", "qwen2"])
def test_the_model_stays_nearer_than_by_rounding(name: str, tmp_path: Path) -> None:
    model = Checkpoint(checkpoint(name))
    # Enough tokens that what is learned of these ones holds for others.
    source, rows = run(model, tmp_path / "state", made=calibration(model, 0, [400] * 8))
    assert sum(r.error or 1 for r in rows) < 0.6 * sum(r.rounding_error or 0 for r in rows)
    made = calibration(model, 1, [301] * 3)
    sequences = made.inputs_embeds.split(made.lengths)
    read = reference_logits(model, [one[:1] for one in sequences], [[one[1:]] for one in sequences])
    wanted = torch.log_softmax(torch.cat([logits for (logits,) in read]), -1)

    def divergence(layers: list[Any]) -> float:
        stream = Stream(model.config.decoder, made.inputs_embeds.clone(), made.lengths)
        for index, layer in enumerate(layers):
            stream.advance(index, layer)
        logits = stream.logits(model.norm(), model.head())
        before = torch.cat([torch.arange(span.start, span.stop - 1) for span in stream.spans])
        found = torch.log_softmax(logits[before], -1)
        return float((wanted.exp() * (wanted - found)).sum(-1).mean())

    rounded = [model.decoder_layer(i) for i in range(3)]
    for layer in rounded:
        for path, module in layer.named_modules():
            if path.endswith("_proj"):
                module.weight.copy_(dequantise(round_to_nearest(module.weight, 32)))
    layers = [quantised_layer(model, source, i) for i in range(3)]
    assert divergence(layers) < 0.75 * divergence(rounded)


def test_streams_on_disk_are_those_behind_the_last_layer(tmp_path: Path) -> None:
    model = Checkpoint(checkpoint("mistral"))
    source, _ = run(model, tmp_path / "state")
    kept = load_file(tmp_path / "state" / STREAMS)
    made = calibration(model)
    ours, theirs = (Stream(model.config.decoder, made.inputs_embeds.clone(), LENGTHS),) * 2
    for index in range(3):
        ours.advance(index, quantised_layer(model, source, index))
    torch.testing.assert_close(kept["stored"], ours.x, rtol=1e-4, atol=1e-4)
    theirs = Stream(model.config.decoder, made.inputs_embeds.clone(), LENGTHS)
    for index in range(3):
        theirs.advance(index, model.decoder_layer(index))
    torch.testing.assert_close(kept["original"], theirs.x, rtol=1e-4, atol=1e-4)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "moment"), [("mistral", "save_streams"), ("mixtral", "save_part")]
)
def test_a_killed_run_goes_on_and_gives_the_same_bytes(
    name: str, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Checkpoint(checkpoint(name))
    run(model, tmp_path / "unbroken")
    save, calls = getattr(QuantiseState, moment), 0

    def killed(self: QuantiseState, *arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == (2 if moment == "save_streams" else 8):
            raise KeyboardInterrupt
        save(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(QuantiseState, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            run(model, tmp_path / "killed")
    assert QuantiseState(tmp_path / "killed", {"key": 1}).layers_done() == 1
    run(model, tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "unbroken")


def test_another_key_or_a_torn_file_begins_anew(tmp_path: Path) -> None:
    model = Checkpoint(checkpoint("mistral"))
    run(model, tmp_path / "state")
    state = QuantiseState(tmp_path / "state", {"key": 1})
    assert state.layers_done() == 3
    file = state.weight_files()[1]
    file.write_bytes(file.read_bytes()[:50])
    torn = QuantiseState(tmp_path / "state", {"key": 1})
    assert (torn.layers_done(), torn.weight_files()) == (0, [])
    assert QuantiseState(tmp_path / "state", {"key": 2}).layers_done() == 0
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["key.json"]


def test_inputs_come_back(tmp_path: Path) -> None:
    state = QuantiseState(tmp_path / "state", {})
    assert state.load_inputs() is None
    state.save_inputs({"x": torch.arange(3.0), "y": torch.ones(9)}, {"lengths": [1, 2]})
    found = QuantiseState(tmp_path / "state", {}).load_inputs("x")
    assert found is not None
    assert {name: tensor.tolist() for name, tensor in found[0].items()} == {"x": [0, 1, 2]}
    assert found[1] == {"lengths": [1, 2]}


def test_an_expert_that_few_tokens_reach_is_rounded_and_said(tmp_path: Path) -> None:
    model = Checkpoint(checkpoint("mixtral"))
    made = calibration(model)
    # Seven tokens for four experts of which each takes two: one gets fewer than 64 / 16.
    few = Calibration(made.inputs_embeds[:7], [7], torch.ones(7), {})
    state = QuantiseState(tmp_path / "state", {})
    rows = quantise_decoder(model, few, OPTIONS, state, Progress(1))
    experts = [row for row in rows if "experts" in row.matrix]
    rounded = [row for row in experts if row.reason]
    assert 0 < len(rounded) < len(experts)
    assert all(row.tokens < 4 and row.error is None for row in rounded)
    assert rounded[0].reason == f"only {rounded[0].tokens} of at least 4 tokens reached it"
    assert len(rounded) % 3 == 0  # w1, w3 and w2 of an expert share its fate.


@pytest.mark.parametrize("asymmetric", [True, False])
@pytest.mark.parametrize("group", [32, -1])
def test_groups_and_one_stream(group: int, asymmetric: bool, tmp_path: Path) -> None:
    model = Checkpoint(checkpoint("qwen2"))
    options = QuantiseOptions(group, asymmetric=asymmetric)
    source, rows = run(model, tmp_path / "state", options)
    shape = model.config.decoder.hidden_size, model.config.decoder.intermediate_size
    found = source.matrix("model.layers.0.mlp.down_proj", *shape)
    assert found.plain
    assert found.group == (shape[1] if group == -1 else group)
    assert (rows[-1].drift is None) == (not asymmetric)


def test_the_output_matrix_in_four_bits(tmp_path: Path) -> None:
    model = Checkpoint(checkpoint("mistral"))
    source, rows = run(model, tmp_path / "state", dataclasses.replace(OPTIONS, head="int4"))
    assert (rows[-1].layer, rows[-1].matrix) == (-1, "lm_head")
    head = model.head()
    found = source.matrix("lm_head", *head.weight.shape)  # 356 rows do not fill words of 8
    assert found.bits == 4
    left = dequantise(found) - head.weight
    assert float(left.square().mean()) < 0.02 * float(head.weight.square().mean())


def test_values_that_overflow_name_their_layer(tmp_path: Path) -> None:
    model = Checkpoint(checkpoint("mistral"))
    huge = calibration(model)
    huge.inputs_embeds[5] = torch.inf
    state = QuantiseState(tmp_path / "state", {})
    with pytest.raises(ExportError, match=r"In decoder layer 0 the input of self_attn\.q_proj"):
        quantise_decoder(model, huge, OPTIONS, state, Progress(1))


def test_store_back_takes_sixteen_bits_too() -> None:
    from export.graph.layers import LinearWeight

    module = torch.nn.Linear(2, 1, bias=False).requires_grad_(False)
    weight: Tensor = torch.tensor([[0.1, 2.0]]).half()
    store_back(module, LinearWeight(weight))
    assert torch.equal(module.weight, weight.float())
