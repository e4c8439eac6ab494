"""Frozen towers over whole pools: features are computed once and kept, as the towers stay fixed."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from export.demo.attention import PlainAttention
from export.demo.fit import Log
from export.demo.network import normalise
from export.demo.pools import CHUNK, Pool, chunk_path, load_pool
from export.reference.audio_tower import AudioTower
from export.reference.vision_tower import VisionTower

Features = NDArray[np.float16]
Kept = list[NDArray[np.generic]]  # a pool's features in chunks, mapped from disk


def encode_clips(tower: VisionTower, pixels: NDArray[np.float32]) -> Features:
    """Pixel values (B, T, 3, S, S) to (B, T, N, D) float16."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), PlainAttention():
        out = tower(torch.from_numpy(pixels).flatten(0, 1))
    return np.asarray(out.half().unflatten(0, pixels.shape[:2]).numpy())


def encode_sounds(tower: AudioTower, banks: NDArray[np.floating]) -> Features:
    """(B, F, 128) to (B, A, C) float16."""
    with torch.no_grad():
        return np.asarray(tower(torch.from_numpy(banks).float()).half().numpy())


def encode_pool(tower: VisionTower | AudioTower, pool: Pool, folder: Path, log: Log) -> None:
    """Write the features of a whole pool, chunk by chunk; those on disk are kept."""
    kept = folder / "features"
    kept.mkdir(exist_ok=True)
    chunks = load_pool(folder / "pools", pool)
    tower.eval()
    for index, chunk in enumerate(chunks):
        path = chunk_path(kept, pool, index * CHUNK)
        if path.exists():
            continue
        parts = [_encode(tower, chunk[i : i + 50]) for i in range(0, len(chunk), 50)]
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            np.save(file, np.concatenate(parts))
        partial.replace(path)
        if index % 8 == 7:
            log.write(f"encode-{pool.name}", chunk=index + 1, of=len(chunks))


def _encode(tower: VisionTower | AudioTower, items: NDArray[np.generic]) -> Features:
    if isinstance(tower, VisionTower):
        return encode_clips(tower, normalise(torch.from_numpy(np.array(items, np.uint8))).numpy())
    return encode_sounds(tower, np.array(items, np.float16))
