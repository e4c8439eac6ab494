import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engines.errors import CheckpointError
from export.lora import merge, open_adapter, replace
from export.tensors import Tensors, read_header

NAME = "model.layers.0.self_attn.q_proj"
WRAPPED = f"base_model.model.{NAME}"
A = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]])
B = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [0.0, 0.0]])
# B·A by hand.
CHANGE = torch.tensor([[1.0, 2, 0], [0, 2, -2], [1, 3, -1], [0, 0, 0]])
WEIGHT = torch.arange(12.0).reshape(4, 3)


def merged(
    folder: Path, adapter: dict[str, Tensor], base: dict[str, Tensor], **more: Any
) -> Tensors:
    folder.mkdir(exist_ok=True)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 6} | more
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(adapter, folder / "adapter_model.safetensors")
    save_file(base, folder / "base.safetensors")
    opened = open_adapter(folder)
    stored = read_header(folder / "base.safetensors")
    return Tensors(folder, merge(opened, replace(opened, stored, folder), folder))


def factors(prefix: str = WRAPPED, ending: str = "weight") -> dict[str, Tensor]:
    return {f"{prefix}.lora_A.{ending}": A, f"{prefix}.lora_B.{ending}": B}


@pytest.mark.parametrize(
    ("more", "scale"),
    [({}, 3.0), ({"use_rslora": True}, 6 / math.sqrt(2)), ({"lora_alpha": 0.5}, 0.25)],
)
def test_what_is_added_by_hand(tmp_path: Path, more: dict[str, Any], scale: float) -> None:
    found = merged(tmp_path, factors(), {f"{NAME}.weight": WEIGHT}, **more)
    assert torch.allclose(found.get(f"{NAME}.weight", (4, 3)), WEIGHT + scale * CHANGE)


def test_half_a_base_is_merged_in_float32(tmp_path: Path) -> None:
    base = {f"{NAME}.weight": WEIGHT.bfloat16(), "lm_head.weight": WEIGHT.half()}
    tiny = {name: tensor * 2**-8 for name, tensor in factors().items()}
    found = merged(tmp_path, tiny, base)
    weight = found.get(f"{NAME}.weight", (4, 3))
    # bfloat16 has no number between 8 and 8 + 2⁻¹⁴: the change would be gone.
    assert torch.equal(weight, WEIGHT + 3 * CHANGE * 2**-16)
    assert found.stored[f"{NAME}.weight"].size == 48
    assert found.get("lm_head.weight", (4, 3)).dtype == torch.float16


def test_a_part_of_a_merged_matrix(tmp_path: Path) -> None:
    stored = merged(tmp_path, factors(), {f"{NAME}.weight": WEIGHT}).stored[f"{NAME}.weight"]
    assert torch.equal(stored.read(4, 3), (WEIGHT + 3 * CHANGE).reshape(-1)[4:7])


def test_names_of_older_writers(tmp_path: Path) -> None:
    found = merged(tmp_path, factors(ending="default.weight"), {f"{NAME}.weight": WEIGHT})
    assert torch.equal(found.get(f"{NAME}.weight", (4, 3)), WEIGHT + 3 * CHANGE)


def test_mixtral_by_its_newer_names(tmp_path: Path) -> None:
    gate = {"model.layers.0.block_sparse_moe.gate.weight": WEIGHT}
    found = merged(tmp_path, factors("base_model.model.model.layers.0.mlp.gate"), gate)
    assert torch.equal(found.get(next(iter(gate)), (4, 3)), WEIGHT + 3 * CHANGE)


def test_modules_that_were_trained_whole(tmp_path: Path) -> None:
    adapter = factors() | {
        "base_model.model.lm_head.weight": 2 * WEIGHT,
        "base_model.model.model.norm.modules_to_save.default.weight": torch.ones(3),
        f"{WRAPPED}.base_layer.bias": torch.full((4,), 5.0),
    }
    base = {
        f"{NAME}.weight": WEIGHT,
        f"{NAME}.bias": torch.zeros(4),
        "lm_head.weight": WEIGHT.clone(),
        "model.norm.weight": torch.zeros(3),
    }
    found = merged(tmp_path, adapter, base)
    assert torch.equal(found.get("lm_head.weight", (4, 3)), 2 * WEIGHT)
    assert found.get("model.norm.weight", (3,)).tolist() == [1, 1, 1]
    assert found.get(f"{NAME}.bias", (4,)).tolist() == [5, 5, 5, 5]
    assert found.stored.keys() == base.keys()


def test_trained_modules_of_another_base(tmp_path: Path) -> None:
    adapter = {"base_model.model.lm_head.weight": torch.ones(5, 3)}
    with pytest.raises(
        CheckpointError, match=r"which has no lm_head\.weight of the shape \[5, 3\]"
    ):
        merged(tmp_path, adapter, {"lm_head.weight": WEIGHT})


@pytest.mark.parametrize("wrong", ["base", "adapter"])
def test_what_is_merged_must_be_finite(tmp_path: Path, wrong: str) -> None:
    adapter, base = factors(), {f"{NAME}.weight": WEIGHT}
    held, key = (
        (base, f"{NAME}.weight") if wrong == "base" else (adapter, f"{WRAPPED}.lora_A.weight")
    )
    held[key] = held[key].clone()
    held[key][0, 0] = float("nan")
    file = "base" if wrong == "base" else "adapter_model"
    with pytest.raises(CheckpointError, match=rf"{file}\.safetensors holds NaN or infinite"):
        merged(tmp_path, adapter, base).get(f"{NAME}.weight", (4, 3))


def test_a_base_of_codes_is_refused(tmp_path: Path) -> None:
    found = merged(tmp_path, factors(), {f"{NAME}.weight": WEIGHT.to(torch.int8)})
    with pytest.raises(CheckpointError, match="as I8, which is not supported"):
        found.get(f"{NAME}.weight", (4, 3))
