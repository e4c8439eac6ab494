"""A VideoLLaMA 2 checkpoint folder: its configuration and its parts as torch modules or tensors.

Upstream's names are mapped to those of `export.reference`. The towers are read whole, the decoder
one layer at a time. Modules come out in float32, whatever they are stored in.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from engines.errors import CheckpointError
from export.model_config import ModelConfig, audio_file, read_config
from export.reference.audio_tower import AudioTower, build_audio_projector
from export.reference.decoder import DecoderLayer, Expert
from export.reference.projector import SAMPLERS, ProjectorConfig, build_projector
from export.reference.vision_tower import VisionTower
from export.tensors import TensorFolder, checked, read_json, read_pickle, weight_files

VISION_PREFIXES = (
    "model.vision_tower.vision_tower.vision_model.",
    "model.vision_tower.vision_tower.",
)
TOWER_FOLDER_PREFIXES = ("vision_model.", "")
PROJECTOR_PREFIX = "model.mm_projector."
AUDIO_PREFIX = "model.audio_tower."
AUDIO_PROJECTOR_PREFIX = "model.mm_projector_a."
# Of a Mixtral layer, in front of an expert's number.
EXPERTS = "block_sparse_moe.experts."
HASH_CHUNK = 1 << 22

Source = Callable[[str, tuple[int, ...]], Tensor]
M = TypeVar("M", bound=nn.Module)


class SoundEncoder(nn.Module):
    """The audio tower and the projector behind it: fbank (B, F, 128) to tokens (B, A, H)."""

    def __init__(self, tower: AudioTower, projector: nn.Sequential) -> None:
        super().__init__()
        self.tower = tower
        self.projector = projector

    def forward(self, fbank: Tensor) -> Tensor:
        """Run both."""
        return self.projector(self.tower(fbank))


class Checkpoint:
    """An opened checkpoint; nothing large is read until it is asked for.

    Raises:
        CheckpointError: on opening or later, when something is missing, malformed or not finite.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise CheckpointError(
                f"{folder} is not a folder; give the folder of a VideoLLaMA 2 checkpoint."
            )
        self.folder = folder
        self._pickle = self._read_audio_pickle()
        cfg = self._pickle.get("cfg") if isinstance(self._pickle.get("cfg"), dict) else None
        self.config: ModelConfig = read_config(folder, cfg)
        self.tensors = TensorFolder(folder)
        if self._has_audio_tower:
            self._pickle = {}  # Only its configuration was wanted; the weights need not stay.

    def vision_tower(self) -> VisionTower:
        """Read the image tower: from the checkpoint, else from the tower's own folder."""
        tensors, prefixes = self.tensors, VISION_PREFIXES
        probe = "embeddings.position_embedding.weight"
        if not any(prefix + probe in tensors for prefix in prefixes):
            if self.config.vision_folder is None:
                raise CheckpointError(
                    f"{self.folder} holds no weights of the vision tower; put the folder of the"
                    " tower that config.json names beside it."
                )
            tensors, prefixes = TensorFolder(self.config.vision_folder), TOWER_FOLDER_PREFIXES
        prefix = next((p for p in prefixes if p + probe in tensors), prefixes[-1])
        return load(
            lambda: VisionTower(self.config.vision),
            lambda name, shape: tensors.get(prefix + name, shape),
        )

    def projector(self) -> nn.Module:
        """Read the connector between image tower and decoder."""
        config = ProjectorConfig(
            self.config.projector_type,
            self.config.vision.hidden_size,
            self.config.decoder.hidden_size,
            depth=self._count("s1.b{}.conv1.conv.weight", first=1, step=1) or 4,
            mlp_depth=self._count("readout.{}.weight", first=0, step=2) or 2,
        )
        return load(
            lambda: build_projector(config),
            lambda name, shape: self.tensors.get(PROJECTOR_PREFIX + name, shape),
        )

    def sound_encoder(self) -> SoundEncoder:
        """Read BEATs, from the shards or its own file, and its projector."""
        sound = self.config.sound
        assert sound is not None
        projector = load(
            lambda: build_audio_projector(sound.hidden_size, self.config.decoder.hidden_size),
            lambda name, shape: self.tensors.get(AUDIO_PROJECTOR_PREFIX + name, shape),
        )
        return SoundEncoder(load(lambda: AudioTower(sound.tower), self._audio_source()), projector)

    def decoder_layer(self, index: int, experts: bool = True) -> DecoderLayer:
        """Read one decoder layer; without its experts they stay on torch's meta device."""
        prefix = f"model.layers.{index}."
        return load(
            lambda: DecoderLayer(self.config.decoder),
            lambda name, shape: self.tensors.get(prefix + name, shape),
            leave_out=None if experts else EXPERTS,
        )

    def expert(self, index: int, number: int) -> Expert:
        """Read one expert of a Mixtral layer."""
        decoder = self.config.decoder
        prefix = f"model.layers.{index}.{EXPERTS}{number}."
        return load(
            lambda: Expert(decoder.hidden_size, decoder.intermediate_size),
            lambda name, shape: self.tensors.get(prefix + name, shape),
        )

    def embed_tokens(self) -> Tensor:
        """Read the token embeddings (vocab, H), in the dtype they are stored in."""
        return self._vocabulary_matrix("model.embed_tokens.weight")

    def lm_head(self) -> Tensor:
        """Read the output matrix (vocab, H), float32, which may be the embeddings again."""
        return self._vocabulary_matrix(self._head_name).float()

    def head(self) -> nn.Linear:
        """Read the output matrix as a linear layer."""
        head = nn.Linear(1, 1, bias=False, device="meta")
        head.weight = nn.Parameter(self.lm_head(), requires_grad=False)
        return head

    def expert_bytes(self) -> int:
        """Return the size of one expert in float32."""
        return 4 * 3 * self.config.decoder.hidden_size * self.config.decoder.intermediate_size

    def check_decoder(self) -> None:
        """Look every tensor of the decoder up, so that a gap is found before hours of work.

        Raises:
            CheckpointError: one is missing, of another shape or of an unknown dtype.
        """
        config = self.config.decoder
        vocabulary = (config.vocab_size, config.hidden_size)
        self.tensors.find("model.embed_tokens.weight", vocabulary)
        self.tensors.find(self._head_name, vocabulary)
        self.tensors.find("model.norm.weight", (config.hidden_size,))
        with torch.device("meta"):
            shapes = {k: tuple(v.shape) for k, v in DecoderLayer(config).state_dict().items()}
        for index in range(config.num_hidden_layers):
            for name, shape in shapes.items():
                self.tensors.find(f"model.layers.{index}.{name}", shape)

    def norm(self) -> Tensor:
        """Read the weight (H,) of the norm in front of the output matrix."""
        return self.tensors.get("model.norm.weight", (self.config.decoder.hidden_size,)).float()

    def source_files(self) -> list[Path]:
        """Return the configuration and weight files that the bundle is made from."""
        files = [self.folder / "config.json", *weight_files(self.folder)]
        return files + ([self.config.audio_file] if self.config.audio_file else [])

    def sha256(self) -> str:
        """Hash the names and bytes of `source_files`, hex."""
        digest = hashlib.sha256()
        for path in self.source_files():
            digest.update(path.name.encode() + b"\0")
            for chunk in read_chunks(path):
                digest.update(chunk)
        return digest.hexdigest()

    @property
    def _head_name(self) -> str:
        name = "lm_head.weight"
        tied = self.config.tie_word_embeddings and name not in self.tensors
        return "model.embed_tokens.weight" if tied else name

    def _vocabulary_matrix(self, name: str) -> Tensor:
        config = self.config.decoder
        return self.tensors.get(name, (config.vocab_size, config.hidden_size))

    def _count(self, pattern: str, first: int, step: int) -> int:
        """Count how many numbered parts of the connector the checkpoint holds."""
        if self.config.projector_type not in SAMPLERS:
            return 0
        count = 0
        while PROJECTOR_PREFIX + pattern.format(first + step * count) in self.tensors:
            count += 1
        return count

    @property
    def _has_audio_tower(self) -> bool:
        return AUDIO_PREFIX + "patch_embedding.weight" in self.tensors

    def _audio_source(self) -> Source:
        if self._has_audio_tower:
            return lambda name, shape: self.tensors.get(AUDIO_PREFIX + name, shape)
        path = self.config.audio_file
        if path is None:
            raise CheckpointError(
                f"{self.folder} holds no weights of the audio tower; put the file that"
                " mm_audio_tower names beside config.json."
            )
        stored = self._pickle.get("model", self._pickle)
        if not isinstance(stored, dict):
            raise CheckpointError(
                f"{path} holds no tensors of a BEATs; fetch the checkpoint again."
            )
        plain = {str(k).removeprefix(AUDIO_PREFIX): v for k, v in stored.items()}
        return lambda name, shape: checked(plain.get(name), name, shape, path)

    def _read_audio_pickle(self) -> Mapping[str, Any]:
        path = audio_file(self.folder, read_json(self.folder / "config.json"))
        return read_pickle(path) if path else {}


def load(build: Callable[[], M], source: Source, leave_out: str | None = None) -> M:
    """Make a module and fill every parameter of it, in float32, from a source of tensors.

    Parameters whose names begin with `leave_out` stay on torch's meta device.
    """
    with torch.device("meta"):
        module = build()
    state = {
        name: tensor
        if leave_out and name.startswith(leave_out)
        else source(name, tuple(tensor.shape)).float()
        for name, tensor in module.state_dict().items()
    }
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(False)


def read_chunks(path: Path) -> Iterator[bytes]:
    """Read a file piece by piece."""
    with path.open("rb") as file:
        while chunk := file.read(HASH_CHUNK):
            yield chunk
