"""What the unrounded model makes of answers, as it is kept in a bundle to measure it by."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.errors import BundleError
from export.examples import Example, parse_line, to_line

Array = NDArray[Any]

FILE = "accuracy.npz"
# How many of the likeliest tokens are kept of each place.
KEPT_TOKENS = 128


@dataclass(frozen=True)
class Reading:
    """An answer to a question, and what the unrounded model makes of every word of it.

    Attributes:
        example: The question; its clip lies in the bundle.
        recorded: Whether this is the recorded answer.
        given: Whether this is what the bundle answered; it may be both.
        ids: (n,) int64, tokens of the answer.
        top: (n, k) int32, the likeliest tokens in each place, the likeliest first.
        log_p: (n, k) float32, their log probabilities.
        own: (n,) float32, the log probabilities of `ids`.
    """

    example: Example
    recorded: bool
    given: bool
    ids: Array
    top: Array
    log_p: Array
    own: Array


def reading_of(
    example: Example, ids: Array, logits: Tensor, recorded: bool, given: bool
) -> Reading:
    """Make a reading of the reference's logits (n, vocab) for an answer's tokens (n,)."""
    log_p = torch.log_softmax(logits.double(), -1)
    best = log_p.topk(min(KEPT_TOKENS, log_p.shape[-1]), -1)
    own = log_p[torch.arange(len(ids)), torch.from_numpy(ids)]
    return Reading(
        example,
        recorded,
        given,
        ids,
        best.indices.int().numpy(),
        best.values.float().numpy(),
        own.float().numpy(),
    )


def write_readings(path: Path, readings: Sequence[Reading]) -> None:
    """Write them as arrays, end to end, and the questions as lines of JSON."""
    arrays: dict[str, Any] = readings_arrays(readings)
    np.savez_compressed(path, **arrays)


def readings_arrays(readings: Sequence[Reading]) -> dict[str, Array]:
    """Return what `write_readings` writes."""
    ends = {
        name: np.concatenate([getattr(reading, name) for reading in readings])
        for name in ("ids", "top", "log_p", "own")
    }
    return {
        "lines": np.array([to_line(reading.example) for reading in readings]),
        "recorded": np.array([reading.recorded for reading in readings]),
        "given": np.array([reading.given for reading in readings]),
        "lengths": np.array([len(reading.ids) for reading in readings]),
        **ends,
    }


def readings_from(data: Mapping[str, Array], folder: Path) -> list[Reading]:
    """Make readings of `readings_arrays`; their clips lie in `folder`."""
    cuts = np.cumsum(data["lengths"])[:-1]
    columns = [np.split(data[name], cuts) for name in ("ids", "top", "log_p", "own")]
    return [
        Reading(_example(str(line), folder), bool(recorded), bool(given), *arrays)
        for line, recorded, given, *arrays in zip(
            data["lines"], data["recorded"], data["given"], *columns, strict=True
        )
    ]


def read_readings(path: Path) -> list[Reading]:
    """Read them again.

    Raises:
        BundleError: the file is damaged.
    """
    try:
        # By way of memory: NumPy leaves a damaged file open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            data = dict(file)
        return readings_from(data, path.parent)
    except (OSError, KeyError, ValueError, SyntaxError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path} cannot be read; export the bundle again.") from error


def _example(line: str, folder: Path) -> Example:
    """Read a question about a clip of the bundle itself.

    Raises:
        ValueError: it is none, or about something elsewhere.
    """
    example = parse_line(line, folder)
    if example.clip is not None and example.clip.path.parent != folder:
        raise ValueError("a clip lies outside")
    return example
