"""A real engine process for tests: jobs in, replies out, in order."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from app.inference import Died, EngineProcess, Job, Piece, Progress, Reply
from assets import demo_clips

CLIP = demo_clips() / "bounce.mp4"
# Far more than any step takes: it only ends a test that hangs.
PATIENCE_S = 120.0


class Engine:
    """An engine process as a context; every reply that came is in `seen`."""

    def __init__(self, make: Callable[..., EngineProcess] = EngineProcess) -> None:
        self._replies: SimpleQueue[Reply] = SimpleQueue()
        self.process = make(self._replies.put)
        self.seen: list[Reply] = []

    def __enter__(self) -> "Engine":
        self.process.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.close()

    def next(self) -> Reply:
        reply = self._replies.get(timeout=PATIENCE_S)
        self.seen.append(reply)
        return reply

    def wait(self, number: int) -> Reply:
        """The reply that ends a job, or Died."""
        while True:
            reply = self.next()
            if isinstance(reply, Died):
                return reply
            if reply.job == number and not isinstance(reply, Progress | Piece):
                return reply

    def run(self, job: Job) -> Reply:
        return self.wait(self.process.submit(job))

    def until(self, kind: type[Reply], count: int = 1) -> None:
        """Waits until so many replies of a kind have come."""
        while sum(isinstance(reply, kind) for reply in self.seen) < count:
            self.next()

    def nothing_more(self) -> bool:
        return self._replies.empty()


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def ends(pid: int) -> bool:
    """Waits for the end of a process that need not be our child."""
    deadline = time.monotonic() + PATIENCE_S
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (names are numbers, some are gone)
