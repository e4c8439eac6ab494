"""BEATs and its projector as a graph: fbank (B, F, 128) to audio_tokens (B, A, H).

The relative bias depends on the distance of two tokens alone and stops changing at `max_distance`,
so its buckets are looked up here once and the graph only gathers by clipped distance; any length
of sound fits.
"""

import numpy as np
import torch
from onnx import TensorProto

from export.graph.builder import Array, Graph
from export.graph.layers import (
    LinearWeight,
    dense,
    gelu,
    layer_norm,
    linear,
    numpy,
    reshape,
    transpose,
)
from export.reference.audio_tower import (
    FBANK_MEAN,
    FBANK_STD,
    AudioTower,
    Encoder,
    EncoderLayer,
    PositionConvolution,
    SelfAttention,
    relative_buckets,
)

MEL_BINS = 128


def write_audio(g: Graph, tower: AudioTower, projector: torch.nn.Sequential) -> None:
    """Write tower and projector; batch and number of filter bank frames are free."""
    fbank = g.input("fbank", TensorProto.FLOAT, ["B", "F", MEL_BINS])
    x = _embed(g, fbank, tower)
    x = _positions(g, "/encoder/pos_conv", x, tower.encoder)
    x = layer_norm(g, "/encoder/layer_norm", x, tower.encoder.layer_norm)
    bias = _relative_bias(g, "/encoder/relative_bias", x, tower.encoder)
    for i, layer in enumerate(tower.encoder.layers):
        assert isinstance(layer, EncoderLayer)
        x = _layer(g, f"/encoder/layers.{i}", x, bias, layer)
    first, last = projector[0], projector[2]
    assert isinstance(first, torch.nn.Linear)
    assert isinstance(last, torch.nn.Linear)
    x = linear(g, "/projector/0", g.to_compute(x, "/projector"), dense(first))
    x = linear(g, "/projector/2", gelu(g, "/projector", x), dense(last))
    g.node("Cast", [x], "/projector", to=TensorProto.FLOAT, outputs=["audio_tokens"])
    g.output("audio_tokens", TensorProto.FLOAT, ["B", "A", last.out_features])


def _embed(g: Graph, fbank: str, tower: AudioTower) -> str:
    """Write patches: (B, F, 128) to (B, A, C), frequency innermost."""
    path, config, conv = "/patch_embedding", tower.config, tower.patch_embedding
    mean = g.constant("/fbank/mean", np.asarray(FBANK_MEAN, np.float32))
    spread = g.constant("/fbank/spread", np.asarray(2 * FBANK_STD, np.float32))
    x = g.node("Div", [g.node("Sub", [fbank, mean], "/fbank"), spread], "/fbank")
    axis = g.constant(f"{path}/axis", np.asarray([1], np.int64))
    inputs = [g.to_compute(g.node("Unsqueeze", [x, axis], path), path)]
    inputs.append(g.matrix(f"{path}.weight", numpy(conv.weight)))
    if conv.bias is not None:
        inputs.append(g.matrix(f"{path}.bias", numpy(conv.bias)))
    patch = [config.input_patch_size] * 2
    x = g.node("Conv", inputs, path, kernel_shape=patch, strides=patch)
    x = g.to_float(transpose(g, path, x, 0, 2, 3, 1), path)
    x = reshape(g, path, x, 0, -1, config.embed_dim)
    x = layer_norm(g, "/layer_norm", x, tower.layer_norm)
    if tower.post_extract_proj is not None:
        path = "/post_extract_proj"
        x = linear(g, path, g.to_compute(x, path), dense(tower.post_extract_proj))
        x = g.to_float(x, path)
    return x


def _positions(g: Graph, path: str, x: str, encoder: Encoder) -> str:
    conv = encoder.pos_conv[0]
    assert isinstance(conv, PositionConvolution)
    inputs = [
        g.to_compute(transpose(g, f"{path}/in", x, 0, 2, 1), path),
        g.matrix(f"{path}.weight", numpy(conv.weight())),
        g.matrix(f"{path}.bias", numpy(conv.bias)),
    ]
    # An even kernel padded on both sides gives one output too many, the last; it is never made.
    half = conv.kernel // 2
    pads = [half, half - 1 if conv.kernel % 2 == 0 else half]
    y = g.node("Conv", inputs, path, kernel_shape=[conv.kernel], pads=pads, group=conv.groups)
    y = transpose(g, f"{path}/out", g.to_float(gelu(g, path, y), path), 0, 2, 1)
    return g.node("Add", [x, y], path)


def _relative_bias(g: Graph, path: str, x: str, encoder: Encoder) -> str | None:
    """Write the bias (heads, A, A) for the length of x (B, A, C)."""
    config = encoder.config
    if not config.relative_position_embedding:
        return None
    far = config.max_distance

    def number(name: str, value: int) -> str:
        return g.constant(f"{path}/{name}", np.asarray(value, np.int64))

    table = g.weight(f"{path}.table", _bias_by_distance(encoder))
    size = g.node("Shape", [x], path, start=1, end=2)
    size = g.node("Squeeze", [size], path)
    steps = g.node("Range", [number("zero", 0), size, number("one", 1)], path)
    column = reshape(g, f"{path}/column", steps, -1, 1)
    distance = g.node("Sub", [steps, column], path)  # (i, j): j - i
    distance = g.node("Max", [distance, number("least", -far)], path)
    distance = g.node("Min", [distance, number("most", far)], path)
    index = g.node("Add", [distance, number("far", far)], path)
    return g.node("Gather", [table, index], path, axis=1)


def _bias_by_distance(encoder: Encoder) -> Array:
    """Return (heads, 2 * max_distance + 1): the bias of distances -max_distance and up."""
    config = encoder.config
    far = config.max_distance
    buckets = relative_buckets(far + 1, config.num_buckets, far)
    # The first column holds the keys to the left, the first row those to the right.
    line = torch.cat([buckets[:, 0].flip(0), buckets[0, 1:]])
    first = encoder.layers[0]
    assert isinstance(first, EncoderLayer)
    return numpy(first.self_attn.relative_attention_bias(line).T.contiguous())


def _layer(g: Graph, path: str, x: str, bias: str | None, layer: EncoderLayer) -> str:
    alpha = g.constant(f"{path}/alpha", np.asarray(layer.alpha, np.float32))
    y = _attention(g, f"{path}/self_attn", x, bias, layer.self_attn)
    x = g.node("Mul", [x, alpha], f"{path}/self_attn/residual")
    x = g.node("Add", [x, y], f"{path}/self_attn/residual")
    x = layer_norm(g, f"{path}/self_attn_layer_norm", x, layer.self_attn_layer_norm)
    y = linear(g, f"{path}/fc1", g.to_compute(x, f"{path}/fc1"), dense(layer.fc1))
    y = linear(g, f"{path}/fc2", gelu(g, path, y), dense(layer.fc2))
    x = g.node("Mul", [x, alpha], f"{path}/residual")
    x = g.node("Add", [x, g.to_float(y, f"{path}/fc2")], f"{path}/residual")
    return layer_norm(g, f"{path}/final_layer_norm", x, layer.final_layer_norm)


def _attention(g: Graph, path: str, x: str, bias: str | None, layer: SelfAttention) -> str:
    """Write attention; scores are float32 in every bundle, their bias would not suit float16."""
    y = g.to_compute(x, path)
    qkv = [
        g.to_float(linear(g, f"{path}/{name}", y, dense(getattr(layer, name))), f"{path}/{name}")
        for name in ("q_proj", "k_proj", "v_proj")
    ]
    if bias is not None:
        qkv.append(_gated(g, f"{path}/gate", qkv[0], bias, layer) if layer.gated else bias)
    y = g.node("Attention", qkv, path, q_num_heads=layer.heads, kv_num_heads=layer.heads)
    y = linear(g, f"{path}/out_proj", g.to_compute(y, f"{path}/out"), dense(layer.out_proj))
    return g.to_float(y, f"{path}/out")


def _gated(g: Graph, path: str, q: str, bias: str, layer: SelfAttention) -> str:
    """Write gate * bias (B, heads, A, A) from queries (B, A, C)."""
    heads = layer.heads
    rows = layer.grep_linear.weight  # (8, d): the sum of the first four outputs, of the last four
    summed = LinearWeight(
        rows.unflatten(0, (2, 4)).sum(1), layer.grep_linear.bias.unflatten(0, (2, 4)).sum(1)
    )
    u = reshape(g, f"{path}/heads", q, 0, 0, heads, rows.shape[1])
    u = linear(g, f"{path}/grep_linear", g.to_compute(u, path), summed)
    u = transpose(g, path, g.node("Sigmoid", [g.to_float(u, path)], path), 0, 2, 1, 3)
    a, b = g.nodes("Split", [u], path, 2, axis=-1, num_outputs=2)
    grep_a = g.constant(f"{path}/grep_a", numpy(layer.grep_a))
    one = g.constant(f"{path}/one", np.asarray(1.0, np.float32))
    two = g.constant(f"{path}/two", np.asarray(2.0, np.float32))
    gate = g.node("Sub", [g.node("Mul", [b, grep_a], f"{path}/b"), one], path)
    gate = g.node("Add", [g.node("Mul", [a, gate], f"{path}/a"), two], path)
    return g.node("Mul", [gate, bias], path)
