"""The demo model's sizes and parts: the reference modules, and heads that only training has."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from export.demo.labels import CLIP_CLASSES, FLASH_CLASS, TOKEN_CHANNELS, TRACK_CHANNELS, Slices
from export.demo.world import COLORS, PITCHES, SHAPES, SIZES, SOUND_KINDS, TIMBRES
from export.reference.audio_tower import AudioTower, AudioTowerConfig, build_audio_projector
from export.reference.decoder import Decoder, DecoderConfig
from export.reference.projector import (
    ProjectorConfig,
    SpaceTimeConnector,
    build_projector,
    token_grid,
)
from export.reference.vision_tower import VisionTower, VisionTowerConfig

PROJECTOR_TYPE = "stc_connector"
# CLIP's published pixel statistics.
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Sizes:
    """Everything about the architecture that may be chosen."""

    num_frames: int = 8
    window_s: float = 4.0
    vision: VisionTowerConfig = VisionTowerConfig(  # noqa: RUF009, frozen
        kind="clip",
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,  # three are used: features are those before the last
        num_attention_heads=4,
        image_size=84,
        patch_size=12,
        layer_norm_eps=1e-5,
        hidden_act="quick_gelu",
    )
    audio: AudioTowerConfig = AudioTowerConfig(  # noqa: RUF009
        input_patch_size=32,
        embed_dim=96,
        encoder_layers=3,
        encoder_embed_dim=96,
        encoder_ffn_embed_dim=192,
        encoder_attention_heads=4,
        conv_pos=16,
        conv_pos_groups=4,
        num_buckets=32,
        max_distance=64,
    )
    hidden_size: int = 128
    intermediate_size: int = 384
    num_hidden_layers: int = 5
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    connector_depth: int = 4
    pooled: bool = False  # frames pooled one by one, in place of a convolution over time and space
    vocab_size: int = 704
    rope_theta: float = 10000.0

    @property
    def decoder(self) -> DecoderConfig:
        """The decoder's geometry."""
        return DecoderConfig(
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            num_key_value_heads=self.num_key_value_heads,
            head_dim=self.hidden_size // self.num_attention_heads,
            vocab_size=self.vocab_size,
            max_position_embeddings=4096,
            rms_norm_eps=1e-5,
            rope_theta=self.rope_theta,
        )

    @property
    def visual_grid(self) -> tuple[int, int, int]:
        """Visual tokens in time, height, width."""
        slices, height, width = token_grid(PROJECTOR_TYPE, self.num_frames, self.vision.grid)
        return (self.num_frames if self.pooled else slices), height, width

    @property
    def slices(self) -> Slices:
        """The frames that each slice of visual tokens sees, padding left out."""
        if self.pooled:
            return tuple((frame,) for frame in range(self.num_frames))
        pairs = ((2 * index - 1, 2 * index) for index in range(self.visual_grid[0]))
        return tuple(tuple(f for f in pair if 0 <= f < self.num_frames) for pair in pairs)

    @property
    def fbank_frames(self) -> int:
        """Frames of the filter bank of one window."""
        return 1 + (round(self.window_s * 16_000) - 400) // 160

    @property
    def audio_slots(self) -> int:
        """Steps of audio tokens in time; each step holds several bands."""
        return self.fbank_frames // self.audio.input_patch_size

    @property
    def audio_bands(self) -> int:
        """Audio tokens of one step in time."""
        return 128 // self.audio.input_patch_size


def connector(sizes: Sizes) -> nn.Module:
    """A new connector; the pooled one differs in its sampler alone (paper, section 4.1)."""
    widths = sizes.vision.hidden_size, sizes.hidden_size
    made = build_projector(ProjectorConfig(PROJECTOR_TYPE, *widths, sizes.connector_depth))
    if sizes.pooled and isinstance(made, SpaceTimeConnector):
        made.sampler[0] = nn.AvgPool3d((1, 2, 2), padding=(0, 1, 1))
    return made


class SeeingTower(nn.Module):
    """The vision tower with heads that name what each patch shows."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.vision_tower = VisionTower(sizes.vision)
        width = sizes.vision.hidden_size
        outputs = {
            "color": len(COLORS) + 1,  # the last class: no centre here
            "shape": len(SHAPES),
            "size": len(SIZES),
            "offset": 2,
            "background": FLASH_CLASS + 1,
        }
        self.heads = nn.ModuleDict({name: nn.Linear(width, n) for name, n in outputs.items()})

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """(B, 3, S, S) to each head's (B, N, classes)."""
        features = self.vision_tower(pixels)
        return {name: head(features) for name, head in self.heads.items()}


class HearingTower(nn.Module):
    """The audio tower with heads that name the sound and where it starts."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.audio_tower = AudioTower(sizes.audio)
        self.bands = sizes.audio_bands
        width = sizes.audio.encoder_embed_dim
        outputs = {"kind": len(SOUND_KINDS), "pitch": len(PITCHES), "timbre": len(TIMBRES)}
        self.heads = nn.ModuleDict({name: nn.Linear(width, n) for name, n in outputs.items()})
        self.heads["onset"] = nn.Linear(width, 2)

    def forward(self, banks: Tensor) -> dict[str, Tensor]:
        """(B, F, 128) to (B, classes) each; `onset` is (B, slots, 2)."""
        tokens = self.audio_tower(banks)
        slots = tokens.unflatten(1, (-1, self.bands)).mean(2)
        whole = tokens.mean(1)
        return {n: head(slots if n == "onset" else whole) for n, head in self.heads.items()}


class TellingConnector(nn.Module):
    """The connector with a head that says what each token holds."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.mm_projector = connector(sizes)
        self.heads = nn.ModuleDict(
            {"token": nn.Linear(sizes.hidden_size, sum(TOKEN_CHANNELS.values()))}
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, N, D) to tokens (B, V, H) and channels (B, V, C)."""
        tokens = self.mm_projector(features)
        return tokens, self.heads["token"](tokens)


class JointModel(nn.Module):
    """Connector, audio projector and decoder, with the heads on the decoder's prefix."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.hidden_size
        self.connector = TellingConnector(sizes)
        self.mm_projector_a = build_audio_projector(sizes.audio.encoder_embed_dim, width)
        self.decoder = Decoder(sizes.decoder)
        self.heads = nn.ModuleDict(
            {
                "track": nn.Linear(width, sum(TRACK_CHANNELS.values())),
                "clip": nn.Linear(width, sum(CLIP_CLASSES.values())),
                # When a clip token is: slices of the picture, then steps of the sound.
                "place": nn.Linear(width, sizes.visual_grid[0] + sizes.audio_slots),
            }
        )


def initialise(module: nn.Module) -> None:
    """Draw small normal weights for embeddings and linear layers; others keep their default."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=part.in_features**-0.5 * 0.6)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=0.02)


def normalise(frames: Tensor) -> Tensor:
    """(…, S, S, 3) uint8 to (…, 3, S, S) float32 as the image processor does."""
    mean = torch.tensor(IMAGE_MEAN) * 255
    std = torch.tensor(IMAGE_STD) * 255
    return ((frames.float() - mean) / std).movedim(-1, -3)
