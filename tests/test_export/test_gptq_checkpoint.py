"""GPTQ checkpoints: ours come back, other people's are understood, strangers are refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engines.backends.onnxruntime import open_session
from engines.bundle import open_bundle
from engines.errors import CheckpointError
from export.checkpoint import Checkpoint
from export.cli import main
from export.gptq_checkpoint import GptqFolder, config_json, gptq_tensors, read_gptq_config
from export.gptq_source import kernel_form, open_gptq
from export.graph.builder import DataFile, Graph
from export.graph.layers import LinearWeight, linear
from export.storage import linear_shapes
from quant.grid import Quantised, dequantise, group_scales, round_to_nearest
from quant.pack import to_gptq_weight, to_gptq_zeros
from tests.golden import checkpoint

ROWS, COLUMNS, GROUP = 24, 96, 32


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def matrix(seed: int = 0) -> Tensor:
    return torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(seed)) * 0.1


def write(folder: Path, tensors: dict[str, Tensor], **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    config = config_json(4, GROUP, 0.01) | changes
    (folder / "quantize_config.json").write_text(json.dumps(config))
    return folder


def foreign(
    weight: Tensor, order: Tensor | None = None, symmetric: bool = False, second: bool = False
) -> tuple[dict[str, Tensor], Tensor]:
    """A matrix as another program would write it, and the numbers that it stands for."""
    columns = torch.arange(weight.shape[1]) if order is None else order
    grouped = weight[:, columns].reshape(len(weight), -1, GROUP)
    low, high = grouped.amin(-1), grouped.amax(-1)
    scales = ((high - low) / 15).half().float()
    zeros = (-8 - low / scales).round().clamp(-8, 7)
    if symmetric:
        scales, zeros = group_scales(grouped.flatten(1), GROUP, 4), torch.zeros_like(low)
    codes = (grouped / scales[..., None] + zeros[..., None]).round().clamp(-8, 7)
    values = ((codes - zeros[..., None]) * scales[..., None]).flatten(1)
    found, unsorted_codes = torch.empty_like(weight), torch.empty_like(weight)
    found[:, columns] = values
    unsorted_codes[:, columns] = codes.flatten(1)
    groups = torch.empty(weight.shape[1], dtype=torch.int32)
    groups[columns] = torch.arange(weight.shape[1], dtype=torch.int32) // GROUP
    words = to_gptq_zeros(zeros.to(torch.int8).numpy(), 4)
    if second:
        words = (words.view(np.uint32) + np.uint32(0x11111111)).view(np.int32)
    tensors = {
        "x.qweight": torch.from_numpy(to_gptq_weight(unsorted_codes.to(torch.int8).numpy(), 4)),
        "x.qzeros": torch.from_numpy(words),
        "x.scales": scales.T.half().contiguous(),
        "x.g_idx": groups,
    }
    return tensors, found


@pytest.mark.parametrize("group", [32, 96])
def test_ours_come_back(tmp_path: Path, group: int) -> None:
    quantised = round_to_nearest(matrix(), group)
    tensors = gptq_tensors("x", quantised)
    assert {name: (t.dtype, tuple(t.shape)) for name, t in tensors.items()} == {
        "x.qweight": (torch.int32, (12, 24)),
        "x.qzeros": (torch.int32, (96 // group, 3)),
        "x.scales": (torch.float16, (96 // group, 24)),
        "x.g_idx": (torch.int32, (96,)),
    }
    assert (tensors["x.qzeros"].numpy().view(np.uint32) == 0x77777777).all()
    source = GptqFolder(write(tmp_path / "g", tensors, group_size=-1 if group == 96 else group))
    found = source.matrix("x", ROWS, COLUMNS)
    assert found.plain
    assert torch.equal(found.codes, quantised.codes)
    assert torch.equal(found.scales, quantised.scales)


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("desc_act", [False, True])
def test_those_of_others_stand_for_the_same_numbers_and_run(
    tmp_path: Path, symmetric: bool, desc_act: bool, second: bool
) -> None:
    order = torch.randperm(COLUMNS, generator=torch.Generator().manual_seed(3))
    tensors, wanted = foreign(matrix(), order if desc_act else None, symmetric, second)
    form = "gptq_v2" if second else "gptq"
    changes = {"sym": symmetric, "desc_act": desc_act, "checkpoint_format": form}
    source = GptqFolder(write(tmp_path / "g", tensors, **changes))
    found = source.matrix("x", ROWS, COLUMNS)
    assert (found.zeros is None, found.order is None) == (symmetric, not desc_act)
    assert torch.equal(dequantise(found), wanted)
    with DataFile(tmp_path / "graph.data") as data:
        graph = Graph("graph", data, 1)
        graph.input("a", 1, ["L", COLUMNS])
        bias = torch.arange(ROWS).float()
        value = linear(graph, "/x", "a", LinearWeight(kernel_form(found), bias))
        graph.output(value, 1, ["L", ROWS])
    graph.save(tmp_path / "graph.onnx", 0)
    identity = np.eye(COLUMNS, dtype=np.float32)
    got = open_session(tmp_path / "graph.onnx", threads=1).run({"a": identity})[value]
    np.testing.assert_allclose(got, (wanted.T + bias).numpy(), atol=1e-5)


def test_config_of_a_model_file_and_old_names(tmp_path: Path) -> None:
    inner = {"bits": 8, "group_size": 64, "quant_method": "gptq", "desc_act": True}
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": inner}))
    found = read_gptq_config(tmp_path)
    assert (found.bits, found.group_size, found.desc_act) == (8, 64, True)
    assert (found.sym, found.minus_one) == (True, True)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bits": 3}, "is of 3 bits, which no graph holds"),
        ({"bits": "4"}, "the key bits must be a whole number"),
        ({"quant_method": "awq"}, "is of method 'awq', format 'gptq'"),
        ({"checkpoint_format": "marlin"}, "format 'marlin'"),
        ({"group_size": 0.5}, "the key group_size must be a whole number, or -1"),
        ({"group_size": 40}, "group size 40 of .* does not divide the 96 inputs"),
        ({"pack_dtype": "int16"}, "packs its weights in another way"),
    ],
)
def test_what_is_not_supported_is_said(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    tensors, _ = foreign(matrix())
    with pytest.raises(CheckpointError, match=sentence):
        GptqFolder(write(tmp_path / "g", tensors, **changes)).matrix("x", ROWS, COLUMNS)


def test_malformed_tensors(tmp_path: Path) -> None:
    tensors, _ = foreign(matrix())
    short = tensors["x.qweight"][:-1].clone()
    cases: list[tuple[dict[str, Tensor], str]] = [
        ({"x.scales": -tensors["x.scales"]}, "holds scales that are not positive"),
        ({"x.scales": tensors["x.scales"] * torch.nan}, "NaN"),
        ({"x.qweight": short}, r"I32 \[11, 24\] where this model needs"),
        ({"x.g_idx": torch.zeros(COLUMNS, dtype=torch.int32)}, "does not put 32 inputs into each"),
        ({"x.g_idx": tensors["x.g_idx"] - 5}, "does not put 32 inputs into each"),
    ]
    for change, sentence in cases:
        source = GptqFolder(write(tmp_path / "g", tensors | change))
        with pytest.raises(CheckpointError, match=sentence):
            source.matrix("x", ROWS, COLUMNS)
    with pytest.raises(CheckpointError, match=r"no tensor y\.qweight, so it is of another model"):
        GptqFolder(tmp_path / "g").matrix("y", ROWS, COLUMNS)
    with pytest.raises(CheckpointError, match="is not a folder"):
        GptqFolder(tmp_path / "none")
    (tmp_path / "g" / "quantize_config.json").unlink()
    with pytest.raises(CheckpointError, match="is not a GPTQ checkpoint"):
        GptqFolder(tmp_path / "g")


def test_large_groups_become_several_with_one_scale() -> None:
    found = kernel_form(round_to_nearest(torch.randn(4, 14336), 14336))
    assert found.group == 128
    assert found.scales.unique(dim=1).shape[1] == 1
    same = round_to_nearest(matrix(), 32)
    assert kernel_form(same) is same


def whole(name: str, folder: Path, desc_act: bool = False, symmetric: bool = True) -> Path:
    """A golden decoder as another program would write it."""
    model = Checkpoint(checkpoint(name))
    tensors = {}
    order_of = torch.Generator().manual_seed(4)
    for index in range(model.config.decoder.num_hidden_layers):
        layer = model.decoder_layer(index)
        for path in linear_shapes(layer):
            weight = layer.get_submodule(path).weight
            order = torch.randperm(weight.shape[1], generator=order_of) if desc_act else None
            made, _ = foreign(weight, order, symmetric)
            tensors |= {
                f"model.layers.{index}.{path}{key.removeprefix('x')}": value
                for key, value in made.items()
            }
    return write(folder, tensors, desc_act=desc_act, sym=symmetric)


def test_a_bundle_from_the_checkpoint_of_another_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, folder = checkpoint("qwen2"), tmp_path / "g"
    whole("qwen2", folder, desc_act=True, symmetric=False)
    target = tmp_path / "x.vl2"
    arguments = [str(source), "-o", str(target), "--gptq", str(folder), "--accept-loss"]
    assert main(arguments) == 0
    config = open_bundle(target).config
    assert config.quantisation.method == "gptq"
    assert config.quantisation.group_size == GROUP
    exact = {row.graph: row for row in config.verification}["decoder_exact"]
    assert exact.max_rel < 1e-4


@pytest.mark.parametrize(("desc_act", "symmetric"), [(True, True), (True, False), (False, False)])
def test_what_no_engine_can_be_made_of_is_refused_before_anything_is_made(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    desc_act: bool,
    symmetric: bool,
) -> None:
    from engines.engine_files import Compiler
    from export import engine_build

    compiler = (None, Compiler("rtx", "1.2.3"))
    monkeypatch.setattr(engine_build, "load_compiler", lambda flavour: compiler)
    folder, target = tmp_path / "g", tmp_path / "x.vl2"
    whole("qwen2", folder, desc_act=desc_act, symmetric=symmetric)
    arguments = [str(checkpoint("qwen2")), "-o", str(target), "--gptq", str(folder)]
    assert main([*arguments, "--accept-loss", "--tensorrt", "--arch", "sm89"]) == 1
    said = capsys.readouterr().err.splitlines()
    what = "groups in an order of their own (desc_act)" if desc_act else "zero points"
    assert said[-1] == (
        f"vl2-export: {folder} has {what}, of which TensorRT can make no decoder; leave --tensorrt"
        " out, or quantise the checkpoint here."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g"]


def test_the_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    model = Checkpoint(checkpoint("mistral"))
    with pytest.raises(CheckpointError, match=r"was made of another model: its model\.layers\.0"):
        open_gptq(model, whole("qwen2", tmp_path / "a"))
    shutil.rmtree(tmp_path / "a")
    other = whole("mixtral", tmp_path / "a")
    with pytest.raises(CheckpointError, match="so it is of another model or not complete"):
        open_gptq(model, other)
    assert open_gptq(Checkpoint(checkpoint("mixtral")), other).config.sym


def test_groups_that_no_kernel_takes(tmp_path: Path) -> None:
    folder = whole("mistral", tmp_path / "a")
    config = json.loads((folder / "quantize_config.json").read_text())
    (folder / "quantize_config.json").write_text(json.dumps(config | {"group_size": 8}))
    with pytest.raises(CheckpointError, match="has groups of 8, but the smallest"):
        open_gptq(Checkpoint(checkpoint("mistral")), folder)


def test_the_file_name_of_autogptq(tmp_path: Path) -> None:
    tensors, wanted = foreign(matrix())
    folder = write(tmp_path / "g", tensors)
    (folder / "model.safetensors").rename(folder / "gptq_model-4bit-32g.safetensors")
    assert torch.equal(dequantise(GptqFolder(folder).matrix("x", ROWS, COLUMNS)), wanted)
    assert load_file(folder / "gptq_model-4bit-32g.safetensors").keys() == tensors.keys()


def test_plain_matrices_alone_are_written() -> None:
    made = round_to_nearest(matrix(), 32)
    zeros = torch.ones(made.scales.shape, dtype=torch.int8)
    with pytest.raises(AssertionError):
        gptq_tensors("x", Quantised(made.codes, made.scales, 4, zeros))
