"""Decoders out of GPTQ checkpoints: as graphs store them, and only of the same model."""

from pathlib import Path

import torch
from torch import nn

from engines.errors import CheckpointError, ExportError
from export.checkpoint import Checkpoint
from export.gptq_checkpoint import GptqFolder
from export.graph.decoder import Take
from export.graph.layers import LinearWeight
from export.plan import Plan
from export.reference.decoder import DecoderLayer
from export.storage import ALLOWED_GROUPS, GROUPS, Storage, head_taker, linear_shapes
from quant.grid import Quantised, dequantise, with_group

# A GPTQ checkpoint whose matrices are further than this from the float ones is of another model:
# two unrelated matrices differ by more than all of their energy, rounding to 4 bits by 2 %.
FURTHEST = 0.5


def gptq_storage(source: GptqFolder, plan: Plan) -> Storage:
    """Return the storage that takes every matrix from a GPTQ checkpoint."""

    def layer(index: int) -> Take:
        def take(name: str, module: nn.Linear) -> LinearWeight:
            quantised = source.matrix(f"model.layers.{index}.{name}", *module.weight.shape)
            return LinearWeight(kernel_form(quantised), module.bias)

        return take

    def head(name: str, module: nn.Linear) -> LinearWeight:
        return LinearWeight(kernel_form(source.matrix(name, *module.weight.shape)), module.bias)

    own_head = plan.head == "int4" and "lm_head.qweight" in source.tensors
    return Storage(layer, head if own_head else head_taker("int4", plan.group, plan.head))


def kernel_form(quantised: Quantised) -> Quantised:
    """Return a matrix in groups that kernels take: larger ones become several with one scale."""
    if quantised.group in ALLOWED_GROUPS:
        return quantised
    return with_group(quantised, next(g for g in GROUPS if quantised.group % g == 0))


def open_gptq(checkpoint: Checkpoint, folder: Path) -> GptqFolder:
    """Open a GPTQ checkpoint of the same model and look every matrix up.

    Raises:
        CheckpointError: it is of another model, malformed or of a kind that no graph holds.
    """
    config = checkpoint.config.decoder
    source = GptqFolder(folder)
    with torch.device("meta"):
        shapes = linear_shapes(DecoderLayer(config))
    for columns in {columns for _, columns in shapes.values()}:
        group = source.group(columns)
        if group % GROUPS[-1] and columns % group == 0:
            raise CheckpointError(
                f"{folder} has groups of {group}, but the smallest that can be run is"
                f" {GROUPS[-1]}; give one with larger groups."
            )
    for index in range(config.num_hidden_layers):
        for name, (rows, columns) in shapes.items():
            source.check(f"model.layers.{index}.{name}", rows, columns)
    _check_likeness(checkpoint, source)
    return source


def _check_likeness(checkpoint: Checkpoint, source: GptqFolder) -> None:
    config = checkpoint.config.decoder
    for index in {0, config.num_hidden_layers - 1}:
        name = f"model.layers.{index}.self_attn.o_proj"
        shape = config.hidden_size, config.num_attention_heads * config.head_dim
        weight = checkpoint.tensors.get(f"{name}.weight", shape).float()
        apart = dequantise(source.matrix(name, *shape)) - weight
        if not float(apart.square().sum()) <= FURTHEST * float(weight.square().sum()):
            raise CheckpointError(
                f"{source.folder} was made of another model: its {name} is nothing like that of"
                f" {checkpoint.folder}; give the GPTQ folder that was made of this checkpoint."
            )


def refuse_unordered(source: GptqFolder) -> None:
    """Refuse what no engine of the decoder can be made of.

    Raises:
        ExportError: the checkpoint has zero points or its own order of columns.
    """
    config = source.config
    if config.desc_act or not config.sym:
        what = "groups in an order of their own (desc_act)" if config.desc_act else "zero points"
        raise ExportError(
            f"{source.folder} has {what}, of which TensorRT can make no decoder; leave --tensorrt"
            " out, or quantise the checkpoint here."
        )
