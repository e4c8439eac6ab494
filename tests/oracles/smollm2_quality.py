"""Perplexity and KL divergence of SmolLM2-135M in 4 bits: rounding, our GPTQ, other settings.

    python tests/oracles/smollm2_checkpoint.py … OUT
    python tests/oracles/smollm2_quality.py OUT [SETTING …] [--gptq DIR …] [--keep DIR]

Symmetric, groups of 64 (the hidden size is 576), positive scales, output matrix left as it is.
Calibrated on `--sequences` of 512 tokens spread over a book, measured on 32 others between them.
`--gptq` measures GPTQ checkpoints of other programs; `--keep` leaves ours as one.
"""

import argparse
import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from export.calibrate import Calibration
from export.checkpoint import Checkpoint
from export.gptq_checkpoint import CONFIG, GptqFolder, config_json, write_json
from export.keep_gptq import write_gptq_folder
from export.progress import Progress
from export.quantise import quantise_decoder
from export.quantise_layer import QuantiseOptions
from export.quantise_state import QuantiseState
from export.reference.decoder import DecoderConfig
from export.storage import linear_shapes
from export.streams import Stream
from export.weight_files import TensorFolder
from quant.grid import dequantise, round_to_nearest

GROUP = 64
OURS = QuantiseOptions(GROUP)
SETTINGS = {
    "ours": OURS,
    "one stream": dataclasses.replace(OURS, asymmetric=False),
    "ridge .1": dataclasses.replace(OURS, ridge=0.1),
    "ridge .5": dataclasses.replace(OURS, ridge=0.5),
    "ridge 1": dataclasses.replace(OURS, ridge=1.0),
    "damp .005": dataclasses.replace(OURS, damp=0.005),
    "damp .03": dataclasses.replace(OURS, damp=0.03),
    "damp .1": dataclasses.replace(OURS, damp=0.1),
    "head int4": dataclasses.replace(OURS, head="int4"),
    "group 32": dataclasses.replace(OURS, group=32),
}


class TextCheckpoint(Checkpoint):
    """A plain Llama folder in the place of a VideoLLaMA 2 checkpoint: the decoder alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._folders = (folder,)
        self.tensors = TensorFolder(folder)
        data = json.loads((folder / "config.json").read_text())
        heads = data["num_attention_heads"]
        names = {field.name for field in dataclasses.fields(DecoderConfig)} - {"head_dim"}
        known = {name: value for name, value in data.items() if name in names}
        decoder = DecoderConfig(head_dim=data["hidden_size"] // heads, **known)
        tied = bool(data["tie_word_embeddings"])
        about: Any = SimpleNamespace(decoder=decoder, tie_word_embeddings=tied, kind="llama")
        self.config = about


@dataclass
class Found:
    """What a decoder makes of the held-out half."""

    states: Tensor  # (sequences, L, H), in front of the output matrix
    head: Tensor

    def log_probabilities(self) -> Iterator[Tensor]:
        """Yield those of each sequence's next tokens (L - 1, vocab)."""
        for states in self.states:
            yield torch.log_softmax(states[:-1] @ self.head.T, -1)


class Judge:
    """Compares decoders with the float one on the held-out half."""

    def __init__(self, model: TextCheckpoint) -> None:
        self.model = model
        self.ids = torch.from_numpy(np.load(model.folder / "sequences.npz")["held_out"])
        self.table = model.embed_tokens().float()
        self.wanted = self.run(lambda index, layer: None)

    def run(self, change: Any, head: Tensor | None = None) -> Found:
        """Go through all layers, changed in place, to what the output matrix makes of it."""
        config, count = self.model.config.decoder, self.ids.shape[1]
        stream = Stream(config, self.table[self.ids.flatten()], [count] * len(self.ids))
        for index in range(config.num_hidden_layers):
            layer = self.model.decoder_layer(index)
            change(index, layer)
            stream.advance(index, layer)
        states = stream.normed(self.model.norm(), slice(None))
        states = states.reshape(len(self.ids), count, -1)
        return Found(states, self.model.head().weight if head is None else head)

    def tell(self, name: str, found: Found, seconds: float = 0) -> None:
        """Print how near it is to the float model."""
        rows = []
        both = zip(found.log_probabilities(), self.wanted.log_probabilities(), strict=True)
        for (log_q, log_p), ids in zip(both, self.ids, strict=True):
            divergence = (log_p.exp() * (log_p - log_q)).sum(-1).mean()
            same = (log_q.argmax(-1) == log_p.argmax(-1)).float().mean()
            own, best = (-log.gather(1, ids[1:, None]).mean() for log in (log_q, log_p))
            rows.append(torch.stack([divergence, same, own, best]))
        divergence, same, own, best = torch.stack(rows).mean(0)
        print(
            f"{name:<22} perplexity {float(own.exp()):.3f} (float {float(best.exp()):.3f})"
            f"  KL {float(divergence):.4f}  same choice {float(same):.3f}  {seconds:.0f} CPU s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("settings", nargs="*", default=["ours"], choices=SETTINGS)
    parser.add_argument("--gptq", type=Path, action="append", default=[])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--sequences", type=int, default=16)
    args = parser.parse_args()
    with torch.inference_mode():
        measure(args)


def measure(args: argparse.Namespace) -> None:
    model = TextCheckpoint(args.folder)
    judge = Judge(model)
    judge.tell("rounding", judge.run(rounded))
    for folder in args.gptq:
        judge.tell(folder.name, judge.run(replaced(GptqFolder(folder))))
    ids = torch.from_numpy(np.load(args.folder / "sequences.npz")["calibration"])
    ids = ids[:: len(ids) // args.sequences]
    inputs = judge.table[ids.flatten()]
    made = Calibration(inputs, [ids.shape[1]] * len(ids), torch.ones(len(inputs)), {})
    for name in args.settings:
        options, place = SETTINGS[name], Path(tempfile.mkdtemp()) / "state"
        state, started = QuantiseState(place, {}), time.process_time()
        quantise_decoder(model, made, options, state, Progress(1))
        seconds = time.process_time() - started
        write_json(place / CONFIG, config_json(4, options.group, options.damp))
        source = GptqFolder(place, state.weight_files())
        head = None
        if options.head == "int4":
            head = dequantise(source.matrix("lm_head", *judge.table.shape))
        judge.tell(name, judge.run(replaced(source), head), seconds)
        if args.keep and name == "ours":
            write_gptq_folder(args.keep, model, state, options.group, options.damp)
        shutil.rmtree(place.parent)


def rounded(index: int, layer: Any) -> None:
    for name in linear_shapes(layer):
        module = layer.get_submodule(name)
        dequantise(round_to_nearest(module.weight, GROUP), out=module.weight)


def replaced(source: GptqFolder) -> Any:
    def change(index: int, layer: Any) -> None:
        for name in linear_shapes(layer):
            module = layer.get_submodule(name)
            found = source.matrix(f"model.layers.{index}.{name}", *module.weight.shape)
            module.weight.copy_(dequantise(found))

    return change


if __name__ == "__main__":
    main()
