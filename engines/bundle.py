"""Opening a bundle: every file is the one its manifest names, or one sentence says which is not.

Knows files and hashes; nothing of graphs or models. A graph's external weights are covered too:
only plain files of the folder that the manifest vouches for exist, and ONNX Runtime refuses a
reference that leaves the folder.
"""

import hashlib
import json
import os
import stat
import threading
import tokenize
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from engines.config import MAX_MANIFEST_BYTES, BundleConfig, parse_manifest
from engines.errors import BundleError
from engines.file_lock import own_folder

Tell = Callable[[int, int], None]

MANIFEST = "manifest.json"
# The folder of compiled engines: no part of the bundle, so its manifest does not name it.
ENGINES = "engines"
EMBEDDINGS, EMBEDDING_SCALES = "embed_tokens.npy", "embed_scales.npy"
# Files up to this size are hashed at every opening; larger ones once per (path, size, time).
ALWAYS_HASHED_BYTES = 64 << 20
# Some ten thousand large files; more is no list of ours.
MAX_HASHES_BYTES = 4 << 20
# Between what a number of the manifest can sensibly lie: these, any other from 1 to LARGEST_VALUE.
LARGEST_VALUE = 1 << 24
LIMITS = {
    "image_size": (1, 8192),
    "size": (1, 8192),
    "crop": (1, 8192),
    "rescale_factor": (1e-6, 1e3),
    "num_frames": (1, 128),
    "num_mel_bins": (1, 1024),
    "sample_rate": (4_000, 192_000),
    "window_s": (0.03, 600),
    "clip_duration_s": (0.03, 600),
    "clips_per_video": (1, 1024),
    "max_windows": (1, 1024),
}
# What desktops drop into any folder they show.
_DESKTOP_FILES = frozenset({"Thumbs.db", "desktop.ini"})
_GRAPHS = ("vision_tower", "projector", "decoder")


@dataclass(frozen=True)
class Bundle:
    """A checked bundle; `id` is the SHA-256 (hex) of its manifest and stands for all of it."""

    path: Path
    id: str
    config: BundleConfig

    def graph_path(self, graph: str) -> Path:
        """The ONNX file of a graph of the manifest."""
        return self.path / self.config.graphs[graph].file


def cache_dir() -> Path:
    """The folder for what this program can always make again; safe to delete."""
    return user_cache_path("vl2-desktop", appauthor=False)


def open_bundle(path: Path, tell: Tell | None = None) -> Bundle:
    """Reads the manifest and checks every file of the bundle against it.

    Args:
        path: the bundle's folder.
        tell: called with (bytes done, bytes in all) while a large file is read for the first time.

    Raises:
        BundleError: not a bundle, of another version, or a file is missing, unknown or damaged.
    """
    bundle = read_bundle(path)
    _check_contents(path, bundle.config, tell)
    return bundle


def read_bundle(path: Path) -> Bundle:
    """A bundle by its manifest alone: the contents of its files are not looked at.

    Raises:
        BundleError: not a bundle, of another version, or it names or holds what it must not.
    """
    if not path.is_dir():
        raise BundleError(
            f"There is no bundle at {path}; give a folder written by vl2-export, or leave --bundle"
            " out for the demo."
        )
    text = _read_manifest(path)
    config = parse_manifest(text, path / MANIFEST)
    _check_values(path, config)
    _check_names(path, config)
    return Bundle(path, hashlib.sha256(text).hexdigest(), config)


@dataclass(frozen=True)
class Embeddings:
    """Token embeddings, memory-mapped: `table` (vocab, H) and, where that is int8, a scale a row.

    Attributes:
        table: float32, float16 or int8.
        scales: (vocab,) float32, or None.
    """

    table: NDArray[Any]
    scales: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.table)

    def rows(self, ids: NDArray[np.int64]) -> NDArray[Any]:
        """Token ids (n,) to embeddings (n, H) float32."""
        found = np.asarray(self.table[ids], np.float32)
        return found if self.scales is None else found * self.scales[ids, None]


def open_embeddings(bundle: Bundle) -> Embeddings:
    """The token embeddings of a bundle.

    Raises:
        BundleError: a file is not such an array.
    """
    decoder = bundle.config.decoder
    shape = decoder.vocab_size, decoder.hidden_size
    table = _open_array(bundle.path / EMBEDDINGS, shape, ("float16", "float32", "int8"))
    if table.dtype != np.int8:
        return Embeddings(table)
    scales = _open_array(bundle.path / EMBEDDING_SCALES, shape[:1], ("float32",))
    return Embeddings(table, scales)


def _open_array(path: Path, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> NDArray[Any]:
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:
        raise BundleError(f"{path} is not a NumPy array; export the bundle again.") from error
    # A plain array over the same mapping: a memmap makes every slice one of its own kind.
    array: NDArray[Any] = np.asarray(mapped)
    if array.shape != shape or array.dtype.name not in dtypes:
        raise BundleError(
            f"{path} holds {array.dtype} {array.shape}, not what the manifest says; export the"
            " bundle again."
        )
    return array


def _read_manifest(path: Path) -> bytes:
    try:
        with (path / MANIFEST).open("rb") as file:
            return file.read(MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError as error:
        raise BundleError(
            f"{path} is not a bundle (it holds no {MANIFEST}); give a folder written by vl2-export."
        ) from error
    except OSError as error:
        raise BundleError(
            f"{path / MANIFEST} cannot be read ({error.strerror}); check its permissions."
        ) from error


def _check_values(path: Path, config: BundleConfig) -> None:
    vision, preprocess = config.vision, config.vision.preprocess
    parts = [("vision", vision), ("preprocess", preprocess), ("decoder", config.decoder)]
    parts += [("audio", config.audio)] if config.audio else []
    wrong = [
        f"{part}.{name}"
        for part, fields in parts
        for name, value in vars(fields).items()
        if type(value) in (int, float) and not _is_sensible(name, value)
    ]
    if vision.min_frames > vision.num_frames:
        wrong.append("vision.min_frames")
    if len(preprocess.image_mean) != 3 or not np.isfinite(preprocess.image_mean).all():
        wrong.append("preprocess.image_mean")
    if len(preprocess.image_std) != 3 or not all(0.001 < v < 1000 for v in preprocess.image_std):
        wrong.append("preprocess.image_std")
    if wrong:
        raise BundleError(
            f"The manifest of {path} has an impossible {wrong[0]}; export the bundle again."
        )


def _is_sensible(name: str, value: float) -> bool:
    low, high = LIMITS.get(name, (1, LARGEST_VALUE))
    return low <= value <= high


def _check_names(path: Path, config: BundleConfig) -> None:
    needed = ["tokenizer.json", "embed_tokens.npy", config.selftest.file]
    needed += [graph.file for graph in config.graphs.values()]
    missing = [name for name in _GRAPHS if name not in config.graphs]
    if config.audio is not None and "audio" not in config.graphs:
        missing.append("audio")
    missing += [name for name in needed if name not in config.files]
    if missing:
        raise BundleError(
            f"The manifest of {path} does not list {missing[0]}; export the bundle again."
        )
    for name in config.files:
        # On Windows a backslash or a drive would leave the folder as well.
        odd = set(name) & set("/\\:") or not name.isprintable()
        if odd or name in ("", ".", "..", MANIFEST):
            raise BundleError(
                f"The manifest of {path} names {name!r}, which is not a plain file name; do not"
                " use this bundle."
            )
    for entry in sorted(path.iterdir()):
        name = entry.name
        if name == ENGINES and stat.S_ISDIR(entry.lstat().st_mode):
            continue
        if name not in config.files and name != MANIFEST and not _is_desktop_file(name):
            raise BundleError(
                f"{path} holds {name}, which its manifest does not name; remove it or export the"
                " bundle again."
            )


def _check_contents(path: Path, config: BundleConfig, tell: Tell | None) -> None:
    remembered = _load_hashes()
    known = dict(remembered)
    for name, expected in config.files.items():
        file = path / name
        try:
            status = file.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise BundleError(
                    f"{file} is a link or a folder; put the file itself into the bundle."
                )
            if status.st_size == expected.size:
                digest = _digest(file, status, known, tell)
        except FileNotFoundError as error:
            raise BundleError(
                f"The bundle {path} lacks its file {name}; copy the bundle again or export it."
            ) from error
        except OSError as error:
            raise BundleError(
                f"{file} cannot be read ({error.strerror}); check the disk or its permissions."
            ) from error
        if status.st_size != expected.size or digest != expected.sha256:
            raise BundleError(
                f"{file} is damaged (it is not the file its manifest names); copy the bundle again"
                " or export it."
            )
    if known != remembered:
        _store_hashes(known)


def _digest(
    file: Path, status: os.stat_result, known: dict[str, list[Any]], tell: Tell | None
) -> str:
    if status.st_size <= ALWAYS_HASHED_BYTES:
        return file_sha256(file)
    stamp = [status.st_size, status.st_mtime_ns]
    key = str(file.resolve())
    entry = known.get(key)
    if entry is None or entry[:2] != stamp:
        known[key] = entry = [*stamp, file_sha256(file, tell)]
    return str(entry[2])


def file_sha256(path: Path, tell: Tell | None = None) -> str:
    """SHA-256 of a file's bytes, hex; raises OSError. `tell` gets (bytes done, bytes in all)."""
    digest = hashlib.sha256()
    done, total = 0, path.stat().st_size
    for block in _blocks(path):
        digest.update(block)
        done += len(block)
        if tell is not None:
            tell(done, total)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(4 << 20):
            yield block


def _hashes_path() -> Path:
    return cache_dir() / "hashes.json"


def _load_hashes() -> dict[str, list[Any]]:
    try:
        with _hashes_path().open("rb") as file:
            data = json.loads(file.read(MAX_HASHES_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(data, dict):
        return {}
    return {k: v for k, v in data.items() if isinstance(v, list) and len(v) == 3}


def _store_hashes(known: dict[str, list[Any]]) -> None:
    # Bundles that are gone, and exports that were renamed when finished, are forgotten.
    kept = {path: entry for path, entry in known.items() if _is_there(path)}
    # Only a convenience: without it a large file is hashed again next time.
    with suppress(OSError):
        write_whole(_hashes_path(), json.dumps(kept).encode())


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # A damaged list may name what is no path.
        return False


def write_whole(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Writes a file of the user's whole or not at all; raises OSError.

    Its folder is made private: what stands there says something about the user's clips.

    Args:
        path: the file; one that is there is replaced.
        content: all of it.
        durable: wait for the disk: for what cannot be made again.
    """
    own_folder(path.parent)
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_desktop_file(name: str) -> bool:
    return name.startswith(".") or name in _DESKTOP_FILES
