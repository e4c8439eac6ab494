"""BEATs (Chen et al. 2022), the sound encoder, and the projector behind it.

The transformer is post-norm with DeepNorm residuals, a convolution for absolute positions and a
gated relative position bias whose bucket table all layers share.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.reference.projector import mlp

# Mean and half the spread of AudioSet filter banks, as BEATs was trained.
FBANK_MEAN, FBANK_STD = 15.41663, 6.55582
LAYER_NORM_EPS = 1e-5


@dataclass(frozen=True)
class AudioTowerConfig:
    """Geometry of a BEATs encoder, in the words of its `cfg`; defaults are the published ones."""

    input_patch_size: int = 16
    embed_dim: int = 512
    conv_bias: bool = False
    encoder_layers: int = 12
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 3072
    encoder_attention_heads: int = 12
    deep_norm: bool = True
    conv_pos: int = 128
    conv_pos_groups: int = 16
    relative_position_embedding: bool = True
    num_buckets: int = 320
    max_distance: int = 800
    gru_rel_pos: bool = True

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.encoder_embed_dim // self.encoder_attention_heads

    @property
    def residual_scale(self) -> float:
        """DeepNorm's weight of the residual branch."""
        return float((2 * self.encoder_layers) ** 0.25) if self.deep_norm else 1.0

    def num_tokens(self, fbank_frames: int, mel_bins: int = 128) -> int:
        """Tokens that come out for a filter bank of so many frames."""
        return (fbank_frames // self.input_patch_size) * (mel_bins // self.input_patch_size)


def relative_buckets(length: int, num_buckets: int, max_distance: int) -> Tensor:
    """Return the bucket of key j seen from query i: (length, length) int64.

    Half the buckets are for keys to the right; in each half the first half is one bucket per step
    and the rest grows with the logarithm, as in T5. Computed in float32 as upstream does, because
    the truncation at a bucket's edge depends on it.
    """
    steps = torch.arange(length)
    distance = steps[None, :] - steps[:, None]  # (i, j)
    half = num_buckets // 2
    exact = half // 2
    far = distance.abs()
    spread = torch.log(far.float() / exact) / math.log(max_distance / exact) * (half - exact)
    # log(0) is -inf; those entries are replaced below, so any finite value will do.
    coarse = exact + spread.clamp(min=0).long()
    bucket = torch.where(far < exact, far, coarse.clamp(max=half - 1))
    return bucket + half * (distance > 0)


class PositionConvolution(nn.Module):
    """Grouped convolution over time whose kernel is normalised per tap (weight norm, dim 2)."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.kernel, self.groups = kernel, groups
        self.weight_v = nn.Parameter(torch.randn(width, width // groups, kernel) * 0.02)
        self.weight_g = nn.Parameter(self.weight_v.detach().norm(dim=(0, 1), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(width))

    def weight(self) -> Tensor:
        """Return the kernel (C, C/groups, K) in float32, the way upstream normalises it."""
        v = self.weight_v.float()
        return self.weight_g.float() * v * torch.rsqrt(v.square().sum((0, 1), keepdim=True) + 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve: (B, C, N) to (B, C, N); an even kernel gives one output too many."""
        y = F.conv1d(
            x, self.weight().to(x.dtype), self.bias, padding=self.kernel // 2, groups=self.groups
        )
        return F.gelu(y[..., : x.shape[-1]])


class SelfAttention(nn.Module):
    """Attention with a relative bias that each query turns up or down by a gate."""

    def __init__(self, config: AudioTowerConfig, holds_table: bool) -> None:
        super().__init__()
        width = config.encoder_embed_dim
        self.heads = config.encoder_attention_heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.gated = config.relative_position_embedding and config.gru_rel_pos
        if self.gated:
            self.grep_linear = nn.Linear(config.head_dim, 8)
            self.grep_a = nn.Parameter(torch.ones(1, self.heads, 1, 1))
        if holds_table:
            self.relative_attention_bias = nn.Embedding(config.num_buckets, self.heads)

    def gate(self, q: Tensor) -> Tensor:
        """Return the factor of the bias for each head and query: (B, h, N, d) to (B, h, N, 1)."""
        u = torch.sigmoid(self.grep_linear(q).unflatten(-1, (2, 4)).sum(-1))
        a, b = u.chunk(2, dim=-1)
        return a * (b * self.grep_a - 1.0) + 2.0

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Attend: x (B, N, C) with bias (1, h, N, N) to (B, N, C)."""

        def split(y: Tensor) -> Tensor:
            return y.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, h, N, d)

        q, k, v = split(self.q_proj(x)), split(self.k_proj(x)), split(self.v_proj(x))
        if bias is not None and self.gated:
            bias = self.gate(q) * bias
        if bias is not None:
            bias = bias.to(q.dtype)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.out_proj(y.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """A post-norm layer with DeepNorm residuals."""

    def __init__(self, config: AudioTowerConfig, holds_table: bool) -> None:
        super().__init__()
        width, inner = config.encoder_embed_dim, config.encoder_ffn_embed_dim
        self.alpha = config.residual_scale
        self.self_attn = SelfAttention(config, holds_table)
        self.self_attn_layer_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Run the layer: (B, N, C) to (B, N, C)."""
        x = self.self_attn_layer_norm(self.alpha * x + self.self_attn(x, bias))
        h = self.fc2(F.gelu(self.fc1(x)))
        return self.final_layer_norm(self.alpha * x + h)


class Encoder(nn.Module):
    """Positions, a norm, the layers. The bucket table lives in the first layer, as stored."""

    def __init__(self, config: AudioTowerConfig) -> None:
        super().__init__()
        width = config.encoder_embed_dim
        self.config = config
        self.pos_conv = nn.Sequential(
            PositionConvolution(width, config.conv_pos, config.conv_pos_groups)
        )
        self.layer_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        biased = config.relative_position_embedding
        self.layers = nn.ModuleList(
            EncoderLayer(config, holds_table=biased and i == 0)
            for i in range(config.encoder_layers)
        )

    def relative_bias(self, length: int) -> Tensor | None:
        """Return the bias (1, h, N, N) all layers share, or None if there is none."""
        if not self.config.relative_position_embedding:
            return None
        buckets = relative_buckets(length, self.config.num_buckets, self.config.max_distance)
        first = self.layers[0]
        assert isinstance(first, EncoderLayer)
        bias = first.self_attn.relative_attention_bias(buckets.to(first.fc1.weight.device))
        return bias.permute(2, 0, 1)[None]

    def forward(self, x: Tensor) -> Tensor:
        """Encode: (B, N, C) to (B, N, C)."""
        x = x + self.pos_conv(x.transpose(1, 2)).transpose(1, 2)
        x = self.layer_norm(x)
        bias = self.relative_bias(x.shape[1])
        for layer in self.layers:
            x = layer(x, bias)
        return x


class AudioTower(nn.Module):
    """A filter bank to sound features; parameters named as below upstream's `audio_tower.`."""

    def __init__(self, config: AudioTowerConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = config.encoder_embed_dim, config.input_patch_size
        self.patch_embedding = nn.Conv2d(
            1, config.embed_dim, patch, stride=patch, bias=config.conv_bias
        )
        self.layer_norm = nn.LayerNorm(config.embed_dim, eps=LAYER_NORM_EPS)
        self.post_extract_proj = (
            nn.Linear(config.embed_dim, width) if config.embed_dim != width else None
        )
        self.encoder = Encoder(config)

    def forward(self, fbank: Tensor) -> Tensor:
        """Compute features.

        Args:
            fbank: (B, F, 128) log mel energies, not normalised.

        Returns:
            (B, A, C) with A = (F // patch) * (128 // patch), frequency innermost.
        """
        x = (fbank - FBANK_MEAN) / (2 * FBANK_STD)
        x = self.patch_embedding(x[:, None]).flatten(2).transpose(1, 2)
        x = self.layer_norm(x)
        if self.post_extract_proj is not None:
            x = self.post_extract_proj(x)
        return self.encoder(x)


def build_audio_projector(mm_hidden_size_a: int, hidden_size: int) -> nn.Sequential:
    """Make `mlp2x_gelu`, upstream's `mm_projector_a`: (B, A, C) to (B, A, H)."""
    return mlp(mm_hidden_size_a, hidden_size, 2)
