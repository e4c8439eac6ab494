"""Decoder graphs of a published geometry at full width, against torch, without a checkpoint.

Every tensor is drawn when it is needed, by `random_checkpoint`'s rules; a layer, or one expert of
it, is in memory at a time. A prompt goes through the graph as the runtime feeds it, and through
torch with the weights as they are stored.

    python -m tests.oracles.geometry_parity 72b WORK --layers 2 --head int8
    python -m tests.oracles.geometry_parity 8x7b WORK --layers 1 --scheme fp16

WORK takes the graphs, half a byte a weight for int4, two for fp16, and is to be deleted afterwards.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor, nn

from export.compare import logit_positions, run_decoder, run_tensorrt_decoder
from export.graph.builder import DataFile, Graph
from export.graph.decoder import (
    ONNXRUNTIME,
    DecoderWriter,
    Take,
    expert_path,
    feed_forward_weights,
    layer_weights,
)
from export.graph.decoder_tensorrt import OPSET, TENSORRT
from export.graph.layers import LinearWeight
from export.reference.decoder import DecoderConfig, DecoderLayer, Expert
from export.storage import choose_group, plain_storage, store_back
from export.streams import Stream
from tests.oracles.random_checkpoint import PUBLISHED, drawn, full_config

LENGTH = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=PUBLISHED)
    parser.add_argument("work", type=Path)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--scheme", choices=("fp32", "fp16", "int4"), default="int4")
    parser.add_argument("--head", choices=("int4", "int8", "fp16"), default="int8")
    parser.add_argument("--vocabulary", type=int, help="fewer rows of the output matrix")
    parser.add_argument("--tensorrt", action="store_true", help="the standard-operator graph too")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    config = decoder_config(args.model, args.layers, args.vocabulary)
    args.work.mkdir(parents=True, exist_ok=True)
    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    with ExitStack() as stack:
        graphs = [new_graph(stack, args.work, "decoder", half if args.scheme == "fp16" else single)]
        forms = [ONNXRUNTIME]
        if args.tensorrt:
            graphs.append(new_graph(stack, args.work, "tensorrt", half, OPSET))
            forms.append(TENSORRT)
        writers = [DecoderWriter(g, config, f) for g, f in zip(graphs, forms, strict=True)]
        embeds, wanted = walk(config, writers, args.scheme, args.head)
    levels = {"decoder.exact": 0, "decoder": 4} if args.scheme == "int4" else {"decoder": None}
    for name, level in levels.items():
        graphs[0].save(args.work / f"{name}.onnx", level)
        report(name, lambda p: run_decoder(p, config, embeds.numpy()), args.work, wanted)
    if args.tensorrt:
        graphs[1].save(args.work / "tensorrt.onnx")
        run: Any = lambda p: run_tensorrt_decoder(p, config, embeds.numpy())  # noqa: E731
        report("tensorrt", run, args.work, wanted)


def decoder_config(model: str, layers: int, vocabulary: int | None) -> DecoderConfig:
    data = full_config(model)
    names = {field.name for field in dataclasses.fields(DecoderConfig)}
    known = {name: value for name, value in data.items() if name in names}
    known |= {"num_hidden_layers": layers, "vocab_size": vocabulary or data["vocab_size"]}
    return DecoderConfig(
        **known,
        head_dim=data["hidden_size"] // data["num_attention_heads"],
        qkv_bias=data["model_type"] == "videollama2_qwen2",
    )


def new_graph(stack: ExitStack, work: Path, name: str, compute: int, opset: int = 23) -> Graph:
    data = stack.enter_context(DataFile(work / f"{name}.data"))
    return Graph(name, data, compute, opset)


def walk(
    config: DecoderConfig, writers: list[DecoderWriter], scheme: Any, head_bits: Any
) -> tuple[Tensor, Tensor]:
    """Write every layer and run it in torch; returns the prompt (1, L, H) and logits (n, vocab)."""
    generator = torch.Generator().manual_seed(0)
    group = choose_group(config, None) if scheme == "int4" else None
    storage = plain_storage(scheme, group, head_bits)
    embeds = 0.5 * torch.randn(1, LENGTH, config.hidden_size, generator=generator)
    stream = Stream(config, embeds[0].clone(), [LENGTH])

    def made(build: Callable[[], nn.Module]) -> Any:
        with torch.device("meta"):
            module = build()
        state = {
            name: tensor
            if name.startswith("block_sparse_moe.experts")
            else drawn(name, tuple(tensor.shape), generator, config.num_hidden_layers).float()
            for name, tensor in module.state_dict().items()
        }
        module.load_state_dict(state, assign=True)
        return module.eval()

    for index in range(config.num_hidden_layers):
        started = time.perf_counter()
        layer = made(lambda: DecoderLayer(config))
        take = keeping(storage.layer(index))
        weights = layer_weights(layer, take)
        stream.attend(index, layer)
        if config.num_local_experts:
            routing, experts = stream.route(layer), []
            for number in range(config.num_local_experts):
                expert = made(lambda: Expert(config.hidden_size, config.intermediate_size))
                experts.append(feed_forward_weights(expert_path(number), expert, take))
                stream.add_expert(routing, layer, number, expert)
            stream.x += routing.out
            weights = dataclasses.replace(weights, experts=tuple(experts))
        else:
            stream.feed_forward(layer)
        for writer in writers:
            writer.layer(index, weights)
        del layer, weights
        print(f"layer {index + 1}: {time.perf_counter() - started:.0f} s", flush=True)
    norm = torch.ones(config.hidden_size)
    head = nn.Linear(1, 1, bias=False, device="meta")
    shape = config.vocab_size, config.hidden_size
    head.weight = nn.Parameter(
        drawn("lm_head.weight", shape, generator, config.num_hidden_layers).float(),
        requires_grad=False,
    )
    weight = keeping(storage.head)("lm_head", head)
    for writer in writers:
        writer.head(norm, weight)
    return embeds, stream.logits(norm, head)[logit_positions(LENGTH)]


def keeping(take: Take) -> Take:
    """Let torch compute with what is stored."""

    def both(name: str, module: nn.Linear) -> LinearWeight:
        weight = take(name, module)
        store_back(module, weight)
        return weight

    return both


def report(name: str, run: Callable[[Path], Any], work: Path, wanted: Tensor) -> None:
    started = time.perf_counter()
    got, stored = run(work / f"{name}.onnx"), wanted.numpy()
    error = float(np.abs(got - stored).max() / np.abs(stored).max())
    same = int((got.argmax(-1) == stored.argmax(-1)).sum())
    print(
        f"{name}: {error:.2e} of the largest logit, {same} of {len(got)} arg-max tokens the same,"
        f" {time.perf_counter() - started:.0f} s to open and run",
        flush=True,
    )


if __name__ == "__main__":
    main()
