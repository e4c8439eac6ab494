"""The real window for tests: real demo bundle, real engine process, the user's hands on it."""

import json
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.widgets.window import MainWindow
from app.window_main import make_window
from assets import demo_clips

CLIP = demo_clips() / "bounce.mp4"
# Far more than any step takes: it only ends a test that hangs.
PATIENCE_MS = 120_000


def asked_of(clip: str, history: bool = False) -> list[dict]:
    """The questions about a demo clip that its makers know the model to answer right."""
    lines = (demo_clips() / "questions.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [one for one in found if one["clip"] == clip and ("history" in one) == history]


class Desktop:
    """One window, and what a person does with it."""

    def __init__(self, qtbot: QtBot, app: QApplication, clip: Path | None = None) -> None:
        self.bot = qtbot
        self._closed = False
        self.window: MainWindow = make_window(app)
        self.window.show()
        self.window.start(clip)

    @property
    def views(self):
        return self.window.views

    @property
    def chat(self):
        return self.window.views.chat

    def until(self, condition: Callable[[], object]) -> None:
        self.bot.waitUntil(lambda: bool(condition()), timeout=PATIENCE_MS)

    def drop(self, *paths: Path, on: QWidget | None = None) -> None:
        """Drag files over a widget and let them go."""
        target = on or self.window
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        place, copy = QPoint(20, 20), Qt.DropAction.CopyAction
        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        enter = QDragEnterEvent(place, copy, mime, left, none)
        QApplication.sendEvent(target, enter)
        assert enter.isAccepted()
        drop = QDropEvent(QPointF(place), copy, mime, left, none)
        QApplication.sendEvent(target, drop)
        assert drop.isAccepted()

    def open(self, path: Path) -> None:
        """Drop a clip and wait until it is encoded."""
        self.drop(path)
        self.until(lambda: self.clip() == path.resolve())
        self.until(lambda: not self.window.clip_work.encoding_now)

    def clip(self) -> Path | None:
        """The clip that is open."""
        clip = self.window.clip_work.clip
        return None if clip is None else clip.path

    def type(self, question: str) -> None:
        """Write a question and press Enter."""
        edit = self.chat.composer.edit
        edit.setFocus()
        self.bot.keyClicks(edit, question)
        self.bot.keyClick(edit, Qt.Key.Key_Return)

    def settled(self) -> None:
        """Wait for the end of the answer."""
        self.until(lambda: self.turns and self.window.talk.writing is None)

    def ask(self, question: str) -> str:
        """Ask and wait for the answer."""
        self.type(question)
        self.until(lambda: self.turns and self.turns[-1].question == question)
        self.settled()
        return self.turns[-1].answer

    @property
    def turns(self):
        conversation = self.window.talk.conversation
        return conversation.turns if conversation is not None else []

    def shown(self, place: int = -1) -> str:
        """The text of an answer as it stands in the window."""
        return self.chat.transcript.view(self.turns[place].id).answer.toPlainText()

    def error(self) -> str:
        """The line above the composer."""
        line = self.chat._error
        return line.accessibleName() if line.isVisible() else ""

    def rows(self):
        panel = self.views.history
        model = panel.list.model()
        found = [model.row(model.index(place, 0)) for place in range(model.rowCount())]
        return [row for row in found if row is not None]  # the others are headings

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.window.close()
        self.window.deleteLater()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
