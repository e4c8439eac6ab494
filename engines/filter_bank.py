"""Numbers of sound: Kaldi's log mel filter bank, the FFT resampling of a whole signal, bfloat16.

The filter bank is Kaldi's with the options the audio tower was trained on: 25 ms frames every
10 ms, no dither, snipped edges, mean removed per frame, pre-emphasis 0.97, povey window, power
spectrum, natural log. Reference: https://kaldi-asr.org/doc/feat.html
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAME_S = 0.025
STEP_S = 0.010
PREEMPHASIS = np.float32(0.97)
POVEY_POWER = 0.85
LOWEST_HZ = 20.0
FLOOR = np.float32(np.finfo(np.float32).eps)
# Frames transformed at a time: enough for speed, little for memory.
CHUNK_FRAMES = 1024


def fbank(
    waveform: NDArray[np.float32], num_mel_bins: int = 128, sample_rate: int = 16000
) -> NDArray[np.float32]:
    """Log mel filter bank of a sound.

    Args:
        waveform: (n,) float32 in [-1, 1]; it is scaled by 2**15 as Kaldi expects.
        num_mel_bins: triangles, that is values per frame.
        sample_rate: of the waveform, Hz.

    Returns:
        (frames, num_mel_bins) float32; frames = 1 + (n - 400) // 160 at 16 kHz, or 0.
    """
    length = int(sample_rate * FRAME_S)
    step = int(sample_rate * STEP_S)
    if len(waveform) < length:
        return np.zeros((0, num_mel_bins), np.float32)
    scaled = np.asarray(waveform, np.float32) * np.float32(32768)
    frames = np.lib.stride_tricks.sliding_window_view(scaled, length)[::step]  # (frames, length)
    padded = 1 << (length - 1).bit_length()
    window = _povey_window(length)
    banks = mel_banks(num_mel_bins, padded, sample_rate).T  # (padded // 2, bins)
    out = np.empty((len(frames), num_mel_bins), np.float32)
    for lo in range(0, len(frames), CHUNK_FRAMES):
        chunk = frames[lo : lo + CHUNK_FRAMES]
        chunk = chunk - chunk.mean(axis=1, keepdims=True)
        before = np.concatenate([chunk[:, :1], chunk[:, :-1]], axis=1)
        spectrum = np.fft.rfft((chunk - PREEMPHASIS * before) * window, padded)
        power = np.abs(spectrum[:, : padded // 2]).astype(np.float32) ** 2
        out[lo : lo + CHUNK_FRAMES] = np.log(np.maximum(power @ banks, FLOOR))
    return out


@lru_cache(maxsize=2)
def _povey_window(length: int) -> NDArray[np.float32]:
    """A Hann window to the power of 0.85: it does not quite reach 0 beside the edges."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))
    return (hann**POVEY_POWER).astype(np.float32)


@lru_cache(maxsize=2)
def mel_banks(num_bins: int, fft_length: int, sample_rate: int) -> NDArray[np.float32]:
    """Triangles of equal width in mel, from 20 Hz to half the sample rate.

    Returns:
        (num_bins, fft_length // 2) float32: the Nyquist bin takes no part.
    """
    low, high = _mel(np.array([LOWEST_HZ, sample_rate / 2]))
    width = (high - low) / (num_bins + 1)
    left = low + np.arange(num_bins)[:, None] * width  # (bins, 1)
    mel = _mel(np.arange(fft_length // 2) * (sample_rate / fft_length))[None]
    rising = (mel - left) / width
    falling = (left + 2 * width - mel) / width
    banks: NDArray[np.float32] = np.maximum(np.minimum(rising, falling), 0).astype(np.float32)
    return banks


def _mel(hertz: NDArray[Any]) -> NDArray[Any]:
    mel: NDArray[Any] = 1127.0 * np.log1p(hertz / 700.0)
    return mel


def fft_resample(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Resample a whole signal to `length` samples by cutting or padding its spectrum.

    The definition of scipy.signal.resample: an even-length spectrum's highest bin stands for two
    frequencies, so it is doubled where the signal is shortened and halved where it is lengthened.
    """
    count = len(samples)
    if length == count:
        return np.asarray(samples, np.float32)
    spectrum = np.fft.rfft(samples.astype(np.float64))
    kept = min(count, length)
    resized = np.zeros(length // 2 + 1, np.complex128)
    resized[: kept // 2 + 1] = spectrum[: kept // 2 + 1]
    if kept % 2 == 0:
        resized[kept // 2] *= 2.0 if length < count else 0.5
    return (np.fft.irfft(resized, length) * (length / count)).astype(np.float32)


def round_to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round finite float32 values to bfloat16 (nearest, ties to even), kept as float32."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    upper = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return upper.view(np.float32)
