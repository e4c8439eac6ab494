"""Programs run by a user who may read a folder but not write there, also in tests run as root."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that anybody can enter; pytest's own are closed to others, and closed again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Lets anybody read in a folder of a public one, and nobody but root write in it."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)


def unprivileged(imports: str, program: str, path: Path) -> str:
    """What a program prints; `path` is there under that name. Rights are given up after imports."""
    drop = f"os.setuid({_NOBODY}) if os.getuid() == 0 else None"
    lines = ["import os, sys; from pathlib import Path; path = Path(sys.argv[1])"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*lines, imports, drop, program]), str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
