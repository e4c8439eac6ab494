"""`vl2-export` from the command line: what it writes, what it refuses, what it leaves behind."""

import dataclasses
import errno
import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import engines
from engines.bundle import open_bundle
from export import compare, tower_config
from export.cli import main
from export.graph.builder import DataFile
from tests.golden import checkpoint

# Soon done; what rounding costs these random models is no matter here.
ROUNDED = ("--rtn", "--accept-loss")


@pytest.fixture(scope="module")
def int4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audio-visual checkpoint as int4; not to be changed."""
    target = tmp_path_factory.mktemp("made") / "av.vl2"
    assert main([str(checkpoint("qwen2_av")), "-o", str(target), *ROUNDED]) == 0
    return target


def export(source: Path, target: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """Export, which must fail; return the one sentence."""
    capsys.readouterr()
    siblings = sorted(target.parent.iterdir())
    assert main([str(source), "-o", str(target), *more]) == 1
    assert sorted(target.parent.iterdir()) == siblings
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("vl2-export: ")
    assert last.endswith(".")
    return last


def test_manifest_of_an_audio_visual_bundle(int4: Path) -> None:
    config = open_bundle(int4).config
    assert config.name == config.source.checkpoint == "qwen2_av"
    assert len(config.source.sha256) == 64
    assert (config.quantisation.scheme, config.quantisation.group_size) == ("int4", 32)
    assert config.audio is not None
    assert (config.audio.window_s, config.audio.tokens_per_window) == (30.0, 1496)
    assert config.vision.min_frames == 2
    assert config.graphs["decoder"].file == "decoder.onnx"
    assert config.graphs["decoder_exact"].inputs == config.graphs["decoder"].inputs
    assert config.graphs["vision_tower"].inputs == {
        "pixel_values": ("float32", ("T", 3, 84, 84)),
    }
    assert set(config.files) == {p.name for p in int4.iterdir()} - {"manifest.json"}
    assert (config.quantisation.method, config.quantisation.head) == ("rtn", "int8")
    assert {row.graph for row in config.verification} == set(config.graphs)
    assert all(row.max_rel <= row.tolerance for row in config.verification)


def test_both_int4_decoders_lie_over_one_data_file(int4: Path) -> None:
    names = {p.name for p in int4.iterdir()}
    assert {"decoder.onnx", "decoder.exact.onnx", "decoder.data"} <= names
    assert "decoder.exact.data" not in names


def test_the_runtime_opens_what_was_written(int4: Path) -> None:
    for exact in (False, True):
        model = engines.load(int4, device="cpu", exact=exact, keep_encodings=False)
        logits = model.next_logits(model.embed(np.arange(5))[None])
        assert logits.shape == (356,)
        assert np.isfinite(logits).all()


def test_verify_prints_the_table(int4: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(int4)]) == 0
    out = capsys.readouterr().out
    for row in ("encode_video", "encode_audio", "next_logits", "next_logits_exact"):
        assert row in out


def test_verify_finds_a_changed_byte(
    int4: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(int4, tmp_path / "copy.vl2"))
    data = bytearray((copy / "decoder.data").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "decoder.data").write_bytes(data)
    assert main(["verify", str(copy)]) == 1
    assert "decoder.data is damaged" in capsys.readouterr().err


def test_a_checkpoint_of_bfloat16_shards_gives_the_same_as_of_float32(
    mistral: Path, tmp_path: Path
) -> None:
    tensors = {k: v.bfloat16() for k, v in load_file(mistral / "model.safetensors").items()}
    whole, sharded = mistral, Path(shutil.copytree(mistral, tmp_path / "sharded"))
    for source, dtype in ((whole, torch.float32), (sharded, torch.bfloat16)):
        (source / "model.safetensors").unlink()
        cast = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        if dtype == torch.float32:
            save_file(cast, source / "model.safetensors")
            continue
        names = sorted(cast)
        parts = {"1.safetensors": names[::2], "2.safetensors": names[1::2]}
        for file, part in parts.items():
            save_file({n: cast[n] for n in part}, source / file)
        index = {"weight_map": {n: file for file, part in parts.items() for n in part}}
        (source / "model.safetensors.index.json").write_text(json.dumps(index))
        assert main([str(whole), "-o", str(tmp_path / "a.vl2"), "--fp32"]) == 0
        assert main([str(sharded), "-o", str(tmp_path / "b.vl2"), "--fp32"]) == 0
    for name in ("decoder.data", "vision_tower.data", "projector.data", "embed_tokens.npy"):
        assert (tmp_path / "a.vl2" / name).read_bytes() == (tmp_path / "b.vl2" / name).read_bytes()
    (sharded / "2.safetensors").unlink()
    assert main([str(sharded), "-o", str(tmp_path / "c.vl2")]) == 1
    assert not (tmp_path / "c.vl2").exists()


def spoil(source: Path, name: str, change: str) -> None:
    tensors = load_file(source / "model.safetensors")
    tensor = tensors[name]
    if change == "nan":
        tensor.view(-1)[3] = float("nan")
    tensors[name] = tensor[:-1].clone() if change == "shape" else tensor
    if change == "gone":
        del tensors[name]
    save_file(tensors, source / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("model.layers.2.mlp.up_proj.weight", "nan", "holds NaN or infinite values"),
        ("model.mm_projector.readout.0.weight", "nan", "holds NaN or infinite values"),
        ("model.layers.1.self_attn.k_proj.weight", "shape", "has the shape [31, 64]"),
        ("model.embed_tokens.weight", "shape", "has the shape [355, 64]"),
        ("lm_head.weight", "gone", "has no tensor lm_head.weight"),
    ],
)
def test_spoiled_weights(
    mistral: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    change: str,
    sentence: str,
) -> None:
    spoil(mistral, name, change)
    said = export(mistral, tmp_path / "x.vl2", capsys)
    assert sentence in said
    assert name in said
    assert str(mistral) in said


def test_truncated_weights_and_unknown_model(
    mistral: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = mistral / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "shorter than its header says" in export(mistral, tmp_path / "x.vl2", capsys)
    config = json.loads((mistral / "config.json").read_text())
    (mistral / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    assert "model_type 'llama'" in export(mistral, tmp_path / "x.vl2", capsys)
    assert "is not a folder" in export(tmp_path / "none", tmp_path / "x.vl2", capsys)


def test_a_disk_without_enough_space_is_refused_before_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    assert "has 1.0 MB free" in export(checkpoint("mistral"), tmp_path / "x.vl2", capsys)


def test_a_disk_that_fills_up_half_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    append = DataFile.append

    def fails_late(self: DataFile, array: np.ndarray) -> tuple[int, int]:
        if self.path.name == "decoder.data" and self._size > 300_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return append(self, array)

    monkeypatch.setattr(DataFile, "append", fails_late)
    assert main([str(checkpoint("mistral")), "-o", str(tmp_path / "x.vl2"), *ROUNDED]) == 1
    kept, said = capsys.readouterr().err.splitlines()[-2:]
    assert kept.endswith("x.vl2.part: the same command goes on from there")
    assert "could not be written (no space left on device); free space" in said
    assert [path.name for path in tmp_path.iterdir()] == ["x.vl2.part"]
    monkeypatch.undo()
    assert main([str(checkpoint("mistral")), "-o", str(tmp_path / "x.vl2"), *ROUNDED]) == 0
    assert "going on behind layer" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["x.vl2"]
    assert main([str(checkpoint("mistral")), "-o", str(tmp_path / "y.vl2"), *ROUNDED]) == 0
    for path in sorted((tmp_path / "x.vl2").iterdir()):
        assert path.read_bytes() == (tmp_path / "y.vl2" / path.name).read_bytes(), path.name


def test_interrupted_half_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("export.parts.walk_decoder", interrupted)
    assert main([str(checkpoint("mistral")), "-o", str(tmp_path / "x.vl2"), *ROUNDED]) == 130
    assert [path.name for path in tmp_path.glob("x.vl2*")] == ["x.vl2.part"]
    said = capsys.readouterr().err
    assert "the same command goes on from there" in said
    assert "interrupted" in said


def test_a_graph_outside_its_tolerance_is_not_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "TOLERANCES", {"int4": {"": 2e-2, "projector": 1e-9}})
    said = export(checkpoint("mistral"), tmp_path / "x.vl2", capsys)
    assert "Graph projector differs from the reference by" in said
    assert "nothing was published" in said


def test_the_checkpoint_itself_is_never_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    source = bundle / "qwen2"
    shutil.copytree(checkpoint("qwen2"), source)
    (bundle / "manifest.json").write_text("{}")
    assert "the checkpoint itself" in export(source, bundle, capsys, "--force")
    assert "the checkpoint itself" in export(source, source, capsys, "--force")
    assert (source / "config.json").is_file()


def test_an_existing_bundle_is_replaced_only_when_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "x.vl2"
    source = checkpoint("mistral")
    assert main([str(source), "-o", str(target), "--fp32"]) == 0
    first = open_bundle(target)
    assert "exists already" in export(source, target, capsys, "--fp16")
    assert open_bundle(target).id == first.id
    # Nothing in a bundle depends on when it was made.
    assert main([str(source), "-o", str(target), "--fp32", "--force"]) == 0
    assert open_bundle(target).id == first.id
    assert main([str(source), "-o", str(target), "--fp16", "--force"]) == 0
    assert open_bundle(target).config.quantisation.scheme == "fp16"
    assert [p.name for p in tmp_path.glob("x.vl2*")] == ["x.vl2"]


def test_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = checkpoint("mistral"), tmp_path / "x.vl2"
    assert "--group 128 does not divide" in export(source, target, capsys, "--group", "128")
    assert main([str(source), "-o", str(target), *ROUNDED, "--group", "16"]) == 0
    assert "in groups of 16 (as asked)" in capsys.readouterr().err
    assert open_bundle(target).config.quantisation.group_size == 16


@pytest.mark.parametrize(
    "arguments",
    [[], ["a", "b"], ["a", "--fp32", "--fp16"], ["a", "--group", "0"], ["verify"], ["demo", "no"]],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: vl2-export" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["verify", "--help"], ["demo", "--help"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    assert "usage: vl2-export" in capsys.readouterr().out


def test_verbs_win_over_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(checkpoint("mistral"), tmp_path / "verify")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["verify"])
    assert main(["./verify", "--fp32"]) == 0
    assert (tmp_path / "verify-fp32.vl2" / "manifest.json").exists()
    capsys.readouterr()


@pytest.mark.parametrize(
    "arguments",
    [
        ["clips", "x", "--seed", "-1"],
        ["train", "o", "--work", "w", "--hours", "nan"],
        ["curve", "log.jsonl", "drawing.doc"],
    ],
)
def test_wrong_usage_of_the_demo_verbs(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["demo", *arguments])
    assert left.value.code == 2
    assert "usage: vl2-export demo" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["train", "clips", "showcase", "poster", "curve"])
def test_every_demo_verb_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", verb, "--help"])
    assert re.search(rf"examples?:\n  vl2-export demo {verb} ", capsys.readouterr().out)


def test_a_demo_path_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "curve", str(tmp_path / "gone"), str(tmp_path / "c.svg")]) == 1
    assert "gone cannot be used (No such file or directory); choose" in capsys.readouterr().err


def test_too_few_positions_and_a_gap_are_found_early(
    mistral: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((mistral / "config.json").read_text())
    (mistral / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 64}))
    assert "max_position_embeddings 64, too few" in export(mistral, tmp_path / "x.vl2", capsys)
    (mistral / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 9}))
    capsys.readouterr()
    assert main([str(mistral), "-o", str(tmp_path / "x.vl2")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1  # Before the first part is begun.
    assert "has no tensor model.layers.3." in said[0]


@pytest.mark.parametrize(
    ("name", "hub", "folder_name"),
    [
        ("mistral", "openai/clip-vit-large-patch14-336", "clip-tiny"),
        ("qwen2_av", "google/siglip-so400m-patch14-384", "siglip-tiny"),
    ],
)
def test_published_layout_without_the_towers_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hub: str, folder_name: str
) -> None:
    # Towers and BEATs in the weights alone, named by hub id and by a path of the training machine.
    source = Path(shutil.copytree(checkpoint(name), tmp_path / name))
    tower = json.loads((source / folder_name / "config.json").read_text())
    shutil.rmtree(source / folder_name)
    monkeypatch.setitem(tower_config.PUBLISHED_TOWERS, hub.rpartition("/")[2], tower)
    config = json.loads((source / "config.json").read_text()) | {"mm_vision_tower": hub}
    if name == "qwen2_av":
        stored = torch.load(source / "beats-tiny.pt", weights_only=True)
        (source / "beats-tiny.pt").unlink()
        config |= {"mm_audio_tower": "/mnt/train/beats.pt", "beats_config": stored["cfg"]}
        tensors = load_file(source / "model.safetensors")
        tensors |= {f"model.audio_tower.{k}": v for k, v in stored["model"].items()}
        save_file(tensors, source / "model.safetensors")
    (source / "config.json").write_text(json.dumps(config))
    made = [tmp_path / "whole.vl2", tmp_path / "bare.vl2"]
    assert main([str(checkpoint(name)), "-o", str(made[0]), "--fp32"]) == 0
    assert main([str(source), "-o", str(made[1]), "--fp32"]) == 0
    for file in sorted(path.name for path in made[0].glob("*.data")):
        assert (made[0] / file).read_bytes() == (made[1] / file).read_bytes()


def test_tolerances_name_the_graph() -> None:
    row = compare.measure("g", np.ones(3), np.full(3, 2.0), 0.1, "x")
    assert (row.max_abs, row.max_rel) == (1.0, 0.5)
    bad = compare.measure("g", np.array([np.nan]), np.ones(1), 0.1, "x")
    with pytest.raises(compare.ExportError, match="Graph g differs"):
        compare.refuse_failures([bad])
    compare.refuse_failures([dataclasses.replace(row, max_rel=0.05)])
