"""The parts of a bundle: each is read, written as a graph, run in torch, freed, and compared.

A part's torch module lives inside one small function, so that it is gone when its graph is opened.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tokenizers
import torch
from onnx import TensorProto
from torch import Tensor, nn

from engines.bundle import EMBEDDING_SCALES, EMBEDDINGS, Embeddings
from engines.config import AudioConfig, GraphConfig, PromptConfig, VerificationRow
from engines.errors import CheckpointError
from engines.messages import Turn
from engines.prompt import PLACEHOLDER_IDS, prompt_ids, render_prompt
from export import samples
from export.checkpoint import Checkpoint
from export.compare import (
    measure,
    refuse_failures,
    run_decoder,
    run_graph,
    run_tensorrt_decoder,
    tolerance,
)
from export.graph.audio import write_audio
from export.graph.builder import Array, DataFile, Graph
from export.graph.decoder import ONNXRUNTIME, DecoderWriter
from export.graph.decoder_tensorrt import OPSET, TENSORRT
from export.graph.projector import write_projector
from export.graph.vision_tower import write_vision_tower
from export.manifest import vision_config
from export.plan import Plan
from export.progress import Progress
from export.storage import Storage
from export.walk import walk_decoder
from quant.grid import round_to_nearest

# Frames of the drawn clip; enough for any sampling in time, few enough for a large tower.
VERIFY_FRAMES = 4
# Files of the decoder and the accuracy level of their int4 products: 4 multiplies in int8.
INT4_FILES: Mapping[str, int | None] = {"decoder.onnx": 4, "decoder.exact.onnx": 0}
FLOAT_FILES: Mapping[str, int | None] = {"decoder.onnx": None}
TENSORRT_FILE = "decoder.tensorrt.onnx"


@dataclass
class Workshop:
    """What the steps share and fill."""

    checkpoint: Checkpoint
    plan: Plan
    folder: Path  # the unfinished bundle
    progress: Progress
    graphs: dict[str, GraphConfig] = field(default_factory=dict)
    rows: list[VerificationRow] = field(default_factory=list)
    selftest: dict[str, Array] = field(default_factory=dict)

    @property
    def compute(self) -> int:
        """Element type of the encoders' matrix products: 16 bits unless all is float32."""
        return TensorProto.FLOAT if self.plan.scheme == "fp32" else TensorProto.FLOAT16

    @property
    def cache(self) -> int:
        """Element type of the decoder's matrix products and cache."""
        return TensorProto.FLOAT16 if self.plan.scheme == "fp16" else TensorProto.FLOAT

    def register(self, name: str, graph: Graph, file: str) -> None:
        """Note a graph for the manifest."""
        self.graphs[name] = GraphConfig(file, *graph.signature())

    def check(self, graph: str, got: Array, wanted: Array) -> None:
        """Measure a graph and refuse it if it is outside its tolerance."""
        limit = tolerance(self.plan.scheme, graph)
        self.rows.append(measure(graph, got, wanted, limit, samples.NAME))
        refuse_failures(self.rows[-1:])


def export_vision(shop: Workshop) -> Tensor:
    """Export tower and connector; returns the reference's visual tokens (V, H)."""
    config = vision_config(shop.checkpoint.config)
    frames = max(VERIFY_FRAMES, config.min_frames)
    pixels = _storable(samples.pixel_values(config, frames))
    path, features = _vision_tower(shop, torch.from_numpy(pixels))
    got = run_graph(path, {"pixel_values": pixels}, "vision_features")
    shop.check("vision_tower", got, features.numpy())
    path, tokens = _projector(shop, features)
    got = run_graph(path, {"vision_features": features.numpy()}, "visual_tokens")
    shop.check("projector", got, tokens.numpy())
    shop.selftest |= {"pixel_values": pixels.astype(np.float16), "visual_tokens": tokens.numpy()}
    return tokens


def _vision_tower(shop: Workshop, pixels: Tensor) -> tuple[Path, Tensor]:
    tower = shop.checkpoint.vision_tower()
    path = _write_graph(shop, "vision_tower", lambda g: write_vision_tower(g, tower))
    features = tower(pixels)
    _done(shop, "vision tower", tower)
    return path, features


def _projector(shop: Workshop, features: Tensor) -> tuple[Path, Tensor]:
    config = shop.checkpoint.config
    projector = shop.checkpoint.projector()

    def write(graph: Graph) -> None:
        write_projector(graph, projector, config.projector_type, config.vision.grid)

    path = _write_graph(shop, "projector", write)
    tokens = projector(features[None])[0]
    _done(shop, "projector", projector)
    return path, tokens


def export_audio(shop: Workshop, config: AudioConfig) -> None:
    """Export audio tower and projector."""
    fbank = _storable(samples.fbank(config))
    path, tokens = _sound_encoder(shop, torch.from_numpy(fbank))
    wanted = tokens.numpy()
    shop.check("audio", run_graph(path, {"fbank": fbank}, "audio_tokens"), wanted)
    shop.selftest |= {"fbank": fbank.astype(np.float16), "audio_tokens": wanted[0]}


def _sound_encoder(shop: Workshop, fbank: Tensor) -> tuple[Path, Tensor]:
    encoder = shop.checkpoint.sound_encoder()
    path = _write_graph(shop, "audio", lambda g: write_audio(g, encoder.tower, encoder.projector))
    tokens = encoder(fbank)
    _done(shop, "audio tower", encoder)
    return path, tokens


def export_embeddings(shop: Workshop, bits: int) -> Embeddings:
    """Write the token embeddings; returns them as they are stored.

    Args:
        shop: What the steps share.
        bits: 8 stores integers and one scale a row; else they are of the bundle's type.
    """
    table = shop.checkpoint.embed_tokens()
    if bits == 8:
        found = round_to_nearest(table, table.shape[1], bits)
        scales = found.scales[:, 0].numpy()
        stored = Embeddings(found.codes.numpy(), scales)
        np.save(shop.folder / EMBEDDING_SCALES, scales)
    else:
        dtype = torch.float32 if shop.plan.scheme == "fp32" else torch.float16
        stored = Embeddings(table.to(dtype).numpy())
    np.save(shop.folder / EMBEDDINGS, stored.table)
    shop.progress.step("token embeddings", 4 * table.numel())
    return stored


def verification_prompt(
    shop: Workshop,
    prompt: PromptConfig,
    tokenizer: tokenizers.Tokenizer,
    embeddings: Embeddings,
    visual_tokens: Tensor,
) -> Tensor:
    """Return a question about the drawn clip, as embeddings (1, L, H)."""

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    turns = [Turn("user", samples.QUESTION)]
    ids = prompt_ids(render_prompt(turns, "video", prompt), "video", encode)
    shop.selftest["input_ids"] = ids
    (at,) = np.flatnonzero(ids == PLACEHOLDER_IDS["video"])
    # As they are stored, so that rounding them is no difference between the graph and torch.
    words = torch.from_numpy(embeddings.rows(np.maximum(ids, 0)))
    embeds = torch.cat([words[:at], visual_tokens, words[at + 1 :]])
    room = shop.checkpoint.config.decoder.max_position_embeddings
    if len(embeds) > room:
        raise CheckpointError(
            f"{shop.checkpoint.folder / 'config.json'} has max_position_embeddings {room}, too few"
            f" for the {len(embeds)} tokens of a short question; use the checkpoint's own one."
        )
    return embeds[None]


def export_decoder(
    shop: Workshop, storage: Storage, inputs_embeds: Tensor, tensorrt_graph: bool
) -> None:
    """Export the decoder in every flavour that is wanted."""
    files = INT4_FILES if shop.plan.scheme == "int4" else FLOAT_FILES
    wanted = _write_decoders(shop, storage, inputs_embeds, files, tensorrt_graph).numpy()
    config, embeds = shop.checkpoint.config.decoder, inputs_embeds.numpy()
    for file in files:
        got, at = run_decoder(shop.folder / file, config, embeds)
        shop.check(graph_name(file), got, wanted[at])
    if tensorrt_graph:
        got, at = run_tensorrt_decoder(shop.folder / TENSORRT_FILE, config, embeds)
        shop.check(graph_name(TENSORRT_FILE), got, wanted[at])
    shop.selftest["logits"] = wanted[-1]


def _write_decoders(
    shop: Workshop,
    storage: Storage,
    inputs_embeds: Tensor,
    files: Mapping[str, int | None],
    tensorrt_graph: bool,
) -> Tensor:
    """Write every flavour in one pass over the checkpoint."""
    config, folder = shop.checkpoint.config.decoder, shop.folder
    # The compiler takes int4 weights with 16-bit products only.
    forms = [("decoder", shop.cache, 23, ONNXRUNTIME, files)]
    if tensorrt_graph:
        half = TensorProto.FLOAT16
        forms.append((graph_name(TENSORRT_FILE), half, OPSET, TENSORRT, {TENSORRT_FILE: None}))
    with ExitStack() as stack:
        graphs = []
        for name, compute, opset, _, saved in forms:
            first = next(iter(saved))
            data = stack.enter_context(DataFile((folder / first).with_suffix(".data")))
            graphs.append(Graph(name, data, compute, opset))
        writers = [
            DecoderWriter(graph, config, form[3]) for graph, form in zip(graphs, forms, strict=True)
        ]
        logits = walk_decoder(shop.checkpoint, storage, writers, inputs_embeds, shop.progress)
    for graph, form in zip(graphs, forms, strict=True):
        for file, level in form[4].items():
            graph.save(folder / file, level)
            shop.register(graph_name(file), graph, file)
    return logits


def graph_name(file: str) -> str:
    """Return what the manifest calls a graph: decoder.exact.onnx is decoder_exact."""
    return file.removesuffix(".onnx").replace(".", "_")


def _write_graph(shop: Workshop, name: str, write: Callable[[Graph], None]) -> Path:
    path = shop.folder / f"{name}.onnx"
    with DataFile(path.with_suffix(".data")) as data:
        graph = Graph(name, data, shop.compute)
        write(graph)
    graph.save(path)
    shop.register(name, graph, path.name)
    return path


def _done(shop: Workshop, label: str, module: nn.Module) -> None:
    shop.progress.step(label, sum(p.nbytes for p in module.parameters()))


def _storable(values: Array) -> Array:
    """Round an input to what the self-test stores, float16, so that both see the same."""
    return values.astype(np.float16).astype(np.float32)
