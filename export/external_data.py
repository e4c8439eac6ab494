"""Where a tensor's values lie beside its graph, checked: a bundle may come from anybody."""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import ExportError


@dataclass(frozen=True)
class Place:
    """A piece of a file: `length` bytes from `offset` on."""

    file: Path
    offset: int
    length: int


def place_of(tensor: Any, graph: Path) -> Place:
    """Return where the values of an external tensor lie.

    Args:
        tensor: The onnx.TensorProto.
        graph: The .onnx file that it is in.

    Raises:
        ExportError: that is not a piece of a regular file beside the graph.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name = entries.get("location", "")
    numbers = [entries.get(key, "") for key in ("offset", "length")]
    # No path, no drive, no stream of Windows; what int() takes besides digits stands for nothing.
    plain = name not in ("", ".", "..") and not set(name) & set("/\\:\0")
    if not plain or not all(number.isascii() and number.isdigit() for number in numbers):
        raise _foreign(tensor, graph, "lie at no place beside it")
    file = graph.parent / name
    offset, length = (int(number) for number in numbers)
    try:
        status = file.lstat()
    except OSError as error:
        raise _foreign(tensor, graph, f"are not in {name} ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise _foreign(tensor, graph, f"are in {name}, which is a link or no file")
    if offset + length > status.st_size:
        raise _foreign(tensor, graph, f"go beyond the end of {name}")
    return Place(file, offset, length)


def _foreign(tensor: Any, graph: Path, what: str) -> ExportError:
    named = tensor.name.encode("ascii", "replace").decode()[:80]
    return ExportError(
        f"{graph} cannot be read: the values of {named!r} {what}; export the bundle again."
    )
