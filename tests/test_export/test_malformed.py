"""Checkpoints that cannot be exported: one sentence each, exit code 1, nothing left behind."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from export.cli import main
from tests import layouts
from tests.layouts import Layout, take_apart

Weights = dict[str, Tensor]
Spoil = Callable[[Path], object]

INDEX = "model.safetensors.index.json"
BIN_INDEX = "pytorch_model.bin.index.json"
FIRST_SHARD = "model-00001-of-00003.safetensors"
FIRST_BIN = "pytorch_model-00001-of-00003.bin"
Q_PROJ = "model.layers.1.self_attn.q_proj"
WRAPPED = f"base_model.model.{Q_PROJ}"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code in the file ran')",))


def tensors(change: Callable[[Weights], object], file: str = "model.safetensors") -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / file
        binary = path.suffix == ".bin"
        content = torch.load(path, weights_only=True) if binary else load_file(path)
        change(content)
        path.unlink()
        _ = torch.save(content, path) if binary else save_file(content, path)

    return spoil


def values(file: str, **changed: Any) -> Spoil:
    """Set keys of a JSON file; None removes them."""

    def spoil(folder: Path) -> None:
        data = json.loads((folder / file).read_text()) | changed
        kept = {key: value for key, value in data.items() if value is not None}
        (folder / file).write_text(json.dumps(kept))

    return spoil


def content(file: str, data: bytes) -> Spoil:
    return lambda folder: (folder / file).write_bytes(data)


def half(file: str) -> Spoil:
    def spoil(folder: Path) -> None:
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(data[: len(data) // 2])

    return spoil


def gone(*files: str) -> Spoil:
    return lambda folder: [(folder / file).unlink() for file in files]


def harmful(file: str) -> Spoil:
    return lambda folder: torch.save({"a": Harmful()}, folder / file)


def elsewhere(file: str) -> Spoil:
    """Let the index name another shard for the first tensor."""

    def spoil(folder: Path) -> None:
        data = json.loads((folder / file).read_text())
        first = min(data["weight_map"])
        places = sorted(set(data["weight_map"].values()))
        data["weight_map"][first] = places[places.index(data["weight_map"][first]) - 1]
        (folder / file).write_text(json.dumps(data))

    return spoil


def named(file: str, place: str) -> Spoil:
    return values(file, weight_map={"model.nothing": place})


def poisoned(name: str, value: float) -> Spoil:
    return tensors(lambda weights: weights[name].view(-1)[3:4].fill_(value))


def without(name: str, file: str = "model.safetensors") -> Spoil:
    return tensors(lambda weights: weights.pop(name), file)


def as_type(name: str, dtype: torch.dtype, file: str = "model.safetensors") -> Spoil:
    return tensors(lambda weights: weights.update({name: weights[name].to(dtype)}), file)


def cut(name: str, file: str = "model.safetensors") -> Spoil:
    return tensors(lambda weights: weights.update({name: weights[name][:-1].clone()}), file)


LIST: dict[str, tuple[Layout, Spoil, str]] = {
    "no-config": (layouts.single, gone("config.json"), r"config\.json is missing; give"),
    "config-cut": (layouts.single, half("config.json"), r"config\.json cannot be read as JSON"),
    "model-type": (
        layouts.single,
        values("config.json", model_type="llava"),
        "is of model_type 'llava', which is not supported",
    ),
    "model-type-missing": (
        layouts.single,
        values("config.json", model_type=None),
        "the key model_type must be a string but is missing",
    ),
    "no-weights": (layouts.single, gone("model.safetensors"), "holds neither model.safetensors"),
    "pointer": (layouts.single, content("model.safetensors", POINTER), "only git's pointer"),
    "pointer-bin": (layouts.single_bin, content("pytorch_model.bin", POINTER), "only git's point"),
    "shard-missing": (layouts.shards, gone(FIRST_SHARD), f"{FIRST_SHARD} is missing"),
    "bin-shard-missing": (layouts.bin_shards, gone(FIRST_BIN), f"{FIRST_BIN} is missing"),
    "index-empty": (layouts.shards, content(INDEX, b"{}"), "has no weight map"),
    "index-cut": (layouts.bin_shards, half(BIN_INDEX), "cannot be read as JSON"),
    "index-wrong": (layouts.shards, elsewhere(INDEX), r"says that .* is in .*, but it is model-"),
    "index-wrong-bin": (layouts.bin_shards, elsewhere(BIN_INDEX), r"but it is pytorch_model-"),
    "index-invents": (
        layouts.shards,
        named(INDEX, FIRST_SHARD),
        "but it is in none of the files",
    ),
    "index-outside": (layouts.shards, named(INDEX, "../x.safetensors"), r"which is no \.safet"),
    "truncated": (layouts.single, half("model.safetensors"), "shorter than its header says"),
    "truncated-bin": (layouts.bin_shards, half(FIRST_BIN), r"is damaged \(truncated"),
    "not-a-tensor-file": (layouts.single_bin, content("pytorch_model.bin", b"PK\3\4x"), "damaged"),
    "nan": (layouts.single, poisoned(Q_PROJ + ".weight", float("nan")), "holds NaN or infinite"),
    "infinite": (
        layouts.single,
        poisoned("model.mm_projector.readout.0.bias", float("inf")),
        r"readout\.0\.bias in .* holds NaN or infinite",
    ),
    "dtype": (layouts.single, as_type(Q_PROJ + ".weight", torch.int8), "as I8, which is not"),
    "dtype-bin": (
        layouts.single_bin,
        as_type(Q_PROJ + ".weight", torch.float8_e4m3fn, "pytorch_model.bin"),
        "as FLOAT8_E4M3FN, which is not supported",
    ),
    "quantised": (
        layouts.single,
        lambda folder: (
            as_type(Q_PROJ + ".weight", torch.uint8)(folder),
            values("config.json", quantization_config={"load_in_4bit": True})(folder),
        ),
        "is quantised already",
    ),
    "shape": (layouts.single, cut(Q_PROJ + ".weight"), r"has the shape \[63, 64\] where"),
    "layer-missing": (layouts.single, without(Q_PROJ + ".weight"), "has no tensor model.layers.1"),
    "connector-missing": (
        layouts.single,
        without("model.mm_projector.readout.0.weight"),
        r"has no tensor model\.mm_projector\.readout\.0\.weight",
    ),
    "code-in-shard": (layouts.bin_shards, harmful(FIRST_BIN), "nothing of it was run"),
    "code-in-connector": (layouts.base_repository, harmful("mm_projector.bin"), "nothing of it"),
    "code-in-adapter": (layouts.adapter_over_whole, harmful("adapter_model.bin"), "nothing of it"),
    "code-in-trained": (layouts.adapter, harmful("non_lora_trainables.bin"), "nothing of it was"),
    "connector-no-dict": (
        layouts.base_repository,
        lambda folder: torch.save([1], folder / "mm_projector.bin"),
        "does not hold a dictionary of tensors",
    ),
    "tower-nowhere": (
        layouts.tower_in_hub,
        values("config.json", mm_vision_tower="somebody/unknown"),
        "names the vision tower 'somebody/unknown', which is neither",
    ),
    "tower-weights-nowhere": (
        layouts.tower_in_hub,
        values(
            "config.json",
            mm_vision_tower="openai/clip-vit-large-patch14-336",
            mm_hidden_size=1024,
        ),
        "holds no weights of the vision tower",
    ),
    "base-nowhere": (
        layouts.base_repository,
        values("config.json", _name_or_path="somebody/else"),
        "needs the language model 'somebody/else', which is neither beside it nor",
    ),
    "base-unnamed": (
        layouts.base_repository,
        values("config.json", _name_or_path=None),
        "holds no language model and does not name one; give it with --base",
    ),
    "base-is-itself": (
        layouts.base_repository,
        values("config.json", _name_or_path="../vl2"),
        "names itself as its base",
    ),
    "base-of-another-model": (
        layouts.base_repository,
        values("config.json", num_hidden_layers=3),
        "was made of another model than .*num_hidden_layers is 3 here and 2 there",
    ),
    "base-of-another-kind": (
        layouts.base_repository,
        values("config.json", model_type="videollama2_qwen2"),
        "was made of another model than .*model_type is qwen2 here and mistral there",
    ),
    "adapter-of-another-base": (
        layouts.adapter_over_whole,
        cut(f"{WRAPPED}.lora_B.weight", "adapter_model.bin"),
        rf"was made of another base than .*, which has no {Q_PROJ}\.weight of the shape \[63, 64\]",
    ),
    "adapter-of-a-larger-base": (
        layouts.adapter_over_whole,
        tensors(
            lambda weights: weights.update(
                {key.replace("layers.1.", "layers.9."): weights.pop(key) for key in list(weights)}
            ),
            "adapter_model.bin",
        ),
        r"which has no model\.layers\.9\.",
    ),
    "adapter-half": (
        layouts.adapter,
        without(f"{WRAPPED}.lora_A.weight", "adapter_model.safetensors"),
        "holds only one of the two factors",
    ),
    "adapter-rank": (layouts.adapter, values("adapter_config.json", r=5), "are not of rank 5"),
    "adapter-nan": (
        layouts.adapter_over_whole,
        tensors(
            lambda weights: weights[f"{WRAPPED}.lora_A.weight"].fill_(float("nan")),
            "adapter_model.bin",
        ),
        r"adapter_model\.bin holds NaN or infinite",
    ),
    "adapter-kind": (
        layouts.adapter,
        values("adapter_config.json", peft_type="IA3"),
        "peft_type must be 'LORA' but is 'IA3'",
    ),
    "adapter-transposed": (
        layouts.adapter,
        values("adapter_config.json", fan_in_fan_out=True),
        "asks for fan_in_fan_out, which is not supported",
    ),
    "adapter-dora": (layouts.adapter, values("adapter_config.json", use_dora=True), "use_dora"),
    "adapter-unknown-tensor": (
        layouts.adapter_over_whole,
        tensors(
            lambda weights: weights.update({f"{WRAPPED}.lora_magnitude_vector": torch.ones(64)}),
            "adapter_model.bin",
        ),
        "lora_magnitude_vector, a kind of adapter that is not supported",
    ),
    "adapter-without-weights": (
        layouts.adapter,
        gone("adapter_model.safetensors"),
        "holds an adapter_config.json but neither adapter_model.safetensors nor",
    ),
    "adapter-and-weights": (
        layouts.adapter,
        lambda folder: save_file({"a": torch.ones(1)}, folder / "model.safetensors"),
        "holds an adapter and whole weights",
    ),
    "adapter-on-adapter": (
        layouts.adapter_over_whole,
        lambda folder: (folder.parent / "whole" / "adapter_config.json").write_text("{}"),
        "which is an adapter itself",
    ),
    "code-in-beats": (layouts.audio_file, harmful("../beats-tiny.pt"), "nothing of it was run"),
    "beats-nowhere": (layouts.audio_file, gone("../beats-tiny.pt"), "no weights of the audio tow"),
    "beats-cut": (layouts.audio_side_files, half("audio_tower.bin"), r"is damaged \(truncated"),
    "tokenizer": (
        layouts.single,
        content("tokenizer.json", b"{}"),
        "is not a tokenizer",
    ),
}


@pytest.mark.parametrize("name", LIST)
def test_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    layout, spoil, message = LIST[name]
    sound = layout in (layouts.audio_file, layouts.audio_side_files)
    given = layout(
        take_apart("qwen2_av" if sound else "mistral"), tmp_path / "given", tmp_path / "hub"
    )
    spoil(given)
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "bundle.vl2"
    with pytest.MonkeyPatch.context() as at:
        at.chdir(tmp_path / "out")
        assert main([str(given), "-o", str(target), "--fp32"]) == 1
    captured = capsys.readouterr()
    said = [line for line in captured.err.splitlines() if line.startswith("vl2-export: ")]
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert captured.err.endswith(f"{said[-1]}\n")
    assert len(said) == 1
    assert said[0].endswith(".")
    assert "unforeseen" not in said[0]
    assert re.search(message, said[0]), said[0]
    assert list((tmp_path / "out").iterdir()) == []
