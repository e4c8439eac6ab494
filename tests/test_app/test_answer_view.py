import random

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt, QTimer, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication, QTextCursor, QTextFormat
from PySide6.QtWidgets import QApplication, QMessageBox

from app.widgets import theme
from app.widgets.answer_view import AnswerView, QuestionView
from app.widgets.markdown_blocks import as_text, parse
from app.widgets.markdown_stream import MarkdownStream
from app.widgets.rich_text import BlockWriter

pytestmark = pytest.mark.gui

SAMPLE = """# Title

A **red** circle\nmoves and `bounces`. See [page](http://x.y/z).

- one
- two
  - deep

    more
- three

7. seven
8. eight

```py
def f():

    return 1
```

> quote
>
> more

| a | b |
|---|--:|
| 1 | 2 |

---

| only | table |
|---|---|
| at | end |
"""


@pytest.fixture
def view(qtbot, qapp):
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)  # of the test before
    theme.apply(qapp, "light")
    made = AnswerView()
    made.resize(400, 300)
    qtbot.addWidget(made)
    made.show()
    return made


def shape(view: AnswerView) -> list[tuple]:
    """What a document holds, block by block."""
    found = []
    block = view.document().begin()
    while block.isValid():
        form, listed = block.blockFormat(), block.textList()
        runs, place = [], block.begin()
        while not place.atEnd():
            fragment = place.fragment()
            looks = fragment.charFormat()
            runs.append((fragment.text(), looks.fontWeight(), looks.anchorHref()))
            place += 1
        found.append(
            (
                block.text(),
                listed.itemText(block) if listed else None,
                form.topMargin(),
                form.leftMargin(),
                form.hasProperty(QTextFormat.Property.BlockCodeFence),
                QTextCursor(block).currentTable() is not None,
                runs,
            )
        )
        block = block.next()
    return found


def test_streamed_in_pieces_of_any_size_it_looks_as_written_at_once(view, qtbot):
    view.set_markdown(SAMPLE)
    whole = shape(view)
    for seed in range(12):
        other = AnswerView()
        qtbot.addWidget(other)
        chance, at = random.Random(seed), 0
        while at < len(SAMPLE):
            size = chance.choice([1, 2, 5, 20])
            other.add(SAMPLE[at : at + size])
            other.flush()
            at += size
        other.finish()
        assert shape(other) == whole
        assert other.markdown == SAMPLE
        assert other._decorations == view._decorations


def test_a_long_table_grows_by_its_rows(view):
    rows = [f"| {number}.5 s | circle {number} |" for number in range(90)]
    text = "Table:\n\n| time | what |\n|--:|---|\n" + "\n".join(rows)
    written = 0

    def count(_at, removed, added):
        nonlocal written
        written += removed + added

    view.document().contentsChange.connect(count)
    for at in range(0, len(text), 7):
        view.add(text[at : at + 7])
        view.flush()
    view.finish()
    assert written < 12 * len(text)
    (table,) = view.document().rootFrame().childFrames()
    assert table.rows() == 91
    cells = [table.cellAt(row, 1).firstCursorPosition().block().text() for row in range(1, 91)]
    assert cells == [f"circle {number}" for number in range(90)]
    assert as_text(view.blocks).split("\n")[2:] == [
        "time\twhat",
        *(f"{number}.5 s\tcircle {number}" for number in range(90)),
    ]


def test_what_is_settled_is_not_written_again(view):
    document = view.document()
    written = 0

    def count(_at, removed, added):
        nonlocal written
        written += removed + added

    document.contentsChange.connect(count)
    paragraph = "A red circle moves from left to right. "
    text = "\n\n".join([paragraph * 3] * 60)
    for at in range(0, len(text), 12):
        view.add(text[at : at + 12])
        view.flush()
    view.finish()
    # Qt counts the separator of a block anew with each change in it.
    assert written < 3 * len(text)


def test_batches_gather_pieces(view, qtbot, monkeypatch):
    shown = []
    monkeypatch.setattr(BlockWriter, "show", lambda _self, *_: shown.append(1) or False)
    for _ in range(50):
        view.add("word ")
    qtbot.waitUntil(lambda: bool(shown))
    qtbot.wait(60)
    assert len(shown) <= 2


def test_selection_outlives_more_text(view):
    view.add("A **red** circle moves")
    view.flush()
    cursor = view.textCursor()
    cursor.setPosition(2)
    cursor.setPosition(12, QTextCursor.MoveMode.KeepAnchor)
    view.setTextCursor(cursor)
    assert view.textCursor().selectedText() == "red circle"
    for piece in (" to the *ri", "ght* and", "\n\nanother paragraph\n\n- list", "\n- more"):
        view.add(piece)
        view.flush()
        assert view.textCursor().selectedText() == "red circle"
    view.finish()
    view.copy()
    assert QGuiApplication.clipboard().text() == "red circle"


def test_height_fits_the_words(view):
    view.set_markdown("word " * 200)
    wide, narrow = view.fit(600), view.fit(200)
    assert narrow > wide > 20
    assert view.verticalScrollBarPolicy() == Qt.ScrollBarPolicy.ScrollBarAlwaysOff


def test_very_long_words_are_broken(view):
    view.set_markdown("x" * 500 + "\n\n```\n" + "y" * 500 + "\n```")
    view.fit(200)
    assert view.document().size().width() <= 200


def test_right_to_left_text_begins_at_the_right(view):
    view.set_markdown("שלום עולם\n\nhello")
    view.fit(400)
    first = view.document().begin()
    assert first.textDirection() == Qt.LayoutDirection.RightToLeft
    assert first.next().textDirection() == Qt.LayoutDirection.LeftToRight
    assert first.layout().lineAt(0).naturalTextRect().left() > 200


def test_nothing_is_loaded(view, tmp_path):
    picture = tmp_path / "p.png"
    theme.pixmap("play", 16).save(str(picture))
    view.set_markdown(f"![x]({picture.as_uri()}) ![y]({picture})")
    view.grab()
    assert view.toPlainText() == "[picture: x] [picture: y]"
    assert view.loadResource(2, picture.as_uri()) is None


def answer_box(qtbot, role: QMessageBox.ButtonRole | None) -> list[str]:
    told: list[str] = []

    def press():
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        told.append(box.informativeText())
        found = [button for button in box.buttons() if box.buttonRole(button) == role]
        if found:
            found[0].click()
        else:
            box.reject()

    QTimer.singleShot(0, press)
    return told


def test_a_link_is_shown_and_opened_only_when_asked(view, qtbot, monkeypatch):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    view.set_markdown("[bank](http://evil.example/login)")
    address = QUrl("http://evil.example/login")
    told = answer_box(qtbot, None)
    view.anchorClicked.emit(address)
    assert told == ["http://evil.example/login"]
    assert opened == []
    answer_box(qtbot, QMessageBox.ButtonRole.AcceptRole)
    view.anchorClicked.emit(address)
    assert opened == ["http://evil.example/login"]
    answer_box(qtbot, QMessageBox.ButtonRole.ActionRole)
    view.anchorClicked.emit(address)
    assert QGuiApplication.clipboard().text() == "http://evil.example/login"


@pytest.mark.parametrize("address", ["file:///etc/passwd", "javascript:alert(1)", "smb://x/y"])
def test_other_addresses_cannot_be_opened(view, qtbot, monkeypatch, address):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    answer_box(qtbot, QMessageBox.ButtonRole.AcceptRole)
    view.anchorClicked.emit(QUrl(address))
    assert opened == []


def test_another_theme_recolours_links(view, qapp):
    view.set_markdown("a [b](http://c.d)")

    def link():
        block = view.document().begin()
        place = block.begin()
        place += 1
        return place.fragment().charFormat().foreground().color().name()

    assert link() == theme.LIGHT.accent
    theme.apply(qapp, "dark")
    assert link() == theme.DARK.accent
    theme.apply(qapp, "light")


def test_wheel_is_left_to_the_conversation(view, qtbot):
    question = QuestionView()
    qtbot.addWidget(question)
    question.setPlainText("<b>not bold</b> **nor this**")
    assert question.toPlainText() == "<b>not bold</b> **nor this**"
    asked = []
    view.menuRequested.connect(asked.append)
    view.menuRequested.emit(QPoint(1, 2))
    assert asked == [QPoint(1, 2)]


def test_hypothetical_worst_texts_do_no_harm(view):
    for text in ("`" * 400, "* " * 300, "[" * 300, "|" * 200 + "\n" + "|-" * 100, "\u202e\u2000 x"):
        other = MarkdownStream()
        for segment in [*other.feed(text), *other.finish()]:
            parse(segment)
        view.add(text)
        view.flush()
    view.finish()
    assert view.fit(300) > 0
