"""One window for one user: a second start hands its clip to the first and ends.

The socket lies in the user's own folder and only this user may open it. What comes in through it is
one line of JSON with a path, nothing else: the worst a stranger's program could do is show a clip.
"""

import hashlib
import json
import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from engines.file_lock import own_folder

MAX_BYTES = 64 << 10
ANSWER_MS = 2_000
_SEEN = b"seen\n"
# A socket's path may have 108 bytes on Linux, 104 on macOS, with Qt's own temporary suffix in it.
_MAX_PATH = 90


class OneWindow(QObject):
    """The first start listens, a later one asks it to come to the front."""

    asked = Signal(object)  # Path of a clip, or None: only to be seen

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        """Nothing is opened yet.

        Args:
            folder: the user's own folder for the socket and its lock.
            parent: the owner.
        """
        super().__init__(parent)
        self._address = _address(folder)
        self._lock = QLockFile(str(folder / "window.lock"))
        self._lock.setStaleLockTime(0)  # A dead program's lock is told by its number, not by age.
        self._server: QLocalServer | None = None

    def hand_over(self, clip: Path | None) -> bool:
        """True when another window is there; it has come to the front and opens the clip."""
        socket = QLocalSocket()
        if not self._address:
            return False
        socket.connectToServer(self._address)
        if not socket.waitForConnected(ANSWER_MS):
            return False
        line = json.dumps({"open": None if clip is None else str(clip)}) + "\n"
        socket.write(line.encode())
        socket.flush()
        seen = socket.waitForReadyRead(ANSWER_MS) and bytes(socket.readAll().data()) == _SEEN
        socket.abort()
        return seen

    def listen(self) -> bool:
        """Be the first window; False when the folder does not allow it: then each start is one."""
        with suppress(OSError):
            folder = Path(self._lock.fileName()).parent
            own_folder(folder)
        if not self._address or not self._lock.tryLock(0):
            return False
        QLocalServer.removeServer(self._address)  # left behind by a program that was killed
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._greet)
        return self._server.listen(self._address)

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._lock.unlock()

    def _greet(self) -> None:
        while self._server is not None and (socket := self._server.nextPendingConnection()):
            socket.readyRead.connect(lambda socket=socket: self._read(socket))
            socket.disconnected.connect(socket.deleteLater)
            if socket.bytesAvailable():
                self._read(socket)

    def _read(self, socket: QLocalSocket) -> None:
        if not socket.canReadLine():
            if socket.bytesAvailable() > MAX_BYTES:
                socket.abort()
            return
        line = bytes(socket.readLine(MAX_BYTES).data())
        with suppress(ValueError):
            self.asked.emit(parse_request(line))
            socket.write(_SEEN)
            socket.flush()
        socket.disconnectFromServer()


def _address(folder: Path) -> str:
    """Where the socket of this folder's window is; empty where no safe place is to be had."""
    mark = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    if sys.platform == "win32":
        return f"vl2-desktop-{mark}"  # the name of a pipe, which lies in no folder
    address = folder / "window.socket"
    if len(os.fsencode(address)) <= _MAX_PATH:
        return str(address)
    private = Path(tempfile.gettempdir()) / f"vl2-desktop-{mark}"
    try:
        private.mkdir(mode=0o700, exist_ok=True)
        status = private.lstat()
    except OSError:
        return ""
    # In a folder of everybody's another user may have been quicker.
    mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return str(private / "socket") if mine and not status.st_mode & 0o077 else ""


def parse_request(line: bytes) -> Path | None:
    """The clip of a request, None when there is none; ValueError for anything else."""
    request = json.loads(line.decode())
    if not isinstance(request, dict) or set(request) != {"open"}:
        raise ValueError("not a request")
    clip = request["open"]
    if clip is None:
        return None
    if not isinstance(clip, str) or not clip or "\0" in clip or not Path(clip).is_absolute():
        raise ValueError("not a path")
    return Path(clip)
