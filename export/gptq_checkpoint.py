"""GPTQ checkpoints, the format of AutoGPTQ and GPTQModel: ours are written, anybody's are read.

A linear layer `X` of K inputs and N outputs is held in `X.qweight` (K * bits / 32, N) int32,
`X.qzeros` (G, N * bits / 32) int32, `X.scales` (G, N) float16 and `X.g_idx` (K,) int32, the group
of each input. `quant.pack` has the bits. What we write is symmetric and in order.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.errors import CheckpointError
from export import PRODUCER
from export.keys import Keys
from export.tensors import DTYPES, FLOATS, INTEGERS, file_exists, read_json
from export.weight_files import TensorFolder
from quant.grid import MAX_SCALE, Quantised
from quant.pack import from_gptq_weight, from_gptq_zeros, to_gptq_weight, to_gptq_zeros

CONFIG = "quantize_config.json"
WEIGHT, ZEROS, SCALES, GROUPS = "qweight", "qzeros", "scales", "g_idx"
# A zero point is stored less one in the first of the two forms.
FORMATS = {"gptq": True, "gptq_v2": False}
USE_ANOTHER = "give one of 4 bits made by GPTQModel or AutoGPTQ"


@dataclass(frozen=True)
class GptqConfig:
    """What a GPTQ checkpoint says of itself.

    Attributes:
        bits: 4 or 8.
        group_size: Inputs that share a scale; -1 is all.
        desc_act: Whether groups may follow another order than the inputs.
        sym: Whether zero points are all in the middle.
        minus_one: Whether zero points are stored less one.
    """

    bits: int
    group_size: int
    desc_act: bool
    sym: bool
    minus_one: bool


def gptq_tensors(name: str, quantised: Quantised) -> dict[str, Tensor]:
    """Return the four tensors of a plain matrix called `name`.

    Raises:
        ValueError: its inputs do not fill words of 32 bits.
    """
    assert quantised.plain
    codes, bits, columns = quantised.codes.cpu().numpy(), quantised.bits, quantised.codes.shape[1]
    zeros = np.zeros(tuple(quantised.scales.shape), np.int8)
    return {
        f"{name}.{WEIGHT}": torch.from_numpy(to_gptq_weight(codes, bits)),
        f"{name}.{ZEROS}": torch.from_numpy(to_gptq_zeros(zeros, bits)),
        f"{name}.{SCALES}": quantised.scales.cpu().T.half().contiguous(),
        f"{name}.{GROUPS}": (torch.arange(columns) // quantised.group).int(),
    }


def config_json(bits: int, group_size: int, damp: float) -> dict[str, Any]:
    """Return what `quantize_config.json` says of a checkpoint of ours."""
    return {
        "bits": bits,
        "group_size": group_size,
        "desc_act": False,
        "static_groups": True,
        "sym": True,
        "lm_head": False,
        "quant_method": "gptq",
        "checkpoint_format": "gptq",
        "pack_dtype": "int32",
        "true_sequential": True,
        "damp_percent": damp,
        "meta": {"quantizer": [PRODUCER.replace(" ", ":")]},
    }


def read_gptq_config(folder: Path) -> GptqConfig:
    """Read `quantize_config.json`, or `quantization_config` of `config.json`.

    Raises:
        CheckpointError: there is neither, or it is of another method or of other bits.
    """
    path = folder / CONFIG
    if file_exists(path):
        data: Any = read_json(path)
    else:
        path = folder / "config.json"
        data = read_json(path).get("quantization_config") if file_exists(path) else None
    if not isinstance(data, dict):
        raise CheckpointError(f"{folder} is not a GPTQ checkpoint (no {CONFIG}); {USE_ANOTHER}.")
    method = data.get("quant_method", data.get("method", "gptq"))
    form = data.get("checkpoint_format", data.get("format", "gptq"))
    if method != "gptq" or not isinstance(form, str) or form not in FORMATS:
        raise CheckpointError(f"{path} is of method {method!r}, format {form!r}; {USE_ANOTHER}.")
    keys = Keys(data, path)
    bits, group_size = keys.integer("bits"), data.get("group_size", -1)
    if bits not in (4, 8):
        raise CheckpointError(f"{path} is of {bits} bits, which no graph holds; {USE_ANOTHER}.")
    if isinstance(group_size, bool) or not isinstance(group_size, int) or group_size < -1:
        raise keys.bad("group_size", "a whole number, or -1")
    if data.get("pack_dtype", "int32") != "int32" or data.get("dynamic"):
        raise CheckpointError(
            f"{path} packs its weights in another way than 32 bit words, or each layer in its own;"
            f" {USE_ANOTHER}."
        )
    return GptqConfig(
        bits,
        group_size,
        desc_act=bool(data.get("desc_act", False)),
        sym=bool(data.get("sym", True)),
        minus_one=FORMATS[form],
    )


class GptqFolder:
    """The matrices of a GPTQ checkpoint, read one at a time.

    Raises:
        CheckpointError: on opening or later, when something is missing, malformed or not finite.
    """

    def __init__(self, folder: Path, files: Sequence[Path] | None = None) -> None:
        """Read the headers of a folder's weight files, or of the given ones."""
        if not folder.is_dir():
            raise CheckpointError(f"{folder} is not a folder; {USE_ANOTHER}.")
        self.folder = folder
        self.config = read_gptq_config(folder)
        # AutoGPTQ names its single file after bits and group.
        named = sorted(folder.glob("gptq_model-*.safetensors"))
        self.tensors = TensorFolder(folder, files or (named if len(named) == 1 else None))

    def group(self, columns: int) -> int:
        """Return how many of so many inputs share a scale."""
        return columns if self.config.group_size == -1 else self.config.group_size

    def check(self, name: str, rows: int, columns: int) -> None:
        """Look a matrix up in the headers.

        Raises:
            CheckpointError: it is not there, or is not this large.
        """
        for part, shape in self._shapes(rows, columns).items():
            kinds = FLOATS if part == SCALES else INTEGERS
            stored = self.tensors.stored.get(f"{name}.{part}")
            if part == GROUPS and stored is None and not self.config.desc_act:
                continue
            if stored is None:
                raise CheckpointError(
                    f"{self.folder} has no tensor {name}.{part}, so it is of another model or not"
                    " complete; give the GPTQ folder that was made of this checkpoint."
                )
            if stored.shape != shape or stored.dtype not in kinds:
                raise CheckpointError(
                    f"Tensor {name}.{part} in {stored.path} is {stored.dtype} {list(stored.shape)}"
                    f" where this model needs {list(shape)}; give the GPTQ folder that was made of"
                    " this checkpoint."
                )

    def matrix(self, name: str, rows: int, columns: int) -> Quantised:
        """Read a matrix (N, K): `rows` outputs, `columns` inputs."""
        self.check(name, rows, columns)
        bits = self.config.bits
        read = {
            part: self.tensors.get(f"{name}.{part}", shape, DTYPES)
            for part, shape in self._shapes(rows, columns).items()
            if f"{name}.{part}" in self.tensors
        }
        scales = read[SCALES].float().T.contiguous()
        if not bool(((scales > 0) & (scales <= MAX_SCALE)).all()):
            raise CheckpointError(
                f"{name}.{SCALES} in {self.folder} holds scales that are not positive;"
                f" {USE_ANOTHER}."
            )
        codes = torch.from_numpy(from_gptq_weight(read[WEIGHT].numpy(), bits))
        zeros = torch.from_numpy(
            from_gptq_zeros(read[ZEROS].numpy(), rows, bits, self.config.minus_one)
        )
        quantised = Quantised(codes, scales, bits, zeros if bool(zeros.any()) else None)
        return self._in_order(name, quantised, read.get(GROUPS))

    def _in_order(self, name: str, quantised: Quantised, groups: Tensor | None) -> Quantised:
        """Sort the columns by their group, if they are not."""
        columns, group = quantised.codes.shape[1], quantised.group
        plain = torch.arange(columns) // group
        if groups is None or torch.equal(groups.long(), plain):
            return quantised
        order = torch.argsort(groups.long(), stable=True)
        if not torch.equal(groups.long()[order], plain):
            raise CheckpointError(
                f"{name}.{GROUPS} in {self.folder} does not put {group} inputs into each group;"
                f" {USE_ANOTHER}."
            )
        return dataclasses.replace(quantised, codes=quantised.codes[:, order], order=order)

    def _shapes(self, rows: int, columns: int) -> Mapping[str, tuple[int, ...]]:
        bits, group = self.config.bits, self.group(columns)
        if columns % group:
            raise CheckpointError(
                f"The group size {group} of {self.folder} does not divide the {columns} inputs of"
                " this model; give the GPTQ folder that was made of this checkpoint."
            )
        groups = columns // group
        return {
            WEIGHT: (columns * bits // 32, rows),
            ZEROS: (groups, -(-rows * bits // 32)),
            SCALES: (groups, rows),
            GROUPS: (columns,),
        }


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON object."""
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
