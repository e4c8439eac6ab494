"""Files dropped or pasted onto any part of a window."""

from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QGuiApplication,
)
from PySide6.QtWidgets import QApplication, QMainWindow, QPlainTextEdit

from app.widgets import theme
from app.widgets.clip_drops import ClipDrops

pytestmark = pytest.mark.gui

BUTTON, KEYS = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
COPY, PLACE = Qt.DropAction.CopyAction, QPoint(5, 5)


@pytest.fixture
def window(qtbot, qapp):
    theme.apply(qapp, "light")
    window = QMainWindow()
    window.edit = QPlainTextEdit()
    window.setCentralWidget(window.edit)
    window.resize(400, 300)
    qtbot.addWidget(window)
    window.drops = ClipDrops(window)
    window.drops.watch([window.edit, window.edit.viewport()])
    window.found = []
    window.drops.dropped.connect(window.found.append)
    window.show()
    return window


def mime(*urls: str, text: str = "") -> QMimeData:
    data = QMimeData()
    if urls:
        data.setUrls([QUrl(url) for url in urls])
    if text:
        data.setText(text)
    return data


def send(widget, kind, data) -> bool:
    place = QPointF(PLACE) if kind is QDropEvent else PLACE
    event = kind(place, COPY, data, BUTTON, KEYS)
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def test_the_target_covers_the_window_while_a_file_is_over_it(window) -> None:
    overlay = window.drops._overlay
    data = mime("file:///films/a%20b.mp4")
    assert send(window.edit.viewport(), QDragEnterEvent, data)
    assert overlay.isVisible()
    assert overlay.geometry() == window.rect()
    assert send(window, QDragMoveEvent, data)
    QApplication.sendEvent(window, QDragLeaveEvent())
    assert not overlay.isVisible()
    assert window.found == []


def test_a_file_is_taken_wherever_it_falls(window) -> None:
    data = mime("file:///films/a%20b.mp4", "file:///films/c.mp4")
    for target in (window, window.edit, window.edit.viewport()):
        send(target, QDragEnterEvent, data)
        assert send(target, QDropEvent, data)
        assert not window.drops._overlay.isVisible()
    assert window.found == [[Path("/films/a b.mp4"), Path("/films/c.mp4")]] * 3
    assert window.edit.toPlainText() == ""


def test_text_and_other_computers_files_are_not_clips(window) -> None:
    assert not send(window, QDragEnterEvent, mime("https://example.org/a.mp4"))
    assert not send(window, QDragEnterEvent, mime(text="a question"))
    send(window.edit.viewport(), QDropEvent, mime(text="a question"))
    assert window.found == []
    assert not window.drops._overlay.isVisible()


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (mime("file:///films/a.mp4"), "/films/a.mp4"),
        (mime(text="/films/b.mp4"), "/films/b.mp4"),
        (mime(text="/films/folder"), "/films/folder"),
    ],
)
def test_paste(window, data, path: str) -> None:
    QGuiApplication.clipboard().setMimeData(data)
    assert window.drops.paste()
    assert window.found == [[Path(path)]]


def test_nothing_to_paste(window) -> None:
    QGuiApplication.clipboard().setText("What is it?")
    assert not window.drops.paste()
    QGuiApplication.clipboard().clear()
    assert not window.drops.paste()


def test_pasting_into_the_question_takes_clips_and_leaves_text(qtbot, window) -> None:
    paste = (Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    QGuiApplication.clipboard().setText("/films/b.mp4")
    qtbot.keyClick(window.edit, *paste)
    assert window.found == [[Path("/films/b.mp4")]]
    for text in ("What is it?", "/etc/hosts"):
        window.edit.clear()
        QGuiApplication.clipboard().setText(text)
        qtbot.keyClick(window.edit, *paste)
        assert window.edit.toPlainText() == text
    assert len(window.found) == 1


def test_the_target_grows_with_the_window(window) -> None:
    send(window, QDragEnterEvent, mime("file:///a.mp4"))
    window.resize(500, 350)
    QApplication.sendPostedEvents(window, QEvent.Type.LayoutRequest)
    assert window.drops._overlay.geometry() == window.rect()
