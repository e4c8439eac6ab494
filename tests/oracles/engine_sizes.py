"""Engines at full size: the published geometries with random weights, compiled and thrown away.

Every graph is run by ONNX Runtime and held against torch before it is compiled, as in
`vl2-export engines`. One line of JSON for each engine; about 4 GB of memory and 3 GB of disk.

    python tests/oracles/engine_sizes.py OUT --arch sm89
"""

import argparse
import json
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from onnx import TensorProto

from engines.config import VerificationRow
from engines.part_memory import MOST_FRAMES, MOST_NEW
from export.bundle_decoder import BundleDecoder, write_compilable
from export.compare import (
    logit_positions,
    measure,
    refuse_failures,
    run_decoder,
    run_graph,
    run_tensorrt_decoder,
)
from export.compilable import write_plain_attention
from export.engine_sources import CONTEXT
from export.graph.audio import write_audio
from export.graph.builder import DataFile, Graph
from export.graph.decoder import ONNXRUNTIME, DecoderWriter, layer_weights
from export.graph.projector import write_projector
from export.graph.vision_tower import write_vision_tower
from export.reference.audio_tower import AudioTower, AudioTowerConfig, build_audio_projector
from export.reference.decoder import Decoder, DecoderConfig, DecoderLayer
from export.reference.projector import ProjectorConfig, build_projector
from export.reference.vision_tower import VisionTower, VisionTowerConfig
from export.storage import store_back, taker
from export.tensorrt import Job, Profiles
from export.tensorrt_process import compile_apart
from export.tower_config import CLIP_LARGE, SIGLIP_SO400M

LIMIT = 2e-2
WINDOW_FRAMES, WINDOWS = 2998, 4
MISTRAL = DecoderConfig(4096, 14336, 2, 32, 8, 128, 32000, 32768, 1e-5, 1e6)
QWEN2 = DecoderConfig(3584, 18944, 2, 28, 4, 128, 32000, 32768, 1e-6, 1e6, qkv_bias=True)
TOWERS: dict[str, Any] = {"clip": CLIP_LARGE, "siglip": SIGLIP_SO400M}


@dataclass(frozen=True)
class Made:
    """A graph that was checked: its file, tensors, profiles and differences."""

    path: Path
    signature: tuple[dict[str, Any], dict[str, Any]]
    profiles: Profiles
    rows: list[VerificationRow]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--arch", default="sm86,sm89,sm120")
    parser.add_argument("--only", nargs="*", choices=CASES, help="these alone")
    args = parser.parse_args()
    torch.manual_seed(0)
    for name in args.only or CASES:
        make = CASES[name]
        folder = args.out / name.replace("/", "-")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with torch.inference_mode():
            made = make(folder)
        refuse_failures(made.rows)
        for arch in args.arch.split(","):
            print(json.dumps(compiled(name, made, arch)), flush=True)
        shutil.rmtree(folder)


def compiled(name: str, made: Made, arch: str) -> dict[str, Any]:
    engine = made.path.with_suffix(".engine")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = compile_apart(Job("rtx", arch, made.path, engine, *made.signature, made.profiles))
    engine.unlink()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "graph": name,
        "arch": arch,
        "build_s": result.build_s,
        "cpu_s": round(cpu, 1),
        "engine_mb": round(result.size / 1e6, 1),
        "weights_mb": round(result.weights_bytes / 1e6, 1),
        "activations_mb": round(result.activation_bytes / 1e6, 1),
        "peak_gb_so_far": round(after.ru_maxrss * 1024 / 1e9, 2),
        "differs": {row.graph: f"{row.max_rel:.1e}" for row in made.rows},
        "tensors": {k: v for side in (result.inputs, result.outputs) for k, v in side.items()},
    }


def encoder(folder: Path, write: Callable[[Graph], None]) -> tuple[Path, Any]:
    path = folder / "graph.onnx"
    with DataFile(path.with_suffix(".data")) as data:
        graph = Graph("graph", data, TensorProto.FLOAT16)
        write(graph)
    graph.save(path)
    return path, graph.signature()


def frames_profile(name: str, usual: int, shape: tuple[int, ...], least: int = 1) -> Profiles:
    return {name: ((least, *shape), (usual, *shape), (MOST_FRAMES, *shape))}


def tower(folder: Path, kind: Any, frames: int) -> Made:
    facts = dict(TOWERS[kind])
    facts.pop("model_type", None)
    module = VisionTower(VisionTowerConfig(kind=kind, select_layer=-2, **facts)).eval()
    path, signature = encoder(folder, lambda g: write_vision_tower(g, module))
    size = module.config.image_size
    pixels = torch.randn(1, 3, size, size)
    wanted = module(pixels).numpy()
    got = run_graph(path, {"pixel_values": pixels.numpy()}, "vision_features")
    rows = [measure("vision_tower", got, wanted, LIMIT, "torch")]
    return Made(path, signature, frames_profile("pixel_values", frames, (3, size, size)), rows)


def connector(folder: Path, kind: str, shape: tuple[int, ...], frames: int) -> Made:
    grid, width, hidden = shape
    module = build_projector(ProjectorConfig(kind, width, hidden)).eval()
    path, signature = encoder(folder, lambda g: write_projector(g, module, kind, grid))
    features = torch.randn(2, grid * grid, width)
    wanted = module(features[None])[0].numpy()
    got = run_graph(path, {"vision_features": features.numpy()}, "visual_tokens")
    rows = [measure("projector", got, wanted, LIMIT, "torch")]
    least = 2 if kind.endswith("v35") else 1
    profile = frames_profile("vision_features", frames, (grid * grid, width), least)
    return Made(path, signature, profile, rows)


def audio(folder: Path) -> Made:
    module, last = AudioTower(AudioTowerConfig()).eval(), build_audio_projector(768, 3584).eval()
    (folder / "bundle").mkdir()
    path, signature = encoder(folder / "bundle", lambda g: write_audio(g, module, last))
    fbank = torch.randn(1, WINDOW_FRAMES, 128) * 4 + 8
    wanted = last(module(fbank)).numpy()
    plain = folder / path.name
    write_plain_attention(path, plain)
    shipped = run_graph(path, {"fbank": fbank.numpy()}, "audio_tokens")
    got = run_graph(plain, {"fbank": fbank.numpy()}, "audio_tokens")
    rows = [
        measure("audio", got, wanted, LIMIT, "torch"),
        measure("audio flavours", got, shipped, LIMIT, "ONNX Runtime's graph"),
    ]
    window = (WINDOW_FRAMES, 128)
    return Made(plain, signature, {"fbank": ((1, *window), (1, *window), (WINDOWS, *window))}, rows)


def decoder(folder: Path, config: DecoderConfig, kind: Any) -> Made:
    (folder / "bundle").mkdir()
    shipped = folder / "bundle" / "decoder.onnx"
    embeds = torch.randn(1, 16, config.hidden_size)
    wanted = written_decoder(shipped, config, embeds)
    source = BundleDecoder(shipped)
    path = folder / "decoder.onnx"
    signature = write_compilable(source, path, CONTEXT, kind, runnable=True)
    got = run_tensorrt_decoder(path, source.config, embeds.numpy())
    other = run_decoder(exact(shipped), source.config, embeds.numpy())
    limit = LIMIT if kind == "fp16" else 5e-2
    rows = [
        measure("decoder", got, wanted, limit, "torch"),
        measure("decoder flavours", got, other, limit, "ONNX Runtime's graph"),
    ]
    if kind == "bf16":
        signature = write_compilable(source, path, CONTEXT, kind)
    width = config.hidden_size
    profiles: Profiles = {
        "inputs_embeds": ((1, 1, width), (1, 1, width), (1, MOST_NEW, width)),
        "position_ids": ((1, 1), (1, 1), (1, MOST_NEW)),
        "attention_mask": (
            (1, 1, 1, CONTEXT),
            (1, 1, 1, CONTEXT),
            (1, 1, MOST_NEW, CONTEXT),
        ),
    }
    return Made(path, signature, profiles, rows)


def written_decoder(path: Path, config: DecoderConfig, embeds: torch.Tensor) -> Any:
    """Write int4 weights rounded to nearest in ONNX Runtime's form; returns torch's logits."""
    model = Decoder(config).eval()
    with DataFile(path.with_suffix(".data")) as data:
        graph = Graph("decoder", data, TensorProto.FLOAT)
        writer = DecoderWriter(graph, config, ONNXRUNTIME)

        def take(name: str, module: torch.nn.Linear) -> Any:
            weight = taker("int4", 128, 8 if name == "lm_head" else 4)(name, module)
            store_back(module, weight)
            return weight

        for index, layer in enumerate(layers(model)):
            writer.layer(index, layer_weights(layer, take))
        writer.head(model.model.norm.weight, take("lm_head", model.lm_head))
    graph.save(path, 4)
    graph.save(exact(path), 0)
    return model(embeds)[0].numpy()[logit_positions(embeds.shape[1])]


def exact(path: Path) -> Path:
    """Where the flavour lies that multiplies in 32 bits."""
    return path.with_name("decoder.exact.onnx")


def layers(model: Decoder) -> Iterator[DecoderLayer]:
    for layer in model.model.layers:
        assert isinstance(layer, DecoderLayer)
        yield layer


CASES: dict[str, Callable[[Path], Made]] = {
    "CLIP-L/14-336, 8 frames": lambda f: tower(f, "clip", 8),
    "CLIP-L/14-336, 16 frames": lambda f: tower(f, "clip", 16),
    "STC to 4096, 8 frames": lambda f: connector(f, "stc_connector", (24, 1024, 4096), 8),
    "STC to 4096, 16 frames": lambda f: connector(f, "stc_connector", (24, 1024, 4096), 16),
    "SigLIP-so400m/14-384, 16 frames": lambda f: tower(f, "siglip", 16),
    "STC v35 to 3584, 16 frames": lambda f: connector(f, "stc_connector_v35", (27, 1152, 3584), 16),
    "BEATs and projector, 30 s": audio,
    "Mistral-7B int4, 2 layers": lambda f: decoder(f, MISTRAL, "fp16"),
    "Qwen2-7B int4, 2 layers, bf16": lambda f: decoder(f, QWEN2, "bf16"),
}

if __name__ == "__main__":
    main()
