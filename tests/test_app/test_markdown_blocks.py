import pytest
from PySide6.QtGui import QTextDocument

from app.widgets.markdown_blocks import LINE_BREAK, as_text, parse

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def app(qapp):
    return qapp


def words(markdown: str) -> list[str]:
    return ["".join(run.text for run in block.runs) for block in parse(markdown)]


def test_html_stays_text():
    text = "<b>x</b> <script>alert(1)</script> <img src='file:///etc/passwd'> <a href='x'>y</a>"
    (block,) = parse(text)
    assert "".join(run.text for run in block.runs) == text
    assert not any(run.bold or run.href for run in block.runs)


def test_html_block_stays_text():
    assert words("<div>\nx\n</div>") == [f"<div>{LINE_BREAK}x{LINE_BREAK}</div>"]


def test_images_become_their_description():
    (block,) = parse("see ![a dog](file:///etc/hostname) and ![](http://x.y/z.png) end")
    assert "".join(run.text for run in block.runs) == "see [picture: a dog] and  end"


def test_parsing_loads_nothing(monkeypatch):
    asked = []
    monkeypatch.setattr(QTextDocument, "loadResource", lambda *found: asked.append(found))
    parse("![x](file:///etc/hostname)\n\n![y](http://example.org/a.png)")
    assert asked == []


def test_line_ends_stay():
    assert words("one\ntwo **b**\nthree") == [f"one{LINE_BREAK}two b{LINE_BREAK}three"]
    assert words("- a\n  b\n- c") == [f"a{LINE_BREAK}b", "c"]
    assert words("> a\n> b") == [f"a{LINE_BREAK}b"]
    assert words("`a\nb`") == ["a b"]


def test_what_looks_like_a_header_of_data_is_shown():
    assert "title: x" in words("---\ntitle: x\n---\nhello")


def test_runs_have_their_looks():
    (block,) = parse("a **b** *c* ~~d~~ `e` [f](http://g.h)")
    looks = {run.text: run for run in block.runs}
    assert looks["b"].bold
    assert looks["c"].italic
    assert looks["d"].strike
    assert looks["e"].code
    assert looks["f"].href == "http://g.h"


def test_lists_know_their_numbers_and_levels():
    blocks = parse("3. a\n4. b\n   - c\n\n- [x] d\n- [ ] e")
    assert [block.item.number for block in blocks[:2]] == [3, 4]
    assert blocks[2].item.level == 2
    assert [block.item.checked for block in blocks[3:]] == [True, False]


def test_code_keeps_every_line():
    blocks = parse("```py\na\n\n  b\n```")
    assert all(block.code for block in blocks)
    assert [block.runs[0].text if block.runs else "" for block in blocks] == ["a", "", "  b"]
    assert parse("    indented")[0].code


def test_tables_have_every_cell():
    (block,) = parse("| A | B |\n|:--|--:|\n| **1** | 2 |")
    cells = [["".join(run.text for run in cell.runs) for cell in row] for row in block.rows]
    assert cells == [["A", "B"], ["1", "2"]]
    assert all(run.bold for cell in block.rows[0] for run in cell.runs)
    assert block.rows[0][0].alignment != block.rows[0][1].alignment


def test_as_text_is_what_a_person_would_type():
    text = "# H\n\npara\nline\n\n- a\n- b\n  - c\n\n1. x\n2. y\n\n```\ncode\nmore\n```\n\n> q"
    expected = "H\n\npara\nline\n\n- a\n- b\n  - c\n1. x\n2. y\n\ncode\nmore\n\n> q"
    assert as_text(parse(text)) == expected
    assert as_text(parse("| a | b |\n|---|---|\n| 1 | 2 |")) == "a\tb\n1\t2"
    assert as_text(parse("- [x] done")) == "[x] done"
