"""What an export takes of this computer, worked out before it starts and refused if too much.

Disk: the bundle, and what quantising leaves beside it meanwhile. Memory: one part of the model is
worked on at a time, so the part that takes the most decides. The figures are of ONNX Runtime on a
CPU (docs/benchmarks.md).
"""

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engines.bundle import Bundle
from engines.errors import ExportError
from engines.machine_memory import memory_here
from engines.part_memory import PACKED, graph_bytes, int4_copies
from export.checkpoint import Checkpoint
from export.measure import FEW_FRAMES, MOST_TOKENS, token_budget
from export.memory import FLOAT, memory_plan
from export.plan import FLOAT_BYTES, ExportOptions, Plan
from export.progress import size
from export.quantise_state import state_folder
from export.reference.decoder import DecoderConfig
from export.tensor_names import AUDIO, AUDIO_PROJECTOR, PROJECTOR, VISION
from export.unfinished import part_folder

# Beside the weights: graphs, tokenizer, manifest, notes of finished steps, the file system's needs.
SPARE_BYTES = 64 << 20
# Python, torch, ONNX and ONNX Runtime, and the pages of files that are in use.
PROGRAM_BYTES = 1_000_000_000
# What a tower or connector works with, four frames at a time; float32.
WORKING_BYTES = 300_000_000
# What torch holds of a clip's features, at the decoder's width, on their way through a connector;
# and how often it copies the connector's largest kernel meanwhile.
FEATURE_COPIES, KERNEL_COPIES = 4, 2
# Of this computer's memory, what a decoder may take that is checked as a whole.
SHARE_OF_MEMORY = 0.8


@dataclass(frozen=True)
class Need:
    """Bytes of memory at the moment when one part of the export takes the most."""

    what: str
    bytes: int


def memory_needs(checkpoint: Checkpoint, plan: Plan, options: ExportOptions) -> list[Need]:
    """Work out what each part of an export takes, the whole program included, the largest first."""
    config, scheme = checkpoint.config.decoder, plan.scheme
    encoders = {
        "the vision tower": _numbers(checkpoint, VISION),
        "the connector": _numbers(checkpoint, PROJECTOR),
        "the audio tower": _numbers(checkpoint, AUDIO, AUDIO_PROJECTOR),
    }
    kernels = {"the connector": max(_sizes(checkpoint, PROJECTOR), default=0)}
    needs = [
        Need(what, _encoder_bytes(n, scheme, kernels.get(what, 0)))
        for what, n in encoders.items()
        if n
    ]
    vocabulary = config.vocab_size * config.hidden_size
    stored = max(t.size // max(math.prod(t.shape), 1) for t in checkpoint.tensors.stored.values())
    needs += [
        Need("the token embeddings", vocabulary * (stored + FLOAT_BYTES[scheme])),
        Need("a layer of the decoder", _layer_bytes(config, scheme)),
        Need("the output matrix", vocabulary * (FLOAT + max(stored, 2))),
        _checking(plan, config),
    ]
    # Beside the encoders: the conversations that are put together by them.
    numbers, frames = sum(encoders.values()), checkpoint.config.num_frames
    if scheme == "int4":
        few = FEW_FRAMES if token_budget(config) < MOST_TOKENS else frames
        together = _encoder_bytes(numbers, scheme)
        kept = FLOAT * token_budget(config) * config.hidden_size
        reference = _reference_bytes(checkpoint, numbers, few) + kept
        measuring = max(together, reference, _checking(plan, config).bytes)
        needs.append(Need("measuring what int4 costs", measuring))
    if plan.quantise is not None:
        kept = FLOAT * plan.calibration.tokens * config.hidden_size
        looking = _reference_bytes(checkpoint, numbers, frames) + kept
        needs.append(Need("looking at the clips to calibrate on", looking))
        quantising = memory_plan(config, plan.calibration.tokens).total
        needs.append(Need("quantising", max(quantising - PROGRAM_BYTES, 0)))
    whole = [Need(need.what, need.bytes + PROGRAM_BYTES) for need in needs]
    return sorted(whole, key=lambda need: -need.bytes)


def check_needs(target: Path, plan: Plan, needs: list[Need]) -> str:
    """Refuse an export for which disk or memory will not do.

    Args:
        target: The bundle to be made.
        plan: How.
        needs: What `memory_needs` returned.

    Returns:
        A line about what it takes and what is there.

    Raises:
        ExportError: the disk has too little space, or the computer too little memory; caches that
            the system gives up count as free.
    """
    # An interrupted run of the same export has some of it already.
    begun = _folder_bytes(part_folder(target)) + _folder_bytes(state_folder(target))
    disk = max(plan.bundle_bytes + plan.scratch_bytes - begun, 0) + SPARE_BYTES
    parent = target.absolute().parent
    free_disk = shutil.disk_usage(parent).free
    if free_disk < disk:
        raise ExportError(
            f"The export needs {size(disk)} of disk but {parent} has {size(free_disk)} free,"
            f" {size(disk - free_disk)} too little; free space or choose another place with -o."
        )
    most, free = needs[0], memory_here().available_bytes
    if free is not None and free < most.bytes:
        raise ExportError(
            f"The export needs {size(most.bytes)} of memory (for {most.what}) but {size(free)} are"
            f" free, {size(most.bytes - free)} too little; close other programs, or export on a"
            " computer with more."
        )
    there = "" if free is None else f" of the {size(free)} that are free"
    return (
        f"takes up to {size(most.bytes)} of memory{there}, for {most.what}; and {size(disk)} of"
        f" disk of the {size(free_disk)} free in {parent}"
    )


def _numbers(checkpoint: Checkpoint, *prefixes: str) -> int:
    return sum(_sizes(checkpoint, *prefixes))


def _sizes(checkpoint: Checkpoint, *prefixes: str) -> Iterator[int]:
    for name, stored in checkpoint.tensors.stored.items():
        if name.startswith(prefixes):
            yield math.prod(stored.shape)


def _encoder_bytes(numbers: int, scheme: str, kernel: int = 0) -> int:
    """As torch holds it, with the copies of its largest kernel; or as the library packs the graph.

    The former is more for a connector, the latter for a tower.
    """
    kind = "fp32" if scheme == "fp32" else "fp16"
    packed = round(numbers * FLOAT_BYTES[kind] * PACKED[kind])
    return max(FLOAT * (numbers + KERNEL_COPIES * kernel), packed) + WORKING_BYTES


def _reference_bytes(checkpoint: Checkpoint, numbers: int, frames: int) -> int:
    """All encoders as torch holds them, and a clip of so many frames on its way through."""
    vision, width = checkpoint.config.vision, checkpoint.config.decoder.hidden_size
    kernel = max(_sizes(checkpoint, PROJECTOR), default=0)
    features = frames * vision.grid**2 * width
    held = numbers + KERNEL_COPIES * kernel + FEATURE_COPIES * features
    return FLOAT * held + WORKING_BYTES


def _layer_bytes(config: DecoderConfig, scheme: str) -> int:
    """A layer in float32, the matrix that is being read, and codes until all are written."""
    width, inner = config.hidden_size, config.intermediate_size
    heads = config.num_attention_heads + config.num_key_value_heads
    attention, matrix = 2 * width * config.head_dim * heads, width * inner
    kept = 1 if scheme == "int4" else FLOAT
    experts = config.num_local_experts
    if not experts:
        layer = attention + 3 * matrix
        return layer * (FLOAT + kept) + 4 * matrix
    # One expert at a time is read; what is stored of all of them is written together.
    return attention * FLOAT + 3 * matrix * (FLOAT + kept * experts) + 4 * matrix


def decoder_in_pieces(plan: Plan) -> bool:
    """Say whether the decoder is checked a layer at a time, as this computer cannot hold it.

    That depends on the memory it has, not on what is free now: an export that is interrupted goes
    on in the same way.
    """
    return _too_large(_session_bytes(plan.decoder_bytes, plan.scheme, plan.group))


def bundle_in_pieces(bundle: Bundle) -> bool:
    """Say the same of a finished bundle."""
    made, stored = bundle.config.quantisation, graph_bytes(bundle.config, "decoder")
    return _too_large(_session_bytes(stored, made.scheme, made.group_size))


def _too_large(session: int) -> bool:
    total = memory_here().total_bytes
    return total is not None and session + PROGRAM_BYTES > SHARE_OF_MEMORY * total


def _checking(plan: Plan, config: DecoderConfig) -> Need:
    whole = _session_bytes(plan.decoder_bytes, plan.scheme, plan.group)
    if not decoder_in_pieces(plan):
        return Need("checking the whole decoder", whole)
    head = config.vocab_size * config.hidden_size * (1 if plan.scheme == "int4" else 2)
    widest = max(plan.decoder_bytes // config.num_hidden_layers, head)
    piece = _session_bytes(widest, plan.scheme, plan.group)
    return Need("checking the decoder layer by layer", piece)


def _session_bytes(stored: int, scheme: str, group: int | None) -> int:
    """A decoder's graph, or a piece of it, as ONNX Runtime holds it."""
    if group is None:
        return round(stored * PACKED[scheme])
    return round(stored * int4_copies(group))


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
