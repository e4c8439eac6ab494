"""The key that vouches for this user's compiled engines: 32 random bytes that nobody else reads."""

import errno
import os
import secrets
from pathlib import Path

from platformdirs import user_data_path

from engines.file_lock import own_folder

KEY_BYTES = 32
_KEY_TRIES = 5


def key_path() -> Path:
    """The file of the key that vouches for this user's engines."""
    return user_data_path("vl2-desktop", appauthor=False) / "engines.key"


def load_key() -> bytes | None:
    """The key; None where there is none that could be one."""
    try:
        with key_path().open("rb") as file:
            key = file.read(KEY_BYTES + 1)
    except OSError:
        return None
    return key if len(key) == KEY_BYTES else None


def own_key() -> bytes:
    """The user's key, made if there is none or what is there cannot be one.

    Raises:
        OSError: it cannot be written.
    """
    path = key_path()
    own_folder(path.parent)
    for _ in range(_KEY_TRIES):
        key = load_key()
        if key is not None:
            return key
        # It gets its name when it is whole, and only if no other program's has it by then: both
        # sign with the same one.
        fresh = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            with open(fresh, "xb", opener=_private) as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            _name_first(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path))


def _name_first(fresh: Path, path: Path) -> None:
    """Gives a file a name that nobody has taken; a file that cannot be a key is removed."""
    try:
        os.link(fresh, path)
    except FileExistsError:
        if load_key() is None:
            path.unlink(missing_ok=True)
    except OSError:  # No links on this disk: a rename that may replace what came just now.
        if not path.exists():
            fresh.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
