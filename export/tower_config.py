"""The vision tower's configuration: its geometry and its pixel pipeline.

Read from the tower's own folder, in the checkpoint, beside it or in the hub's cache. The published
checkpoints only name their tower, so the two that they name are known here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines.config import PreprocessConfig
from engines.errors import CheckpointError
from export.hub import CONFIG, find_folder
from export.keys import Keys
from export.reference.vision_tower import VisionTowerConfig
from export.tensors import file_exists, read_json

CLIP_LARGE: dict[str, Any] = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "layer_norm_eps": 1e-5,
    "hidden_act": "quick_gelu",
}
SIGLIP_SO400M: dict[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
    "layer_norm_eps": 1e-6,
    "hidden_act": "gelu_pytorch_tanh",
}
# The towers of the published checkpoints, which name them by hub id and ship no configuration.
PUBLISHED_TOWERS = {
    "clip-vit-large-patch14-336": CLIP_LARGE,
    "siglip-so400m-patch14-384": SIGLIP_SO400M,
}
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)
BICUBIC = 3
LEAST_STD = 0.001  # and 1 / LEAST_STD at most: what the runtime accepts in a manifest


def tower_files(
    named: str, keys: Keys, beside: Sequence[Path], online: bool, weights: bool
) -> tuple[Path | None, Keys]:
    """Find the tower's folder, if there is one here, and its configuration.

    Args:
        named: The tower's name or path.
        keys: Where it is named.
        beside: Folders in which it may be.
        online: Whether it may be downloaded.
        weights: Whether its weights are needed as well.

    Raises:
        CheckpointError: it is nowhere and not one of the published ones.
        ExportError: a download failed.
    """
    published = PUBLISHED_TOWERS.get(Path(named).name)
    found = find_folder(named, beside, online and (weights or published is None))
    if found is not None:
        path = found / CONFIG
        data = read_json(path)
        # A whole CLIP or SigLIP model keeps the image tower's part under this key.
        tower = data.get("vision_config", data)
        if not isinstance(tower, dict):
            raise Keys(data, path).bad("vision_config", "an object")
        # The published towers' files leave out what is transformers' default.
        return found, Keys({**(published or {}), **tower}, path)
    if published is None:
        raise CheckpointError(
            f"{keys.path} names the vision tower {named!r}, which is neither beside the checkpoint"
            " nor in the hub's cache nor one of the published ones; put the tower's folder beside"
            " config.json, or download it with --online."
        )
    return None, Keys(published, keys.path)


def read_vision(tower: Keys, keys: Keys) -> VisionTowerConfig:
    """Read the tower's geometry, and from config.json which of its features are taken.

    Raises:
        CheckpointError: a key is missing or asks for what is not supported.
    """
    model_type = str(tower.data.get("model_type", ""))
    kind = next((k for k in ("clip", "siglip") if model_type.startswith(k)), None)
    if kind is None:
        raise CheckpointError(
            f"{tower.path} is of model_type {model_type!r}, which is not supported; the vision"
            " tower must be CLIP or SigLIP."
        )
    act = str(tower.data.get("hidden_act", "quick_gelu" if kind == "clip" else "gelu_pytorch_tanh"))
    if act not in ("quick_gelu", "gelu", "gelu_pytorch_tanh"):
        raise tower.bad("hidden_act", "quick_gelu, gelu or gelu_pytorch_tanh")
    if keys.data.get("mm_vision_select_feature", "patch") != "patch":
        raise keys.bad("mm_vision_select_feature", "'patch'")
    select = keys.data.get("mm_vision_select_layer", -2)
    config = VisionTowerConfig(
        kind="clip" if kind == "clip" else "siglip",
        hidden_size=tower.integer("hidden_size"),
        intermediate_size=tower.integer("intermediate_size"),
        num_hidden_layers=tower.integer("num_hidden_layers"),
        num_attention_heads=tower.integer("num_attention_heads"),
        image_size=tower.integer("image_size"),
        patch_size=tower.integer("patch_size"),
        layer_norm_eps=tower.number("layer_norm_eps", 1e-5 if kind == "clip" else 1e-6),
        hidden_act=act,  # type: ignore[arg-type]  # checked above
        select_layer=select if type(select) is int else 0,
    )
    if type(select) is not int or not 0 <= config.used_layers <= config.num_hidden_layers:
        raise keys.bad("mm_vision_select_layer", "a hidden state the tower has")
    if config.hidden_size % config.num_attention_heads:
        raise tower.bad("num_attention_heads", f"a divisor of the width {config.hidden_size}")
    if config.patch_size > config.image_size:
        raise tower.bad("patch_size", f"at most the image size {config.image_size}")
    if keys.integer("mm_hidden_size", config.hidden_size) != config.hidden_size:
        raise keys.bad("mm_hidden_size", f"the tower's width {config.hidden_size}")
    return config


def read_preprocess(folder: Path | None, vision: VisionTowerConfig) -> PreprocessConfig:
    """Read preprocessor_config.json; what it leaves out is what the tower's kind does.

    Raises:
        CheckpointError: it asks for another interpolation, shape or size.
    """
    clip, size = vision.kind == "clip", vision.image_size
    path = folder / "preprocessor_config.json" if folder else None
    data = read_json(path) if path and file_exists(path) else {}
    keys = Keys(data, path or Path("preprocessor_config.json"))
    if data.get("resample", BICUBIC) != BICUBIC:
        raise keys.bad("resample", f"{BICUBIC} (bicubic)")
    if not all(data.get(k, True) for k in ("do_resize", "do_rescale", "do_normalize")):
        raise keys.bad("do_resize", "true, and do_rescale and do_normalize likewise")
    target = data.get("size", {"shortest_edge": size} if clip else {"height": size, "width": size})
    target = {"shortest_edge": target} if isinstance(target, int) else target
    if not isinstance(target, dict):
        raise keys.bad("size", "a number or an object")
    squash = "shortest_edge" not in target
    edge = Keys(target, keys.path).integer("height" if squash else "shortest_edge")
    if squash and target.get("width") != edge:
        raise keys.bad("size", "a square")
    crop = data.get("crop_size", size) if data.get("do_center_crop", clip) else None
    crop = crop.get("height") if isinstance(crop, dict) else crop
    if (crop or edge) != size or (not squash and crop is None):
        raise keys.bad("crop_size", f"the tower's image size {size}")
    std = keys.triple("image_std", _CLIP_STD if clip else _HALF)
    if not all(LEAST_STD < value < 1 / LEAST_STD for value in std):
        raise keys.bad("image_std", "a spread of pixel values")
    return PreprocessConfig(
        resize="squash" if squash else "shortest_edge",
        size=edge,
        crop=crop,
        image_mean=keys.triple("image_mean", _CLIP_MEAN if clip else _HALF),
        image_std=std,
        rescale_factor=keys.number("rescale_factor", 1 / 255),
    )
