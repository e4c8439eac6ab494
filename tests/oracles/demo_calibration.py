"""What the calibration does to the demo model: text alone, or pictures and sound as well.

    vl2-export demo clips CALIBRATION --set calibration
    vl2-export demo clips EVALUATION --set evaluation
    python tests/oracles/demo_calibration.py CHECKPOINT CALIBRATION EVALUATION [--questions 400]

KL divergence from the unrounded model on the tokens of the evaluation's answers, in torch.
"""

import argparse
import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch

from engines.bundle import Embeddings
from engines.config import QuantisationConfig, SourceConfig
from export.calibrate import TOKENS, Composed, Composer, calibrate
from export.checkpoint import Checkpoint
from export.examples import Example, bundled_examples, read_lines
from export.gptq_checkpoint import CONFIG, GptqFolder, config_json, write_json
from export.manifest import bundle_config
from export.progress import Progress
from export.prompt_facts import eos_token_ids, read_generation, read_prompt
from export.quantise import quantise_decoder
from export.quantise_layer import QuantiseOptions
from export.quantise_state import QuantiseState
from export.reference_encoders import ReferenceEncoders
from export.storage import linear_shapes
from export.streams import Stream
from quant.grid import dequantise, round_to_nearest


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("checkpoint", "calibration", "evaluation"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--group", type=int, default=32)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        measure(args)


def measure(args: argparse.Namespace) -> None:
    model = Checkpoint(args.checkpoint)
    composer = composer_of(model)
    examples = read_lines(args.evaluation / "questions.jsonl")
    order = np.random.default_rng(1).permutation(len(examples))[: args.questions]
    made = [composer.compose(examples[i]) for i in order]
    wanted = answers(model, made, lambda index, layer: None)

    def tell(name: str, change: Any) -> None:
        found = answers(model, made, change)
        divergence = (wanted.exp() * (wanted - found)).sum(-1).mean()
        same = (found.argmax(-1) == wanted.argmax(-1)).float().mean()
        print(f"{name:<34} KL {float(divergence):.6f}  same choice {float(same):.4f}", flush=True)

    tell("rounding", lambda index, layer: round_layer(layer, args.group))
    clips = read_lines(args.calibration / "questions.jsonl")
    texts = [dataclasses.replace(example, clip=None) for example in clips]
    options = QuantiseOptions(args.group)
    one_stream = dataclasses.replace(options, asymmetric=False)
    for name, chosen, weights, how in (
        ("bundled texts", [e for e in bundled_examples() if e.clip is None], "equal", options),
        ("the questions without their clips", texts, "equal", options),
        ("picture, sound, text: equal", clips, "equal", options),
        ("picture, sound, text: balanced", clips, "balanced", options),
        ("the same, one stream", clips, "balanced", one_stream),
        ("bundled clips and texts", bundled_examples(), "balanced", options),
    ):
        tell(name, quantised(model, composer, chosen, weights, how))


def composer_of(model: Checkpoint) -> Composer:
    folder = model.folder
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    prompt = read_prompt(folder, model.config.kind, tokenizer)
    eos = eos_token_ids(folder, prompt.special_tokens, tokenizer)
    source = SourceConfig(folder.name, "", model.config.model_type)
    how = QuantisationConfig("int4", "gptq", None)
    bundle = bundle_config(model.config, source, how, (prompt, read_generation(folder), eos))
    embeddings = Embeddings(model.embed_tokens().half().numpy())
    return Composer(ReferenceEncoders(model, bundle), tokenizer, embeddings)


def quantised(
    model: Checkpoint, composer: Composer, examples: list[Example], weights: Any, how: Any
) -> Any:
    made = calibrate(composer, examples, lambda *_: None, TOKENS, weights)
    folder = Path(tempfile.mkdtemp()) / "state"
    state = QuantiseState(folder, {})
    quantise_decoder(model, made, how, state, Progress(1))
    write_json(folder / CONFIG, config_json(4, how.group, how.damp))
    source = GptqFolder(folder, state.weight_files())
    found = {}
    for index in range(model.config.decoder.num_hidden_layers):
        for name, shape in linear_shapes(model.decoder_layer(index)).items():
            path = f"model.layers.{index}.{name}"
            found[index, name] = dequantise(source.matrix(path, *shape))
    shutil.rmtree(folder.parent)

    def change(index: int, layer: Any) -> None:
        for name in linear_shapes(layer):
            layer.get_submodule(name).weight.copy_(found[index, name])

    return change


def round_layer(layer: Any, group: int) -> None:
    for name in linear_shapes(layer):
        module = layer.get_submodule(name)
        dequantise(round_to_nearest(module.weight, group), out=module.weight)


def answers(model: Checkpoint, made: list[Composed], change: Any) -> torch.Tensor:
    """Log probabilities (tokens, vocab) from which the tokens of all answers are chosen."""
    config = model.config.decoder
    inputs = torch.cat([one.inputs_embeds for one in made])
    stream = Stream(config, inputs, [len(one.kinds) for one in made])
    for index in range(config.num_hidden_layers):
        layer = model.decoder_layer(index)
        change(index, layer)
        stream.advance(index, layer)
    places = [
        torch.arange(span.stop - len(one.answer) - 1, span.stop - 1)
        for span, one in zip(stream.spans, made, strict=True)
    ]
    logits = model.head()(stream.normed(model.norm(), torch.cat(places)))
    return torch.log_softmax(logits.double(), -1)


if __name__ == "__main__":
    main()
