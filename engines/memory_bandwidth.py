"""How fast this machine reads memory: what writing a token is held against.

A decoder reads all its weights once a token and computes little with each, so memory sets the
limit.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# Well beyond the caches of desktop processors.
_READ_BYTES = 512 << 20
_READS = 6


def read_bytes_per_s(threads: int | None = None) -> float:
    """Bytes a second that plain reading gives: threads that OR 64-bit numbers of one large array.

    Args:
        threads: how many read at once; None is one a core.

    Returns:
        The fastest of a few readings, which together take about half a second.
    """
    count = threads or os.cpu_count() or 1
    array = np.ones(_READ_BYTES // 8, np.uint64)
    parts = np.array_split(array, count)
    seconds = []
    with ThreadPoolExecutor(count) as pool:
        for _ in range(_READS):
            started = time.perf_counter()
            list(pool.map(np.bitwise_or.reduce, parts))
            seconds.append(time.perf_counter() - started)
    return array.nbytes / min(seconds)
