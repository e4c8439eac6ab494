"""QtMultimedia, made quiet and kept on this computer; imported from here and nowhere else.

Its libraries write to the terminal whatever they miss or dislike about a file, most of which is
no concern of a user. With `QT_FFMPEG_DEBUG` or `QT_LOGGING_RULES` set, they are left to talk.
"""

import contextlib
import ctypes
import os
from pathlib import Path

import PySide6
from PySide6.QtCore import QLoggingCategory, QtMsgType

# A film may name others to be fetched: only files, never a network.
os.environ.setdefault("QT_FFMPEG_PROTOCOL_WHITELIST", "file")
# The graphics card belongs to the model; films are small beside it.
os.environ.setdefault("QT_FFMPEG_DECODING_HW_DEVICE_TYPES", ",")
if "QT_LOGGING_RULES" not in os.environ:
    QLoggingCategory.setFilterRules("qt.multimedia.*=false")

# Only now: the library speaks while it is being loaded.
from PySide6.QtMultimedia import (
    QAudioOutput,
    QMediaDevices,
    QMediaMetaData,
    QMediaPlayer,
    QtAudio,
    QtVideo,
    QVideoFrame,
    QVideoFrameFormat,
    QVideoSink,
)

__all__ = [
    "QAudioOutput",
    "QMediaDevices",
    "QMediaMetaData",
    "QMediaPlayer",
    "QVideoFrame",
    "QVideoFrameFormat",
    "QVideoSink",
    "QtAudio",
    "QtVideo",
    "hush_ffmpeg",
    "hush_qt",
]

_AV_LOG_QUIET = -8
_LOADED_ONLY = getattr(os, "RTLD_NOLOAD", 0) | getattr(os, "RTLD_NOW", 0)


def hush_ffmpeg() -> None:
    """Silence the FFmpeg that came with Qt; call it when a player was made."""
    if "QT_FFMPEG_DEBUG" in os.environ:
        return
    root = Path(PySide6.__file__).parent
    for folder in (root / "Qt" / "lib", root):
        for library in (*folder.glob("libavutil.*"), *folder.glob("avutil-*.dll")):
            # Refused unless it is the very file that Qt has loaded: other copies lie beside it.
            with contextlib.suppress(OSError, AttributeError):
                ctypes.CDLL(str(library), _LOADED_ONLY).av_log_set_level(_AV_LOG_QUIET)


def hush_qt(quiet: bool) -> None:
    """Keep Qt's own warnings back while a file is open: some come with every packet of it."""
    category = QLoggingCategory.defaultCategory()
    if category is not None and "QT_LOGGING_RULES" not in os.environ:
        category.setEnabled(QtMsgType.QtWarningMsg, not quiet)
