"""Texts that stand where no Qt is, marked for the translators."""


def QT_TRANSLATE_NOOP(context: str, text: str) -> str:
    """The text itself; `lupdate` finds it in the sources by this function's name."""
    return text
