"""`vl2` with a window: puts the parts together and runs them until the window closes."""

import ctypes
import importlib.util
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engines import log, media_process, offline
from engines.errors import WindowError

if TYPE_CHECKING:
    from PySide6.QtCore import QObject
    from PySide6.QtWidgets import QApplication

    from app.widgets.window import MainWindow

INSTALL = "install it with: pip install 'vl2[desktop]'"
LIBRARIES = "on Debian or Ubuntu: apt-get install libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0"


def run(clip: Path | None = None, safe_mode: bool = False) -> None:
    """Open the window, or ask the one that is open already; returns when it is closed.

    Args:
        clip: opened at once; a bad one is told in the window.
        safe_mode: begin with the least that can go wrong; it is offered anyway after a bad end.

    Raises:
        WindowError: PySide6, a library that it needs, or a screen is not there; or the window is
            open already and safe mode was wanted.
    """
    check_screen()
    try:
        from PySide6.QtWidgets import QApplication

        from app.widgets.one_window import OneWindow
    except ImportError as error:
        raise WindowError(
            f"The window cannot be opened, a library is missing ({error}); {LIBRARIES}."
        ) from error
    from app.history import history_path
    from app.sentinel import Sentinel

    app = QApplication([sys.argv[0]])
    folder = history_path().parent
    one = OneWindow(folder)
    clip = None if clip is None else clip.absolute()
    if one.hand_over(None if safe_mode else clip):
        if safe_mode:
            raise WindowError("The window is open already; close it, then start safe mode again.")
        return
    one.listen()
    log.begin("window")
    sentinel = Sentinel(folder)
    _note_start(sentinel.ended_badly, safe_mode)
    started = time.monotonic()
    window = make_window(app)
    one.asked.connect(window.come_forward)
    _hear_interrupts(app, window)
    _catch_what_nobody_does(window)
    window.show()
    if safe_mode:
        window.start_safely(clip)
    elif sentinel.ended_badly:
        window.ask_how_to_start(clip)
    else:
        window.start(clip)
    log.note("shown", s=time.monotonic() - started)
    app.exec()
    media_process.leave()  # threads that still wait for one would be waited for
    one.close()
    sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__
    sentinel.end()
    log.note("end", s=time.monotonic() - started, **vars(offline.connections()))
    log.end()


def _note_start(ended_badly: bool, safe_mode: bool) -> None:
    from PySide6.QtCore import qVersion
    from PySide6.QtGui import QGuiApplication

    log.note(
        "window",
        qt=qVersion(),
        platform=QGuiApplication.platformName(),
        screens=len(QGuiApplication.screens()),
        ended_badly_before=ended_badly,
        safe_mode=safe_mode,
        cores=os.cpu_count(),
    )


def make_window(app: "QApplication") -> "MainWindow":
    """The window with this user's settings and history, not yet shown or started."""
    from app import settings as settings_file
    from app.history import History, history_path
    from app.widgets import language, theme
    from app.widgets.engine_link import EngineLink
    from app.widgets.window import MainWindow

    app.setApplicationName("vl2-desktop")
    app.setApplicationDisplayName("VL2 Desktop")
    app.setDesktopFileName("vl2-desktop")
    settings, notice = settings_file.load(settings_file.settings_path())
    language.install(app, settings.language)
    theme.apply(app, settings.theme)
    app.setWindowIcon(theme.program_icon())
    history = History.open(history_path())
    window = MainWindow(EngineLink(), history, settings, settings_file.settings_path())
    if notice is not None:
        window.say(notice, "warning")
    return window


def check_screen() -> None:
    """WindowError where Qt would end the program because it finds no screen, or is not there."""
    if importlib.util.find_spec("PySide6") is None:
        raise WindowError(
            f"The window needs PySide6, which is not installed; {INSTALL}, or use vl2 ask."
        )
    chosen = os.environ.get("QT_QPA_PLATFORM", "").partition(":")[0]
    if not sys.platform.startswith("linux") or chosen not in ("", "xcb"):
        return
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise WindowError(
            "There is no screen to open a window on (neither DISPLAY nor WAYLAND_DISPLAY is set);"
            " log in to a desktop, or use vl2 ask."
        )
    if not os.environ.get("WAYLAND_DISPLAY") or chosen == "xcb":
        try:
            ctypes.CDLL("libxcb-cursor.so.0")
        except OSError as error:
            raise WindowError(
                f"The window cannot be opened, a library is missing ({error}); {LIBRARIES}."
            ) from error


def _catch_what_nobody_does(window: "MainWindow") -> None:
    """What nobody caught goes into the log and is said in the window, which goes on."""
    from app.widgets.stray_errors import StrayErrors

    stray = StrayErrors(window.say, window)
    sys.excepthook = stray.caught
    threading.excepthook = stray.caught_in_thread


def _hear_interrupts(app: "QApplication", window: "MainWindow") -> None:
    """Ctrl+C on the terminal and the session's end close the window in good order.

    Python looks for signals only between its own instructions, of which a waiting window makes
    none: the signal writes into a socket that Qt listens to.
    """
    from PySide6.QtCore import QSocketNotifier

    inner, outer = socket.socketpair()
    for end in (inner, outer):
        end.setblocking(False)
    signal.set_wakeup_fd(outer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    heard = QSocketNotifier(inner.fileno(), QSocketNotifier.Type.Read, app)

    def close() -> None:
        inner.recv(64)
        window.close()

    heard.activated.connect(close)
    _kept_open(heard, inner, outer)


def _kept_open(owner: "QObject", *sockets: socket.socket) -> None:
    def close() -> None:
        for one in sockets:
            one.close()

    owner.destroyed.connect(close)
