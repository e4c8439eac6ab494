"""Scenes to pixels: antialiased shapes on a textured background, in plain numpy."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export.demo.world import FLASH_S, Scene, Thing

CLIP_SIZE = 224  # width and height of a written clip
RGB = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 225),
    "yellow": (240, 220, 50),
    "purple": (150, 50, 190),
    "orange": (245, 135, 25),
    "black": (16, 16, 16),
    "gray": (128, 128, 128),
    "white": (240, 240, 240),
    "brown": (110, 70, 40),
    "pink": (250, 180, 200),
}
FLASH_RGB = (110, 255, 255)


def distance(shape: str, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Signed distance to a shape's edge (negative inside), for a shape of radius one, y down."""
    ax, ay = np.abs(x), np.abs(y)
    if shape == "circle":
        return np.sqrt(x * x + y * y) - np.float32(1)
    if shape == "square":
        return np.maximum(ax, ay) - np.float32(0.88)
    if shape == "triangle":  # equilateral, pointing up, centroid at the centre
        return np.maximum(y, np.float32(0.866) * ax - np.float32(0.5) * y) - np.float32(0.6)
    wide = np.maximum(ax - np.float32(1), ay - np.float32(0.34))
    tall = np.maximum(ax - np.float32(0.34), ay - np.float32(1))
    return np.minimum(wide, tall)


def background(scene: Scene, size: int, flashing: bool) -> NDArray[np.float32]:
    """The empty picture, (size, size, 3) float32 in 0..255."""
    rng = np.random.default_rng(scene.look_seed)
    base = np.array(FLASH_RGB if flashing else RGB[scene.background], np.float32)
    base = base + rng.uniform(-10, 10, 3).astype(np.float32)
    relief = np.zeros((size, size), np.float32)
    grid = np.linspace(-1, 1, size, dtype=np.float32)
    if scene.texture == "gradient":
        relief = 16 * (grid[:, None] if rng.random() < 0.5 else grid[None, :]) + relief
    elif scene.texture == "stripes":
        wave = 8 * np.sign(np.sin(grid * np.float32(rng.uniform(8, 20))))
        relief = relief + (wave[:, None] if rng.random() < 0.5 else wave[None, :])
    elif scene.texture == "noise":
        coarse = rng.normal(0, 7, (size // 4, size // 4)).astype(np.float32)
        relief = np.kron(coarse, np.ones((4, 4), np.float32))
    return np.clip(base + relief[:, :, None], 0, 255)


def thing_rgb(thing: Thing, look_seed: int) -> NDArray[np.float32]:
    """The thing's colour, slightly different from clip to clip."""
    rng = np.random.default_rng([look_seed, 1])
    return np.clip(np.array(RGB[thing.color], np.float32) + rng.uniform(-12, 12, 3), 0, 255)


def paint(
    picture: NDArray[np.float32], thing: Thing, time_s: float, rgb: NDArray[np.float32]
) -> None:
    """Blend a thing into the picture in place."""
    size = picture.shape[0]
    x, y = (size * value - 0.5 for value in thing.position(time_s))
    radius = thing.radius * size
    reach = 1.25 * radius + 2
    left, right = max(0, int(x - reach)), min(size, int(x + reach) + 1)
    top, bottom = max(0, int(y - reach)), min(size, int(y + reach) + 1)
    columns = (np.arange(left, right, dtype=np.float32) - np.float32(x)) / np.float32(radius)
    rows = (np.arange(top, bottom, dtype=np.float32) - np.float32(y)) / np.float32(radius)
    edge = distance(thing.shape, columns[None, :], rows[:, None]) * np.float32(radius)
    cover = np.clip(0.5 - edge, 0, 1)[:, :, None]
    patch = picture[top:bottom, left:right]
    patch += cover * (rgb - patch)


def render(scene: Scene, times_s: list[float], size: int = CLIP_SIZE) -> NDArray[np.uint8]:
    """The scene at each time, (T, size, size, 3) uint8 RGB."""
    frames = np.empty((len(times_s), size, size, 3), np.uint8)
    empty = background(scene, size, flashing=False)
    flash = None if scene.flash_s is None else background(scene, size, flashing=True)
    colors = [thing_rgb(thing, scene.look_seed) for thing in scene.things]
    for index, time_s in enumerate(times_s):
        picture = (flash if flash is not None and flashing(scene, time_s) else empty).copy()
        for thing, rgb in zip(scene.things, colors, strict=True):
            if thing.visible(time_s):
                paint(picture, thing, time_s, rgb)
        frames[index] = picture + 0.5
    return frames


def flashing(scene: Scene, time_s: float) -> bool:
    """Whether the background flashes at this time."""
    return scene.flash_s is not None and scene.flash_s <= time_s < scene.flash_s + FLASH_S


def like_video(frame: NDArray[np.uint8], rng: np.random.Generator) -> Image.Image:
    """A frame as it looks after a video encoder: JPEG's blocks and halved colour are close to it.

    Returns an RGB picture; three of ten stay as they are.
    """
    picture = Image.fromarray(frame)
    if rng.random() < 0.3:
        return picture
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=int(rng.integers(40, 93)), subsampling=2)
    return Image.open(buffer).convert("RGB")
