"""The connector as a graph: vision_features (T, N, D) to visual_tokens (V, H).

Pixels stay in token order (T, h*w, C), where a 1x1 convolution is a matrix product and the norm
needs no transpose; only the depthwise 3x3 and the space-time sampling go through channel-first.
"""

import numpy as np
from onnx import TensorProto
from torch import nn

from export.graph.builder import Graph
from export.graph.layers import (
    LinearWeight,
    dense,
    gelu,
    layer_norm,
    linear,
    numpy,
    reshape,
    silu,
    transpose,
)
from export.reference.projector import (
    SAMPLERS,
    Bottleneck,
    ConvNorm,
    SpaceTimeConnector,
    SqueezeExcite,
    token_grid,
)


def write_projector(g: Graph, projector: nn.Module, kind: str, grid: int) -> None:
    """Write a connector.

    Args:
        g: The graph.
        projector: As `build_projector` made it.
        kind: Its type, upstream's `mm_projector_type`.
        grid: Patches along one side of a frame.
    """
    if isinstance(projector, SpaceTimeConnector):
        last = projector.readout[-1]
        assert isinstance(last, nn.Linear)
        stage = projector.s1
        block = stage[0] if isinstance(stage, nn.Sequential) else None
        width = block.conv1.conv.in_channels if isinstance(block, Bottleneck) else last.in_features
        x = g.input("vision_features", TensorProto.FLOAT, ["T", grid * grid, int(width)])
        tokens: int | str = "V"
        _space_time(g, x, projector, kind, grid)
    else:
        layers: list[nn.Module] = (
            [projector] if isinstance(projector, nn.Linear) else list(projector.children())
        )
        first, last = layers[0], layers[-1]
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        x = g.input("vision_features", TensorProto.FLOAT, ["T", grid * grid, first.in_features])
        axes = g.constant("/mean/axes", np.asarray([0], np.int64))
        x = g.node("ReduceMean", [x, axes], "/mean", keepdims=0)
        # However many frames: declared as it is, or it would not be what the library finds.
        tokens = grid * grid
        _read_out(g, "/mlp", x, layers)
    g.output("visual_tokens", TensorProto.FLOAT, [tokens, last.out_features])


def _space_time(g: Graph, x: str, projector: SpaceTimeConnector, kind: str, grid: int) -> None:
    sampler = SAMPLERS[kind]
    _, height, width = token_grid(kind, 2, grid)
    first = projector.readout[0]
    assert isinstance(first, nn.Linear)
    channels = first.in_features
    x = _stage(g, "/s1", x, projector.s1, (grid, grid))
    x = reshape(g, "/sampler/clip", x, 1, -1, grid, grid, channels)
    x = g.to_compute(transpose(g, "/sampler/channels_first", x, 0, 4, 1, 2, 3), "/sampler")
    geometry = {"kernel_shape": list(sampler.kernel), "strides": list(sampler.kernel)}
    if sampler.pools:
        x = g.node("AveragePool", [x], "/sampler", **geometry)
    else:
        conv = projector.sampler[0]
        assert isinstance(conv, nn.Conv3d)
        assert conv.bias is not None
        inputs = [x, g.matrix("/sampler/0.weight", numpy(conv.weight))]
        inputs.append(g.matrix("/sampler/0.bias", numpy(conv.bias)))
        x = g.node("Conv", inputs, "/sampler", pads=[sampler.padding] * 6, **geometry)
    x = g.to_float(silu(g, "/sampler", x), "/sampler")
    x = transpose(g, "/sampler/channels_last", x, 0, 2, 3, 4, 1)
    x = reshape(g, "/sampler/frames", x, -1, height * width, channels)
    x = _stage(g, "/s2", x, projector.s2, (height, width))
    _read_out(g, "/readout", reshape(g, "/readout/tokens", x, -1, channels), projector.readout)


def _read_out(g: Graph, path: str, x: str, layers: nn.Sequential | list[nn.Module]) -> None:
    x = g.to_compute(x, path)
    for i, layer in enumerate(layers):
        if isinstance(layer, nn.Linear):
            x = linear(g, f"{path}/{i}", x, dense(layer))
        else:
            x = gelu(g, f"{path}/{i}", x)
    g.node("Cast", [x], path, to=TensorProto.FLOAT, outputs=["visual_tokens"])


def _stage(g: Graph, path: str, x: str, stage: nn.Module, size: tuple[int, int]) -> str:
    if isinstance(stage, nn.Identity):
        return x
    for name, block in stage.named_children():
        assert isinstance(block, Bottleneck)
        x = _bottleneck(g, f"{path}/{name}", x, block, size)
    return x


def _bottleneck(g: Graph, path: str, x: str, block: Bottleneck, size: tuple[int, int]) -> str:
    """Write one block on tokens (T, h*w, C), float32 in and out."""
    y = silu(g, f"{path}/conv1", _pointwise(g, f"{path}/conv1", x, block.conv1))
    y = silu(g, f"{path}/conv2", _depthwise(g, f"{path}/conv2", y, block.conv2, size))
    y = _squeeze_excite(g, f"{path}/se", y, block.se)
    y = _pointwise(g, f"{path}/conv3", y, block.conv3)
    if block.downsample is not None:
        x = _pointwise(g, f"{path}/downsample", x, block.downsample)
    return silu(g, path, g.node("Add", [x, y], path))


def _pointwise(g: Graph, path: str, x: str, layer: ConvNorm) -> str:
    weight = LinearWeight(layer.conv.weight.flatten(1))
    y = g.to_float(linear(g, f"{path}.conv", g.to_compute(x, path), weight), path)
    return layer_norm(g, f"{path}.bn", y, layer.bn)


def _depthwise(g: Graph, path: str, x: str, layer: ConvNorm, size: tuple[int, int]) -> str:
    channels = layer.conv.out_channels
    x = reshape(g, f"{path}/pixels", x, 0, *size, channels)
    x = g.to_compute(transpose(g, f"{path}/channels_first", x, 0, 3, 1, 2), path)
    weight = g.matrix(f"{path}.conv.weight", numpy(layer.conv.weight))
    y = g.node(
        "Conv", [x, weight], f"{path}.conv", kernel_shape=[3, 3], pads=[1] * 4, group=channels
    )
    y = transpose(g, f"{path}/channels_last", g.to_float(y, path), 0, 2, 3, 1)
    y = reshape(g, f"{path}/tokens", y, 0, size[0] * size[1], channels)
    return layer_norm(g, f"{path}.bn", y, layer.bn)


def _squeeze_excite(g: Graph, path: str, x: str, layer: SqueezeExcite) -> str:
    axes = g.constant(f"{path}/axes", np.asarray([1], np.int64))
    mean = g.to_compute(g.node("ReduceMean", [x, axes], path, keepdims=1), path)
    fc1 = LinearWeight(layer.fc1.weight.flatten(1), layer.fc1.bias)
    fc2 = LinearWeight(layer.fc2.weight.flatten(1), layer.fc2.bias)
    y = silu(g, f"{path}/fc1", linear(g, f"{path}/fc1", mean, fc1))
    y = g.to_float(linear(g, f"{path}/fc2", y, fc2), path)
    return g.node("Mul", [x, g.node("Sigmoid", [y], path)], path)
