"""Adapters that peft itself wrote, merged by peft and by us (`pip install peft` beforehand).

python -m tests.oracles.peft_adapters
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, MixtralConfig, Qwen2Config

from export.lora import merge, open_adapter, replace
from export.tensor_names import upstream_names
from export.tensors import Tensors
from export.weight_files import read_weights

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"target_modules": [*ATTENTION, "gate_proj", "up_proj", "down_proj"]},
    "rslora": {"target_modules": ATTENTION, "use_rslora": True},
    "whole modules": {"target_modules": ATTENTION, "modules_to_save": ["lm_head", "embed_tokens"]},
    "biases": {"target_modules": ["q_proj", "v_proj"], "bias": "all"},
}
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 99,
}


def furthest(kind: str, folder: Path, config: Any) -> float:
    """Return the largest difference of any tensor, as a share of that tensor's largest value."""
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder / "base")
    lora = LoraConfig(r=8, lora_alpha=12, init_lora_weights=False, **KINDS[kind])
    adapted = get_peft_model(model, lora)
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) * (0.02 if "lora" not in name else 0.1)
    adapted.save_pretrained(folder / "adapter")
    stored = upstream_names(read_weights(folder / "base")[0])
    adapter = open_adapter(folder / "adapter")
    ours = Tensors(folder, merge(adapter, replace(adapter, stored, folder), folder))
    worst = 0.0
    adapted.merge_and_unload().save_pretrained(folder / "merged")
    theirs = Tensors(folder, upstream_names(read_weights(folder / "merged")[0]))
    assert ours.stored.keys() == theirs.stored.keys()
    for name, tensor in theirs.stored.items():
        right = theirs.get(name, tensor.shape).float()
        difference = (ours.get(name, tensor.shape).float() - right).abs().max()
        worst = max(worst, float(difference / right.abs().max().clamp(min=1e-9)))
    return worst


def main() -> None:
    configs = {
        "qwen2": Qwen2Config(**SIZES),
        "mixtral": MixtralConfig(**SIZES, num_local_experts=3),
    }
    for kind in KINDS:
        for name, config in configs.items():
            if name == "mixtral" and kind == "plain":
                continue
            with tempfile.TemporaryDirectory() as folder:
                print(f"{name:<8} {kind:<14} {furthest(kind, Path(folder), config):.1e}")


if __name__ == "__main__":
    main()
