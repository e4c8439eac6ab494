"""How much memory this computer has and how much of it is free, as far as the system says."""

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

_ZFS_CACHE = Path("/proc/spl/kstat/zfs/arcstats")


@dataclass(frozen=True)
class Memory:
    """This computer's memory in bytes; None where the system does not say."""

    total_bytes: int | None
    available_bytes: int | None


def memory_here() -> Memory:
    """This computer's memory, and where the process may have less (a container), that."""
    total, available = _system_memory()
    for limit, used in _container_limits():
        total = limit if total is None else min(total, limit)
        left = max(0, limit - used)
        available = left if available is None else min(available, left)
    return Memory(total, available)


def obtainable_bytes() -> int | None:
    """What this process may still take before the system ends one to make room.

    None where a program that asks for too much is refused instead, or the system does not say. The
    swap counts: what lies there is slow, but nobody dies of it.
    """
    facts = _meminfo()
    if "MemAvailable" not in facts:
        return None
    swap = facts.get("SwapFree", 0)
    left = [facts["MemAvailable"] + _zfs_cache_bytes()]
    left += [max(0, limit - used) for limit, used in _container_limits()]
    return min(left) + swap


def _system_memory() -> tuple[int | None, int | None]:
    if sys.platform == "win32":
        return _windows_memory()
    facts = _meminfo()
    if "MemTotal" in facts:
        return facts["MemTotal"], facts.get("MemAvailable")
    return _posix_memory(), None


def _meminfo() -> dict[str, int]:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        pairs = (line.partition(":") for line in lines if line.endswith(" kB"))
        return {name: int(value.split()[0]) << 10 for name, _, value in pairs}
    except (OSError, ValueError):
        return {}


def _zfs_cache_bytes() -> int:
    """What ZFS keeps of files: given up when needed, though the system does not say so."""
    try:
        lines = _ZFS_CACHE.read_text(encoding="ascii").splitlines()
        facts = {name: int(value) for name, _, value in (line.split() for line in lines[2:])}
        return max(0, facts["size"] - facts["c_min"])
    except (OSError, ValueError, KeyError):
        return 0


def _posix_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _windows_memory() -> tuple[int | None, int | None]:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("available", ctypes.c_ulonglong),
            ("rest", ctypes.c_ulonglong * 5),
        )

    status = Status(length=ctypes.sizeof(Status))
    if sys.platform == "win32" and ctypes.windll.kernel32.GlobalMemoryStatusEx(
        ctypes.byref(status)
    ):
        return int(status.total), int(status.available)
    return None, None


def _container_limits() -> list[tuple[int, int]]:
    """(limit, used) in bytes of the control groups that this process is in (Linux)."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    root = Path("/sys/fs/cgroup")
    named = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
    group = root / (named[0] if named else "")
    found = []
    for folder in (group, *group.parents):
        found += _group_limit(folder)
        if folder == root:
            break
    return found


def _group_limit(folder: Path) -> list[tuple[int, int]]:
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        return [] if limit == "max" else [(int(limit), used - _pages_of_files(folder))]
    except (OSError, ValueError):
        return []


def _pages_of_files(folder: Path) -> int:
    """What a control group has in memory of files, which counts as used and is given up."""
    try:
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        facts = {name: int(value) for name, value in (line.split() for line in lines)}
        return facts["active_file"] + facts["inactive_file"]
    except (OSError, ValueError, KeyError):
        return 0
