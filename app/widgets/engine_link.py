"""The window's end of the engine process: jobs out, signals in, a new process after a death.

Replies come on the process's reader thread and cross to this object's thread by one queued signal;
pieces of text are gathered for a moment, so that a fast model repaints the answer 30 times a second
and not a thousand times. Knows no widget and no conversation.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from app import inference
from app.inference import EngineProcess, EngineSpec, Reply
from app.records import TurnStatus
from engines.config import ClipOptions
from engines.live_clip import LiveClip
from engines.messages import Message
from engines.sampling import GenerateOptions

BATCH_MS = 30
# A job that has not heard `stop` after this long is in a call that nothing can end but the process.
STOP_GRACE_MS = 8_000
# After so many deaths in so many seconds the process is not started again by itself.
MAX_DEATHS, DEATH_WINDOW_S = 3, 60.0
CLOSE_S = 2.0


class EngineLink(QObject):
    """One engine process at a time, and every reply of it as a signal on this object's thread.

    Job numbers are this object's own: they stay unique when a process has died and another counts
    from the beginning. After `died` no signal comes for the jobs of that process.
    """

    loaded = Signal(object)  # dict: what inference.Loaded tells of the bundle
    loadFailed = Signal(str)
    progress = Signal(int, str, int, int)  # job (0: loading), stage, done, total
    opened = Signal(int, object)  # job, inference.Opened
    previewed = Signal(int, object)  # job, engines.preview.Preview
    piece = Signal(int, str)
    finished = Signal(int, object)  # job, dict as `vl2 ask --json` prints it
    looked = Signal(int, object)  # job, (T - 1,) changes; see inference.Looked
    failed = Signal(int, str)
    stopped = Signal(int)
    died = Signal(str, bool)  # sentence; whether another process is on its way
    restarted = Signal()

    _arrived = Signal(int, object)

    def __init__(
        self,
        parent: QObject | None = None,
        make: Callable[[Callable[[Reply], None]], EngineProcess] = EngineProcess,
    ) -> None:
        """Nothing is started before the first job.

        Args:
            parent: the owner.
            make: makes a process that is not started yet.
        """
        super().__init__(parent)
        self._make = make
        self._process: EngineProcess | None = None
        self._generation = 0
        self._spec: EngineSpec | None = None
        self._next_id = 1
        self._ids: dict[int, int] = {}  # number in the process → number here
        self._numbers: dict[int, int] = {}  # and back
        self._load_id: int | None = None
        self._pieces: dict[int, list[str]] = {}
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        self._closed = False
        self._flush = QTimer(self)
        self._flush.setSingleShot(True)
        self._flush.setInterval(BATCH_MS)
        self._flush.timeout.connect(self._send_pieces)
        self._arrived.connect(self._receive, Qt.ConnectionType.QueuedConnection)

    @property
    def pid(self) -> int | None:
        """The process's number, None when there is none."""
        return self._process.pid if self._process is not None else None

    @property
    def alive(self) -> bool:
        """Whether a process is there to take jobs."""
        return self._process is not None and self._process.alive

    @property
    def spec(self) -> EngineSpec | None:
        """What was last asked to be loaded."""
        return self._spec

    def busy(self, job: int | None) -> bool:
        """Whether a job has not answered its last."""
        return job in self._numbers

    def load(self, spec: EngineSpec) -> None:
        """Load a bundle, in the place of the one before; `loaded` or `loadFailed` follows."""
        self._spec = spec
        self._load_id = self._submit(inference.Load(spec))

    def open(self, clip: ClipOptions) -> int:
        """Encode and prefill a clip; `opened` or `failed` follows."""
        return self._submit(inference.Open(clip))

    def preview(self, clip: ClipOptions) -> int:
        """Make thumbnails and a waveform; `previewed` or `failed` follows."""
        return self._submit(inference.Preview(clip))

    def ask(
        self, messages: Sequence[Message], options: GenerateOptions, live: LiveClip | None = None
    ) -> int:
        """Answer the last question; `piece`s and `finished`, or `failed`, follow.

        `live` stands for the messages' clip, where that is a stretch of a recording.
        """
        return self._submit(inference.Ask(list(messages), options, live))

    def look(self, live: LiveClip) -> int:
        """Tell how much a recording changes from frame to frame; `looked` or `failed` follows."""
        return self._submit(inference.Look(live))

    def stop(self, job: int | None) -> None:
        """End a job, or take it from the queue; `stopped` follows unless it just finished."""
        if job is None or job not in self._numbers or self._process is None:
            return
        self._process.stop(self._numbers[job])
        QTimer.singleShot(STOP_GRACE_MS, self, partial(self._give_up, job))

    def restart(self) -> None:
        """Start a process again after it died too often, with the bundle that was loaded."""
        self._deaths.clear()
        self._revive()

    def close(self) -> None:
        """End the process and everything it does; nothing is signalled any more."""
        self._closed = True
        self._flush.stop()
        if self._process is not None:
            self._process.close(CLOSE_S)
            self._process = None
        self._ids.clear()
        self._numbers.clear()

    def _submit(self, job: Any) -> int:
        process = self._running()
        number = process.submit(job)
        own, self._next_id = self._next_id, self._next_id + 1
        self._ids[number], self._numbers[own] = own, number
        return own

    def _running(self) -> EngineProcess:
        if self._process is None:
            self._generation += 1
            self._process = self._make(partial(self._arrived.emit, self._generation))
            self._process.start()
        return self._process

    def _receive(self, generation: int, reply: Reply) -> None:
        if self._closed or generation != self._generation:
            return
        if isinstance(reply, inference.Died):
            self._bury(reply.sentence)
            return
        job = self._ids.get(reply.job)
        if job is None:
            return
        if isinstance(reply, inference.Piece):
            self._pieces.setdefault(job, []).append(reply.text)
            if not self._flush.isActive():
                self._flush.start()
        elif isinstance(reply, inference.Progress):
            shown = 0 if job == self._load_id else job
            self.progress.emit(shown, reply.stage, reply.done, reply.total)
        else:
            self._send_pieces()
            del self._ids[reply.job], self._numbers[job]
            self._end(job, reply)

    def _end(self, job: int, reply: Reply) -> None:
        match reply:
            case inference.Loaded(info=info):
                self.loaded.emit(info)
            case inference.Opened():
                self.opened.emit(job, reply)
            case inference.Previewed(preview=preview):
                self.previewed.emit(job, preview)
            case inference.Finished(result=result):
                self.finished.emit(job, result)
            case inference.Looked(changes=changes):
                self.looked.emit(job, changes)
            case inference.Stopped():
                self.stopped.emit(job)
            case inference.Failed(sentence=sentence):
                if job == self._load_id:
                    self.loadFailed.emit(sentence)
                else:
                    self.failed.emit(job, sentence)

    def _send_pieces(self) -> None:
        self._flush.stop()
        pieces, self._pieces = self._pieces, {}
        for job, texts in pieces.items():
            self.piece.emit(job, "".join(texts))

    def _give_up(self, job: int) -> None:
        if job in self._numbers:
            self._bury(self.tr("The engine did not stop when asked and was ended."))

    def _bury(self, sentence: str) -> None:
        self._send_pieces()
        self._ids.clear()
        self._numbers.clear()
        process, self._process = self._process, None
        if process is not None:
            process.close(0.0)
        now = time.monotonic()
        often = len(self._deaths) == MAX_DEATHS and now - self._deaths[0] < DEATH_WINDOW_S
        self._deaths.append(now)
        self.died.emit(sentence, not often)
        if not often:
            self._revive()

    def _revive(self) -> None:
        if self._closed or self._process is not None:
            return
        if self._spec is not None:
            self.load(self._spec)
        else:
            self._running()
        self.restarted.emit()


def when_answered(
    link: EngineLink,
    asked: Callable[[], int | None],
    end: Callable[[TurnStatus, dict[str, Any] | None], None],
) -> None:
    """Call `end` whenever the job that `asked` names at that moment has ended.

    Args:
        link: where jobs end.
        asked: the number of an `ask`, or None.
        end: gets "done" with the result, "stopped" with None or "failed" with {"error": sentence}.
    """

    def finished(job: int, result: dict[str, Any]) -> None:
        if job == asked():
            end("done", result)

    def stopped(job: int) -> None:
        if job == asked():
            end("stopped", None)

    def failed(job: int, sentence: str) -> None:
        if job == asked():
            end("failed", {"error": sentence})

    link.finished.connect(finished)
    link.stopped.connect(stopped)
    link.failed.connect(failed)
