"""The one way from the program's own process to the model: jobs out, replies back, over a pipe.

`EngineProcess` is one child (`app.engine_process`) that holds the model. Jobs run in it one after
another, in the order in which they were submitted; a `Preview` runs beside them. Only plain data
cross (see `engines.wire`); no Qt here.
"""

import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, Literal

from numpy.typing import NDArray

from app.live_wire import pack_live, unpack_live
from engines import child_process, log, offline, wire
from engines.config import ClipOptions, Coverage, Mismatch, from_json, to_json
from engines.engine_trust import told_to_end
from engines.events import Stage
from engines.live_clip import LiveClip
from engines.messages import Message, Modal
from engines.preview import PEAK_BINS, THUMBNAIL_PX
from engines.preview import Preview as ClipPreview
from engines.sampling import GenerateOptions

# The module that is run.
CHILD = "app.engine_process"


@dataclass(frozen=True)
class EngineSpec:
    """Which model to load, and how (see `engines.load`); `bundle` None is the bundled demo."""

    bundle: Path | None = None
    device: str = "auto"
    exact: bool = False
    threads: int | None = None
    keep_encodings: bool = True
    prepacked_gb: int | None = None


# Jobs.


@dataclass(frozen=True)
class Load:
    """Opens a bundle in place of the one before: Progress ("load"), then Loaded."""

    spec: EngineSpec = field(default_factory=EngineSpec)


@dataclass(frozen=True)
class Open:
    """Encodes a clip and reads it into the model's cache: Progress, then Opened.

    `live` stands for the clip, whose path is then only a name.
    """

    clip: ClipOptions
    live: LiveClip | None = None


@dataclass(frozen=True)
class Preview:
    """Thumbnails of the frames that the model gets, and the sound's shape: Previewed."""

    clip: ClipOptions
    thumbnail_px: int = THUMBNAIL_PX
    bins: int = PEAK_BINS


@dataclass(frozen=True)
class Ask:
    """Answers the last question of a conversation: Progress and Piece, then Finished.

    `messages` are those of `engines.messages.parse_messages`; `live` stands for their clip, whose
    path is then only a name.
    """

    messages: Sequence[Message]
    options: GenerateOptions = field(default_factory=GenerateOptions)
    live: LiveClip | None = None


@dataclass(frozen=True)
class Look:
    """Tells how much each frame of a live recording differs from the one before it: Looked.

    The frames are through the vision tower then: a question about them costs that less.
    """

    live: LiveClip
    pad: bool = False


Job = Load | Open | Preview | Ask | Look

# Replies; every job ends with exactly one of Loaded, Opened, Previewed, Finished, Looked, Stopped,
# Failed.


@dataclass(frozen=True)
class Loaded:
    """A bundle is open.

    Attributes:
        info: name, bundle (its id), path, scheme, device, device_reason, exact, card {description,
            world, suggested_questions}, num_frames, max_frames, image_size, window_s and
            max_windows (None where the model hears nothing), context (tokens), generation (the
            bundle's sampling defaults), engines {part of the model: what runs it}.
    """

    job: int
    info: dict[str, Any]


@dataclass(frozen=True)
class Progress:
    """How far a stage of a job is; see `engines.events.Progress`. "load" may count bytes."""

    job: int
    stage: Stage
    done: int
    total: int


@dataclass(frozen=True)
class Opened:
    """A clip is encoded and in the cache; `sha256` is its `engines.media.clip_hash`."""

    job: int
    modal: Modal
    coverage: Coverage
    visual_tokens: int
    audio_tokens: int
    duration_s: float | None
    sha256: str


@dataclass(frozen=True)
class _PreviewFacts:
    """What of a preview is no array."""

    kind: Literal["video", "image", "audio"]
    duration_s: float | None
    fps: float | None
    frame_times_s: tuple[float, ...]


@dataclass(frozen=True)
class Previewed:
    """A clip at a glance."""

    job: int
    preview: ClipPreview


@dataclass(frozen=True)
class Piece:
    """Text that became certain with a token; it may be empty."""

    job: int
    text: str
    token_id: int


@dataclass(frozen=True)
class Finished:
    """An answer is complete; `result` is what `vl2 ask --json` prints, and its "receipt"."""

    job: int
    result: dict[str, Any]


@dataclass(frozen=True)
class Looked:
    """How much each frame differs from the one before it; see `engines.live.changes`."""

    job: int
    changes: tuple[float, ...]


@dataclass(frozen=True)
class Stopped:
    """A job was stopped, or taken back before it began."""

    job: int


@dataclass(frozen=True)
class Failed:
    """A job failed; `sentence` is for the user. The process goes on."""

    job: int
    sentence: str


@dataclass(frozen=True)
class Counted:
    """Connections since the last one, see `engines.offline`; `EngineProcess` keeps it to itself."""

    made: int
    refused: int
    cameras: int


@dataclass(frozen=True)
class Died:
    """The process is gone and its jobs with it; the last reply of an `EngineProcess`."""

    sentence: str


Reply = Loaded | Progress | Opened | Previewed | Piece | Finished | Looked | Stopped | Failed | Died
# What crosses the pipe: Died is told of a process that says nothing any more.
Said = Reply | Counted

# How long a process that says no more may take to end by itself.
LAST_BREATH_S = 1.0
_FREE_MEMORY = "close other programs or use a smaller bundle if it happens again"
_PREVIEW_ARRAYS = ("thumbnails", "peaks")
_REPLIES: Mapping[str, type[Said]] = {
    kind.__name__: kind
    for kind in (Loaded, Progress, Opened, Piece, Finished, Looked, Stopped, Failed, Counted)
}


def pack_job(number: int, job: Job) -> tuple[dict[str, Any], tuple[NDArray[Any], ...]]:
    """A job as the head and the arrays of a packet."""
    head: dict[str, Any] = {"job": number, "kind": type(job).__name__}
    match job:
        case Look(live=live, pad=pad):
            facts, arrays = pack_live(live)
            return {**head, "fields": {"pad": pad}, "live": facts}, arrays
        case Open(live=LiveClip() as live) | Ask(live=LiveClip() as live):
            facts, arrays = pack_live(live)
            return {**head, "fields": _fields(replace(job, live=None)), "live": facts}, arrays
    return {**head, "fields": _fields(job)}, ()


def _fields(job: Job) -> dict[str, Any]:
    return {name: value for name, value in to_json(job).items() if name != "live"}


def unpack_job(head: Mapping[str, Any], arrays: Sequence[NDArray[Any]] = ()) -> tuple[int, Job]:
    """Number and job of a packet that `pack_job` made; Mismatch for any other."""
    number, kind, fields = head.get("job"), head.get("kind"), head.get("fields")
    if type(number) is not int or not isinstance(fields, dict):
        raise Mismatch("the head is no job's")
    if "live" in head:
        return number, _unpack_live_job(kind, fields, unpack_live(head["live"], arrays))
    return number, _unpack_plain_job(kind, fields)


def _unpack_live_job(kind: object, fields: dict[str, Any], live: LiveClip) -> Job:
    if kind == "Look" and fields.keys() == {"pad"} and isinstance(fields["pad"], bool):
        return Look(live, fields["pad"])
    job = _unpack_plain_job(kind, fields)
    if isinstance(job, Open | Ask):
        return replace(job, live=live)
    raise Mismatch(f"there is no live job {kind!r} like this")


def _unpack_plain_job(kind: object, fields: dict[str, Any]) -> Job:
    match kind:
        case "Load":
            return from_json(Load, fields, "load")
        case "Open" if fields.keys() == {"clip"}:
            return Open(from_json(ClipOptions, fields["clip"], "open.clip"))
        case "Preview":
            return from_json(Preview, fields, "preview")
        case "Ask" if isinstance(fields.get("messages"), list):
            # The messages are checked where they are read, as those of any other caller.
            options = from_json(GenerateOptions, fields.get("options"), "ask.options")
            return Ask(fields["messages"], options)
    raise Mismatch(f"there is no job {kind!r} like this")


def pack_reply(reply: Said) -> tuple[dict[str, Any], tuple[NDArray[Any], ...]]:
    """A reply as the head and the arrays of a packet."""
    if not isinstance(reply, Previewed):
        return {"kind": type(reply).__name__, "fields": to_json(reply)}, ()
    seen = reply.preview
    facts = to_json({k: value for k, value in vars(seen).items() if k not in _PREVIEW_ARRAYS})
    arrays = (seen.thumbnails,) if seen.peaks is None else (seen.thumbnails, seen.peaks)
    return {"kind": "Previewed", "job": reply.job, "fields": facts}, arrays


def unpack_reply(packet: wire.Packet) -> Said:
    """The reply in a packet that `pack_reply` made; Mismatch for any other."""
    kind, fields = packet.head.get("kind"), packet.head.get("fields")
    if isinstance(kind, str) and kind in _REPLIES:
        return from_json(_REPLIES[kind], fields, "reply")
    match packet:
        case wire.Packet({"kind": "Previewed", "job": int(job)}, (thumbnails, *peaks)):
            facts = from_json(_PreviewFacts, fields, "preview")
            pictures = (len(facts.frame_times_s), *thumbnails.shape[1:3], 3)
            _check_array(thumbnails, "uint8", pictures)
            for sound in peaks:
                _check_array(sound, "float32", (len(sound), 2) if sound.ndim else ())
            seen = ClipPreview(**vars(facts), thumbnails=thumbnails, peaks=next(iter(peaks), None))
            return Previewed(job, seen)
    raise Mismatch(f"there is no reply {kind!r} like this")


def _check_array(array: NDArray[Any], dtype: str, shape: tuple[int, ...]) -> None:
    if array.dtype.name != dtype or array.shape != shape or not array.ndim:
        raise Mismatch(f"an array is {array.dtype.name} {array.shape}")


class EngineProcess:
    """One engine process.

    `on_message` is called on a thread of this object's, one call at a time, in order; it must not
    wait for long, nor call `close`. A process
    that died is not started again: its owner makes another. What is submitted to a dead one is
    lost, as were the jobs it had; Died, told once, stands for all of them.
    """

    def __init__(self, on_message: Callable[[Reply], None]) -> None:
        """Starts nothing yet."""
        self._on_message = on_message
        self._telling = threading.Lock()
        self._numbers = count(1)
        self._outbox: SimpleQueue[tuple[int, Job | None] | None] = SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False  # closed, or told that it died
        self._reader = threading.Thread(target=self._serve, name="vl2-replies", daemon=True)

    def start(self) -> None:
        """Start the process; jobs may be submitted at once. Does not wait for it."""
        self._reader.start()

    def submit(self, job: Job) -> int:
        """Queue a job and return its number, 1 or more, unique in this process; never blocks."""
        number = next(self._numbers)
        self._outbox.put((number, job))
        return number

    def stop(self, job: int) -> None:
        """Stop a job, or take it back; no effect on one that has ended. Never blocks."""
        self._outbox.put((job, None))

    def kill(self) -> None:
        """End the process at once, as a crash would; Died follows."""
        if self._process is not None:
            self._process.kill()

    def close(self, timeout_s: float = 5.0) -> None:
        """End the process and the threads that serve it, whatever it does; no reply follows.

        Args:
            timeout_s: how long it may take to end by itself; then it is killed.
        """
        self._over = True
        self._outbox.put(None)
        if self._reader.ident is None or self._reader is threading.current_thread():
            return
        self._reader.join(timeout_s)
        if self._reader.is_alive():
            if self.pid is not None:
                told_to_end(self.pid)
            self.kill()
            self._reader.join()

    @property
    def pid(self) -> int | None:
        """The child's process id; None until it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def alive(self) -> bool:
        """True from `start` until the process was closed or has died."""
        return self._reader.is_alive() and not self._over

    def _serve(self) -> None:
        try:
            process = self._process = child_process.start(CHILD)
        except OSError as error:
            self._tell(Died(f"The model's process cannot be started ({error}); {_FREE_MEMORY}."))
            return
        writer = threading.Thread(target=self._send, args=[process], name="vl2-jobs", daemon=True)
        writer.start()
        garbage: Exception | None = None
        try:
            self._receive(child_process.pipe(process.stdout))
        except (wire.WireError, Mismatch, MemoryError) as error:
            garbage = error
        sentence = _obituary(process, garbage)
        self._outbox.put(None)
        writer.join()
        child_process.pipe(process.stdout).close()
        self._tell(Died(sentence))

    def _receive(self, stream: BinaryIO) -> None:
        wire.skip_noise(stream)
        while (packet := wire.read(stream)) is not None:
            reply = unpack_reply(packet)
            if isinstance(reply, Counted):
                offline.count_child(reply.made, reply.refused, reply.cameras)
            else:
                self._tell(reply)

    def _send(self, process: subprocess.Popen[bytes]) -> None:
        """Carries jobs into the pipe: whoever submits them never waits for the child."""
        stream = child_process.pipe(process.stdin)
        with suppress(OSError):  # The child is gone: the other thread hears of it too, and tells.
            while (order := self._outbox.get()) is not None:
                self._write(stream, *order)
        with suppress(OSError):
            stream.close()  # The child ends when its input does.

    def _write(self, stream: BinaryIO, number: int, job: Job | None) -> None:
        try:
            packet = wire.to_bytes(*(({"stop": number},) if job is None else pack_job(number, job)))
        except (ValueError, TypeError, RecursionError) as error:  # too large, or no plain data
            self._tell(Failed(number, f"The model cannot be asked this ({error}); ask for less."))
            return
        stream.write(packet)
        stream.flush()

    def _tell(self, reply: Reply) -> None:
        with self._telling:
            if self._over:
                return
            self._over = isinstance(reply, Died)
            if self._over:
                log.note("engine_died", code=getattr(self._process, "returncode", None))
            self._on_message(reply)


def _obituary(process: subprocess.Popen[bytes], garbage: Exception | None) -> str:
    """Waits for the process's end, ending it where it does not, and says what happened."""
    try:
        code = process.wait(LAST_BREATH_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return (
            f"The model's process was ended, for it wrote what cannot be read ({garbage}); ask"
            " again, and report it if it happens again."
        )
    reason = f"exit code {code}"
    if code < 0:
        reason = signal.strsignal(-code) or f"signal {-code}"
    return f"The model's process ended unexpectedly ({reason}); ask again, and {_FREE_MEMORY}."
