"""What can be shown without QtMultimedia: a still, a folder of frames, thumbnails for a film."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QImage

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


class FolderPlayback(PicturesPlayback):
    """A folder of frames; it is listed in another thread."""

    def __init__(self, path: Path, images: LatestTask, parent: QObject | None = None) -> None:
        """Begin to list the folder.

        Args:
            path: The folder.
            images: Where pictures are made.
            parent: The owner.
        """
        super().__init__([0.0], 0.0, lambda _: QImage(), images, parent)
        self._listing = LatestTask(self)
        self._listing.done.connect(self._listed)
        self._listing.ask(partial(_list, path))

    def render(self) -> None:
        """Scale the picture anew, once there is one."""
        if self.duration_s:
            super().render()

    def close(self) -> None:
        """Do not wait for the list either."""
        self._listing.close()
        super().close()

    def _listed(self, files: list[Path]) -> None:
        self._listing.close()
        if not files:
            self._fail()
            return
        from engines.pictures import FOLDER_FPS

        times = [number / FOLDER_FPS for number in range(len(files))]
        self.set_pictures(times, lambda index: read_still(files[index]))
        self.set_duration(len(files) / FOLDER_FPS)
        self.seek(self.position_s)


def _list(path: Path) -> list[Path]:
    """The folder's pictures in the engine's order; none when it cannot be listed."""
    from engines.errors import MediaError
    from engines.pictures import folder_frames

    try:
        return folder_frames(path)
    except MediaError:
        return []
