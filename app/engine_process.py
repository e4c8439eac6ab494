"""The engine process: reads jobs from stdin, runs them on the model, writes replies to stdout.

The main thread runs the jobs, one after another; a second thread makes previews beside them; a
third reads the pipe, so that `stop` is heard during work and the process ends at once when its
parent does. Nothing but packets gets into the pipe: what libraries print goes to stderr.
"""

import gc
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeVar

from app.inference import (
    Ask,
    Counted,
    EngineSpec,
    Failed,
    Finished,
    Job,
    Load,
    Loaded,
    Look,
    Looked,
    Open,
    Opened,
    Piece,
    Preview,
    Previewed,
    Progress,
    Reply,
    Stopped,
    pack_reply,
    unpack_job,
)
from app.termination import end_now, hear_termination
from engines import log, media_process, offline, wire
from engines.child_process import take_pipes
from engines.command import is_unforeseen, sentence_of
from engines.config import Mismatch, to_json
from engines.errors import BundleError, Cancelled, Vl2Error

if TYPE_CHECKING:
    from engines import events
    from engines.model import VideoLlama2

GARBAGE = 3
# A job as it runs: replies, or None between steps that say nothing; the last one is returned.
T = TypeVar("T")
Part = Generator[Reply | None, None, T]
Steps = Part[Reply]
_WAIT_S = 0.02


class Outbox:
    """The pipe to the parent, for several threads."""

    def __init__(self, stream: BinaryIO) -> None:
        """Greets the parent."""
        self._stream = stream
        self._lock = threading.Lock()
        self._write(wire.GREETING)

    def send(self, reply: Reply) -> None:
        """Write a reply, and before it what was counted meanwhile."""
        head, arrays = pack_reply(reply)
        packet = wire.to_bytes(head, arrays)
        if (told := offline.connections_to_tell()) != offline.Connections():
            self._write(wire.to_bytes(pack_reply(Counted(**vars(told)))[0]))
        self._write(packet)

    def _write(self, content: bytes) -> None:
        with self._lock:
            try:
                self._stream.write(content)
                self._stream.flush()
            except OSError:
                end_now(0)  # The parent is gone, and nobody waits for anything.


class Lane:
    """Jobs that run one after another on one thread; any other may add, stop and take back."""

    def __init__(self, outbox: Outbox, run: Callable[[int, Job], Steps]) -> None:
        """Args: where replies go, and what runs a job."""
        self._outbox = outbox
        self._run = run
        self._changed = threading.Condition()
        self._waiting: dict[int, Job] = {}
        self._current: tuple[int, Job] | None = None
        self._stopping = False
        self.interrupt: Callable[[], None] = lambda: None  # ends the native call of the job
        self.spare: Iterator[object] = iter(())  # work for when no job waits, in small steps

    def add(self, number: int, job: Job) -> None:
        """Put a job behind the others."""
        with self._changed:
            self._waiting[number] = job
            self._changed.notify()

    def stop(self, number: int) -> None:
        """Stop a job that runs, or take back one that waits."""
        with self._changed:
            taken_back = self._waiting.pop(number, None) is not None
            if self._current is not None and self._current[0] == number:
                self._stopping = True
                self.interrupt()
        if taken_back:
            self._outbox.send(Stopped(number))

    def will_load(self, before: int) -> bool:
        """Whether a Load with a smaller number than `before` has not ended."""
        with self._changed:
            jobs = [*self._waiting.items(), *([self._current] if self._current else [])]
        return any(isinstance(job, Load) and number < before for number, job in jobs)

    def work(self) -> NoReturn:
        """Run jobs for ever."""
        while True:
            number, job = self._take()
            reply = self._finish(number, job)
            with self._changed:
                self._current = None
            try:
                self._outbox.send(reply)
            except wire.WireError as error:
                sentence = f"The reply cannot be sent ({error}); ask for less at once."
                self._outbox.send(Failed(number, sentence))

    def check(self) -> None:
        """Cancelled when the running job was stopped."""
        if self._stopping:
            raise Cancelled("The work was stopped.")

    def _take(self) -> tuple[int, Job]:
        resting = False
        while True:
            with self._changed:
                if resting and not self._waiting:
                    self._changed.wait()
                if self._waiting:
                    number = next(iter(self._waiting))
                    self._current, self._stopping = (number, self._waiting.pop(number)), False
                    return self._current
            resting = next(self.spare, None) is None

    def _finish(self, number: int, job: Job) -> Reply:
        started = time.monotonic()
        last = self._end_of(number, job)
        seconds = time.monotonic() - started
        if not isinstance(last, Looked):  # Several a second, for as long as a recording lasts.
            log.note("job", kind=type(job).__name__, end=type(last).__name__, s=seconds)
        return last

    def _end_of(self, number: int, job: Job) -> Reply:
        try:
            with closing(self._run(number, job)) as steps:
                while True:
                    self.check()
                    try:
                        reply = next(steps)
                    except StopIteration as end:
                        last: Reply = end.value
                        return last
                    if reply is not None:
                        self._outbox.send(reply)
        except Cancelled:
            return Stopped(number)
        except Exception as error:  # noqa: BLE001 (the edge of the process: a sentence, and it goes on)
            if os.environ.get("VL2_TRACEBACK") and is_unforeseen(error):
                traceback.print_exc()
            log.failure("job_failed", error, kind=type(job).__name__)
            return Failed(number, sentence_of(error))


class Engine:
    """The model and what is done with it. Libraries are loaded with the first bundle."""

    def __init__(self, outbox: Outbox) -> None:
        """Opens nothing yet."""
        self._outbox = outbox
        self._spec = EngineSpec()
        self._model: VideoLlama2 | None = None
        self.jobs = Lane(outbox, self._steps)
        self.previews = Lane(outbox, self._preview_steps)

    def hear(self, source: BinaryIO) -> NoReturn:
        """Take orders until there are no more; then the process ends, whatever it does."""
        try:
            while (packet := wire.read(source)) is not None:
                self._order(packet)
        except wire.WireError as error:
            print(f"vl2: The engine process was sent what is no job ({error}).", file=sys.stderr)
            sys.stderr.flush()
            end_now(GARBAGE)
        end_now(0)

    def _order(self, packet: wire.Packet) -> None:
        head = packet.head
        number = head.get("stop", head.get("job"))
        if type(number) is not int:
            raise wire.WireError("a packet names no job")
        if "stop" in head:
            self.jobs.stop(number)
            self.previews.stop(number)
            return
        try:
            _, job = unpack_job(head, packet.arrays)
        except Mismatch as error:
            self._outbox.send(Failed(number, f"This cannot be asked of the model: {error}."))
            return
        (self.previews if isinstance(job, Preview) else self.jobs).add(number, job)

    def _steps(self, number: int, job: Job) -> Steps:
        match job:
            case Load(spec=spec):
                return self._load(number, spec)
            case Open():
                return self._open(number, job)
            case Look():
                return self._look(number, job)
            case Ask():
                return self._ask(number, job)
        raise TypeError(f"no such job: {job!r}")

    def _load(self, number: int, spec: EngineSpec) -> Steps:
        import engines
        from assets import demo_bundle

        def tell(done: int, total: int) -> None:
            self._outbox.send(Progress(number, "load", done, total))
            self.jobs.check()

        yield Progress(number, "load", 0, 1)
        media_process.warm()  # The first clip need not wait for its reader, either.
        bundle = (spec.bundle or demo_bundle()).absolute()
        model = engines.load(
            bundle,
            spec.device,
            spec.exact,
            spec.threads,
            keep_encodings=spec.keep_encodings,
            prepacked_gb=spec.prepacked_gb,
            tell=tell,
        )
        if self._model is not None:
            self._model.close()
        self._model, self._spec = model, spec
        self.jobs.interrupt = model.stop
        # The model before is let go at once, and this one's graphs are opened while nothing is
        # asked: the first clip need not wait for them.
        self.jobs.spare = _warm_up(model)
        gc.collect()
        log.note("loaded", **_log_facts(model, spec))
        return Loaded(number, _describe(model, spec))

    def _open(self, number: int, job: Open) -> Steps:
        from engines import media

        model = self._loaded()
        clip, live = job.clip, job.live
        log.note("clip", live=live is not None, **log.clip_facts(clip.path))
        encoding = yield from _progress(number, model.begin(clip, live))
        visual, audio = encoding.visual_tokens, encoding.audio_tokens
        return Opened(
            number,
            encoding.modal,
            encoding.coverage,
            0 if visual is None else len(visual),
            0 if audio is None else len(audio),
            media.probe(clip.path).duration_s if live is None else live.duration_s,
            media.clip_hash(clip.path) if live is None else live.digest,
        )

    def _look(self, number: int, job: Look) -> Steps:
        changes = yield from _progress(number, self._loaded().look(job.live, job.pad))
        return Looked(number, tuple(float(change) for change in changes))

    def _ask(self, number: int, job: Ask) -> Steps:
        from app.receipt import Question, answer_json, conversation_clip, make_receipt
        from engines.media import clip_hash

        model = self._loaded()
        question = Question(self._spec, list(job.messages), job.options)
        clip = conversation_clip(question.messages)
        sha256 = None
        if clip is not None:
            sha256 = clip_hash(clip.path) if job.live is None else job.live.digest
        answering = model.generate(question.messages, question.options, job.live)
        result = yield from _pieces(number, answering)
        log.note("answered", **_answer_facts(result))
        receipt = make_receipt(model.bundle, question, sha256, result)
        return Finished(number, {**answer_json(result), "receipt": answer_json(receipt)})

    def _preview_steps(self, number: int, job: Job) -> Steps:
        from engines.preview import preview_steps

        if not isinstance(job, Preview):
            raise TypeError(f"no preview: {job!r}")
        while self.jobs.will_load(before=number):
            yield None
            time.sleep(_WAIT_S)
        vision = self._loaded().config.vision
        looking = preview_steps(job.clip, vision, job.thumbnail_px, job.bins)
        while True:
            try:
                yield next(looking)
            except StopIteration as end:
                return Previewed(number, end.value)

    def _loaded(self) -> "VideoLlama2":
        if self._model is None:
            raise BundleError("No model is loaded; choose a bundle first.")
        return self._model


def _warm_up(model: "VideoLlama2") -> Iterator[object]:
    try:
        yield from model.open_graphs()
    except (Vl2Error, MemoryError):
        return  # The job that needs the graph says so.


def _progress(number: int, steps: "Generator[events.Progress, None, T]") -> "Part[T]":
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
            yield Progress(number, step.stage, step.done, step.total)


def _pieces(number: int, steps: "Generator[events.Event, None, None]") -> "Part[events.Result]":
    from engines.events import Result, TextPiece

    with closing(steps):
        for step in steps:
            if isinstance(step, Result):
                return step
            if isinstance(step, TextPiece):
                yield Piece(number, step.text, step.token_id)
            else:
                yield Progress(number, step.stage, step.done, step.total)
    raise RuntimeError("the answer ended without a result")


def _describe(model: "VideoLlama2", spec: EngineSpec) -> dict[str, Any]:
    """What a window shows of a bundle; see `Loaded`."""
    from engines.bench import versions
    from engines.video import MAX_FRAMES

    config = model.config
    runs = f"ONNX Runtime {versions()['onnxruntime']}, {model.device.name}"
    return {
        "name": config.name,
        "bundle": model.bundle.id,
        "path": str(model.bundle.path),
        "scheme": config.quantisation.scheme,
        "device": model.device.name,
        "device_reason": model.device.reason,
        "exact": spec.exact,
        "card": to_json(config.card),
        "num_frames": config.vision.num_frames,
        "max_frames": MAX_FRAMES,
        "image_size": config.vision.image_size,
        "window_s": config.audio.window_s if config.audio else None,
        "max_windows": config.audio.max_windows if config.audio else None,
        "context": config.decoder.max_position_embeddings,
        "generation": to_json(config.generation),
        "engines": dict.fromkeys(config.graphs, runs),
    }


def _log_facts(model: "VideoLlama2", spec: EngineSpec) -> dict[str, log.Fact]:
    """Which model, on which device and why, how it is kept; not its name, nor where it lies."""
    from engines.bench import versions

    return {
        "bundle": model.bundle.id[:12],
        "scheme": model.config.quantisation.scheme,
        "device": model.device.name,
        "why": model.device.reason,
        "asked": spec.device,
        "exact": spec.exact,
        "threads": spec.threads,
        "onnxruntime": versions()["onnxruntime"],
    }


def _answer_facts(result: "events.Result") -> dict[str, log.Fact]:
    """How much went in and came out, and how long it took."""
    numbers = {**to_json(result.usage), **to_json(result.timing)}
    facts = {name: value for name, value in numbers.items() if isinstance(value, int | float)}
    return {"finish": result.finish_reason, **facts}


def main() -> NoReturn:
    """Serve the parent until it closes the pipe or dies."""
    source, sink = take_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent hears Ctrl+C and closes the pipe.
    warnings.filterwarnings(
        "ignore", module=r"PIL\."
    )  # Pillow warns of what it reads all the same.
    log.begin("engine")
    hear_termination()
    engine = Engine(Outbox(sink))
    for target in (partial(engine.hear, source), engine.previews.work):
        threading.Thread(target=target, daemon=True).start()
    engine.jobs.work()


if __name__ == "__main__":
    main()
