"""The engine process for callers that wait: a command asks, and iterates over the answer."""

from collections.abc import Generator
from contextlib import AbstractContextManager, closing
from queue import Empty, SimpleQueue
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from app.inference import (
    Ask,
    Died,
    EngineProcess,
    EngineSpec,
    Failed,
    Finished,
    Job,
    Load,
    Loaded,
    Look,
    Looked,
    Piece,
    Progress,
    Reply,
    Stopped,
)
from app.receipt import Question
from engines import events
from engines.config import from_json
from engines.errors import Cancelled, EngineError
from engines.events import Event, TextPiece
from engines.live_clip import LiveClip

# On Windows a wait without end does not hear Ctrl+C.
_POLL_S = 0.1


class EngineClient(AbstractContextManager["EngineClient"]):
    """An engine process with a bundle loaded, as a context; it ends with the context.

    Attributes:
        info: what the process tells of the bundle (see `inference.Loaded`).
        receipt: of the answer before, as JSON.
    """

    def __init__(self, spec: EngineSpec) -> None:
        """Says which bundle; nothing starts before the context does."""
        self._spec = spec
        self._replies: SimpleQueue[Reply] = SimpleQueue()
        self._process = EngineProcess(self._replies.put)
        self.info: dict[str, Any] = {}
        self.receipt: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Start the process and load the bundle; EngineError with its sentence when it fails."""
        self._process.start()
        try:
            self.load()
        except BaseException:
            self._process.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._process.close()

    def load(self) -> None:
        """Load the bundle, anew if it is; EngineError when that fails."""
        for reply in self.run(Load(self._spec)):
            if isinstance(reply, Loaded):
                self.info = reply.info

    def run(self, job: Job) -> Generator[Reply, None, None]:
        """The replies to a job, up to its last one. Ceasing to iterate stops the job.

        Raises:
            EngineError: the job failed or the process died; the message is its sentence.
        """
        number = self._process.submit(job)
        ended = False
        try:
            while not ended:
                reply = self._next()
                if isinstance(reply, Died):
                    ended = True
                    raise EngineError(reply.sentence)
                if reply.job != number:
                    continue  # of a job before that was given up
                ended = not isinstance(reply, Progress | Piece)
                if isinstance(reply, Failed):
                    raise EngineError(reply.sentence)
                if isinstance(reply, Stopped):
                    raise Cancelled("The work was stopped.")
                yield reply
        finally:
            if not ended:
                self._process.stop(number)

    def generate(
        self, question: Question, live: LiveClip | None = None
    ) -> Generator[Event, None, None]:
        """What `VideoLlama2.generate` yields; afterwards `receipt` is the answer's."""
        with closing(self.run(Ask(question.messages, question.options, live))) as replies:
            for reply in replies:
                match reply:
                    case Progress(stage=stage, done=done, total=total):
                        yield events.Progress(stage, done, total)
                    case Piece(text=text, token_id=token_id):
                        yield TextPiece(text, token_id)
                    case Finished(result={"receipt": receipt, **result}):
                        self.receipt = receipt
                        yield from_json(events.Result, result, "answer")

    def look(self, live: LiveClip, pad: bool = False) -> NDArray[np.float64]:
        """What `VideoLlama2.look` returns."""
        with closing(self.run(Look(live, pad))) as replies:
            for reply in replies:
                if isinstance(reply, Looked):
                    return np.array(reply.changes)
        raise EngineError("The model's process said nothing of the pictures; ask again.")

    def _next(self) -> Reply:
        while True:
            try:
                return self._replies.get(timeout=_POLL_S)
            except Empty:
                continue
