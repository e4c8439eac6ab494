import numpy as np
import pytest

import engines.memory_bandwidth
from engines.memory_bandwidth import read_bytes_per_s


@pytest.mark.parametrize("threads", [1, 3, None])
def test_every_byte_is_read_by_some_thread(
    threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines.memory_bandwidth, "_READ_BYTES", 1 << 20)
    sizes: list[int] = []
    clock = iter(np.arange(0, 100, 0.5))
    monkeypatch.setattr(engines.memory_bandwidth.time, "perf_counter", lambda: next(clock))
    split = np.array_split

    def watched(array: np.ndarray, count: int) -> list[np.ndarray]:
        parts = split(array, count)
        sizes.extend(part.nbytes for part in parts)
        return parts

    monkeypatch.setattr(engines.memory_bandwidth.np, "array_split", watched)
    # Each reading takes half a second by this clock.
    assert read_bytes_per_s(threads) == 2 * (1 << 20)
    assert sum(sizes) == 1 << 20
    assert threads is None or len(sizes) == threads
