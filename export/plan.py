"""What an export is going to do, decided and checked before the first weight is read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engines.errors import ExportError
from export.calibrate import TOKENS, TokenWeights
from export.checkpoint import Checkpoint
from export.hub import Where
from export.memory import FLOAT
from export.quantise import layer_work
from export.quantise_layer import QuantiseOptions
from export.storage import HEAD_BITS, WHOLE_ROW, Head, Method, Scheme, choose_group

FLOAT_BYTES = {"fp32": 4, "fp16": 2, "int4": 2}
# How long other things take beside going through a weight once, measured at the size of 7B: to
# compute with the encoders, to check a decoder's graph, to measure what int4 costs.
ENCODER_SHARE, CHECK_SHARE, ACCURACY_SHARE = 2, 0.2, 2.0
Also = Literal["hash", "encoders", "check", "selftest", "accuracy"]


@dataclass(frozen=True)
class CalibrationOptions:
    """What GPTQ learns the inputs of the matrices from.

    Attributes:
        folder: Clips and questions; None takes what is bundled.
        tokens: How many are enough.
        weights: How much tokens of different kinds count.
    """

    folder: Path | None = None
    tokens: int = TOKENS
    weights: TokenWeights = "balanced"


@dataclass(frozen=True)
class ExportOptions:
    """What the user asked for.

    Attributes:
        scheme: How weights are stored.
        group: Group size of int4; None takes the largest that fits, -1 is one scale a row.
        engines: Engines are to be compiled of it: what none can be made of is refused at once.
        replace: Replace an existing bundle.
        method: How int4 is found; None is GPTQ.
        head: How the output matrix of int4 is stored; None is int8.
        embedding_bits: 16, or 8 for one scale a row.
        calibration: What GPTQ learns from.
        gptq: A GPTQ checkpoint to take the decoder from.
        keep_gptq: Where to leave the decoder as a GPTQ checkpoint.
        report: Where to draw what quantising gave.
        accept_loss: Publish a bundle that is outside the limits of accuracy.
        device: Where quantising computes.
        where: Where parts of the checkpoint are that are not in its folder.
    """

    scheme: Scheme = "int4"
    group: int | None = None
    engines: bool = False
    replace: bool = False
    method: Method | None = None
    head: Head | None = None
    embedding_bits: int = 16
    calibration: CalibrationOptions = field(default_factory=CalibrationOptions)
    gptq: Path | None = None
    keep_gptq: Path | None = None
    report: Path | None = None
    accept_loss: bool = False
    device: str = "cpu"
    where: Where = field(default_factory=Where)


@dataclass(frozen=True)
class Plan:
    """Sizes and choices of an export.

    Attributes:
        group: Group size in the graph, int4 only.
        method: How int4 is found, or "none".
        head: How the output matrix is stored, int4 only.
        quantise: How GPTQ quantises, if it does.
        calibration: On what.
        bundle_bytes: Disk space the bundle takes, about.
        decoder_bytes: What of it one flavour of the decoder's weights takes.
        scratch_bytes: What quantising keeps on disk meanwhile.
        work: Bytes of the weights to go through, in float32: the unit of progress.
        also: What goes through them again counts as, by its name.
    """

    scheme: Scheme
    group: int | None
    method: str
    head: Head
    quantise: QuantiseOptions | None
    calibration: CalibrationOptions
    bundle_bytes: int
    decoder_bytes: int
    scratch_bytes: int
    work: int
    also: Mapping[Also, int]


def make_plan(checkpoint: Checkpoint, options: ExportOptions) -> Plan:
    """Choose the group size and estimate the bundle.

    Raises:
        CheckpointError: a tensor of the decoder is missing or of another shape.
        ExportError: the checkpoint cannot be exported with these options.
    """
    config = checkpoint.config.decoder
    if config.head_dim % 2:
        raise ExportError(
            f"{checkpoint.folder} has attention heads {config.head_dim} wide, but positions turn"
            " their two halves; give a checkpoint with heads of an even width."
        )
    _refuse_contradictions(options)
    int4 = options.scheme == "int4"
    group = choose_group(config, options.group) if int4 else None
    asked = WHOLE_ROW if options.group == WHOLE_ROW else group
    checkpoint.check_decoder()
    method = (options.method or "gptq") if int4 else "none"
    head = options.head or "int8"
    quantise = None
    if method == "gptq" and options.gptq is None:
        assert asked is not None
        quantise = QuantiseOptions(asked, head, device=options.device)
    sizes = _sizes(checkpoint, options, group)
    bundle_bytes = sizes.bundle
    also = _also(sizes, options)
    work = sizes.numbers * FLOAT + sum(also.values())
    scratch = 0
    if quantise is not None:
        work += layer_work(config) * config.num_hidden_layers
        # Inputs, both streams twice while they are written, and the integers.
        scratch = 5 * FLOAT * options.calibration.tokens * config.hidden_size + bundle_bytes
    return Plan(
        options.scheme,
        group,
        method,
        head,
        quantise,
        options.calibration,
        bundle_bytes,
        sizes.decoder,
        scratch,
        work,
        also,
    )


def default_target(folder: Path, scheme: Scheme) -> Path:
    """Return where a bundle goes that was given no name: into the working directory."""
    return Path(f"{folder.resolve().name}-{scheme}.vl2")


def _refuse_contradictions(options: ExportOptions) -> None:
    """Refuse options that do not go together.

    Raises:
        ExportError: one would have no effect.
    """
    calibrated = {
        "--calibration": options.calibration != CalibrationOptions(),
        "--keep-gptq": options.keep_gptq is not None,
        "--report": options.report is not None,
    }
    grouped = {"--group": options.group is not None}
    int4_only = {
        "--rtn": options.method == "rtn",
        "--gptq": options.gptq is not None,
        "--head": options.head is not None,
        "--embeddings 8": options.embedding_bits != 16,
        "--accept-loss": options.accept_loss,
    }
    rules = [
        (options.scheme != "int4", "--int4", grouped | int4_only | calibrated),
        (options.method == "rtn", "GPTQ", calibrated),
        (options.gptq is not None, "GPTQ made here", grouped | calibrated),
        (options.gptq is not None, "GPTQ made here", {"--rtn": options.method == "rtn"}),
    ]
    for applies, wanted, given in rules:
        for name, present in given.items():
            if applies and present:
                raise ExportError(f"{name} goes with {wanted} alone; leave one of them out.")


@dataclass(frozen=True)
class _Sizes:
    """Numbers in the checkpoint, and in its decoder; bytes of the bundle, and of one decoder."""

    numbers: int
    decoder_numbers: int
    bundle: int
    decoder: int


def _also(sizes: _Sizes, options: ExportOptions) -> dict[Also, int]:
    """Return what counts beside going through the weights once, by the time it takes."""
    decoder = sizes.decoder_numbers * FLOAT
    encoders = sizes.numbers * FLOAT - decoder
    flavours = 2 if options.scheme == "int4" else 1
    found: dict[Also, int] = {
        "hash": sizes.numbers // 2,
        "encoders": ENCODER_SHARE * encoders,
        "check": round(CHECK_SHARE * decoder),
        "selftest": round(CHECK_SHARE * decoder) * min(flavours, 2) + ENCODER_SHARE * encoders,
        "accuracy": round(ACCURACY_SHARE * decoder) if options.scheme == "int4" else 0,
    }
    return {**found, "check": found["check"] * flavours}


def _sizes(checkpoint: Checkpoint, options: ExportOptions, group: int | None) -> _Sizes:
    plain = FLOAT_BYTES[options.scheme]
    layer_bytes: float = plain
    head_bytes: float = plain
    if group is not None:
        scale, bits = 4 / group, HEAD_BITS.get(options.head or "int8")
        layer_bytes = 0.5 + scale
        head_bytes = bits / 8 + scale if bits else plain
    total, count = 0.0, 0
    decoder, decoder_count = 0.0, 0
    for name, stored in checkpoint.tensors.stored.items():
        numbers = math.prod(stored.shape)
        count += numbers
        if name.startswith(("model.layers.", "lm_head.")):
            decoder += numbers * (head_bytes if name.startswith("lm") else layer_bytes)
            decoder_count += numbers
        else:
            total += numbers * plain
    total += decoder
    return _Sizes(count, decoder_count, round(total), round(decoder))
