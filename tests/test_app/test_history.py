"""The history: written as it happens, found again, and never lost in silence."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app import database
from app.history import ClipRecord, ConversationRow, History, history_path
from engines.config import ClipOptions
from engines.errors import StoreError
from tests.test_app.conftest import threads
from tests.unprivileged import public_folder, read_only, unprivileged

ROOT = Path(__file__).parents[2]
CLIP = ClipRecord(Path("/clips/Überflug.mp4"), None, 1234, "video")
RECEIPT = {"answer": "A ball.", "token_ids": [3, 2], "coverage": {"notes": ["No sound."]}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.sqlite"


@pytest.fixture
def history(file: Path) -> Iterator[History]:
    opened = History.open(file)
    yield opened
    opened.close()


def talk(history: History, *pairs: tuple[str, str], title: str = "Talk") -> int:
    number = history.create(title, CLIP, "b" * 64)
    for question, answer in pairs:
        turn = history.add_turn(number, question, {"seed": 0})
        history.finish(turn, answer, "done", RECEIPT)
    return number


def found(history: History, query: str) -> list[str]:
    return [row.title for row in history.conversations(query)]


def marked(row: ConversationRow) -> str:
    return "".join(f"[{run.text}]" if run.match else run.text for run in row.snippet)


def test_a_new_history_is_empty_private_and_says_nothing(history: History, file: Path) -> None:
    assert history.conversations() == []
    assert (history.notice, history.in_memory) == (None, False)
    assert file.stat().st_mode & 0o77 == 0
    assert file.parent.stat().st_mode & 0o77 == 0


def test_what_was_said_comes_back_after_a_restart(file: Path) -> None:
    first = History.open(file)
    number = first.create("Balls", CLIP, "b" * 64)
    clip = ClipOptions(Path("/clips/a.mp4"), range_s=(1, 2))
    turn = first.add_turn(number, "What moves?", {"clip": clip, "seed": 3})
    for piece in (" A", "", " ball", "."):
        first.append(turn, piece)
    assert first.load(number).turns[0].answer == " A ball."
    first.finish(turn, "A ball.", "done", RECEIPT)
    first.close()

    with closing(History.open(file)) as again:
        record = again.load(number)
        assert (record.title, record.clip, record.bundle) == ("Balls", CLIP, "b" * 64)
        (kept,) = record.turns
        assert (kept.question, kept.answer, kept.status) == ("What moves?", "A ball.", "done")
        assert kept.receipt == RECEIPT
        assert kept.options["seed"] == 3
        assert kept.options["clip"]["range_s"] == [1, 2]
        (row,) = again.conversations()
        assert (row.id, row.title, row.clip_name, row.kind) == (
            number,
            "Balls",
            "Überflug.mp4",
            "video",
        )
        assert (row.turns, row.snippet) == (1, ())
        assert row.created <= row.updated <= time.time()
        assert sorted(p.name for p in file.parent.glob("*.lock")) == [
            p.name for p in file.parent.glob("history-open-*.lock")
        ]
    assert [p.name for p in file.parent.iterdir()] == ["history.sqlite"]


def test_the_last_used_conversation_is_the_first(history: History) -> None:
    one = talk(history, ("a", "b"), title="one")
    talk(history, title="two")
    assert [row.title for row in history.conversations()] == ["two", "one"]
    history.add_turn(one, "more", {})
    assert [row.title for row in history.conversations()] == ["one", "two"]
    assert len(history.conversations(limit=1)) == 1


def test_texts_that_a_database_does_not_take_are_kept_as_far_as_can_be(history: History) -> None:
    odd = Path(os.fsdecode(b"/clips/caf\xe9.mp4"))
    number = history.create("a\0b\n c\ud800", ClipRecord(odd, "0", 1, "video"), "")
    turn = history.add_turn(number, "x\0y\udcff", {"path": odd, "who": object()})
    history.append(turn, "p\0\ud83d")
    record = history.load(number)
    assert record.title == "a\ufffdb c\ufffd"
    assert record.clip is not None
    assert record.clip.path == odd
    assert record.turns[0].question == "x\ufffdy\ufffd"
    assert record.turns[0].answer == "p\ufffd\ufffd"
    assert record.turns[0].options["path"] == str(odd)
    assert history.conversations()[0].clip_name == "caf\ufffd.mp4"
    assert json.loads(history.export_json(number))["clip"]["path"] == str(odd)
    history.export_json(number).encode()
    history.export_markdown(number).encode()


def test_rename_keeps_a_title(history: History) -> None:
    number = talk(history, title="Old name")
    history.rename(number, "  New\nname ")
    assert found(history, "new name") == ["New name"]
    assert found(history, "old") == []
    history.rename(number, "   ")
    assert history.load(number).title == "New name"
    history.rename(number, "x" * 1000)
    assert len(history.load(number).title) == 200


def test_a_conversation_without_a_title_has_its_clip_s_name(history: History) -> None:
    assert history.load(history.create(" ", CLIP, "")).title == "Überflug.mp4"
    assert history.load(history.create(" ", None, "")).title == "Conversation"


def test_delete_can_be_undone_until_it_is_purged(history: History, file: Path) -> None:
    number = talk(history, ("secretword?", "yes"), title="Doomed")
    talk(history, title="Other")
    history.delete(number)
    assert found(history, "") == ["Other"]
    assert found(history, "secretword") == []
    history.undelete(number)
    assert sorted(found(history, "")) == ["Doomed", "Other"]
    assert found(history, "secretword") == ["Doomed"]
    with closing(History.open(file)) as other:
        history.delete(number)
        other.purge_deleted()
        history.undelete(number)
        assert found(history, "doomed") == ["Doomed"]
    history.delete(number)
    history.purge_deleted()
    history.undelete(number)
    assert found(history, "") == ["Other"]
    with pytest.raises(StoreError, match="not in the history"):
        history.load(number)


def test_what_a_killed_program_deleted_goes_a_day_later(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = start(
        """
number = history.create("Doomed", None, "")
history.delete(number)
print("deleted", flush=True)
sys.stdin.readline()
""",
        file,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "deleted\n"
    child.kill()
    child.communicate()
    with closing(History.open(file)) as history:
        assert history.load(1).title == "Doomed"
    monkeypatch.setattr("app.history.UNDO_S", 0.0)
    with closing(History.open(file)) as history, pytest.raises(StoreError):
        history.load(1)


def test_what_was_purged_is_not_left_on_the_disk(file: Path) -> None:
    history = History.open(file)
    number = talk(history, ("zebrasecret one two?", "wombatsecret"), title="quaggasecret")
    talk(history, ("harmless", "words"))
    history.delete(number)
    history.close()
    content = b"".join(p.read_bytes() for p in file.parent.iterdir())
    assert b"harmless" in content
    for word in (b"zebrasecret", b"wombatsecret", b"quaggasecret"):
        assert word not in content


def test_dropped_turns_stay_dropped(history: History) -> None:
    number = talk(history, ("one", "1"), ("two", "2"), ("three", "3"))
    turns = history.load(number).turns
    writing = history.add_turn(number, "four", {})
    history.drop_from(number, turns[1].id)
    history.append(writing, "late")
    history.finish(writing, "late", "done", None)
    new = history.add_turn(number, "five", {})
    assert new > writing
    assert [t.question for t in history.load(number).turns] == ["one", "five"]
    assert found(history, "three") == []
    assert found(history, "late") == []


def test_a_finished_turn_takes_no_more_pieces(history: History) -> None:
    number = talk(history, ("one", "1"))
    turn = history.load(number).turns[0].id
    history.append(turn, "more")
    assert history.load(number).turns[0].answer == "1"


def test_a_conversation_that_is_gone_is_one_sentence(history: History) -> None:
    with pytest.raises(StoreError, match=r"not in the history any more"):
        history.add_turn(99, "?", {})
    with pytest.raises(StoreError, match=r"not in the history any more"):
        history.export_json(99)
    history.rename(99, "x")
    history.delete(99)
    history.append(99, "x")
    history.finish(99, "x", "done", None)


# Search.


def test_search_goes_through_titles_clips_questions_and_answers(history: History) -> None:
    talk(history, ("What moves?", "A red ball bounces."), title="First")
    talk(history, ("What stands?", "A blue square."), title="Second")
    assert found(history, "bounces") == ["First"]
    assert found(history, "SECOND") == ["Second"]
    assert found(history, "stands") == ["Second"]
    assert sorted(found(history, "uberflug")) == ["First", "Second"]
    assert found(history, "ball moves") == ["First"]
    assert found(history, "ball stands") == []
    assert found(history, "oun") == ["First"]
    assert found(history, '"red ball"') == ["First"]
    assert found(history, '"ball red"') == []
    assert found(history, "a b") == ["Second", "First"]
    assert found(history, "zq") == []


def test_search_knows_no_language(history: History) -> None:
    talk(history, ("视频里有什么？", "一个红色的球在弹跳。"), title="中文")
    talk(history, ("Was fliegt über die Straße?", "Ein Élan."), title="Deutsch")
    assert found(history, "红色的") == ["中文"]
    assert found(history, "红") == ["中文"]
    assert found(history, "STRASSE") == ["Deutsch"]
    assert found(history, "elan") == ["Deutsch"]
    assert found(history, "ß") == ["Deutsch"]


@pytest.mark.parametrize(
    "query",
    [
        '"',
        '""',
        '"a',
        "'; DROP TABLE turn; --",
        "AND OR NOT",
        "NEAR(a b)",
        "a*",
        "***",
        "^moves",
        "title:moves",
        "-moves",
        "(((",
        "a\0b",
        "\ud800 x",
        "{folded}: moves",
        "%_\\",
        "x" * 100_000,
        "w " * 10_000,
        "moves\u2028moves",
        "💥💥💥",
    ],
)
def test_any_text_is_a_query(history: History, query: str) -> None:
    talk(history, ("What moves?", "A ball."))
    for row in history.conversations(query):
        assert row.title == "Talk"


def test_search_is_for_what_is_written(history: History) -> None:
    talk(history, ("100% sure?", 'He said "a*b" (c) AND d_e.'), title="Signs")
    talk(history, ("1000 sure?", "said a+b and dxe"), title="Others")
    assert found(history, "100%") == ["Signs"]
    assert found(history, "a*b") == ["Signs"]
    assert found(history, "d_e") == ["Signs"]
    assert found(history, "(c) AND") == ["Signs"]


def test_a_find_is_shown_in_its_place(history: History) -> None:
    words = " ".join(f"word{i}" for i in range(100))
    talk(history, ("Nothing here", f"{words}\nthen a RED Bâll\tbounces {words}"))
    (row,) = history.conversations("red ball")
    assert "a [RED] [Bâll] bounces word0" in marked(row)
    assert marked(row).startswith("… ")
    assert marked(row).endswith(" …")
    assert len(marked(row)) < 140
    (row,) = history.conversations("überFLUG")
    assert marked(row) == "[Überflug].mp4"


def test_a_damaged_index_is_made_again(file: Path) -> None:
    with closing(History.open(file)) as history:
        talk(history, ("What moves?", "A ball bounces."))
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("DELETE FROM entry_text_data WHERE id > 10")
        raw.commit()
    with closing(History.open(file)) as history:
        assert history.notice is None
        assert found(history, "bounces") == ["Talk"]
        assert found(history, "moves") == ["Talk"]


def test_a_damaged_index_does_not_keep_anything_from_being_written(file: Path) -> None:
    with closing(History.open(file)) as history:
        number = talk(history, ("What moves?", "A ball bounces."))
        history.delete(number)
        history._deleted.clear()  # as after a kill
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("UPDATE entry_text_data SET block = zeroblob(40) WHERE id > 10")
        raw.execute("UPDATE conversation SET deleted = 1")
        raw.commit()
    with closing(History.open(file)) as history:
        assert (history.notice, history.in_memory) == (None, False)
        history.purge_deleted()
        with pytest.raises(StoreError, match="not in the history"):
            history.load(number)
        other = talk(history, ("Now?", "It rests."))
    with closing(History.open(file)) as history:
        assert found(history, "rests") == ["Talk"]
        assert history.load(other).turns[0].answer == "It rests."


# What is wrong with the file.


def test_a_damaged_letter_costs_no_more_than_itself(file: Path) -> None:
    with closing(History.open(file)) as history:
        number = talk(history, ("What moves?", "A ball bounces."))
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("UPDATE turn SET answer = CAST(X'4120FF62616C6C' AS TEXT)")
        raw.execute("UPDATE conversation SET created = 9e999, updated = -1e15")
        raw.commit()
    with closing(History.open(file)) as history:
        assert history.notice is None
        record = history.load(number)
        assert record.turns[0].answer == "A \N{REPLACEMENT CHARACTER}ball"
        (row,) = history.conversations("ball")
        assert (record.created, record.updated, row.updated) == (0.0, 0.0, 0.0)
        assert "1970" in history.export_markdown(number)


def test_a_damaged_schema_is_found_out_whatever_letters_it_holds(file: Path) -> None:
    with closing(History.open(file)) as history:
        talk(history, ("a", "b"))
    content = file.read_bytes()
    assert content.count(b"CREATE INDEX entry_of_turn") == 1
    # SQLite quotes it in its complaint, which Python then cannot decode.
    file.write_bytes(
        content.replace(b"CREATE INDEX entry_of_turn", b"CREATE IN\xff\xfe entry_of_turn")
    )
    with closing(History.open(file)) as history:
        assert "damaged" in (history.notice or "")
        assert not history.in_memory


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_kept_aside_and_said(file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    with closing(History.open(file)) as history:
        assert history.notice is not None
        (kept,) = file.parent.glob("history-damaged-*.sqlite")
        assert kept.read_bytes() == content
        assert kept.name in history.notice
        assert not history.in_memory
        talk(history, ("a", "b"))
    with closing(History.open(file)) as history:
        assert history.notice is None
        assert len(history.conversations()) == 1


def test_a_file_damaged_in_the_middle_is_found_out(file: Path) -> None:
    with closing(History.open(file)) as history:
        for i in range(50):
            talk(history, (f"question {i} " * 50, "answer " * 200))
    content = bytearray(file.read_bytes())
    content[8192:40000] = os.urandom(40000 - 8192)
    file.write_bytes(content)
    with closing(History.open(file)) as history:
        assert "damaged" in (history.notice or "")
        assert history.conversations() == []
    assert list(file.parent.glob("history-damaged-*.sqlite"))


def test_a_database_of_another_program_is_kept_aside(file: Path) -> None:
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("CREATE TABLE turn (pirouette)")
        raw.execute("PRAGMA user_version = 1")
    with closing(History.open(file)) as history:
        assert "damaged" in (history.notice or "")


def test_a_newer_history_is_left_alone(file: Path) -> None:
    with closing(History.open(file)) as history:
        talk(history, ("a", "b"))
    with closing(sqlite3.connect(file)) as raw:
        raw.execute(f"PRAGMA user_version = {len(database.MIGRATIONS) + 1}")
    before = file.read_bytes()
    with closing(History.open(file)) as history:
        assert history.in_memory
        assert "newer version" in (history.notice or "")
        talk(history, ("c", "d"))
    assert file.read_bytes() == before
    assert not list(file.parent.glob("*damaged*"))


@pytest.mark.parametrize("place", ["folder", "file above"])
def test_where_no_file_can_be_made_memory_serves_and_it_is_said(place: str, tmp_path: Path) -> None:
    if place == "folder":
        path = tmp_path / "history.sqlite"
        path.mkdir()
    else:
        (tmp_path / "above").write_text("")
        path = tmp_path / "above" / "history.sqlite"
    with closing(History.open(path)) as history:
        assert history.in_memory
        assert "until the program ends" in (history.notice or "")
        talk(history, ("a", "bounces"))
        assert found(history, "bounces") == ["Talk"]


def test_of_a_read_only_folder_the_old_conversations_can_be_read() -> None:
    program = """
history = History.open(path)
print(history.in_memory, history.notice)
print([row.title for row in history.conversations("bounces")])
number = history.create("New", None, "")
history.finish(history.add_turn(number, "q", {}), "a", "done", None)
print(len(history.conversations()))
history.close()
"""
    with public_folder() as folder:
        file = folder / "history.sqlite"
        with closing(History.open(file)) as history:
            talk(history, ("a", "bounces"), title="Kept")
        before = file.read_bytes()
        with read_only(folder):
            said = unprivileged("from app.history import History", program, file).splitlines()
            assert [p.name for p in folder.iterdir()] == ["history.sqlite"]
        assert file.read_bytes() == before
    assert said[0].startswith("True The history ")
    assert "until the program ends" in said[0]
    assert said[1:] == ["['Kept']", "2"]


def test_a_sign_that_cannot_be_made_is_no_reason_not_to_start(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with closing(History.open(file)) as history:
        talk(history, title="Kept")
    monkeypatch.setattr("app.history.Presence", full)
    with closing(History.open(file)) as history:
        assert history.in_memory
        assert "No space left" in (history.notice or "")
        assert found(history, "") == ["Kept"]


def test_a_history_that_is_not_wanted_is_in_memory_without_a_word() -> None:
    with closing(History.open(None)) as history:
        assert (history.in_memory, history.notice) == (True, None)
        talk(history, ("a", "b"))
        assert len(history.conversations()) == 1


def test_a_disk_that_becomes_full_is_one_sentence_and_the_old_text_stays(
    history: History,
) -> None:
    number = talk(history, ("a", "b"))
    turn = history.add_turn(number, "long", {})
    pages = history._database.execute("PRAGMA page_count").fetchone()[0]
    history._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match=r"cannot be written .*full"):
        history.append(turn, "x" * 1_000_000)
    with pytest.raises(StoreError, match="cannot be written"):
        history.finish(turn, "y" * 100_000, "done", None)
    assert history.load(number).turns[0].answer == "b"
    history._database.execute("PRAGMA max_page_count = 1000000")
    history.finish(turn, "whole", "done", None)
    assert history.load(number).turns[1].answer == "whole"


# Migrations.


def test_an_older_file_is_brought_up_to_date_step_by_step(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(History.open(file)) as history:
        talk(history, ("a", "b"), title="Old")
    steps = (*database.MIGRATIONS, ("ALTER TABLE conversation ADD COLUMN pinned INTEGER",))
    monkeypatch.setattr(database, "MIGRATIONS", steps)
    with closing(History.open(file)) as history:
        assert history.notice is None
        assert found(history, "") == ["Old"]
        pinned = history._database.execute("SELECT pinned FROM conversation").fetchall()
        assert pinned == [(None,)]
    with closing(sqlite3.connect(file)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (len(steps),)


def test_a_step_that_fails_changes_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(History.open(file)) as history:
        talk(history, ("a", "b"), title="Old")
    steps = (*database.MIGRATIONS, ("CREATE TABLE half (a)", "UPDATE turn SET answer = json('{')"))
    with monkeypatch.context() as patched:
        patched.setattr(database, "MIGRATIONS", steps)
        with closing(History.open(file)) as history:
            assert "damaged" in (history.notice or "")
    (kept,) = file.parent.glob("history-damaged-*.sqlite")
    with closing(History.open(kept)) as history:
        assert found(history, "") == ["Old"]
        tables = history._database.execute("SELECT name FROM sqlite_master WHERE name = 'half'")
        assert tables.fetchall() == []


def test_a_library_that_is_too_old_is_said(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setattr(database, "OLDEST_SQLITE", (99, 0))
    with pytest.raises(StoreError, match=r"too old for the history"):
        History.open(file)
    assert not file.parent.exists()


# Several at once, and ends that were not planned.


def start(program: str, file: Path, *arguments: str) -> subprocess.Popen[str]:
    lines = ["import sys; from pathlib import Path; from app.history import History"]
    lines += ["history = History.open(Path(sys.argv[1]))", program]
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines), str(file), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


_APPENDING = """
number = history.create("Crash", None, "")
turn = history.add_turn(number, "count", {})
i = 0
while True:
    history.append(turn, f"{i} ")
    print(i, flush=True)
    i += 1
"""


@pytest.mark.parametrize("after", [1, 57])
def test_a_kill_costs_at_most_the_token_being_written(file: Path, after: int) -> None:
    child = start(_APPENDING, file)
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(after)]
    child.send_signal(signal.SIGKILL)
    rest = child.communicate()[0].splitlines()
    last = int(rest[-1] if rest and rest[-1].isdigit() else said[-1])
    with closing(History.open(file)) as history:
        assert history.notice is None
        (turn,) = history.load(history.conversations()[0].id).turns
        assert turn.status == "stopped"
        numbers = [int(word) for word in turn.answer.split()]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= last + 1
        assert found(history, f"0 {after - 1}") == ["Crash"]
        locks = list(file.parent.glob("*.lock"))
        assert len(locks) == 1


def test_what_a_living_program_is_writing_is_left_to_it(file: Path) -> None:
    child = start(
        """
number = history.create("Alive", None, "")
turn = history.add_turn(number, "count", {})
history.append(turn, "one ")
print("ready", flush=True)
sys.stdin.readline()
history.append(turn, "two")
history.finish(turn, "one two", "done", None)
history.close()
""",
        file,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == "ready\n"
    with closing(History.open(file)) as history:
        number = history.conversations()[0].id
        assert history.load(number).turns[0].status == "writing"
        assert history.load(number).turns[0].answer == "one "
        child.stdin.write("\n")
        child.stdin.close()
        assert child.wait() == 0
        child.stdout.close()
        assert history.load(number).turns[0].status == "done"
        assert found(history, "two") == ["Alive"]


def test_two_programs_write_at_once_and_nothing_is_lost(file: Path) -> None:
    program = """
for i in range(20):
    number = history.create(f"{sys.argv[2]}{i}", None, "")
    turn = history.add_turn(number, "q", {})
    for piece in "abc":
        history.append(turn, piece)
    history.finish(turn, "abc", "done", None)
history.close()
"""
    children = [start(program, file, name) for name in ("left", "right", "third")]
    for child in children:
        child.communicate(timeout=120)
        assert child.returncode == 0
    with closing(History.open(file)) as history:
        assert history.notice is None
        rows = history.conversations(limit=1000)
        assert len(rows) == 60
        assert len({row.title for row in rows}) == 60
        assert {history.load(row.id).turns[0].answer for row in rows} == {"abc"}
    assert [p.name for p in file.parent.iterdir()] == ["history.sqlite"]


def test_several_threads_of_one_program(history: History) -> None:
    number = talk(history, title="Shared")
    turns = [history.add_turn(number, f"q{i}", {}) for i in range(4)]
    errors: list[Exception] = []

    def work(turn: int) -> None:
        try:
            for _ in range(50):
                history.append(turn, "a")
                history.conversations("shared")
            history.finish(turn, "a" * 50, "done", None)
        except Exception as error:  # noqa: BLE001 (handed to the test)
            errors.append(error)

    threads = [threading.Thread(target=work, args=(turn,)) for turn in turns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {turn.answer for turn in history.load(number).turns} == {"a" * 50}


def test_deleting_and_purging_at_once(history: History) -> None:
    numbers = [talk(history) for _ in range(60)]
    errors: list[Exception] = []

    def work(some: list[int]) -> None:
        try:
            for number in some:
                history.delete(number)
                history.purge_deleted()
        except Exception as error:  # noqa: BLE001 (handed to the test)
            errors.append(error)

    threads = [threading.Thread(target=work, args=(numbers[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for number in numbers:
        with pytest.raises(StoreError):
            history.load(number)


def test_the_journal_does_not_grow_without_end(history: History, file: Path) -> None:
    number = talk(history)
    for _ in range(12):
        turn = history.add_turn(number, "q", {})
        for _ in range(100):
            history.append(turn, "x" * 2000)
        history.finish(turn, "x", "done", None)
        if history._checkpoint is not None:
            history._checkpoint.join()
    assert Path(f"{file}-wal").stat().st_size < 3 * (4 << 20)
    assert history._checkpoint is not None


def test_closing_leaves_no_thread(file: Path) -> None:
    before = threads()
    history = History.open(file)
    turn = history.add_turn(talk(history), "q", {})
    for _ in range(800):
        history.append(turn, "x" * 2000)
    history.finish(turn, "x", "done", None)
    history.close()
    assert threads() <= before


def test_signs_of_the_dead_are_tidied_away(file: Path) -> None:
    file.parent.mkdir()
    (file.parent / "history-open-0123456789abcdef.lock").touch()
    (file.parent / "history-open-damaged.lock").write_bytes(b"x" * 5000)
    (file.parent / "other.lock").touch()
    History.open(file).close()
    assert sorted(p.name for p in file.parent.iterdir()) == ["history.sqlite", "other.lock"]


# The clip.


def test_the_clip_s_place_is_corrected_for_all_its_conversations(
    history: History, tmp_path: Path
) -> None:
    one, two = talk(history, title="one"), talk(history, title="two")
    other = history.create("other", ClipRecord(Path("/else.mp4"), None, 1, "video"), "")
    history.relocate(one, tmp_path / "moved here.mp4")
    for number in (one, two):
        clip = history.load(number).clip
        assert clip is not None
        assert clip.path == tmp_path / "moved here.mp4"
        assert clip.size == CLIP.size
    assert history.load(other).clip == ClipRecord(Path("/else.mp4"), None, 1, "video")
    assert sorted(found(history, "moved here")) == ["one", "two"]
    assert found(history, "überflug") == []
    history.relocate(history.create("none", None, ""), tmp_path)


def test_the_hash_is_remembered(history: History) -> None:
    number = talk(history)
    history.set_clip_hash(number, "f" * 64)
    clip = history.load(number).clip
    assert clip is not None
    assert clip.sha256 == "f" * 64


def test_the_file_lies_in_the_user_s_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    assert history_path().name == "history.sqlite"


def rows_of(file: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as raw:
        return raw.execute(query).fetchall()


def test_nothing_of_a_finished_answer_stands_twice(history: History, file: Path) -> None:
    number = history.create("t", None, "")
    turn = history.add_turn(number, "q", {})
    history.append(turn, "abc")
    history.finish(turn, "abc", "done", None)
    history.finish(turn, "abcd", "done", None)
    assert rows_of(file, "SELECT COUNT(*) FROM piece") == [(0,)]
    assert rows_of(file, "SELECT folded FROM entry WHERE field = 'answer'") == [("abcd",)]
