"""A process gives up what it does not need, for good, before it reads what nobody has checked.

Resource limits everywhere on POSIX; on Linux a system call filter (`engines.seccomp`: no network,
no other program, no process, nothing written) and Landlock (of the files only the ones named); on
Windows the parent puts the process into a job object (`engines.media_process`). What a system
lacks is left out: the functions say what was done, and `missing` says it in words.
"""

import ctypes
import os
import struct
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """What a confined process may take.

    Attributes:
        memory_bytes: of writable memory of its own.
        cpu_s: processor time of all its threads.
        open_files: descriptors at a time.
        threads: more than its user has in all programs when it starts. A system counts no other
            way, and whatever the user starts meanwhile counts, too: so there are plenty.
    """

    memory_bytes: int = 4 << 30
    cpu_s: int = 900
    open_files: int = 64
    threads: int = 1024


@dataclass(frozen=True)
class Confinement:
    """What of it took hold of a process.

    Attributes:
        limits: memory, processor time, open files; on Windows by the job object.
        threads: how many it may start.
        system_calls: no network, no program, no writing.
        files: none but the clip.
    """

    limits: bool = False
    threads: bool = False
    system_calls: bool = False
    files: bool = False


_MISSING = {
    "limits": "it could take all memory and time",
    "threads": "it could start threads without end",
    "system_calls": "the system would let it open connections, start programs and write files",
    "files": "the system would let it read the user's other files",
}


# What this process has been limited to, if it has.
_memory_bytes: list[int] = []


def missing(held: Confinement) -> tuple[str, ...]:
    """What a decoder that was taken over could do, for want of what did not take hold."""
    return tuple(words for name, words in _MISSING.items() if not getattr(held, name))


def limit_resources(limits: Limits) -> bool:
    """Set the limits of this process for good; False where the system has none of them."""
    if sys.platform == "win32":
        return False
    import resource

    wanted = {
        # Counts what is really writable; address space reserved by a library costs nothing.
        resource.RLIMIT_DATA: limits.memory_bytes,
        resource.RLIMIT_CPU: limits.cpu_s,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (value, value))
    _memory_bytes.append(limits.memory_bytes)
    return True


def memory_is_short() -> bool:
    """Whether this process came near its limit; else a damaged file has asked for any amount."""
    if sys.platform == "win32":
        return True  # nothing here knows
    import resource

    # Asking for the limit is refused by then.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return any(peak > limit / 3 for limit in _memory_bytes)


def limit_threads(limits: Limits) -> bool:
    """Limit for good how many threads there may be; False where nothing would keep to that.

    To be called while this user's programs can still be seen. The superuser has no such limit.
    """
    if not sys.platform.startswith("linux") or os.geteuid() == 0:
        return False
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = _threads_of_this_user() + limits.threads
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, hard))
    # Another container's programs of the same user count, too, and are not seen from here.
    try:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
    except RuntimeError:
        resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
        return False
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    return True


def _threads_of_this_user() -> int:
    if sys.platform == "win32":
        return 0
    count, user = 0, os.getuid()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            if process.stat().st_uid == user:
                # Behind the name, which may hold anything: the eighteenth field.
                count += int((process / "stat").read_bytes().rpartition(b")")[2].split()[17])
    return count


# <linux/landlock.h>; the numbers are the same on all machines.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _BENEATH = 1, 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many rights of files a version knows
_LATEST_RIGHTS, _NET_RIGHTS, _SCOPES = 16, 2, 2
_PR_SET_NO_NEW_PRIVS = 38
_NET_SINCE, _SCOPES_SINCE = 4, 6


def read_only(paths: Iterable[Path]) -> bool:
    """Of all files, leave this thread (and its later ones) those at or below `paths`, to be read.

    To be called before there is a second thread, which would keep its rights. False where there
    is one all the same, or the system has no Landlock.
    """
    if sys.platform != "linux":
        return False
    alone = _is_alone()
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return False
    rights = (1 << _RIGHTS.get(version, _LATEST_RIGHTS)) - 1
    attributes = struct.pack("Q", rights)
    if version >= _NET_SINCE:
        attributes += struct.pack("Q", (1 << _NET_RIGHTS) - 1)
    if version >= _SCOPES_SINCE:
        attributes += struct.pack("Q", (1 << _SCOPES) - 1)
    rules = libc.syscall(_CREATE_RULESET, ctypes.c_char_p(attributes), len(attributes), 0)
    if rules < 0:
        return False
    try:
        for path in paths:
            _allow_reading(libc, rules, path)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return bool(libc.syscall(_RESTRICT_SELF, rules, 0) == 0) and alone
    finally:
        os.close(rules)


def _is_alone() -> bool:
    """Whether this thread is the only one; one that has just ended is there for a moment more."""
    for _ in range(100):
        if len(list(Path("/proc/self/task").iterdir())) == 1:
            return True
        time.sleep(0.001)
    return False


def _allow_reading(libc: ctypes.CDLL, rules: int, path: Path) -> None:
    """Add a rule; what is not there needs none."""
    if sys.platform != "linux":
        return
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError):
        return
    try:
        # Libraries are mapped executable, which Landlock does not ask about.
        rights = _READ_FILE | (_READ_DIR if path.is_dir() else 0)
        rule = struct.pack("=Qi", rights, place)
        libc.syscall(_ADD_RULE, rules, _BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(place)
