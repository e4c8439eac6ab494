"""Markdown as plain data: blocks of runs. HTML stays text, images become their description.

Qt's reader of the GitHub dialect does the parsing, into a document that is never laid out, so that
nothing it names is ever loaded.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import (
    QTextBlock,
    QTextCharFormat,
    QTextDocument,
    QTextFormat,
    QTextListFormat,
    QTextTable,
)

_FEATURES = (
    QTextDocument.MarkdownFeature.MarkdownDialectGitHub
    | QTextDocument.MarkdownFeature.MarkdownNoHTML
)
_BOLD = 600  # the least weight that counts as bold
# Stands for the end of a line while Qt's reader joins lines; a space that nobody writes, since
# emphasis and bare links must end before it. One in the text becomes its twin.
_LINE_END, _TWIN = "\u2000", "\u2002"
LINE_BREAK = "\u2028"
_KEEPS_LINE = re.compile(r"[ \t]*(?:[#|]|\[[^\]]*\]:|[-=*_+>|~`:\s]*$)|.*\|")
_FENCE = re.compile(r"[ \t>]*(?:`{3,}|~{3,})")


@dataclass(frozen=True)
class Run:
    """Text of one look."""

    text: str
    bold: bool = False
    italic: bool = False
    strike: bool = False
    code: bool = False
    href: str = ""


@dataclass(frozen=True)
class ListItem:
    """A block that begins a list's item.

    Attributes:
        style: a QTextListFormat.Style.
        level: 1 outermost.
        number: from 1 or from what is written, for numbered lists.
        checked: of a task; None where there is no box.
    """

    style: int
    level: int
    number: int = 1
    checked: bool | None = None


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    runs: tuple[Run, ...]
    alignment: int = 0  # of Qt.AlignmentFlag; 0 by the text's direction


@dataclass(frozen=True)
class Block:
    """A paragraph, a heading, an item, a line of code, a rule or a table."""

    runs: tuple[Run, ...] = ()
    heading: int = 0
    quote: int = 0
    indent: int = 0
    item: ListItem | None = None
    code: bool = False
    rule: bool = False
    rows: tuple[tuple[Cell, ...], ...] = ()  # of a table; the first is its head


def parse(markdown: str) -> list[Block]:
    """Read Markdown; line ends inside a paragraph stay line ends."""
    document = QTextDocument()
    # The first line is empty, or "---" would begin a header of data that is not shown.
    document.setMarkdown("\n" + _mark_line_ends(markdown), _FEATURES)
    return list(_blocks(document))


def as_text(blocks: Sequence[Block]) -> str:
    """What a person would type: list marks and line ends stay, looks do not."""
    lines: list[str] = []
    for index, block in enumerate(blocks):
        before = blocks[index - 1] if index else None
        together = before is not None and (
            (before.code and block.code)
            or (before.item is not None and (block.item is not None or block.indent > 0))
        )
        if before is not None and not together:
            lines.append("")
        lines.extend(_lines(block))
    return "\n".join(lines)


def _lines(block: Block) -> list[str]:
    if block.rows:
        return ["\t".join(_words(cell.runs) for cell in row) for row in block.rows]
    if block.rule:
        return ["---"]
    mark, level = "", block.indent
    if block.item is not None:
        level = block.item.level - 1
        numbered = _is_numbered(block.item.style)
        mark = f"{block.item.number}. " if numbered else "- "
        if block.item.checked is not None:
            mark = "[x] " if block.item.checked else "[ ] "
    return ["> " * block.quote + "  " * level + mark + _words(block.runs)]


def _words(runs: Sequence[Run]) -> str:
    return "".join(run.text for run in runs).replace(LINE_BREAK, "\n")


def _mark_line_ends(markdown: str) -> str:
    lines = []
    fenced = False
    for line in markdown.replace(_LINE_END, _TWIN).split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and line.strip() and not _KEEPS_LINE.match(line):
            line = line.rstrip() + _LINE_END  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines)


def _blocks(document: QTextDocument) -> Iterator[Block]:
    place = document.rootFrame().begin()
    while not place.atEnd():
        frame = place.currentFrame()
        if isinstance(frame, QTextTable):
            yield Block(rows=_rows(frame))
        elif frame is None:
            block = _block(place.currentBlock())
            if block is not None:
                yield block
        place += 1


def _block(block: QTextBlock) -> Block | None:
    form = block.blockFormat()
    if form.hasProperty(QTextFormat.Property.BlockTrailingHorizontalRulerWidth):
        return Block(rule=True)
    runs = tuple(_runs(block))
    listed = block.textList()
    item = None
    if listed is not None:
        shape = listed.format()
        marks = {
            form.MarkerType.Checked: True,
            form.MarkerType.Unchecked: False,
        }
        item = ListItem(
            shape.style().value,
            shape.indent(),
            shape.start() + listed.itemNumber(block) if _is_numbered(shape.style().value) else 1,
            marks.get(form.marker()),
        )
    code = form.hasProperty(QTextFormat.Property.BlockCodeFence) or _is_code(block)
    if not runs and item is None and not code:
        return None  # Qt puts empty blocks around tables
    if code:
        runs = tuple(replace(run, code=False) for run in runs)
    quote = form.intProperty(QTextFormat.Property.BlockQuoteLevel)
    return Block(runs, form.headingLevel(), quote, form.indent(), item, code)


def _is_numbered(style: int) -> bool:
    return style <= QTextListFormat.Style.ListDecimal.value


def _is_code(block: QTextBlock) -> bool:
    """Whether it is a line of an indented code block: all of it, and not as `code` in a text."""
    kinds = [
        bool(shape.fontFamilies()) and not shape.fontFixedPitch() for _, shape in _fragments(block)
    ]
    return bool(kinds) and all(kinds)


def _runs(block: QTextBlock) -> Iterator[Run]:
    fragments = list(_fragments(block))
    for index, (text, shape) in enumerate(fragments):
        if shape.isImageFormat():
            image = shape.toImageFormat()
            about = image.property(QTextFormat.Property.ImageAltText) or image.name()
            words = QCoreApplication.translate("MarkdownBlocks", "[picture: {name}]")
            yield Run(words.format(name=about), href=_href(shape))
            continue
        code = bool(shape.fontFamilies())
        text = text.replace(_LINE_END + " ", " " if code else LINE_BREAK)  # noqa: PLW2901
        if index == len(fragments) - 1:
            text = text.removesuffix(_LINE_END)  # noqa: PLW2901
        text = text.replace(_LINE_END, "")  # noqa: PLW2901
        if text:
            yield Run(
                text,
                shape.fontWeight() >= _BOLD,
                shape.fontItalic(),
                shape.fontStrikeOut(),
                code,
                _href(shape),
            )


def _href(shape: QTextCharFormat) -> str:
    return shape.anchorHref() if shape.isAnchor() else ""


def _fragments(block: QTextBlock) -> Iterator[tuple[str, QTextCharFormat]]:
    place = block.begin()
    while not place.atEnd():
        fragment = place.fragment()
        yield fragment.text(), fragment.charFormat()
        place += 1


def _rows(table: QTextTable) -> tuple[tuple[Cell, ...], ...]:
    head, *body = [
        [_cell(table, row, column) for column in range(table.columns())]
        for row in range(table.rows())
    ]
    if body:  # Qt forgets how the head is aligned
        head = [
            replace(cell, alignment=below.alignment)
            for cell, below in zip(head, body[0], strict=True)
        ]
    return tuple(tuple(row) for row in (head, *body))


def _cell(table: QTextTable, row: int, column: int) -> Cell:
    cell = table.cellAt(row, column)
    runs: list[Run] = []
    block = cell.firstCursorPosition().block()
    while block.isValid() and block.position() <= cell.lastPosition():
        runs.extend(_runs(block))  # the first cell of all begins with an empty block
        alignment = block.blockFormat().alignment() & Qt.AlignmentFlag.AlignHorizontal_Mask
        block = block.next()
    if row == 0:
        runs = [replace(run, bold=True) for run in runs]  # Qt forgets it in the first cell
    return Cell(tuple(runs), alignment.value)
