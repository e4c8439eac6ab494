"""Which weights are stored how: schemes, group sizes, and what rounds where no data is used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from engines.errors import ExportError
from export.graph.decoder import Take
from export.graph.layers import LinearWeight
from export.reference.decoder import DecoderConfig, DecoderLayer
from quant.grid import Quantised, dequantise, round_to_nearest

Scheme = Literal["fp32", "fp16", "int4"]
# How an int4 bundle's numbers were found: "rtn" rounds each to the nearest.
Method = Literal["gptq", "rtn"]
# The output matrix decides every token and is read once per token: eight bits unless asked.
Head = Literal["int4", "int8", "fp16"]
HEAD_BITS = {"int4": 4, "int8": 8}

GROUPS = (128, 64, 32, 16)
# What MatMulNBits takes: larger groups than we choose ourselves may be asked for.
ALLOWED_GROUPS = (*GROUPS, 256)
# Asked for as one scale for a whole row; written as the largest group that a kernel takes.
WHOLE_ROW = -1


def choose_group(config: DecoderConfig, asked: int | None) -> int:
    """Return the group size that divides the input of every decoder matrix.

    Args:
        config: The decoder.
        asked: What the user wants; None takes the largest of 128, 64, 32 and 16 that fits, and so
            does -1, one scale for a whole row: it is repeated for each of these groups.

    Raises:
        ExportError: the asked one does not divide an input or has no kernel, or none divides.
    """
    inputs = matrix_inputs(config)
    if asked == WHOLE_ROW:
        return choose_group(config, None)
    if asked and asked not in ALLOWED_GROUPS:
        raise ExportError(
            f"--group {asked} is none of -1, {', '.join(map(str, sorted(ALLOWED_GROUPS)))}, the"
            " sizes that can be run; leave --group out to take the largest that fits."
        )
    for group in (asked,) if asked else GROUPS:
        odd = [name for name, width in inputs.items() if width % group]
        if not odd:
            return group
    if asked:
        raise ExportError(
            f"--group {asked} does not divide the {inputs[odd[0]]} inputs of {odd[0]}; leave"
            " --group out to take the largest that fits."
        )
    raise ExportError(
        f"No group size of {GROUPS[-1]} or more divides the {inputs[odd[0]]} inputs of {odd[0]};"
        " export this checkpoint with --fp16."
    )


def matrix_inputs(config: DecoderConfig) -> dict[str, int]:
    """Return the number of inputs of each kind of matrix in a decoder layer."""
    return {
        "q_proj, k_proj, v_proj, gate_proj, up_proj and lm_head": config.hidden_size,
        "o_proj": config.num_attention_heads * config.head_dim,
        "down_proj": config.intermediate_size,
    }


@dataclass(frozen=True)
class Storage:
    """How the decoder's matrices are stored.

    Attributes:
        layer: Gives each layer's `Take`.
        head: Takes the output matrix.
    """

    layer: Callable[[int], Take]
    head: Take


def plain_storage(scheme: Scheme, group: int | None, head: Head = "int8") -> Storage:
    """Return the storage that looks at a matrix alone: "int4" rounds to nearest, others keep."""
    take = taker(scheme, group)
    return Storage(lambda index: take, head_taker(scheme, group, head))


def head_taker(scheme: Scheme, group: int | None, head: Head) -> Take:
    """Return what the output matrix is stored as, by rounding to nearest."""
    if scheme == "int4" and head == "fp16":
        return lambda name, module: LinearWeight(module.weight.half(), module.bias)
    return taker(scheme, group, HEAD_BITS.get(head, 8))


def taker(scheme: Scheme, group: int | None, bits: int = 4) -> Take:
    """Return the function that turns a decoder's linear layer into what is stored.

    Args:
        scheme: "int4" rounds to nearest; the others keep the matrix.
        group: Group size of int4.
        bits: Width of a code: 4, or 8 for the output matrix.
    """

    def keep(name: str, module: nn.Linear) -> LinearWeight:
        return LinearWeight(module.weight, module.bias)

    def round_matrix(name: str, module: nn.Linear) -> LinearWeight:
        assert group is not None
        return LinearWeight(round_to_nearest(module.weight, group, bits), module.bias)

    return round_matrix if scheme == "int4" else keep


def store_back(module: nn.Linear, layer: LinearWeight) -> None:
    """Give a torch layer the values that were stored, so that it computes what the graph does."""
    if isinstance(layer.weight, Quantised):
        dequantise(layer.weight, out=module.weight)
    elif layer.weight is not module.weight:
        module.weight.copy_(layer.weight)


def linear_shapes(layer: DecoderLayer) -> Mapping[str, tuple[int, int]]:
    """Return rows and columns of the matrices of a layer that are quantised, by name."""
    return {
        name: (module.out_features, module.in_features)
        for name, module in layer.named_modules()
        if isinstance(module, nn.Linear) and not name.endswith("block_sparse_moe.gate")
    }
