import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.bundle import Bundle, open_bundle
from engines.config import ClipOptions, Coverage
from engines.encodings import MEMORY_ENTRIES, Encoding, EncodingStore, encoding_key


def encoding(key: str, sound: bool = True) -> Encoding:
    return Encoding(
        key=key,
        modal="video",
        visual_tokens=np.arange(6, dtype=np.float32).reshape(3, 2),
        audio_tokens=np.ones((2, 2), np.float32) if sound else None,
        coverage=Coverage((0.5, 1.5), ((0.0, 2.0),), ("A note, ünicode.",)),
    )


def same(a: Encoding | None, b: Encoding) -> bool:
    assert a is not None
    np.testing.assert_array_equal(a.visual_tokens, b.visual_tokens)
    np.testing.assert_array_equal(a.audio_tokens, b.audio_tokens)
    return (a.key, a.modal, a.coverage) == (b.key, b.modal, b.coverage)


@pytest.mark.parametrize("sound", [True, False])
def test_another_process_finds_it_on_disk(tmp_path: Path, sound: bool) -> None:
    kept = encoding("a", sound)
    EncodingStore(tmp_path / "e").put(kept)
    assert same(EncodingStore(tmp_path / "e").get("a"), kept)
    assert [file.name for file in (tmp_path / "e").iterdir()] == ["a.encoding"]


def test_without_a_folder_it_stays_in_memory() -> None:
    store = EncodingStore(None)
    store.put(encoding("a"))
    assert store.get("a") is not None
    assert store.get("b") is None
    store.clear_memory()
    assert store.get("a") is None


def test_memory_keeps_the_last_used() -> None:
    store = EncodingStore(None)
    for i in range(MEMORY_ENTRIES):
        store.put(encoding(str(i)))
    store.get("0")
    store.put(encoding("new"))
    assert store.get("0") is not None
    assert store.get("1") is None


@pytest.mark.parametrize(
    ("keep", "then"), [(100, b""), (0, b""), (0, b"text"), (400, b"x" * 99)], ids=str
)
def test_a_damaged_entry_counts_as_not_there(tmp_path: Path, keep: int, then: bytes) -> None:
    EncodingStore(tmp_path).put(encoding("a"))
    path = tmp_path / "a.encoding"
    path.write_bytes(path.read_bytes()[:keep] + then)
    assert EncodingStore(tmp_path).get("a") is None


def test_a_flipped_byte_anywhere_gives_no_wrong_numbers(tmp_path: Path) -> None:
    kept = encoding("a")
    EncodingStore(tmp_path).put(kept)
    path = tmp_path / "a.encoding"
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        found = EncodingStore(tmp_path).get("a")
        assert found is None or same(found, kept)


def test_the_folder_stays_below_its_limit_and_drops_the_longest_unused(tmp_path: Path) -> None:
    store = EncodingStore(tmp_path)
    store.put(encoding("a"))
    size = (tmp_path / "a.encoding").stat().st_size
    store.put(encoding("b"))
    bounded = EncodingStore(tmp_path, disk_bytes=2 * size + 10)
    assert bounded.get("a") is not None  # Used now: b is the older one.
    bounded.put(encoding("c"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.encoding", "c.encoding"]


def test_an_entry_of_a_folder_that_cannot_be_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError

    EncodingStore(tmp_path).put(encoding("a"))
    monkeypatch.setattr(os, "utime", refused)
    assert EncodingStore(tmp_path).get("a") is not None


def test_leftovers_of_a_killed_process_go(tmp_path: Path) -> None:
    (tmp_path / "x.1.tmp").touch()
    os.utime(tmp_path / "x.1.tmp", (1e9, 1e9))
    (tmp_path / "y.2.tmp").touch()  # Perhaps being written now.
    EncodingStore(tmp_path).put(encoding("a"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.encoding", "y.2.tmp"]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = EncodingStore(tmp_path / "file")
    store.put(encoding("a"))
    assert store.get("a") is not None


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


def test_the_key_holds_everything_that_changes_the_result(bundle: Bundle) -> None:
    base = ClipOptions(Path("a.mp4"))
    key = encoding_key("1", base, bundle)
    changes: list[dict[str, Any]] = [
        {"num_frames": 8},
        {"range_s": (0.0, 1.0)},
        {"sound": "off"},
        {"sound": "only"},
        {"audio_window": "reference"},
        {"pad": True},
    ]
    keys = {encoding_key("1", dataclasses.replace(base, **change), bundle) for change in changes}
    assert len(keys | {key}) == 7
    assert encoding_key("2", base, bundle) != key
    # An impossible number is not to be answered from what the default number gave.
    assert encoding_key("1", dataclasses.replace(base, num_frames=0), bundle) != key
    assert encoding_key("1", base, dataclasses.replace(bundle, id="other")) != key


def test_the_key_holds_nothing_else(bundle: Bundle) -> None:
    key = encoding_key("1", ClipOptions(Path("a.mp4")), bundle)
    assert encoding_key("1", ClipOptions(Path("moved.mp4"), num_frames=4, seed=7), bundle) == key
    first, second = (
        encoding_key("1", ClipOptions(Path("a"), audio_window="reference", seed=seed), bundle)
        for seed in (0, 1)
    )
    assert first != second  # Upstream's crop is drawn with it.
