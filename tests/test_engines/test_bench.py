import json
from pathlib import Path
from typing import Any

import pytest

import engines
from engines.bench import bench, peak_memory_bytes
from engines.config import ClipOptions
from engines.model import VideoLlama2


def test_one_flat_record(tiny_bundle: Path, fake_media: Any) -> None:
    loaded: list[VideoLlama2] = []
    told: list[tuple[int, int]] = []

    def load() -> VideoLlama2:
        loaded.append(engines.load(tiny_bundle, threads=1, keep_encodings=False))
        return loaded[0]

    record = bench(
        load,
        ClipOptions(Path("film.mp4")),
        runs=2,
        new_tokens=3,
        tell=lambda done, total: told.append((done, total)),
    )
    assert "\n" not in json.dumps(record)
    assert record["media"] == {"clip": "film.mp4", "frames": 4, "sound_s": 1.0}
    assert record["new_tokens"] == 3
    assert record["prefill_tokens_per_s"] > 0
    assert record["decode_tokens_per_s"] > 0
    before_s = record["media_s"] + record["encode_s"]
    assert record["first_token_s"] >= before_s - 2e-4  # Each is rounded by itself.
    assert record["bundle"]["scheme"] == "fp32"
    read = record["decode_bytes_per_token"] * record["decode_tokens_per_s"]
    assert record["decode_share_of_memory"] == pytest.approx(
        read / record["memory_bytes_per_s"], abs=1e-3
    )
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    # Every run, the one to warm up too, did all the work.
    assert loaded[0].counters.clips_encoded == 3
    assert loaded[0].counters.positions_reused == 0


def test_peak_memory() -> None:
    peak = peak_memory_bytes()
    assert peak is None or peak > 1 << 20
