"""Random checkpoints of the published geometries at full size, to see what a real one would do.

Names, shapes, shards, configuration and vocabulary size are those of the published models; the
numbers are drawn so that activations stay finite, and the tokenizer is learned from this
repository's own pages, so that a prompt is about as long as with the real one.

    python tests/oracles/random_checkpoint.py 7b-16f OUT
    python tests/oracles/random_checkpoint.py 8x7b OUT --layers 2

One tensor is in memory at a time. A folder takes two bytes a weight: 16.1 GB for 7b-16f, 17.1 GB
for av; delete it afterwards.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from export.prompt_facts import SYSTEM_PROMPT
from export.reference.audio_tower import AudioTower, AudioTowerConfig
from export.reference.projector import ProjectorConfig, build_projector
from export.reference.vision_tower import EncoderLayer, VisionTower, VisionTowerConfig
from export.tower_config import CLIP_LARGE, SIGLIP_SO400M

ROOT = Path(__file__).parents[2]
SHARD_BYTES = 5_000_000_000
CHAT = {name: ROOT / "tests" / "data" / "golden" / name for name in ("mistral", "qwen2_av")}
MISTRAL = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e6,
    "sliding_window": None,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
QWEN2 = {
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "sliding_window": 131072,
    "use_sliding_window": False,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
}
QWEN2_7B = {
    **QWEN2,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_window_layers": 28,
}
QWEN2_72B = {
    **QWEN2,
    "hidden_size": 8192,
    "intermediate_size": 29568,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "max_window_layers": 80,
}
CLIP = {
    "mm_vision_tower": "openai/clip-vit-large-patch14-336",
    "mm_hidden_size": 1024,
    "mm_projector_type": "stc_connector",
}
SIGLIP = {
    "mm_vision_tower": "google/siglip-so400m-patch14-384",
    "mm_hidden_size": 1152,
    "mm_projector_type": "stc_connector_v35",
}
BEATS = {
    "mm_audio_tower": "beats.pt",  # only its presence counts: the shards hold the weights
    "mm_projector_a_type": "mlp2x_gelu",
    "mm_hidden_size_a": 768,
    "hidden_size_a": 3584,
}
MIXTRAL = {**MISTRAL, "num_local_experts": 8, "num_experts_per_tok": 2}
PUBLISHED: dict[str, dict[str, Any]] = {
    "7b": {"model_type": "videollama2_mistral", **MISTRAL, **CLIP, "num_frames": 8},
    "7b-16f": {"model_type": "videollama2_mistral", **MISTRAL, **CLIP, "num_frames": 16},
    "8x7b": {"model_type": "videollama2_mixtral", **MIXTRAL, **CLIP, "num_frames": 8},
    "72b": {"model_type": "videollama2_qwen2", **QWEN2_72B, **CLIP, "num_frames": 8},
    "2.1-16f": {"model_type": "videollama2_qwen2", **QWEN2_7B, **SIGLIP, "num_frames": 16},
    "av": {"model_type": "videollama2_qwen2", **QWEN2_7B, **SIGLIP, **BEATS, "num_frames": 16},
}
ARCHITECTURES = {
    "videollama2_mistral": "Videollama2MistralForCausalLM",
    "videollama2_mixtral": "Videollama2MixtralForCausalLM",
    "videollama2_qwen2": "Videollama2Qwen2ForCausalLM",
}
Shapes = Iterator[tuple[str, tuple[int, ...]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=PUBLISHED)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, help="only so many of the decoder's layers")
    args = parser.parse_args()
    config = full_config(args.model)
    config["num_hidden_layers"] = args.layers or config["num_hidden_layers"]
    args.out.mkdir(parents=True)
    write_texts(args.out, config)
    write_weights(args.out, list(tensor_shapes(config)), config["num_hidden_layers"])


def full_config(model: str) -> dict[str, Any]:
    """The published config.json, with the keys that training leaves in it."""
    config = PUBLISHED[model]
    return {
        "architectures": [ARCHITECTURES[config["model_type"]]],
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "image_aspect_ratio": "pad",
        "freeze_mm_mlp_adapter": False,
        "mm_projector_lr": None,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "tie_word_embeddings": False,
        "tokenizer_model_max_length": 2048,
        "tokenizer_padding_side": "right",
        "torch_dtype": "float16",
        "transformers_version": "4.42.3",
        "tune_mm_mlp_adapter": False,
        "use_cache": True,
        "use_mm_proj": True,
        **config,
    }


def tensor_shapes(config: dict[str, Any]) -> Shapes:
    """Every tensor of a published checkpoint, those that nothing reads included."""
    width = config["hidden_size"]
    yield "model.embed_tokens.weight", (config["vocab_size"], width)
    for index in range(config["num_hidden_layers"]):
        for name, shape in layer_shapes(config):
            yield f"model.layers.{index}.{name}", shape
    yield "model.norm.weight", (width,)
    yield "lm_head.weight", (config["vocab_size"], width)
    prefix = "model.vision_tower.vision_tower.vision_model."
    yield from prefixed(prefix, tower_shapes(config["mm_vision_tower"]))
    with torch.device("meta"):
        projector = build_projector(
            ProjectorConfig(config["mm_projector_type"], config["mm_hidden_size"], width)
        )
    yield from prefixed("model.mm_projector.", module_shapes(projector))
    if "mm_audio_tower" in config:
        with torch.device("meta"):
            audio = AudioTower(AudioTowerConfig())
        yield from prefixed("model.audio_tower.", module_shapes(audio))
        yield "model.audio_tower.predictor.weight", (527, 768)
        yield "model.audio_tower.predictor.bias", (527,)
        wide = config["mm_hidden_size_a"]
        for index, inputs in ((0, wide), (2, width)):
            yield f"model.mm_projector_a.{index}.weight", (width, inputs)
            yield f"model.mm_projector_a.{index}.bias", (width,)


def layer_shapes(config: dict[str, Any]) -> Shapes:
    width, inner = config["hidden_size"], config["intermediate_size"]
    head = width // config["num_attention_heads"]
    kv = head * config["num_key_value_heads"]
    for name, rows in (("q_proj", width), ("k_proj", kv), ("v_proj", kv)):
        yield f"self_attn.{name}.weight", (rows, width)
        if config["model_type"] == "videollama2_qwen2":
            yield f"self_attn.{name}.bias", (rows,)
    yield "self_attn.o_proj.weight", (width, width)
    if "num_local_experts" in config:
        yield "block_sparse_moe.gate.weight", (config["num_local_experts"], width)
        for expert in range(config["num_local_experts"]):
            path = f"block_sparse_moe.experts.{expert}"
            yield from (
                (f"{path}.w1.weight", (inner, width)),
                (f"{path}.w2.weight", (width, inner)),
                (f"{path}.w3.weight", (inner, width)),
            )
    else:
        yield "mlp.gate_proj.weight", (inner, width)
        yield "mlp.up_proj.weight", (inner, width)
        yield "mlp.down_proj.weight", (width, inner)
    yield "input_layernorm.weight", (width,)
    yield "post_attention_layernorm.weight", (width,)


def tower_shapes(named: str) -> Shapes:
    clip = "clip" in named
    data = dict(CLIP_LARGE if clip else SIGLIP_SO400M)
    data.pop("model_type")
    config = VisionTowerConfig(kind="clip" if clip else "siglip", select_layer=-2, **data)
    width, inner = config.hidden_size, config.intermediate_size
    with torch.device("meta"):
        yield from module_shapes(VisionTower(config))
        last = EncoderLayer(config)
    yield from prefixed(f"encoder.layers.{config.num_hidden_layers - 1}.", module_shapes(last))
    yield "post_layernorm.weight", (width,)
    yield "post_layernorm.bias", (width,)
    if not clip:
        yield "head.probe", (1, 1, width)
        yield "head.attention.in_proj_weight", (3 * width, width)
        yield "head.attention.in_proj_bias", (3 * width,)
        for name, shape in (
            ("attention.out_proj", (width, width)),
            ("mlp.fc1", (inner, width)),
            ("mlp.fc2", (width, inner)),
        ):
            yield f"head.{name}.weight", shape
            yield f"head.{name}.bias", shape[:1]
        yield "head.layernorm.weight", (width,)
        yield "head.layernorm.bias", (width,)


def module_shapes(module: torch.nn.Module) -> Shapes:
    for name, tensor in module.state_dict().items():
        yield name, tuple(tensor.shape)


def prefixed(prefix: str, shapes: Shapes) -> Shapes:
    for name, shape in shapes:
        yield prefix + name, shape


def write_weights(folder: Path, shapes: list[tuple[str, tuple[int, ...]]], layers: int) -> None:
    """Write shards of at most 5 GB and their index, as transformers does."""
    shards: list[list[tuple[str, tuple[int, ...]]]] = [[]]
    room = SHARD_BYTES
    for name, shape in shapes:
        size = 2 * math.prod(shape)
        if size > room and shards[-1]:
            shards.append([])
            room = SHARD_BYTES
        shards[-1].append((name, shape))
        room -= size
    generator = torch.Generator().manual_seed(0)
    where = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_shard(folder / file, shard, generator, layers)
        where |= {name: file for name, _ in shard}
        print(file, flush=True)
    total = sum(2 * math.prod(shape) for _, shape in shapes)
    index = {"metadata": {"total_size": total}, "weight_map": where}
    write_json(folder / "model.safetensors.index.json", index)


def write_shard(
    path: Path,
    shapes: list[tuple[str, tuple[int, ...]]],
    generator: torch.Generator,
    layers: int,
) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes:
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes:
            drawn(name, shape, generator, layers).numpy().tofile(file)


def drawn(
    name: str, shape: tuple[int, ...], generator: torch.Generator, layers: int
) -> torch.Tensor:
    """Draw a tensor (float16) whose product with inputs of about one is about one."""
    if name.endswith("weight_g"):  # of a (768, 48, k) kernel: the norm of a tap
        return torch.full(shape, 768**0.5, dtype=torch.float16)
    values = torch.empty(shape).normal_(generator=generator)
    if len(shape) == 1 or name.endswith("grep_a"):
        centre = 1.0 if "norm" in name or ".bn." in name or name.endswith("grep_a") else 0.0
        centre = 0.0 if name.endswith("bias") else centre
        return (centre + 0.02 * values).half()
    scale = math.prod(shape[1:]) ** -0.5
    if name.endswith(("embed_tokens.weight", "position_embedding.weight")):
        scale = 0.5
    elif name.endswith(("o_proj.weight", "down_proj.weight", "w2.weight", "out_proj.weight")):
        scale *= layers**-0.5  # what is added to the residual stream
    elif name == "lm_head.weight":
        scale *= 3.0  # a few nats apart, so that there is something to choose
    return values.mul_(scale).half()


def write_texts(folder: Path, config: dict[str, Any]) -> None:
    """Write configuration and tokenizer."""
    write_json(folder / "config.json", config)
    qwen = config["model_type"] == "videollama2_qwen2"
    golden = CHAT["qwen2_av" if qwen else "mistral"]
    ids = {k: config[k] for k in ("bos_token_id", "eos_token_id")}
    write_json(folder / "generation_config.json", {**ids, "transformers_version": "4.42.3"})
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        data = json.loads((golden / name).read_text("utf-8"))
        data.pop("added_tokens_decoder", None)
        write_json(folder / name, data)
    if qwen:
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        tokenizer = learned_tokenizer(special, 0, 151643)
    else:
        tokenizer = learned_tokenizer(["<unk>", "<s>", "</s>"], 3, config["vocab_size"] - 3)
    tokenizer.save(str(folder / "tokenizer.json"))


def learned_tokenizer(special: list[str], first: int, size: int) -> tokenizers.Tokenizer:
    """A byte-level BPE of `size` entries from id `first` on, those it cannot learn made up.

    The special tokens stand in front if there is room for them there, else behind.
    """
    learner = tokenizers.Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pages = [p.read_text("utf-8") for p in sorted(ROOT.glob("docs/*.md"))] + [SYSTEM_PROMPT] * 3
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    learner.train_from_iterator(pages, trainer)
    data = json.loads(learner.to_str())["model"]
    words = sorted(data["vocab"], key=data["vocab"].__getitem__)
    words += [f"\u0120word{number}" for number in range(len(words), size)]
    vocabulary = {word: first + number for number, word in enumerate(words)}
    start = 0 if first else size
    vocabulary |= {token: start + number for number, token in enumerate(special)}
    merges = [tuple(pair) for pair in data["merges"]]
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return tokenizer


def write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
