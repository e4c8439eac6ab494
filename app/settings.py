"""What the user can set and what the window remembers: one frozen dataclass, one table, one file.

The table is `app.settings_table.FIELDS`; the file is JSON. A file that cannot be read is kept
aside, a value that cannot be is replaced by its default; either is said. Keys that this version
does not know are kept and saved again: starting an older program once costs a newer one nothing.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from app.set_aside import set_aside
from app.settings_table import FIELDS, MAX_RECENT, Field, field_named, problem
from engines.bundle import write_whole
from engines.config import AudioWindow, ClipOptions, SoundMode
from engines.errors import StoreError
from engines.prepacked import DEFAULT_GB
from engines.sampling import GenerateOptions

__all__ = [
    "FIELDS",
    "Field",
    "Settings",
    "clip_options",
    "field_named",
    "generate_options",
    "load",
    "problem",
    "save",
    "settings_path",
    "with_recent",
]

MAX_FILE_BYTES = 1 << 20
_NAMES = frozenset(row.name for row in FIELDS)


@dataclass(frozen=True)
class Settings:
    """Everything the user can set, and what the window remembers; see `FIELDS`."""

    language: str = "system"
    theme: str = "system"
    announce_answers: bool = True
    bundle: str = ""
    bundle_folders: tuple[str, ...] = ()
    device: str = "auto"
    exact: bool = False
    threads: int | None = None
    prepacked_gb: int = DEFAULT_GB
    num_frames: int | None = None
    sound: SoundMode = "on"
    audio_window: AudioWindow = "cover"
    temperature: float = 0.0
    top_p: float = 0.9
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int = 0
    max_new_tokens: int | None = None
    history_enabled: bool = True
    recent: tuple[str, ...] = ()
    volume: float = 0.8
    muted: bool = False
    window_geometry: str = ""
    window_layout: str = ""
    unknown: Mapping[str, Any] = field(default_factory=dict, hash=False)


def settings_path() -> Path:
    """Where this user's settings lie."""
    return user_config_path("vl2-desktop", appauthor=False) / "settings.json"


def load(path: Path, *, keep_aside: bool = True) -> tuple[Settings, str | None]:
    """Reads the settings; never fails.

    Args:
        path: the file.
        keep_aside: whether a file that cannot be read is renamed; False changes nothing on disk.

    Returns:
        The settings, and a sentence where something had to be put right (else None).
    """
    try:
        stored = _read(path)
    except FileNotFoundError:
        return Settings(), None
    except (OSError, ValueError, RecursionError):
        return Settings(), _keep_aside(path) if keep_aside else f"{path} cannot be read."
    known = {name: value for name, value in stored.items() if name in _NAMES}
    wrong = sorted(name for name, value in known.items() if problem(name, value) is not None)
    values = {name: _typed(name, value) for name, value in known.items() if name not in wrong}
    unknown = {name: value for name, value in stored.items() if name not in _NAMES}
    notice = None
    if wrong:
        notice = (
            f"{path} holds a value that cannot be for {', '.join(wrong)}; the default is used"
            " there, set it again in the settings."
        )
    return Settings(**values, unknown=unknown), notice


def save(settings: Settings, path: Path) -> None:
    """Writes the settings whole or not at all.

    Raises:
        StoreError: the file cannot be written.
    """
    known = {name: getattr(settings, name) for name in _NAMES}
    text = json.dumps({**settings.unknown, **known}, indent=1, sort_keys=True)
    try:
        # A link, as those have who keep their settings elsewhere, stays one.
        write_whole(path.resolve(), text.encode() + b"\n", durable=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise StoreError(
            f"The settings could not be saved to {path} ({reason}); check the folder's permissions"
            " and free space."
        ) from error


def with_recent(settings: Settings, path: Path) -> Settings:
    """The clip first in the list of recent ones; unchanged while no history is kept."""
    if not settings.history_enabled:
        return settings
    name = str(path.absolute())
    others = (other for other in settings.recent if other != name)
    return replace(settings, recent=(name, *others)[:MAX_RECENT])


def clip_options(settings: Settings, path: Path) -> ClipOptions:
    """What is taken from a clip that is opened with these settings."""
    return ClipOptions(
        path,
        num_frames=settings.num_frames,
        sound=settings.sound,
        audio_window=settings.audio_window,
        seed=settings.seed,
    )


def generate_options(settings: Settings) -> GenerateOptions:
    """How a question is answered with these settings."""
    names = [f.name for f in dataclasses.fields(GenerateOptions) if f.name in _NAMES]
    return GenerateOptions(**{name: getattr(settings, name) for name in names})


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        text = file.read(MAX_FILE_BYTES + 1)
    if len(text) > MAX_FILE_BYTES:
        raise ValueError("too large")
    stored = json.loads(text)
    if not isinstance(stored, dict):
        raise ValueError("not an object")  # noqa: TRY004 (the caller asks for one kind)
    return stored


def _keep_aside(path: Path) -> str:
    try:
        kept = set_aside(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return (
            f"The settings {path} cannot be read and not be put aside either ({reason}); the"
            " defaults are used, check the folder's permissions."
        )
    return (
        f"The settings {path} could not be read; they are kept as {kept.name} and the defaults are"
        " used."
    )


def _typed(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if field_named(name).kind == "float" and value is not None:
        # Two places are what the page shows; a temperature below a hundredth is none.
        return round(float(value), 2)
    return value
