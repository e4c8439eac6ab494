import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.errors import CheckpointError
from export.checkpoint import Checkpoint
from tests.golden import checkpoint


def edit(
    folder: Path, change: Callable[[dict[str, Any]], object], file: str = "config.json"
) -> None:
    path = folder / file
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def edit_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    path.unlink()
    save_file(tensors, path)


def without_prefix(
    tensors: dict[str, torch.Tensor], prefix: str, new: str = ""
) -> dict[str, torch.Tensor]:
    found = [name for name in tensors if name.startswith(prefix)]
    return {new + name.removeprefix(prefix): tensors.pop(name) for name in found}


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


VISION = "model.vision_tower.vision_tower.vision_model."


def test_configuration_of_an_audio_visual_checkpoint(qwen2_av: Path) -> None:
    config = Checkpoint(qwen2_av).config
    assert (config.kind, config.vision.kind, config.projector_type) == (
        "qwen2",
        "siglip",
        "stc_connector_v35",
    )
    assert config.decoder.qkv_bias
    assert config.decoder.windows == ()
    assert config.preprocess.resize == "squash"
    assert config.sound is not None
    assert config.sound.tower.embed_dim == 24  # from the file's own cfg
    assert (config.sound.window_s, config.sound.clip_duration_s) == (30.0, 2.0)


def test_a_checkpoint_may_bring_its_own_window_and_card(qwen2_av: Path) -> None:
    card = {"description": "d", "world": "w", "suggested_questions": ["q"]}
    edit(qwen2_av, lambda c: c.update(vl2_audio_window_s=4, vl2_card=card, vl2_name="VL2 demo"))
    config = Checkpoint(qwen2_av).config
    assert config.sound is not None
    assert (config.sound.window_s, config.sound.clip_duration_s) == (4.0, 0.5)
    assert config.card.suggested_questions == ("q",)
    assert config.name == "VL2 demo"


def test_tower_without_the_inner_level_of_its_name(mistral: Path) -> None:
    whole = Checkpoint(mistral).vision_tower()
    edit_tensors(
        mistral,
        lambda t: t.update(without_prefix(t, VISION, "model.vision_tower.vision_tower.")),
    )
    assert same(Checkpoint(mistral).vision_tower(), whole)


def test_tower_from_its_own_folder(mistral: Path) -> None:
    whole = Checkpoint(mistral).vision_tower()

    def move(tensors: dict[str, torch.Tensor]) -> None:
        tower = without_prefix(tensors, VISION, "vision_model.")
        save_file(tower, mistral / "clip-tiny" / "model.safetensors")

    edit_tensors(mistral, move)
    assert same(Checkpoint(mistral).vision_tower(), whole)


def test_tower_that_is_nowhere(mistral: Path) -> None:
    edit_tensors(mistral, lambda t: without_prefix(t, VISION))
    with pytest.raises(CheckpointError, match=r"clip-tiny, like .*, holds no weights of"):
        Checkpoint(mistral).vision_tower()


def test_published_towers_are_known_by_their_hub_name(mistral: Path) -> None:
    edit(mistral, lambda c: c.update(mm_vision_tower="openai/clip-vit-large-patch14-336"))
    edit(mistral, lambda c: c.update(mm_hidden_size=1024))
    config = Checkpoint(mistral).config
    assert (config.vision.hidden_size, config.vision.num_patches) == (1024, 576)
    assert config.preprocess.crop == 336
    edit(mistral, lambda c: c.update(mm_vision_tower="google/siglip-so400m-patch14-384"))
    edit(mistral, lambda c: c.update(mm_hidden_size=1152))
    config = Checkpoint(mistral).config
    assert config.vision.num_patches == 729
    assert config.preprocess.image_mean == (0.5, 0.5, 0.5)


def test_audio_tower_from_the_shards(qwen2_av: Path) -> None:
    whole = Checkpoint(qwen2_av).sound_encoder()
    stored = torch.load(qwen2_av / "beats-tiny.pt", weights_only=True)
    (qwen2_av / "beats-tiny.pt").unlink()
    edit(qwen2_av, lambda c: c.update(beats_config=stored["cfg"], mm_audio_tower="/gone/beats.pt"))
    with pytest.raises(CheckpointError, match="holds no weights of the audio tower"):
        Checkpoint(qwen2_av).sound_encoder()
    edit_tensors(
        qwen2_av,
        lambda t: t.update({f"model.audio_tower.{k}": v for k, v in stored["model"].items()}),
    )
    assert same(Checkpoint(qwen2_av).sound_encoder(), whole)


def test_audio_tower_named_by_a_place_one_may_not_look_at(
    qwen2_av: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_file = Path.is_file

    def forbidden(path: Path) -> bool:
        if str(path).startswith("/root/"):
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", forbidden)
    edit(qwen2_av, lambda c: c.update(mm_audio_tower="/root/beats-tiny.pt"))
    assert qwen2_av / "beats-tiny.pt" in Checkpoint(qwen2_av).source_files()
    edit(qwen2_av, lambda c: c.update(mm_audio_tower="/root/elsewhere.pt"))
    with pytest.raises(CheckpointError, match="holds no weights of the audio tower"):
        Checkpoint(qwen2_av)


def test_audio_tower_of_a_file_without_tensors(qwen2_av: Path) -> None:
    stored = torch.load(qwen2_av / "beats-tiny.pt", weights_only=True)
    codes = {"patch_embedding.weight": torch.ones(24, 1, 16, 16, dtype=torch.int64)}
    for change, message in ((5, "does not hold a dictionary"), (codes, "has no tensor|as INT64")):
        torch.save({"cfg": stored["cfg"], "model": change}, qwen2_av / "beats-tiny.pt")
        with pytest.raises(CheckpointError, match=rf"beats-tiny\.pt.* ({message})"):
            Checkpoint(qwen2_av).sound_encoder()


def test_shared_bias_table_may_be_repeated_in_every_layer(qwen2_av: Path) -> None:
    whole = Checkpoint(qwen2_av).sound_encoder()
    stored = torch.load(qwen2_av / "beats-tiny.pt", weights_only=True)
    name = "encoder.layers.{}.self_attn.relative_attention_bias.weight"
    for layer in range(stored["cfg"]["encoder_layers"]):
        stored["model"][name.format(layer)] = stored["model"][name.format(0)]
    torch.save(stored, qwen2_av / "beats-tiny.pt")
    assert same(Checkpoint(qwen2_av).sound_encoder(), whole)


def test_a_gap_in_the_decoder_is_found_without_reading_it(mistral: Path) -> None:
    checkpoint = Checkpoint(mistral)
    checkpoint.check_decoder()
    del checkpoint.tensors.stored["model.layers.2.mlp.up_proj.weight"]
    with pytest.raises(CheckpointError, match=r"no tensor model\.layers\.2\.mlp\.up_proj"):
        checkpoint.check_decoder()


def test_audio_tower_of_another_shape(qwen2_av: Path) -> None:
    stored = torch.load(qwen2_av / "beats-tiny.pt", weights_only=True)
    stored["model"]["layer_norm.weight"] = torch.ones(23)
    torch.save(stored, qwen2_av / "beats-tiny.pt")
    with pytest.raises(CheckpointError, match=r"layer_norm\.weight in .*beats-tiny\.pt has"):
        Checkpoint(qwen2_av).sound_encoder()


def test_sliding_windows(mistral: Path, qwen2_av: Path) -> None:
    edit(mistral, lambda c: c.update(sliding_window=64))
    assert Checkpoint(mistral).config.decoder.windows == (64, 64, 64)
    edit(mistral, lambda c: c.update(sliding_window=4096))
    assert Checkpoint(mistral).config.decoder.windows == ()
    edit(qwen2_av, lambda c: c.update(use_sliding_window=True, sliding_window=8))
    edit(qwen2_av, lambda c: c.update(max_window_layers=2))
    assert Checkpoint(qwen2_av).config.decoder.windows == (None, None, 8)


def test_windows_layer_by_layer(qwen2_av: Path) -> None:
    types = ["sliding_attention", "full_attention", "sliding_attention"]
    edit(qwen2_av, lambda c: c.update(use_sliding_window=True, sliding_window=8))
    edit(qwen2_av, lambda c: c.update(layer_types=types))
    assert Checkpoint(qwen2_av).config.decoder.windows == (8, None, 8)
    for wrong in (types[:2], ["chunked"] * 3, "sliding_attention"):
        edit(qwen2_av, lambda c, wrong=wrong: c.update(layer_types=wrong))  # type: ignore[misc]
        with pytest.raises(CheckpointError, match="layer_types must be 3 times"):
            Checkpoint(qwen2_av)


def test_keys_that_are_not_known_are_told(mistral: Path) -> None:
    assert Checkpoint(mistral).notes == []
    edit(mistral, lambda c: c.update(mm_new_trick=True, attention_bias=True, tune_anything=1))
    assert Checkpoint(mistral).notes == [
        f"not known, so without effect, in {mistral / 'config.json'}: attention_bias, mm_new_trick"
    ]


def test_a_published_towers_files_may_leave_things_out(mistral: Path) -> None:
    named = "openai/clip-vit-large-patch14-336"
    edit(mistral, lambda c: c.update(mm_vision_tower=named, mm_hidden_size=1024))
    tower = mistral / Path(named).name
    tower.mkdir()
    (tower / "config.json").write_text(json.dumps({"vision_config": {"hidden_size": 1024}}))
    vision = Checkpoint(mistral).config.vision
    assert (vision.kind, vision.num_hidden_layers, vision.hidden_act) == ("clip", 24, "quick_gelu")


def test_what_a_silent_configuration_means(tmp_path: Path) -> None:
    for name, eps, theta in (("mistral", 1e-6, 1e4), ("mixtral", 1e-5, 1e6)):
        folder = Path(shutil.copytree(checkpoint(name), tmp_path / name))
        edit(folder, lambda c: [c.pop(key, None) for key in ("rms_norm_eps", "rope_theta")])
        decoder = Checkpoint(folder).config.decoder
        assert (decoder.rms_norm_eps, decoder.rope_theta) == (eps, theta)


def test_rope_parameters_in_the_newer_spelling(mistral: Path) -> None:
    def move(config: dict[str, Any]) -> None:
        config["rope_parameters"] = {"rope_type": "default", "rope_theta": config.pop("rope_theta")}

    edit(mistral, move)
    assert Checkpoint(mistral).config.decoder.rope_theta == 1e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "llava"}, "model_type 'llava', which is not supported; give"),
        ({"mm_projector_type": "qformer"}, "projector 'qformer', which is not supported"),
        ({"mm_projector_type": "spatial_conv"}, "as wide as the decoder"),
        ({"mm_vision_tower": "somewhere/else"}, "names the vision tower 'somewhere/else'"),
        ({"mm_hidden_size": 47}, "mm_hidden_size must be the tower's width 48 but is 47"),
        ({"mm_vision_select_layer": -9}, "mm_vision_select_layer must be"),
        ({"mm_vision_select_layer": "last"}, "mm_vision_select_layer must be"),
        ({"vl2_card": "hello"}, "vl2_card must be an object"),
        ({"mm_vision_select_feature": "cls_patch"}, "mm_vision_select_feature must be 'patch'"),
        ({"hidden_size": "big"}, "hidden_size must be a whole number above zero but is 'big'"),
        ({"vocab_size": None}, "vocab_size must be a whole number above zero but is None"),
        ({"hidden_act": "relu"}, "hidden_act must be 'silu'"),
        ({"rope_scaling": {"type": "yarn", "factor": 4}}, "scaled rotary positions"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps must be a number above zero"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers must be at most 16777216"),
        ({"num_key_value_heads": 3}, "must be a divisor of the 4 heads but is 3"),
        ({"num_frames": 129}, "num_frames must be at most 128"),
        ({"vl2_card": {"suggested_questions": 5}}, "vl2_card must be an object with a list"),
        ({"vl2_name": 5}, "vl2_name must be a string"),
        ({"mm_vision_tower": "a" * 5000}, "names the vision tower"),
    ],
)
def test_configurations_that_are_refused(
    mistral: Path, change: dict[str, Any], message: str
) -> None:
    edit(mistral, lambda c: c.update(change))
    with pytest.raises(CheckpointError, match=message):
        Checkpoint(mistral)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resample": 2}, "resample must be 3"),
        ({"do_normalize": False}, "do_resize must be true"),
        ({"crop_size": {"height": 80, "width": 80}}, "crop_size must be the tower's image size 84"),
        ({"size": {"height": 84, "width": 90}}, "size must be a square"),
        ({"size": None}, "size must be a number or an object"),
        ({"image_mean": 5}, "image_mean must be three numbers"),
        ({"image_std": [0, 0, 0]}, "image_std must be a spread"),
    ],
)
def test_pixel_pipelines_that_are_refused(
    mistral: Path, change: dict[str, Any], message: str
) -> None:
    edit(mistral, lambda c: c.update(change), "clip-tiny/preprocessor_config.json")
    with pytest.raises(CheckpointError, match=message):
        Checkpoint(mistral)


def test_not_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a folder; give the folder"):
        Checkpoint(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        Checkpoint(tmp_path)


def test_hash_covers_configuration_and_weights(mistral: Path) -> None:
    first = Checkpoint(mistral).sha256()
    assert Checkpoint(mistral).sha256() == first
    edit(mistral, lambda c: c.update(num_frames=9))
    assert Checkpoint(mistral).sha256() != first


def test_connector_depth_is_read_off_the_tensors(mistral: Path) -> None:
    edit_tensors(
        mistral,
        lambda t: [
            t.pop(n)
            for n in list(t)
            if n.startswith("model.mm_projector.s") and ".b1." not in n and ".sampler" not in n
        ],
    )
    projector = Checkpoint(mistral).projector()
    assert len(projector.s1) == len(projector.s2) == 1  # type: ignore[arg-type]


def test_tied_output_matrix(mistral: Path) -> None:
    edit(mistral, lambda c: c.update(tie_word_embeddings=True))
    edit_tensors(mistral, lambda t: t.pop("lm_head.weight"))
    checkpoint = Checkpoint(mistral)
    assert torch.equal(checkpoint.lm_head(), checkpoint.embed_tokens())
