"""The decoder in standard operators alone, the form that TensorRT for RTX compiles.

Int4 weights are DequantizeLinear over the input axis, the cache a fixed buffer that TensorScatter
writes, and which keys count is a boolean mask: the parser drops a cache length in silence, and
takes no GroupQueryAttention or MatMulNBits. Written from the same integers as the other form.
"""

import dataclasses
from functools import partial

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor

from export.graph.builder import Graph
from export.graph.decoder import FeedForwardWeights, Form, feed_forward
from export.graph.heads import declare_cache, graph_head_dim, narrowed, rotary_tables, widened
from export.graph.layers import linear_dequantised, numpy, reshape, transpose
from export.reference.decoder import DecoderConfig

# Attention and TensorScatter with a cache came with this version of the operator set.
OPSET = 24


def _declare(g: Graph, config: DecoderConfig, tables: tuple[Tensor, Tensor] | None = None) -> None:
    g.input("position_ids", TensorProto.INT64, [1, "L"])
    g.input("write_indices", TensorProto.INT64, [1])
    # True where a query may see a cache slot; a sliding window is the caller's to draw.
    g.input("attention_mask", TensorProto.BOOL, [1, 1, "L", "C"])
    declare_cache(g, config)
    axis = g.constant("/rotary/axis", np.asarray([1], np.int64))
    for name, table in zip(("cos", "sin"), tables or rotary_tables(config), strict=True):
        rows = g.weight(f"/rotary/{name}_table", numpy(torch.cat([table, table], dim=-1)))
        rows = g.node("Gather", [rows, "position_ids"], f"/rotary/{name}", axis=0)
        g.node("Unsqueeze", [rows, axis], f"/rotary/{name}", outputs=[f"/rotary/{name}"])


def _attend(g: Graph, config: DecoderConfig, index: int, qkv: list[str]) -> str:
    path = f"/model/layers.{index}/self_attn"
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    counts, width = (heads, kv_heads, kv_heads), graph_head_dim(config)
    qkv = [widened(g, config, f"{path}/{n}", x) for n, x in zip("qkv", qkv, strict=True)]
    q, k, v = (
        transpose(g, p, reshape(g, p, x, 0, 0, n, width), 0, 2, 1, 3)
        for p, x, n in zip((f"{path}/q", f"{path}/k", f"{path}/v"), qkv, counts, strict=True)
    )
    q, k = _rotated(g, f"{path}/q", q), _rotated(g, f"{path}/k", k)
    cache = [
        g.node(
            "TensorScatter",
            [f"past_key_values.{index}.{part}", new, "write_indices"],
            f"{path}/{part}",
            outputs=[f"present.{index}.{part}"],
            axis=2,
        )
        for part, new in (("key", k), ("value", v))
    ]
    y = g.node("Attention", [q, *cache, "attention_mask"], path, scale=config.head_dim**-0.5)
    y = transpose(g, f"{path}/out", y, 0, 2, 1, 3)
    return narrowed(g, config, path, reshape(g, f"{path}/out", y, 0, 0, heads * width))


def _rotated(g: Graph, path: str, x: str) -> str:
    """Write the rotation of (1, heads, L, d) by position, in float32."""
    x = g.to_float(x, path)
    first, second = g.nodes("Split", [x], path, 2, axis=-1, num_outputs=2)
    turned = g.node("Concat", [g.node("Neg", [second], path), first], path, axis=-1)
    x = g.node("Mul", [x, "/rotary/cos"], f"{path}/cos")
    turned = g.node("Mul", [turned, "/rotary/sin"], f"{path}/sin")
    return g.to_compute(g.node("Add", [x, turned], path), f"{path}/rotated")


def _dense_experts(
    g: Graph,
    config: DecoderConfig,
    path: str,
    x: str,
    experts: tuple[FeedForwardWeights, ...],
    routing: list[str],
) -> str:
    """Write experts that all compute every token: the compiler wants shapes that data don't set."""
    best, chosen = routing
    zero = g.constant(f"{path}/zero", np.asarray(0.0, np.float32))
    last = g.constant(f"{path}/last_axis", np.asarray([-1], np.int64))
    tokens, out = g.to_compute(x, path), ""
    for e, expert in enumerate(experts):
        name = f"{path}/experts.{e}"
        number = g.constant(f"{name}/number", np.asarray(e, np.int64))
        hits = g.node("Equal", [chosen, number], name)
        share = g.node("ReduceSum", [g.node("Where", [hits, best, zero], name), last], name)
        y = g.to_float(feed_forward(g, name, tokens, expert, linear_dequantised), name)
        y = g.node("Mul", [y, share], f"{name}/weighted")
        out = g.node("Add", [out, y], f"{name}/sum") if out else y
    return out


def _keep(g: Graph, x: str) -> str:
    """Write the last position of (1, L, H)."""
    bounds = [
        g.constant(f"/model/keep/{name}", np.asarray([value], np.int64))
        for name, value in (("start", -1), ("end", 2**31), ("axis", 1))
    ]
    return g.node("Slice", [x, *bounds], "/model/keep")


TENSORRT = Form(_declare, linear_dequantised, _attend, _dense_experts, _keep)


def with_tables(cos: Tensor, sin: Tensor) -> Form:
    """Return the form for positions that turn by given tables, as `rotary_tables` makes them."""
    return dataclasses.replace(TENSORRT, declare=partial(_declare, tables=(cos, sin)))
