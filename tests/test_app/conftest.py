"""Every test of the app has a home of its own, no screen, and leaves no thread and no process."""

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

# Before Qt is loaded.
SCREEN = Path(__file__).parents[1] / "data" / "screen.json"
os.environ.setdefault("QT_QPA_PLATFORM", f"offscreen:configfile={SCREEN}")
os.environ.setdefault("QT_ACCESSIBILITY", "0")
# The player keeps Qt's warnings back while a clip is open, unless rules are given: tests want them.
os.environ.setdefault("QT_LOGGING_RULES", "qt.multimedia.*=false")

FOLDERS = ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
# Far more than anything takes: it only ends a test that hangs.
PATIENCE_S = 120.0


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folders: cache, data, settings."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in FOLDERS:
        monkeypatch.setenv(name, str(folder))
    return folder


def children() -> set[int]:
    """Processes that this one started and that are still there."""
    found = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # A thread that has ended meanwhile has none.
            found |= {int(number) for number in task.read_text().split()}
    return found


def threads() -> set[threading.Thread]:
    """Python's threads; Qt's own appear in Python as dummies for as long as the program runs."""
    found = set(threading.enumerate())
    return {one for one in found if not isinstance(one, threading._DummyThread)}


def delete_widgets() -> None:
    """Let go of the widgets that a test has closed, where Qt is loaded at all."""
    gc.collect()
    if "PySide6.QtWidgets" in sys.modules:
        from PySide6.QtCore import QCoreApplication, QEvent

        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        QCoreApplication.processEvents()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fails a test that leaves a thread or a process behind."""
    threads_before, children_before = threads(), children()
    yield
    deadline = time.monotonic() + PATIENCE_S
    while (threads() - threads_before or children() - children_before) and (
        time.monotonic() < deadline
    ):
        delete_widgets()
        time.sleep(0.02)
    assert threads() <= threads_before
    assert children() <= children_before


@pytest.fixture
def qtbot(qtbot: Any) -> Any:
    """pytest-qt's, which by itself waits five seconds: too short where the machine is busy."""
    for name in ("waitUntil", "waitSignal"):
        setattr(qtbot, name, partial(getattr(qtbot, name), timeout=round(PATIENCE_S * 1000)))
    return qtbot
