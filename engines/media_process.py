"""Media children: started, asked, watched, and ended when they do not behave.

A child reads one clip and no other; whoever asks next about the same clip within a few seconds gets
the same child, with its packet index and its open decoder libraries.

What a child says is data from who may have taken it over: bounded here, checked in `engines.media`,
and one that told nonsense is ended.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from engines import child_process, log, offline, wire
from engines.config import from_json, to_json
from engines.confine import Confinement, Limits
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
# Children at a time. A window has the player's film and its still pictures, the clip that is
# looked at, a search for a moved one and what it keeps; a model its pictures, its sound and a
# preview. Each may take as much as a child may: who asks for more waits, and is refused if that
# does not help.
MOST_RUNNING = 8
WAIT_S = 30.0
# After every part of an answer: whether the next one is wanted.
GO_ON, ENOUGH = Packet({"go": True}), Packet({"go": False})
VARIABLES = {
    # A second thread would escape what the first gives up before the first file is read.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Every arena reserves memory that counts.
    "MALLOC_ARENA_MAX": "2",
}
# What else of this process's environment a child gets: where its libraries are and how files' names
# are written. No tokens, no keys: nobody knows what a user keeps there.
PASSED = frozenset(
    ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONUTF8", "LANG", "LC_ALL", "LC_CTYPE",
     "SYSTEMROOT", "WINDIR", "APPDATA", "VL2_TRACEBACK")
)  # fmt: skip


@dataclass(eq=False)
class _Child:
    """A running child; `clip` is what it reads, once it reads.

    `held` is what it has given up, by its own greeting, from before it read anything.
    """

    process: subprocess.Popen[bytes]
    clip: tuple[str, object] | None = None
    held: Confinement | None = None
    in_job: bool = False  # Windows
    answered: bool = False  # something, since it was asked last
    timed_out: bool = False
    kept: bool = False  # it has answered a question before
    believed: bool = True


class _FellAsleepError(MediaError):
    """A child that was kept had ended, or was ended, before it said anything: ask another one."""


_kept: list[_Child] = []
_asked: set[_Child] = set()
_changed = threading.Condition()
_left = False


def warm() -> None:
    """Have a child ready that has read nothing yet, so that the next clip need not wait for one."""
    with _changed:
        if not any(child.clip is None for child in _kept) and _running() < MOST_RUNNING:
            with suppress(MediaError):
                _kept.append(_start())


def end_children() -> None:
    """End all children that nobody is asking at the moment."""
    with _changed:
        children = [*_kept]
        _kept.clear()
        _changed.notify_all()
    for child in children:
        _end(child)


def leave() -> None:
    """The program ends: no child works on, and whoever waits for one is told so at once."""
    global _left  # noqa: PLW0603 (said once, and true for the whole process)
    with _changed:
        _left = True
        asked = [*_asked]
        _changed.notify_all()
    end_children()
    for child in asked:
        child.process.kill()


atexit.register(leave)


def disbelieve(path: Path) -> None:
    """End all children that read this clip: what one of them said makes no sense."""
    with _changed:
        clip = str(path.absolute())
        liars = [child for child in (*_kept, *_asked) if child.clip and child.clip[0] == clip]
        for child in liars:
            child.believed = False
        _kept[:] = [child for child in _kept if child.believed]
        idle = [child for child in liars if child not in _asked]
        _changed.notify_all()
    for child in liars:
        child.process.kill()
    for child in idle:
        _end(child)


def confinement() -> Confinement:
    """What a child gives up on this system before it reads a clip.

    Raises:
        MediaError: no child can be started, or it does not answer.
    """
    nowhere = Path(os.devnull)
    child = _take((str(nowhere), None))
    try:
        deque(_converse(child, nowhere, "nothing", {}), maxlen=0)
        return child.held or Confinement()
    finally:
        _give_back(child, keep=False)


def call(path: Path, question: str, **arguments: Any) -> Iterator[Packet]:
    """Ask about a clip; see `engines.media_child.answers`.

    Raises:
        MediaError: what the child says of the clip, or that it had to be ended or died.
    """
    clip = (str(path.absolute()), file_stamp(path))
    for last_try in (False, True):
        child = _take(clip)
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
            # One that is still talking cannot be asked anything else.
            _give_back(child, keep=finished)


def _take(clip: tuple[str, object]) -> _Child:
    """A child that knows the clip, else one that knows nothing."""
    with _changed:
        while True:
            child = next((c for c in reversed(_kept) if c.clip == clip), None)
            child = child or next((c for c in _kept if c.clip is None), None)
            if child is not None:
                _kept.remove(child)
            elif _running() < MOST_RUNNING:
                child = _start()
            elif _kept:
                _end(_kept.pop(0))
                continue
            elif _left or not _changed.wait(WAIT_S):
                raise MediaError(
                    f"{MOST_RUNNING} clips are being read at the same time, and none is finished;"
                    " wait until one is, and try again."
                )
            else:
                continue
            if child.process.poll() is None:
                child.clip = clip
                _asked.add(child)
                return child
            _end(child)  # it was idle for too long


def _running() -> int:
    return len(_kept) + len(_asked)


def _give_back(child: _Child, *, keep: bool) -> None:
    """Keep it for the next question about its clip, or end it."""
    spent = []
    with _changed:
        _asked.discard(child)
        if keep and child.believed and not _left:
            child.kept = True
            _kept.append(child)
            used = [c for c in _kept if c.clip is not None]
            spent = used[: max(len(used) - MOST_KEPT, 0)]
            _kept[:] = [c for c in _kept if c not in spent]
        else:
            spent = [child]
        _changed.notify()
    for one in spent:
        _end(one)


def _start() -> _Child:
    if _left:
        raise MediaError("The program is being closed, so no clip is read any more.")
    try:
        quiet = not os.environ.get("VL2_TRACEBACK")
        process = child_process.start("engines.media_child", VARIABLES, passed=PASSED, quiet=quiet)
        child = _Child(process)
        child.in_job = _confine_on_windows(child)
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
        if child.held is None:
            child.held = _greeting(child, source, path)
        while "end" not in (packet := _read(child, source, path)).head:
            # The next part is made while this one is used.
            _tell(child, orders, GO_ON)
            try:
                yield Packet(packet.head["part"], packet.arrays)
            except GeneratorExit:
                _hush(child, orders, source, path)
                raise
    except (OSError, ValueError, KeyError) as error:  # a broken pipe, or no packet
        child.process.kill()
        raise _death(child, path) from error
    offline.count_child(refused=packet.head.get("refused", 0))
    match packet.head:
        case {"end": "memory"}:
            log.note("media_child_memory", **log.clip_facts(path))
            child.process.kill()
            child.process.wait()  # so that nobody takes it for a living one
            raise MediaError(
                f"{shown(path)} could not be read: decoding it takes more than the"
                f" {LIMITS.memory_bytes / 2**30:.3g} GB of memory that a clip may take; it is too"
                " large, or damaged: convert it to one with smaller pictures or fewer tracks, or"
                " copy it again."
            )
        case {"end": "error", "sentence": str(sentence)}:
            said = "".join(c for c in sentence[:MOST_SAID] if c.isprintable())
            raise MediaError(said)


def _greeting(child: _Child, source: BinaryIO, path: Path) -> Confinement:
    with _patience(child):
        wire.skip_noise(source)
    held = from_json(Confinement, _read(child, source, path).head, "the greeting")
    if child.in_job:  # Windows: the parent limits it, and forbids it other processes
        held = replace(held, limits=True)
    _note_gaps(held)
    return held


@lru_cache(maxsize=4)
def _note_gaps(held: Confinement) -> None:
    """What a system lacks it lacks for every child: said once."""
    if not all(astuple(held)):
        log.note("media_child_confined", **asdict(held))


def _hush(child: _Child, orders: BinaryIO, source: BinaryIO, path: Path) -> None:
    """Nobody wants the rest of an answer; what is on its way is taken off the pipe."""
    if not child.believed:
        return
    try:
        if "end" not in _read(child, source, path).head:
            _tell(child, orders, ENOUGH)
            _read(child, source, path)
    except (MediaError, OSError, ValueError):
        child.process.kill()  # nobody waits to hear of it
        child.process.wait()


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
    code = child.process.returncode
    asleep = sys.platform != "win32" and (
        code == -signal.SIGALRM
        # By the system, for want of memory, or by the user: that says nothing of the clip.
        or (code == -signal.SIGKILL and child.kept and not child.timed_out)
    )
    return _FellAsleepError(sentence) if asleep and not child.answered else MediaError(sentence)


def _obituary(child: _Child, path: Path) -> str:
    try:
        code = child.process.wait(5)
    except subprocess.TimeoutExpired:
        child.process.kill()
        code = child.process.wait()
    log.note("media_child_died", code=code, silent=child.timed_out, **log.clip_facts(path))
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
        f"{shown(path)} could not be read: decoding it takes more than {what}; the file is too"
        " large for this computer, damaged or made to do harm: convert it to a smaller one, or"
        " choose another."
    )


def _confine_on_windows(child: _Child) -> bool:
    if sys.platform == "win32":
        from engines.windows_job import put_into_job

        return put_into_job(child.process, LIMITS)
    return False
