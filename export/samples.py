"""A picture and a sound to hold graphs against the reference with, drawn and played by formula.

Real inputs matter here: noise has none of the large flat areas, edges and silence that make single
channels of a tower grow far above the others, which is where storage in few bits shows.
"""

import numpy as np
from numpy.typing import NDArray

from engines.audio import window_features
from engines.config import AudioConfig, VisionConfig
from engines.video import preprocess

NAME = "drawn clip"
HEIGHT, WIDTH = 180, 320
QUESTION = "What happens in this video, and what can be heard?"


def frame(moment: float) -> NDArray[np.uint8]:
    """Draw a frame (180, 320, 3): sky, ground, a sun, a striped box that moves to the right.

    Args:
        moment: 0 at the start of the clip, 1 at its end.
    """
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    sky = np.stack([110 + y / 3, 160 + y / 4, 235 - y / 5], axis=-1)
    ground = np.stack([70 + 8 * np.sin(x / 5), 120 + 10 * np.sin(x / 9 + y / 4), 50 + y / 9], -1)
    picture = np.where((y < 120)[..., None], sky, ground)
    sun = np.hypot(x - 250, y - 40) < 22
    picture[sun] = (255, 225, 90)
    left = 20 + 180 * moment
    box = (x > left) & (x < left + 60) & (y > 85) & (y < 145)
    stripes = np.where(((x - left) // 10 % 2 == 0)[..., None], (200, 30, 40), (245, 245, 245))
    picture = np.where(box[..., None], stripes, picture)
    return picture.clip(0, 255).astype(np.uint8)


def pixel_values(config: VisionConfig, frames: int) -> NDArray[np.float32]:
    """Return (frames, 3, S, S): the drawn clip through the runtime's own pixel pipeline."""
    moments = np.linspace(0, 1, frames)
    return preprocess([frame(float(moment)) for moment in moments], config)


def sound(seconds: float, rate: int) -> NDArray[np.float32]:
    """Play (n,) float32 in [-1, 1]: a rising tone, two beeps, a hiss, and silence for the rest."""
    t = np.arange(round(seconds * rate)) / rate
    part = t / seconds
    rising = 0.3 * np.sin(2 * np.pi * (220 * t + 900 * t**2 / (2 * seconds))) * (part < 0.4)
    beeps = 0.5 * np.sin(2 * np.pi * 1000 * t) * ((part > 0.45) & (part < 0.65) & (t * 4 % 1 < 0.4))
    hiss = 0.05 * np.random.default_rng(0).standard_normal(len(t)) * ((part > 0.7) & (part < 0.8))
    return (rising + beeps + hiss).astype(np.float32)


def fbank(config: AudioConfig) -> NDArray[np.float32]:
    """Return (1, F, bins): the sound, one window long, through the runtime's filter bank."""
    samples = sound(config.window_s, config.sample_rate)
    return window_features(samples, config.sample_rate, config)
