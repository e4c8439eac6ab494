"""What an export is going to do, decided and checked before the first weight is read."""

import math
from dataclasses import dataclass
from pathlib import Path

from engines.errors import ExportError
from export.checkpoint import Checkpoint
from export.quantise import HEAD_BITS, Scheme, choose_group

# GroupQueryAttention with rotary positions takes no other width of a head.
HEAD_DIM_STEP = 16
FLOAT_BYTES = {"fp32": 4, "fp16": 2, "int4": 2}


@dataclass(frozen=True)
class ExportOptions:
    """What the user asked for.

    Attributes:
        scheme: How weights are stored.
        group: Group size of int4; None takes the largest that fits.
        tensorrt_graph: Also write the decoder in standard operators.
        replace: Replace an existing bundle.
    """

    scheme: Scheme = "int4"
    group: int | None = None
    tensorrt_graph: bool = False
    replace: bool = False


@dataclass(frozen=True)
class Plan:
    """Sizes and choices of an export.

    Attributes:
        group: Group size, int4 only.
        bundle_bytes: Disk space the bundle takes, about.
        work: Bytes of the weights to go through, in float32: the unit of progress.
    """

    scheme: Scheme
    group: int | None
    bundle_bytes: int
    work: int


def make_plan(checkpoint: Checkpoint, options: ExportOptions) -> Plan:
    """Choose the group size and estimate the bundle.

    Raises:
        CheckpointError: a tensor of the decoder is missing or of another shape.
        ExportError: the checkpoint cannot be exported with these options.
    """
    config = checkpoint.config.decoder
    if config.head_dim % HEAD_DIM_STEP:
        raise ExportError(
            f"{checkpoint.folder} has attention heads {config.head_dim} wide, but a graph needs a"
            f" multiple of {HEAD_DIM_STEP}; give a checkpoint with such heads."
        )
    if options.group is not None and options.scheme != "int4":
        raise ExportError("--group goes with --int4 alone; leave one of them out.")
    if options.tensorrt_graph and len(set(config.windows)) > 1:
        raise ExportError(
            f"{checkpoint.folder} has layers with and without a sliding window, which the TensorRT"
            " graph cannot tell apart; leave out --tensorrt-graph."
        )
    group = choose_group(config, options.group) if options.scheme == "int4" else None
    checkpoint.check_decoder()
    bundle_bytes, work = _sizes(checkpoint, options.scheme, group, options.tensorrt_graph)
    return Plan(options.scheme, group, bundle_bytes, work)


def default_target(folder: Path, scheme: Scheme) -> Path:
    """Return where a bundle goes that was given no name: into the working directory."""
    return Path(f"{folder.resolve().name}-{scheme}.vl2")


def _sizes(
    checkpoint: Checkpoint, scheme: Scheme, group: int | None, tensorrt_graph: bool
) -> tuple[int, int]:
    plain = FLOAT_BYTES[scheme]
    layer_bytes: float = plain
    head_bytes: float = plain
    if group is not None:
        scale = 4 / group
        layer_bytes, head_bytes = 0.5 + scale, HEAD_BITS / 8 + scale
    total, count = 0.0, 0
    for name, stored in checkpoint.tensors.stored.items():
        numbers = math.prod(stored.shape)
        count += numbers
        if name.startswith(("model.layers.", "lm_head.")):
            times = 2 if tensorrt_graph else 1
            total += times * numbers * (head_bytes if name.startswith("lm") else layer_bytes)
        else:
            total += numbers * plain
    if checkpoint.config.audio_file is not None:
        total += checkpoint.config.audio_file.stat().st_size
    return round(total), 4 * count
