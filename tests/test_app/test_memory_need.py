"""What a bundle takes, worked by hand, against what is here."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from app.memory_need import (
    PROGRAM_BYTES,
    Need,
    PartNeed,
    cache_bytes,
    human_size,
    need_of,
    part_devices,
    verdict,
)
from assets import demo_bundle
from engines import machine_memory
from engines.bundle import read_bundle
from engines.config import BundleConfig, FileConfig, GraphConfig
from engines.errors import DeviceError
from engines.kv_cache import KvCache
from engines.machine_memory import Memory, memory_here

GB = 10**9


@pytest.fixture
def config() -> BundleConfig:
    return read_bundle(demo_bundle()).config


def sized(config: BundleConfig, scheme: str, **sizes: int) -> BundleConfig:
    """The demo's manifest with other sizes of files."""
    files = {name: FileConfig(0, "") for name in config.files}
    files |= {name.replace("__", "."): FileConfig(size, "") for name, size in sizes.items()}
    quantisation = dataclasses.replace(config.quantisation, scheme=scheme)  # type: ignore[arg-type]
    return dataclasses.replace(config, files=files, quantisation=quantisation)


def part(need: Need, name: str) -> PartNeed:
    return next(one for one in need.parts if one.part == name)


def test_the_parts_are_all_there_and_add_up(config: BundleConfig) -> None:
    need = need_of(config)
    assert [one.part for one in need.parts] == [
        "vision_tower",
        "projector",
        "audio",
        "decoder",
        "embeddings",
        "cache",
        "program",
    ]
    assert need.needed_bytes == sum(p.packed_bytes + p.working_bytes for p in need.parts)
    assert need.mapped_bytes == sum(p.mapped_bytes for p in need.parts)
    assert need.context == config.decoder.max_position_embeddings == 4096
    assert all(one.note.endswith(".") for one in need.parts)
    deaf = need_of(dataclasses.replace(config, audio=None))
    assert "audio" not in [one.part for one in deaf.parts]
    assert part(need, "program").working_bytes == PROGRAM_BYTES


@pytest.mark.parametrize(
    ("scheme", "exact", "tower", "decoder", "mapped"),
    [
        ("fp32", False, 1000, 2000, 0),
        ("fp16", False, 2300, 4600, 0),
        ("int4", False, 2300, 2480, 0),
        ("int4", True, 2300, 1800, 200),
        ("fp16", True, 2300, 4600, 0),
    ],
)
def test_packed_weights_follow_the_scheme(
    config: BundleConfig, scheme: str, exact: bool, tower: int, decoder: int, mapped: int
) -> None:
    files = {"vision_tower__data": 900, "vision_tower__onnx": 100, "decoder__data": 2000}
    need = need_of(sized(config, scheme, **files, embed_tokens__npy=77), exact=exact)
    assert part(need, "vision_tower").packed_bytes == tower
    assert part(need, "decoder").packed_bytes == decoder
    assert part(need, "decoder").mapped_bytes == mapped
    assert part(need, "decoder").estimated
    embeddings = part(need, "embeddings")
    assert (embeddings.mapped_bytes, embeddings.packed_bytes, embeddings.estimated) == (
        77,
        0,
        False,
    )


def test_the_cache_is_what_the_runtime_allocates(config: BundleConfig) -> None:
    decoder = config.decoder
    cache = KvCache(
        decoder.num_hidden_layers,
        decoder.num_key_value_heads,
        decoder.head_dim,
        np.dtype(np.float32),
        limit=4096,
    )
    cache.reserve(640)
    assert cache_bytes(config, 640) == cache.nbytes == 2 * 5 * 2 * 32 * 4 * 640
    assert part(need_of(config, 640), "cache").working_bytes == cache.nbytes


def test_a_float16_cache_is_half_as_large(config: BundleConfig) -> None:
    declared = config.graphs["decoder"]
    inputs = {**declared.inputs, "past_key_values.0.key": ("float16", (1, 2, "C", 32))}
    half = GraphConfig(declared.file, inputs, declared.outputs)
    halved = dataclasses.replace(config, graphs={**config.graphs, "decoder": half})
    assert cache_bytes(halved, 64) * 2 == cache_bytes(config, 64)


def test_a_published_model_s_cache_by_hand(config: BundleConfig) -> None:
    mistral = dataclasses.replace(
        config.decoder,
        hidden_size=4096,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        vocab_size=32000,
        max_position_embeddings=32768,
    )
    large = dataclasses.replace(config, decoder=mistral)
    need = need_of(large)
    assert need.context == 8192
    assert part(need, "cache").working_bytes == 2 * 32 * 8 * 128 * 4 * 8192 == 2 << 30
    assert need_of(large, 10**9).context == 32768
    assert need_of(large, 0).context == 1


def test_working_space_is_near_what_was_measured(config: BundleConfig) -> None:
    vision = dataclasses.replace(
        config.vision, image_size=336, hidden_size=1024, tokens_per_frame=576, num_frames=8
    )
    assert config.audio is not None
    audio = dataclasses.replace(config.audio, tokens_per_window=1496)
    decoder = dataclasses.replace(config.decoder, hidden_size=4096)
    need = need_of(dataclasses.replace(config, vision=vision, audio=audio, decoder=decoder))
    measured = {"vision_tower": 117 << 20, "projector": 505 << 20, "audio": 437 << 20}
    for name, size in measured.items():
        assert 0.9 < part(need, name).working_bytes / size < 1.4


@pytest.mark.parametrize(
    ("memory", "fits", "words"),
    [
        (Memory(24 * GB, 12 * GB), "yes", "10.0 GB; 12.0 GB of this computer's 24.0 GB"),
        (Memory(24 * GB, 10 * GB), "yes", "are free"),
        (Memory(24 * GB, 9 * GB), "tight", "close other programs"),
        (Memory(8 * GB, 7 * GB), "no", "has 8.0 GB"),
        (Memory(24 * GB, None), "yes", "of this computer's 24.0 GB"),
        (Memory(None, None), "unknown", "does not say"),
    ],
)
def test_need_against_memory(memory: Memory, fits: str, words: str) -> None:
    found = verdict(Need(1, (), 10 * GB, 0), memory)
    assert found.fits == fits
    assert words in found.sentence
    assert found.sentence.endswith(".")


def test_this_computer_has_memory() -> None:
    here = memory_here()
    assert here.total_bytes is not None
    assert here.available_bytes is not None
    assert 0 < here.available_bytes <= here.total_bytes


def test_a_container_s_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_memory, "_system_memory", lambda: (24 * GB, 20 * GB))
    monkeypatch.setattr(
        machine_memory, "_container_limits", lambda: [(8 * GB, 3 * GB), (9 * GB, 1)]
    )
    assert memory_here() == Memory(8 * GB, 5 * GB)
    monkeypatch.setattr(machine_memory, "_container_limits", lambda: [(2 * GB, 3 * GB)])
    assert memory_here() == Memory(2 * GB, 0)
    monkeypatch.setattr(machine_memory, "_system_memory", lambda: (None, None))
    assert memory_here() == Memory(2 * GB, 0)
    monkeypatch.setattr(machine_memory, "_container_limits", list)
    assert memory_here() == Memory(None, None)


@pytest.mark.parametrize(
    ("limit", "used", "found"),
    [("max", "5", []), ("1000", "400", [(1000, 400)]), ("x", "1", []), ("", "", [])],
)
def test_a_group_s_files(tmp_path: Path, limit: str, used: str, found: list[object]) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    assert machine_memory._group_limit(tmp_path) == found
    assert machine_memory._group_limit(tmp_path / "none") == []


def test_a_group_s_pages_of_files_are_not_used_up(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    stat = tmp_path / "memory.stat"
    for text, used in (("anon 200\nactive_file 300\ninactive_file 350\n", 250), ("anon x\n", 900)):
        stat.write_text(text)
        assert machine_memory._group_limit(tmp_path) == [(1000, used)]


def test_each_part_has_a_device_and_a_reason(config: BundleConfig) -> None:
    rows = part_devices(config)
    assert [row.part for row in rows] == ["vision_tower", "projector", "audio", "decoder"]
    assert {row.device for row in rows} == {"cpu"}
    assert all("CPU" in row.reason for row in rows)
    assert len(part_devices(dataclasses.replace(config, audio=None))) == 3
    with pytest.raises(DeviceError):
        part_devices(config, "cuda")


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 kB"), (340_000, "340 kB"), (5.9e6, "5.9 MB"), (4.12e9, "4.1 GB")]
)
def test_sizes_as_a_person_says_them(number: float, text: str) -> None:
    assert human_size(number) == text


def test_what_may_still_be_taken_is_free_memory_and_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"MemTotal": 16 * GB, "MemAvailable": 5 * GB, "SwapFree": 2 * GB}
    monkeypatch.setattr(machine_memory, "_meminfo", lambda: facts)
    monkeypatch.setattr(machine_memory, "_container_limits", list)
    assert machine_memory.obtainable_bytes() == 7 * GB
    monkeypatch.setattr(machine_memory, "_container_limits", lambda: [(4 * GB, 1 * GB)])
    assert machine_memory.obtainable_bytes() == 5 * GB
    monkeypatch.setattr(machine_memory, "_meminfo", dict)
    assert machine_memory.obtainable_bytes() is None


def test_what_zfs_keeps_of_files_may_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_memory, "_meminfo", lambda: {"MemAvailable": 5 * GB})
    monkeypatch.setattr(machine_memory, "_container_limits", list)
    stats = tmp_path / "arcstats"
    monkeypatch.setattr(machine_memory, "_ZFS_CACHE", stats)
    assert machine_memory.obtainable_bytes() == 5 * GB
    stats.write_text(f"13 1 0x01 2 3 4 5\nname type data\nc_min 4 {GB}\nsize 4 {4 * GB}\n")
    assert machine_memory.obtainable_bytes() == 8 * GB
    stats.write_text("13 1 0x01\nname type data\nsize 4 x\n")
    assert machine_memory.obtainable_bytes() == 5 * GB
