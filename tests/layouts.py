"""A tiny checkpoint in every layout that published ones come in.

`take_apart` makes the parts, the functions of `LAYOUTS` write them.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.golden import checkpoint

Weights = dict[str, Tensor]

VISION = "model.vision_tower.vision_tower.vision_model."
AUDIO = "model.audio_tower."
BIAS = "encoder.layers.{}.self_attn.relative_attention_bias.weight"
HUB_COMMIT = "0123456789abcdef0123456789abcdef01234567"
RANK, ALPHA = 4, 6.0
ADAPTED = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")
TEXT_FILES = (
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


@dataclass
class Parts:
    """A checkpoint taken apart.

    Attributes:
        source: The golden folder it was made of.
        config: Its config.json.
        weights: All tensors by their upstream names, towers included.
        before: The same before an adapter was merged.
        factors: The adapter, as peft names it.
    """

    source: Path
    config: dict[str, Any]
    weights: Weights
    before: Weights
    factors: Weights

    @property
    def tower(self) -> str:
        return str(self.config["mm_vision_tower"])


# Takes the parts, a folder to write into and the hub's cache; gives what a user would name.
Layout = Callable[[Parts, Path, Path], Path]


def take_apart(name: str, layers: int = 2) -> Parts:
    """Take a golden checkpoint apart, with fewer layers and an adapter merged into it."""
    source = checkpoint(name)
    config = json.loads((source / "config.json").read_text()) | {"num_hidden_layers": layers}
    before = {
        key: tensor
        for key, tensor in load_file(source / "model.safetensors").items()
        if not key.startswith("model.layers.") or int(key.split(".")[2]) < layers
    }
    if "mm_audio_tower" in config:
        stored = torch.load(source / "beats-tiny.pt", weights_only=True)
        before |= {AUDIO + key: tensor for key, tensor in stored["model"].items()}
        config["beats_config"] = stored["cfg"]
    weights, factors = dict(before), {}
    generator = torch.Generator().manual_seed(5)
    for key in before:
        path = key.removesuffix(".weight")
        if path.startswith("model.layers.") and path.split(".", 3)[3] in ADAPTED:
            rows, columns = before[key].shape
            a = torch.randn(RANK, columns, generator=generator) * 0.1
            b = torch.randn(rows, RANK, generator=generator) * 0.1
            weights[key] = before[key] + (b @ a) * (ALPHA / RANK)
            factors[f"base_model.model.{path}.lora_A.weight"] = a
            factors[f"base_model.model.{path}.lora_B.weight"] = b
    return Parts(source, config, weights, before, factors)


def split(weights: Weights, *prefixes: str) -> tuple[Weights, Weights]:
    """Return the tensors whose names begin like this, and the others."""
    inside = {key: tensor for key, tensor in weights.items() if key.startswith(prefixes)}
    return inside, {key: tensor for key, tensor in weights.items() if key not in inside}


def rename(weights: Weights, old: str, new: str) -> Weights:
    return {key.replace(old, new): tensor for key, tensor in weights.items()}


def write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data))


def write_folder(folder: Path, parts: Parts, more: dict[str, Any] | None = None) -> Path:
    """Write everything but the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TEXT_FILES:
        shutil.copyfile(parts.source / name, folder / name)
    shutil.copytree(parts.source / parts.tower, folder / parts.tower)
    write_json(folder / "config.json", parts.config | (more or {}))
    return folder


def write_shards(folder: Path, weights: Weights, kind: str, count: int = 3) -> None:
    """Write weights in several files and their index; `kind` is safetensors or bin."""
    stem = "model" if kind == "safetensors" else "pytorch_model"
    places = {}
    for shard in range(count):
        file = f"{stem}-{shard + 1:05}-of-{count:05}.{kind}"
        content = {key: weights[key] for key in sorted(weights)[shard::count]}
        places |= dict.fromkeys(content, file)
        if kind == "safetensors":
            save_file(content, folder / file)
        else:
            torch.save(content, folder / file)
    write_json(folder / f"{stem}.{kind}.index.json", {"weight_map": places})


def in_hub(hub: Path, name: str) -> Path:
    """Return the folder of a repository in the hub's cache."""
    folder = hub / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(HUB_COMMIT)
    return folder / "snapshots" / HUB_COMMIT


def write_language_model(folder: Path, parts: Parts, weights: Weights) -> Path:
    """Write the plain decoder as its makers publish it."""
    kind = parts.config["model_type"].removeprefix("videollama2_")
    config = {key: value for key, value in parts.config.items() if "mm_" not in key}
    folder.mkdir(parents=True)
    write_json(folder / "config.json", config | {"model_type": kind})
    for name in TEXT_FILES:
        shutil.copyfile(parts.source / name, folder / name)
    write_shards(
        folder, split(weights, "model.layers.", "model.embed", "model.norm", "lm")[0], "bin"
    )
    return folder


def single(parts: Parts, folder: Path, hub: Path) -> Path:
    save_file(parts.weights, write_folder(folder / "vl2", parts) / "model.safetensors")
    return folder / "vl2"


def shards(parts: Parts, folder: Path, hub: Path) -> Path:
    write_shards(write_folder(folder / "vl2", parts), parts.weights, "safetensors")
    return folder / "vl2"


def single_bin(parts: Parts, folder: Path, hub: Path) -> Path:
    torch.save(parts.weights, write_folder(folder / "vl2", parts) / "pytorch_model.bin")
    return folder / "vl2"


def bin_shards(parts: Parts, folder: Path, hub: Path) -> Path:
    write_shards(write_folder(folder / "vl2", parts), parts.weights, "bin")
    return folder / "vl2"


def short_tower_names(parts: Parts, folder: Path, hub: Path) -> Path:
    weights = rename(parts.weights, "tower.vision_model.", "tower.")
    save_file(weights, write_folder(folder / "vl2", parts) / "model.safetensors")
    return folder / "vl2"


def tower_beside(parts: Parts, folder: Path, hub: Path) -> Path:
    tower, rest = split(parts.weights, VISION)
    save_file(rest, write_folder(folder / "vl2", parts) / "model.safetensors")
    (folder / "vl2" / parts.tower).rename(folder / parts.tower)
    torch.save(rename(tower, VISION, "vision_model."), folder / parts.tower / "pytorch_model.bin")
    return folder / "vl2"


def tower_in_hub(parts: Parts, folder: Path, hub: Path) -> Path:
    tower, rest = split(parts.weights, VISION)
    named = {"mm_vision_tower": f"somebody/{parts.tower}"}
    save_file(rest, write_folder(folder / "vl2", parts, named) / "model.safetensors")
    snapshot = in_hub(hub, named["mm_vision_tower"])
    shutil.move(folder / "vl2" / parts.tower, snapshot)
    save_file(rename(tower, VISION, ""), snapshot / "model.safetensors")
    return folder / "vl2"


def out_of_hub(parts: Parts, folder: Path, hub: Path) -> Path:
    snapshot = write_folder(in_hub(hub, "somebody/vl2"), parts)
    write_shards(snapshot, parts.weights, "safetensors")
    return Path("somebody/vl2")


def base_repository(parts: Parts, folder: Path, hub: Path) -> Path:
    """Config and connector here, language model and tower in the hub's cache."""
    named = {"_name_or_path": "somebody/Some-Model-v0.2", "tune_mm_mlp_adapter": True}
    given = tower_in_hub(parts, folder, hub)
    (given / "model.safetensors").unlink()
    tower = f"somebody/{parts.tower}"
    write_json(given / "config.json", parts.config | named | {"mm_vision_tower": tower})
    torch.save(split(parts.weights, "model.mm_projector.")[0], given / "mm_projector.bin")
    write_language_model(in_hub(hub, named["_name_or_path"]), parts, parts.weights)
    return given


def base_without_model_prefix(parts: Parts, folder: Path, hub: Path) -> Path:
    given = base_repository(parts, folder, hub)
    connector = torch.load(given / "mm_projector.bin", weights_only=True)
    torch.save(rename(connector, "model.mm_", "mm_"), given / "mm_projector.bin")
    for name in TEXT_FILES:
        (given / name).unlink()
    return given


def adapter(parts: Parts, folder: Path, hub: Path) -> Path:
    """LoRA over a plain language model beside it; connector and towers trained beside it."""
    base = write_language_model(folder / "Some-Model-v0.2", parts, parts.before)
    named = {"_name_or_path": f"/data/models/{base.name}"}
    given = write_folder(folder / "vl2", parts, named)
    others = split(parts.weights, "model.layers.", "model.embed", "model.norm", "lm_head")[1]
    trained = {f"base_model.model.{key}": tensor for key, tensor in others.items()}
    torch.save(trained, given / "non_lora_trainables.bin")
    save_file(parts.factors, given / "adapter_model.safetensors")
    write_adapter_config(given, base.name)
    for name in TEXT_FILES:
        (given / name).unlink()
    return given


def adapter_over_whole(parts: Parts, folder: Path, hub: Path) -> Path:
    """LoRA over a chat checkpoint, its own configuration left to that."""
    base = write_folder(folder / "whole", parts)
    save_file(parts.before, base / "model.safetensors")
    given = folder / "vl2"
    given.mkdir()
    torch.save(parts.factors, given / "adapter_model.bin")
    write_adapter_config(given, str(base))
    return given


def write_adapter_config(folder: Path, base: str, **more: Any) -> None:
    plain = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": RANK,
        "lora_alpha": ALPHA,
        "target_modules": [path.split(".")[1] for path in ADAPTED],
        "bias": "none",
        "fan_in_fan_out": False,
        "modules_to_save": None,
    }
    write_json(folder / "adapter_config.json", plain | more)


def fused_experts(parts: Parts, folder: Path, hub: Path) -> Path:
    """Mixtral as transformers 5 has it (`save_original_format=False`)."""
    weights = rename(parts.weights, "block_sparse_moe.gate", "mlp.gate")
    experts, fused = split(weights, *(f"model.layers.{i}.block_sparse_moe." for i in range(9)))
    for layer in range(parts.config["num_hidden_layers"]):
        start = f"model.layers.{layer}."
        count = range(parts.config["num_local_experts"])
        one = [
            {
                part: experts[f"{start}block_sparse_moe.experts.{e}.{part}.weight"]
                for part in ("w1", "w2", "w3")
            }
            for e in count
        ]
        gate_up = torch.stack([torch.cat([each["w1"], each["w3"]]) for each in one])
        fused[f"{start}mlp.experts.gate_up_proj"] = gate_up
        fused[f"{start}mlp.experts.down_proj"] = torch.stack([each["w2"] for each in one])
    write_shards(write_folder(folder / "vl2", parts), fused, "safetensors")
    return folder / "vl2"


def audio_side_files(parts: Parts, folder: Path, hub: Path) -> Path:
    """The audio side as its training leaves it, beside the shards."""
    tower, rest = split(parts.weights, AUDIO)
    projector, rest = split(rest, "model.mm_projector_a.")
    named = {"mm_audio_tower": "/data/BEATs.pt"}
    given = write_folder(folder / "vl2", parts, named)
    save_file(rest, given / "model.safetensors")
    torch.save(tower, given / "audio_tower.bin")
    torch.save(rename(projector, "model.", ""), given / "mm_projector_a.bin")
    return given


def audio_file(parts: Parts, folder: Path, hub: Path) -> Path:
    """BEATs as it was published, with its table in every layer, beside the checkpoint."""
    tower, rest = split(parts.weights, AUDIO)
    given = write_folder(folder / "vl2", parts, {"beats_config": {}})
    save_file(rest, given / "model.safetensors")
    cfg, model = parts.config["beats_config"], rename(tower, AUDIO, "")
    for layer in range(cfg["encoder_layers"]):
        model[BIAS.format(layer)] = model[BIAS.format(0)]
    torch.save({"cfg": cfg, "model": model}, folder / parts.config["mm_audio_tower"])
    return given


LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "mistral": (
        shards,
        single_bin,
        bin_shards,
        short_tower_names,
        tower_beside,
        tower_in_hub,
        out_of_hub,
        base_repository,
        base_without_model_prefix,
        adapter,
        adapter_over_whole,
    ),
    "mixtral": (fused_experts, base_repository),
    "qwen2_av": (bin_shards, audio_side_files, audio_file, adapter),
}
