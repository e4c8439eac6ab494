"""Tensors of a checkpoint folder, read one at a time: safetensors, sharded or single, and pickles.

Knows names, shapes and files, nothing of the model. A tensor is copied into memory when asked for
and nothing is kept, so a checkpoint larger than memory can be walked through.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.errors import CheckpointError

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"
# Far above any header: the largest published one has a few hundred kilobytes.
MAX_HEADER_BYTES = 100 << 20
FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
INTEGERS = {"I32": torch.int32}
DTYPES = FLOATS | INTEGERS
FETCH_AGAIN = "fetch the checkpoint again"


def file_exists(path: Path) -> bool:
    """Say whether a file is there; a path that cannot be looked at, or be one, is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies."""

    path: Path
    dtype: str  # safetensors' name, such as "BF16"
    shape: tuple[int, ...]
    offset: int  # bytes from the start of the file
    size: int  # bytes


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: the file is missing or is not a JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} is missing; give the folder of a VideoLLaMA 2 checkpoint, complete."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON ({error}); {FETCH_AGAIN}.") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} does not hold a JSON object; {FETCH_AGAIN}.")
    return data


def read_header(path: Path) -> dict[str, StoredTensor]:
    """List the tensors of one safetensors file.

    Raises:
        CheckpointError: the file is missing, truncated, or its header makes no sense.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise _damaged(path, "its header is not that of a safetensors file")
            header = json.loads(file.read(length))
    except FileNotFoundError:
        raise CheckpointError(
            f"The weight file {path} is missing; {FETCH_AGAIN}, with all its files."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, "its header cannot be read") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not an object")
    start = 8 + length
    found = {
        name: _stored(path, name, entry, start, size)
        for name, entry in header.items()
        if name != "__metadata__"
    }
    end = start
    for name, stored in sorted(found.items(), key=lambda item: item[1].offset):
        if stored.offset < end:
            raise _damaged(path, f"{name} lies over another tensor")
        end = stored.offset + stored.size
    return found


class TensorFolder:
    """The tensors of a folder by name; a later `get` reads just that one."""

    def __init__(self, folder: Path, files: Sequence[Path] | None = None) -> None:
        """Read the headers of a folder's weight files, or of the given ones."""
        self.folder = folder
        self.stored: dict[str, StoredTensor] = {}
        for path in weight_files(folder) if files is None else files:
            header = read_header(path)
            for name in header.keys() & self.stored.keys():
                raise _damaged(path, f"{name} is in {self.stored[name].path.name} as well")
            self.stored.update(header)

    def __contains__(self, name: str) -> bool:
        return name in self.stored

    def find(
        self, name: str, shape: tuple[int, ...], dtypes: Collection[str] = tuple(FLOATS)
    ) -> StoredTensor:
        """Look a tensor up without reading it.

        Raises:
            CheckpointError: it is missing, of another shape or of an unknown dtype.
        """
        stored = self.stored.get(name)
        if stored is None:
            raise CheckpointError(
                f"The checkpoint {self.folder} has no tensor {name}; {FETCH_AGAIN}, or give one"
                " that is complete."
            )
        if stored.shape != shape:
            raise CheckpointError(
                f"Tensor {name} in {stored.path} has the shape {list(stored.shape)} where"
                f" config.json asks for {list(shape)}; {FETCH_AGAIN}, configuration and weights."
            )
        if stored.dtype not in dtypes:
            raise CheckpointError(
                f"{stored.path} stores {name} as {stored.dtype}, which is not supported; give a"
                " checkpoint in float32, float16 or bfloat16."
            )
        return stored

    def get(
        self, name: str, shape: tuple[int, ...], dtypes: Collection[str] = tuple(FLOATS)
    ) -> Tensor:
        """Read a tensor in its stored dtype.

        Raises:
            CheckpointError: as `find`; or it holds NaN or infinity, or cannot be read.
        """
        stored = self.find(name, shape, dtypes)
        return _finite(_read(stored), name, stored.path)


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder, all shards or the single file.

    Raises:
        CheckpointError: there are none, or a shard that the index names is missing.
    """
    index = folder / INDEX_NAME
    if not index.exists():
        single = folder / SINGLE_NAME
        if not single.exists():
            raise CheckpointError(
                f"{folder} holds neither {SINGLE_NAME} nor {INDEX_NAME}; give a checkpoint folder"
                " with safetensors weights."
            )
        return [single]
    mapping = read_json(index).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise CheckpointError(f"{index} has no weight map; {FETCH_AGAIN}.")
    names = sorted({str(name) for name in mapping.values()})
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointError(
                f"{index} names {name!r}, which is no safetensors file of its folder;"
                f" {FETCH_AGAIN}."
            )
        if not file_exists(folder / name):
            raise CheckpointError(
                f"The shard {folder / name} is missing; {FETCH_AGAIN}, with all {len(names)} files."
            )
    return [folder / name for name in names]


def read_pickle(path: Path) -> Mapping[str, Any]:
    """Read a dictionary of tensors and plain values that torch pickled; code in it is never run.

    Raises:
        CheckpointError: the file is missing, damaged, or holds anything else.
    """
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"The audio tower {path} is missing; {FETCH_AGAIN}.") from None
    except Exception as error:  # Bytes that are no pickle raise almost anything.
        raise CheckpointError(
            f"{path} cannot be read as plain tensors (truncated, or it holds code); {FETCH_AGAIN}."
        ) from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} does not hold a dictionary of tensors; {FETCH_AGAIN}.")
    return data


def checked(tensor: Any, name: str, shape: tuple[int, ...], path: Path) -> Tensor:
    """Return an already loaded tensor if it is one, of this shape, and finite.

    Raises:
        CheckpointError: it is not.
    """
    if not isinstance(tensor, Tensor) or tensor.dtype not in FLOATS.values() or tensor.is_sparse:
        raise CheckpointError(f"{path} has no tensor {name} of numbers; {FETCH_AGAIN}.")
    if tuple(tensor.shape) != shape:
        raise CheckpointError(
            f"Tensor {name} in {path} has the shape {list(tensor.shape)} where its configuration"
            f" asks for {list(shape)}; {FETCH_AGAIN}."
        )
    return _finite(tensor, name, path)


def _stored(path: Path, name: str, entry: Any, start: int, size: int) -> StoredTensor:
    try:
        dtype, shape = str(entry["dtype"]), tuple(int(n) for n in entry["shape"])
        begin, end = (int(n) for n in entry["data_offsets"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged(path, f"its entry for {name} is malformed") from error
    if not 0 <= begin <= end or min(shape, default=0) < 0:
        raise _damaged(path, f"its entry for {name} is malformed")
    if start + end > size:
        raise _damaged(path, "it is shorter than its header says")
    if dtype in DTYPES and end - begin != math.prod(shape) * DTYPES[dtype].itemsize:
        raise _damaged(path, f"the size of {name} does not fit its shape")
    return StoredTensor(path, dtype, shape, start + begin, end - begin)


def _read(stored: StoredTensor) -> Tensor:
    try:
        raw = np.fromfile(stored.path, dtype=np.uint8, count=stored.size, offset=stored.offset)
    except OSError as error:
        raise _damaged(stored.path, "it cannot be read") from error
    if raw.size != stored.size:
        raise _damaged(stored.path, "it became shorter while it was read")
    if not raw.size:
        return torch.empty(stored.shape, dtype=DTYPES[stored.dtype])
    return torch.from_numpy(raw).view(DTYPES[stored.dtype]).reshape(stored.shape)


def _finite(tensor: Tensor, name: str, path: Path) -> Tensor:
    if not bool(torch.isfinite(tensor).all()):
        raise CheckpointError(
            f"Tensor {name} in {path} holds NaN or infinite values; {FETCH_AGAIN}, or use another."
        )
    return tensor


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"The weight file {path} is damaged ({why}); {FETCH_AGAIN}.")
