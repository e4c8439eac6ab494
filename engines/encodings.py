"""What the encoders made of a clip, kept so that no clip is decoded or encoded twice.

A few results stay in memory and all go to the user's cache folder, up to a total size: a second
program about the same clip starts at the question. The folder is safe to delete at any time; an
entry that cannot be read counts as not there.
"""

import hashlib
import io
import json
import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle, write_whole
from engines.config import ClipOptions, Coverage, to_json
from engines.last_use import mark_used
from engines.messages import Modal

# Of the user's cache folder.
FOLDER = "encodings"
MEMORY_ENTRIES = 4
DISK_BYTES = 1 << 30
# Raise it when the same clip and options would give other numbers than before.
ENCODING_VERSION = 1
_ABANDONED_S = 3600.0
# A file is the SHA-256 of what follows, then a NumPy archive: a damaged one is never parsed.
_SUFFIX = ".encoding"
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Encoding:
    """A clip as the decoder takes it; the tokens of the picture stand before those of the sound.

    Attributes:
        key: hexadecimal digest of clip, options and bundle.
        modal: the placeholder it replaces in the prompt.
        visual_tokens: (V, H) float32, or None when no picture was used.
        audio_tokens: (A, H) float32, or None when no sound was used.
        coverage: what of the clip reached the encoders.
    """

    key: str
    modal: Modal
    visual_tokens: NDArray[Any] | None
    audio_tokens: NDArray[Any] | None
    coverage: Coverage


def encoding_key(clip_hash: str, options: ClipOptions, bundle: Bundle) -> str:
    """The digest under which a clip's encoding is kept: everything that can change it, only that.

    Args:
        clip_hash: stands for the clip's content, wherever it lies.
        options: what is taken from the clip; its path plays no part.
        bundle: whose encoders run.
    """
    frames = bundle.config.vision.num_frames if options.num_frames is None else options.num_frames
    relevant = {
        "version": ENCODING_VERSION,
        "clip": clip_hash,
        "bundle": bundle.id,
        "num_frames": frames,
        "range_s": options.range_s,
        "sound": options.sound,
        "audio_window": options.audio_window,
        "seed": options.seed if options.audio_window == "reference" else None,
        "pad": options.pad,
    }
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


class EncodingStore:
    """Encodings by key, in memory and, when given a folder, on disk."""

    def __init__(self, folder: Path | None, disk_bytes: int = DISK_BYTES) -> None:
        self._folder = folder
        self._disk_bytes = disk_bytes
        self._memory: OrderedDict[str, Encoding] = OrderedDict()

    def get(self, key: str) -> Encoding | None:
        """The encoding kept under a key, or None."""
        found = self._memory.get(key) or self._read(key)
        if found is not None:
            self._remember(found)
        return found

    def put(self, encoding: Encoding, on_disk: bool = True) -> None:
        """Keeps an encoding; a disk that is full or read-only is no error.

        Args:
            encoding: what to keep.
            on_disk: False for what must leave no trace, such as what a camera saw.
        """
        self._remember(encoding)
        if self._folder is not None and on_disk:
            # Only a convenience: without the file the clip is encoded again next time.
            with suppress(OSError):
                self._mark(_write(self._folder, encoding))
                _evict(self._folder, self._disk_bytes)

    def clear_memory(self) -> None:
        """Forgets what is in memory; the disk keeps its entries."""
        self._memory.clear()

    def _remember(self, encoding: Encoding) -> None:
        self._memory[encoding.key] = encoding
        self._memory.move_to_end(encoding.key)
        while len(self._memory) > MEMORY_ENTRIES:
            self._memory.popitem(last=False)

    def _read(self, key: str) -> Encoding | None:
        if self._folder is None:
            return None
        path = self._folder / f"{key}{_SUFFIX}"
        try:
            content = path.read_bytes()
        except OSError:
            return None
        self._mark(path)
        digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        return _decode(payload, key) if digest == hashlib.sha256(payload).digest() else None

    def _mark(self, path: Path) -> None:
        mark_used(path, path.parent.glob(f"*{_SUFFIX}"))


def _write(folder: Path, encoding: Encoding) -> Path:
    payload = _encode(encoding)
    path = folder / f"{encoding.key}{_SUFFIX}"
    write_whole(path, hashlib.sha256(payload).digest() + payload)
    return path


def _encode(encoding: Encoding) -> bytes:
    meta = {"modal": encoding.modal, "coverage": to_json(encoding.coverage)}
    arrays = {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)}
    for name in ("visual_tokens", "audio_tokens"):
        if (array := getattr(encoding, name)) is not None:
            arrays[name] = array
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _decode(payload: bytes, key: str) -> Encoding:
    with np.load(io.BytesIO(payload), allow_pickle=False) as stored:
        meta = json.loads(stored["meta"].tobytes())
        tokens = {
            name: stored[name] if name in stored.files else None
            for name in ("visual_tokens", "audio_tokens")
        }
    coverage = meta["coverage"]
    return Encoding(
        key,
        meta["modal"],
        tokens["visual_tokens"],
        tokens["audio_tokens"],
        Coverage(
            frame_times_s=tuple(coverage["frame_times_s"]),
            sound_spans_s=tuple((start, end) for start, end in coverage["sound_spans_s"]),
            notes=tuple(coverage["notes"]),
        ),
    )


def _evict(folder: Path, limit: int) -> None:
    entries = sorted(_entries(folder, _SUFFIX), key=lambda entry: entry[1].st_mtime_ns)
    total = sum(status.st_size for _, status in entries)
    for path, status in entries:
        if total <= limit:
            break
        path.unlink(missing_ok=True)
        total -= status.st_size
    for path, status in _entries(folder, ".tmp"):
        # Left by a program that was killed; also if the clock was set back since.
        if abs(time.time() - status.st_mtime) > _ABANDONED_S:
            path.unlink(missing_ok=True)


def _entries(folder: Path, suffix: str) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.iterdir():
        if path.suffix == suffix:
            with suppress(FileNotFoundError):  # Another process may be evicting too.
                yield path, path.stat()
