"""The parts of a checkpoint in every layout that is published, put together by name.

Whole: shards, perhaps with files beside them. Base: a connector in `mm_projector.bin`, the language
model elsewhere. Adapter: LoRA matrices and `non_lora_trainables.bin` over one of the other two.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import CheckpointError
from export.hub import CONFIG, Where, find_folder
from export.keys import Keys
from export.lora import CONFIG as ADAPTER_CONFIG
from export.lora import Adapter, is_adapter, open_adapter, replace
from export.pickles import read_bin
from export.tensor_names import SIDE_FILES, side_file_names, upstream_names
from export.tensors import FLOATS, StoredTensor, file_exists, read_json
from export.weight_files import has_weights, read_weights

BASE_KEYS = ("_name_or_path", "model_name_or_path", "base_model_name_or_path")
# What a base must have in common with what was made of it, if both say so.
GEOMETRY = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "num_local_experts",
)
PREFIX = "videollama2"


@dataclass(frozen=True)
class Layout:
    """A checkpoint and what it was made of.

    Attributes:
        keys: Its config.json.
        folders: Its folder, then that of its base.
        stored: Its tensors but for towers that lie elsewhere.
        files: What all this was read from, weights and configuration.
        adapter: Whose changes are still to be merged.
    """

    keys: Keys
    folders: tuple[Path, ...]
    stored: Mapping[str, StoredTensor]
    files: tuple[Path, ...]
    adapter: Adapter | None = None


def open_layout(folder: Path, where: Where, above: tuple[Path, ...] = ()) -> Layout:
    """Read the headers of a checkpoint and of its base.

    Args:
        folder: Its folder.
        where: Where else to look.
        above: The folders whose base this is.

    Raises:
        CheckpointError: something is missing, damaged, or of another model.
        ExportError: a download failed.
    """
    adapter = open_adapter(folder) if is_adapter(folder) else None
    whole = has_weights(folder)
    if whole and adapter is not None:
        raise CheckpointError(
            f"{folder} holds an adapter and whole weights, so it is not clear which are meant; move"
            f" {ADAPTER_CONFIG} or the weights away."
        )
    sides = [folder / name for name in SIDE_FILES if file_exists(folder / name)]
    stored: dict[str, StoredTensor] = {}
    for path in sides:
        stored |= side_file_names(read_bin(path), SIDE_FILES[path.name])
    files = [path for path in [folder / CONFIG] if adapter is None or file_exists(path)]
    if whole or (adapter is None and not sides):
        if where.base is not None:
            raise CheckpointError(f"{folder} holds all its weights itself; leave out --base.")
        keys = Keys(read_json(folder / CONFIG), folder / CONFIG)
        own, own_files = read_weights(folder)
        _refuse_quantised(keys, own)
        stored |= upstream_names(own)
        return Layout(keys, (folder,), stored, (*files, *own_files, *sides))
    base = _open_base(folder, where, (*above, folder.resolve()))
    keys = base.keys
    if files:
        keys = Keys(read_json(folder / CONFIG), folder / CONFIG)
        _check_base(keys, base)
    files += [*sides, *(adapter.files if adapter else ())]
    stored = {**base.stored, **stored}
    if adapter is not None:
        stored = replace(adapter, stored, base.folders[0])
    return Layout(
        keys,
        (folder, *base.folders),
        stored,
        (*files, *base.files),
        adapter,
    )


def _refuse_quantised(keys: Keys, stored: Mapping[str, StoredTensor]) -> None:
    """Refuse a decoder whose numbers are codes.

    Raises:
        CheckpointError: config.json says so, and the tensors do.
    """
    layers = (tensor for name, tensor in stored.items() if name.startswith("model.layers."))
    if keys.data.get("quantization_config") and any(t.dtype not in FLOATS for t in layers):
        raise CheckpointError(
            f"{keys.path.parent} is quantised already; give the checkpoint it was made of, in"
            " float32, float16 or bfloat16."
        )


def _open_base(folder: Path, where: Where, above: tuple[Path, ...]) -> Layout:
    """Open what a Base repository or an adapter goes on."""
    named = where.base or _base_name(folder)
    if named is None:
        raise CheckpointError(
            f"{folder} holds no language model and does not name one; give it with --base."
        )
    if where.base is not None and file_exists(Path(where.base) / CONFIG):
        found: Path | None = Path(where.base)
    else:
        beside = [] if where.base else [folder, folder.parent]
        found = find_folder(named, beside, where.online)
    if found is None:
        raise CheckpointError(
            f"{folder} needs the language model {named!r}, which is neither beside it nor in the"
            " hub's cache; give its folder with --base, or download it with --online."
        )
    if is_adapter(found):
        raise CheckpointError(
            f"{folder} goes on {found}, which is an adapter itself; merge that one into its base"
            " first and give the result with --base."
        )
    if found.resolve() in above:
        raise CheckpointError(f"{folder} names itself as its base; give another with --base.")
    return open_layout(found, dataclasses.replace(where, base=None), above)


def _base_name(folder: Path) -> str | None:
    for file in (CONFIG, ADAPTER_CONFIG):
        data = read_json(folder / file) if file_exists(folder / file) else {}
        for key in BASE_KEYS:
            named = data.get(key)
            if isinstance(named, str) and named:
                return named
    return None


def _check_base(keys: Keys, base: Layout) -> None:
    """Refuse a base of another model.

    Raises:
        CheckpointError: it is.
    """
    mine, its = _geometry(keys.data), _geometry(base.keys.data)
    for key in mine:
        if mine[key] != its.get(key, mine[key]):
            raise CheckpointError(
                f"{keys.path.parent} was made of another model than {base.folders[0]} ({key} is"
                f" {mine[key]} here and {its[key]} there); give the right one with --base."
            )


def _geometry(data: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(data.get("model_type", "")).removeprefix(PREFIX).removeprefix("_") or "mistral"
    found = {key: data[key] for key in GEOMETRY if data.get(key) is not None}
    return {"model_type": kind} | found
