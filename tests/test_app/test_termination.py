"""How the engine process ends is known to whoever tests engines next (`engines.engine_trust`)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.inference import EngineProcess, Load, Loaded, Reply
from engines import child_process, engine_key, engine_trust
from engines.engine_trust import Outcome, only_tester, recall, record


def eventually(condition: Callable[[], object], seconds: float = 60) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return bool(condition())


@pytest.fixture(autouse=True)
def user_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, in this process and in its children."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(engine_key, "user_data_path", lambda name, **_: tmp_path / name)
    return tmp_path


def begin_test(pid: int | None) -> None:
    assert pid is not None
    record("key", Outcome("begun", "next_logits", "ab", 0, pid))


def asleep() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def judged() -> Outcome | None:
    with only_tester() as alone:
        assert alone
    return recall("key")


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_DATA_HOME")
@pytest.mark.parametrize("how", ["closed", "SIGTERM", "SIGKILL"])
def test_an_engine_process_that_ends_in_a_test(how: str) -> None:
    said: list[Reply] = []
    process = EngineProcess(said.append)
    process.start()
    process.submit(Load())
    assert eventually(lambda: any(isinstance(reply, Loaded) for reply in said))
    begin_test(process.pid)
    if how != "closed":
        assert process.pid is not None
        os.kill(process.pid, signal.Signals[how])
        assert eventually(lambda: not process.alive)
    process.close()
    found = judged()
    assert (found is None) == (how != "SIGKILL")
    assert found is None or (found.state, found.ends) == ("begun", 1)


def test_one_that_does_not_end_is_excused_before_it_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sleeper = asleep()
    monkeypatch.setattr(child_process, "start", lambda module: sleeper)
    process = EngineProcess(lambda reply: None)
    process.start()
    assert eventually(lambda: process.pid is not None)
    begin_test(process.pid)
    process.close(timeout_s=0.2)
    assert sleeper.poll() is not None
    assert judged() is None


def test_one_that_is_killed_because_it_hangs_is_not_excused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted: list[int | None] = []
    monkeypatch.setattr(engine_trust, "told_to_end", noted.append)
    monkeypatch.setattr("app.inference.told_to_end", noted.append)
    sleeper = asleep()
    monkeypatch.setattr(child_process, "start", lambda module: sleeper)
    process = EngineProcess(lambda reply: None)
    process.start()
    assert eventually(lambda: process.pid is not None)
    process.kill()
    assert eventually(lambda: not process.alive)
    assert noted == []
