"""Work in a thread of its own where only the newest of it counts, as with pictures to be shown."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal


class LatestTask(QObject):
    """Does one piece of work at a time; what was asked for meanwhile replaces what was waiting.

    The thread is started by the first `ask` and ends with `close`, or with this object.
    """

    done = Signal(object)  # what the work returned, on this object's thread

    _ended = Signal(int, object)

    def __init__(self, parent: QObject | None = None) -> None:
        """No thread is started yet."""
        super().__init__(parent)
        self._threads: list[ThreadPoolExecutor] = []
        self._waiting: Callable[[], Any] | None = None
        self._running = False
        self._round = 0
        self._closed = False
        self._ended.connect(self._next, Qt.ConnectionType.QueuedConnection)
        # The list outlives this object: it is asked when the object is already gone.
        threads = self._threads
        self.destroyed.connect(lambda: _end(threads))

    def ask(self, work: Callable[[], Any]) -> None:
        """Do this next, in the place of anything that was not begun.

        Args:
            work: Touches nothing of the window's. What it raises is raised on this object's thread.
        """
        if self._closed:
            return
        self._waiting = work
        if not self._running:
            self._begin()

    def forget(self) -> None:
        """Drop what waits and the answer of what runs; what is asked from now on counts."""
        self._round += 1
        self._waiting, self._running = None, False

    def close(self) -> None:
        """For good: nothing more is begun or answered, and the thread ends."""
        self.forget()
        self._closed = True
        _end(self._threads)

    def _begin(self) -> None:
        work, self._waiting = self._waiting, None
        if work is None:
            return
        if not self._threads:
            self._threads.append(ThreadPoolExecutor(1, "pictures"))
        self._running = True
        future = self._threads[0].submit(work)
        future.add_done_callback(partial(self._tell, self._round))

    def _tell(self, number: int, future: "Future[Any]") -> None:
        if self._threads:
            self._ended.emit(number, future)

    def _next(self, number: int, future: "Future[Any]") -> None:
        if number != self._round:
            return
        self._running = False
        self._begin()
        self.done.emit(future.result())


def _end(threads: list[ThreadPoolExecutor]) -> None:
    while threads:
        threads.pop().shutdown(wait=False, cancel_futures=True)
