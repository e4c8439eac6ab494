"""Blocks written into a text document.

Only what differs from what is shown already is written, so that a selection outlives more text.
No format holds a colour of the theme but a link's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontDatabase,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextFrameFormat,
    QTextLength,
    QTextList,
    QTextListFormat,
    QTextTable,
    QTextTableFormat,
)

from app.widgets import theme
from app.widgets.markdown_blocks import Block, Cell, ListItem, Run
from app.widgets.text_decorations import Decoration, join

_LINE_PERCENT = 125.0
_CODE_PADDING, _QUOTE_STEP, _GAP = 10, 16, 9
# Seen on light and on dark ground, so that a change of theme need not write the text again.
_INLINE_CODE = QColor(128, 128, 128, 46)
_TABLE_LINE = QColor(128, 128, 128, 120)
_HEADING_STEPS = {1: 2, 2: 1, 3: 1}  # of Qt's font size adjustment
_CHECKED = {True: QTextBlockFormat.MarkerType.Checked, False: QTextBlockFormat.MarkerType.Unchecked}


class BlockWriter:
    """Keeps a document equal to a list of blocks, of which only the last ones still change."""

    def __init__(self, document: QTextDocument) -> None:
        """Take an empty document."""
        self._document = document
        self._blocks: list[Block] = []
        self._starts: list[int] = []  # the end of what stands before each block
        self._settled = 0
        self._open: list[Block] = []  # a settled table, of which another part may follow
        self._decorations: list[Decoration] = []  # of the settled blocks
        self._decorated = 0
        document.setUndoRedoEnabled(False)

    @property
    def blocks(self) -> Sequence[Block]:
        """What is shown."""
        return self._blocks

    def show(self, settled: Sequence[Block], tail: Sequence[Block]) -> bool:
        """Settle more blocks, and show others after them until the next call; tell of a change."""
        settled = _merged([*self._open, *settled])
        wanted = _merged([*settled, *tail])
        self._open = settled[-1:] if settled and settled[-1].rows else []
        same = 0
        shown = len(self._blocks) - self._settled
        while same < min(shown, len(wanted)) and (
            self._blocks[self._settled + same] == wanted[same]
        ):
            same += 1
        first = self._settled + same
        self._settled += len(settled) - len(self._open)
        if same == shown == len(wanted):
            return False
        cursor = QTextCursor(self._document)
        cursor.beginEditBlock()
        if same == shown - 1 and same < len(wanted) and self._extend(cursor, wanted[same]):
            same += 1
        else:
            self._cut(cursor, first)
        for block in wanted[same:]:
            self._append(cursor, block)
        cursor.endEditBlock()
        return True

    def restyle(self) -> None:
        """Write everything again, where a format holds a colour of the theme."""
        if not any(run.href for block in self._blocks for run in _all_runs(block)):
            return
        blocks, settled, still_open = self._blocks, self._settled, self._open
        self._blocks, self._starts, self._settled, self._open = [], [], 0, []
        self._decorations, self._decorated = [], 0
        self._document.clear()
        self.show(blocks, ())
        self._settled, self._open = settled, still_open

    def decorations(self) -> list[Decoration]:
        """What to paint beneath the text, in order."""
        for index in range(self._decorated, self._settled):
            self._decorate(index, self._decorations)
        self._decorated = self._settled
        result = self._decorations.copy()
        for index in range(self._settled, len(self._blocks)):
            self._decorate(index, result)
        return result

    def _decorate(self, index: int, above: list[Decoration]) -> None:
        block = self._blocks[index]
        start = self._starts[index] + (index > 0)
        if block.rule:
            above.append(Decoration("rule", start, start, 0))
        for level in range(block.quote):
            join(Decoration("quote", start, start, level * _QUOTE_STEP), index, above)
        if block.code:
            left = _quote_margin(block) + block.indent * self._document.indentWidth()
            join(Decoration("code", start, start, left), index, above)

    def _extend(self, cursor: QTextCursor, wanted: Block) -> bool:
        """Write only what the last block has more than before; False where that cannot be done."""
        shown = self._blocks[-1]
        if _continues(shown, wanted):
            self._extend_table(shown, wanted)
            return True
        if not shown.runs or replace(shown, runs=()) != replace(wanted, runs=()):
            return False
        whole, last = len(shown.runs) - 1, shown.runs[-1]
        if shown.runs[:whole] != wanted.runs[:whole] or len(wanted.runs) <= whole:
            return False
        grown = wanted.runs[whole]
        if replace(grown, text=last.text) != last or not grown.text.startswith(last.text):
            return False
        cursor.movePosition(QTextCursor.MoveOperation.End)
        rest = replace(grown, text=grown.text[len(last.text) :])
        for run in (rest, *wanted.runs[whole + 1 :]):
            cursor.insertText(run.text, _char_format(run, wanted))
        self._blocks[-1] = wanted
        return True

    def _extend_table(self, shown: Block, wanted: Block) -> None:
        table = self._document.rootFrame().childFrames()[-1]
        assert isinstance(table, QTextTable)
        same = 0
        for old, new in zip(shown.rows, wanted.rows, strict=False):
            if old != new:
                break
            same += 1
        if same < len(shown.rows):
            table.removeRows(same, len(shown.rows) - same)
        if same < len(wanted.rows):
            table.appendRows(len(wanted.rows) - same)
        _write_rows(table, wanted, same)
        self._blocks[-1] = wanted

    def _cut(self, cursor: QTextCursor, first: int) -> None:
        if first >= len(self._blocks):
            return
        cursor.setPosition(self._starts[first])
        kept = cursor.blockFormat()
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        cursor.setBlockFormat(kept)  # an empty block takes that of what was removed after it
        del self._blocks[first:], self._starts[first:]

    def _append(self, cursor: QTextCursor, block: Block) -> None:
        cursor.movePosition(QTextCursor.MoveOperation.End)
        before = self._blocks[-1] if self._blocks else None
        self._starts.append(cursor.position())
        form = _block_format(block, before)
        if before is None:
            cursor.setBlockFormat(form)
        else:
            cursor.insertBlock(form, QTextCharFormat())
        if block.item is not None:
            self._add_to_list(cursor, block.item, before)
        if block.rows:
            _write_table(cursor, block)
        for run in block.runs:
            cursor.insertText(run.text, _char_format(run, block))
        self._blocks.append(block)

    def _add_to_list(self, cursor: QTextCursor, item: ListItem, before: Block | None) -> None:
        going_on = self._list_above(cursor, item) if before is not None else None
        if going_on is not None:
            going_on.add(cursor.block())
            return
        shape = QTextListFormat()
        shape.setStyle(QTextListFormat.Style(item.style))
        shape.setIndent(item.level)
        shape.setStart(item.number)
        cursor.createList(shape)

    def _list_above(self, cursor: QTextCursor, item: ListItem) -> QTextList | None:
        """The list that an item continues: of its kind, with nothing but deeper parts between."""
        block = cursor.block().previous()
        for above in reversed(self._blocks):
            if above.item is None:
                if not above.indent or above.rows:
                    return None
            elif above.item.level == item.level:
                return block.textList() if above.item.style == item.style else None
            elif above.item.level < item.level:
                return None
            block = block.previous()
        return None


def _merged(blocks: Sequence[Block]) -> list[Block]:
    """Blocks with the parts of each table put together."""
    merged: list[Block] = []
    for block in blocks:
        if merged and _continues(merged[-1], block):
            merged[-1] = replace(block, rows=merged[-1].rows + block.rows[1:])
        else:
            merged.append(block)
    return merged


def _continues(before: Block, block: Block) -> bool:
    """Whether a table has the head of the one before, and no other part than it."""
    return bool(before.rows and block.rows) and before.rows[0] == block.rows[0]


def _all_runs(block: Block) -> Iterator[Run]:
    yield from block.runs
    for row in block.rows:
        for cell in row:
            yield from cell.runs


def _quote_margin(block: Block) -> float:
    return block.quote * _QUOTE_STEP


def _block_format(block: Block, before: Block | None) -> QTextBlockFormat:
    form = QTextBlockFormat()
    form.setLineHeight(_LINE_PERCENT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
    form.setTopMargin(0 if before is None else _gap(before, block))
    form.setLeftMargin(_quote_margin(block) + (_CODE_PADDING if block.code else 0))
    form.setIndent(block.indent)
    form.setHeadingLevel(block.heading)
    if block.code:
        form.setRightMargin(_CODE_PADDING)
        form.setProperty(QTextFormat.Property.BlockCodeFence, "`")
    if block.item is not None and block.item.checked is not None:
        form.setMarker(_CHECKED[block.item.checked])
    return form


def _gap(before: Block, block: Block) -> float:
    if before.code and block.code and before.quote == block.quote:
        return 0
    gap = _GAP
    if before.item is not None and (block.item is not None or block.indent):
        gap = 3
    if block.heading:
        gap += 5
    return gap + 6 * (before.code + block.code)


def _char_format(run: Run, block: Block) -> QTextCharFormat:
    form = QTextCharFormat()
    if run.bold or block.heading:
        form.setFontWeight(QFont.Weight.DemiBold)
    if block.heading in _HEADING_STEPS:
        form.setProperty(QTextFormat.Property.FontSizeAdjustment, _HEADING_STEPS[block.heading])
    form.setFontItalic(run.italic)
    form.setFontStrikeOut(run.strike)
    if run.code or block.code:
        mono = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        form.setFontFamilies([*mono.families(), "monospace"])
        form.setFontFixedPitch(True)
    if run.code:
        form.setBackground(_INLINE_CODE)
    if run.href:
        form.setAnchor(True)
        form.setAnchorHref(run.href)
        form.setFontUnderline(True)
        form.setForeground(theme.colour("accent"))
    return form


def _write_table(cursor: QTextCursor, block: Block) -> None:
    shape = QTextTableFormat()
    shape.setCellPadding(5)
    shape.setCellSpacing(0)
    shape.setBorder(1)
    shape.setBorderCollapse(True)
    shape.setBorderBrush(_TABLE_LINE)
    shape.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
    shape.setHeaderRowCount(1)
    shape.setTopMargin(_GAP)
    columns = max(len(row) for row in block.rows)
    shape.setColumnWidthConstraints([QTextLength()] * columns)
    _write_rows(cursor.insertTable(len(block.rows), columns, shape), block, 0)
    cursor.movePosition(QTextCursor.MoveOperation.End)


def _write_rows(table: QTextTable, block: Block, start: int) -> None:
    for row in range(start, len(block.rows)):
        for column, cell in enumerate(block.rows[row]):
            _write_cell(table.cellAt(row, column).firstCursorPosition(), cell)


def _write_cell(cursor: QTextCursor, cell: Cell) -> None:
    form = QTextBlockFormat()
    if cell.alignment:
        form.setAlignment(Qt.AlignmentFlag(cell.alignment))
    cursor.setBlockFormat(form)
    for run in cell.runs:
        cursor.insertText(run.text, _char_format(run, Block()))
