"""One name for every tensor: those of the published chat checkpoints, from all the others in use.

Vision towers lose their `vision_model.` level in transformers 5, which also fuses Mixtral's
experts; in files beside the weights (`mm_projector.bin` and the like) names begin with anything.
"""

import functools
import math
import re
from collections.abc import Mapping

from torch import Tensor

from engines.errors import CheckpointError
from export.tensors import FETCH_AGAIN, StoredTensor

VISION = "model.vision_tower.vision_tower.vision_model."
PROJECTOR = "model.mm_projector."
AUDIO = "model.audio_tower."
AUDIO_PROJECTOR = "model.mm_projector_a."
# Of a Mixtral layer, in front of an expert's number.
EXPERTS = "block_sparse_moe.experts."
MOST_EXPERTS = 1024
# Found beside the weights, and what their tensors are of when their names do not say so.
SIDE_FILES = {
    "mm_projector.bin": PROJECTOR,
    "mm_projector_a.bin": AUDIO_PROJECTOR,
    "audio_tower.bin": AUDIO,
}
_SHORT_VISION = VISION.removesuffix("vision_model.")
_LAYER = re.compile(r"(model\.layers\.\d+\.)mlp\.(gate\.weight|experts\..+)")
_FUSED = re.compile(r"(.+\.block_sparse_moe\.experts\.)(gate_up_proj|down_proj)")
_BODY = re.compile(r"model\.(?:layers|embed_tokens|norm)\.|lm_head\.")


def upstream_name(name: str) -> str:
    """Return upstream's name of a tensor that is not fused."""
    if name.startswith(_SHORT_VISION) and not name.startswith(VISION):
        return VISION + name.removeprefix(_SHORT_VISION)
    layer = _LAYER.fullmatch(name)
    return f"{layer[1]}block_sparse_moe.{layer[2]}" if layer else name


def upstream_names(stored: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Return the tensors of a checkpoint's shards by the names that upstream gives them.

    Raises:
        CheckpointError: fused experts are not of three axes.
    """
    found: dict[str, StoredTensor] = {}
    for name, tensor in stored.items():
        renamed = upstream_name(name)
        fused = _FUSED.fullmatch(renamed)
        if fused:
            found |= _experts(fused[1], fused[2], tensor)
        elif renamed == name or renamed not in stored:
            found[renamed] = tensor
    return found


def side_file_names(stored: Mapping[str, StoredTensor], part: str) -> dict[str, StoredTensor]:
    """Return the tensors of a file beside the weights by their upstream names.

    Args:
        stored: What it holds, with `model.`, with anything else or with nothing in front.
        part: What they are of when their names do not say so, such as `PROJECTOR`.
    """
    found = {}
    for name, tensor in stored.items():
        if _BODY.match(name):
            found[name] = tensor
            continue
        starts = (name.find(prefix.removeprefix("model.")) for prefix in SIDE_FILES.values())
        start = min((at for at in starts if at >= 0), default=-1)
        whole = f"model.{name[start:]}" if start >= 0 else part + name
        found[whole] = tensor
    return upstream_names(found)


def trained_names(stored: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Return what was trained beside an adapter (`non_lora_trainables.bin`) by its names."""
    names = {name: name.removeprefix("base_model.") for name in stored}
    # The wrapper's own `model.` is in front of all names or of none.
    if any(name.startswith("model.model.") for name in names.values()):
        names = {old: name.removeprefix("model.") for old, name in names.items()}
    return upstream_names({names[old]: tensor for old, tensor in stored.items()})


def tower_names(stored: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Return the image tower out of a CLIP or SigLIP model's own folder, by its upstream names."""
    inner = "vision_model."
    if any(name.startswith(inner) for name in stored):
        stored = {n.removeprefix(inner): t for n, t in stored.items() if n.startswith(inner)}
    return {VISION + name: tensor for name, tensor in stored.items()}


def _experts(prefix: str, kind: str, fused: StoredTensor) -> dict[str, StoredTensor]:
    """Return the matrices of single experts as parts of (E, 2I, H) or (E, H, I)."""
    odd = kind == "gate_up_proj" and len(fused.shape) > 1 and fused.shape[1] % 2
    if len(fused.shape) != 3 or odd or not fused.size or fused.shape[0] > MOST_EXPERTS:
        raise CheckpointError(
            f"{fused.path} stores {prefix}{kind} with the shape {list(fused.shape)}, which is not"
            f" that of experts; {FETCH_AGAIN}."
        )
    parts = ("w1", "w3") if kind == "gate_up_proj" else ("w2",)
    count, rows, columns = fused.shape
    shape = (rows // len(parts), columns)
    numbers = math.prod(shape)
    found = {}
    for e in range(count):
        for place, part in enumerate(parts):
            start = (e * len(parts) + place) * numbers
            size = fused.size // (count * len(parts))
            read = functools.partial(_part, fused, start)
            found[f"{prefix}{e}.{part}.weight"] = StoredTensor(
                fused.path, fused.dtype, shape, size, read
            )
    return found


def _part(fused: StoredTensor, start: int, first: int, count: int) -> Tensor:
    return fused.read(start + first, count)
