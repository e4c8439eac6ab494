"""Pools of rendered training material: single frames, clips of frames, filter banks.

Item `i` of a pool depends on (seed, pool, i) alone, so a pool is made in chunks by several
processes, goes on after being killed, and its scenes can be drawn again without its pixels.
"""

import io
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio import AudioStream
from av.container import OutputContainer
from numpy.typing import NDArray
from PIL import Image

from engines.filter_bank import fbank, round_to_bfloat16
from engines.video import frame_indices, resize_and_crop
from export.demo.crew import end_with_parent
from export.demo.render import like_video, render
from export.demo.sound import waveform
from export.demo.world import Scene, Sound, sample_crowd, sample_scene, sample_sound

FRAME_RATE = 25
FRAME_COUNT = 100
IMAGE_SIZE = 84
SOUND_RATE = 48_000
SOUND_SAMPLES = 186 * 1024  # with the encoder's delay a whole number of AAC frames, under 4 s
WINDOW_S = 4.0
TOWER_RATE = 16_000
CHUNK = 500
STREAMS = {"frames": 1, "clips": 2, "sounds": 3}


@dataclass(frozen=True)
class Pool:
    """One pool: which, from what seed, how many items, and what else shapes an item."""

    name: str
    seed: int
    count: int
    num_frames: int = 8

    def generator(self, index: int) -> np.random.Generator:
        """Chance for one item."""
        return np.random.default_rng([self.seed, STREAMS[self.name], index])


def sample_times(num_frames: int) -> list[float]:
    """When the frames lie that a clip of ours gives under the uniform sampling rule."""
    return [int(index) / FRAME_RATE for index in frame_indices(FRAME_COUNT, num_frames)]


def crowd(pool: Pool, index: int) -> Scene:
    """The scene of a single frame."""
    return sample_crowd(pool.generator(index))


def scene(pool: Pool, index: int) -> Scene:
    """The scene of a clip."""
    return sample_scene(pool.generator(index))


def sound(pool: Pool, index: int) -> Sound:
    """The sound of a filter bank."""
    return sample_sound(pool.generator(index))


def shrink(picture: Image.Image) -> NDArray[np.uint8]:
    """The square picture at the tower's size, as the runtime resizes it."""
    return np.asarray(resize_and_crop(picture, IMAGE_SIZE, IMAGE_SIZE))


def make_frame(pool: Pool, index: int) -> NDArray[np.uint8]:
    """(84, 84, 3) uint8."""
    rng = pool.generator(index)
    frame = render(sample_crowd(rng), [0.1])[0]
    return shrink(like_video(frame, rng))


def make_clip(pool: Pool, index: int) -> NDArray[np.uint8]:
    """(num_frames, 84, 84, 3) uint8."""
    rng = pool.generator(index)
    frames = render(sample_scene(rng), sample_times(pool.num_frames))
    return np.stack([shrink(like_video(frame, rng)) for frame in frames])


def make_sound(pool: Pool, index: int) -> NDArray[np.float16]:
    """(398, 128) float16: the filter bank of a sound, two of three times through AAC."""
    rng = pool.generator(index)
    drawn = sample_sound(rng)
    if rng.random() < 2 / 3:
        wave = waveform(drawn, SOUND_SAMPLES / SOUND_RATE, SOUND_RATE)
        wave = through_aac(wave, int(rng.choice([48_000, 64_000, 96_000])))
    else:
        wave = waveform(drawn, SOUND_SAMPLES / SOUND_RATE, TOWER_RATE)
        wave = np.round(wave * 32767) / np.float32(32768)
    shift = int(rng.integers(0, 640)) if rng.random() < 0.3 else 0
    padded = np.zeros(round(WINDOW_S * TOWER_RATE), np.float32)
    wave = wave[: len(padded) - shift]
    padded[shift : shift + len(wave)] = wave
    return round_to_bfloat16(fbank(padded)).astype(np.float16)


def through_aac(wave: NDArray[np.float32], bit_rate: int) -> NDArray[np.float32]:
    """Encode a 48 kHz waveform as AAC in memory and read it back at 16 kHz in 16 bits."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        encode_sound(out, add_sound(out, bit_rate), wave)
    buffer.seek(0)
    resampler = av.AudioResampler(format="s16", layout="mono", rate=TOWER_RATE)
    pieces = []
    with av.open(buffer, "r") as source:
        for frame in source.decode(audio=0):
            pieces += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        pieces += [part.to_ndarray()[0] for part in resampler.resample(None)]
    return np.asarray(np.concatenate(pieces) / 32768, np.float32)


def add_sound(out: OutputContainer, bit_rate: int) -> AudioStream:
    """Add a mono AAC track to a file that nothing was written to yet."""
    stream: AudioStream = out.add_stream("aac", rate=SOUND_RATE, layout="mono")
    stream.bit_rate = bit_rate
    return stream


def encode_sound(out: OutputContainer, stream: AudioStream, wave: NDArray[np.float32]) -> None:
    """Write a waveform. Counting time from zero makes the file declare its encoder's delay."""
    for start in range(0, len(wave), 1024):
        piece = np.ascontiguousarray(wave[None, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        frame.sample_rate = SOUND_RATE
        frame.time_base = Fraction(1, SOUND_RATE)
        frame.pts = start
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


MAKERS: dict[str, Callable[[Pool, int], NDArray[np.generic]]] = {
    "frames": make_frame,
    "clips": make_clip,
    "sounds": make_sound,
}


def chunk_path(folder: Path, pool: Pool, start: int) -> Path:
    """Where the chunk of items from `start` on is kept."""
    return folder / f"{pool.name}-{pool.seed}-{start:06d}.npy"


def _make_chunk(job: tuple[Path, Pool, int]) -> int:
    folder, pool, start = job
    maker = MAKERS[pool.name]
    items = np.stack([maker(pool, i) for i in range(start, min(start + CHUNK, pool.count))])
    path = chunk_path(folder, pool, start)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.save(file, items)
    partial.replace(path)
    return len(items)


def make_pool(
    folder: Path, pool: Pool, processes: int, told: Callable[[int], None] = lambda _: None
) -> None:
    """Render what is missing of a pool; `told` hears how many items each chunk brought."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        (folder, pool, start)
        for start in range(0, pool.count, CHUNK)
        if not chunk_path(folder, pool, start).exists()
    ]
    if not jobs:
        return
    if processes == 1:
        for job in jobs:
            told(_make_chunk(job))
        return
    with multiprocessing.get_context("spawn").Pool(processes, _begin) as workers:
        for made in workers.imap_unordered(_make_chunk, jobs):
            told(made)


def _begin() -> None:
    """Leave one thread to each process of the pool, and none behind."""
    os.environ["OMP_NUM_THREADS"] = "1"
    end_with_parent()


def load_pool(folder: Path, pool: Pool) -> list[NDArray[np.generic]]:
    """The chunks of a finished pool, memory-mapped, in order."""
    return [
        np.load(chunk_path(folder, pool, start), mmap_mode="r")
        for start in range(0, pool.count, CHUNK)
    ]
