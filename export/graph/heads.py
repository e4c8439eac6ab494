"""Attention heads as wide as the runtime takes them, and the cache and positions that go with them.

A head that is not a multiple of 16 wide, as no published model has one, is filled up with zeros:
they add nothing to a score and nothing to a sum of values.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from export.graph.builder import Graph, Shape
from export.graph.layers import reshape
from export.reference.decoder import DecoderConfig, rotary

# GroupQueryAttention with rotary positions takes heads of a multiple of this width alone.
HEAD_STEP = 16


def graph_head_dim(config: DecoderConfig) -> int:
    """Return the width of a head in attention and cache: the model's, or the next that is taken."""
    return -(-config.head_dim // HEAD_STEP) * HEAD_STEP


def declare_cache(g: Graph, config: DecoderConfig) -> None:
    """Declare past and present of every layer."""
    cache: Shape = [1, config.num_key_value_heads, "C", graph_head_dim(config)]
    for i in range(config.num_hidden_layers):
        for part in ("key", "value"):
            g.input(f"past_key_values.{i}.{part}", g.compute, cache)
            g.output(f"present.{i}.{part}", g.compute, cache)


def rotary_tables(config: DecoderConfig) -> tuple[Tensor, Tensor]:
    """Return cosines and sines (positions, width / 2) of `graph_head_dim`, for one half of a head.

    The other half turns by the same angles; columns that only fill up are all zero.
    """
    half = config.head_dim // 2
    filling = (0, graph_head_dim(config) // 2 - half)
    cos, sin = rotary(config, torch.arange(config.max_position_embeddings))
    return F.pad(cos[:, :half], filling), F.pad(sin[:, :half], filling)


def widened(g: Graph, config: DecoderConfig, path: str, x: str) -> str:
    """Write heads (1, L, n * head_dim) of queries, keys or values as `graph_head_dim` wide ones.

    Position turns pairs (k, k + width / 2), so each half of a head is filled up with zeros. That
    is done to the activations: to fill up weights would cut int4's groups anew.
    """
    half, wide = config.head_dim // 2, graph_head_dim(config) // 2
    if half == wide:
        return x
    x = reshape(g, f"{path}/halves", x, 0, 0, -1, half)
    amount = g.constant(f"{path}/filling", np.asarray([0] * 7 + [wide - half], np.int64))
    x = g.node("Pad", [x, amount], path)
    return reshape(g, f"{path}/widened", x, 0, 0, -1)


def narrowed(g: Graph, config: DecoderConfig, path: str, x: str) -> str:
    """Undo `widened`."""
    half, wide = config.head_dim // 2, graph_head_dim(config) // 2
    if half == wide:
        return x
    x = reshape(g, f"{path}/wide_halves", x, 0, 0, -1, wide)
    bounds = [
        g.constant(f"{path}/narrowed/{name}", np.asarray([value], np.int64))
        for name, value in (("start", 0), ("end", half), ("axis", 3))
    ]
    x = g.node("Slice", [x, *bounds], path)
    return reshape(g, f"{path}/narrowed", x, 0, 0, config.num_attention_heads * config.head_dim)
