"""Time and memory of quantising layers of Mistral-7B's size, and a kill in the middle.

    PYTHONPATH=. python tests/oracles/layer_cost.py WORK [--layers 4] [--tokens 8192] [--threads 2]

Random bfloat16 weights and inputs: cost does not depend on them. Then a second run is killed (-9)
during its third layer and started again: the files must be those of the first, byte for byte.
"""

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from export.calibrate import Calibration
from export.memory import memory_plan
from export.progress import Progress, size
from export.quantise import quantise_decoder
from export.quantise_layer import QuantiseOptions
from export.quantise_state import QuantiseState
from export.reference.decoder import DecoderLayer
from tests.oracles.smollm2_quality import TextCheckpoint

GEOMETRIES = {
    "mistral-7b": {"hidden_size": 4096, "intermediate_size": 14336, "num_key_value_heads": 8},
    "small": {"hidden_size": 2048, "intermediate_size": 7168, "num_key_value_heads": 4},
    "qwen2-7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_key_value_heads": 4},
}
SEQUENCE = 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--geometry", choices=GEOMETRIES, default="mistral-7b")
    parser.add_argument("--run", metavar="STATE", help="(for itself) quantise into this folder")
    args = parser.parse_args()
    if args.run:
        run(args)
        return
    write_checkpoint(args.work, args.geometry, args.layers)
    command = [sys.executable, *sys.argv, "--run"]
    subprocess.run([*command, "whole"], check=True)
    killed = subprocess.Popen([*command, "killed"])
    third = args.work / "killed" / "layer-00002-attention.safetensors"
    while not third.exists() and killed.poll() is None:
        time.sleep(0.5)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    print("killed; starting again", flush=True)
    subprocess.run([*command, "killed"], check=True)
    same = digests(args.work / "whole") == digests(args.work / "killed")
    print(f"files of the killed and the unbroken run are {'the same' if same else 'DIFFERENT'}")


def write_checkpoint(work: Path, geometry: str, layers: int) -> None:
    folder = work / "checkpoint"
    if folder.exists():
        return
    folder.mkdir(parents=True)
    sizes = GEOMETRIES[geometry]
    config = sizes | {
        "num_attention_heads": sizes["hidden_size"] // 128,
        "num_hidden_layers": layers,
        "vocab_size": 64,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(config))
    width, generator = sizes["hidden_size"], torch.Generator().manual_seed(0)
    weights = {"model.embed_tokens.weight": torch.randn(64, width, generator=generator)}
    weights["model.norm.weight"] = torch.ones(width)
    files = dict.fromkeys(weights, "rest.safetensors")
    save_file({k: v.bfloat16() for k, v in weights.items()}, folder / "rest.safetensors")
    save_file({}, folder / "model.safetensors")
    model = TextCheckpoint(folder)
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in DecoderLayer(model.config.decoder).state_dict().items()}
    for index in range(layers):
        tensors = {}
        for name, shape in shapes.items():
            value = torch.ones(shape) if len(shape) == 1 else torch.randn(shape) * 0.02
            tensors[f"model.layers.{index}.{name}"] = value.bfloat16()
        files |= dict.fromkeys(tensors, f"{index}.safetensors")
        save_file(tensors, folder / f"{index}.safetensors")
    (folder / "model.safetensors").unlink()
    index_file = folder / "model.safetensors.index.json"
    index_file.write_text(json.dumps({"weight_map": files}))


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = TextCheckpoint(args.work / "checkpoint")
    config = model.config.decoder
    lengths = [SEQUENCE] * (args.tokens // SEQUENCE)
    inputs = torch.randn(sum(lengths), config.hidden_size)
    inputs[:, ::100] *= 10
    made = Calibration(inputs, lengths, torch.ones(len(inputs)), {})
    print(f"planned: {memory_plan(config, args.tokens)}", flush=True)
    state = QuantiseState(args.work / args.run, {"tokens": args.tokens})
    options = QuantiseOptions(128)
    timed = LayerTimes(config.num_hidden_layers)
    with torch.inference_mode():
        quantise_decoder(model, made, options, state, timed)


class LayerTimes(Progress):
    """Prints what each layer took."""

    def __init__(self, layers: int) -> None:
        super().__init__(layers)
        self.wall, self.cpu = time.monotonic(), time.process_time()

    def step(self, label: str, amount: int) -> None:
        wall, cpu = time.monotonic(), time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(
            f"{label}: {wall - self.wall:.0f} s, {cpu - self.cpu:.0f} CPU s, peak {size(peak)}",
            flush=True,
        )
        self.wall, self.cpu = wall, cpu


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


if __name__ == "__main__":
    main()
