"""Media children: started, asked, watched, and ended when they do not behave.

A child reads one clip and no other; whoever asks next about the same clip within a few seconds gets
the same child, with its packet index and its open decoder libraries.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from engines import child_process, wire
from engines.config import to_json
from engines.confine import Limits
from engines.errors import MediaError
from engines.media_file import file_stamp, shown
from engines.wire import Packet

LIMITS = Limits()
# The longest a child may be silent: reading the packets of a whole film off a slow disk is the
# longest of its steps.
SILENCE_S = 120.0
# Longer than any sentence about a file whose name is as long as a system allows.
MOST_SAID = 5000
# Children kept for the next question about their clip.
MOST_KEPT = 2
# After every part of an answer: whether the next one is wanted.
GO_ON, ENOUGH = Packet({"go": True}), Packet({"go": False})
VARIABLES = {
    # A second thread would escape what the first gives up before the first file is read.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Every arena reserves memory that counts.
    "MALLOC_ARENA_MAX": "2",
}


@dataclass(eq=False)
class _Child:
    """A running child; `clip` is what it reads, once it reads."""

    process: subprocess.Popen[bytes]
    clip: tuple[str, object] | None = None
    greeted: bool = False
    answered: bool = False  # something, since it was asked last
    timed_out: bool = False


class _FellAsleepError(MediaError):
    """A child ended for want of questions in the very moment in which it was asked one."""


_kept: list[_Child] = []
_asked: set[_Child] = set()
_lock = threading.Lock()


def warm() -> None:
    """Have a child ready that has read nothing yet, so that the next clip need not wait for one."""
    with _lock:
        if not any(child.clip is None for child in _kept):
            with suppress(MediaError):
                _kept.append(_start())


def end_children() -> None:
    """End all children that nobody is asking at the moment."""
    with _lock:
        children = [*_kept]
        _kept.clear()
    for child in children:
        _end(child)


def _leave() -> None:
    """Nobody waits for an answer any more: no child is to work on after its parent."""
    end_children()
    for child in [*_asked]:
        child.process.kill()


atexit.register(_leave)


def call(path: Path, question: str, **arguments: Any) -> Iterator[Packet]:
    """Ask about a clip; see `engines.media_child.answers`.

    Raises:
        MediaError: what the child says of the clip, or that it had to be ended or died.
    """
    clip = (str(path.absolute()), file_stamp(path))
    for last_try in (False, True):
        child = _take(clip)
        _asked.add(child)
        finished = False
        try:
            yield from _converse(child, path, question, arguments)
        except _FellAsleepError:
            if last_try:
                raise
        except (MediaError, GeneratorExit):
            finished = child.process.poll() is None
            raise
        else:
            finished = True
            return
        finally:
            _asked.discard(child)
            # One that is still talking cannot be asked anything else.
            if finished:
                _keep(child)
            else:
                _end(child)


def _take(clip: tuple[str, object]) -> _Child:
    """A child that knows the clip, else one that knows nothing."""
    while True:
        with _lock:
            child = next((c for c in reversed(_kept) if c.clip == clip), None)
            child = child or next((c for c in _kept if c.clip is None), None)
            if child is None:
                child = _start()
            else:
                _kept.remove(child)
        if child.process.poll() is None:
            child.clip = clip
            return child
        _end(child)  # it was idle for too long


def _keep(child: _Child) -> None:
    with _lock:
        _kept.append(child)
        used = [c for c in _kept if c.clip is not None]
        spent = used[: max(len(used) - MOST_KEPT, 0)]
        for one in spent:
            _kept.remove(one)
    for one in spent:
        _end(one)


def _start() -> _Child:
    try:
        quiet = not os.environ.get("VL2_TRACEBACK")
        process = child_process.start("engines.media_child", VARIABLES, quiet=quiet)
        child = _Child(process)
        _confine_on_windows(child)
        wire.write(child_process.pipe(process.stdin), Packet(to_json(LIMITS)))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise MediaError(
            f"No process could be started to read the clip ({reason}); close other programs and"
            " try again."
        ) from error
    return child


def _converse(
    child: _Child, path: Path, question: str, arguments: dict[str, Any]
) -> Iterator[Packet]:
    source = child_process.pipe(child.process.stdout)
    folder = None if path.is_absolute() else str(Path.cwd())
    asked = {"path": str(path), "folder": folder, "question": question, "arguments": arguments}
    orders = child_process.pipe(child.process.stdin)
    child.answered = False
    try:
        _tell(child, orders, Packet(asked))
        if not child.greeted:
            with _patience(child):
                wire.skip_noise(source)
            child.greeted = True
        while "end" not in (packet := _read(child, source, path)).head:
            # The next part is made while this one is used.
            _tell(child, orders, GO_ON)
            try:
                yield Packet(packet.head["part"], packet.arrays)
            except GeneratorExit:
                # Nobody wants the rest; what is on its way is taken off the pipe.
                if "end" not in _read(child, source, path).head:
                    _tell(child, orders, ENOUGH)
                    _read(child, source, path)
                raise
    except (OSError, ValueError, KeyError) as error:  # a broken pipe, or no packet
        child.process.kill()
        raise _death(child, path) from error
    match packet.head:
        case {"end": "memory"}:
            child.process.kill()
            child.process.wait()  # so that nobody takes it for a living one
            raise MediaError(_too_much(path, f"{LIMITS.memory_bytes >> 30} GB of memory"))
        case {"end": "error", "sentence": str(sentence)}:
            said = "".join(c for c in sentence[:MOST_SAID] if c.isprintable())
            raise MediaError(said)


def _tell(child: _Child, orders: BinaryIO, packet: Packet) -> None:
    """Write a packet; who does not read is ended, for a pipe holds little."""
    with _patience(child):
        wire.write(orders, packet)


def _read(child: _Child, source: BinaryIO, path: Path) -> Packet:
    with _patience(child):
        packet = wire.read(source)
    if packet is None:
        raise _death(child, path)
    child.answered = True
    return packet


class _patience:
    """Kills a child that is silent for too long."""

    def __init__(self, child: _Child) -> None:
        self.child = child
        self.timer = threading.Timer(SILENCE_S, self._kill)
        self.timer.daemon = True

    def _kill(self) -> None:
        self.child.timed_out = True
        self.child.process.kill()

    def __enter__(self) -> None:
        self.timer.start()

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()


def _end(child: _Child) -> None:
    child.process.kill()
    child.process.wait()
    for stream in (child.process.stdin, child.process.stdout):
        with suppress(OSError):
            child_process.pipe(stream).close()
    if sys.platform == "win32":
        from engines.windows_job import let_go

        let_go(child.process.pid)


def _death(child: _Child, path: Path) -> MediaError:
    sentence = _obituary(child, path)
    asleep = sys.platform != "win32" and child.process.returncode == -signal.SIGALRM
    return _FellAsleepError(sentence) if asleep and not child.answered else MediaError(sentence)


def _obituary(child: _Child, path: Path) -> str:
    try:
        code = child.process.wait(5)
    except subprocess.TimeoutExpired:
        child.process.kill()
        code = child.process.wait()
    if child.timed_out:
        return _too_much(path, f"{SILENCE_S:.0f} s for one step")
    if sys.platform != "win32" and code in (-signal.SIGXCPU, -signal.SIGKILL):
        return _too_much(path, f"{LIMITS.cpu_s} s of work or {LIMITS.memory_bytes >> 30} GB")
    reason = f"exit code {code}"
    if code < 0:
        reason = (signal.strsignal(-code) or f"signal {-code}").lower()
    return (
        f"{shown(path)} could not be read: its decoder ended ({reason}); the file is damaged or"
        " made to do harm: convert it with another program, or choose another one."
    )


def _too_much(path: Path, what: str) -> str:
    return (
        f"{shown(path)} could not be read: decoding it takes more than {what}; the file is damaged"
        " or made to do harm: convert it to a smaller one, or choose another."
    )


def _confine_on_windows(child: _Child) -> None:
    if sys.platform == "win32":
        from engines.windows_job import put_into_job

        # Where the system refuses, the child's own checks are what there is.
        put_into_job(child.process, LIMITS)
