"""Compiled engines beside a bundle's graphs: what is there, and whether to trust it.

An engine is code, so a file is handed out only if this user's own key vouches for it. Engines lie
in `BUNDLE/engines/<arch>/`, with an `engines.json` there that tells what each was made of; it is
signed (HMAC-SHA256) with a key in the user's data folder. Knows files, hashes and JSON; compiling
is `export.tensorrt`, running `engines.backends.tensorrt_rtx`.
"""

import dataclasses
import hashlib
import hmac
import json
import mmap
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engines.bundle import ENGINES, Bundle, write_whole
from engines.config import MAX_MANIFEST_BYTES, Mismatch, from_json, to_json
from engines.engine_key import key_path, load_key, own_key
from engines.errors import EngineFileError

FORMAT = 1
LIST = "engines.json"
Flavour = Literal["rtx", "classic"]
# A tensor's dtype and shape, as in the manifest; a str is a free axis.
Tensors = dict[str, tuple[str, tuple[int | str, ...]]]
Sizes = tuple[int, ...]
_ARCH = re.compile(r"sm[0-9]{2,3}")
_JUNCTION = 0xA0000003


@dataclass(frozen=True)
class Compiler:
    """What compiled a set of engines: only the same version runs them."""

    flavour: Flavour
    version: str


@dataclass(frozen=True)
class EngineFile:
    """One compiled graph.

    Attributes:
        file: Its name in the folder of its architecture.
        size: Bytes; `sha256` is over them (hex).
        graph_file: The bundle's graph that it was made from.
        graph_sha256: `graph_hash` of that graph at the time.
        dtype: Type of the matrix products, and of the decoder's cache.
        inputs: As the compiler read them back from its network, and so `outputs`.
        profiles: Of each input with free axes, the least, the usual and the largest shape.
        weights_bytes: What the weights take on the device; `activation_bytes` what one running
            context takes beside them.
        build_s: How long compiling took.
    """

    file: str
    size: int
    sha256: str
    graph_file: str
    graph_sha256: str
    dtype: Literal["fp16", "bf16", "fp32"]
    inputs: Tensors
    outputs: Tensors
    profiles: dict[str, tuple[Sizes, Sizes, Sizes]]
    weights_bytes: int
    activation_bytes: int
    build_s: float


@dataclass(frozen=True)
class EngineSet:
    """The engines of one bundle for one GPU architecture ("sm89"); `bundle` is the bundle's id."""

    format: int
    tensorrt: Compiler
    arch: str
    bundle: str
    graphs: dict[str, EngineFile]


def compiler_name(compiler: Compiler) -> str:
    """A compiler as a sentence names it."""
    kind = "TensorRT for RTX" if compiler.flavour == "rtx" else "TensorRT"
    return f"{kind} {compiler.version}"


def engines_dir(bundle: Path, arch: str) -> Path:
    """The folder of a bundle's engines for an architecture.

    Raises:
        EngineFileError: that is no architecture's name, or the folder is a link: a bundle is not to
            be trusted, and what a build writes and removes there would be somebody else's.
    """
    if not _ARCH.fullmatch(arch):
        raise EngineFileError(f"There is no GPU architecture {arch!r}; give one such as sm89.")
    folder = bundle / ENGINES / arch
    for path in (folder.parent, folder):
        if _is_link(path):
            raise EngineFileError(f"{path} is a link, not a folder of engines; remove it.")
    return folder


def graph_hash(bundle: Bundle, graph: str) -> str:
    """SHA-256 (hex) over the hashes of a graph's file and of its weights, as the manifest has them.

    Raises:
        EngineFileError: the bundle has no such graph.
    """
    declared = bundle.config.graphs.get(graph)
    if declared is None:
        raise EngineFileError(f"The bundle {bundle.path} has no {graph} graph; leave it out.")
    # A graph's weights carry its name up to the first point: decoder.exact.onnx, decoder.data.
    stem = declared.file.split(".")[0]
    names = [
        name
        for name in sorted(bundle.config.files)
        if name == declared.file or (name.split(".")[0] == stem and not name.endswith(".onnx"))
    ]
    text = _canonical([[name, bundle.config.files[name].sha256] for name in names])
    return hashlib.sha256(text).hexdigest()


def read_engines(bundle: Bundle, arch: str) -> EngineSet:
    """The list of a bundle's engines for an architecture, if this user's key vouches for it.

    Their files are not looked at: `open_engine` does that.

    Raises:
        EngineFileError: there are none, the list is damaged or changed, it belongs to another
            bundle or architecture, or the key is not there.
    """
    path = engines_dir(bundle.path, arch) / LIST
    data = _read_list(path, bundle, arch)
    signature = data.pop("hmac", None)
    if not isinstance(signature, str) or not signature.isascii():
        raise _not_vouched(path)
    if not hmac.compare_digest(_sign(data, _read_key(path)), signature):
        raise _not_vouched(path)
    try:
        found = from_json(EngineSet, data, LIST)
    except Mismatch as error:
        raise EngineFileError(f"{path} is damaged ({error}); {_build(path)}.") from error
    if found.format != FORMAT:
        raise EngineFileError(
            f"{path} has format {found.format}, but this program reads {FORMAT}; {_build(path)}."
        )
    if found.bundle != bundle.id:
        raise EngineFileError(
            f"The engines in {path.parent} were made for another bundle or another export of it;"
            f" {_build(path)}."
        )
    if found.arch != arch:
        raise EngineFileError(
            f"{path} lists engines for {found.arch}, not for {arch}; {_build(path)}."
        )
    return found


def check_engine(bundle: Bundle, engines: EngineSet, graph: str, compiler: Compiler) -> EngineFile:
    """The entry of a graph's engine, if it fits the bundle and what will run it.

    Raises:
        EngineFileError: there is none, the graph has changed since, or another compiler made it.
    """
    folder = engines_dir(bundle.path, engines.arch)
    entry = engines.graphs.get(graph)
    if entry is None:
        command = build_command(folder / LIST)
        raise EngineFileError(
            f"There is no engine of the {graph} graph in {folder}; {command} builds it, or says why"
            " it cannot."
        )
    path = folder / entry.file
    if entry.file != f"{graph}.engine":
        raise EngineFileError(f"{path} is no name of an engine of {graph}; {_build(path)}.")
    if engines.tensorrt != compiler:
        made, wanted = (compiler_name(c) for c in (engines.tensorrt, compiler))
        raise EngineFileError(
            f"{path} was built by {made} and cannot be run by {wanted}; install that version, or"
            f" {_build(path)}."
        )
    if entry.graph_sha256 != graph_hash(bundle, graph):
        raise EngineFileError(f"{path} was built from another {graph} graph; {_build(path)}.")
    return entry


def open_engine(bundle: Bundle, engines: EngineSet, graph: str, compiler: Compiler) -> mmap.mmap:
    """A graph's engine, in memory of its own, after all of `check_engine` and its file's hash.

    What was hashed is what is returned: a file that is replaced or written into later is not seen,
    as it would be if the file itself were mapped.

    Raises:
        EngineFileError: it is missing, not whole, changed, or does not fit.
    """
    entry = check_engine(bundle, engines, graph, compiler)
    path = engines_dir(bundle.path, engines.arch) / entry.file
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise EngineFileError(f"{path} is a link or a folder, not an engine; {_build(path)}.")
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            if length != entry.size or not length:
                raise EngineFileError(
                    f"{path} has {length} bytes instead of {entry.size}, so it is not whole;"
                    f" {_build(path)}."
                )
            mapped = mmap.mmap(-1, length)
            with memoryview(mapped) as view:
                file.readinto(view)  # Of a file cut just now, the rest stays zero: see the hash.
    except FileNotFoundError as error:
        raise EngineFileError(f"{path} is missing; {_build(path)}.") from error
    except OSError as error:
        raise EngineFileError(
            f"{path} cannot be read ({error.strerror}); check the disk or its permissions."
        ) from error
    if hashlib.sha256(mapped).hexdigest() != entry.sha256:
        mapped.close()
        raise EngineFileError(
            f"{path} has been changed since it was built, so it is not run; {_build(path)}."
        )
    return mapped


def write_engines(bundle: Bundle, engines: EngineSet) -> None:
    """Writes the signed list of a bundle's engines, whole or not at all.

    The key is made when there is none; lists signed with an older one are then no longer vouched
    for.

    Raises:
        OSError: the disk is full, or may not be written.
    """
    data = to_json(dataclasses.replace(engines, format=FORMAT, bundle=bundle.id))
    data["hmac"] = _sign(data, own_key())
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    write_whole(engines_dir(bundle.path, engines.arch) / LIST, text.encode())


def build_command(engine: Path, *more: str) -> str:
    """The command that builds engines where one lies, as a sentence gives it.

    Args:
        engine: BUNDLE/engines/ARCH/FILE; the file may be the list.
        more: options; without --force only what is missing, changed or out of date is built.
    """
    folder = engine.parent
    bundle = str(folder.parent.parent)
    quoted = f'"{bundle}"' if " " in bundle else bundle
    return " ".join(("vl2-export engines", quoted, "--arch", folder.name, *more))


def build_anew(engine: Path) -> str:
    """What to do about an engine that is what its list says and does not serve all the same."""
    return f"build it anew with {build_command(engine, '--force')}"


def _build(engine: Path) -> str:
    return f"build it with {build_command(engine)}"


def _is_link(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False  # Not there, or not to be reached: whoever opens it says so.
    # A junction of Windows; Path.is_junction came with Python 3.12.
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _sign(data: dict[str, Any], key: bytes) -> str:
    return hmac.new(key, _canonical(data), hashlib.sha256).hexdigest()


def _not_vouched(path: Path) -> EngineFileError:
    return EngineFileError(
        f"{path} was changed or comes from another computer, so its engines are not run;"
        f" {_build(path)}."
    )


def _read_list(path: Path, bundle: Bundle, arch: str) -> dict[str, Any]:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # A pipe would be waited for.
            raise EngineFileError(f"{path} is not a file; {_build(path)}.")
        with path.open("rb") as file:
            text = file.read(MAX_MANIFEST_BYTES)
        data = json.loads(text)
    except FileNotFoundError as error:
        raise EngineFileError(
            f"{bundle.path} has no engines for {arch}; {_build(path)}."
        ) from error
    except OSError as error:
        raise EngineFileError(
            f"{path} cannot be read ({error.strerror}); check the disk or its permissions."
        ) from error
    except (ValueError, RecursionError) as error:
        raise EngineFileError(f"{path} is not valid JSON; {_build(path)}.") from error
    if not isinstance(data, dict):
        raise EngineFileError(f"{path} is not a list of engines; {_build(path)}.")
    return data


def _read_key(path: Path) -> bytes:
    """The user's key; `path` is the list that is to be checked with it."""
    key = load_key()
    if key is None:
        raise EngineFileError(
            f"The key that vouches for {path} is not in {key_path()}, so its engines are not run;"
            f" {_build(path)}."
        )
    return key
