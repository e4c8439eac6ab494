"""Passes over a decoder, one layer in memory at a time.

To write it: each layer is read, stored in its new form, written, and run in torch with the weights
as they are written, which is what the graphs must reproduce. And to run it as it is.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from export.checkpoint import Checkpoint
from export.graph.decoder import (
    DecoderWriter,
    LayerWeights,
    Take,
    expert_path,
    feed_forward_weights,
    layer_weights,
)
from export.graph.layers import LinearWeight
from export.progress import Progress
from export.reference.decoder import DecoderLayer
from export.storage import Storage, store_back
from export.streams import BranchedStream, Stream
from export.unfinished import Unfinished

# The step that is noted anew after every layer.
LAYERS = "layers"


def walk_decoder(
    checkpoint: Checkpoint,
    storage: Storage,
    writers: Sequence[DecoderWriter],
    inputs_embeds: Tensor,
    wanted: Sequence[int],
    work: Unfinished,
    progress: Progress,
) -> Tensor:
    """Write the decoder with every writer and compute a prompt's logits on the way.

    Args:
        checkpoint: Where the layers come from.
        storage: How their matrices are stored.
        writers: One for each flavour of graph; all get the same integers.
        inputs_embeds: (1, L, H) float32, the verification prompt.
        wanted: Positions of the prompt whose logits are wanted.
        work: Where finished layers are noted, and may be already.
        progress: Told of each layer, in bytes of float32 weights.

    Returns:
        Logits (n, vocab) float32 by the weights as they are stored.

    Raises:
        CheckpointError: a tensor is missing, of a wrong shape, or not finite.
        OSError: the disk is full or failed.
    """
    config = checkpoint.config.decoder
    stream = Stream(config, inputs_embeds[0].clone(), [inputs_embeds.shape[1]])
    start = _resume(work, writers, stream, progress)
    for i in range(start, config.num_hidden_layers):
        layer = checkpoint.decoder_layer(i, experts=False)
        amount = sum(p.nbytes for p in layer.parameters() if not p.is_meta)
        take = _keeping(storage.layer(i))
        if config.num_local_experts:
            amount += checkpoint.expert_bytes() * config.num_local_experts
            weights = _walk_experts(checkpoint, i, layer, take, stream)
        else:
            weights = layer_weights(layer, take)
            stream.advance(i, layer)
        for writer in writers:
            writer.layer(i, weights)
        del weights, layer
        progress.step(f"decoder layer {i + 1} of {config.num_hidden_layers}", amount)
        _note(work, writers, stream, progress, i + 1)
    norm, head = checkpoint.norm(), checkpoint.head()
    weight = _keeping(storage.head)("lm_head", head)
    for writer in writers:
        writer.head(norm, weight)
    progress.step("output matrix", head.weight.nbytes)
    return head(stream.normed(norm, torch.tensor(wanted)))


def _note(
    work: Unfinished,
    writers: Sequence[DecoderWriter],
    stream: Stream,
    progress: Progress,
    layers: int,
) -> None:
    """Note that so many layers are written, and what the next one needs."""
    facts = {
        "layers": layers,
        "done": progress.done,
        "sizes": [writer.g.data.flush() for writer in writers],
        "names": [writer.x for writer in writers],
    }
    graphs = {
        f"graph_{n}": np.frombuffer(writer.g.to_bytes(), np.uint8)
        for n, writer in enumerate(writers)
    }
    work.save(LAYERS, facts, {"x": stream.x.numpy(), **graphs})


def _resume(
    work: Unfinished, writers: Sequence[DecoderWriter], stream: Stream, progress: Progress
) -> int:
    """Go on behind the last layer that was noted; returns how many are written."""
    found = work.load(LAYERS)
    if found is None:
        return 0
    facts, arrays = found
    for n, writer in enumerate(writers):
        writer.g.restore(arrays[f"graph_{n}"].tobytes())
        writer.g.data.resume(facts["sizes"][n])
        writer.x = facts["names"][n]
    stream.x.copy_(torch.from_numpy(arrays["x"]))
    progress.skip(facts["done"])
    progress.say(f"going on behind layer {facts['layers']} of the decoder")
    return int(facts["layers"])


def _walk_experts(
    checkpoint: Checkpoint, index: int, layer: DecoderLayer, take: Take, stream: Stream
) -> LayerWeights:
    """Go through a layer of experts with one of them in memory at a time."""
    weights = layer_weights(layer, take)
    stream.attend(index, layer)
    routing = stream.route(layer)
    experts = []
    for e in range(checkpoint.config.decoder.num_local_experts):
        expert = checkpoint.expert(index, e)
        experts.append(feed_forward_weights(expert_path(e), expert, take))
        stream.add_expert(routing, layer, e, expert)
    stream.x += routing.out
    return dataclasses.replace(weights, experts=tuple(experts))


def _keeping(take: Take) -> Take:
    """Make `take` also give the torch layer the stored values, so that it runs what is written."""

    def both(name: str, module: nn.Linear) -> LinearWeight:
        weight = take(name, module)
        store_back(module, weight)
        return weight

    return both


def reference_logits(
    checkpoint: Checkpoint, prompts: Sequence[Tensor], answers: Sequence[Sequence[Tensor]]
) -> list[list[Tensor]]:
    """Let the unrounded decoder read answers, layer by layer, in one pass over the checkpoint.

    Args:
        checkpoint: Where the layers come from.
        prompts: (L, H) float32 each.
        answers: To each prompt, which is read once, one or more answers (n, H) float32.

    Returns:
        Logits (n, vocab) float32 from which each token of the answers is chosen.
    """
    config = checkpoint.config.decoder
    stream = BranchedStream(config, prompts, answers)
    for i in range(config.num_hidden_layers):
        layer = checkpoint.decoder_layer(i, experts=False)
        if config.num_local_experts:
            stream.attend(i, layer)
            routing = stream.route(layer)
            for e in range(config.num_local_experts):
                stream.add_expert(routing, layer, e, checkpoint.expert(i, e))
            stream.x += routing.out
        else:
            stream.advance(i, layer)
        del layer  # before the next one is read
    rows = [list(stream.choosing(n, said)) for n, said in enumerate(answers)]
    together = torch.cat([at for found in rows for at in found])
    logits = iter(
        checkpoint.logits(stream.normed(checkpoint.norm(), together)).split(
            [len(at) for found in rows for at in found]
        )
    )
    return [[next(logits) for _ in found] for found in rows]
