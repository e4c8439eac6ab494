"""A growing Markdown text, cut into segments that can be rendered each on its own.

What is settled is never looked at again, so that writing an answer costs its own length and not
its square. Knows no Qt. Link definitions reach as far as their segment.
"""

import re

# Code blocks and tables are settled in parts of so many lines; a table's parts have the same head.
PART_LINES = 24

_FENCE = re.compile(r"[ \t]*(`{3,}(?=[^`]*$)|~{3,})")
_ITEM = re.compile(r"(?:([-*+])|\d{1,9}([.)]))(?:[ \t]|$)")
_HEADING = re.compile(r"#{1,6}(?:[ \t]|$)")
_TABLE_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_UNFINISHED_MARK = re.compile(r"(?:^|\n)[ \t]*[-=*_+#>|~`]+[ \t]*$")
_OPEN_BOLD = re.compile(r"(?:^|[\s(\"'])\*\*[^\s*][^*\n]*$")
_OPEN_CODE = re.compile(r"(?:^|[\s(\"'])`[^\s`][^`\n]*$")


class MarkdownStream:
    """Takes a text piece by piece; gives settled segments once, and the rest as it is now."""

    def __init__(self) -> None:
        """Nothing was written yet."""
        self._partial = ""  # the last line, not ended yet
        self._lines: list[str] = []  # of the segment that is being written
        self._list_mark = ""  # the kind of list this segment is an item of, or nothing
        self._blank = False  # whether the last line was empty
        self._fence = ""  # the line that opened the code block, or nothing

    def feed(self, text: str) -> list[str]:
        """Take more of the text; return the segments that became settled by it."""
        *lines, self._partial = (self._partial + text.replace("\r", "")).split("\n")
        settled: list[str] = []
        for line in lines:
            self._take(line, settled)
        return settled

    def finish(self) -> list[str]:
        """Settle what is left."""
        settled: list[str] = []
        if self._partial:
            self._take(self._partial, settled)
        self._partial = ""
        self._settle(settled)
        return settled

    def tail(self) -> str:
        """What is not settled, so that it can be shown: marks that only began are held back."""
        text = "\n".join([*self._lines, self._partial])
        if self._fence:
            return text
        text = _UNFINISHED_MARK.sub("", text) if self._partial else text
        for opened, mark in ((_OPEN_BOLD, "**"), (_OPEN_CODE, "`")):
            if opened.search(text):
                text = text.rstrip() + mark
        return text

    def _take(self, line: str, settled: list[str]) -> None:
        if self._fence:
            self._take_code(line, settled)
            return
        if not line.strip():
            self._blank = True
            if self._lines:
                self._lines.append(line)
            return
        if self._lines and self._begins_segment(line):
            self._settle(settled)
        if not self._lines:
            self._list_mark = _list_mark(line)
        self._lines.append(line)
        if len(self._lines) > PART_LINES and self._is_table():
            settled.append("\n".join(self._lines))
            del self._lines[2:]
        self._blank = False
        self._fence = line if _FENCE.match(line) else ""

    def _take_code(self, line: str, settled: list[str]) -> None:
        opened = _FENCE.match(self._fence)
        assert opened is not None
        mark = opened[1]
        ended = line.strip()
        self._lines.append(line)
        nested = self._fence[0] in " \t" or len(self._lines) == 0 or self._lines[0] != self._fence
        if len(ended) >= len(mark) and set(ended) == {mark[0]}:
            self._fence = ""
            if not nested:
                self._settle(settled)
        elif not nested and len(self._lines) > PART_LINES:
            settled.append("\n".join([*self._lines, mark]))
            self._lines = [self._fence]

    def _is_table(self) -> bool:
        return (
            "|" in self._lines[0]
            and "|" in self._lines[1]
            and (_TABLE_RULE.match(self._lines[1]) is not None)
        )

    def _begins_segment(self, line: str) -> bool:
        if self._list_mark:
            if line[0] in " \t":
                return False
            return self._blank or _list_mark(line) == self._list_mark
        return self._blank or bool(_FENCE.match(line) or _HEADING.match(line))

    def _settle(self, settled: list[str]) -> None:
        if self._lines:
            settled.append("\n".join(self._lines))
        self._lines, self._list_mark, self._blank, self._fence = [], "", False, ""


def _list_mark(line: str) -> str:
    item = _ITEM.match(line)
    return "" if item is None else item[1] or item[2]
