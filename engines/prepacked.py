"""Large graphs as the inference library wants them, written once to the user's cache folder.

Converting and packing gigabytes of weights takes seconds and private memory of their size at every
start. ONNX Runtime can write what it made of a graph; opened from there the weights are mapped:
shared between processes, given back when memory is short.

A decoder is written with its weights packed for the CPU's products: 4-bit ones are a hundred times
slower without. The library packs the copied originals again at each opening, piece by piece, and
takes a mapped piece where its hash is the same. Encoders, whose products have hundreds of rows,
are as fast unpacked: only their conversion to float32 is kept, and they open in a tenth of a
second.

What is trusted: an entry is made from a bundle that was checked, in a folder that only the user
can write, and is taken back only with the sizes and times it had when it was finished and with
the hash of its graph. That is what a bundle's own large files are held to after their first
reading. The folder is safe to delete at any time.
"""

import hashlib
import json
import os
import platform
import shutil
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.backends.onnxruntime import Session, open_ready, runtime_version, save_ready
from engines.bundle import Bundle, cache_dir, file_sha256, write_whole
from engines.errors import DeviceError
from engines.file_lock import only_writer, own_folder
from engines.last_use import last_use, mark_used
from engines.machine_memory import memory_here
from engines.page_cache import drop, fill
from engines.part_memory import graph_bytes

# Smaller graphs open at once anyway.
LEAST_BYTES = 256 << 20
DEFAULT_GB = 16
# Gigabytes the folder may take, 0 to keep none; read where the caller does not say.
VARIABLE = "VL2_PREPACKED_GB"
# What an entry takes, per byte of the graph: a decoder's originals (16 bits become 32) and packed
# weights, an encoder's float32 ones. Measured: 2.05 for an int4 decoder, 1.97 for its encoders.
COPIES = {"int4": 2.1, "fp16": 4.1, "fp32": 2.1}
ENCODER_COPIES = {"int4": 2.1, "fp16": 2.1, "fp32": 1.1}
# Left free on the disk for everything else.
MARGIN_BYTES = 2 << 30
# Raise it when entries of before must not be used.
_VERSION = 1
# Graphs whose products have one row for most of their life.
_PACKED = ("decoder", "decoder_exact")
_RECORD = "entry.json"
_UNFINISHED = ".tmp"


@dataclass(frozen=True)
class Usage:
    """The folder, what it holds and what it may hold, in bytes."""

    folder: Path
    entries: int
    used_bytes: int
    limit_bytes: int


class PrepackedStore:
    """Graphs made ready in a folder, the longest unused dropped beyond `limit_bytes`."""

    def __init__(self, folder: Path, limit_bytes: int, least_bytes: int = LEAST_BYTES) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._least = least_bytes

    def open(self, bundle: Bundle, graph: str, threads: int | None) -> Session | None:
        """A graph of a bundle from its copy here, which is made first if there is none.

        Returns:
            None where there is none and none can be made: the graph is small, the disk is full or
            read-only, another process is just making one. It is then opened as it is.
        """
        path = bundle.graph_path(graph)
        size = graph_bytes(bundle.config, graph)
        if self._limit <= 0 or size < self._least:
            return None
        entry, packed = self._folder / _key(bundle, graph), graph in _PACKED
        copies = (COPIES if packed else ENCODER_COPIES)[bundle.config.quantisation.scheme]
        if not _is_whole(entry) and not self._make(path, entry, packed, round(size * copies)):
            return None
        try:
            if packed:  # Encoders compute more than they read.
                fill((entry / path.name).with_suffix(".data"), memory_here().available_bytes)
            session = open_ready(entry / path.name, threads, packed)
        except DeviceError:
            _remove(entry)
            return None
        mark_used(entry / _RECORD, (other / _RECORD for other in self._entries()))
        return session

    def holds(self, bundle: Bundle, graph: str) -> bool:
        """Whether a graph's copy is there, so that opening it takes no memory of its own."""
        return self._limit > 0 and _is_whole(self._folder / _key(bundle, graph))

    def usage(self) -> Usage:
        """What the folder holds."""
        entries = self._entries()
        used = sum(_size(entry) for entry in entries)
        return Usage(self._folder, len(entries), used, self._limit)

    def _make(self, path: Path, entry: Path, packed: bool, needed: int) -> bool:
        if needed > self._limit:
            return False
        unfinished = entry.with_name(f"{entry.name}.{os.getpid()}{_UNFINISHED}")
        try:
            own_folder(self._folder)
            with only_writer(self._folder / "writer.lock") as alone:
                if not alone or _is_whole(entry):  # Whole: another process was just making it.
                    return alone
                self._tidy(needed)
                if shutil.disk_usage(self._folder).free < needed + MARGIN_BYTES:
                    return False
                unfinished.mkdir(mode=0o700)
                save_ready(path, unfinished, packed)
                _seal(unfinished, path.name)
                _remove(entry)
                unfinished.rename(entry)
                self._tidy(0)
        except (OSError, DeviceError):
            return False  # Only a convenience: without it the graph opens more slowly.
        finally:
            _remove(unfinished)
        return entry.is_dir()

    def _tidy(self, needed: int) -> None:
        """Drops what was left unfinished, and the longest unused beyond the limit."""
        for left in self._folder.glob(f"*{_UNFINISHED}"):
            _remove(left)
        entries = sorted(self._entries(), key=lambda entry: last_use(entry / _RECORD))
        total = needed + sum(_size(entry) for entry in entries)
        for entry in entries:
            if total <= self._limit:
                break
            total -= _size(entry)
            _remove(entry)

    def _entries(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return [e for e in self._folder.iterdir() if e.is_dir() and e.suffix != _UNFINISHED]


def prepacked_store(gigabytes: int | None = None) -> PrepackedStore:
    """The user's store.

    Args:
        gigabytes: what it may take, 0 to keep none; None asks the variable `VL2_PREPACKED_GB`,
            then takes 16.
    """
    if gigabytes is None:
        given = os.environ.get(VARIABLE, "")
        gigabytes = int(given) if given.isdecimal() else DEFAULT_GB
    return PrepackedStore(cache_dir() / "prepacked", gigabytes * 10**9)


def _key(bundle: Bundle, graph: str) -> str:
    relevant = [_VERSION, bundle.id, graph, runtime_version(), sys.platform, _cpu_kind()]
    return hashlib.sha256(json.dumps(relevant).encode()).hexdigest()[:32]


def _cpu_kind() -> list[str]:
    """What decides which kernels the library chooses."""
    kind = [platform.machine(), platform.processor()]
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        wanted = ("model name", "flags", "Features", "CPU part")
        kind += sorted({line for line in lines if line.startswith(wanted)})
    return kind


def _seal(folder: Path, graph_file: str) -> None:
    """Writes the record of a finished entry, once all of it is on the disk."""
    stamps = {}
    for file in sorted(folder.iterdir()):
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())
        drop(file)  # It comes back in larger pages, see `fill`.
        stamps[file.name] = _stamp(file)
    record = {"files": stamps, "graph": file_sha256(folder / graph_file), "file": graph_file}
    write_whole(folder / _RECORD, json.dumps(record).encode())


def _is_whole(entry: Path) -> bool:
    try:
        record = json.loads((entry / _RECORD).read_bytes())
        names = {file.name for file in entry.iterdir()} - {_RECORD}
        return (
            not entry.is_symlink()
            and record["files"] == {name: _stamp(entry / name) for name in names}
            and file_sha256(entry / record["file"]) == record["graph"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _stamp(file: Path) -> list[Any]:
    status = file.lstat()
    # The last one changes with any write and cannot be set back, but on Windows.
    times = [status.st_mtime_ns, status.st_ctime_ns]
    return [stat.S_ISREG(status.st_mode), status.st_size, *times]


def _size(entry: Path) -> int:
    total = 0
    with suppress(OSError):
        for file in entry.iterdir():
            total += file.lstat().st_size
    return total


def _remove(entry: Path) -> None:
    # Where a file is in use and cannot be removed (Windows), it goes another time.
    shutil.rmtree(entry, ignore_errors=True)
