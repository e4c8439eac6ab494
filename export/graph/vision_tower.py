"""The image tower as a graph: pixel_values (T, 3, S, S) to vision_features (T, N, D)."""

import numpy as np
from onnx import TensorProto

from export.graph.builder import Graph
from export.graph.layers import dense, gelu, layer_norm, linear, numpy, reshape, transpose
from export.reference.vision_tower import EncoderLayer, VisionTower


def write_vision_tower(g: Graph, tower: VisionTower) -> None:
    """Write the tower; the number of frames T is free."""
    config = tower.config
    size, width = config.image_size, config.hidden_size
    pixels = g.input("pixel_values", TensorProto.FLOAT, ["T", 3, size, size])
    x = _embed(g, pixels, tower)
    if config.kind == "clip":
        x = layer_norm(g, "/pre_layrnorm", x, tower.pre_layrnorm)
    for i, layer in enumerate(tower.encoder.layers):
        assert isinstance(layer, EncoderLayer)
        x = _layer(g, f"/encoder/layers.{i}", x, layer, config.hidden_act)
    if config.kind == "clip":
        bounds = [
            g.constant(f"/features/{name}", np.asarray([value], np.int64))
            for name, value in (("starts", 1), ("ends", 2**31), ("axes", 1))
        ]
        g.node("Slice", [x, *bounds], "/features", outputs=["vision_features"])
    else:
        g.node("Identity", [x], "/features", outputs=["vision_features"])
    g.output("vision_features", TensorProto.FLOAT, ["T", config.num_patches, width])


def _embed(g: Graph, pixels: str, tower: VisionTower) -> str:
    """Write patches and positions: (T, 3, S, S) to (T, N [+ 1], D), float32."""
    path, config, embeddings = "/embeddings", tower.config, tower.embeddings
    conv = embeddings.patch_embedding
    inputs = [g.to_compute(pixels, path)]
    inputs.append(g.matrix(f"{path}/patch_embedding.weight", numpy(conv.weight)))
    if conv.bias is not None:
        inputs.append(g.matrix(f"{path}/patch_embedding.bias", numpy(conv.bias)))
    patch = config.patch_size
    x = g.node(
        "Conv", inputs, f"{path}/patch_embedding", kernel_shape=[patch] * 2, strides=[patch] * 2
    )
    x = reshape(g, f"{path}/flat", x, 0, config.hidden_size, -1)
    x = g.to_float(transpose(g, f"{path}/tokens", x, 0, 2, 1), path)
    offsets = numpy(embeddings.position_embedding.weight).copy()
    if embeddings.class_embedding is not None:
        # One zero row in front; the class token is added to it together with its position.
        offsets[0] += numpy(embeddings.class_embedding)
        pads = g.constant(f"{path}/pads", np.asarray([0, 1, 0, 0, 0, 0], np.int64))
        x = g.node("Pad", [x, pads], path)
    return g.node("Add", [x, g.weight(f"{path}/offsets", offsets[None])], path)


def _layer(g: Graph, path: str, x: str, layer: EncoderLayer, act: str) -> str:
    attention = layer.self_attn
    y = g.to_compute(layer_norm(g, f"{path}/layer_norm1", x, layer.layer_norm1), f"{path}/attn")
    qkv = [
        linear(g, f"{path}/self_attn/{name}", y, dense(getattr(attention, name)))
        for name in ("q_proj", "k_proj", "v_proj")
    ]
    heads = attention.heads
    y = g.node("Attention", qkv, f"{path}/self_attn", q_num_heads=heads, kv_num_heads=heads)
    y = linear(g, f"{path}/self_attn/out_proj", y, dense(attention.out_proj))
    x = g.node("Add", [x, g.to_float(y, f"{path}/self_attn")], f"{path}/self_attn")
    y = g.to_compute(layer_norm(g, f"{path}/layer_norm2", x, layer.layer_norm2), f"{path}/mlp")
    y = gelu(g, f"{path}/mlp", linear(g, f"{path}/mlp/fc1", y, dense(layer.mlp.fc1)), act)
    y = linear(g, f"{path}/mlp/fc2", y, dense(layer.mlp.fc2))
    return g.node("Add", [x, g.to_float(y, f"{path}/mlp")], f"{path}/mlp")
