"""The one pass over a decoder: each layer is read, rounded, written, and run in torch, then freed.

Two streams of hidden states go along. `stored` runs the weights as they are written, which is what
the graphs must reproduce; `original` runs the checkpoint's own, which says what rounding costs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from export.checkpoint import Checkpoint
from export.graph.decoder import DecoderWriter, Take, layer_weights
from export.graph.layers import LinearWeight
from export.progress import Progress
from export.quantise import HEAD_BITS, Scheme, store_back, taker
from export.reference.decoder import DecoderConfig, DecoderLayer, RMSNorm, layer_mask, rotary


@dataclass(frozen=True)
class WalkResult:
    """Logits (L, vocab) float32 of the verification prompt, by both streams."""

    stored: Tensor
    original: Tensor


class Stream:
    """Hidden states of one prompt on their way through the layers."""

    def __init__(self, config: DecoderConfig, inputs_embeds: Tensor) -> None:
        self.config = config
        self.x = inputs_embeds  # (1, L, H)
        self.cos, self.sin = rotary(config, torch.arange(inputs_embeds.shape[1]))

    def advance(self, index: int, layer: DecoderLayer) -> None:
        """Run one layer."""
        mask = layer_mask(self.config, index, self.x.shape[1])
        self.x = layer(self.x, self.cos, self.sin, mask)

    def logits(self, norm: Tensor, head: nn.Linear) -> Tensor:
        """Finish: (L, vocab)."""
        last = RMSNorm(self.config.hidden_size, self.config.rms_norm_eps)
        last.weight = nn.Parameter(norm, requires_grad=False)
        logits: Tensor = head(last(self.x))[0]
        return logits


def walk_decoder(
    checkpoint: Checkpoint,
    scheme: Scheme,
    group: int | None,
    writers: Sequence[DecoderWriter],
    inputs_embeds: Tensor,
    progress: Progress,
) -> WalkResult:
    """Write the decoder with every writer and compute the prompt's logits on the way.

    Args:
        checkpoint: Where the layers come from.
        scheme: How matrices are stored.
        group: Group size of int4.
        writers: One for each flavour of graph; all get the same integers.
        inputs_embeds: (1, L, H) float32, the verification prompt.
        progress: Told of each layer, in bytes of float32 weights.

    Raises:
        CheckpointError: a tensor is missing, of a wrong shape, or not finite.
        OSError: the disk is full or failed.
    """
    config = checkpoint.config.decoder
    stored, original = Stream(config, inputs_embeds), Stream(config, inputs_embeds)
    take = _keeping(taker(scheme, group))
    for i in range(config.num_hidden_layers):
        layer = checkpoint.decoder_layer(i)
        amount = sum(p.nbytes for p in layer.parameters())
        if scheme == "int4":
            original.advance(i, layer)
        weights = layer_weights(layer, take)
        for writer in writers:
            writer.layer(i, weights)
        stored.advance(i, layer)
        del weights, layer
        progress.step(f"decoder layer {i + 1} of {config.num_hidden_layers}", amount)
    if scheme != "int4":
        original = stored
    norm, head = checkpoint.norm(), _head(checkpoint)
    before = original.logits(norm, head)
    weight = _keeping(taker(scheme, group, HEAD_BITS))(head)
    for writer in writers:
        writer.head(norm, weight)
    progress.step("output matrix", head.weight.nbytes)
    after = stored.logits(norm, head) if scheme == "int4" else before
    return WalkResult(after, before)


def _keeping(take: Take) -> Take:
    """Make `take` also give the torch layer the stored values, so that it runs what is written."""

    def both(module: nn.Linear) -> LinearWeight:
        weight = take(module)
        store_back(module, weight)
        return weight

    return both


def _head(checkpoint: Checkpoint) -> nn.Linear:
    head = nn.Linear(1, 1, bias=False, device="meta")
    head.weight = nn.Parameter(checkpoint.lm_head(), requires_grad=False)
    return head
