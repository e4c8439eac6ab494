"""The trained parts as a Hugging Face folder in the published layout of VideoLLaMA 2."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from engines.errors import ExportError
from export.demo.network import (
    IMAGE_MEAN,
    IMAGE_STD,
    PROJECTOR_TYPE,
    HearingTower,
    JointModel,
    SeeingTower,
    Sizes,
)
from export.demo.tokenizer import BOS, EOS, write_tokenizer
from export.reference.vision_tower import EncoderLayer

VISION_FOLDER = "clip-demo"
AUDIO_FILE = "beats-demo.pt"
NAME = "VL2 demo"
CARD = {
    "description": "A small VideoLLaMA 2 with sound, trained from nothing on generated clips.",
    "world": "It knows only its small synthetic world: coloured shapes that stand, move, bounce,"
    " appear and disappear, a background that flashes, tones, beeps and noise. About anything else"
    " its answer means nothing.",
    "suggested_questions": [
        "Describe what you see and hear.",
        "How many objects are there?",
        "What do you hear?",
    ],
}
VISION_PREFIX = "model.vision_tower.vision_tower.vision_model."


def check_out(out_dir: Path, work: Path) -> None:
    """Refuse to put a checkpoint where something else would be lost.

    Raises:
        ExportError: the folder holds anything but a checkpoint of ours, or the work folder.
    """
    if out_dir.resolve() in (work.resolve(), *work.resolve().parents):
        raise ExportError(
            f"{out_dir} holds the work folder, which writing the checkpoint there would delete;"
            " choose another folder."
        )
    if not out_dir.exists() or (out_dir.is_dir() and not any(out_dir.iterdir())):
        return
    if not (out_dir / "config.json").is_file() or not (out_dir / AUDIO_FILE).is_file():
        raise ExportError(
            f"{out_dir} is not a demo checkpoint, so it is not replaced; choose another folder."
        )


def write_checkpoint(
    out_dir: Path,
    sizes: Sizes,
    tokenizer: Tokenizer,
    towers: tuple[SeeingTower, HearingTower],
    joint: JointModel,
) -> None:
    """Write the whole folder, to a sibling first, then in place of what stood there."""
    partial = out_dir.with_name(out_dir.name + ".part")
    if partial.exists():
        shutil.rmtree(partial)
    (partial / VISION_FOLDER).mkdir(parents=True)
    seeing, hearing = towers
    vision = vision_tensors(seeing, sizes)
    sound = {k: v.detach().clone() for k, v in hearing.audio_tower.state_dict().items()}
    _write_vision(partial / VISION_FOLDER, sizes, vision)
    torch.save({"cfg": audio_config(sizes), "model": sound}, partial / AUDIO_FILE)
    save_file(model_tensors(joint, vision, sound), partial / "model.safetensors", {"format": "pt"})
    write_tokenizer(tokenizer, partial)
    _write_json(partial / "config.json", model_config(sizes))
    generation = {"bos_token_id": BOS, "eos_token_id": EOS, "do_sample": False}
    _write_json(partial / "generation_config.json", generation)
    for path in partial.rglob("*.safetensors"):
        path.chmod(0o644)  # the library keeps its files to their owner
    if out_dir.exists():
        shutil.rmtree(out_dir)
    partial.rename(out_dir)


def vision_tensors(seeing: SeeingTower, sizes: Sizes) -> dict[str, Tensor]:
    """The whole tower, with the last layer and norm that the layout has and nothing reads."""
    tensors = {k: v.detach().clone() for k, v in seeing.vision_tower.state_dict().items()}
    torch.manual_seed(0)
    for index in range(sizes.vision.used_layers, sizes.vision.num_hidden_layers):
        for name, value in EncoderLayer(sizes.vision).state_dict().items():
            tensors[f"encoder.layers.{index}.{name}"] = value
    width = sizes.vision.hidden_size
    tensors["post_layernorm.weight"] = torch.ones(width)
    tensors["post_layernorm.bias"] = torch.zeros(width)
    return {k: v.contiguous() for k, v in tensors.items()}


def model_tensors(
    joint: JointModel, vision: dict[str, Tensor], sound: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Everything under its published name; the training heads are left behind."""
    parts = {
        "": joint.decoder.state_dict(),
        "model.mm_projector.": joint.connector.mm_projector.state_dict(),
        "model.mm_projector_a.": joint.mm_projector_a.state_dict(),
        "model.audio_tower.": sound,
        VISION_PREFIX: vision,
    }
    return {
        prefix + name: value.detach().contiguous().clone()
        for prefix, tensors in parts.items()
        for name, value in tensors.items()
    }


def audio_config(sizes: Sizes) -> dict[str, Any]:
    """BEATs' own configuration, in the words of its published `.pt`."""
    audio = sizes.audio
    return {
        "input_patch_size": audio.input_patch_size,
        "embed_dim": audio.embed_dim,
        "conv_bias": audio.conv_bias,
        "encoder_layers": audio.encoder_layers,
        "encoder_embed_dim": audio.encoder_embed_dim,
        "encoder_ffn_embed_dim": audio.encoder_ffn_embed_dim,
        "encoder_attention_heads": audio.encoder_attention_heads,
        "activation_fn": "gelu",
        "layer_norm_first": False,
        "deep_norm": audio.deep_norm,
        "conv_pos": audio.conv_pos,
        "conv_pos_groups": audio.conv_pos_groups,
        "relative_position_embedding": audio.relative_position_embedding,
        "num_buckets": audio.num_buckets,
        "max_distance": audio.max_distance,
        "gru_rel_pos": audio.gru_rel_pos,
        "finetuned_model": False,
    }


def model_config(sizes: Sizes) -> dict[str, Any]:
    """config.json; the `vl2_` keys are ours: see docs/bundle-format.md."""
    decoder = sizes.decoder
    return {
        "architectures": ["Videollama2MistralForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "hidden_act": "silu",
        "hidden_size": decoder.hidden_size,
        "hidden_size_a": decoder.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": decoder.intermediate_size,
        "max_position_embeddings": decoder.max_position_embeddings,
        "mm_audio_tower": AUDIO_FILE,
        "mm_hidden_size": sizes.vision.hidden_size,
        "mm_hidden_size_a": sizes.audio.encoder_embed_dim,
        "mm_projector_a_type": "mlp2x_gelu",
        "mm_projector_type": PROJECTOR_TYPE,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": VISION_FOLDER,
        "model_type": "videollama2_mistral",
        "num_attention_heads": decoder.num_attention_heads,
        "num_frames": sizes.num_frames,
        "num_hidden_layers": decoder.num_hidden_layers,
        "num_key_value_heads": decoder.num_key_value_heads,
        "rms_norm_eps": decoder.rms_norm_eps,
        "rope_theta": decoder.rope_theta,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_cache": True,
        "use_mm_proj": True,
        "vl2_audio_window_s": sizes.window_s,
        "vl2_card": CARD,
        "vl2_name": NAME,
        "vocab_size": decoder.vocab_size,
    }


def _write_vision(folder: Path, sizes: Sizes, tensors: dict[str, Tensor]) -> None:
    vision = sizes.vision
    size = vision.image_size
    config = {
        "architectures": ["CLIPVisionModel"],
        "attention_dropout": 0.0,
        "hidden_act": vision.hidden_act,
        "hidden_size": vision.hidden_size,
        "image_size": size,
        "intermediate_size": vision.intermediate_size,
        "layer_norm_eps": vision.layer_norm_eps,
        "model_type": "clip_vision_model",
        "num_attention_heads": vision.num_attention_heads,
        "num_channels": 3,
        "num_hidden_layers": vision.num_hidden_layers,
        "patch_size": vision.patch_size,
        "projection_dim": vision.hidden_size,
        "torch_dtype": "float32",
    }
    processor = {
        "crop_size": {"height": size, "width": size},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": list(IMAGE_MEAN),
        "image_processor_type": "CLIPImageProcessor",
        "image_std": list(IMAGE_STD),
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": size},
    }
    _write_json(folder / "config.json", config)
    _write_json(folder / "preprocessor_config.json", processor)
    named = {f"vision_model.{k}": v.clone() for k, v in tensors.items()}
    save_file(named, folder / "model.safetensors", {"format": "pt"})


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
