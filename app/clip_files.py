"""Which files are clips, told by their names alone; where a clip that moved may lie. No Qt.

Nothing is opened here: a name's ending decides how the window shows a file at first, and the engine
says later what it really is.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from platformdirs import (
    user_desktop_path,
    user_documents_path,
    user_downloads_path,
    user_music_path,
    user_pictures_path,
    user_videos_path,
)

Kind = Literal["video", "image", "audio", "frames"]

VIDEO = ("mp4", "m4v", "mkv", "webm", "mov", "avi", "mpg", "mpeg", "ts", "mts", "m2ts", "wmv",
         "flv", "3gp", "ogv", "gif")  # fmt: skip
IMAGE = ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "avif")
AUDIO = ("wav", "mp3", "flac", "ogg", "oga", "opus", "m4a", "aac", "wma", "aiff", "aif")
MAX_PASTED_PATH = 4096


def guess_kind(path: Path, is_folder: bool = False) -> Kind:
    """What a file seems to be: a folder is a folder of frames, an unknown ending a video."""
    if is_folder:
        return "frames"
    ending = path.suffix.lower().removeprefix(".")
    if ending in IMAGE:
        return "image"
    return "audio" if ending in AUDIO else "video"


def is_clip_name(path: Path) -> bool:
    """Whether a file's name ends as a clip's."""
    return path.suffix.lower().removeprefix(".") in {*VIDEO, *IMAGE, *AUDIO}


def patterns(endings: Sequence[str]) -> str:
    """The endings as a file dialog wants them: "*.mp4 *.mkv"."""
    return " ".join(f"*.{ending}" for ending in endings)


def pasted_path(text: str) -> Path | None:
    """The path that a pasted text is, None when it is something else; the file may not exist."""
    line = text.strip().strip("\"'")
    if not line or "\n" in line or "\0" in line or len(line) > MAX_PASTED_PATH:
        return None
    path = Path(line).expanduser() if line.startswith("~") else Path(line)
    return path if path.is_absolute() else None


def likely_folders(old: Path, recent: Iterable[str]) -> list[Path]:
    """Where a clip that has moved may lie: around its old folder, then in the usual ones."""
    folders = [old.parent, old.parent.parent, *(Path(name).parent for name in recent)]
    folders += [
        user_videos_path(),
        user_downloads_path(),
        user_desktop_path(),
        user_pictures_path(),
        user_music_path(),
        user_documents_path(),
    ]
    return [folder for folder in dict.fromkeys(folders) if folder != folder.parent]
