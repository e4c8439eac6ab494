"""The quantised decoder as a GPTQ checkpoint of its own, for other programs.

A plain Mistral, Mixtral or Qwen2 folder without towers, as Hugging Face lays one out: symmetric,
groups in order, zero points 8 stored as 7, which every reader of the format takes.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from engines.errors import ExportError
from export.checkpoint import Checkpoint
from export.folder import publish, unfinished
from export.gptq_checkpoint import CONFIG, config_json, write_json
from export.quantise_state import QuantiseState
from export.reference.decoder import DecoderLayer
from export.storage import linear_shapes
from export.tensors import read_header, read_json
from export.weight_files import INDEX_NAME

ARCHITECTURES = {
    "mistral": "MistralForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "llama": "LlamaForCausalLM",
}
# Keys of config.json that are about pictures and sound.
OTHER_KEYS = ("mm_", "vl2_", "use_mm", "tune_", "freeze_", "hidden_size_a", "beats", "num_frames")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
)
REST = "rest.safetensors"
PARTS = ("model.layers.", "model.embed_tokens.", "model.norm.", "lm_head.")


def check_kept(folder: Path | None) -> None:
    """Refuse early a folder that is there already.

    Raises:
        ExportError: it is, and is not empty.
    """
    if folder is not None and folder.exists() and next(folder.iterdir(), None) is not None:
        raise ExportError(f"{folder} exists already; choose another folder for --keep-gptq.")


def write_gptq_folder(
    folder: Path, checkpoint: Checkpoint, state: QuantiseState, group: int, damp: float
) -> None:
    """Write a finished quantisation as a GPTQ checkpoint; it appears whole or not at all.

    Raises:
        ExportError: the disk is full, or cannot be written.
    """
    with unfinished(folder) as part:
        files = [path for path in state.weight_files() if path.name.startswith("layer-")]
        for path in files:
            shutil.copyfile(path, part / path.name)
        rest = _rest(checkpoint)
        save_file(rest, part / REST, {"format": "pt"})
        about = config_json(4, group, damp)
        write_json(part / CONFIG, about)
        write_json(part / "config.json", _model_config(checkpoint, about, rest))
        write_json(part / INDEX_NAME, _index(part))
        for name in TOKENIZER_FILES:
            if (source := checkpoint.folder_with(name) / name).is_file():
                shutil.copyfile(source, part / name)
        publish(part, folder)


def _rest(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return what is not quantised, in 16 bits: embeddings, norms, biases, routers, output."""
    with torch.device("meta"):
        quantised = linear_shapes(DecoderLayer(checkpoint.config.decoder))
    found = {}
    for name, stored in checkpoint.tensors.stored.items():
        in_layer = name.removeprefix("model.layers.").partition(".")[2]
        if not name.startswith(PARTS) or in_layer.removesuffix(".weight") in quantised:
            continue
        tensor = checkpoint.tensors.get(name, stored.shape)
        found[name] = tensor if tensor.dtype == torch.bfloat16 else tensor.half()
    return found


def _model_config(
    checkpoint: Checkpoint, about: dict[str, Any], rest: dict[str, Tensor]
) -> dict[str, Any]:
    kind = checkpoint.config.kind
    data = read_json(checkpoint.folder_with("config.json") / "config.json")
    kept = {key: value for key, value in data.items() if not key.startswith(OTHER_KEYS)}
    half = next(iter(rest.values())).dtype == torch.bfloat16
    return kept | {
        "architectures": [ARCHITECTURES[kind]],
        "model_type": kind,
        "torch_dtype": "bfloat16" if half else "float16",
        "quantization_config": about,
    }


def _index(folder: Path) -> dict[str, Any]:
    headers = {path.name: read_header(path) for path in sorted(folder.glob("*.safetensors"))}
    total = sum(tensor.size for header in headers.values() for tensor in header.values())
    places = {name: file for file, header in headers.items() for name in header}
    return {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
