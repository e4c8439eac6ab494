"""`vl2 live`: camera and microphone on, asked about what has just happened; without a window."""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from app.ask import load
from app.background import interruptible
from app.capture.camera import open_cv
from app.capture.cameras import list_cameras
from app.capture.clip_file import write_clip
from app.capture.device_thread import DeviceState
from app.capture.microphones import list_microphones, sound_library
from app.capture.recorder import Recorder, Span
from app.capture.watch import Moment, Watch, loudest_db
from app.inference import EngineSpec
from app.live_options import NONE
from app.receipt import answer_json
from app.terminal import coverage_line, print_answer, say, show, statistics
from engines.config import ClipOptions
from engines.errors import CaptureError, MediaError
from engines.events import Event, Progress, Result
from engines.live_clip import LiveClip
from engines.messages import clip_message
from engines.sampling import GenerateOptions

if TYPE_CHECKING:
    from engines.model import VideoLlama2

# A standing question wants a yes or a no, not a story.
WATCH_TOKENS = 12
# How long typed questions wait for the first frame or sound.
FIRST_S = 10.0
_TICK_S = 0.05


class Live:
    """A recording, a model, and what it is asked at what times.

    Attributes:
        recorder: camera and microphone.
        options: what is taken of a stretch; its path is only a name.
        window_s: how long a stretch a question is about.
    """

    def __init__(
        self,
        model: "VideoLlama2",
        recorder: Recorder,
        options: ClipOptions,
        window_s: float,
        answer: GenerateOptions,
        as_json: bool = False,
    ) -> None:
        """Asks nothing yet."""
        self._model = model
        self.recorder = recorder
        self.options = options
        self.window_s = window_s
        self._answer = answer
        self._json = as_json
        self._began_s = time.monotonic()
        self._states: dict[str, DeviceState | None] = {}
        self.num_frames = options.num_frames or model.config.vision.num_frames

    def ask(self, question: str) -> Result | None:
        """Ask about the last `window_s`, and print the answer; None when there is nothing yet."""
        span = self.recorder.last(self.window_s, self.num_frames)
        clip = self.recorder.clip(span, self.num_frames)
        if not self._json:
            say(f"{self._when(span)} {question}")
        try:
            result = self._generate(clip, question, self._answer, quiet=self._json)
        except MediaError as error:
            say(str(error))
            return None
        if self._json:
            self._event("answer", span, question=question, **answer_json(result))
        else:
            for line in (*result.coverage.notes, coverage_line(result), statistics(result)):
                say(line)
        return result

    def check(self, watch: Watch, keep: Path | None) -> Moment | None:
        """Look whether a standing question has come true; a moment is printed, and kept."""
        span = self.recorder.last(self.window_s, self.num_frames)
        clip = self.recorder.clip(span, self.num_frames)
        if not clip.frames and clip.sound_span_s is None:
            return None
        now_s = time.monotonic()
        work = interruptible(self._model.look(clip, self.options.pad), self._model.stop)
        changes = _returned(work) if clip.frames else np.zeros(0)
        times = np.array(clip.frame_times_s) + span.start_s
        recent = self.recorder.sound.read(now_s - watch.every_s, now_s)
        level_db = loudest_db(recent.samples, self.recorder.sound.rate)
        if not watch.worth_asking(now_s, times, changes, level_db):
            return None
        brief = replace(self._answer, max_new_tokens=WATCH_TOKENS)
        result = self._generate(clip, watch.question, brief, quiet=True)
        moment = watch.answered(now_s, result.answer, span.start_s, span.end_s)
        if moment is not None:
            self._tell(moment, keep)
        return moment

    def tell_devices(self) -> None:
        """Say what has changed about camera and microphone."""
        status = self.recorder.status()
        for device, state in (("camera", status.camera), ("microphone", status.microphone)):
            before = self._states.get(device)
            self._states[device] = state
            told = state and (state.kind, state.sentence)
            if state is None or (before and told == (before.kind, before.sentence)):
                continue
            if self._json:
                fields = {"device": device, "name": state.name, "state": state.kind}
                _print_event("device", **fields, sentence=state.sentence)
            elif state.kind == "on":
                say(f"The {device} {state.name} is on.")
            elif state.sentence:
                say(state.sentence)

    def _generate(
        self, clip: LiveClip, question: str, options: GenerateOptions, quiet: bool
    ) -> Result:
        messages = [clip_message(replace(self.options, path=Path(clip.name)), question)]
        answering = self._model.generate(messages, options, clip)
        events: Iterator[Event] = interruptible(answering, self._model.stop)
        if quiet or not sys.stderr.isatty():
            # For hours, every few seconds: only a terminal gets a line that is replaced.
            events = (event for event in events if not isinstance(event, Progress))
        return print_answer(events, quiet)

    def _tell(self, moment: Moment, keep: Path | None) -> None:
        span = Span(moment.start_s, moment.end_s)
        kept = None
        if keep is not None:
            kept = keep / f"moment-{datetime.now():%Y%m%d-%H%M%S}.mp4"
            write_clip(kept, self.recorder, span)
        if self._json:
            clip = None if kept is None else str(kept)
            self._event("moment", span, question=moment.question, answer=moment.answer, clip=clip)
            return
        show(f"{self._when(span)} {moment.question} {moment.answer}")
        if kept is not None:
            say(f"Kept as {kept}.")

    def _when(self, span: Span) -> str:
        start_s, end_s = (max(at_s - self._began_s, 0.0) for at_s in (span.start_s, span.end_s))
        return f"[{start_s:.1f}–{end_s:.1f} s]"

    def _event(self, kind: str, span: Span, **fields: Any) -> None:
        times = {"start_s": span.start_s - self._began_s, "end_s": span.end_s - self._began_s}
        _print_event(kind, **{name: round(at_s, 3) for name, at_s in times.items()}, **fields)


def run_live(
    parsed: argparse.Namespace, spec: EngineSpec, options: ClipOptions, answer: GenerateOptions
) -> None:
    """`vl2 live`.

    Raises:
        CaptureError: nothing was to be recorded, or there is no such camera.
    """
    if parsed.list:
        _list_devices()
        return
    camera, microphone = (None if name == NONE else name for name in (parsed.camera, parsed.mic))
    if options.sound == "off":
        microphone = None
    # What is not installed is said at once; what is not connected may be connected later.
    if camera is not None:
        open_cv()
    if microphone is not None:
        sound_library()
    kept_s = max(parsed.remember, parsed.window)
    recorder = Recorder(camera, microphone, kept_s)
    if parsed.keep is not None:
        _check_folder(parsed.keep)
    model = load(spec)
    recorder.start()
    try:
        live = Live(model, recorder, options, parsed.window, answer, parsed.json)
        watches = [Watch(question, parsed.check_every) for question in parsed.tell_when]
        _serve(live, watches, parsed)
    finally:
        recorder.close()


def _serve(live: Live, watches: list[Watch], parsed: argparse.Namespace) -> None:
    """Does what is due, one thing after another: a question during an answer waits for its turn."""
    deadline_s = time.monotonic() + parsed.stop_after if parsed.stop_after else float("inf")
    standing = bool(parsed.ask_every or watches)
    typed: SimpleQueue[str | None] = SimpleQueue()
    if not standing:
        threading.Thread(target=_read_questions, args=[typed.put], daemon=True).start()
        _wait_for_something(live)
    every_s, question = parsed.ask_every or (0.0, "")
    next_s = time.monotonic() + every_s
    while time.monotonic() < deadline_s:
        live.tell_devices()
        for watch in watches:
            if watch.due(time.monotonic()):
                live.check(watch, parsed.keep)
        if question and time.monotonic() >= next_s:
            live.ask(question)
            # An answer that takes longer than the pause skips questions, and queues none.
            next_s = max(next_s + every_s, time.monotonic())
        try:
            line = typed.get(timeout=_TICK_S)
        except Empty:
            continue
        if line is None:
            return
        live.ask(line)


def _wait_for_something(live: Live) -> None:
    """A question that came through a pipe is there before the first frame is."""
    deadline_s = time.monotonic() + FIRST_S
    recorder = live.recorder
    while time.monotonic() < deadline_s:
        live.tell_devices()
        if recorder.pictures.last_s is not None or recorder.sound.last_s is not None:
            return
        time.sleep(_TICK_S)


def _read_questions(put: Callable[[str | None], None]) -> None:
    for line in sys.stdin:
        if line.strip():
            put(line.strip())
    put(None)


def _returned(work: Iterator[Any]) -> Any:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CaptureError(
            f"The folder {folder} cannot be made ({error.strerror}); choose another for --keep."
        ) from error


def _list_devices() -> None:
    for camera in list_cameras():
        show(f"camera {camera.index}: {camera.name}")
    for microphone in list_microphones():
        show(f"microphone {microphone.index}: {microphone.name}")


def _print_event(kind: str, **fields: Any) -> None:
    show(json.dumps({"event": kind, "unix_s": round(time.time(), 3), **fields}, ensure_ascii=False))
