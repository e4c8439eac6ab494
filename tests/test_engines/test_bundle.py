import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import bundle as bundle_module
from engines.bundle import Tell, file_sha256, open_bundle, open_embeddings
from engines.errors import BundleError

Own = tuple[Path, dict[str, Any]]


def refused(folder: Path, pattern: str) -> None:
    with pytest.raises(BundleError, match=pattern) as caught:
        open_bundle(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert str(folder) in message


def test_a_whole_bundle_opens(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    assert bundle.config.decoder.vocab_size == 263
    assert bundle.id == file_sha256(tiny_bundle / "manifest.json")
    assert bundle.graph_path("decoder") == tiny_bundle / "decoder.onnx"
    assert open_embeddings(bundle).table.dtype == np.float16


def test_no_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "no bundle at")


def test_a_folder_without_manifest(tmp_path: Path) -> None:
    refused(tmp_path, "holds no manifest")


def test_another_format_version(own_bundle: Own) -> None:
    folder, manifest = own_bundle
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format_version": 9}))
    refused(folder, "version 9")


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("vision", "num_frames", 0),
        ("vision", "min_frames", 99),
        ("audio", "window_s", -1.0),
        ("audio", "window_s", float("nan")),
        ("audio", "window_s", 1e6),
        ("audio", "sample_rate", 1),
        ("audio", "sample_rate", 1 << 23),
        ("audio", "num_mel_bins", 1 << 20),
        ("audio", "clip_duration_s", 1e-9),
        ("vision", "num_frames", 129),
        ("preprocess", "size", 60_000),
        ("preprocess", "rescale_factor", 1e-300),
        ("decoder", "vocab_size", 1 << 40),
        ("preprocess", "crop", 0),
        ("preprocess", "image_std", [0.5, 0.5, 0]),
        ("preprocess", "image_mean", [0.5, 0.5]),
    ],
    ids=str,
)
def test_values_that_cannot_be(own_bundle: Own, part: str, name: str, value: Any) -> None:
    folder, manifest = own_bundle
    fields = manifest["vision"]["preprocess"] if part == "preprocess" else manifest[part]
    fields[name] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))
    refused(folder, rf"impossible {part}\.{name}")


def test_a_missing_file(own_bundle: Own) -> None:
    folder, _ = own_bundle
    (folder / "projector.onnx").unlink()
    refused(folder, r"lacks its file projector\.onnx")


def test_a_shortened_file(own_bundle: Own) -> None:
    folder, _ = own_bundle
    path = folder / "decoder.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    refused(folder, r"decoder\.onnx is damaged")


def test_one_changed_bit(own_bundle: Own) -> None:
    folder, _ = own_bundle
    path = folder / "embed_tokens.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused(folder, r"embed_tokens\.npy is damaged")


def test_a_file_the_manifest_does_not_name(own_bundle: Own) -> None:
    folder, _ = own_bundle
    (folder / ".DS_Store").touch()
    open_bundle(folder)
    (folder / "more.data").touch()
    refused(folder, r"holds more\.data")


def test_a_link_in_place_of_a_file(own_bundle: Own, tmp_path: Path) -> None:
    folder, _ = own_bundle
    path = folder / "decoder.onnx"
    path.rename(tmp_path / "elsewhere.onnx")
    path.symlink_to(tmp_path / "elsewhere.onnx")
    refused(folder, "is a link")


@pytest.mark.parametrize("name", ["../out.data", "/etc/hosts", "sub/x.data", "a\\b", "..", "C:x"])
def test_names_that_leave_the_folder(own_bundle: Own, name: str) -> None:
    folder, manifest = own_bundle
    manifest["files"][name] = {"size": 1, "sha256": "0"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    refused(folder, "not a plain file name")


def test_a_graph_that_is_not_listed(own_bundle: Own) -> None:
    folder, manifest = own_bundle
    del manifest["graphs"]["projector"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    refused(folder, "does not list projector")


def test_embeddings_of_another_shape(
    own_bundle: Own, seal_bundle: Callable[[Path, dict[str, Any]], None]
) -> None:
    folder, manifest = own_bundle
    np.save(folder / "embed_tokens.npy", np.zeros((2, 2), np.float16))
    seal_bundle(folder, manifest)
    with pytest.raises(BundleError, match="not what the manifest says"):
        open_embeddings(open_bundle(folder))


def test_a_large_file_is_hashed_once(
    tiny_bundle: Path, user_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    told: list[tuple[int, int]] = []

    def count(path: Path, tell: Tell | None = None) -> str:
        hashed.append(path.name)
        return file_sha256(path, tell)

    monkeypatch.setattr(bundle_module, "ALWAYS_HASHED_BYTES", 20_000)
    monkeypatch.setattr(bundle_module, "file_sha256", count)
    open_bundle(tiny_bundle, lambda done, total: told.append((done, total)))
    assert "decoder.onnx" in hashed
    size = (tiny_bundle / "decoder.onnx").stat().st_size
    assert (size, size) in told
    hashed.clear()
    open_bundle(tiny_bundle)
    assert "decoder.onnx" not in hashed
    assert "tokenizer.json" in hashed  # Small ones are hashed every time.
    hashed.clear()
    (user_cache / "hashes.json").write_text("damaged", encoding="utf-8")
    open_bundle(tiny_bundle)
    assert "decoder.onnx" in hashed


def test_hashes_of_bundles_that_are_gone_are_forgotten(
    tiny_bundle: Path, own_bundle: Own, user_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "ALWAYS_HASHED_BYTES", 20_000)
    folder, _ = own_bundle
    open_bundle(folder)
    remembered = json.loads((user_cache / "hashes.json").read_bytes())
    assert any(path.startswith(str(folder)) for path in remembered)
    shutil.rmtree(folder)
    open_bundle(tiny_bundle)
    remembered = json.loads((user_cache / "hashes.json").read_bytes())
    assert remembered
    assert all(path.startswith(str(tiny_bundle)) for path in remembered)


def test_a_large_file_that_changed_is_hashed_again(
    own_bundle: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = own_bundle
    monkeypatch.setattr(bundle_module, "ALWAYS_HASHED_BYTES", 20_000)
    open_bundle(folder)
    path = folder / "decoder.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    before = path.stat().st_mtime_ns
    while path.stat().st_mtime_ns == before:  # A system's times move in steps.
        path.write_bytes(content)
    refused(folder, r"decoder\.onnx is damaged")


def test_a_cache_that_cannot_be_written_is_no_error(
    tiny_bundle: Path, user_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "ALWAYS_HASHED_BYTES", 0)
    user_cache.write_text("a file where the folder should be", encoding="utf-8")
    open_bundle(tiny_bundle)
