"""The weight files of a folder: safetensors or torch's own, whole or in shards with an index."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.errors import CheckpointError
from export.pickles import read_bin
from export.tensors import (
    FETCH_AGAIN,
    StoredTensor,
    Tensors,
    add_tensors,
    file_exists,
    read_header,
    read_json,
)


@dataclass(frozen=True)
class Form:
    """A way of storing weights.

    Attributes:
        single: The name of the only file.
        index: The name of the file that says which tensor is in which shard.
        ending: What the files' names end in.
        read: Lists the tensors of one file.
    """

    single: str
    index: str
    ending: str
    read: Callable[[Path], dict[str, StoredTensor]]


# In the order in which transformers looks for them.
FORMS = (
    Form("model.safetensors", "model.safetensors.index.json", ".safetensors", read_header),
    Form("pytorch_model.bin", "pytorch_model.bin.index.json", ".bin", read_bin),
)
INDEX_NAME = FORMS[0].index


class TensorFolder(Tensors):
    """The tensors of a folder's weight files."""

    def __init__(self, folder: Path, files: Sequence[Path] | None = None) -> None:
        """Read the headers of a folder's weight files, or of the given safetensors files.

        Raises:
            CheckpointError: there are none, one is missing or damaged, or the index is wrong.
        """
        if files is None:
            stored = read_weights(folder)[0]
        else:
            stored = {}
            for path in files:
                add_tensors(stored, read_header(path))
        super().__init__(folder, stored)


def has_weights(folder: Path) -> bool:
    """Say whether a folder holds weights of its own."""
    return _form(folder) is not None


def read_weights(folder: Path) -> tuple[dict[str, StoredTensor], list[Path]]:
    """List the tensors of a folder, and its weight files.

    Raises:
        CheckpointError: there are none, one is missing or damaged, or the index is wrong.
    """
    form = _form(folder)
    if form is None:
        raise CheckpointError(
            f"{folder} holds neither {' nor '.join(f'{f.single} nor {f.index}' for f in FORMS)};"
            " give a checkpoint folder with its weights."
        )
    places = {} if file_exists(folder / form.single) else _places(folder, form)
    names = sorted(set(places.values())) or [form.single]
    headers = {name: form.read(folder / name) for name in names}
    stored: dict[str, StoredTensor] = {}
    for header in headers.values():
        add_tensors(stored, header)
    for tensor, name in places.items():
        if tensor not in headers[name]:
            where = stored[tensor].path.name if tensor in stored else "in none of the files"
            raise CheckpointError(
                f"{folder / form.index} says that {tensor} is in {name}, but it is {where};"
                f" {FETCH_AGAIN}, index and weights."
            )
    return stored, [folder / name for name in names]


def _form(folder: Path) -> Form | None:
    for form in FORMS:
        if file_exists(folder / form.single) or file_exists(folder / form.index):
            return form
    return None


def _places(folder: Path, form: Form) -> dict[str, str]:
    """Read the index: the shard of each tensor."""
    index = folder / form.index
    mapping = read_json(index).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise CheckpointError(f"{index} has no weight map; {FETCH_AGAIN}.")
    names = sorted({str(name) for name in mapping.values()})
    for name in names:
        if Path(name).name != name or not name.endswith(form.ending):
            raise CheckpointError(
                f"{index} names {name!r}, which is no {form.ending} file of its folder;"
                f" {FETCH_AGAIN}."
            )
        if not file_exists(folder / name):
            raise CheckpointError(
                f"The shard {folder / name} is missing; {FETCH_AGAIN}, with all {len(names)} files."
            )
    return {str(tensor): str(name) for tensor, name in mapping.items()}
