from pathlib import Path

import pytest
import torch
from torch import Tensor

from engines.errors import CheckpointError
from export.tensor_names import (
    AUDIO,
    PROJECTOR,
    side_file_names,
    tower_names,
    trained_names,
    upstream_names,
)
from export.tensors import StoredTensor

VISION = "model.vision_tower.vision_tower.vision_model."
MOE = "model.layers.3.block_sparse_moe."


def stored(*shape: int) -> StoredTensor:
    values = torch.arange(float(torch.Size(shape).numel()))

    def read(first: int, count: int) -> Tensor:
        return values[first : first + count]

    return StoredTensor(Path("x"), "F32", shape, 4 * len(values), read)


def only(found: dict[str, StoredTensor]) -> str:
    (name,) = found
    return name


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("model.vision_tower.vision_tower.post_layernorm.bias", VISION + "post_layernorm.bias"),
        (VISION + "post_layernorm.bias", VISION + "post_layernorm.bias"),
        ("model.layers.3.mlp.gate.weight", MOE + "gate.weight"),
        ("model.layers.3.mlp.experts.7.w2.weight", MOE + "experts.7.w2.weight"),
        (MOE + "experts.7.w2.weight", MOE + "experts.7.w2.weight"),
        ("model.layers.3.mlp.gate_proj.weight", "model.layers.3.mlp.gate_proj.weight"),
        ("lm_head.weight", "lm_head.weight"),
    ],
)
def test_names_in_shards(name: str, wanted: str) -> None:
    assert only(upstream_names({name: stored(2)})) == wanted


def test_fused_experts_are_parts_of_one_tensor() -> None:
    # Two experts, three inner numbers, width two.
    fused = {
        "model.layers.3.mlp.experts.gate_up_proj": stored(2, 6, 2),
        "model.layers.3.mlp.experts.down_proj": stored(2, 2, 3),
    }
    found = upstream_names(fused)
    assert found.keys() == {f"{MOE}experts.{e}.w{k}.weight" for e in (0, 1) for k in (1, 2, 3)}
    assert found[f"{MOE}experts.1.w1.weight"].whole().tolist() == [[12, 13], [14, 15], [16, 17]]
    assert found[f"{MOE}experts.1.w3.weight"].whole().tolist() == [[18, 19], [20, 21], [22, 23]]
    assert found[f"{MOE}experts.0.w2.weight"].whole().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found[f"{MOE}experts.1.w1.weight"].read(4, 2).tolist() == [16, 17]
    assert [found[f"{MOE}experts.1.w{k}.weight"].size for k in (1, 2, 3)] == [24, 24, 24]


@pytest.mark.parametrize("shape", [(6, 2), (2, 5, 2), (10**9, 2, 0)])
def test_fused_experts_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointError, match="which is not that of experts"):
        upstream_names({"model.layers.0.mlp.experts.gate_up_proj": stored(*shape)})


@pytest.mark.parametrize(
    ("name", "part", "wanted"),
    [
        ("model.mm_projector.s1.b1.x", PROJECTOR, "model.mm_projector.s1.b1.x"),
        ("mm_projector.s1.b1.x", PROJECTOR, "model.mm_projector.s1.b1.x"),
        ("module.model.mm_projector.x", PROJECTOR, "model.mm_projector.x"),
        ("readout.0.bias", PROJECTOR, "model.mm_projector.readout.0.bias"),
        # Upstream's training keeps whatever has mm_projector in its name in this one file.
        ("model.mm_projector_a.0.bias", PROJECTOR, "model.mm_projector_a.0.bias"),
        ("encoder.layer_norm.bias", AUDIO, "model.audio_tower.encoder.layer_norm.bias"),
        ("model.audio_tower.layer_norm.bias", AUDIO, "model.audio_tower.layer_norm.bias"),
        ("model.embed_tokens.weight", PROJECTOR, "model.embed_tokens.weight"),
    ],
)
def test_names_in_files_beside_the_weights(name: str, part: str, wanted: str) -> None:
    assert only(side_file_names({name: stored(2)}, part)) == wanted


@pytest.mark.parametrize(
    "prefix", ["base_model.model.model.", "base_model.model.", "model.model.", "model."]
)
def test_names_of_what_was_trained_beside_an_adapter(prefix: str) -> None:
    found = trained_names({f"{prefix}mm_projector.readout.0.bias": stored(2)})
    assert only(found) == "model.mm_projector.readout.0.bias"


def test_names_in_a_towers_own_folder() -> None:
    whole = {"vision_model.a": stored(2), "text_model.a": stored(2), "logit_scale": stored(1)}
    assert only(tower_names(whole)) == VISION + "a"
    assert only(tower_names({"embeddings.x": stored(2)})) == VISION + "embeddings.x"
