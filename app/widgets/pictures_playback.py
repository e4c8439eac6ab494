"""What is shown picture by picture: a still, and thumbnails in a film's place."""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.widgets.latest_task import LatestTask
from app.widgets.picture_images import array_image, read_still
from app.widgets.playback import PicturesPlayback

if TYPE_CHECKING:
    from engines.preview import Preview


def still(path: Path, images: LatestTask, parent: QObject | None = None) -> PicturesPlayback:
    """A single picture."""
    return PicturesPlayback([0.0], 0.0, lambda _: read_still(path), images, parent)


def thumbnails(
    preview: "Preview", images: LatestTask, parent: QObject | None = None
) -> PicturesPlayback:
    """The frames that the model gets, in the place of a film that cannot be played here."""
    pictures = preview.thumbnails
    return PicturesPlayback(
        preview.frame_times_s,
        preview.duration_s or 0.0,
        lambda index: array_image(pictures[index]),
        images,
        parent,
    )
