"""Exceptions that nobody caught: into the log with where they were raised, a sentence on screen."""

import os
import threading
import traceback
from collections.abc import Callable
from types import TracebackType

from PySide6.QtCore import QObject, Qt, Signal

from engines import log

Say = Callable[[str, str], None]


class StrayErrors(QObject):
    """The hooks for them; the window goes on."""

    _happened = Signal(str)  # from any thread

    def __init__(self, say: Say, parent: QObject) -> None:
        """Set no hook yet.

        Args:
            say: shows a sentence of a kind in the window.
            parent: the owner.
        """
        super().__init__(parent)
        self._say = say
        self._happened.connect(self._tell, Qt.ConnectionType.QueuedConnection)

    def caught(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """For `sys.excepthook`."""
        if os.environ.get("VL2_TRACEBACK"):
            traceback.print_exception(kind, error, trace)
        log.failure("unforeseen", error.with_traceback(trace))
        self._happened.emit(kind.__name__)

    def caught_in_thread(self, what: threading.ExceptHookArgs) -> None:
        """For `threading.excepthook`."""
        if what.exc_value is not None and what.exc_type is not SystemExit:
            self.caught(what.exc_type, what.exc_value, what.exc_traceback)

    def _tell(self, kind: str) -> None:
        words = self.tr(
            "Something unforeseen happened ({kind}); if it happens again, save a report from the"
            " Help menu and send it to the maintainers."
        )
        self._say(words.format(kind=kind), "error")
