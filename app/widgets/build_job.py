"""Building a bundle: `vl2-export` as a process of its own, its log, how far it is, stop, go on."""

import codecs
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Literal

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

from app import bundles
from app.bundles import ExportChoices

State = Literal["running", "stopping", "stopped", "failed", "done"]

KEPT_LINES = 5_000
# What is finished is noted on the way out, which takes a while on a slow disk.
STOP_MS = 10_000
CLOSE_MS = 3_000
# Below this share of the work a guess of the time left is worth nothing.
GUESS_FROM = 0.02


class BuildJob(QObject):
    """One build; it can be stopped, and run again with `resume`."""

    line = Signal(str)
    changed = Signal()  # state, fraction

    def __init__(
        self,
        checkpoint: Path,
        out: Path,
        choices: ExportChoices,
        parent: QObject | None = None,
        command: Callable[[Path, Path, ExportChoices], list[str]] = bundles.export_command,
    ) -> None:
        """Keep what is to be built; nothing runs yet.

        Args:
            checkpoint: Folder of the checkpoint.
            out: The bundle to be made.
            choices: How weights are stored.
            parent: Who owns the job.
            command: Gives program and arguments.
        """
        super().__init__(parent)
        self.checkpoint, self.out, self.choices = checkpoint, out, choices
        self.state: State = "stopped"
        self.fraction = 0.0
        self.log: deque[str] = deque(maxlen=KEPT_LINES)
        self._command = command
        self._began = self._began_at = 0.0
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._process = QProcess(self)
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUNBUFFERED", "1")
        environment.insert("PYTHONUTF8", "1")
        self._process.setProcessEnvironment(environment)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(self._error)
        self._kill = QTimer(self, singleShot=True, interval=STOP_MS)
        self._kill.timeout.connect(self._process.kill)

    @property
    def active(self) -> bool:
        """Whether the process runs."""
        return self.state in ("running", "stopping")

    def resume(self) -> None:
        """Start it, or start it again with the same command; what is finished is not done again."""
        if self.active:
            return
        self.fraction = self._began_at = 0.0
        self._began = monotonic()
        self.state = "running"
        with suppress(OSError):  # What is wrong with the folder, the exporter says better.
            self.out.parent.mkdir(parents=True, exist_ok=True)
        program, *arguments = self._command(self.checkpoint, self.out, self.choices)
        self._process.start(program, arguments)
        self.changed.emit()

    def stop(self) -> None:
        """Ask the process to end, as Ctrl+C would; it is killed if it does not."""
        if self.state != "running":
            return
        self.state = "stopping"
        # SIGTERM is to vl2-export what Ctrl+C is, also where SIGINT is ignored ("vl2 &" in a
        # shell). A Windows console program hears nothing of it and is killed by the timer.
        self._process.terminate()
        self._kill.start()
        self.changed.emit()

    def close(self) -> None:
        """End it before the program does; waits for it."""
        if not self.active:
            return
        self.stop()
        if not self._process.waitForFinished(CLOSE_MS):
            self._process.kill()
            self._process.waitForFinished(CLOSE_MS)

    def seconds_left(self) -> float | None:
        """Return how long it will still take, as far as that can be guessed."""
        done = self.fraction - self._began_at
        if self.state != "running" or done < GUESS_FROM:
            return None
        return (monotonic() - self._began) * (1 - self.fraction) / done

    def last_words(self) -> str:
        """Return the last line of the log: where it failed, the reason."""
        last = next((line for line in reversed(self.log) if line.strip()), "")
        return last.removeprefix("vl2-export: ")

    def process_id(self) -> int:
        """Return the number of the running process, 0 if there is none."""
        return int(self._process.processId())

    def _read(self) -> None:
        text = self._decoder.decode(self._process.readAllStandardOutput().data())
        *lines, self._rest = (self._rest + text.replace("\r", "\n")).split("\n")
        for line in filter(None, lines):
            self._take(line)

    def _take(self, line: str) -> None:
        self.log.append(line)
        self.line.emit(line)
        fraction = bundles.export_progress(line)
        if fraction is None:
            return
        if not self.fraction:
            # Work kept from an earlier run counts as done, not as done quickly.
            self._began_at, self._began = fraction, monotonic()
        self.fraction = max(self.fraction, fraction)
        self.changed.emit()

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._kill.stop()
        self._read()
        if self._rest:
            self._take(self._rest)
            self._rest = ""
        well = code == 0 and status == QProcess.ExitStatus.NormalExit
        if well:
            self.fraction = 1.0
        self.state = "done" if well else "stopped" if self.state == "stopping" else "failed"
        self.changed.emit()

    def _error(self, error: QProcess.ProcessError) -> None:
        # A crash comes through `finished` as well; a program that cannot be started does not.
        if error == QProcess.ProcessError.FailedToStart:
            self._take(self._process.errorString())
            self.state = "failed"
            self.changed.emit()
