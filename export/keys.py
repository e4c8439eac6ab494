"""Typed values out of a checkpoint's JSON, with errors that name the file and the key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.errors import CheckpointError


class Keys:
    """Reads typed values out of a JSON object and says which file lacks one."""

    def __init__(self, data: Mapping[str, Any], path: Path) -> None:
        self.data = data
        self.path = path

    def integer(self, name: str, default: int | None = None) -> int:
        """Return a whole number above zero."""
        value = self.data.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.bad(name, "a whole number above zero")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """Return a number above zero."""
        value = self.data.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise self.bad(name, "a number above zero")
        return float(value)

    def text(self, name: str) -> str:
        """Return a string."""
        value = self.data.get(name)
        if not isinstance(value, str):
            raise self.bad(name, "a string")
        return value

    def bad(self, name: str, wanted: str) -> CheckpointError:
        """Return the error for a key that is missing or is of another kind."""
        found = repr(self.data[name]) if name in self.data else "missing"
        return CheckpointError(
            f"In {self.path} the key {name} must be {wanted} but is {found}; use the checkpoint's"
            " own configuration."
        )
