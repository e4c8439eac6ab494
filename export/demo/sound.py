"""Sounds to waveforms: sines, saws and noise with soft edges, in plain numpy."""

import numpy as np
from numpy.typing import NDArray

from export.demo.world import Sound

EDGE_S = 0.01  # every sound fades in and out over this time
HARMONICS = 11
GLIDE = 2.3  # how far a rising or falling tone goes, as a ratio of frequencies
GLIDE_FROM_HZ = 420.0


def waveform(sound: Sound, seconds: float, rate: int) -> NDArray[np.float32]:
    """The sound from time zero, (round(seconds * rate),) float32 in -1..1."""
    rng = np.random.default_rng(sound.seed)
    samples = np.zeros(round(seconds * rate), np.float32)
    if sound.hiss:
        samples += rng.normal(0, sound.hiss, samples.shape).astype(np.float32)
    if sound.kind == "silent":
        return samples
    for index in range(max(1, sound.beeps)):
        start = round((sound.onset_s + index * sound.gap_s) * rate)
        piece = _piece(sound, rate, rng)[: max(0, len(samples) - start)]
        samples[start : start + len(piece)] += piece
    return np.clip(samples, -1, 1)


def _piece(sound: Sound, rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """One stretch of the sound, with its fades, at its loudness."""
    count = max(2, round(sound.length_s * rate))
    time = np.arange(count) / rate
    if sound.kind == "noise":
        wave = np.clip(rng.normal(0, 0.4, count), -1, 1)
    else:
        wave = _tone(_phase(sound, time), sound.timbre, _highest(sound), rate)
    fade = np.minimum(time, time[::-1]) / EDGE_S
    return np.asarray(sound.loudness * wave * np.clip(fade, 0, 1), np.float32)


def _highest(sound: Sound) -> float:
    glides = sound.kind in ("rising", "falling")
    return GLIDE_FROM_HZ * GLIDE if glides else sound.frequency


def _phase(sound: Sound, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Phase in radians: the integral of the frequency, which glides evenly in octaves."""
    if sound.kind not in ("rising", "falling"):
        return 2 * np.pi * sound.frequency * time
    share = time / time[-1]
    power = share if sound.kind == "rising" else 1 - share
    frequency = GLIDE_FROM_HZ * GLIDE**power
    return np.asarray(2 * np.pi * np.cumsum(frequency) * (time[1] - time[0]))


def _tone(
    phase: NDArray[np.float64], timbre: str, highest_hz: float, rate: int
) -> NDArray[np.float64]:
    """A sine, or a saw built of harmonics that all stay below half of 16 kHz."""
    if timbre == "pure":
        return np.sin(phase)
    limit = min(HARMONICS, int(min(rate, 16_000) / 2 / highest_hz))
    wave = np.zeros_like(phase)
    for harmonic in range(1, limit + 1):
        wave += np.sin(harmonic * phase) / harmonic
    return wave / 1.8
