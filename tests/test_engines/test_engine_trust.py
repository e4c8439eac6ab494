"""What is made of a test of an engine in which a program ended: whose doing was it?"""

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engines import engine_key, engine_proof, engine_trust
from engines.config import VerificationRow
from engines.engine_proof import Candidate, has_passed, prove
from engines.engine_trust import Outcome, begun, forget_engine, only_tester, recall, record
from engines.errors import Cancelled, DeviceError, DeviceMemoryError, EngineFileError

ENGINE = Candidate(Path("/a b/x.vl2/engines/sm89/audio.engine"), "ab" * 32, "the key")
GOOD = VerificationRow("encode_audio", 0.1, 0.01, 0.02, "self-test")
BAD = VerificationRow("encode_audio", 0.1, 0.5, 0.02, "self-test")
# A program that is testing an engine when something happens to it.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from engines import engine_key
from app.termination import end_now, hear_termination
engine_key.user_data_path = lambda *_, **__: Path(sys.argv[1])
from engines.engine_trust import begun, only_tester
if os.name == "posix":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # Who runs the tests may have it ignored.
hear_termination()
with only_tester() as alone, begun("the key", "ab" * 32, "encode_audio"):
    print("testing", alone, flush=True)
    exec(sys.argv[2])
"""
SLEEP = "time.sleep(600)"
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


@pytest.fixture(autouse=True)
def user_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(engine_key, "user_data_path", lambda *_, **__: tmp_path)
    return tmp_path


def under_test(folder: Path, code: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, str(folder), code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "testing True\n"
    return process


def ended(process: "subprocess.Popen[str]") -> int:
    process.communicate(timeout=60)
    return process.returncode


def judged() -> Outcome | None:
    with only_tester() as alone:
        assert alone
    return recall(ENGINE.key)


@posix
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import ctypes; ctypes.string_at(0)", "Segmentation fault"),
        ("os.abort()", "Aborted"),
        ("os.kill(os.getpid(), signal.SIGBUS)", "Bus error"),
    ],
)
def test_an_engine_that_crashes_its_program_is_set_aside_at_once(
    user_data: Path, code: str, kind: str
) -> None:
    assert ended(under_test(user_data, code)) < 0
    found = judged()
    assert found is not None
    assert (found.state, found.detail) == ("failed", f"it ended the program: {kind}")
    with pytest.raises(EngineFileError, match=f"was set aside .*{kind}.* --force, or test it"):
        has_passed(ENGINE)


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_program_that_is_told_to_end_says_nothing_about_the_engine(
    user_data: Path, number: signal.Signals
) -> None:
    for _ in range(3):
        process = under_test(user_data, SLEEP)
        process.send_signal(number)
        assert ended(process) == 128 + number
    assert judged() is None


def test_one_that_ends_by_its_own_means_says_nothing_either(user_data: Path) -> None:
    for _ in range(3):
        assert ended(under_test(user_data, "end_now(130)")) == 130
    assert judged() is None


def test_one_that_its_parent_ends_says_nothing_either(user_data: Path) -> None:
    for _ in range(3):
        process = under_test(user_data, SLEEP)
        engine_trust.told_to_end(process.pid)
        process.kill()
        ended(process)
    assert judged() is None


def test_the_end_of_another_program_is_no_excuse(user_data: Path) -> None:
    for _ in range(2):
        process = under_test(user_data, SLEEP)
        engine_trust.told_to_end(process.pid + 1)
        process.kill()
        ended(process)
    found = judged()
    assert found is not None
    assert found.state == "failed"


def test_an_end_that_nobody_explains_is_forgiven_once(user_data: Path) -> None:
    for state in ("begun", "failed"):
        process = under_test(user_data, SLEEP)
        process.kill()  # As the power does, or a user whose machine hangs.
        ended(process)
        found = judged()
        assert found is not None
        assert (found.state, found.pid) == (state, 0)
    assert "ended 2 times while it was tested" in found.detail


def test_an_end_that_is_explained_between_does_not_wash_clean(user_data: Path) -> None:
    for code in ("os._exit(0)", "end_now(0)"):
        ended(under_test(user_data, code))
        found = judged()
        assert found is not None
        assert (found.state, found.ends) == ("begun", 1)
    prove(ENGINE, "encode_audio", lambda: GOOD, lambda: False)
    assert has_passed(ENGINE)


def test_a_second_program_waits_for_the_first_and_goes_by_what_came_of_it(
    user_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested: list[str] = []
    entered, let_go = threading.Event(), threading.Event()

    def first() -> VerificationRow:
        entered.set()
        assert let_go.wait(60)
        tested.append("first")
        return GOOD

    def second() -> VerificationRow:
        tested.append("second")
        return GOOD

    never: Callable[[], bool] = lambda: False  # noqa: E731
    threads = [
        threading.Thread(target=prove, args=(ENGINE, "encode_audio", one, never))
        for one in (first, second)
    ]
    threads[0].start()
    assert entered.wait(60)
    threads[1].start()
    time.sleep(0.3)
    let_go.set()
    for thread in threads:
        thread.join(60)
    assert tested == ["first"]
    assert has_passed(ENGINE)


def test_waiting_has_an_end_and_condemns_nobody(
    user_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_proof, "WAIT_S", 0.2)
    process = under_test(user_data, SLEEP)
    with pytest.raises(EngineFileError, match="Another program tests compiled engines"):
        prove(ENGINE, "encode_audio", lambda: GOOD, lambda: False)
    with pytest.raises(Cancelled):
        prove(ENGINE, "encode_audio", lambda: GOOD, lambda: True)
    found = recall(ENGINE.key)
    assert found is not None
    assert (found.state, found.pid) == ("begun", process.pid)
    process.kill()
    ended(process)
    prove(ENGINE, "encode_audio", lambda: GOOD, lambda: False)
    assert has_passed(ENGINE)


@pytest.mark.parametrize("error", [Cancelled("no"), KeyboardInterrupt(), DeviceMemoryError("no")])
def test_what_is_not_the_engine_s_doing_leaves_what_was_known(error: BaseException) -> None:
    def raising() -> VerificationRow:
        raise error

    for before in (None, Outcome("begun", "encode_audio", ENGINE.sha256, ends=1)):
        record(ENGINE.key, before)
        with pytest.raises(type(error)):
            prove(ENGINE, "encode_audio", raising, lambda: False)
        assert recall(ENGINE.key) == before


def test_what_is_its_doing_is_kept() -> None:
    def failing() -> VerificationRow:
        raise DeviceError("TensorRT failed.")

    with pytest.raises(DeviceError):
        prove(ENGINE, "encode_audio", failing, lambda: False)
    with pytest.raises(EngineFileError, match=r"set aside .*\(TensorRT failed\); build it anew"):
        has_passed(ENGINE)
    record(ENGINE.key, None)
    with pytest.raises(EngineFileError, match=r"failed the self-test .*differs by 0\.5"):
        prove(ENGINE, "encode_audio", lambda: BAD, lambda: False)
    with pytest.raises(EngineFileError) as caught:
        has_passed(ENGINE)
    assert 'vl2-export engines "/a b/x.vl2" --arch sm89 --force' in str(caught.value)


def test_an_engine_built_anew_is_forgotten_though_its_bytes_are_the_same() -> None:
    for key, engine in (("1", "a"), ("2", "b"), ("3", "a")):
        record(key, Outcome("failed", "no", engine))
    forget_engine("a")
    assert [key for key in "123" if recall(key)] == ["2"]


def test_a_list_larger_than_any_that_is_written_proves_nothing(user_data: Path) -> None:
    # The most that is kept, in a script that takes twelve bytes a letter, is read back.
    detail = "\N{GRINNING FACE}" * 9000
    others = range(engine_trust.MOST_RECORDS)
    records = {str(number): Outcome("failed", detail, "a" * 64) for number in others}
    engine_trust._write(records | {ENGINE.key: Outcome("passed", detail, ENGINE.sha256)})
    path = engine_trust.records_path()
    assert 2 << 20 < path.stat().st_size <= engine_trust.MAX_RECORDS_BYTES
    assert has_passed(ENGINE)
    assert recall("0") is None
    assert recall("1") is not None
    # One byte more than that, and nobody reads on.
    with path.open("ab") as file:
        file.truncate(engine_trust.MAX_RECORDS_BYTES)
    path.write_bytes(path.read_bytes().replace(b"\0", b" "))
    assert has_passed(ENGINE)
    with path.open("ab") as file:
        file.write(b" ")
    assert not has_passed(ENGINE)
    for text in (b"\xff" * 100, b"[" * 100_000, b'{"k": 1' + b"0" * 10_000 + b"}"):
        path.write_bytes(text)
        assert not has_passed(ENGINE)
    prove(ENGINE, "encode_audio", lambda: GOOD, lambda: False)
    assert has_passed(ENGINE)


@posix  # Elsewhere a file with a hole takes its size.
def test_a_list_that_never_ends_is_not_read_to_its_end() -> None:
    engine_trust.records_path().touch()
    os.truncate(engine_trust.records_path(), 1 << 40)
    assert not has_passed(ENGINE)
    prove(ENGINE, "encode_audio", lambda: GOOD, lambda: False)
    assert has_passed(ENGINE)


@posix  # Elsewhere a file with a hole takes its size.
@pytest.mark.parametrize("name", ["crash", "ended"])
def test_notes_of_ends_that_never_end_are_read_to_a_bound(user_data: Path, name: str) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    record(ENGINE.key, Outcome("begun", "encode_audio", ENGINE.sha256, 0, gone.pid))
    with engine_trust.records_path().with_suffix(f".{name}").open("wb") as file:
        file.write(b"Fatal Python error: Aborted" if name == "crash" else str(gone.pid).encode())
        file.truncate(1 << 40)  # Of nothing: a file with a hole.
    found = judged()
    assert found is not None
    assert len(found.detail) < 5000
    assert not list(user_data.glob(f"*.{name}"))


def test_a_folder_that_cannot_be_written_keeps_nothing_and_stops_nobody(
    user_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = user_data / "file"
    file.write_bytes(b"")
    monkeypatch.setattr(engine_key, "user_data_path", lambda *_, **__: file / "below")
    prove(ENGINE, "encode_audio", lambda: GOOD, lambda: False)
    assert not has_passed(ENGINE)


def test_crashes_are_heard_elsewhere_again_afterwards(
    user_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulthandler.enable(sys.__stderr__)  # As pytest did, unless a test before this one ended a log.
    asked: list[bool] = []
    monkeypatch.setattr("engines.log.hear_crashes", lambda: asked.append(True) or True)
    with only_tester(), begun("k", "s", "t"):
        assert (user_data / "engine-tests.crash").exists()
    assert asked == [True]
    faulthandler.enable(sys.__stderr__)
