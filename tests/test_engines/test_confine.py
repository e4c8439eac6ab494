"""What a process has given up it cannot do: tried out in a process that tries."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engines import confine, seccomp
from tests.unprivileged import unprivileged

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="filters of Linux")

TRIES = """
import ctypes, fcntl, json, mmap, os, socket, subprocess, sys, threading
from pathlib import Path
from engines import confine, seccomp
clip, other, written = sys.argv[1:]
done = [confine.limit_resources(confine.Limits(memory_bytes=1 << 30, cpu_s=60, open_files=16)),
        seccomp.filter_system_calls(), confine.read_only([Path(clip), Path(sys.prefix)])]
def outcome(attempt):
    try:
        attempt()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return "done"
def connect():
    socket.create_connection(("127.0.0.1", 9))
def read(path):
    with open(path, "rb") as file:
        file.read()
def call(*arguments):
    if ctypes.CDLL(None, use_errno=True).syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")
numbers = {"x86_64": (234, 31), "aarch64": (131, 195)}[os.uname().machine]
parent, ends = os.getppid(), os.pipe()
tries = {
    "read the clip": lambda: read(clip),
    "read another file": lambda: read(other),
    "list a folder": lambda: os.listdir(os.path.dirname(other)),
    "write": lambda: open(written, "wb"),
    "change": lambda: open(clip, "r+b"),
    "delete": lambda: os.unlink(other),
    "rename": lambda: os.rename(other, written),
    "link": lambda: os.symlink(other, written),
    "chmod": lambda: os.chmod(clip, 0),
    "socket": connect,
    "unix socket": lambda: socket.socket(socket.AF_UNIX),
    "program": lambda: subprocess.run(["true"]),
    "fork": os.fork,
    "signal": lambda: os.kill(parent, 0),
    "signal to a thread": lambda: call(numbers[0], parent, parent, 0),
    "signal of a pipe": lambda: fcntl.fcntl(ends[0], fcntl.F_SETOWN, parent),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, parent, 5),
    "processors": lambda: os.sched_setaffinity(parent, [0]),
    "shared memory of others": lambda: call(numbers[1], 0, 0, 0),
    "terminal": lambda: fcntl.ioctl(2, 0x5412, b"x"),
    "attributes": lambda: os.removexattr(clip, "user.mark"),
    "watch": lambda: call(253 if numbers[1] == 31 else 26, 0),
    "memory that is not counted": lambda: mmap.mmap(-1, 2 << 30),
    "memory that grows": lambda: mmap.mmap(-1, 1 << 30, flags=0x122),
    "memory": lambda: bytearray(2 << 30),
}
found = {name: outcome(attempt) for name, attempt in tries.items()}
def beside():
    found["socket in a thread"] = outcome(connect)
thread = threading.Thread(target=beside)
thread.start()
thread.join()
found["many files"] = outcome(lambda: [os.open(clip, os.O_RDONLY) for _ in range(32)])
print(json.dumps([done, found]))
"""


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bool], dict[str, str]]:
    folder = tmp_path_factory.mktemp("confined")
    clip, other = folder / "clip", folder / "other"
    clip.write_bytes(b"clip")
    other.write_bytes(b"other")
    answer = subprocess.run(
        [sys.executable, "-c", TRIES, str(clip), str(other), str(folder / "written")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.read_bytes() == b"other"
    assert not (folder / "written").exists()
    done, found = json.loads(answer.stdout)
    return done, found


def test_confinement_is_in_force(tried: tuple[list[bool], dict[str, str]]) -> None:
    assert tried[0] == [True, True, True]


def test_confined_process_reads_its_clip_and_nothing_else(
    tried: tuple[list[bool], dict[str, str]],
) -> None:
    found = dict(tried[1])
    assert found.pop("read the clip") == "done"
    assert found.pop("memory") == "MemoryError"
    assert found.pop("many files") == "OSError"
    assert found == dict.fromkeys(found, "PermissionError")
    assert len(found) == 24


def test_what_libraries_ask_for_is_let_through() -> None:
    code = """
import mmap, os, sys, threading
from engines import confine, seccomp
assert seccomp.filter_system_calls()
mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
thread = threading.Thread(target=print, args=["alive"])
thread.start()
thread.join()
os.set_inheritable(1, True)
sys.stdout.flush()
os.abort()
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.stdout == "alive\n"
    assert run.returncode == -signal.SIGABRT


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_filter_jumps_stay_inside_the_program(machine: str) -> None:
    program = seccomp.filter_program(machine)
    assert program is not None
    code = [program[at : at + 8] for at in range(0, len(program), 8)]
    for place, instruction in enumerate(code):
        kind = int.from_bytes(instruction[:2], "little")
        if kind & 7 == 5:  # a jump
            assert place + 1 + max(instruction[2], instruction[3]) < len(code)
    assert code[-1] == bytes([6, 0, 0, 0, 0, 0, 0xFF, 0x7F])  # return ALLOW


BOMB = """
threading.stack_size(32768)
ended = threading.Event()
bounded = confine.limit_threads(confine.Limits(threads=200))
started = 0
try:
    while started < 2000:
        threading.Thread(target=ended.wait).start()
        started += 1
except RuntimeError:
    pass
ended.set()
print(bounded, started)
"""


def test_work_without_end_is_ended() -> None:
    code = "from engines.confine import *\nlimit_resources(Limits(cpu_s=1))\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode in (-signal.SIGXCPU, -signal.SIGKILL)


def test_threads_are_bounded_whatever_little_they_take(tmp_path: Path) -> None:
    imports = "import resource, threading; from engines import confine"
    bounded, started = unprivileged(imports, BOMB, tmp_path).split()
    # Of 2000; the system counts what else this user runs meanwhile, too.
    assert bounded == "True"
    assert 100 <= int(started) <= 300


def test_thread_that_is_there_already_is_told() -> None:
    """It would keep the right to read all files."""
    code = """
import threading
from engines import confine
ended = threading.Event()
threading.Thread(target=ended.wait).start()
print(confine.read_only([]))
ended.set()
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert run.stdout == b"False\n"


def test_what_is_missing_is_said_in_words() -> None:
    whole = confine.Confinement(limits=True, threads=True, system_calls=True, files=True)
    assert confine.missing(whole) == ()
    [said] = confine.missing(replace(whole, files=False))
    assert "read the user's other files" in said
    assert len(confine.missing(confine.Confinement())) == 4


def test_unknown_machine_has_no_filter() -> None:
    assert seccomp.filter_program("sparc") is None
