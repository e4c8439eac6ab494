"""Typed values out of a checkpoint's JSON, with errors that name the file and the key."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from engines.errors import CheckpointError

# More than any width, count or length of a model: what is larger is a slip or an attack.
LARGEST = 1 << 24


class Keys:
    """Reads typed values out of a JSON object and says which file lacks one."""

    def __init__(self, data: Mapping[str, Any], path: Path) -> None:
        self.data = data
        self.path = path

    def integer(self, name: str, default: int | None = None) -> int:
        """Return a whole number above zero that a model can have."""
        value = self.data.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.bad(name, "a whole number above zero")
        if value > LARGEST:
            raise self.bad(name, f"at most {LARGEST}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """Return a finite number above zero."""
        value = self.data.get(name)
        value = default if value is None else value
        if not _is_number(value) or not 0 < value < math.inf:
            raise self.bad(name, "a number above zero")
        return float(value)

    def triple(self, name: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
        """Return three finite numbers, one for each colour."""
        value = self.data.get(name)
        value = default if value is None else value
        if (
            not isinstance(value, list | tuple)
            or len(value) != 3
            or not all(map(_is_number, value))
        ):
            raise self.bad(name, "three numbers")
        red, green, blue = map(float, value)
        return red, green, blue

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


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
