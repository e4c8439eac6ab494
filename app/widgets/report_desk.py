"""A file for a report of an error, from the Help menu: where it goes, and what is in it."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QUrl
from PySide6.QtGui import QDesktopServices

from app.report_file import report_by_command
from app.widgets import file_dialogs
from app.widgets.background_tasks import BackgroundTasks
from app.widgets.window_actions import WindowActions
from app.widgets.window_layout import WindowLayout


class ReportDesk(QObject):
    """One file at a time."""

    def __init__(
        self, tasks: BackgroundTasks, views: WindowLayout, commands: WindowActions
    ) -> None:
        """Connect the command.

        Args:
            tasks: where it is waited for; also the owner of this object.
            views: where it is told.
            commands: the window's.
        """
        super().__init__(tasks)
        self._tasks, self._views, self._command = tasks, views, commands.report
        self._command.triggered.connect(self._choose)

    def _choose(self) -> None:
        path = file_dialogs.choose_report(self._views.pages)
        if path is not None:
            self._command.setEnabled(False)
            write = partial(report_by_command, path, self._tasks.closing.is_set)
            self._tasks.run(write, self._written, self._failed)

    def _written(self, path: Path) -> None:
        self._command.setEnabled(True)
        words = self.tr(
            "The report is in {path}. No question, no answer and no name of a file is in it; read"
            " it before you send it."
        )
        read = self.tr("Read it"), partial(self._open, path)
        self._views.notices.say(words.format(path=path), "info", read)

    def _failed(self, sentence: str) -> None:
        self._command.setEnabled(True)
        self._views.notices.say(sentence, "error")

    def _open(self, path: Path) -> None:
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))):
            words = self.tr("Nothing on this computer opens {path} by itself.")
            self._views.notices.say(words.format(path=path), "warning")
