"""What is found beside a checkpoint, in the hub's cache, or on a hub that runs in this process."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from engines.errors import CheckpointError, ExportError
from export import hub as hub_module
from export.checkpoint import Checkpoint
from export.cli import main
from export.hub import Where, cached, find_folder, hub_cache
from tests import layouts
from tests.hub_server import serve
from tests.layouts import HUB_COMMIT, in_hub, take_apart


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, empty."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[list[str]]:
    """A hub with a Base repository and what it goes on; gives what it is asked for."""
    from huggingface_hub import constants

    far = tmp_path / "far"
    given = layouts.base_repository(take_apart("mistral"), tmp_path, far)
    (far / "models--somebody--clip-tiny/snapshots" / HUB_COMMIT / "pytorch_model.bin").touch()
    parts = ("clip-tiny", "Some-Model-v0.2")
    repositories = {
        f"somebody/{part}": far / f"models--somebody--{part}" / "snapshots" / HUB_COMMIT
        for part in parts
    }
    with serve({"somebody/vl2": given, **repositories}) as (address, asked):
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        # This computer may be reached anyway, and other tests count on the rest being refused.
        monkeypatch.setattr(
            hub_module.offline, "online", lambda: nullcontext(asked.append("online"))
        )
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield asked


def test_the_cache_is_where_huggingface_hub_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.delenv("HUGGINGFACE_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", "/a/home")
    assert hub_cache() == Path("/a/home/hub")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/a/cache")
    assert hub_cache() == Path("/a/cache/huggingface/hub")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/a")
    assert hub_cache() == Path("/a/.cache/huggingface/hub")


def test_a_repository_in_the_cache(hub: Path) -> None:
    snapshot = in_hub(hub, "somebody/model-1.5")
    assert cached("somebody/model-1.5") is None
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert cached("somebody/model-1.5") == snapshot
    assert find_folder("somebody/model-1.5") == snapshot


@pytest.mark.parametrize("commit", ["../../../x", "", "..", "/", "a b"])
def test_the_cache_cannot_lead_elsewhere(hub: Path, commit: str) -> None:
    snapshot = in_hub(hub, "somebody/model")
    snapshot.mkdir(parents=True)
    for folder in (hub, snapshot, snapshot.parent, snapshot.parent.parent):
        (folder / "config.json").write_text("{}")
    (hub / "models--somebody--model/refs/main").write_text(commit)
    assert cached("somebody/model") is None


@pytest.mark.parametrize("name", ["a", "a/b/c", "../b", "a/..", "a/.b", "", "/a", "a/b ", "a/b\n"])
def test_names_that_are_no_hub_id(hub: Path, name: str) -> None:
    snapshot = in_hub(hub, name)
    snapshot.mkdir(parents=True, exist_ok=True)
    (snapshot / "config.json").write_text("{}")
    assert cached(name) is None


def test_beside_comes_before_the_cache(hub: Path, tmp_path: Path) -> None:
    in_hub(hub, "somebody/model").mkdir(parents=True)
    beside = tmp_path / "checkpoints" / "model"
    beside.mkdir(parents=True)
    (beside / "config.json").write_text("{}")
    (beside.parent / "config.json").write_text("{}")
    assert find_folder("somebody/model", [beside.parent]) == beside
    assert find_folder("/gone/on/another/machine/model", [beside.parent]) == beside
    for itself in ("", ".", str(beside.parent)):
        assert find_folder(itself, [beside.parent]) is None


def test_a_hub_id_that_is_nowhere() -> None:
    with pytest.raises(
        CheckpointError, match=r"not in the hub's cache .*\(--online downloads it\)"
    ):
        Checkpoint(Path("somebody/nothing"))


def test_base_goes_with_what_lacks_one(tmp_path: Path, hub: Path) -> None:
    whole = layouts.single(take_apart("mistral"), tmp_path, hub)
    with pytest.raises(CheckpointError, match="holds all its weights itself; leave out --base"):
        Checkpoint(whole, Where(base="elsewhere"))


def test_base_as_it_is_given(tmp_path: Path, hub: Path) -> None:
    given = layouts.adapter(take_apart("mistral"), tmp_path, hub)
    moved = tmp_path / "far" / "other"
    moved.parent.mkdir()
    (tmp_path / "Some-Model-v0.2").rename(moved)
    with pytest.raises(CheckpointError, match="needs the language model '/data/models/Some-Model"):
        Checkpoint(given)
    checkpoint = Checkpoint(given, Where(base=str(moved)))
    assert checkpoint.folder_with("tokenizer.json") == moved
    assert f"language model from {moved}" in checkpoint.notes
    small = {path.relative_to(tmp_path).as_posix() for path in checkpoint.small_files()}
    assert small >= {"far/other/tokenizer.json", "vl2/adapter_config.json"}
    assert "vl2/clip-tiny/preprocessor_config.json" in small


def test_online_fetches_all_parts_and_says_so_before(
    server: list[str], capsys: pytest.CaptureFixture[str], hub: Path
) -> None:
    online = Checkpoint(Path("somebody/vl2"), Where(online=True))
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("online: ")]
    assert [line.split()[2] for line in said] == [
        "somebody/vl2",
        "somebody/Some-Model-v0.2",
        "somebody/clip-tiny",
    ]
    assert said[0].endswith(f"into {hub}")
    assert server[0] == "online"
    # The tower lies there in both formats; one is enough.
    assert not [path for path in server if path.endswith("clip-tiny/pytorch_model.bin")]
    online.vision_tower()
    server.clear()
    assert Checkpoint(Path("somebody/vl2")).tensors.stored == online.tensors.stored
    assert server == []


def test_online_completes_half_a_download(server: list[str], hub: Path) -> None:
    Checkpoint(Path("somebody/vl2"), Where(online=True))
    shard = next(hub.glob("models--somebody--Some-Model-v0.2/snapshots/*/*-00002-*.bin"))
    shard.unlink()
    with pytest.raises(CheckpointError, match=r"00002-of-00003\.bin is missing"):
        Checkpoint(Path("somebody/vl2"))
    Checkpoint(Path("somebody/vl2"), Where(online=True)).check_decoder()


def test_a_repository_that_the_hub_does_not_have(
    server: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["somebody/nothing", "--online", "--fp32"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("vl2-export: somebody/nothing could not be downloaded (404")


def test_online_without_huggingface_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ExportError, match="needs the package huggingface_hub; run pip install"):
        Checkpoint(Path("somebody/vl2"), Where(online=True))


def test_nothing_is_fetched_without_being_told(server: list[str], tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "far" / "models--somebody--Some-Model-v0.2" / "refs")
    with pytest.raises(CheckpointError, match="or download it with --online"):
        Checkpoint(tmp_path / "vl2")
    assert server == []
