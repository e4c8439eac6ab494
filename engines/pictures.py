"""Still pictures, animated pictures (GIF, WebP, PNG) and folders of frames, read with Pillow.

As upstream, colours become RGB with `convert("RGB")`: an alpha channel is dropped, not composited.
"""

import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from engines.errors import MediaError
from engines.media_file import open_regular, shown
from engines.video_reader import MAX_PIXELS

PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
ANIMATED_FORMATS = {"GIF", "WEBP", "PNG", "AVIF"}
# What Pillow's decoders raise on damaged files (EOFError: fewer frames than announced).
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    IndexError,
    EOFError,
    RuntimeError,  # libavif's
    struct.error,
    Image.DecompressionBombError,
)
# Upstream counts a folder of frames as this many a second.
FOLDER_FPS = 3.0
# Browsers show a frame that declares no duration, or hardly any, for this long.
DEFAULT_FRAME_S = 0.1
SHORTEST_FRAME_MS = 10


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image | None]:
    """Open a picture, or give None when the content is not a picture of a known format.

    Raises:
        MediaError: the file cannot be opened, the picture is damaged or too large.
        MemoryError: decoding it takes more memory than there is.
    """
    with open_regular(path) as file:
        image = _identify(file, path)
        if image is None:
            yield None
            return
        with image:
            try:
                yield image
            except DAMAGE as error:
                # Pillow's word for what its decoders could not get.
                if "out of memory" in str(error).lower():
                    raise MemoryError from error
                raise MediaError(
                    f"The picture {shown(path)} is cut short or damaged; copy or download it again."
                ) from error


def _identify(file: BinaryIO, path: Path) -> Image.Image | None:
    try:
        with warnings.catch_warnings():
            # Truncated EXIF and the like are only warned about, and do not matter here.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(file, formats=PICTURE_FORMATS)
    except UnidentifiedImageError:
        return None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise MediaError(
            f"The picture {shown(path)} has more than {MAX_PIXELS // 10**6} megapixels; make a "
            "smaller copy."
        ) from error
    except DAMAGE as error:
        raise MediaError(
            f"The picture {shown(path)} is damaged; copy or download it again."
        ) from error


def is_animated(image: Image.Image) -> bool:
    """True for more than one frame that follow each other in time (not the pages of a TIFF)."""
    return image.format in ANIMATED_FORMATS and getattr(image, "n_frames", 1) > 1


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 (h, w, 3), upright by the EXIF orientation.

    Sixteen-bit grey is scaled to eight bits; `convert` alone would clip it to white.
    """
    image.load()  # only then is the mode the true one
    # Both steps would copy a picture that needs neither, and one of 80 megapixels takes 320 MB.
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    upright = ImageOps.exif_transpose(image) if turned else image
    if upright.mode.startswith("I;16"):
        grey = (np.asarray(upright).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.asarray(upright if upright.mode == "RGB" else upright.convert("RGB"), np.uint8)


def animation_times(path: Path) -> tuple[NDArray[np.float64], float]:
    """Start of every frame and the end of the last, in s."""
    durations = []
    with _opened(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            milliseconds = float(image.info.get("duration", 0) or 0)
            durations.append(
                milliseconds / 1000 if milliseconds > SHORTEST_FRAME_MS else DEFAULT_FRAME_S
            )
    ends = np.cumsum(durations)
    return np.concatenate([[0.0], ends[:-1]]), float(ends[-1])


def read_animation(path: Path, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
    """The frames at ascending indices, uint8 (h, w, 3), one at a time."""
    with _opened(path) as image:
        for index in indices:
            image.seek(index)
            yield to_rgb(image)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A still picture, uint8 (h, w, 3)."""
    with _opened(path) as image:
        return to_rgb(image)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A file that was a picture a moment ago."""
    with open_picture(path) as image:
        if image is None:
            raise MediaError(f"The file {shown(path)} changed while it was read; ask again.")
        yield image


def left_out(path: Path, frames: int) -> tuple[str, ...]:
    """A note about what of a folder is not among its `frames` pictures; hidden files aside."""
    others = sum(not entry.name.startswith(".") for entry in path.iterdir()) - frames
    if others <= 0:
        return ()
    are = (
        "entry of the folder is no picture"
        if others == 1
        else "entries of the folder are no pictures"
    )
    return (f"{others} {are} and left out.",)


def folder_frames(path: Path) -> list[Path]:
    """The pictures of a folder in the order of their names; other files are left out.

    Raises:
        MediaError: the folder cannot be listed or holds no picture.
    """
    try:
        entries = sorted(p for p in path.iterdir() if p.is_file() and p.stat().st_size)
    except OSError as error:
        raise MediaError(
            f"The folder {shown(path)} cannot be listed; check its permissions."
        ) from error
    frames = [entry for entry in entries if _is_picture(entry)]
    if not frames:
        raise MediaError(
            f"The folder {shown(path)} holds no pictures; name a video file, or a folder of "
            "frames (png, jpg, webp)."
        )
    return frames


def _is_picture(path: Path) -> bool:
    try:
        with open_picture(path) as image:
            return image is not None
    except MediaError:
        # Recognised but damaged, or unreadable: reading it will say so in a sentence.
        return True
