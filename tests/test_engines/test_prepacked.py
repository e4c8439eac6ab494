import shutil
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines.prepacked
import engines.sessions
from engines.backends.onnxruntime import save_ready
from engines.bundle import Bundle, open_bundle
from engines.devices import Device
from engines.errors import DeviceError
from engines.fallback import AnySession
from engines.file_lock import only_writer
from engines.part_memory import graph_bytes
from engines.prepacked import PrepackedStore, prepacked_store
from engines.sessions import Sessions

LIMIT = 64 << 20
CPU = Device("cpu", "a test")
FRAMES = np.random.default_rng(0).standard_normal((4, 4, 6)).astype(np.float32)


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "prepacked"


@pytest.fixture
def store(folder: Path) -> PrepackedStore:
    return PrepackedStore(folder, LIMIT, least_bytes=0)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the graphs that were written, in turn."""
    names: list[str] = []
    save = save_ready

    def counted(path: Path, folder: Path, packed: bool) -> None:
        names.append(path.name)
        save(path, folder, packed)

    monkeypatch.setattr(engines.prepacked, "save_ready", counted)
    return names


def tokens(session: AnySession | None) -> np.ndarray:
    assert session is not None
    return session.run({"vision_features": FRAMES})["visual_tokens"]


def entry_of(folder: Path) -> Path:
    (entry,) = (child for child in folder.iterdir() if child.is_dir())
    return entry


def test_it_is_made_once_and_computes_the_same(
    bundle: Bundle, folder: Path, store: PrepackedStore, made: list[str]
) -> None:
    expected = tokens(Sessions(bundle, CPU, 1).get("projector"))
    first, second = (store.open(bundle, "projector", 1) for _ in range(2))
    assert first is not None
    assert first.path.is_relative_to(folder)
    np.testing.assert_array_equal(tokens(first), expected)
    np.testing.assert_array_equal(tokens(second), expected)
    assert made == ["projector.onnx"]
    entry = entry_of(folder)
    assert {file.name for file in entry.iterdir()} >= {"projector.onnx", "entry.json"}
    if sys.platform != "win32":
        assert folder.stat().st_mode & 0o077 == entry.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(sys.platform == "win32", reason="files in use stay there")
def test_the_folder_may_go_while_it_is_used(
    bundle: Bundle, folder: Path, store: PrepackedStore, made: list[str]
) -> None:
    session = store.open(bundle, "projector", 1)
    expected = tokens(session)
    shutil.rmtree(folder)
    np.testing.assert_array_equal(tokens(session), expected)
    assert store.usage().entries == 0
    np.testing.assert_array_equal(tokens(store.open(bundle, "projector", 1)), expected)
    assert made == ["projector.onnx", "projector.onnx"]


def test_the_packed_weights_of_a_decoder_lie_beside_its_graph(
    bundle: Bundle, folder: Path, store: PrepackedStore
) -> None:
    assert store.open(bundle, "decoder", 1) is not None
    graph, data = (entry_of(folder) / name for name in ("decoder.onnx", "decoder.data"))
    assert b"prepacked_0" in graph.read_bytes()
    assert data.stat().st_size > 1.5 * graph_bytes(bundle.config, "decoder")


def test_an_encoder_is_kept_unpacked(bundle: Bundle, folder: Path, store: PrepackedStore) -> None:
    assert store.open(bundle, "projector", 1) is not None
    assert b"prepacked_0" not in (entry_of(folder) / "projector.onnx").read_bytes()


def _cut(entry: Path) -> None:
    data = entry / "projector.data"
    data.write_bytes(data.read_bytes()[:-1])


def _change(entry: Path) -> None:
    data = entry / "projector.data"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 255
    before = data.stat().st_ctime_ns
    while data.stat().st_ctime_ns == before:  # A system's times move in steps.
        data.write_bytes(content)


def _change_graph(entry: Path) -> None:
    graph = entry / "projector.onnx"
    record = entry / "entry.json"
    before = graph.stat()
    graph.write_bytes(graph.read_bytes() + b"\0")
    now = graph.stat()
    # Somebody who makes the record fit its times and sizes still needs the hash.
    text = record.read_text()
    for old, new in (
        (before.st_size, now.st_size),
        (before.st_mtime_ns, now.st_mtime_ns),
        (before.st_ctime_ns, now.st_ctime_ns),
    ):
        text = text.replace(str(old), str(new))
    record.write_text(text)


def _link(entry: Path) -> None:
    data = entry / "projector.data"
    data.rename(entry.parent / "elsewhere.data")
    data.symlink_to(entry.parent / "elsewhere.data")


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "cut": _cut,
    "changed": _change,
    "graph": _change_graph,
    "link": _link,
    "no record": lambda entry: (entry / "entry.json").unlink(),
    "a record of another kind": lambda entry: (entry / "entry.json").write_text("[]"),
    "no data": lambda entry: (entry / "projector.data").unlink(),
    "one file more": lambda entry: (entry / "more.data").write_bytes(b"x"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_made_again(
    damage: str, bundle: Bundle, folder: Path, store: PrepackedStore, made: list[str]
) -> None:
    expected = tokens(store.open(bundle, "projector", 1))
    if damage == "link" and sys.platform == "win32":
        pytest.skip("links need a privilege there")
    DAMAGE[damage](entry_of(folder))
    np.testing.assert_array_equal(tokens(store.open(bundle, "projector", 1)), expected)
    assert len(made) == 2


def test_what_cannot_be_opened_is_dropped(
    bundle: Bundle, folder: Path, store: PrepackedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.open(bundle, "projector", 1)

    def refuse(*_: object) -> None:
        raise DeviceError("no")

    monkeypatch.setattr(engines.prepacked, "open_ready", refuse)
    assert store.open(bundle, "projector", 1) is None
    assert [child.name for child in folder.iterdir()] == ["writer.lock"]


def test_the_longest_unused_is_dropped_beyond_the_limit(
    bundle: Bundle, folder: Path, store: PrepackedStore
) -> None:
    for graph in ("decoder", "audio", "decoder"):
        store.open(bundle, graph, 1)
    smaller = PrepackedStore(folder, store.usage().used_bytes + 1, least_bytes=0)
    assert smaller.open(bundle, "projector", 1) is not None
    kept = {file.name for entry in folder.iterdir() if entry.is_dir() for file in entry.iterdir()}
    assert {"decoder.onnx", "projector.onnx"} <= kept
    assert "audio.onnx" not in kept
    assert smaller.usage().used_bytes <= smaller.usage().limit_bytes


def test_what_memory_does_not_hold_is_refused_unless_it_can_be_mapped(
    bundle: Bundle, store: PrepackedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.open(bundle, "projector", 1) is not None
    monkeypatch.setattr(engines.sessions, "obtainable_bytes", lambda: 1000)
    sessions = Sessions(bundle, CPU, 1, store)
    sessions.get("projector")
    with pytest.raises(DeviceError, match=r"Opening decoder of .* takes 0\.0 GB .* close other"):
        sessions.decoder("decoder")
    assert store.usage().entries == 1
    # Where the system refuses what is too much, it may be tried.
    monkeypatch.setattr(engines.sessions, "obtainable_bytes", lambda: None)
    sessions.decoder("decoder")


def test_none_is_kept_where_none_may_be(bundle: Bundle, folder: Path) -> None:
    assert PrepackedStore(folder, 0, least_bytes=0).open(bundle, "decoder", 1) is None
    assert PrepackedStore(folder, 1000, least_bytes=0).open(bundle, "decoder", 1) is None
    assert PrepackedStore(folder, LIMIT).open(bundle, "decoder", 1) is None  # It is small.
    assert not folder.exists()


def test_one_process_writes_at_a_time(
    bundle: Bundle, folder: Path, store: PrepackedStore, made: list[str]
) -> None:
    folder.mkdir()
    with only_writer(folder / "writer.lock") as alone:
        assert alone
        assert store.open(bundle, "projector", 1) is None
    assert made == []
    assert store.open(bundle, "projector", 1) is not None


def test_what_a_killed_writer_left_goes(
    bundle: Bundle, folder: Path, store: PrepackedStore
) -> None:
    left = folder / "0123.99999.tmp"
    left.mkdir(parents=True)
    (left / "decoder.data").write_bytes(b"half")
    assert store.open(bundle, "projector", 1) is not None
    assert not left.exists()


def test_a_disk_without_room_is_left_alone(
    bundle: Bundle,
    folder: Path,
    store: PrepackedStore,
    made: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 1 << 20))
    assert store.open(bundle, "projector", 1) is None
    assert made == []
    assert store.usage().entries == 0


@pytest.mark.parametrize("error", [OSError(28, "No space left"), DeviceError("Failed to write")])
def test_a_disk_that_fills_meanwhile_leaves_nothing(
    error: Exception,
    bundle: Bundle,
    folder: Path,
    store: PrepackedStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(path: Path, folder: Path, packed: bool) -> None:
        (folder / path.name).write_bytes(b"half")
        raise error

    monkeypatch.setattr(engines.prepacked, "save_ready", full)
    sessions = Sessions(bundle, CPU, 1, store)
    assert sessions.get("projector").path.parent == bundle.path  # It is opened as it is.
    assert [child.name for child in folder.iterdir()] == ["writer.lock"]


def test_a_place_that_is_no_folder(bundle: Bundle, folder: Path, store: PrepackedStore) -> None:
    folder.write_text("a file")
    assert store.open(bundle, "projector", 1) is None
    assert folder.read_text() == "a file"


@pytest.mark.parametrize("changed", ["runtime_version", "_cpu_kind"])
def test_another_library_or_processor_makes_its_own(
    changed: str, bundle: Bundle, store: PrepackedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.open(bundle, "projector", 1)
    monkeypatch.setattr(engines.prepacked, changed, lambda: "another")
    store.open(bundle, "projector", 1)
    assert store.usage().entries == 2


@pytest.mark.parametrize(
    ("variable", "given", "limit"),
    [("", None, 16), ("3", None, 3), ("0", None, 0), ("many", None, 16), ("3", 5, 5)],
)
def test_how_much_it_may_take(
    variable: str, given: int | None, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VL2_PREPACKED_GB", variable)
    assert prepacked_store(given).usage().limit_bytes == limit * 10**9
