"""Every graph form against the torch modules, with random weights and odd sizes."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from engines.backends.onnxruntime import open_session, runtime
from export.compare import logit_positions, run_decoder, run_tensorrt_decoder
from export.graph.audio import write_audio
from export.graph.builder import DataFile, Graph
from export.graph.decoder import ONNXRUNTIME, DecoderWriter, layer_weights
from export.graph.decoder_tensorrt import OPSET, TENSORRT
from export.graph.projector import write_projector
from export.graph.vision_tower import write_vision_tower
from export.reference.audio_tower import AudioTower, AudioTowerConfig, build_audio_projector
from export.reference.decoder import Decoder, DecoderConfig, DecoderLayer
from export.reference.projector import PROJECTOR_TYPES, ProjectorConfig, build_projector
from export.reference.vision_tower import VisionTower, VisionTowerConfig
from export.storage import store_back, taker
from tests.golden import relative_error

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
KEY_VALUE = ("key", "value")
LIMITS = {FLOAT: 1e-5, HALF: 1e-2}
DENSE = DecoderConfig(64, 96, 3, 4, 2, 16, 50, 64, 1e-5, 10000.0, qkv_bias=True)
WINDOWED = dataclasses.replace(DENSE, windows=(5, 5, 5))
ROUTED = dataclasses.replace(DENSE, qkv_bias=False, num_local_experts=4)
# Heads that GroupQueryAttention does not take: 12 wide (stored as 16), and 18 (as 32).
NARROW = dataclasses.replace(DENSE, hidden_size=48, num_attention_heads=4, head_dim=12)
UNEVEN = dataclasses.replace(WINDOWED, num_attention_heads=8, head_dim=18)


@pytest.fixture(autouse=True)
def repeatable():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def written(folder: Path, compute: int, write: Callable[[Graph], None]) -> Any:
    with DataFile(folder / "graph.data") as data:
        graph = Graph("graph", data, compute)
        write(graph)
    graph.save(folder / "graph.onnx")
    return open_session(folder / "graph.onnx", threads=1)


@pytest.mark.parametrize("compute", [FLOAT, HALF])
@pytest.mark.parametrize(
    ("kind", "act"), [("clip", "quick_gelu"), ("siglip", "gelu_pytorch_tanh"), ("clip", "gelu")]
)
def test_vision_tower(tmp_path: Path, kind: Any, act: Any, compute: int) -> None:
    # 31 pixels: the last 3 fill no patch of 7.
    tower = VisionTower(VisionTowerConfig(kind, 32, 48, 3, 2, 31, 7, 1e-5, act)).eval()
    session = written(tmp_path, compute, lambda g: write_vision_tower(g, tower))
    for frames in (1, 3):
        pixels = torch.randn(frames, 3, 31, 31)
        got = session.run({"pixel_values": pixels.numpy()})["vision_features"]
        assert relative_error(got, tower(pixels).numpy()) < LIMITS[compute]


@pytest.mark.parametrize("compute", [FLOAT, HALF])
@pytest.mark.parametrize("kind", PROJECTOR_TYPES)
def test_projectors(tmp_path: Path, kind: str, compute: int) -> None:
    width = 32 if kind.startswith("spatial") else 24
    projector = build_projector(ProjectorConfig(kind, width, 32, depth=2)).eval()
    session = written(tmp_path, compute, lambda g: write_projector(g, projector, kind, 5))
    for frames in (2, 5):
        features = torch.randn(frames, 25, width)
        got = session.run({"vision_features": features.numpy()})["visual_tokens"]
        assert relative_error(got, projector(features[None])[0].numpy()) < LIMITS[compute]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"conv_pos": 15, "conv_bias": True},
        {"gru_rel_pos": False, "deep_norm": False},
        {"relative_position_embedding": False},
        {"embed_dim": 32},
    ],
)
def test_audio_tower(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = dataclasses.replace(
        AudioTowerConfig(32, 24, False, 2, 32, 48, 4, True, 16, 4, True, 32, 20), **changes
    )
    tower, projector = AudioTower(config).eval(), build_audio_projector(32, 40).eval()
    for name, parameter in tower.named_parameters():
        if "relative" in name or "bias" in name:
            torch.nn.init.normal_(parameter)
    session = written(tmp_path, FLOAT, lambda g: write_audio(g, tower, projector))
    # 4 and 32 tokens in a batch of 2: inside and beyond the distance where the bias stops growing.
    for frames in (35, 270):
        fbank = torch.randn(2, frames, 128) * 4 + 8
        got = session.run({"fbank": fbank.numpy()})["audio_tokens"]
        assert relative_error(got, projector(tower(fbank)).numpy()) < 1e-5


def decoder_files(folder: Path, decoder: Decoder, scheme: Any, compute: int) -> dict[str, Path]:
    """Write both flavours; afterwards the torch decoder computes with the stored weights."""
    config = decoder.config
    paths = {name: folder / f"{name}.onnx" for name in ("ort", "exact", "tensorrt")}

    def take(name: str, module: torch.nn.Linear) -> Any:
        weight = taker(scheme, 16)(name, module)
        store_back(module, weight)
        return weight

    with DataFile(folder / "ort.data") as one, DataFile(folder / "tensorrt.data") as two:
        graphs = Graph("ort", one, compute), Graph("tensorrt", two, HALF, OPSET)
        forms = (ONNXRUNTIME, TENSORRT)
        writers = [DecoderWriter(g, config, f) for g, f in zip(graphs, forms, strict=True)]
        for i, layer in enumerate(decoder.model.layers):
            assert isinstance(layer, DecoderLayer)
            weights = layer_weights(layer, take)
            for writer in writers:
                writer.layer(i, weights)
        head = take("lm_head", decoder.lm_head)
        for writer in writers:
            writer.head(decoder.model.norm.weight, head)
    int4 = scheme == "int4"
    graphs[0].save(paths["ort"], 4 if int4 else None)
    graphs[0].save(paths["exact"], 0 if int4 else None)
    graphs[1].save(paths["tensorrt"])
    return paths


CONFIGS = {
    "dense": DENSE,
    "windowed": WINDOWED,
    "routed": ROUTED,
    "narrow": NARROW,
    "uneven": UNEVEN,
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize(("scheme", "compute"), [("fp32", FLOAT), ("fp16", HALF), ("int4", FLOAT)])
def test_decoder(tmp_path: Path, config: DecoderConfig, scheme: str, compute: int) -> None:
    decoder = Decoder(config).eval()
    paths = decoder_files(tmp_path, decoder, scheme, compute)
    embeds = torch.randn(1, 21, config.hidden_size)
    wanted = decoder(embeds)[0].numpy()
    # Two chunks and four single tokens through one buffer, which holds each key in its place.
    got, at = run_decoder(paths["exact"], config, embeds.numpy()), logit_positions(21)
    assert at == [10, 16, 17, 18, 19, 20]
    assert relative_error(got, wanted[at]) < LIMITS[compute]
    got = run_tensorrt_decoder(paths["tensorrt"], config, embeds.numpy())
    assert relative_error(got, wanted[at]) < LIMITS[HALF]
    if scheme == "int4":
        fast = run_decoder(paths["ort"], config, embeds.numpy())
        assert 1e-4 < relative_error(fast, wanted[at]) < 0.5


def test_wanted_logits_are_the_last_ones(tmp_path: Path) -> None:
    decoder = Decoder(DENSE).eval()
    session = open_session(decoder_files(tmp_path, decoder, "fp32", FLOAT)["ort"], threads=1)
    embeds = torch.randn(1, 6, 64)
    cache = {
        name: np.zeros((1, 2, 8, 16), np.float32)
        for name in session.inputs
        if name.startswith("past")
    }
    feeds = {
        "inputs_embeds": embeds.numpy(),
        "seqlens_k": np.array([5], np.int32),
        "total_sequence_length": np.array(6, np.int32),
    }
    for count in (1, 3, 6):
        logits = session.run({**feeds, **cache, "logits_to_keep": np.array(count)})["logits"]
        assert relative_error(logits[0], decoder(embeds)[0, -count:].numpy()) < 1e-5


def test_routed_experts_compute_nothing_for_tokens_sent_elsewhere(tmp_path: Path) -> None:
    config = dataclasses.replace(ROUTED, num_hidden_layers=1, num_experts_per_tok=1)
    decoder = Decoder(config).eval()
    moe = decoder.model.layers[0].block_sparse_moe  # type: ignore[union-attr]
    moe.gate.weight.zero_()
    moe.gate.weight[2] = 1e-3
    for e in (0, 1, 3):
        # Were they asked, they would spoil everything: 0 * NaN is NaN.
        moe.experts[e].w1.weight.fill_(float("nan"))
    embeds = torch.rand(1, 6, 64) + 1
    paths = decoder_files(tmp_path, decoder, "fp32", FLOAT)
    got = run_decoder(paths["ort"], config, embeds.numpy())
    assert np.isfinite(got).all()
    assert relative_error(got, decoder(embeds)[0, logit_positions(6)].numpy()) < 1e-5


@pytest.mark.parametrize(("scheme", "compute"), [("fp32", FLOAT), ("fp16", HALF), ("int4", FLOAT)])
def test_one_token_is_multiplied_by_the_chosen_experts_alone(
    tmp_path: Path, scheme: str, compute: int
) -> None:
    config = dataclasses.replace(ROUTED, num_hidden_layers=1)
    path = decoder_files(tmp_path, Decoder(config).eval(), scheme, compute)["ort"]
    options = runtime().SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
    native = runtime().InferenceSession(path, options, providers=["CPUExecutionProvider"])
    dtype = np.float16 if compute == HALF else np.float32
    cache = {f"past_key_values.0.{part}": np.zeros((1, 2, 8, 16), dtype) for part in KEY_VALUE}
    lengths = {"seqlens_k": np.zeros(1, np.int32), "total_sequence_length": np.array(1, np.int32)}
    embeds = {"inputs_embeds": np.random.default_rng(0).random((1, 1, 64), np.float32)}
    native.run(None, {**embeds, **lengths, **cache, "logits_to_keep": np.array(1)})
    rows: dict[str, list[int]] = {}
    for event in json.loads(Path(native.end_profiling()).read_text(encoding="utf-8")):
        product = re.search(r"/experts\.(\d+)/w[123]/MatMul\w*_kernel_time", event["name"])
        if product:
            (shape,) = event["args"]["input_type_shape"][0].values()
            rows.setdefault(product[1], []).append(shape[0])
    # Every expert has its three products; those of two have a row, those of the others none.
    assert sorted(rows.values()) == [[0, 0, 0], [0, 0, 0], [1, 1, 1], [1, 1, 1]]


def test_routed_experts_are_added_up_without_a_race(tmp_path: Path) -> None:
    # ONNX Runtime's ScatterND adds from several threads at a time: at Mixtral's width, 2 of 100
    # prompts came out wrong.
    decoder = Decoder(dataclasses.replace(ROUTED, num_hidden_layers=1)).eval()
    path = decoder_files(tmp_path, decoder, "int4", FLOAT)["ort"]
    operators = {node.op_type for node in onnx.load(path, load_external_data=False).graph.node}
    assert "ReduceSum" in operators
    assert not [name for name in operators if name.startswith("Scatter")]


def test_half_precision_where_values_leave_its_range(tmp_path: Path) -> None:
    # Qwen2 has biases of some hundreds on its keys and single channels that grow: float16 ends at
    # 65504, and neither scores before their scale nor the inputs of down_proj may end there.
    decoder = Decoder(DENSE).eval()
    layer = decoder.model.layers[0]
    assert isinstance(layer, DecoderLayer)
    for module, size in ((layer.self_attn.k_proj, 600.0), (layer.self_attn.q_proj, 20.0)):
        module.bias.copy_(torch.randn(len(module.bias)).sign() * size)
    layer.mlp.gate_proj.weight[3] *= 1000
    layer.mlp.up_proj.weight[3] *= 1000
    layer.mlp.down_proj.weight[:, 3] /= 1e6
    inner: list[float] = []
    layer.mlp.down_proj.register_forward_pre_hook(
        lambda _, inputs: inner.append(float(inputs[0].abs().max()))
    )
    embeds = torch.randn(1, 9, 64)
    wanted = decoder(embeds)[0, logit_positions(9)].numpy()
    assert inner[0] > 65504
    path = decoder_files(tmp_path, decoder, "fp16", HALF)["ort"]
    assert relative_error(run_decoder(path, DENSE, embeds.numpy()), wanted) < 0.1
