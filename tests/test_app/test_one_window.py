"""The first window listens, a later start is heard, and nothing but a path gets in."""

import json
import os
import stat
from pathlib import Path

import pytest
from PySide6.QtNetwork import QLocalSocket

from app.widgets.one_window import MAX_BYTES, OneWindow, parse_request

pytestmark = pytest.mark.gui


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def first(qtbot, folder):
    one = OneWindow(folder)
    assert one.listen()
    yield one
    one.close()


def speak(qtbot, one: OneWindow, *parts: bytes) -> bytes:
    """What the window answers to a program that writes these bytes."""
    socket = QLocalSocket()
    socket.connectToServer(one._address)
    assert socket.waitForConnected(5000)
    for part in parts:
        socket.write(part)
        socket.flush()
        qtbot.wait(20)
    qtbot.waitUntil(lambda: socket.state() == QLocalSocket.LocalSocketState.UnconnectedState)
    return bytes(socket.readAll().data())


def test_nobody_there(folder) -> None:
    assert not OneWindow(folder).hand_over(None)


def test_a_path_in_two_pieces_is_heard(qtbot, first, tmp_path) -> None:
    asked = []
    first.asked.connect(asked.append)
    line = json.dumps({"open": str(tmp_path / "ü b.mp4")}).encode() + b"\n"
    assert speak(qtbot, first, line[:10], line[10:]) == b"seen\n"
    assert speak(qtbot, first, b'{"open": null}\n') == b"seen\n"
    assert asked == [tmp_path / "ü b.mp4", None]


@pytest.mark.parametrize(
    "line",
    [
        b"rm -rf\n",
        b"[]\n",
        b'{"open": 3}\n',
        b'{"open": ""}\n',
        b'{"open": "relative.mp4"}\n',
        b'{"open": "/a\\u0000b"}\n',
        b'{"open": "/a", "run": "b"}\n',
        b"\xff\xfe\n",
        b'{"quit": true}\n',
    ],
)
def test_anything_else_is_not(qtbot, first, line: bytes) -> None:
    asked = []
    first.asked.connect(asked.append)
    assert speak(qtbot, first, line) == b""
    assert asked == []
    with pytest.raises(ValueError):  # noqa: PT011 (also JSON's and Unicode's own)
        parse_request(line)


def test_an_endless_line_is_cut_off(qtbot, first) -> None:
    assert speak(qtbot, first, b"x" * (MAX_BYTES + 1)) == b""


def test_only_this_user_may_speak(first) -> None:
    status = Path(first._address).stat()
    assert status.st_uid == os.getuid()
    assert stat.S_IMODE(status.st_mode) & 0o077 == 0


def test_a_second_one_does_not_listen(first, folder) -> None:
    second = OneWindow(folder)
    assert not second.listen()
    second.close()
    assert Path(first._address).exists()


def test_a_long_folder_has_its_socket_in_a_private_place(qtbot, tmp_path, monkeypatch) -> None:
    deep = tmp_path.joinpath(*["a folder with a long name"] * 5)
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")
    one = OneWindow(deep)
    assert one.listen()
    place = Path(one._address).parent
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    one.close()
    place.chmod(0o755)  # somebody else may write here now
    assert not OneWindow(deep).listen()
    place.chmod(0o700)
    place.rmdir()
