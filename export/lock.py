"""One process at a time at one piece of work; the system lets go when that one ends, however."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.errors import ExportError
from engines.file_lock import only_writer


@contextmanager
def locked(path: Path, sentence: str) -> Iterator[None]:
    """Hold a file that only one process can hold.

    Args:
        path: The file; made if it is not there, and left there.
        sentence: What a user is told when another process holds it.

    Raises:
        ExportError: another process holds it.
    """
    with only_writer(path) as alone:
        if not alone:
            raise ExportError(sentence)
        yield
