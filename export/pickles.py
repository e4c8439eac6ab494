"""Files that torch wrote (`.bin`, `.pt`), read without running code and one tensor at a time.

torch maps the file. What has been read of it stays in memory while it is mapped, so it is let go
again and again, and a shard of many gigabytes never lies in memory.
"""

import functools
import math
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engines.errors import CheckpointError
from export.tensors import (
    DTYPES,
    FETCH_AGAIN,
    StoredTensor,
    damaged,
    missing_file,
    refuse_pointer,
)

NAMES = {dtype: name for name, dtype in DTYPES.items()}
ZIP_START = b"PK"
# Mapping a file again takes milliseconds: too long for each of hundreds of small tensors.
MAPPED_BYTES = 32 << 20


def read_pickle(path: Path) -> Mapping[str, Any]:
    """Read a dictionary of tensors and plain values; its tensors lie over the mapped file.

    Raises:
        CheckpointError: the file is missing, damaged, of torch's oldest format, or holds anything
            else, such as code, none of which is run.
    """
    refuse_pointer(path)
    try:
        with path.open("rb") as file:
            start = file.read(len(ZIP_START))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of pickle's version, which is of no matter here.
            data = torch.load(path, map_location="cpu", weights_only=True, mmap=start == ZIP_START)
    except FileNotFoundError:
        raise missing_file(path) from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds code or is no file of tensors, and nothing of it was run; fetch the"
            " checkpoint again from where you trust it, best as safetensors."
        ) from error
    except OSError as error:
        raise damaged(path, "it cannot be read") from error
    except Exception as error:  # Bytes that are no pickle raise almost anything.
        raise damaged(path, "truncated, or not a file that torch wrote") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} does not hold a dictionary of tensors; {FETCH_AGAIN}.")
    return data


def read_bin(path: Path, inside: str | None = None) -> dict[str, StoredTensor]:
    """List the tensors of a file; other values in it are left out.

    Args:
        path: The file.
        inside: The key of the dictionary within, if there may be one.

    Raises:
        CheckpointError: as `read_pickle`.
    """
    file = _Mapped(path, inside)
    found = {}
    for name, value in file.tensors().items():
        plain = value.layout == torch.strided and not value.is_quantized and not value.is_meta
        kind = str(value.dtype).removeprefix("torch.")
        dtype = NAMES.get(value.dtype, kind.upper()) if plain else f"SPECIAL {kind}"
        shape = tuple(value.shape)
        size = math.prod(shape) * value.dtype.itemsize
        read = functools.partial(file.read, name, value.dtype, shape)
        found[name] = StoredTensor(path, dtype, shape, size, read)
    file.let_go()
    return found


class _Mapped:
    """A file's dictionary of tensors, mapped while it is being read."""

    def __init__(self, path: Path, inside: str | None) -> None:
        self._path = path
        self._inside = inside
        self._tensors: dict[str, Tensor] = {}
        self._bytes = 0

    def tensors(self) -> dict[str, Tensor]:
        """Map the file, if it is not mapped."""
        if not self._tensors:
            data = read_pickle(self._path)
            within = data.get(self._inside, data) if self._inside else data
            if not isinstance(within, dict):
                raise CheckpointError(
                    f"{self._path} does not hold a dictionary of tensors; {FETCH_AGAIN}."
                )
            named = (pair for pair in within.items() if isinstance(pair[0], str))
            self._tensors = {name: value for name, value in named if isinstance(value, Tensor)}
        return self._tensors

    def let_go(self) -> None:
        """Give the mapping up."""
        self._tensors, self._bytes = {}, 0

    def read(
        self, name: str, dtype: torch.dtype, shape: tuple[int, ...], first: int, count: int
    ) -> Tensor:
        """Copy numbers out of a tensor."""
        tensor = self.tensors().get(name)
        if tensor is None or tensor.dtype != dtype or tuple(tensor.shape) != shape:
            raise damaged(self._path, "it changed while it was read")
        copy = tensor.detach().reshape(-1)[first : first + count].clone()
        self._bytes += copy.nbytes
        del tensor
        if self._bytes > MAPPED_BYTES:
            self.let_go()
        return copy
