"""QtMultimedia's sound output, made quiet; imported from here and nowhere else.

Its player is not used: it would parse files in the window's process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import QLoggingCategory, QtMsgType

if "QT_LOGGING_RULES" not in os.environ:
    QLoggingCategory.setFilterRules("qt.multimedia.*=false")

# Only now: the library speaks while it is being loaded.
from PySide6.QtMultimedia import QAudioFormat, QAudioSink, QMediaDevices, QtAudio

__all__ = ["QAudioFormat", "QAudioSink", "QMediaDevices", "QtAudio", "hushed"]


@contextmanager
def hushed() -> Iterator[None]:
    """Keep back what Qt says of a computer without a sound service: that is no concern of a user.

    With `QT_LOGGING_RULES` set, it is left to talk.
    """
    category = QLoggingCategory.defaultCategory()
    if category is None or "QT_LOGGING_RULES" in os.environ:
        yield
        return
    category.setEnabled(QtMsgType.QtWarningMsg, False)
    try:
        yield
    finally:
        category.setEnabled(QtMsgType.QtWarningMsg, True)
