"""CLIP and SigLIP image towers up to the layer VideoLLaMA 2 takes its features from.

Only what the features need is built: the layers after the selected one, the last layer norm and
SigLIP's pooling head exist in published checkpoints and are never read.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class VisionTowerConfig:
    """Geometry of a tower, in the words of its own config.json."""

    kind: Literal["clip", "siglip"]
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    image_size: int
    patch_size: int
    layer_norm_eps: float
    hidden_act: Literal["quick_gelu", "gelu", "gelu_pytorch_tanh"]
    # Index into the hidden states, as `mm_vision_select_layer`: -2 leaves the last layer out.
    select_layer: int = -2

    @property
    def grid(self) -> int:
        """Patches along one side; pixels that do not fill a patch are ignored."""
        return self.image_size // self.patch_size

    @property
    def num_patches(self) -> int:
        """Tokens one frame gives."""
        return self.grid**2

    @property
    def used_layers(self) -> int:
        """Encoder layers in front of the selected hidden state."""
        last = self.num_hidden_layers + 1
        return self.select_layer if self.select_layer >= 0 else last + self.select_layer


def activation(name: str, x: Tensor) -> Tensor:
    """Apply a tower's activation by its configuration name."""
    if name == "quick_gelu":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="tanh" if name == "gelu_pytorch_tanh" else "none")


class Embeddings(nn.Module):
    """Patches, the class token (CLIP only) and learned positions."""

    def __init__(self, config: VisionTowerConfig) -> None:
        super().__init__()
        clip = config.kind == "clip"
        width, patch = config.hidden_size, config.patch_size
        self.patch_embedding = nn.Conv2d(3, width, patch, stride=patch, bias=not clip)
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5) if clip else None
        self.position_embedding = nn.Embedding(config.num_patches + clip, width)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Embed frames: (T, 3, S, S) to (T, patches [+ 1], D)."""
        x = self.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        if self.class_embedding is not None:
            first = self.class_embedding.to(x.dtype).expand(len(x), 1, -1)
            x = torch.cat([first, x], dim=1)
        return x + self.position_embedding.weight.to(x.dtype)


class SelfAttention(nn.Module):
    """Attention of every patch to every patch of the same frame."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix patches: (T, N, D) to (T, N, D)."""

        def split(y: Tensor) -> Tensor:
            return y.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (T, heads, N, D/heads)

        y = F.scaled_dot_product_attention(
            split(self.q_proj(x)), split(self.k_proj(x)), split(self.v_proj(x))
        )
        return self.out_proj(y.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with the tower's activation between them."""

    def __init__(self, width: int, inner: int, act: str) -> None:
        super().__init__()
        self.act = act
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each patch alone: (T, N, D) to (T, N, D)."""
        return self.fc2(activation(self.act, self.fc1(x)))


class EncoderLayer(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, config: VisionTowerConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.self_attn = SelfAttention(width, config.num_attention_heads)
        self.layer_norm1 = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, config.intermediate_size, config.hidden_act)
        self.layer_norm2 = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer: (T, N, D) to (T, N, D)."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Encoder(nn.Module):
    """The layers in front of the selected hidden state."""

    def __init__(self, config: VisionTowerConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.used_layers))

    def forward(self, x: Tensor) -> Tensor:
        """Run all layers: (T, N, D) to (T, N, D)."""
        for layer in self.layers:
            x = layer(x)
        return x


class VisionTower(nn.Module):
    """Frames to patch features, parameters named as below upstream's `vision_model.`."""

    def __init__(self, config: VisionTowerConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        if config.kind == "clip":
            # The misspelling is the published tensor's name.
            self.pre_layrnorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.encoder = Encoder(config)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Compute features.

        Args:
            pixel_values: (T, 3, S, S), normalised.

        Returns:
            (T, N, D): the selected hidden state without CLIP's class token, no last norm.
        """
        x = self.embeddings(pixel_values)
        if self.config.kind == "clip":
            return self.encoder(self.pre_layrnorm(x))[:, 1:]
        return self.encoder(x)
