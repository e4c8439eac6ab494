"""`vl2-export` with GPTQ from the command line: bundle, report, GPTQ folder, interruptions."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from engines.bundle import open_bundle
from export.bundle_decoder import BundleDecoder, write_compilable
from export.checkpoint import Checkpoint
from export.cli import main
from export.gptq_checkpoint import GptqFolder
from export.quantise_state import QuantiseState
from export.storage import linear_shapes
from quant.grid import dequantise
from quant.pack import from_dequantize_linear, from_matmul_nbits
from tests.golden import DATA, checkpoint


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small calibration: a picture and two texts."""
    folder = tmp_path_factory.mktemp("clips")
    shutil.copy(DATA / "media" / "test.png", folder)
    lines = [
        {"clip": "test.png", "question": "What is it?", "answer": "A test card."},
        {"question": "Why is the sky blue?", "answer": "Because air scatters blue light most."},
    ]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


@pytest.fixture(scope="module")
def made(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle, its GPTQ checkpoint and its report; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    arguments = [str(checkpoint("qwen2")), "-o", str(folder / "x.vl2"), "--accept-loss"]
    arguments += ["--calibration", str(clips), "--keep-gptq", str(folder / "gptq")]
    arguments += ["--report", str(folder / "r.png"), "--head", "int4"]
    assert main(arguments) == 0
    return folder


def test_what_is_there_afterwards(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == {"x.vl2", "x.report.json", "gptq", "r.png"}
    quantisation = open_bundle(made / "x.vl2").config.quantisation
    assert (quantisation.method, quantisation.head, quantisation.group_size) == ("gptq", "int4", 32)
    assert quantisation.calibration is not None
    assert quantisation.calibration.conversations == 2
    assert quantisation.calibration.tokens["visual"] > 0
    report = json.loads((made / "x.report.json").read_text())
    assert len(report["matrices"]) == 3 * 7 + 1
    assert [row["graph"] for row in report["accuracy"]["rows"]] == ["decoder", "decoder_exact"]


def external(folder: Path, graph: str) -> dict[str, np.ndarray]:
    """The initializers of a graph, and the bytes of those whose type NumPy lacks."""
    model = onnx.load(folder / graph, load_external_data=False)
    found = {}
    for tensor in model.graph.initializer:
        places = {entry.key: entry.value for entry in tensor.external_data}
        if not places:
            found[tensor.name] = onnx.numpy_helper.to_array(tensor)
            continue
        dtype = {1: np.float32, 10: np.float16}.get(tensor.data_type, np.uint8)
        offset, length = int(places["offset"]), int(places["length"])
        data = np.fromfile(folder / places["location"], np.uint8, length, offset=offset)
        shape = tuple(tensor.dims) if tensor.data_type != onnx.TensorProto.INT4 else (-1,)
        found[tensor.name] = data.view(dtype).reshape(shape)
    return found


def test_graph_engine_and_the_gptq_folder_hold_the_same_integers_and_scales(
    made: Path, tmp_path: Path
) -> None:
    source, model = GptqFolder(made / "gptq"), Checkpoint(checkpoint("qwen2"))
    decoder = BundleDecoder(made / "x.vl2" / "decoder.onnx")
    write_compilable(decoder, tmp_path / "decoder.onnx", 64, "fp16")
    ours, standard = (external(folder, "decoder.onnx") for folder in (made / "x.vl2", tmp_path))
    for index in range(3):
        for name, (rows, columns) in linear_shapes(model.decoder_layer(index)).items():
            path = f"model/layers.{index}/{name.replace('.', '/')}"
            stored = source.matrix(f"model.layers.{index}.{name}", rows, columns)
            codes = from_matmul_nbits(ours[f"/{path}.weight_codes"], 4)
            np.testing.assert_array_equal(codes, stored.codes.numpy())
            np.testing.assert_array_equal(ours[f"/{path}.weight_scales"], stored.scales.numpy())
            raw = standard[f"/{path}.weight_codes"]
            other = from_dequantize_linear(raw, (columns, rows), 4)
            np.testing.assert_array_equal(other, codes)
            scales = standard[f"/{path}.weight_scales"].T.astype(np.float32)
            np.testing.assert_array_equal(scales, stored.scales.numpy())


def test_the_gptq_folder_is_a_plain_decoder(made: Path) -> None:
    config = json.loads((made / "gptq" / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == ("qwen2", ["Qwen2ForCausalLM"])
    assert not [key for key in config if key.startswith(("mm_", "vl2_"))]
    about = json.loads((made / "gptq" / "quantize_config.json").read_text())
    assert config["quantization_config"] == about
    assert (about["sym"], about["desc_act"], about["checkpoint_format"]) == (True, False, "gptq")
    index = json.loads((made / "gptq" / "model.safetensors.index.json").read_text())
    names = set(index["weight_map"])
    assert "model.layers.0.self_attn.q_proj.bias" in names
    assert "model.layers.0.self_attn.q_proj.weight" not in names
    assert {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"} <= names
    assert not [name for name in names if "vision" in name or "mm_projector" in name]
    assert (made / "gptq" / "tokenizer.json").is_file()


def test_the_gptq_folder_makes_the_same_decoder(made: Path, tmp_path: Path) -> None:
    arguments = [str(checkpoint("qwen2")), "-o", str(tmp_path / "y.vl2"), "--accept-loss"]
    assert main([*arguments, "--gptq", str(made / "gptq")]) == 0
    ours, other = (
        external(folder, "decoder.onnx") for folder in (made / "x.vl2", tmp_path / "y.vl2")
    )
    same = [name for name in ours if "/layers." in name]
    assert same
    for name in same:
        np.testing.assert_array_equal(ours[name], other[name])


def test_what_the_gptq_folder_stands_for_is_near_the_checkpoint(made: Path) -> None:
    source, model = GptqFolder(made / "gptq"), Checkpoint(checkpoint("qwen2"))
    weight = model.decoder_layer(1).mlp.gate_proj.weight
    found = dequantise(source.matrix("model.layers.1.mlp.gate_proj", *weight.shape))
    apart = float((found - weight).square().sum() / weight.square().sum())
    assert 0.001 < apart < 0.05


def test_a_killed_export_goes_on_and_gives_the_same_bundle(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def arguments(name: str) -> list[str]:
        target = [str(checkpoint("mistral")), "-o", str(tmp_path / name), "--accept-loss"]
        return [*target, "--calibration", str(clips)]

    save = QuantiseState.save_streams

    def killed(self: QuantiseState, layer: int, *streams: torch.Tensor) -> None:
        if layer == 2:
            raise KeyboardInterrupt
        save(self, layer, *streams)

    with monkeypatch.context() as patch:
        patch.setattr(QuantiseState, "save_streams", killed)
        assert main(arguments("a.vl2")) == 130
    left = sorted(path.name for path in tmp_path.glob("*.vl2*"))
    assert left == ["a.vl2.part", "a.vl2.quantising"]
    assert "1 finished layers are kept in" in capsys.readouterr().err
    assert main(arguments("a.vl2")) == 0
    assert "going on behind layer 1" in capsys.readouterr().err
    assert main(arguments("b.vl2")) == 0
    for name in ("decoder.data", "decoder.onnx", "decoder.exact.onnx"):
        assert (tmp_path / "a.vl2" / name).read_bytes() == (tmp_path / "b.vl2" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.vl2*")) == ["a.vl2", "b.vl2"]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--fp16", "--rtn"], "--rtn goes with --int4 alone"),
        (["--fp32", "--head", "int4"], "--head goes with --int4 alone"),
        (["--fp16", "--embeddings", "8"], "--embeddings 8 goes with --int4 alone"),
        (["--rtn", "--keep-gptq", "x"], "--keep-gptq goes with GPTQ alone"),
        (["--gptq", "x", "--group", "32"], "--group goes with GPTQ made here alone"),
        (["--gptq", "x", "--rtn"], "--rtn goes with GPTQ made here alone"),
        (["--gptq", "nowhere"], "nowhere is not a folder"),
        (["--calibration", "nowhere"], "nowhere is not a folder"),
        (["--keep-gptq", "full"], "full exists already"),
        (["--group", "48"], "--group 48 is none of"),
    ],
)
def test_what_does_not_go_together_is_said_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert main([str(checkpoint("mistral")), "-o", "x.vl2", *more]) == 1
    said = capsys.readouterr().err.splitlines()
    assert sentence in said[-1]
    assert not list(tmp_path.glob("x.vl2*"))


def test_a_disk_that_fills_up_while_quantising(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: QuantiseState, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder / "x.safetensors"))

    monkeypatch.setattr(QuantiseState, "save_part", full)
    arguments = [str(checkpoint("mistral")), "-o", str(tmp_path / "x.vl2")]
    assert main([*arguments, "--calibration", str(clips)]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "x.vl2 could not be written (no space left on device); free space" in said
    # The towers are finished; of the layers, none is.
    assert [path.name for path in tmp_path.glob("x.*")] == ["x.vl2.part"]


def test_a_layer_of_nan_leaves_nothing(
    clips: Path, mistral: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(mistral / "model.safetensors")
    tensors["model.layers.2.mlp.up_proj.weight"][3, 4] = torch.nan
    save_file(tensors, mistral / "model.safetensors")
    arguments = [str(mistral), "-o", str(tmp_path / "x.vl2"), "--calibration", str(clips)]
    assert main(arguments) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "model.layers.2.mlp.up_proj.weight" in said
    assert "holds NaN" in said
    assert not list(tmp_path.glob("x.*"))
