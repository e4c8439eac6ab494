"""The tiny checkpoints of tests/data/golden and what the reference implementation makes of them."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

DATA = Path(__file__).parent / "data"
CHECKPOINTS = ("mistral", "mixtral", "qwen2", "qwen2_av")
PROJECTORS = ("stp_connector", "linear", "mlp2x_gelu", "spatial_conv", "spatial_pool")
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
AUDIO_ROWS = slice(None, None, 8)  # Which rows of the audio tokens are kept.
_PROJECTORS = DATA / "golden" / "projectors"
_FILES = {"video": "testsrc.mp4", "image": "test.png", "audio": "sweep.wav"}


@dataclass(frozen=True)
class Case:
    """One question to one checkpoint; arrays as tests/data/golden/README.md describes them."""

    checkpoint: str
    name: str
    modal: str
    question: str
    prompt: str
    arrays: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.checkpoint}-{self.name}"

    @property
    def clip(self) -> Path | None:
        file = _FILES.get(self.modal)
        return DATA / "media" / file if file else None

    @property
    def sound(self) -> str:
        return "off" if self.name.endswith("no-audio") else "on"

    @property
    def content(self) -> str:
        """The first turn as upstream's callers write it."""
        return self.question if self.modal == "text" else f"<{self.modal}>\n{self.question}"

    @property
    def pixel_values(self) -> Any:
        """(T, 3, S, S) float32, or None: what the reference gave to the vision tower."""
        if "visual_tokens" not in self.arrays:
            return None
        siglip = self.checkpoint == "qwen2_av"
        mean, std = ((0.5,) * 3, (0.5,) * 3) if siglip else (CLIP_MEAN, CLIP_STD)
        pixels = _reference(f"{'siglip' if siglip else 'clip'}_{self.modal}")
        scaled = pixels.astype(np.float32) * np.float32(1 / 255)
        columns = [np.array(values, np.float32).reshape(3, 1, 1) for values in (mean, std)]
        return (scaled - columns[0]) / columns[1]

    @property
    def fbank(self) -> Any:
        """(1, 2998, 128) float32, or None: what the reference gave to the audio tower."""
        if "audio_tokens" not in self.arrays:
            return None
        bits = _reference(f"fbank_{self.modal}").astype(np.uint32) << 16
        return bits.view(np.float32)[None]


def checkpoint(name: str) -> Path:
    return DATA / "golden" / name


def cases(name: str) -> list[Case]:
    folder = checkpoint(name)
    with np.load(folder / "cases.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    facts = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    return [
        Case(
            name,
            case,
            fact["modal"],
            fact["instruct"],
            fact["prompt"],
            {key.split(".")[1]: a for key, a in arrays.items() if key.split(".")[0] == case},
        )
        for case, fact in facts.items()
    ]


def projector_checkpoint(kind: str, folder: Path) -> Path:
    """Put the checkpoint with another connector together in `folder`.

    All but its connector and output matrix is golden Mistral's, or, of those connectors that need a
    tower as wide as the decoder, in narrow.safetensors.
    """
    target = Path(shutil.copytree(checkpoint("mistral"), folder / kind))
    narrow = kind.startswith("spatial")
    shared = _PROJECTORS / "narrow.safetensors" if narrow else target / "model.safetensors"
    tensors = {k: v for k, v in load_file(shared).items() if "mm_projector" not in k}
    tensors |= load_file(_PROJECTORS / f"{kind}.safetensors")
    save_file(tensors, target / "model.safetensors")
    config = json.loads((target / "config.json").read_text()) | {"mm_projector_type": kind}
    config |= {"hidden_size": 48} if narrow else {}
    (target / "config.json").write_text(json.dumps(config))
    return target


def projector_case(kind: str) -> Case:
    """The film shown to the checkpoint with another connector; the question is Mistral's."""
    film = next(case for case in cases("mistral") if case.name == "video")
    with np.load(_PROJECTORS / "cases.npz") as stored:
        own = {key.split(".")[1]: stored[key] for key in stored.files if key.startswith(kind)}
        if kind.startswith("spatial"):
            own["vision_features"] = stored["narrow.vision_features"]
    return replace(film, checkpoint=kind, arrays=film.arrays | own)


def relative_error(found: Any, expected: Any) -> float:
    """The largest difference as a share of the largest value."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _reference(name: str) -> Any:
    with np.load(DATA / "media" / "reference.npz") as stored:
        return stored[name]
