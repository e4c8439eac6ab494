"""The bundles on this computer: surveyed, imported and removed, off the window's thread."""

import threading
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app import bundles
from app.settings import Settings
from app.widgets.background_tasks import BackgroundTasks
from app.widgets.model_facts import survey


class BundleWork(QObject):
    """Does for the models page what takes time."""

    surveyed = Signal(object)  # model_facts.Survey
    importing = Signal(str, object, object)  # name, bytes done, bytes in all
    imported = Signal(object)  # sentence why not, or None
    failed = Signal(str)

    def __init__(self, tasks: BackgroundTasks, settings: Settings, parent: QObject) -> None:
        """Nothing is looked at yet.

        Args:
            tasks: where the work is done.
            settings: further folders with bundles, the device.
            parent: the owner.
        """
        super().__init__(parent)
        self._tasks = tasks
        self.settings = settings
        self._cancelled = threading.Event()

    def refresh(self) -> None:
        """Look at every bundle; `surveyed` follows."""
        folders = [Path(folder) for folder in self.settings.bundle_folders]
        device, exact = self.settings.device, self.settings.exact
        self._tasks.run(
            lambda: survey(folders, device, exact), self.surveyed.emit, self.failed.emit
        )

    def add(self, path: Path) -> None:
        """Copy a bundle into the program's own folder and check it."""
        self._cancelled.clear()
        cancelled, closing = self._cancelled, self._tasks.closing
        self.importing.emit(path.name, 0, 0)

        def tell(done: int, total: int) -> None:
            self._tasks.tell(lambda value: self.importing.emit(path.name, *value), (done, total))

        self._tasks.run(
            lambda: bundles.import_bundle(
                path, tell, lambda: cancelled.is_set() or closing.is_set()
            ),
            lambda _: self._end(None),
            self._end,
            lambda: self._end(None),
        )

    def cancel(self) -> None:
        """Stop the import; nothing of it stays."""
        self._cancelled.set()

    def remove(self, path: Path) -> None:
        """Delete an imported bundle."""
        self._tasks.run(lambda: bundles.remove(path), lambda _: self.refresh(), self.failed.emit)

    def _end(self, problem: str | None) -> None:
        self.imported.emit(problem)
        self.refresh()
