"""The same checkpoint in every published layout gives the same tensors, and the same bundle."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from export.checkpoint import Checkpoint
from export.cli import main
from tests import layouts
from tests.layouts import LAYOUTS, Layout, take_apart

CASES = [(name, layout) for name, several in LAYOUTS.items() for layout in several]
# One of each kind; the others by hand.
QUICK = (layouts.bin_shards, layouts.base_without_model_prefix, layouts.adapter)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, empty."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize(("name", "layout"), CASES)
def test_every_layout_holds_the_same(name: str, layout: Layout, tmp_path: Path, hub: Path) -> None:
    parts = take_apart(name)
    found = Checkpoint(layout(parts, tmp_path, hub))
    for key, tensor in parts.weights.items():
        assert torch.equal(found.tensors.get(key, tuple(tensor.shape)).float(), tensor), key
    plain = Checkpoint(layouts.single(parts, tmp_path / "plain", hub))
    assert found.config == plain.config
    assert found.tensors.stored.keys() >= plain.tensors.stored.keys()
    found.check_decoder()


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        pytest.param(
            *case, marks=() if case[0] == "mistral" and case[1] in QUICK else pytest.mark.slow
        )
        for case in CASES
    ],
)
def test_every_layout_gives_the_same_bundle(
    name: str, layout: Layout, tmp_path: Path, hub: Path
) -> None:
    parts = take_apart(name)
    plain = layouts.single(parts, tmp_path / "plain", hub)
    bundles = [
        exported(given, target)
        for given, target in (
            (plain, tmp_path / "plain.vl2"),
            (layout(parts, tmp_path, hub), tmp_path / "other.vl2"),
        )
    ]
    assert bundles[0] == bundles[1]


def exported(given: Path, target: Path) -> dict[str, Any]:
    """Every file of the bundle; of the manifest all but where it comes from."""
    assert main([str(given), "-o", str(target), "--fp32"]) == 0
    files: dict[str, Any] = {path.name: path.read_bytes() for path in target.iterdir()}
    manifest = json.loads(files.pop("manifest.json"))
    return files | {key: manifest[key] for key in manifest.keys() - {"source", "name"}}
