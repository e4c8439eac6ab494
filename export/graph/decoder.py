"""The language decoder as a graph, written layer by layer, in the form ONNX Runtime runs fastest.

Attention is GroupQueryAttention with rotary positions inside and one buffer for past and present,
so the cache is written in place. `decoder_tensorrt` swaps the `Form` and keeps the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor

from export.graph.builder import MICROSOFT, Graph
from export.graph.heads import declare_cache, narrowed, rotary_tables, widened
from export.graph.layers import LinearWeight, linear, numpy, reshape, rms_norm, silu
from export.reference.decoder import DecoderConfig, DecoderLayer, Expert

MLP_NAMES = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class FeedForwardWeights:
    """A gated feed-forward: down(silu(gate(x)) * up(x)); an expert's w1, w3, w2."""

    gate: LinearWeight
    up: LinearWeight
    down: LinearWeight
    names: tuple[str, str, str] = MLP_NAMES


@dataclass(frozen=True)
class LayerWeights:
    """What one decoder layer holds, ready to be written; several graphs may share it."""

    input_layernorm: Tensor
    post_attention_layernorm: Tensor
    q_proj: LinearWeight
    k_proj: LinearWeight
    v_proj: LinearWeight
    o_proj: LinearWeight
    mlp: FeedForwardWeights | None
    router: Tensor | None = None  # (experts, H), Mixtral
    experts: tuple[FeedForwardWeights, ...] = ()


# What a linear layer is stored as, by its name within the decoder layer ("mlp.up_proj").
Take = Callable[[str, torch.nn.Linear], LinearWeight]
Linear = Callable[[Graph, str, str, LinearWeight], str]
# (graph, config, path, x float32, experts, [weights (1, L, k) float32, chosen (1, L, k) int64])
Experts = Callable[[Graph, DecoderConfig, str, str, tuple[FeedForwardWeights, ...], list[str]], str]


@dataclass(frozen=True)
class Form:
    """The parts in which the two flavours differ."""

    declare: Callable[[Graph, DecoderConfig], None]
    linear: Linear
    attend: Callable[[Graph, DecoderConfig, int, list[str]], str]
    experts: Experts
    keep: Callable[[Graph, str], str]  # hidden states (1, L, H) to those whose logits are wanted


def layer_weights(layer: DecoderLayer, take: Take) -> LayerWeights:
    """Take a layer's weights, each matrix but the router's through `take`, which may quantise.

    Experts that were not read (on torch's meta device) are left out.
    """
    attention = layer.self_attn
    moe = layer.block_sparse_moe if hasattr(layer, "block_sparse_moe") else None
    q, k, v, o = (
        take(f"self_attn.{name}", getattr(attention, name))
        for name in ("q_proj", "k_proj", "v_proj", "o_proj")
    )
    return LayerWeights(
        input_layernorm=layer.input_layernorm.weight,
        post_attention_layernorm=layer.post_attention_layernorm.weight,
        q_proj=q,
        k_proj=k,
        v_proj=v,
        o_proj=o,
        mlp=None if moe else feed_forward_weights("mlp", layer.mlp, take),
        router=moe.gate.weight if moe else None,
        experts=tuple(
            feed_forward_weights(expert_path(e), expert, take)
            for e, expert in enumerate(moe.experts if moe else ())
            if not next(expert.parameters()).is_meta
        ),
    )


def expert_path(number: int) -> str:
    """Return where an expert stands in its layer."""
    return f"block_sparse_moe.experts.{number}"


def feed_forward_weights(path: str, module: torch.nn.Module, take: Take) -> FeedForwardWeights:
    """Take the matrices of an `MLP` or of an `Expert` that stands at `path` in its layer."""
    names = ("w1", "w3", "w2") if isinstance(module, Expert) else MLP_NAMES
    gate, up, down = (take(f"{path}.{name}", getattr(module, name)) for name in names)
    return FeedForwardWeights(gate, up, down, names)


class DecoderWriter:
    """Writes a decoder: inputs on construction, then `layer` for each, then `head`."""

    def __init__(self, g: Graph, config: DecoderConfig, form: Form) -> None:
        self.g = g
        self.config = config
        self.form = form
        width = config.hidden_size
        # The name of the hidden states behind what was written so far.
        self.x = g.input("inputs_embeds", TensorProto.FLOAT, [1, "L", width])
        form.declare(g, config)

    def layer(self, index: int, weights: LayerWeights) -> None:
        """Write layer `index`."""
        g, path, eps = self.g, f"/model/layers.{index}", self.config.rms_norm_eps
        attention = f"{path}/self_attn"
        y = rms_norm(g, f"{path}/input_layernorm", self.x, weights.input_layernorm, eps)
        y = g.to_compute(y, attention)
        qkv = [
            self.form.linear(g, f"{attention}/{name}", y, getattr(weights, name))
            for name in ("q_proj", "k_proj", "v_proj")
        ]
        y = self.form.attend(g, self.config, index, qkv)
        y = self.form.linear(g, f"{attention}/o_proj", y, weights.o_proj)
        x = g.node("Add", [self.x, g.to_float(y, attention)], attention)
        norm = f"{path}/post_attention_layernorm"
        y = rms_norm(g, norm, x, weights.post_attention_layernorm, eps)
        if weights.mlp is not None:
            y = g.to_compute(y, f"{path}/mlp")
            y = feed_forward(g, f"{path}/mlp", y, weights.mlp, self.form.linear)
            y = g.to_float(y, f"{path}/mlp")
        else:
            y = self._moe(f"{path}/block_sparse_moe", y, weights)
        self.x = g.node("Add", [x, y], path)

    def head(self, norm: Tensor, lm_head: LinearWeight) -> None:
        """Write the last norm and the logits of the wanted positions."""
        g = self.g
        x = self.form.keep(g, self.x)
        x = rms_norm(g, "/model/norm", x, norm, self.config.rms_norm_eps)
        x = self.form.linear(g, "/lm_head", g.to_compute(x, "/lm_head"), lm_head)
        g.node("Cast", [x], "/logits", to=TensorProto.FLOAT, outputs=["logits"])
        g.output("logits", TensorProto.FLOAT, [1, "K", self.config.vocab_size])

    def _moe(self, path: str, x: str, weights: LayerWeights) -> str:
        """Write routing, in float32, and the experts: (1, L, H) to (1, L, H)."""
        g = self.g
        assert weights.router is not None
        router = g.weight(f"{path}/gate.weight", numpy(weights.router).T.copy())
        scores = g.node("Softmax", [g.node("MatMul", [x, router], path)], path, axis=-1)
        count = g.constant(f"{path}/k", np.asarray([self.config.num_experts_per_tok], np.int64))
        best, chosen = g.nodes("TopK", [scores, count], path, 2, axis=-1)
        last = g.constant(f"{path}/last", np.asarray([-1], np.int64))
        best = g.node("Div", [best, g.node("ReduceSum", [best, last], path)], path)
        return self.form.experts(g, self.config, path, x, weights.experts, [best, chosen])


def feed_forward(g: Graph, path: str, x: str, weights: FeedForwardWeights, product: Linear) -> str:
    """Write a gated feed-forward, compute type in and out."""
    gate, up, down = (f"{path}/{name}" for name in weights.names)
    y = silu(g, gate, product(g, gate, x, weights.gate))
    y = g.node("Mul", [y, product(g, up, x, weights.up)], path)
    return product(g, down, y, weights.down)


def _declare(g: Graph, config: DecoderConfig) -> None:
    g.input("seqlens_k", TensorProto.INT32, [1])
    g.input("total_sequence_length", TensorProto.INT32, [])
    g.input("logits_to_keep", TensorProto.INT64, [])
    declare_cache(g, config)
    for name, table in zip(("cos", "sin"), rotary_tables(config), strict=True):
        g.matrix(f"/rotary/{name}", numpy(table))


def _attend(g: Graph, config: DecoderConfig, index: int, qkv: list[str]) -> str:
    past = [f"past_key_values.{index}.{part}" for part in ("key", "value")]
    lengths = ["seqlens_k", "total_sequence_length"]
    path = f"/model/layers.{index}/self_attn"
    qkv = [widened(g, config, f"{path}/{n}", x) for n, x in zip("qkv", qkv, strict=True)]
    mixed = g.nodes(
        "GroupQueryAttention",
        [*qkv, *past, *lengths, "/rotary/cos", "/rotary/sin"],
        path,
        3,
        outputs=[f"{path}/output_0", f"present.{index}.key", f"present.{index}.value"],
        domain=MICROSOFT,
        num_heads=config.num_attention_heads,
        kv_num_heads=config.num_key_value_heads,
        scale=config.head_dim**-0.5,
        do_rotary=1,
        local_window_size=config.window(index) or -1,
    )[0]
    return narrowed(g, config, path, mixed)


def _sparse_experts(
    g: Graph,
    config: DecoderConfig,
    path: str,
    x: str,
    experts: tuple[FeedForwardWeights, ...],
    routing: list[str],
) -> str:
    """Write experts that compute only the tokens routed to them, which may be none.

    Tokens are laid out expert by expert, each as often as it was sent somewhere, cut into a piece
    for each expert, and what comes back is put in the tokens' order again and added up. What is
    not a product is done once for all experts: on a CPU a small node between large weights takes
    about 10 us. Not by ScatterND: ONNX Runtime adds to one row from several threads at a time and
    now and then loses what one of them added.
    """
    best, chosen = (
        reshape(g, f"{path}/{name}", value, -1)  # (n,), n = L * experts per token
        for name, value in zip(("best", "chosen"), routing, strict=True)
    )
    column = g.constant(f"{path}/column", np.asarray([1], np.int64))
    size = g.node("Shape", [chosen], f"{path}/chosen")
    order = g.nodes("TopK", [chosen, size], f"{path}/order", 2, largest=0)[1]
    back = g.nodes("TopK", [order, size], f"{path}/back", 2, largest=0)[1]
    each = config.num_experts_per_tok
    per_token = g.constant(f"{path}/per_token", np.asarray(each, np.int64))
    rows = g.node("Div", [order, per_token], f"{path}/rows")
    tokens = reshape(g, f"{path}/tokens", x, -1, config.hidden_size)
    y = g.node("Gather", [g.to_compute(tokens, path), rows], f"{path}/sorted", axis=0)
    pieces = g.nodes(
        "Split", [y, _counts(g, path, chosen, column, len(experts))], path, len(experts)
    )
    y = g.node(
        "Concat",
        [
            feed_forward(g, f"{path}/experts.{e}", piece, expert, linear)
            for e, (piece, expert) in enumerate(zip(pieces, experts, strict=True))
        ],
        path,
        axis=0,
    )
    y = g.node("Gather", [g.to_float(y, f"{path}/experts"), back], f"{path}/unsorted", axis=0)
    share = g.node("Unsqueeze", [best, column], f"{path}/share")
    y = g.node("Mul", [y, share], f"{path}/weighted")
    y = reshape(g, f"{path}/by_token", y, 1, -1, each, config.hidden_size)
    axis = g.constant(f"{path}/out/axis", np.asarray([2], np.int64))
    return g.node("ReduceSum", [y, axis], f"{path}/out", keepdims=0)


def _counts(g: Graph, path: str, chosen: str, column: str, experts: int) -> str:
    """Write how often each expert is in `chosen` (n,): (experts,) int64."""
    path = f"{path}/counts"
    numbers = g.constant(f"{path}/numbers", np.arange(experts, dtype=np.int64))
    hits = g.node("Equal", [g.node("Unsqueeze", [chosen, column], path), numbers], path)
    hits = g.node("Cast", [hits], path, to=TensorProto.INT64)
    axis = g.constant(f"{path}/axis", np.asarray([0], np.int64))
    return g.node("ReduceSum", [hits, axis], path, keepdims=0)


def _keep(g: Graph, x: str) -> str:
    """Write the last `logits_to_keep` (at least 1) of (1, L, H)."""
    path = "/model/keep"
    start = reshape(g, path, g.node("Neg", ["logits_to_keep"], path), 1)
    end = g.constant(f"{path}/end", np.asarray([2**31], np.int64))
    axis = g.constant(f"{path}/axis", np.asarray([1], np.int64))
    return g.node("Slice", [x, start, end, axis], path)


ONNXRUNTIME = Form(_declare, linear, _attend, _sparse_experts, _keep)
