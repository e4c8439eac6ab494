"""Connectors from vision features to the decoder: STC and its relatives, linear and MLP.

The STC connector's stages are RegNet bottlenecks (Radosavovic et al. 2020) with a layer norm over
channels where RegNet has batch norm. They are written out here because the usual library brings
its own torchvision and hides the epsilon: upstream's blocks run with 1e-5, not the 1e-6 that the
norm's class name suggests, and the difference is visible (about 1e-3).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LAYER_NORM_EPS = 1e-5


@dataclass(frozen=True)
class Sampler:
    """How a connector samples space and time down."""

    kernel: tuple[int, int, int]  # (t, h, w), stride the same
    padding: int
    pools: bool  # average pooling instead of a convolution
    staged: bool  # has RegNet stages before and after


SAMPLERS = {
    "stc_connector": Sampler((2, 2, 2), padding=1, pools=False, staged=True),
    "stc_connector_v35": Sampler((2, 2, 2), padding=0, pools=False, staged=True),
    "stp_connector": Sampler((2, 2, 2), padding=0, pools=True, staged=True),
    "spatial_conv": Sampler((1, 2, 2), padding=1, pools=False, staged=False),
    "spatial_pool": Sampler((1, 2, 2), padding=0, pools=True, staged=False),
}
PROJECTOR_TYPES = (*SAMPLERS, "linear", "mlp2x_gelu")


@dataclass(frozen=True)
class ProjectorConfig:
    """What a connector is built from."""

    projector_type: str  # one of PROJECTOR_TYPES, upstream's `mm_projector_type`
    mm_hidden_size: int  # D, width of the vision features
    hidden_size: int  # H, width of the decoder
    depth: int = 4  # bottlenecks in each stage
    mlp_depth: int = 2  # linear layers of the read-out


def token_grid(projector_type: str, frames: int, side: int) -> tuple[int, int, int]:
    """Return how many tokens (t, h, w) a clip gives; (1, side, side) for linear and MLP."""
    if projector_type not in SAMPLERS:
        return 1, side, side
    s = SAMPLERS[projector_type]
    t, h, w = (
        (n + 2 * s.padding) // k for n, k in zip((frames, side, side), s.kernel, strict=True)
    )
    return t, h, w


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel of (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise: (B, C, H, W) to the same."""
        y = F.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return y.permute(0, 3, 1, 2)


class ConvNorm(nn.Module):
    """Convolution without bias, then a norm (named `bn` upstream, though it is a layer norm)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False
        )
        self.bn = ChannelNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Apply both: (B, C, H, W) to (B, C', H, W)."""
        return self.bn(self.conv(x))


class SqueezeExcite(nn.Module):
    """Weighs channels by what the whole picture holds."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.fc2 = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh: (B, C, H, W) to the same."""
        weight = self.fc2(F.silu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(weight)


class Bottleneck(nn.Module):
    """One RegNet block with a depthwise middle convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, kernel=3, groups=outputs)
        self.se = SqueezeExcite(outputs, round(inputs / 4))
        self.conv3 = ConvNorm(outputs, outputs)
        self.downsample = ConvNorm(inputs, outputs) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """Run the block: (B, C, H, W) to (B, C', H, W)."""
        y = F.silu(self.conv1(x))
        y = F.silu(self.conv2(y))
        y = self.conv3(self.se(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.silu(y + shortcut)


class Stage(nn.Sequential):
    """Bottlenecks `b1` to `b<depth>`; the first one changes the width."""

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__()
        for k in range(depth):
            self.add_module(f"b{k + 1}", Bottleneck(outputs if k else inputs, outputs))


def mlp(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    """Build linear layers with an exact GELU between them, named 0, 2, 4 and so on."""
    layers: list[nn.Module] = [nn.Linear(inputs, outputs)]
    for _ in range(depth - 1):
        layers += [nn.GELU(), nn.Linear(outputs, outputs)]
    return nn.Sequential(*layers)


class SpaceTimeConnector(nn.Module):
    """Stage, sampling over time and space, stage, read-out."""

    def __init__(self, config: ProjectorConfig) -> None:
        super().__init__()
        sampler = SAMPLERS[config.projector_type]
        width = config.hidden_size
        if not sampler.staged and config.mm_hidden_size != width:
            raise ValueError(f"{config.projector_type} needs a tower as wide as the decoder")
        self.s1: nn.Module = nn.Identity()
        self.s2: nn.Module = nn.Identity()
        if sampler.staged:
            self.s1 = Stage(config.mm_hidden_size, width, config.depth)
            self.s2 = Stage(width, width, config.depth)
        kernel = sampler.kernel
        self.sampler = nn.Sequential(
            nn.AvgPool3d(kernel)
            if sampler.pools
            else nn.Conv3d(width, width, kernel, stride=kernel, padding=sampler.padding),
            nn.SiLU(),
        )
        self.readout = mlp(width, width, config.mlp_depth)

    def forward(self, features: Tensor) -> Tensor:
        """Connect clips: (B, T, N, D) to (B, V, H); N is a square, time is outermost in V."""
        b, t, n, _ = features.shape
        side = round(n**0.5)
        x = features.flatten(0, 1).transpose(1, 2).unflatten(2, (side, side))  # (BT, D, g, g)
        x = self.s1(x)
        x = self.sampler(x.unflatten(0, (b, t)).transpose(1, 2))  # (B, H, t, h, w)
        t = x.shape[2]
        x = self.s2(x.transpose(1, 2).flatten(0, 1))  # (Bt, H, h, w)
        x = x.flatten(2).transpose(1, 2).unflatten(0, (b, t)).flatten(1, 2)  # (B, V, H)
        return self.readout(x)


class Linear(nn.Linear):
    """The mean of all frames through one linear layer."""

    def forward(self, features: Tensor) -> Tensor:
        """Connect clips: (B, T, N, D) to (B, N, H)."""
        return super().forward(features.mean(1))


class Mlp(nn.Sequential):
    """The mean of all frames through linear, GELU, linear."""

    def __init__(self, config: ProjectorConfig) -> None:
        super().__init__(*mlp(config.mm_hidden_size, config.hidden_size, 2))

    def forward(self, features: Tensor) -> Tensor:
        """Connect clips: (B, T, N, D) to (B, N, H)."""
        return super().forward(features.mean(1))


def build_projector(config: ProjectorConfig) -> nn.Module:
    """Make the connector a configuration names: module of (B, T, N, D) to (B, V, H).

    Raises:
        ValueError: the type is not known, or needs equal widths and has not got them.
    """
    if config.projector_type in SAMPLERS:
        return SpaceTimeConnector(config)
    if config.projector_type == "linear":
        return Linear(config.mm_hidden_size, config.hidden_size)
    if config.projector_type == "mlp2x_gelu":
        return Mlp(config)
    raise ValueError(f"unknown projector type {config.projector_type!r}")
