"""Tensors by name, read one at a time, and the safetensors files they lie in.

Knows names, shapes and files, nothing of the model. A tensor is copied into memory when asked for
and nothing is kept, so a checkpoint larger than memory can be walked through.
"""

import functools
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.errors import CheckpointError

# Far above any header: the largest published one has a few hundred kilobytes.
MAX_HEADER_BYTES = 100 << 20
FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
INTEGERS = {"I32": torch.int32}
DTYPES = FLOATS | INTEGERS
FETCH_AGAIN = "fetch the checkpoint again"
# Numbers that are looked at together.
LOOKED_AT = 1 << 24
# What git leaves in the place of a large file where git-lfs is not installed.
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def file_exists(path: Path) -> bool:
    """Say whether a file is there; a path that cannot be looked at, or be one, is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that can be read.

    Attributes:
        path: The file it lies in; of several, the one that made the largest part.
        dtype: safetensors' name, such as "BF16".
        shape: Its shape.
        size: Its bytes.
        read: Reads `count` numbers from the `first` on, in the order of the last axis first.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]
    size: int
    read: Callable[[int, int], Tensor] = field(repr=False, compare=False)

    def whole(self) -> Tensor:
        """Read all of it; not looked at."""
        return self.read(0, math.prod(self.shape)).reshape(self.shape)


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
    refuse_pointer(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise damaged(path, "its header is not that of a safetensors file")
            header = json.loads(file.read(length))
    except FileNotFoundError:
        raise missing_file(path) from None
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, "its header cannot be read") from error
    if not isinstance(header, dict):
        raise damaged(path, "its header is not an object")
    found: dict[str, StoredTensor] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        if name != "__metadata__":
            found[name], begin = _stored(path, name, entry, 8 + length, size)
            spans.append((begin, begin + found[name].size, name))
    end = 0
    for begin, stop, name in sorted(spans):
        if begin < end:
            raise damaged(path, f"{name} lies over another tensor")
        end = stop
    return found


class Tensors:
    """Tensors by name; a later `get` reads just that one."""

    def __init__(self, folder: Path, stored: Mapping[str, StoredTensor]) -> None:
        """Keep what there is.

        Args:
            folder: What errors call them by.
            stored: All of them.
        """
        self.folder = folder
        self.stored = dict(stored)

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
        return _finite(stored.whole(), name, stored.path)

    def rows(self, name: str, shape: tuple[int, int], count: int) -> Iterator[Tensor]:
        """Read a matrix `count` rows at a time, in its stored dtype.

        Raises:
            CheckpointError: as `get`.
        """
        stored = self.find(name, shape)
        height, width = shape
        for first in range(0, height, count):
            rows = min(count, height - first)
            part = stored.read(first * width, rows * width).reshape(rows, width)
            yield _finite(part, name, stored.path)


def add_tensors(to: dict[str, StoredTensor], more: Mapping[str, StoredTensor]) -> None:
    """Add the tensors of another file.

    Raises:
        CheckpointError: one is there already.
    """
    for name, stored in more.items():
        if name in to:
            raise damaged(stored.path, f"{name} is in {to[name].path.name} as well")
        to[name] = stored


def refuse_pointer(path: Path) -> None:
    """Refuse what git puts in the place of a file that it did not fetch.

    Raises:
        CheckpointError: the file is that.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
    except OSError:
        return  # Whoever reads it says what is wrong.
    if start == LFS_POINTER:
        raise CheckpointError(
            f"{path} is only git's pointer to a large file; fetch the checkpoint with git-lfs"
            " (git lfs pull) or with huggingface_hub."
        )


def missing_file(path: Path) -> CheckpointError:
    """Return the error for a weight file that is not there."""
    return CheckpointError(f"The weight file {path} is missing; {FETCH_AGAIN}, with all its files.")


def damaged(path: Path, why: str) -> CheckpointError:
    """Return the error for a weight file that makes no sense."""
    return CheckpointError(f"The weight file {path} is damaged ({why}); {FETCH_AGAIN}.")


def _stored(path: Path, name: str, entry: Any, start: int, size: int) -> tuple[StoredTensor, int]:
    """Return a tensor of a header, and where it begins."""
    try:
        dtype, shape = str(entry["dtype"]), tuple(int(n) for n in entry["shape"])
        begin, end = (int(n) for n in entry["data_offsets"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise damaged(path, f"its entry for {name} is malformed") from error
    if not 0 <= begin <= end or min(shape, default=0) < 0:
        raise damaged(path, f"its entry for {name} is malformed")
    if start + end > size:
        raise damaged(path, "it is shorter than its header says")
    if dtype in DTYPES and end - begin != math.prod(shape) * DTYPES[dtype].itemsize:
        raise damaged(path, f"the size of {name} does not fit its shape")
    read = functools.partial(_read, path, dtype, start + begin)
    return StoredTensor(path, dtype, shape, end - begin, read), start + begin


def _read(path: Path, dtype: str, offset: int, first: int, count: int) -> Tensor:
    width = DTYPES[dtype].itemsize
    try:
        raw = np.fromfile(path, np.uint8, count * width, offset=offset + first * width)
    except OSError as error:
        raise damaged(path, "it cannot be read") from error
    if raw.size != count * width:
        raise damaged(path, "it became shorter while it was read")
    return torch.from_numpy(raw).view(DTYPES[dtype]) if count else torch.empty(0).to(DTYPES[dtype])


def _finite(tensor: Tensor, name: str, path: Path) -> Tensor:
    # In pieces: the look takes three times the memory of what is looked at.
    if not all(bool(torch.isfinite(part).all()) for part in tensor.flatten().split(LOOKED_AT)):
        raise CheckpointError(
            f"Tensor {name} in {path} holds NaN or infinite values; {FETCH_AGAIN}, or use another."
        )
    return tensor
