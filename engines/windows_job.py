"""Windows' counterpart of resource limits: a job object that a process is put into."""

import ctypes
import subprocess
import sys

from engines.confine import Limits

_EXTENDED_LIMITS, _UI_RESTRICTIONS = 9, 4  # JOBOBJECTINFOCLASS
_PROCESS_TIME, _ACTIVE_PROCESSES, _PROCESS_MEMORY = 0x2, 0x8, 0x100
_DIE_ON_UNHANDLED_EXCEPTION, _KILL_ON_JOB_CLOSE = 0x400, 0x2000
_ALL_UI = 0xFF
_ALL_ACCESS = 0x1FFFFF
_TICKS_PER_S = 10_000_000
# The system ends a job's processes when its last handle is closed: with this process.
_jobs: dict[int, ctypes.c_void_p] = {}


class _BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = (
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", ctypes.c_uint32),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", ctypes.c_uint32),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", ctypes.c_uint32),
        ("SchedulingClass", ctypes.c_uint32),
    )


class _ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("BasicLimitInformation", _BasicLimits),
        ("IoInfo", ctypes.c_uint64 * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


def put_into_job(process: subprocess.Popen[bytes], limits: Limits) -> bool:
    """Limit a child's memory and time, forbid it children, and end it when this process ends.

    False where the system refuses, or is not Windows.
    """
    if sys.platform != "win32":
        return False
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateJobObjectW.restype = kernel.OpenProcess.restype = ctypes.c_void_p
    job = ctypes.c_void_p(kernel.CreateJobObjectW(None, None))
    if not job:
        return False
    wanted = _ExtendedLimits()
    basic = wanted.BasicLimitInformation
    basic.LimitFlags = (
        _PROCESS_TIME
        | _ACTIVE_PROCESSES
        | _PROCESS_MEMORY
        | _DIE_ON_UNHANDLED_EXCEPTION
        | _KILL_ON_JOB_CLOSE
    )
    basic.PerProcessUserTimeLimit = limits.cpu_s * _TICKS_PER_S
    basic.ActiveProcessLimit = 1
    wanted.ProcessMemoryLimit = limits.memory_bytes
    nothing = ctypes.c_uint32(_ALL_UI)
    handle = kernel.OpenProcess(_ALL_ACCESS, False, process.pid)
    done = kernel.SetInformationJobObject(
        job, _EXTENDED_LIMITS, ctypes.byref(wanted), ctypes.sizeof(wanted)
    ) and kernel.AssignProcessToJobObject(job, ctypes.c_void_p(handle))
    # Only now: a process that is in a job already (a task's, a terminal's) is let into no job
    # that has such restrictions.
    kernel.SetInformationJobObject(
        job, _UI_RESTRICTIONS, ctypes.byref(nothing), ctypes.sizeof(nothing)
    )
    kernel.CloseHandle(ctypes.c_void_p(handle))
    _jobs[process.pid] = job
    return bool(done)


def let_go(pid: int) -> None:
    """Close the job of a child that has ended."""
    job = _jobs.pop(pid, None)
    if sys.platform == "win32" and job is not None:
        ctypes.WinDLL("kernel32").CloseHandle(job)
