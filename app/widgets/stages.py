"""The stages of the engine's work in the user's words."""

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

_WORDS = {
    "load": QT_TRANSLATE_NOOP("Stages", "Opening the model"),
    "media": QT_TRANSLATE_NOOP("Stages", "Reading the clip"),
    "vision": QT_TRANSLATE_NOOP("Stages", "Looking at the frames"),
    "audio": QT_TRANSLATE_NOOP("Stages", "Listening to the sound"),
    "prefill": QT_TRANSLATE_NOOP("Stages", "Taking it in"),
}
# Others count bytes or tokens, whose numbers say nothing to a person.
_COUNTED = ("vision", "audio")


def stage_text(stage: str, done: int, total: int) -> str:
    """What is being done, as in "Looking at the frames, 3 of 8"."""
    words = QCoreApplication.translate("Stages", str(_WORDS.get(stage, stage)))
    if stage not in _COUNTED or total < 2:
        return words
    counted = QCoreApplication.translate("Stages", "{what}, {done} of {total}")
    return counted.format(what=words, done=done, total=total)


def fraction(done: int, total: int) -> float | None:
    """How far it is, 0 to 1; None where that says nothing."""
    return min(1.0, done / total) if total > 1 else None
