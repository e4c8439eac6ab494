"""The settings in use: changed here, told to who depends on them, saved soon."""

from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app import settings as settings_file
from app.settings import Settings
from app.widgets.background_tasks import BackgroundTasks
from engines.errors import StoreError

SAVE_AFTER_MS = 400


class SettingsStore(QObject):
    """One frozen `Settings` at a time."""

    changed = Signal(object, object)  # Settings before, Settings now
    failed = Signal(str)

    def __init__(
        self, settings: Settings, path: Path | None, tasks: BackgroundTasks, parent: QObject
    ) -> None:
        """Begin with settings that were read.

        Args:
            settings: what is in use.
            path: where they are saved; None keeps them only while the program runs.
            tasks: where the saving is done.
            parent: the owner.
        """
        super().__init__(parent)
        self.now = settings
        self._path, self._tasks = path, tasks
        self._saved = settings
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(SAVE_AFTER_MS)
        self._soon.timeout.connect(self._save)

    def change(self, settings: Settings) -> None:
        """Use these from now on, and save them soon."""
        before, self.now = self.now, settings
        if before != settings:
            self._soon.start()
            self.changed.emit(before, settings)

    def close(self) -> None:
        """Save at once what was not saved yet; what cannot be is lost with the window."""
        self._soon.stop()
        if self._path is not None and self.now != self._saved:
            try:
                settings_file.save(self.now, self._path)
            except StoreError as error:
                self.failed.emit(str(error))

    def _save(self) -> None:
        path, settings = self._path, self.now
        if path is not None and settings != self._saved:
            self._saved = settings
            self._tasks.run(
                lambda: settings_file.save(settings, path), lambda _: None, self.failed.emit
            )
