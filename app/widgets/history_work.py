"""The list of conversations: searched, renamed, deleted, exported, off the window's thread."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.history import ConversationRow, History
from app.widgets.background_tasks import BackgroundTasks
from engines.bundle import write_whole

# Several changes at once, such as the end of an answer, make one new list.
SETTLE_MS = 60


class HistoryWork(QObject):
    """Does to the history what the panel asks for, and keeps its list up to date."""

    rows = Signal(object)  # list[ConversationRow]
    exported = Signal(object)  # Path
    failed = Signal(str)

    def __init__(self, history: History, tasks: BackgroundTasks, parent: QObject) -> None:
        """Nothing is listed yet.

        Args:
            history: the conversations.
            tasks: where the work is done.
            parent: the owner.
        """
        super().__init__(parent)
        self._history, self._tasks = history, tasks
        self._query = ""
        self._number = 0  # An older search that ends late is not shown.
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._list)

    def refresh(self) -> None:
        """List again, soon."""
        self._settle.start()

    def search(self, query: str) -> None:
        """List what holds these words; nothing given: all."""
        self._query = query
        self._list()

    def rename(self, number: int, title: str) -> None:
        """Give a conversation another title."""
        self._change(partial(self._history.rename, number, title))

    def delete(self, number: int) -> None:
        """Take a conversation from the list; `undelete` brings it back while the program runs."""
        self._change(partial(self._history.delete, number))

    def undelete(self, number: int) -> None:
        """Bring a conversation back."""
        self._change(partial(self._history.undelete, number))

    def export(self, number: int, form: str, path: Path) -> None:
        """Write a conversation to a file.

        Args:
            number: the conversation.
            form: "markdown" or "json".
            path: the file; it is written whole or not at all.
        """

        def write() -> Path:
            make = self._history.export_json if form == "json" else self._history.export_markdown
            write_whole(path, make(number).encode(), durable=True)
            return path

        self._tasks.run(write, self.exported.emit, self.failed.emit)

    def _change(self, act: Callable[[], None]) -> None:
        self._tasks.run(act, lambda _: self.refresh(), self.failed.emit)

    def _list(self) -> None:
        self._settle.stop()
        self._number += 1
        number = self._number

        def show(rows: list[ConversationRow]) -> None:
            if number == self._number:
                self.rows.emit(rows)

        query = self._query
        self._tasks.run(lambda: self._history.conversations(query), show, self.failed.emit)
