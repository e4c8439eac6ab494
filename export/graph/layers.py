"""Pieces that several graphs share: linear layers in every storage, norms, activations."""

from dataclasses import dataclass

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor, nn

from export.graph.builder import MICROSOFT, Array, Graph
from quant.grid import Quantised
from quant.pack import to_dequantize_linear, to_matmul_nbits, zeros_to_matmul_nbits


@dataclass(frozen=True)
class LinearWeight:
    """A linear layer: weight (N, K), dense or on a grid, and an optional bias (N,)."""

    weight: Tensor | Quantised
    bias: Tensor | None = None


def numpy(tensor: Tensor) -> Array:
    """Return a tensor's values, float32, without its history."""
    return tensor.detach().float().numpy()


def dense(module: nn.Linear) -> LinearWeight:
    """Take a linear layer's weight as it is."""
    return LinearWeight(module.weight, module.bias)


def linear(g: Graph, path: str, x: str, layer: LinearWeight) -> str:
    """Multiply `x` (…, K), of the graph's compute type, by a layer: (…, N) of the same type."""
    if isinstance(layer.weight, Quantised):
        return _matmul_nbits(g, path, x, layer.weight, layer.bias)
    y = g.node("MatMul", [x, _dense_weight(g, path, layer.weight)], path)
    return _biased(g, path, y, layer.bias)


def _dense_weight(g: Graph, path: str, weight: Tensor) -> str:
    """Write a matrix in the compute type, or in 16 bits where that is what it holds."""
    if weight.dtype != torch.float16 or g.compute == TensorProto.FLOAT16:
        return g.matrix(f"{path}.weight", numpy(weight).T)
    half = g.weight(f"{path}.weight", np.ascontiguousarray(weight.detach().numpy().T))
    return g.node("Cast", [half], f"{path}/weight", to=g.compute)


def linear_dequantised(g: Graph, path: str, x: str, layer: LinearWeight) -> str:
    """Do as `linear`, but in standard operators: DequantizeLinear over the input axis, MatMul."""
    if not isinstance(layer.weight, Quantised):
        return linear(g, path, x, layer)
    q = layer.weight
    assert q.plain, "the plan refuses what this form cannot hold"
    rows, columns = q.codes.shape
    element = TensorProto.INT4 if q.bits == 4 else TensorProto.INT8
    data = to_dequantize_linear(q.codes.numpy(), q.bits)
    codes = g.raw_weight(f"{path}.weight_codes", data, element, (columns, rows))
    scales = g.matrix(f"{path}.weight_scales", numpy(q.scales).T)
    weight = g.node("DequantizeLinear", [codes, scales], path, axis=0, block_size=q.group)
    return _biased(g, path, g.node("MatMul", [x, weight], path), layer.bias)


def _matmul_nbits(g: Graph, path: str, x: str, q: Quantised, bias: Tensor | None) -> str:
    rows, columns = q.codes.shape
    if q.order is not None:
        # The kernel's own reordering goes wrong together with zero points.
        order = g.weight(f"{path}.weight_order", q.order.numpy().astype(np.int64))
        x = g.node("Gather", [x, order], f"{path}/sorted", axis=-1)
    zeros = "" if q.zeros is None else zeros_to_matmul_nbits(q.zeros.numpy(), q.bits)
    inputs = [
        x,
        g.weight(f"{path}.weight_codes", to_matmul_nbits(q.codes.numpy(), q.group, q.bits)),
        g.matrix(f"{path}.weight_scales", numpy(q.scales)),
        zeros if isinstance(zeros, str) else g.weight(f"{path}.weight_zeros", zeros),
        "",
        "" if bias is None else g.matrix(f"{path}.bias", numpy(bias)),
    ]
    while not inputs[-1]:
        inputs.pop()
    return g.node(
        "MatMulNBits",
        inputs,
        path,
        domain=MICROSOFT,
        K=columns,
        N=rows,
        bits=q.bits,
        block_size=q.group,
    )


def _biased(g: Graph, path: str, y: str, bias: Tensor | None) -> str:
    if bias is None:
        return y
    return g.node("Add", [y, g.matrix(f"{path}.bias", numpy(bias))], path)


def layer_norm(g: Graph, path: str, x: str, module: nn.LayerNorm) -> str:
    """Normalise the last axis of a float32 value."""
    scale = g.weight(f"{path}.weight", numpy(module.weight))
    bias = g.weight(f"{path}.bias", numpy(module.bias))
    return g.node("LayerNormalization", [x, scale, bias], path, epsilon=module.eps)


def rms_norm(g: Graph, path: str, x: str, weight: Tensor, eps: float) -> str:
    """Normalise the last axis of a float32 value by its root mean square."""
    scale = g.weight(f"{path}.weight", numpy(weight))
    return g.node("RMSNormalization", [x, scale], path, epsilon=eps)


def silu(g: Graph, path: str, x: str) -> str:
    """Compute x * sigmoid(x)."""
    return g.node("Mul", [x, g.node("Sigmoid", [x], path)], f"{path}/silu")


def gelu(g: Graph, path: str, x: str, name: str = "gelu") -> str:
    """Compute a GELU by its configuration name: gelu, gelu_pytorch_tanh or quick_gelu."""
    if name == "quick_gelu":
        dtype = np.float16 if g.compute == TensorProto.FLOAT16 else np.float32
        slope = g.constant(f"{path}/quick_gelu/slope", np.asarray(1.702, dtype))
        gate = g.node("Sigmoid", [g.node("Mul", [x, slope], f"{path}/quick_gelu/gate")], path)
        return g.node("Mul", [x, gate], f"{path}/quick_gelu")
    approximate = "tanh" if name == "gelu_pytorch_tanh" else "none"
    return g.node("Gelu", [x], path, approximate=approximate)


def shape(g: Graph, path: str, *sizes: int) -> str:
    """Add the target of a Reshape: 0 copies an axis, -1 takes the rest."""
    return g.constant(f"{path}/shape", np.asarray(sizes, np.int64))


def reshape(g: Graph, path: str, x: str, *sizes: int) -> str:
    """Reshape: 0 copies an axis, -1 takes the rest."""
    return g.node("Reshape", [x, shape(g, path, *sizes)], path)


def transpose(g: Graph, path: str, x: str, *order: int) -> str:
    """Reorder axes."""
    return g.node("Transpose", [x], path, perm=list(order))
