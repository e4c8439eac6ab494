"""Which compiled engines have passed the self-test on this machine, and which were set aside.

A record belongs to one engine file on one GPU with one driver and one TensorRT: after a change of
any, the test runs again. It is written before a test too, so that an engine which ends the program
is not tried a second time. The file lies beside the key that vouches for engines.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from engines.bundle import write_whole
from engines.engine_files import key_path

State = Literal["begun", "passed", "failed"]
# Records of engines that are long gone are dropped, the oldest first.
MOST_RECORDS = 500


@dataclass(frozen=True)
class Outcome:
    """What came of an engine's test; `detail` says what was measured, or what went wrong."""

    state: State
    detail: str


def machine_key(engine_sha256: str, gpu: str, driver: str, version: str) -> str:
    """What a record belongs to."""
    text = "\n".join((engine_sha256, gpu, driver, version))
    return hashlib.sha256(text.encode()).hexdigest()


def records_path() -> Path:
    """The file of the records."""
    return key_path().with_name("engine-tests.json")


def recall(key: str) -> Outcome | None:
    """What came of a test; None if there was none, or nobody knows."""
    entry = _read().get(key)
    if not isinstance(entry, list) or len(entry) != 2 or entry[0] not in get_args(State):
        return None
    return Outcome(cast(State, entry[0]), str(entry[1]))


def record(key: str, tested: Outcome) -> None:
    """Keeps what came of a test, if the disk takes it: otherwise it runs again next time."""
    records = _read()
    records.pop(key, None)
    records[key] = [tested.state, tested.detail]
    kept = dict(list(records.items())[-MOST_RECORDS:])
    with suppress(OSError):
        write_whole(records_path(), json.dumps(kept, indent=1).encode())


def forget(key: str) -> None:
    """Drops a record, so that the test runs again."""
    records = _read()
    if records.pop(key, None) is not None:
        with suppress(OSError):
            write_whole(records_path(), json.dumps(records, indent=1).encode())


def _read() -> dict[str, Any]:
    try:
        found = json.loads(records_path().read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
