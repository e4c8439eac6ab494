"""Every setting in one table: how it is shown, explained and limited.

The settings page and docs/settings.md are drawn from it, and the settings file is checked by it.
The texts are English sources for the translators, context "Settings"; no Qt here.
"""

import os
from dataclasses import dataclass
from typing import Literal

from app.translatable import QT_TRANSLATE_NOOP
from engines.bundle import LIMITS
from engines.sessions import MAX_THREADS

Kind = Literal["choice", "bool", "int", "float", "text", "path", "list"]

MAX_TEXT = 1 << 16
MAX_RECENT = 12
MAX_FOLDERS = 32


@dataclass(frozen=True)
class Field:
    """One setting: how it is shown, explained and limited.

    `label`, `explanation`, `none_label`, `group` and the second part of a choice are to be
    translated.

    Attributes:
        name: of the field of `Settings`.
        kind: what holds it; a "path" is a folder's name, "" none.
        group: heading on the settings page; "" where the window remembers it by itself.
        choices: (value, label) of a "choice".
        minimum, maximum: of a number; of a list, `maximum` entries.
        step: how far a click moves a number.
        optional: None is possible, and reads `none_label`.
    """

    name: str
    kind: Kind
    group: str
    label: str
    explanation: str
    choices: tuple[tuple[str, str], ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    optional: bool = False
    none_label: str = ""


_LOOK = QT_TRANSLATE_NOOP("Settings", "Appearance")
_MODEL = QT_TRANSLATE_NOOP("Settings", "Model")
_CLIP = QT_TRANSLATE_NOOP("Settings", "What is taken from a clip")
_ANSWER = QT_TRANSLATE_NOOP("Settings", "How answers are written")
_PRIVACY = QT_TRANSLATE_NOOP("Settings", "Privacy")

FIELDS: tuple[Field, ...] = (
    Field(
        "language",
        "choice",
        _LOOK,
        QT_TRANSLATE_NOOP("Settings", "Language"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "The language of the window; it changes when the program is started again. Answers are"
            " in whatever language the model writes.",
        ),
        choices=(
            ("system", QT_TRANSLATE_NOOP("Settings", "As the system")),
            ("en", "English"),
            ("de", "Deutsch"),
        ),
    ),
    Field(
        "theme",
        "choice",
        _LOOK,
        QT_TRANSLATE_NOOP("Settings", "Colours"),
        QT_TRANSLATE_NOOP("Settings", "Light or dark; by default as the system is set."),
        choices=(
            ("system", QT_TRANSLATE_NOOP("Settings", "As the system")),
            ("light", QT_TRANSLATE_NOOP("Settings", "Light")),
            ("dark", QT_TRANSLATE_NOOP("Settings", "Dark")),
        ),
    ),
    Field(
        "announce_answers",
        "bool",
        _LOOK,
        QT_TRANSLATE_NOOP("Settings", "Read answers to the screen reader"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "Each finished sentence of an answer is announced while the rest is still being"
            " written. Without a screen reader this changes nothing.",
        ),
    ),
    Field(
        "bundle",
        "path",
        _MODEL,
        QT_TRANSLATE_NOOP("Settings", "Model"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "The bundle that answers. Empty is the bundled demo model, which knows only its small"
            " synthetic world.",
        ),
    ),
    Field(
        "bundle_folders",
        "list",
        _MODEL,
        QT_TRANSLATE_NOOP("Settings", "Further folders with models"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "Bundles in these folders are offered where they lie, without a copy; the program"
            " never deletes anything there.",
        ),
        maximum=MAX_FOLDERS,
    ),
    Field(
        "device",
        "choice",
        _MODEL,
        QT_TRANSLATE_NOOP("Settings", "Compute on"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "Automatic takes a GPU where what it needs is there: TensorRT engines or a matching"
            " ONNX Runtime; else the CPU, which every model can run on. What was asked for and is"
            " not there is told, never changed in silence.",
        ),
        choices=(
            ("auto", QT_TRANSLATE_NOOP("Settings", "Automatic")),
            ("cpu", "CPU"),
            ("cuda", "NVIDIA CUDA"),
            ("tensorrt", "NVIDIA TensorRT"),
        ),
    ),
    Field(
        "exact",
        "bool",
        _MODEL,
        QT_TRANSLATE_NOOP("Settings", "Exact arithmetic"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "Four-bit models round what flows through them to 8 bits for speed. Exact keeps 32"
            " bits: slower, a little closer to the published model. Other models are not changed.",
        ),
    ),
    Field(
        "threads",
        "int",
        _MODEL,
        QT_TRANSLATE_NOOP("Settings", "Threads"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "How many processor cores may work on an answer. Fewer leave room for other programs.",
        ),
        minimum=1,
        maximum=MAX_THREADS,
        step=1,
        optional=True,
        none_label=QT_TRANSLATE_NOOP("Settings", "One per core"),
    ),
    Field(
        "prepacked_gb",
        "int",
        _MODEL,
        QT_TRANSLATE_NOOP("Settings", "Disk space for quick starts, in GB"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "Large models are kept a second time, in the form that this processor wants, so that"
            " they open in seconds and take less memory. Beyond this size the longest unused goes;"
            " 0 keeps none. The folder may be deleted at any time.",
        ),
        minimum=0,
        maximum=1024,
        step=4,
    ),
    Field(
        "num_frames",
        "int",
        _CLIP,
        QT_TRANSLATE_NOOP("Settings", "Frames"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "How many pictures of a video the model sees, spread evenly. More catch short events"
            " but take longer; far from the number it was trained with, a model answers worse.",
        ),
        minimum=LIMITS["num_frames"][0],
        maximum=LIMITS["num_frames"][1],
        step=1,
        optional=True,
        none_label=QT_TRANSLATE_NOOP("Settings", "As the model was trained"),
    ),
    Field(
        "sound",
        "choice",
        _CLIP,
        QT_TRANSLATE_NOOP("Settings", "Picture and sound"),
        QT_TRANSLATE_NOOP(
            "Settings", "What of a clip the model gets when you open it; each question can differ."
        ),
        choices=(
            ("on", QT_TRANSLATE_NOOP("Settings", "Picture and sound")),
            ("off", QT_TRANSLATE_NOOP("Settings", "Picture only")),
            ("only", QT_TRANSLATE_NOOP("Settings", "Sound only")),
        ),
    ),
    Field(
        "audio_window",
        "choice",
        _CLIP,
        QT_TRANSLATE_NOOP("Settings", "How sound is heard"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "Covering hears the sound in consecutive windows at its natural speed. The published"
            " way hears eight short snippets of a video, or 30 seconds of a sound file.",
        ),
        choices=(
            ("cover", QT_TRANSLATE_NOOP("Settings", "Covering")),
            ("reference", QT_TRANSLATE_NOOP("Settings", "As published")),
        ),
    ),
    Field(
        "temperature",
        "float",
        _ANSWER,
        QT_TRANSLATE_NOOP("Settings", "Temperature"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "0 always takes the likeliest word, so that the same question gets the same answer."
            " Higher values vary more and are wrong more often.",
        ),
        minimum=0,
        maximum=2,
        step=0.05,
    ),
    Field(
        "top_p",
        "float",
        _ANSWER,
        QT_TRANSLATE_NOOP("Settings", "Top-p"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "With a temperature above 0: only the likeliest words that together reach this share"
            " are drawn from. 1 keeps all.",
        ),
        minimum=0.01,
        maximum=1,
        step=0.05,
    ),
    Field(
        "top_k",
        "int",
        _ANSWER,
        QT_TRANSLATE_NOOP("Settings", "Top-k"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "With a temperature above 0: only this many of the likeliest words are drawn from. 0"
            " keeps all.",
        ),
        minimum=0,
        maximum=1000,
        step=1,
        optional=True,
        none_label=QT_TRANSLATE_NOOP("Settings", "As the model says"),
    ),
    Field(
        "repetition_penalty",
        "float",
        _ANSWER,
        QT_TRANSLATE_NOOP("Settings", "Repetition penalty"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "Above 1, words that the answer already holds become less likely. It stops a model"
            " that goes round in circles, and spoils lists and names when set too high.",
        ),
        minimum=1,
        maximum=2,
        step=0.05,
        optional=True,
        none_label=QT_TRANSLATE_NOOP("Settings", "As the model says"),
    ),
    Field(
        "seed",
        "int",
        _ANSWER,
        QT_TRANSLATE_NOOP("Settings", "Seed"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "Where the chance of a temperature above 0 begins: the same seed gives the same answer"
            " again.",
        ),
        minimum=0,
        maximum=(1 << 31) - 1,
        step=1,
    ),
    Field(
        "max_new_tokens",
        "int",
        _ANSWER,
        QT_TRANSLATE_NOOP("Settings", "Longest answer"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "An answer is cut after so many tokens (a token is about three quarters of a word).",
        ),
        minimum=1,
        maximum=1 << 15,
        step=64,
        optional=True,
        none_label=QT_TRANSLATE_NOOP("Settings", "2048, or what the model has room for"),
    ),
    Field(
        "history_enabled",
        "bool",
        _PRIVACY,
        QT_TRANSLATE_NOOP("Settings", "Keep a history"),
        QT_TRANSLATE_NOOP(
            "Settings",
            "Conversations and the list of recent clips are kept on this computer, in your own"
            " data folder. Off: they are gone when the program ends; what was kept before stays"
            " until you delete it.",
        ),
    ),
    Field("recent", "list", "", "", "", maximum=MAX_RECENT),
    Field("volume", "float", "", "", "", minimum=0, maximum=1),
    Field("muted", "bool", "", "", ""),
    Field("window_geometry", "text", "", "", ""),
    Field("window_layout", "text", "", "", ""),
)
_BY_NAME = {row.name: row for row in FIELDS}


def problem(name: str, value: object) -> str | None:
    """Why a setting cannot have a value, in one sentence; None where it can."""
    row = _BY_NAME[name]
    if value is None:
        return None if row.optional else f"{name} must have a value."
    if row.kind == "choice":
        allowed = [choice for choice, _ in row.choices]
        return None if value in allowed else f"{name} must be one of {', '.join(allowed)}."
    if row.kind == "bool":
        return None if isinstance(value, bool) else f"{name} must be true or false."
    if row.kind in ("int", "float"):
        return _number_problem(row, value)
    if row.kind == "list":
        return _list_problem(row, value)
    return None if _is_text(value) else f"{name} must be a text."


def field_named(name: str) -> Field:
    """The table's row of a setting; KeyError where there is none."""
    return _BY_NAME[name]


def _number_problem(row: Field, value: object) -> str | None:
    kind = "a whole number" if row.kind == "int" else "a number"
    limits = f"{row.name} must be {kind} from {row.minimum:g} to {row.maximum:g}."
    if isinstance(value, bool) or not isinstance(value, int | float):
        return limits
    if row.kind == "int" and not isinstance(value, int):
        return limits
    if row.minimum is None or row.maximum is None or value != value:
        return limits
    return None if row.minimum <= value <= row.maximum else limits


def _list_problem(row: Field, value: object) -> str | None:
    limit = int(row.maximum or 0)
    fits = isinstance(value, list | tuple) and len(value) <= limit and all(map(_is_text, value))
    return None if fits else f"{row.name} must be a list of at most {limit} names."


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or len(value) > MAX_TEXT or "\0" in value:
        return False
    try:
        os.fsencode(value)  # JSON can spell halves of characters, which no file's name holds.
    except UnicodeEncodeError:
        return False
    return True
