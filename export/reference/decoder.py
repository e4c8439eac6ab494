"""The language decoders Mistral, Mixtral and Qwen2: one small file, three switches.

They differ in a bias on q, k, v (Qwen2), in routed experts (Mixtral) and in the attention window.
Usable whole (`Decoder`) or one layer at a time (`DecoderLayer`), so that a checkpoint larger than
memory can be walked through.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class DecoderConfig:
    """Geometry of a decoder, in the words of config.json."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    qkv_bias: bool = False  # Qwen2
    num_local_experts: int = 0  # 0: one plain MLP; Mixtral: 8
    num_experts_per_tok: int = 2
    # Keys a query sees, itself included, in each layer; None sees all. Empty: None everywhere.
    windows: tuple[int | None, ...] = ()

    def window(self, layer: int) -> int | None:
        """Return the attention window of a layer."""
        return self.windows[layer] if self.windows else None


def rotary(config: DecoderConfig, position_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosines and sines (…, L, head_dim) in float32 for positions (…, L)."""
    half = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=position_ids.device)
    frequencies = 1.0 / config.rope_theta ** (half / config.head_dim)
    angles = position_ids[..., None].float() * frequencies
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn (B, heads, L, d) by its position: pairs are (k, k + d/2)."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return (x * cos + turned * sin).to(x.dtype)


def causal_mask(length: int, window: int | None) -> Tensor:
    """Return (L, L) bool, true where query i may see key j: i - window < j <= i."""
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    return mask if window is None else mask.triu(1 - window)


class RMSNorm(nn.Module):
    """Root mean square norm, computed in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        y = x.float()
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * y.to(x.dtype)


class Attention(nn.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        width, bias = config.hidden_size, config.qkv_bias
        q_width = config.num_attention_heads * config.head_dim
        kv_width = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(width, q_width, bias=bias)
        self.k_proj = nn.Linear(width, kv_width, bias=bias)
        self.v_proj = nn.Linear(width, kv_width, bias=bias)
        self.o_proj = nn.Linear(q_width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """Attend: (B, L, H) to (B, L, H); `mask` None is plainly causal."""
        return self.o_proj(self.mix(x, cos, sin, mask))

    def mix(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """Do all but the last product: (B, L, H) to the inputs of `o_proj`."""

        def split(y: Tensor) -> Tensor:
            return y.unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)  # (B, heads, L, d)

        q = rotate(split(self.q_proj(x)), cos, sin)
        k = rotate(split(self.k_proj(x)), cos, sin)
        v = split(self.v_proj(x))
        repeat = q.shape[1] // k.shape[1]
        if repeat > 1:
            k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
        if mask is not None and mask.is_floating_point():
            mask = mask.to(q.dtype)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return y.transpose(1, 2).flatten(2)


class MLP(nn.Module):
    """Gated feed-forward of Mistral and Qwen2."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token alone: (…, H) to (…, H)."""
        return self.down_proj(self.inner(x))

    def inner(self, x: Tensor) -> Tensor:
        """Do all but the last product: (…, H) to the inputs of `down_proj`."""
        return F.silu(self.gate_proj(x)) * self.up_proj(x)


class Expert(nn.Module):
    """One of Mixtral's feed-forwards: w1 gates, w3 goes up, w2 comes down."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, inner, bias=False)
        self.w2 = nn.Linear(inner, width, bias=False)
        self.w3 = nn.Linear(width, inner, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens routed here: (n, H) to (n, H)."""
        return self.w2(self.inner(x))

    def inner(self, x: Tensor) -> Tensor:
        """Do all but the last product: (n, H) to the inputs of `w2`."""
        return F.silu(self.w1(x)) * self.w3(x)


class SparseMoe(nn.Module):
    """Sends each token through its best experts and mixes them by the router's weights."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.top_k = config.num_experts_per_tok
        self.gate = nn.Linear(width, config.num_local_experts, bias=False)
        self.experts = nn.ModuleList(Expert(width, inner) for _ in range(config.num_local_experts))

    def forward(self, x: Tensor) -> Tensor:
        """Route and mix: (B, L, H) to (B, L, H)."""
        tokens = x.flatten(0, -2)
        weight, chosen = self.route(tokens)
        out = torch.zeros_like(tokens)
        for e, expert in enumerate(self.experts):
            row, slot = torch.where(chosen == e)
            if len(row):
                part = expert(tokens[row]) * weight[row, slot, None]
                out = out.index_add(0, row, part.to(out.dtype))
        return out.view_as(x)

    def route(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Choose for tokens (n, H): weights (n, k) that sum to one, and experts (n, k) int64."""
        best, chosen = F.softmax(self.gate(tokens), dim=-1, dtype=torch.float32).topk(self.top_k)
        return (best / best.sum(-1, keepdim=True)).to(tokens.dtype), chosen


class DecoderLayer(nn.Module):
    """One pre-norm layer; `mlp` or, in Mixtral, `block_sparse_moe`."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        self.self_attn = Attention(config)
        if config.num_local_experts:
            self.block_sparse_moe = SparseMoe(config)
        else:
            self.mlp = MLP(width, config.intermediate_size)
        self.input_layernorm = RMSNorm(width, eps)
        self.post_attention_layernorm = RMSNorm(width, eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None = None) -> Tensor:
        """Run the layer.

        Args:
            x: (B, L, H) hidden states.
            cos: Cosines of `rotary`, broadcastable to (B, heads, L, head_dim).
            sin: Sines likewise.
            mask: Additive or boolean, broadcastable to (B, heads, L, L); None is causal.

        Returns:
            (B, L, H).
        """
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        y = self.post_attention_layernorm(x)
        feed_forward = self.block_sparse_moe if hasattr(self, "block_sparse_moe") else self.mlp
        return x + feed_forward(y)


class DecoderBody(nn.Module):
    """Embeddings, layers and the last norm: upstream's `model.`."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Decoder(nn.Module):
    """A whole decoder, from embeddings to logits."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.model = DecoderBody(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(
        self,
        inputs_embeds: Tensor,
        mask: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Compute logits.

        Args:
            inputs_embeds: (B, L, H).
            mask: Additive (float) or allowed (bool), broadcastable to (B, heads, L, L), used in
                every layer as it is; None is causal with each layer's own window.
            position_ids: (B, L) or (L,) int64; None counts from 0.

        Returns:
            (B, L, vocab).
        """
        length = inputs_embeds.shape[1]
        if position_ids is None:
            position_ids = torch.arange(length, device=inputs_embeds.device)
        cos, sin = rotary(self.config, position_ids)
        if cos.dim() == 3:
            cos, sin = cos[:, None], sin[:, None]  # the same for all heads
        x = inputs_embeds
        for i, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, layer_mask(self.config, i, length, mask))
        return self.lm_head(self.model.norm(x))


def layer_mask(
    config: DecoderConfig, layer: int, length: int, mask: Tensor | None = None
) -> Tensor | None:
    """Return the mask a layer is to use: the given one, or its window's, or None for causal."""
    window = config.window(layer)
    if mask is not None or window is None or window >= length:
        return mask
    return causal_mask(length, window)
