"""The parts of a bundle: each is read, written as a graph, run in torch, freed, and compared.

A part's torch module lives inside one small function, so that it is gone when its graph is opened.
Each is a step or several that an interrupted export need not do again (`export.unfinished`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tokenizers
import torch
from torch import Tensor, nn

from engines.bundle import EMBEDDING_SCALES, EMBEDDINGS, Embeddings
from engines.config import (
    AudioConfig,
    PromptConfig,
)
from engines.errors import CheckpointError
from engines.messages import Turn
from engines.prompt import PLACEHOLDER_IDS, prompt_ids, render_prompt
from export import samples
from export.compare import (
    logit_positions,
    run_decoder,
    run_decoder_in_pieces,
    run_graph,
)
from export.graph.audio import write_audio
from export.graph.builder import Array, DataFile, Graph
from export.graph.decoder import ONNXRUNTIME, DecoderWriter
from export.graph.projector import write_projector
from export.graph.vision_tower import write_vision_tower
from export.manifest import vision_config
from export.memory import giving_back
from export.needs import decoder_in_pieces
from export.storage import Storage
from export.walk import walk_decoder
from export.workshop import Workshop
from quant.grid import round_to_nearest

# Frames of the drawn clip; enough for any sampling in time, few enough for a large tower.
VERIFY_FRAMES = 4
# Visual tokens of the question that the decoder is checked with: it costs the same for any clip.
VERIFY_TOKENS = 64
# Files of the decoder and the accuracy level of their int4 products: 4 multiplies in int8.
INT4_FILES: Mapping[str, int | None] = {"decoder.onnx": 4, "decoder.exact.onnx": 0}
FLOAT_FILES: Mapping[str, int | None] = {"decoder.onnx": None}


def export_vision(shop: Workshop) -> Tensor:
    """Export tower and connector; returns the reference's visual tokens (V, H)."""
    config = vision_config(shop.checkpoint.config)
    frames = max(VERIFY_FRAMES, config.min_frames)
    pixels = _storable(samples.pixel_values(config, frames))

    def tower() -> Mapping[str, Array]:
        path, features = _vision_tower(shop, torch.from_numpy(pixels))
        got = run_graph(path, {"pixel_values": pixels}, "vision_features")
        shop.check("vision_tower", got, features.numpy())
        shop.selftest["pixel_values"] = pixels.astype(np.float16)
        return {"vision_features": features.numpy()}

    features = shop.step("vision_tower", tower)["vision_features"]

    def connector() -> Mapping[str, Array]:
        path, tokens = _projector(shop, torch.from_numpy(features))
        got = run_graph(path, {"vision_features": features}, "visual_tokens")
        shop.check("projector", got, tokens.numpy())
        shop.progress.step("projector checked", shop.plan.also["encoders"])
        shop.selftest["visual_tokens"] = tokens.numpy()
        return {}

    shop.step("projector", connector)
    return torch.from_numpy(shop.selftest["visual_tokens"])


@giving_back
def _vision_tower(shop: Workshop, pixels: Tensor) -> tuple[Path, Tensor]:
    tower = shop.checkpoint.vision_tower()
    path = _write_graph(shop, "vision_tower", lambda g: write_vision_tower(g, tower))
    features = tower(pixels)
    _done(shop, "vision tower", tower)
    return path, features


@giving_back
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

    def tower() -> Mapping[str, Array]:
        path, tokens = _sound_encoder(shop, torch.from_numpy(fbank))
        wanted = tokens.numpy()
        shop.check("audio", run_graph(path, {"fbank": fbank}, "audio_tokens"), wanted)
        shop.selftest |= {"fbank": fbank.astype(np.float16), "audio_tokens": wanted[0]}
        return {}

    shop.step("audio", tower)


@giving_back
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

    def write() -> Mapping[str, Array]:
        table = shop.checkpoint.embed_tokens()
        if bits == 8:
            found = round_to_nearest(table, table.shape[1], bits)
            np.save(shop.folder / EMBEDDING_SCALES, found.scales[:, 0].numpy())
            np.save(shop.folder / EMBEDDINGS, found.codes.numpy())
        else:
            dtype = torch.float32 if shop.plan.scheme == "fp32" else torch.float16
            np.save(shop.folder / EMBEDDINGS, table.to(dtype).numpy())
        shop.progress.step("token embeddings", 4 * table.numel())
        return {}

    shop.step("embeddings", write)
    scales = np.load(shop.folder / EMBEDDING_SCALES) if bits == 8 else None
    return Embeddings(np.load(shop.folder / EMBEDDINGS, mmap_mode="r"), scales)


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
    seen = visual_tokens[:VERIFY_TOKENS]
    shop.selftest["seen_tokens"] = np.asarray(len(seen))
    embeds = torch.cat([words[:at], seen, words[at + 1 :]])
    room = shop.checkpoint.config.decoder.max_position_embeddings
    if len(embeds) > room:
        raise CheckpointError(
            f"{shop.checkpoint.folder / 'config.json'} has max_position_embeddings {room}, too few"
            f" for the {len(embeds)} tokens of a short question; use the checkpoint's own one."
        )
    return embeds[None]


def export_decoder(shop: Workshop, storage: Storage, inputs_embeds: Tensor) -> None:
    """Export the decoder in every flavour."""
    files = INT4_FILES if shop.plan.scheme == "int4" else FLOAT_FILES
    config, embeds = shop.checkpoint.config.decoder, inputs_embeds.numpy()

    def write() -> Mapping[str, Array]:
        logits = _write_decoders(shop, storage, inputs_embeds, files).numpy()
        shop.selftest["logits"] = logits[-1]
        return {"logits": logits}

    def run(path: Path, name: str) -> Array:
        if not decoder_in_pieces(shop.plan):
            return run_decoder(path, config, embeds)

        def told(done: int, of: int) -> None:
            shop.progress.step(f"checking {name}: {done} of {of} layers", 0)

        return run_decoder_in_pieces(path, embeds, told)

    wanted = shop.step("decoder", write)["logits"]
    for file in files:
        name = graph_name(file)

        def check(file: str = file, name: str = name) -> Mapping[str, Array]:
            shop.check(name, run(shop.folder / file, name), wanted)
            shop.progress.step(f"{name} checked", shop.plan.also["check"] // len(files))
            return {}

        shop.step(f"check-{name}", check)


@giving_back
def _write_decoders(
    shop: Workshop,
    storage: Storage,
    inputs_embeds: Tensor,
    files: Mapping[str, int | None],
) -> Tensor:
    """Write every flavour in one pass over the checkpoint."""
    config, folder = shop.checkpoint.config.decoder, shop.folder
    path = (folder / next(iter(files))).with_suffix(".data")
    with DataFile(path, keep=True) as data:
        graph = Graph("decoder", data, shop.cache)
        writer = DecoderWriter(graph, config, ONNXRUNTIME)
        wanted = logit_positions(inputs_embeds.shape[1])
        logits = walk_decoder(
            shop.checkpoint, storage, [writer], inputs_embeds, wanted, shop.work, shop.progress
        )
    for file, level in files.items():
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
