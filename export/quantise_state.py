"""What a quantisation has done so far, on disk: a run that was killed goes on from there.

A folder beside the bundle to be made holds `key.json`, what the results depend on; the GPTQ tensors
of every finished layer; and the hidden states in front of the next. A file appears whole, by a
rename, or not at all, so whatever is there can be used as it is: the numbers are those that an
unbroken run would have given, to the last bit on the same machine with the same number of threads.
"""

import errno
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from export.gptq_checkpoint import write_json

KEY = "key.json"
INPUTS, STREAMS, HEAD = "calibration.safetensors", "streams.safetensors", "lm_head.safetensors"
SUFFIX = ".quantising"
# Beside a file of tensors: what to report of them. Within one: what it says of itself.
ROWS, ABOUT = ".json", "about"


@dataclass(frozen=True)
class MatrixRow:
    """What quantising one matrix gave, for the report.

    Attributes:
        layer: Its decoder layer; -1 for the output matrix.
        matrix: Its name in the layer.
        tokens: Calibration tokens that reached it.
        error: Of its outputs, as a share of their energy; None where it was not measured.
        rounding_error: What rounding to nearest would have cost.
        drift: How far its inputs are from the float model's, as a share of their energy.
        damp: Damping of its Hessian; None where it was rounded to nearest.
        reason: Why it was, or nothing.
    """

    layer: int
    matrix: str
    tokens: int
    error: float | None
    rounding_error: float | None
    drift: float | None
    damp: float | None
    reason: str = ""


class QuantiseState:
    """The folder of one quantisation."""

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        """Open what an earlier run with the same key left, or start anew."""
        self.folder = folder
        self._saved: list[str] = []
        self.resumed = _read_json(folder / KEY) == json.loads(json.dumps(key))
        if not self.resumed:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            write_json(folder / "key.tmp", key)
            (folder / "key.tmp").replace(folder / KEY)
        elif not self.layers_done():
            (folder / STREAMS).unlink(missing_ok=True)

    def layers_done(self) -> int:
        """Return how many layers are finished: the hidden states in front of the next are there."""
        found = _about(self.folder / STREAMS)
        if found is None:
            return 0
        whole = all(_about(self.folder / name) is not None for name in found["files"])
        return int(found["layer"]) if whole else 0

    def save_part(
        self, index: int, part: str, tensors: Mapping[str, Tensor], rows: list[MatrixRow]
    ) -> None:
        """Keep a part of a layer, and what to report of it; it counts when the layer is whole."""
        name = f"layer-{index:05d}-{part}.safetensors"
        self._save_weights(self.folder / name, tensors, rows)
        self._saved.append(name)

    def save_head(self, tensors: Mapping[str, Tensor], row: MatrixRow) -> None:
        """Keep the output matrix."""
        self._save_weights(self.folder / HEAD, tensors, [row])

    def head_done(self) -> bool:
        """Say whether the output matrix is finished."""
        return _about(self.folder / HEAD) is not None

    def save_streams(self, layer: int, stored: Tensor, original: Tensor) -> None:
        """Keep the hidden states (T, H) in front of a layer, in the place of earlier ones."""
        tensors = {"stored": stored, "original": original}
        files = [path.name for path in self._finished()] + self._saved
        _save(self.folder / STREAMS, tensors, {"layer": layer, "files": list(dict.fromkeys(files))})
        self._saved = []

    def load_streams(self) -> tuple[Tensor, Tensor]:
        """Return the hidden states in front of the next layer: stored, original."""
        with safe_open(self.folder / STREAMS, "pt") as file:
            return file.get_tensor("stored"), file.get_tensor("original")

    def save_inputs(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Keep the calibration's inputs and facts about them."""
        _save(self.folder / INPUTS, tensors, facts)

    def load_inputs(self, *names: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return the tensors of these names that `save_inputs` kept, and its facts, or None."""
        facts = _about(self.folder / INPUTS)
        if facts is None:
            return None
        with safe_open(self.folder / INPUTS, "pt") as file:
            return {name: file.get_tensor(name) for name in names}, facts

    def rows(self) -> list[MatrixRow]:
        """Return what to report of all that is finished, in the order of the model."""
        found = [_read_json(path.with_suffix(ROWS)) or [] for path in self.weight_files()]
        return [MatrixRow(**row) for rows in found for row in rows]

    def weight_files(self) -> list[Path]:
        """Return the files of GPTQ tensors, in the order of the model."""
        return self._finished() + ([self.folder / HEAD] if self.head_done() else [])

    def drop(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _finished(self) -> list[Path]:
        found = _about(self.folder / STREAMS) or {"files": []}
        return [self.folder / name for name in found["files"]]

    def _save_weights(
        self, path: Path, tensors: Mapping[str, Tensor], rows: list[MatrixRow]
    ) -> None:
        path.with_suffix(ROWS).write_text(json.dumps([asdict(row) for row in rows]))
        _save(path, tensors)


def state_folder(target: Path) -> Path:
    """Return where the state of an export to `target` lies."""
    return target.with_name(target.name + SUFFIX)


def _save(path: Path, tensors: Mapping[str, Tensor], about: Any = None) -> None:
    """Write a file whole, with what it says of itself.

    One entry at most beside the tensors: the library writes several in an order that changes.
    """
    partial = path.with_suffix(".tmp")
    metadata = {"format": "pt"} if about is None else {ABOUT: json.dumps(about)}
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    try:
        save_file(whole, partial, metadata)
    except SafetensorError as error:
        raise OSError(errno.ENOSPC, str(error), str(path)) from error
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def _about(path: Path) -> Any:
    """Return what a file says of itself; None where it is missing or damaged."""
    try:
        with safe_open(path, "pt") as file:
            return json.loads((file.metadata() or {}).get(ABOUT, "{}"))
    except (OSError, ValueError, SafetensorError):
        return None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
