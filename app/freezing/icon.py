"""Draws the program's icon: a picture that plays, and its sound as bars.

    python -m app.freezing.icon

writes assets/icon: the drawing (SVG), pictures of it (PNG) and Windows' file of all sizes. Small
sizes have a drawing of their own, whose edges lie on whole pixels.
"""

import os
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parents[2] / "assets" / "icon"
NAME = "vl2-desktop"
SIZES = (16, 24, 32, 48, 64, 128, 256, 512)
ICO_SIZES = (16, 24, 32, 48, 64, 128, 256)

_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">
  <defs>
    <linearGradient id="ground" x1="0" y1="0" x2="0" y2="1">
      <stop offset="0" stop-color="#3a6df0"/>
      <stop offset="1" stop-color="#1c2f7a"/>
    </linearGradient>
  </defs>
  {shapes}
</svg>
"""
_GROUND = '<rect x="{x}" y="{x}" width="{w}" height="{w}" rx="{r}" fill="url(#ground)"/>'
_BAR = '<rect x="{}" y="{}" width="{}" height="{}" rx="{}" fill="#ffb45c"/>'
# The corners are round because the line around the triangle is.
_TRIANGLE = (
    '<path d="{}" fill="#ffffff" stroke="#ffffff" stroke-width="{}" stroke-linejoin="round"/>'
)


def large() -> str:
    """The drawing for 48 pixels and more, on a grid of 128."""
    shapes = [
        _GROUND.format(x=6, w=116, r=28),
        _TRIANGLE.format("M32 42 L32 86 L63 64 Z", 10),
        _BAR.format(76, 48, 9, 32, 4.5),
        _BAR.format(90, 36, 9, 56, 4.5),
        _BAR.format(104, 54, 9, 20, 4.5),
    ]
    return _SVG.format(side=128, shapes="\n  ".join(shapes))


def small(side: int) -> str:
    """The drawing for 16, 24 or 32 pixels: two bars, edges on whole pixels.

    Args:
        side: a multiple of 8.
    """
    unit = side / 16
    bar = max(round(1.5 * unit), 2)
    first = side - round(2 * unit) - 2 * bar - max(round(unit), 1)
    heights = 2 * round(2.6 * unit), 2 * round(4.2 * unit)
    bars = [
        _BAR.format(x, (side - height) / 2, bar, height, bar / 4)
        for x, height in zip(
            (first, first + bar + max(round(unit), 1)), reversed(heights), strict=True
        )
    ]
    left, right, half = 3.4 * unit, first - 1.4 * unit, 3.4 * unit
    middle = side / 2
    path = f"M{left} {middle - half} L{left} {middle + half} L{right} {middle} Z"
    shapes = [_GROUND.format(x=0, w=side, r=3.5 * unit), _TRIANGLE.format(path, unit), *bars]
    return _SVG.format(side=side, shapes="\n  ".join(shapes))


def drawn(document: str, side: int) -> Image.Image:
    """An SVG document as a picture of `side` x `side` pixels."""
    from PySide6.QtCore import QByteArray
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    picture = QImage(side, side, QImage.Format.Format_RGBA8888)
    picture.fill(0)
    painter = QPainter(picture)
    QSvgRenderer(QByteArray(document.encode())).render(painter)
    painter.end()
    return Image.frombytes("RGBA", (side, side), bytes(picture.constBits()), "raw", "RGBA")


def write_icons(folder: Path) -> None:
    """Write all files of the icon."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtGui import QGuiApplication

    _app = QGuiApplication.instance() or QGuiApplication(["icon"])
    folder.mkdir(exist_ok=True)
    (folder / f"{NAME}.svg").write_text(large())
    pictures = {side: drawn(small(side) if side < 48 else large(), side) for side in SIZES}
    for side, picture in pictures.items():
        picture.save(folder / f"{side}.png", optimize=True)
    others = [pictures[side] for side in ICO_SIZES[:-1]]
    largest = pictures[ICO_SIZES[-1]]
    sizes = [(side, side) for side in ICO_SIZES]
    largest.save(folder / f"{NAME}.ico", sizes=sizes, append_images=others)


if __name__ == "__main__":
    write_icons(FOLDER)
