"""Checkpoints that a test may damage, and a user's cache folder of its own."""

import shutil
from pathlib import Path

import pytest
import torch

from export import measure
from tests.golden import checkpoint

# The matrices here are too small to share out; idle threads only wait for each other.
torch.set_num_threads(1)
# What random models answer is no matter: few questions show that the way is whole.
measure.MOST_QUESTIONS, measure.MOST_NEW_TOKENS = 2, 6


@pytest.fixture(autouse=True)
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, empty for every test."""
    folder = tmp_path / "user-cache"
    monkeypatch.setattr("engines.bundle.user_cache_path", lambda *_, **__: folder)
    return folder


@pytest.fixture
def mistral(tmp_path: Path) -> Path:
    """A copy of the golden Mistral checkpoint."""
    return _copy("mistral", tmp_path)


@pytest.fixture
def qwen2_av(tmp_path: Path) -> Path:
    """A copy of the golden audio-visual checkpoint."""
    return _copy("qwen2_av", tmp_path)


def _copy(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(checkpoint(name), folder / name))
