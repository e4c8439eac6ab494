"""The image tower at the published size: our graph beside the torch reference.

    PYTHONPATH=. python tests/oracles/tower_speed.py WORK [--threads 2] [--rounds 5]

CLIP ViT-L/14 at 336 pixels up to the layer before the last, random weights, two frames at a time:
our graph with 16-bit weights opened as it is and as `engines.prepacked` keeps it (unpacked float32,
mapped), torch in float32 and bfloat16. In turn, round after round; medians, one JSON object.
"""

import argparse
import json
import shutil
import statistics
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto

from engines.backends.onnxruntime import open_ready, open_session, save_ready
from export.graph.builder import DataFile, Graph
from export.graph.vision_tower import write_vision_tower
from export.reference.vision_tower import VisionTower, VisionTowerConfig

CLIP_L = VisionTowerConfig("clip", 1024, 4096, 24, 16, 336, 14, 1e-5, "quick_gelu")
FRAMES = 2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    tower = VisionTower(CLIP_L).eval()
    graph_file, ready = args.work / "vision_tower.onnx", args.work / "ready"
    shutil.rmtree(ready, ignore_errors=True)
    ready.mkdir(parents=True)
    with DataFile(graph_file.with_suffix(".data")) as data:
        graph = Graph("vision_tower", data, TensorProto.FLOAT16)
        write_vision_tower(graph, tower)
    graph.save(graph_file)
    save_ready(graph_file, ready, packed=False)
    sessions = {
        "ours": open_session(graph_file, threads=args.threads),
        "ours, mapped": open_ready(ready / graph_file.name, args.threads, packed=False),
    }
    half = VisionTower(CLIP_L).eval().bfloat16()
    pixels = torch.randn(FRAMES, 3, 336, 336)
    feeds: dict[str, np.ndarray] = {"pixel_values": pixels.numpy()}
    took: dict[str, list[float]] = defaultdict(list)
    for number in range(args.rounds + 1):
        found = {}
        for name, session in sessions.items():
            started = time.perf_counter()
            session.run(feeds)
            found[name] = time.perf_counter() - started
        for name, module, x in (
            ("torch", tower, pixels),
            ("torch bfloat16", half, pixels.bfloat16()),
        ):
            started = time.perf_counter()
            with torch.inference_mode():
                module(x)
            found[name] = time.perf_counter() - started
        if number:  # Everything is warm now.
            for name, seconds in found.items():
                took[name].append(seconds / FRAMES)
    print(json.dumps({name: round(statistics.median(s), 3) for name, s in took.items()}))


if __name__ == "__main__":
    main()
