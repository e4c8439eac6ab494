"""A VideoLLaMA 2 checkpoint: its configuration and its parts as torch modules or tensors.

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
from export.config_keys import unknown_keys
from export.hub import CONFIG, Where, open_folder
from export.keys import Keys
from export.layout import Layout, open_layout
from export.lora import merge
from export.model_config import ModelConfig, decoder_kind, read_config
from export.pickles import read_bin, read_pickle
from export.reference.audio_tower import AudioTower, build_audio_projector
from export.reference.decoder import DecoderLayer, Expert
from export.reference.projector import SAMPLERS, ProjectorConfig, build_projector
from export.reference.vision_tower import VisionTower
from export.tensor_names import (
    AUDIO,
    AUDIO_PROJECTOR,
    EXPERTS,
    PROJECTOR,
    VISION,
    side_file_names,
    tower_names,
)
from export.tensors import StoredTensor, Tensors, file_exists, read_json
from export.tower_config import tower_files
from export.weight_files import has_weights, read_weights

HASH_CHUNK = 1 << 22
# Rows of the output matrix in memory at a time, where it is only applied.
HEAD_ROWS = 8192
NOWHERE_ELSE = Where()

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

    def __init__(self, folder: Path, where: Where = NOWHERE_ELSE) -> None:
        """Open a checkpoint.

        Args:
            folder: Its folder, or its hub id if it is in the hub's cache.
            where: Where its other parts may be.
        """
        self.folder = open_folder(folder, where.online)
        if file_exists(self.folder / CONFIG):
            # What it is comes before what it lacks.
            decoder_kind(Keys(read_json(self.folder / CONFIG), self.folder / CONFIG))
        layout = open_layout(self.folder, where)
        keys = layout.keys
        self.notes: list[str] = []
        self._folders = layout.folders
        self._files = list(layout.files)
        beside = [*layout.folders, *(path.absolute().parent for path in layout.folders)]
        lacks_tower = VISION + "embeddings.position_embedding.weight" not in layout.stored
        tower = tower_files(keys.text("mm_vision_tower"), keys, beside, where.online, lacks_tower)
        self._tower_folder = tower[0]
        audio = _audio_file(keys, beside)
        self.config: ModelConfig = read_config(keys, tower, _beats_cfg(audio))
        stored = dict(layout.stored)
        if lacks_tower:
            stored |= self._tower(tower[0])
        if self.config.sound and AUDIO + "patch_embedding.weight" not in stored:
            stored |= self._audio_tower(audio)
        if layout.adapter is not None:
            stored = merge(layout.adapter, stored, layout.folders[1])
        self.tensors = Tensors(self.folder, stored)
        self._note(layout)

    def folder_with(self, name: str) -> Path:
        """Return the folder that a file is taken from: the checkpoint's, else its base's."""
        found = (folder for folder in self._folders if file_exists(folder / name))
        return next(found, self.folder)

    def small_files(self) -> list[Path]:
        """Return the files of tokenizer, template and pixel pipeline, of all folders in use."""
        folders = {*self._folders, *([self._tower_folder] if self._tower_folder else [])}
        endings = (".jinja", ".json", ".model", ".txt")
        return sorted(p for folder in folders for p in folder.iterdir() if p.suffix in endings)

    def vision_tower(self) -> VisionTower:
        """Read the image tower."""
        return load(
            lambda: VisionTower(self.config.vision),
            lambda name, shape: self.tensors.get(VISION + name, shape),
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
            lambda name, shape: self.tensors.get(PROJECTOR + name, shape),
        )

    def sound_encoder(self) -> SoundEncoder:
        """Read BEATs, from the shards or its own file, and its projector."""
        sound = self.config.sound
        assert sound is not None
        projector = load(
            lambda: build_audio_projector(sound.hidden_size, self.config.decoder.hidden_size),
            lambda name, shape: self.tensors.get(AUDIO_PROJECTOR + name, shape),
        )
        tower = load(
            lambda: AudioTower(sound.tower),
            lambda name, shape: self.tensors.get(AUDIO + name, shape),
        )
        return SoundEncoder(tower, projector)

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

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Apply the output matrix to (n, H) without ever holding all of it: (n, vocab) float32."""
        config = self.config.decoder
        found = torch.empty(len(hidden_states), config.vocab_size)
        shape = (config.vocab_size, config.hidden_size)
        start = 0
        for rows in self.tensors.rows(self._head_name, shape, HEAD_ROWS):
            found[:, start : start + len(rows)] = hidden_states @ rows.float().T
            start += len(rows)
        return found

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
        return list(self._files)

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
        while PROJECTOR + pattern.format(first + step * count) in self.tensors:
            count += 1
        return count

    def _tower(self, folder: Path | None) -> dict[str, StoredTensor]:
        """List the weights of an image tower that lies elsewhere."""
        if folder is None or not has_weights(folder):
            where = self.folder if folder is None else f"{folder}, like {self.folder},"
            raise CheckpointError(
                f"{where} holds no weights of the vision tower; put the folder of the tower that"
                " config.json names beside it, or download it with --online."
            )
        stored, files = read_weights(folder)
        self._files += files
        self.notes.append(f"vision tower from {folder}")
        return tower_names(stored)

    def _audio_tower(self, path: Path | None) -> dict[str, StoredTensor]:
        """List the weights of an audio tower in a file of its own."""
        if path is None:
            raise CheckpointError(
                f"{self.folder} holds no weights of the audio tower; put the file that"
                " mm_audio_tower names beside config.json."
            )
        self._files.append(path)
        self.notes.append(f"audio tower from {path}")
        return side_file_names(read_bin(path, inside="model"), AUDIO)

    def _note(self, layout: Layout) -> None:
        if len(layout.folders) > 1:
            self.notes.append(f"language model from {layout.folders[-1]}")
        if layout.adapter is not None:
            count = len(layout.adapter.factors)
            self.notes.append(f"adapter {layout.folders[0]} merged into {count} matrices")
        unknown = unknown_keys(layout.keys.data)
        if unknown:
            self.notes.append(
                f"not known, so without effect, in {layout.keys.path}: {', '.join(unknown)}"
            )


def _audio_file(keys: Keys, beside: list[Path]) -> Path | None:
    """Find the BEATs file that `mm_audio_tower` names, by its path or last part."""
    named = keys.data.get("mm_audio_tower")
    if not isinstance(named, str):
        return None
    # Often a path on the machine that trained it, where one may not even look.
    candidates = (path for folder in beside for path in (folder / named, folder / Path(named).name))
    return next((path for path in candidates if file_exists(path)), None)


def _beats_cfg(path: Path | None) -> Mapping[str, Any] | None:
    cfg = read_pickle(path).get("cfg") if path else None
    return cfg if isinstance(cfg, dict) else None


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
