"""A decoder read back from the graph that ONNX Runtime runs, and written for a compiler."""

import dataclasses
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from engines.errors import ExportError
from export.bundle_decoder import BundleDecoder, Kind, NotCompilable, write_compilable
from export.compare import logit_positions, run_tensorrt_decoder
from export.compilable import write_plain_attention
from export.graph.builder import DataFile, Graph
from export.graph.decoder import ONNXRUNTIME, DecoderWriter, layer_weights
from export.reference.decoder import Decoder, DecoderConfig, DecoderLayer
from export.storage import store_back, taker
from export.tensorrt import Job, Profiles, compile_graph, load_compiler
from tests.golden import relative_error

DEMO = Path(__file__).parents[2] / "assets" / "demo"
LENGTH, CAPACITY = 21, 32
DENSE = DecoderConfig(64, 96, 3, 4, 2, 16, 50, 64, 1e-5, 10000.0, qkv_bias=True)
CONFIGS = {
    "dense": DENSE,
    "windowed": dataclasses.replace(DENSE, windows=(5, 5, 5)),
    "routed": dataclasses.replace(DENSE, qkv_bias=False, num_local_experts=4),
    "narrow": dataclasses.replace(DENSE, hidden_size=48, head_dim=12),
}


@pytest.fixture(autouse=True)
def repeatable() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def written(path: Path, config: DecoderConfig, scheme: Any) -> Decoder:
    """Write a random decoder as a bundle has it; it computes with the stored weights afterwards."""
    decoder = Decoder(config).eval()
    compute = TensorProto.FLOAT16 if scheme == "fp16" else TensorProto.FLOAT

    def take(name: str, module: torch.nn.Linear) -> Any:
        weight = taker(scheme, 16, 8 if name == "lm_head" else 4)(name, module)
        store_back(module, weight)
        return weight

    with DataFile(path.with_suffix(".data")) as data:
        graph = Graph("decoder", data, compute)
        writer = DecoderWriter(graph, config, ONNXRUNTIME)
        for index, layer in enumerate(decoder.model.layers):
            assert isinstance(layer, DecoderLayer)
            writer.layer(index, layer_weights(layer, take))
        writer.head(decoder.model.norm.weight, take("lm_head", decoder.lm_head))
    graph.save(path, 4 if scheme == "int4" else None)
    return decoder


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("scheme", ["fp16", "int4"])
def test_every_kind_of_decoder(tmp_path: Path, config: DecoderConfig, scheme: str) -> None:
    decoder = written(tmp_path / "decoder.onnx", config, scheme)
    found = BundleDecoder(tmp_path / "decoder.onnx")
    same = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    same += ("num_key_value_heads", "head_dim", "vocab_size", "qkv_bias", "num_local_experts")
    assert [getattr(found.config, n) for n in same] == [getattr(config, n) for n in same]
    assert found.config.window(0) == config.window(0)
    embeds = torch.randn(1, LENGTH, config.hidden_size)
    wanted = decoder(embeds)[0].numpy()[logit_positions(LENGTH)]
    limits: dict[Kind, float] = {"fp16": 1e-2, "bf16": 4e-2}
    for kind, limit in limits.items():
        path = tmp_path / f"{kind}.onnx"
        write_compilable(found, path, CAPACITY, kind, runnable=True)
        got = run_tensorrt_decoder(path, found.config, embeds.numpy())
        assert relative_error(got, wanted) < limit


def test_tensors_of_what_is_compiled(tmp_path: Path) -> None:
    written(tmp_path / "decoder.onnx", DENSE, "int4")
    found = BundleDecoder(tmp_path / "decoder.onnx")
    inputs, outputs = write_compilable(found, tmp_path / "c.onnx", CAPACITY, "bf16")
    assert inputs["attention_mask"] == ("bool", (1, 1, "L", CAPACITY))
    assert inputs["past_key_values.2.value"] == ("bfloat16", (1, 2, CAPACITY, 16))
    assert outputs["present.0.key"] == ("bfloat16", (1, 2, CAPACITY, 16))
    assert outputs["logits"] == ("float32", (1, "K", 50))
    half, _ = write_compilable(found, tmp_path / "h.onnx", CAPACITY, "fp16")
    assert half["past_key_values.0.key"] == ("float16", (1, 2, CAPACITY, 16))


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="tensorrt_rtx is not installed: pip install 'vl2[tensorrt]'",
)
def test_bfloat16_is_compiled_and_read_back(tmp_path: Path) -> None:
    config = dataclasses.replace(DENSE, max_position_embeddings=128)
    written(tmp_path / "decoder.onnx", config, "int4")
    found, path = BundleDecoder(tmp_path / "decoder.onnx"), tmp_path / "c.onnx"
    sides = write_compilable(found, path, 128, "bf16")
    profiles: Profiles = {
        "inputs_embeds": ((1, 1, 64), (1, 1, 64), (1, 128, 64)),
        "position_ids": ((1, 1), (1, 1), (1, 128)),
        "attention_mask": ((1, 1, 1, 128), (1, 1, 1, 128), (1, 1, 128, 128)),
    }
    module, _ = load_compiler("rtx")
    made = compile_graph(module, Job("rtx", "sm89", path, tmp_path / "e", *sides, profiles))
    assert made.inputs["past_key_values.0.key"] == ("bfloat16", (1, 2, 128, 16))
    assert set(made.outputs) == set(sides[1])


def test_positions_beyond_the_cache_are_left_out(tmp_path: Path) -> None:
    written(tmp_path / "decoder.onnx", DENSE, "int4")
    write_compilable(BundleDecoder(tmp_path / "decoder.onnx"), tmp_path / "c.onnx", 32, "fp16")
    model = onnx.load(tmp_path / "c.onnx", load_external_data=False)
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    assert shapes["/rotary/cos_table"] == [32, 16]


def test_what_no_compiler_takes(tmp_path: Path) -> None:
    path = tmp_path / "decoder.onnx"
    written(path, dataclasses.replace(DENSE, windows=(None, 5, 5)), "int4")
    with pytest.raises(NotCompilable, match="with and without a sliding window"):
        BundleDecoder(path)
    model = onnx.load(path, load_external_data=False)
    zeros = onnx.numpy_helper.from_array(np.zeros((64, 2), np.uint8), "/x/q_proj.weight_zeros")
    model.graph.initializer.append(zeros)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(NotCompilable, match="zero points or sorted columns"):
        BundleDecoder(path)


@pytest.mark.parametrize("lost", ["/rotary/cos", "GroupQueryAttention", "/model/norm.weight"])
def test_a_graph_from_elsewhere(tmp_path: Path, lost: str) -> None:
    path = tmp_path / "decoder.onnx"
    written(path, DENSE, "int4")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.replace(lost, "other")
    for node in model.graph.node:
        node.op_type = node.op_type.replace(lost, "Other")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ExportError, match="not a decoder as vl2-export writes it"):
        BundleDecoder(path).norm()


def move_values(path: Path, name: str, **entries: str | None) -> None:
    """Say that the values of a tensor lie elsewhere; None leaves a fact out."""
    model = onnx.load(path, load_external_data=False)
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    for key, value in entries.items():
        (entry,) = (e for e in tensor.external_data if e.key == key)
        if value is None:
            tensor.external_data.remove(entry)
        else:
            entry.value = value
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"location": "../secret.data"}, "lie at no place beside it"),
        ({"location": "/etc/passwd"}, "lie at no place beside it"),
        ({"location": "sub\\decoder.data"}, "lie at no place beside it"),
        ({"location": "C:decoder.data"}, "lie at no place beside it"),
        ({"location": ".."}, "lie at no place beside it"),
        ({"location": None}, "lie at no place beside it"),
        ({"location": "gone.data"}, r"are not in gone\.data \(No such file"),
        ({"location": "link.data"}, r"are in link\.data, which is a link or no file"),
        ({"location": "folder"}, "are in folder, which is a link or no file"),
        ({"offset": "-64"}, "lie at no place beside it"),
        ({"offset": "1e3"}, "lie at no place beside it"),
        ({"offset": "\u0663"}, "lie at no place beside it"),
        ({"offset": None}, "lie at no place beside it"),
        ({"offset": "99999999999999999999"}, r"go beyond the end of decoder\.data"),
        ({"length": "99999999"}, r"go beyond the end of decoder\.data"),
        ({"length": "4"}, "not a decoder as vl2-export writes it"),
        ({"length": "0"}, "not a decoder as vl2-export writes it"),
        ({"length": None}, "lie at no place beside it"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_values_that_lie_elsewhere(
    tmp_path: Path, entries: dict[str, str | None], sentence: str
) -> None:
    folder = tmp_path / "bundle"
    (folder / "folder").mkdir(parents=True)
    path = folder / "decoder.onnx"
    written(path, DENSE, "int4")
    for secret in (tmp_path / "secret.data", folder / "target.data"):
        secret.write_bytes(bytes(1 << 16))
    (folder / "link.data").symlink_to(folder / "target.data")
    move_values(path, "/model/layers.1/mlp/up_proj.weight_codes", **entries)
    decoder = BundleDecoder(path)
    decoder.layer(0)
    with pytest.raises(ExportError, match=sentence) as caught:
        decoder.layer(1)
    assert "\n" not in str(caught.value)


def test_values_of_the_audio_graph_that_lie_elsewhere(tmp_path: Path) -> None:
    for name in ("audio.onnx", "audio.data"):
        shutil.copy(DEMO / name, tmp_path)
    scratch = tmp_path / "engines" / "scratch"
    scratch.mkdir(parents=True)
    model = onnx.load(tmp_path / "audio.onnx", load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.external_data)
    (tmp_path.parent / "secret").write_bytes(bytes(1 << 20))
    move_values(tmp_path / "audio.onnx", tensor.name, location="../secret")
    with pytest.raises(ExportError, match="lie at no place beside it"):
        write_plain_attention(tmp_path / "audio.onnx", scratch / "audio.onnx")
    assert not list((tmp_path / "engines").glob("secret"))
    (tmp_path / "audio.onnx").write_bytes(b"\xff no graph")
    with pytest.raises(ExportError, match="not a graph as vl2-export writes it"):
        write_plain_attention(tmp_path / "audio.onnx", scratch / "audio.onnx")


def test_a_file_that_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "decoder.onnx").write_bytes(b"\xff no graph")
    with pytest.raises(ExportError, match="not a decoder as vl2-export writes it"):
        BundleDecoder(tmp_path / "decoder.onnx")
