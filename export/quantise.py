"""GPTQ over a decoder, layer by layer: no more than one layer is ever in memory.

Each layer is read from the checkpoint, quantised (`export.quantise_layer`) and left on disk with
everything that is needed to go on (`export.quantise_state`).
"""

from functools import partial

import torch

from export.calibrate import Calibration
from export.checkpoint import Checkpoint
from export.gptq_checkpoint import gptq_tensors
from export.progress import Progress
from export.quantise_layer import (
    LayerJob,
    QuantiseOptions,
    Streams,
    matrix_row,
    new_hessian,
    not_finite,
)
from export.quantise_state import MatrixRow, QuantiseState
from export.reference.decoder import DecoderConfig
from export.storage import HEAD_BITS
from export.streams import Stream
from quant.gptq import Settings, quantise

# In the place of a layer's number.
HEAD_LAYER = -1
# How much longer a weight takes to quantise than to read, write and compare.
QUANTISING_WORK = 20


def quantise_decoder(
    checkpoint: Checkpoint,
    calibration: Calibration,
    options: QuantiseOptions,
    state: QuantiseState,
    progress: Progress,
) -> list[MatrixRow]:
    """Quantise what is not finished yet; the tensors are left in `state`.

    Args:
        checkpoint: Where the layers come from.
        calibration: What goes through them; its inputs are used up.
        options: How.
        state: Where finished layers are, and go.
        progress: Told of each layer, in bytes of float32 weights.

    Returns:
        A row for every matrix of the model.

    Raises:
        CheckpointError: a tensor is missing, of a wrong shape, or not finite.
        ExportError: the calibration's values overflow in a layer.
        OSError: the disk is full or failed.
    """
    config = checkpoint.config.decoder
    start = state.layers_done()
    if start:
        stored, original = state.load_streams()
        progress.say(f"going on behind layer {start}, which an earlier run finished")
    else:
        stored, original = calibration.inputs_embeds.clone(), calibration.inputs_embeds
    streams = Streams(
        Stream(config, stored, calibration.lengths, options.device),
        Stream(config, original, calibration.lengths, options.device),
        calibration.weights,
    )
    for i in range(config.num_hidden_layers):
        if i >= start:
            job = LayerJob(i, streams, options, partial(checkpoint.expert, i), state)
            job.run(checkpoint.decoder_layer(i, experts=False))
            if not bool(torch.isfinite(streams.stored.x).all()):
                raise not_finite(i, "its output")
            state.save_streams(i + 1, streams.stored.x, streams.original.x)
        progress.step(f"quantising layer {i + 1} of {config.num_hidden_layers}", layer_work(config))
    if options.head == "int4" and not state.head_done():
        _quantise_head(checkpoint, streams, options, state)
    return state.rows()


def layer_work(config: DecoderConfig) -> int:
    """Return what quantising a layer counts as, beside reading and writing bytes of weights."""
    width, inner = config.hidden_size, config.intermediate_size
    attention = 2 * config.head_dim * (config.num_attention_heads + config.num_key_value_heads)
    numbers = width * (attention + 3 * inner * max(config.num_local_experts, 1))
    return QUANTISING_WORK * 4 * numbers


def _quantise_head(
    checkpoint: Checkpoint, streams: Streams, options: QuantiseOptions, state: QuantiseState
) -> None:
    device = torch.device(options.device)
    norm, head = checkpoint.norm().to(device), checkpoint.head().to(device)
    hessian = new_hessian([head.weight], options)
    for span in streams.stored.chunks():
        x, other = (s.normed(norm, span) for s in (streams.stored, streams.original))
        hessian.add(x, streams.weights[span].to(device), other)
    seen = hessian.tokens, hessian.drift
    settings = Settings(options.group, HEAD_BITS["int4"], options.damp, options.ridge)
    rounded = quantise({"lm_head": head.weight}, hessian, settings)["lm_head"]
    row = matrix_row(HEAD_LAYER, "lm_head", seen, rounded)
    state.save_head(gptq_tensors("lm_head", rounded.quantised), row)
