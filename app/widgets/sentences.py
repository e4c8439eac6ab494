"""A streamed answer, sentence by sentence, as it is read aloud. Knows no Qt."""

import re

_END = re.compile(r"[.!?…]+[\"'”’)\]*_]*\s+|[。！？]+[”’」]*|\n+")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")
_LINE_MARKS = re.compile(
    r"^[ \t]*(?:[-=:|*_ \t]+$|(?:`{3,}|~{3,}).*$|[-+*>][ \t]+|#{1,6}[ \t]+)|\|", re.M
)
_MARKS = re.compile(r"[*`~]+|(?<!\w)_+|_+(?!\w)")


class Sentences:
    """Takes a text piece by piece; gives each sentence once it has ended."""

    def __init__(self) -> None:
        """Nothing was written yet."""
        self._rest = ""

    def feed(self, text: str) -> list[str]:
        """Take more of the text; return the sentences that ended, without marks of Markdown."""
        self._rest += text
        ended, start = [], 0
        for end in _END.finditer(self._rest):
            said = spoken(self._rest[start : end.end()])
            if any(character.isalpha() for character in said):  # not at the dot of "2. "
                ended.append(said)
                start = end.end()
        self._rest = self._rest[start:]
        return ended

    def finish(self) -> list[str]:
        """Return what was not ended."""
        said, self._rest = spoken(self._rest), ""
        return [said] if said else []


def spoken(markdown: str) -> str:
    """A text without the marks of Markdown, on one line."""
    text = _LINE_MARKS.sub(" ", _LINK.sub(r"\1", markdown))
    return " ".join(_MARKS.sub("", text).split())
