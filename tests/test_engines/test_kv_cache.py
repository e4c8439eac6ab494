import numpy as np

from engines.kv_cache import KvCache, media_keys


def make(limit: int = 1000) -> KvCache:
    return KvCache(layers=2, kv_heads=3, head_dim=4, dtype=np.dtype(np.float32), limit=limit)


def keys(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_reserve_allocates_and_keeps_what_is_cached() -> None:
    cache = make()
    assert cache.capacity == 0
    cache.reserve(10)
    assert cache.capacity == 64
    assert [array.shape for array in cache.arrays] == [(1, 3, 64, 4)] * 4
    assert cache.nbytes == 4 * 3 * 64 * 4 * 4
    cache.arrays[1][:, :, :2] = 7
    cache.appended(keys(5, 6))
    before = cache.arrays
    cache.reserve(64)
    assert cache.arrays is before  # Room enough: the binding to these arrays stays good.
    cache.reserve(65)
    assert cache.capacity == 128  # Twofold at least.
    assert (cache.arrays[1][:, :, :2] == 7).all()
    assert cache.keys.tolist() == [5, 6]


def test_growth_ends_at_the_models_limit() -> None:
    cache = make(limit=100)
    cache.reserve(70)
    assert cache.capacity == 128
    cache = make(limit=320)
    cache.reserve(200)
    cache.reserve(257)
    assert cache.capacity == 320


def test_trim_and_common_prefix() -> None:
    cache = make()
    cache.reserve(8)
    cache.appended(keys(1, -9, -10, 4, 5))
    assert cache.common_prefix(keys(1, -9, -10, 4, 5, 6)) == 5
    assert cache.common_prefix(keys(1, -9)) == 2
    assert cache.common_prefix(keys(1, -9, -11, 4)) == 2
    assert cache.common_prefix(keys(2)) == 0
    assert cache.common_prefix(keys()) == 0
    cache.trim(3)
    assert cache.keys.tolist() == [1, -9, -10]
    assert cache.common_prefix(keys(1, -9, -10, 4, 5)) == 3
    cache.trim(7)
    assert cache.length == 3


def test_media_keys_are_negative_and_belong_to_one_clip() -> None:
    a, b = media_keys("0" * 63 + "1", 3), media_keys("f" * 64, 3)
    assert a.tolist() == [-1, -2, -3]
    assert (b < 0).all()
    assert not set(a.tolist()) & set(b.tolist())
    assert media_keys("f" * 64, 3).tolist() == b.tolist()
