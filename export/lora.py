"""LoRA adapters as peft writes them, merged into the matrices of their base while these are read.

W + s·B·A in float32, with s = alpha / r, or alpha / √r where the adapter says so (rslora).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from engines.errors import CheckpointError
from export.keys import Keys
from export.pickles import read_bin
from export.tensor_names import trained_names, upstream_name, upstream_names
from export.tensors import (
    FETCH_AGAIN,
    StoredTensor,
    Tensors,
    file_exists,
    read_header,
    read_json,
)

CONFIG = "adapter_config.json"
WEIGHTS = {"adapter_model.safetensors": read_header, "adapter_model.bin": read_bin}
TRAINED = "non_lora_trainables.bin"
# Ways of adapting that are more than W + s·B·A of the same size everywhere.
UNSUPPORTED = (
    "alora_invocation_tokens",
    "alpha_pattern",
    "fan_in_fan_out",
    "layer_replication",
    "lora_bias",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
)
_FACTOR = re.compile(r"(.+)\.lora_([AB])(?:\.default)?\.weight")
_WRAPPERS = re.compile(r"\.(?:base_layer|original_module|modules_to_save(?:\.default)?)(?=\.)")


@dataclass(frozen=True)
class Adapter:
    """An opened adapter.

    Attributes:
        folder: Its folder.
        scale: The factor of B·A.
        factors: A (r, K) and B (N, r) by the name of the matrix (N, K) that they change.
        replaced: Tensors that were trained whole, by their names.
        files: All files it is made of.
    """

    folder: Path
    scale: float
    factors: Mapping[str, tuple[StoredTensor, StoredTensor]]
    replaced: Mapping[str, StoredTensor]
    files: tuple[Path, ...]


def is_adapter(folder: Path) -> bool:
    """Say whether a folder holds an adapter instead of a model."""
    return file_exists(folder / CONFIG)


def open_adapter(folder: Path) -> Adapter:
    """Read the headers of an adapter.

    Raises:
        CheckpointError: it is not complete, damaged, or of a kind that cannot be merged.
    """
    keys = Keys(read_json(folder / CONFIG), folder / CONFIG)
    rank = _check_kind(keys)
    alpha = keys.number("lora_alpha")
    scale = alpha / (math.sqrt(rank) if keys.data.get("use_rslora") else rank)
    path = next((folder / name for name in WEIGHTS if file_exists(folder / name)), None)
    if path is None:
        raise CheckpointError(
            f"{folder} holds an {CONFIG} but neither {' nor '.join(WEIGHTS)}; {FETCH_AGAIN}."
        )
    files = [folder / CONFIG, path]
    plain: dict[str, StoredTensor] = {}
    factors: dict[str, dict[str, StoredTensor]] = {}
    for wrapped, stored in WEIGHTS[path.name](path).items():
        name = wrapped.removeprefix("base_model.model.")
        found = _FACTOR.fullmatch(name)
        if found:
            factors.setdefault(upstream_name(f"{found[1]}.weight"), {})[found[2]] = stored
        elif ".lora_" in name:
            raise CheckpointError(
                f"{path} holds {name}, a kind of adapter that is not supported; merge it into its"
                " base with peft (merge_and_unload) and export that."
            )
        else:
            plain[_WRAPPERS.sub("", name)] = stored
    pairs = {name: _pair(path, name, rank, found) for name, found in factors.items()}
    replaced = upstream_names(plain)
    if file_exists(folder / TRAINED):
        files.append(folder / TRAINED)
        replaced |= trained_names(read_bin(folder / TRAINED))
    return Adapter(folder, scale, pairs, replaced, tuple(files))


def replace(
    adapter: Adapter, base: Mapping[str, StoredTensor], source: Path
) -> dict[str, StoredTensor]:
    """Return the base's tensors with those that were trained whole in their places.

    Args:
        adapter: The adapter.
        base: Tensors of its base, by their upstream names.
        source: The base's folder.

    Raises:
        CheckpointError: the adapter was made of another base.
    """
    for name, stored in adapter.replaced.items():
        if name in base and base[name].shape != stored.shape:
            raise _other_base(adapter, source, name, stored.shape)
    return {**base, **adapter.replaced}


def merge(
    adapter: Adapter, base: Mapping[str, StoredTensor], source: Path
) -> dict[str, StoredTensor]:
    """Return the base's tensors with the adapter's changes; arguments and errors as `replace`."""
    merged = dict(base)
    for name, (a, b) in adapter.factors.items():
        shape = (b.shape[0], a.shape[1])
        if name not in merged or merged[name].shape != shape:
            raise _other_base(adapter, source, name, shape)
        merged[name] = _merged(adapter, name, merged[name])
    return merged


def _check_kind(keys: Keys) -> int:
    """Return the rank of an adapter of a kind that can be merged."""
    if keys.data.get("peft_type") != "LORA":
        raise keys.bad("peft_type", "'LORA'")
    for name in UNSUPPORTED:
        if keys.data.get(name):
            raise CheckpointError(
                f"{keys.path} asks for {name}, which is not supported; merge the adapter into its"
                " base with peft (merge_and_unload) and export that."
            )
    return keys.integer("r")


def _pair(
    path: Path, name: str, rank: int, found: Mapping[str, StoredTensor]
) -> tuple[StoredTensor, StoredTensor]:
    """Return the two factors of a matrix."""
    if len(found) != 2:
        raise CheckpointError(f"{path} holds only one of the two factors of {name}; {FETCH_AGAIN}.")
    a, b = found["A"], found["B"]
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != rank or b.shape[1] != rank:
        raise CheckpointError(
            f"{path} holds factors of {name} with the shapes {list(a.shape)} and {list(b.shape)},"
            f" which are not of rank {rank} as {CONFIG} says; {FETCH_AGAIN}, both files."
        )
    return a, b


def _merged(adapter: Adapter, name: str, base: StoredTensor) -> StoredTensor:
    a, b = adapter.factors[name]
    shape = base.shape

    def read(first: int, count: int) -> Tensor:
        factors = Tensors(adapter.folder, {"lora_A": a, "lora_B": b})
        change = factors.get("lora_B", b.shape).float() @ factors.get("lora_A", a.shape).float()
        weight = Tensors(base.path.parent, {name: base}).get(name, shape).float()
        return weight.add_(change.mul_(adapter.scale)).reshape(-1)[first : first + count]

    return StoredTensor(base.path, "F32", shape, 4 * math.prod(shape), read)


def _other_base(
    adapter: Adapter, source: Path, name: str, shape: tuple[int, ...]
) -> CheckpointError:
    return CheckpointError(
        f"The adapter {adapter.folder} was made of another base than {source}, which has no {name}"
        f" of the shape {list(shape)}; give the right one with --base."
    )
