"""Which compiled engines have passed the self-test on this machine, and which were set aside.

A record belongs to one engine file on one GPU with one driver and one TensorRT: after a change of
any, the test runs again. It is written before a test too, for an engine may end the program. One
program tests at a time; whoever comes next judges what the ones before left begun:

- It crashed (SIGSEGV, an abort): `faulthandler` wrote so into a file that is open for this alone.
  That was the engine, which is set aside.
- It was told to end (Ctrl+C, SIGTERM, its window closed): it left a note, or who ended it did. That
  says nothing about the engine.
- Neither: it was killed, the power went, or the machine hung, which an engine can do and which
  leaves nothing else behind. It is tested once more; the second such end sets it aside.

The files lie beside the key that vouches for engines. Where none can be written, each program tests
by itself and forgets.
"""

import dataclasses
import faulthandler
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import UnsupportedOperation
from pathlib import Path
from typing import Any, Literal

from engines import log
from engines.bundle import write_whole
from engines.config import Mismatch, from_json, to_json
from engines.engine_key import key_path
from engines.file_lock import only_writer, own_folder

State = Literal["begun", "passed", "failed"]
# Records of engines that are long gone are dropped, the oldest first. So many, each with a detail
# so long in whatever script, are less than is read: of a larger file nothing is believed.
MOST_RECORDS, MOST_DETAIL = 500, 500
MAX_RECORDS_BYTES = 4 << 20
# Ends of the program that nobody explained, before the engine is held to be the cause.
MOST_ENDS = 2
_MAX_TEXT = 4096


@dataclass(frozen=True)
class Outcome:
    """What came of an engine's test.

    Attributes:
        state: "begun" is under test, or was when its program ended.
        detail: what was measured, or what went wrong.
        engine: SHA-256 of the engine's file.
        ends: how often a program ended in the test for no known reason.
        pid: of the program that tests; 0 when that is over.
    """

    state: State
    detail: str
    engine: str = ""
    ends: int = 0
    pid: int = 0


def machine_key(engine_sha256: str, gpu: str, driver: str, version: str) -> str:
    """What a record belongs to."""
    text = "\n".join((engine_sha256, gpu, driver, version))
    return hashlib.sha256(text.encode()).hexdigest()


def records_path() -> Path:
    """The file of the records."""
    return key_path().with_name("engine-tests.json")


def recall(key: str) -> Outcome | None:
    """What came of a test; None if there was none, or nobody knows."""
    return _read().get(key)


def record(key: str, tested: Outcome | None) -> None:
    """Keeps what came of a test, if the disk takes it: otherwise it runs again next time.

    Args:
        key: see `machine_key`.
        tested: None drops the record, so that the test runs again.
    """
    records = _read()
    before = records.pop(key, None)
    if tested is not None:
        records[key] = tested
    elif before is None:
        return
    _write(records)


def forget_engine(sha256: str) -> None:
    """Drops all records of an engine's file: a new one may have the same bytes."""
    records = _read()
    kept = {key: tested for key, tested in records.items() if tested.engine != sha256}
    if len(kept) < len(records):
        _write(kept)


@contextmanager
def only_tester() -> Iterator[bool]:
    """Whether no other program tests engines now; none does as long as the context lasts.

    If so, what programs that have ended left begun has been judged.
    """
    with ExitStack() as held:
        path = _beside("lock")
        try:
            own_folder(path.parent)
            alone = held.enter_context(only_writer(path))
        except OSError:
            alone = True  # Nothing can be kept there, so there is nothing to disagree about.
        if alone:
            _judge_the_dead()
        yield alone


@contextmanager
def begun(key: str, engine_sha256: str, test: str) -> Iterator[None]:
    """Says that an engine is under test, and hears crashes; for who is the `only_tester`."""
    before = recall(key)
    ends = 0 if before is None else before.ends
    record(key, Outcome("begun", test, engine_sha256, ends, os.getpid()))
    with _hearing_crashes():
        yield


def told_to_end(pid: int | None = None) -> None:
    """Notes that a program ends because it was told to, and not by an engine that it tests.

    To be called before an end that leaves no time for more; of one that tests nothing, no effect.

    Args:
        pid: of the program; None is this one.
    """
    number = os.getpid() if pid is None else pid
    if any(tested.pid == number for tested in _read().values()):
        with suppress(OSError):
            write_whole(_beside("ended"), str(number).encode())


def _judge_the_dead() -> None:
    """Settles tests that are begun in no program any more."""
    records = _read()
    left = {key: tested for key, tested in records.items() if tested.pid}
    if left:
        crash = _text(_beside("crash")).partition("\n")[0].partition(": ")[2].strip()
        told = _text(_beside("ended"))
        for key, tested in left.items():
            judged = _judged(tested, crash, told == str(tested.pid))
            records.pop(key)
            if judged is not None:
                records[key] = judged
        _write(records)
    for name in ("crash", "ended"):
        with suppress(OSError):
            _beside(name).unlink(missing_ok=True)


def _judged(tested: Outcome, crash: str, told: bool) -> Outcome | None:
    over = dataclasses.replace(tested, pid=0)
    if crash:
        return dataclasses.replace(over, state="failed", detail=f"it ended the program: {crash}")
    if told:
        return over if over.ends else None
    ends = over.ends + 1
    if ends < MOST_ENDS:
        return dataclasses.replace(over, ends=ends)
    detail = f"the program ended {ends} times while it was tested"
    return dataclasses.replace(over, state="failed", detail=detail, ends=ends)


@contextmanager
def _hearing_crashes() -> Iterator[None]:
    heard_before = faulthandler.is_enabled()
    try:
        stream = _beside("crash").open("wb", buffering=0)
    except OSError:
        yield
        return
    with stream:
        faulthandler.enable(stream, all_threads=False)
        try:
            yield
        finally:
            faulthandler.disable()
            if heard_before and not log.hear_crashes():
                with suppress(OSError, ValueError, RuntimeError, UnsupportedOperation):
                    faulthandler.enable(sys.stderr)


def _outcome(entry: Any) -> Outcome | None:
    try:
        return from_json(Outcome, entry, "record")
    except Mismatch:
        return None


def _beside(kind: str) -> Path:
    return records_path().with_suffix(f".{kind}")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""


def _read() -> dict[str, Outcome]:
    """What is kept; nothing of a file that is damaged, or larger than any that was written here."""
    try:
        with records_path().open("rb") as file:
            text = file.read(MAX_RECORDS_BYTES + 1)
        found = json.loads(text) if len(text) <= MAX_RECORDS_BYTES else {}
    except (OSError, ValueError, RecursionError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {key: tested for key, entry in entries if (tested := _outcome(entry)) is not None}


def _write(records: dict[str, Outcome]) -> None:
    kept = {
        key: to_json(dataclasses.replace(tested, detail=tested.detail[:MOST_DETAIL]))
        for key, tested in list(records.items())[-MOST_RECORDS:]
    }
    with suppress(OSError):
        write_whole(records_path(), json.dumps(kept, indent=1).encode())
