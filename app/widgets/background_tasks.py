"""Short work off the window's thread: hashing a file, looking for a moved clip, copying a bundle.

The model's work is not done here but in the engine process (`engine_link`).
"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal

from engines.errors import Cancelled, Vl2Error

Value = TypeVar("Value")
CLOSE_MS = 3_000


class BackgroundTasks(QObject):
    """Runs functions in threads of its own and answers on this object's thread."""

    _ended = Signal(object, object)  # what to call, with which value

    def __init__(self, parent: QObject | None = None) -> None:
        """No thread is started before the first task."""
        super().__init__(parent)
        self._pool = QThreadPool()
        self._pool.setMaxThreadCount(2)
        self._pool.setExpiryTimeout(1_000)
        self._closing = threading.Event()
        self._ended.connect(self._answer, Qt.ConnectionType.QueuedConnection)

    @property
    def closing(self) -> threading.Event:
        """Set when the window closes: long work looks at it and ends."""
        return self._closing

    def run(
        self,
        work: Callable[[], Value],
        done: Callable[[Value], None],
        failed: Callable[[str], None] | None = None,
        cancelled: Callable[[], None] | None = None,
    ) -> None:
        """Do `work` in another thread, then call `done` with its value on this one.

        Args:
            work: must touch nothing that belongs to the window's thread.
            done: gets what `work` returned.
            failed: gets the sentence when it raised a Vl2Error or an OSError.
            cancelled: called when it raised Cancelled.
        """
        self._pool.start(_Task(self, work, (done, failed, cancelled)))

    def tell(self, callback: Callable[[Any], None], value: Any) -> None:
        """From a task: call a function on this object's thread."""
        if not self._closing.is_set():
            self._ended.emit(callback, value)

    def close(self) -> None:
        """Forget what was not begun and wait for what was."""
        self._closing.set()
        self._pool.clear()
        self._pool.waitForDone(CLOSE_MS)

    def _answer(self, callback: Callable[[Any], None], value: Any) -> None:
        if not self._closing.is_set():
            callback(value)


class _Task(QRunnable):
    def __init__(
        self,
        owner: BackgroundTasks,
        work: Callable[[], Any],
        ends: tuple[Callable[[Any], None], Callable[[str], None] | None, Callable[[], None] | None],
    ) -> None:
        super().__init__()
        self._owner, self._work = owner, work
        self._done, self._failed, self._cancelled = ends

    def run(self) -> None:
        try:
            value = self._work()
        except Cancelled:
            if self._cancelled is not None:
                cancelled = self._cancelled
                self._owner.tell(lambda _: cancelled(), None)
        except Vl2Error as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(f"{error.filename or 'A file'} cannot be used ({error.strerror}).")
        else:
            self._owner.tell(self._done, value)

    def _fail(self, sentence: str) -> None:
        if self._failed is not None:
            self._owner.tell(self._failed, sentence)
