"""An engine's first use on a machine: the self-test, and what is kept of it.

One program tests at a time (`engine_trust`); another one waits for it, and goes by what came of it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engines.config import VerificationRow
from engines.engine_files import build_anew
from engines.engine_trust import Outcome, begun, only_tester, recall, record
from engines.errors import Cancelled, DeviceError, DeviceMemoryError, EngineFileError
from engines.selftest import passed

# How long another program's test is waited for; a large decoder is read and specialised in less.
WAIT_S = 90.0
_LOOK_S = 0.1


@dataclass(frozen=True)
class Candidate:
    """An engine that is to be used.

    Attributes:
        path: its file, in its bundle.
        sha256: that file's.
        key: what its record belongs to (`engine_trust.machine_key`).
    """

    path: Path
    sha256: str
    key: str


def prove(
    engine: Candidate,
    test: str,
    measured: Callable[[], VerificationRow],
    stopped: Callable[[], bool],
) -> None:
    """Tests an engine unless another program just did, and keeps what came of it.

    Args:
        engine: which.
        test: the name of its test.
        measured: runs it.
        stopped: whether the work was stopped while another program's test is waited for.

    Raises:
        EngineFileError: it has not passed, now or earlier, or another program tests for too long.
        DeviceMemoryError: there is no room now; nothing is kept then.
        DeviceError: the library or the GPU failed.
        Cancelled: the work was stopped; nothing is kept then.
    """
    with _turn(engine, stopped):
        if has_passed(engine):
            return
        before = recall(engine.key)
        with begun(engine.key, engine.sha256, test):
            came: Outcome | None = before
            try:
                row = measured()
                detail = f"{test} differs by {row.max_rel:.2g} of the largest value"
                came = Outcome("passed" if passed(row) else "failed", detail, engine.sha256)
            except (EngineFileError, DeviceError) as error:
                if not isinstance(error, DeviceMemoryError):
                    came = Outcome("failed", str(error), engine.sha256)
                raise
            finally:  # Ended by the user, or not the engine's fault: nobody knows.
                record(engine.key, came)
        if not passed(row):
            raise EngineFileError(
                f"{engine.path} failed the self-test ({detail}, {row.tolerance:.2g} is allowed), so"
                f" its ONNX graph is used; {build_anew(engine.path)}."
            )


def has_passed(engine: Candidate) -> bool:
    """Whether an engine has passed on this machine; EngineFileError when it was set aside."""
    tested = recall(engine.key)
    if tested is None or tested.state == "begun":
        return False
    if tested.state == "passed":
        return True
    bundle, what = engine.path.parent.parent.parent, tested.detail.partition("; ")[0].rstrip(".")
    raise EngineFileError(
        f"{engine.path} was set aside on this machine ({what}); {build_anew(engine.path)}, or test"
        f" it again with vl2 selftest --device tensorrt --bundle {bundle}."
    )


@contextmanager
def _turn(engine: Candidate, stopped: Callable[[], bool]) -> Iterator[None]:
    """Lasts while no other program tests engines."""
    until = time.monotonic() + WAIT_S
    while True:
        with only_tester() as alone:
            if alone:
                yield
                return
        if stopped():
            raise Cancelled("The work was stopped.")
        if time.monotonic() >= until:
            raise EngineFileError(
                f"Another program tests compiled engines, so {engine.path} waits for its own test"
                " and its ONNX graph is used; open the model again when the other one has begun to"
                " answer."
            )
        time.sleep(_LOOK_S)
