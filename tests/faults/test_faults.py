"""Full and read-only disks, clocks set back, damaged pages and bytes, too little memory."""

import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from app import bundles, report_file, settings
from app.history import History
from app.inference import Ask, Died, Failed, Finished, Load, Loaded
from app.receipt import write_receipt
from assets import demo_bundle, demo_clips
from engines import encodings, log, media
from engines.bundle import open_bundle
from engines.config import ClipOptions, Coverage
from engines.encodings import Encoding, EncodingStore
from engines.errors import BundleError, ReceiptError, StoreError
from engines.messages import clip_message
from tests.engine import Engine
from tests.faults.disks import fill, make_read_only, small_disk

ROOT = Path(__file__).parents[2]
CLIP = demo_clips() / "bounce.mp4"
ASKED = next(
    one
    for one in map(json.loads, (demo_clips() / "questions.jsonl").read_text().splitlines())
    if one["clip"] == CLIP.name
)
ASK = Ask([clip_message(ClipOptions(CLIP), ASKED["question"])])


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's home, on a disk of 4 MB."""
    with small_disk(tmp_path / "disk", 4) as found:
        for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
            monkeypatch.setenv(name, str(found))
        monkeypatch.setenv("XDG_STATE_HOME", str(found))
        yield found


def vl2(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.suffix in (".tmp", ".part")]


def encoding(key: str) -> Encoding:
    tokens = np.zeros((10, 32), np.float32)
    return Encoding(key, "<video>", tokens, None, Coverage((0.5,), (), ()))


# Full disks.


def test_answers_are_given_while_the_disk_is_full(disk: Path) -> None:
    fill(disk)
    receipt = disk / "receipt.json"
    done = vl2("ask", str(CLIP), ASKED["question"], "--receipt", str(receipt))
    assert done.stdout.strip() == ASKED["answer"]
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("vl2: The receipt cannot be written to")
    assert "Traceback" not in done.stderr
    assert not receipt.exists()
    assert vl2("ask", str(CLIP), ASKED["question"], "--engine-process").returncode == 0
    assert vl2("doctor").returncode == 0
    said = vl2("doctor", "--report", str(disk / "report.txt"))
    assert (said.returncode, said.stderr.count("\n")) == (1, 1)
    assert not (disk / "report.txt").exists()
    assert leftovers(disk) == []


def test_a_full_disk_costs_the_history_nothing_that_was_in_it(disk: Path) -> None:
    with closing(History.open(disk / "history.sqlite")) as history:
        number = history.create("Talk", None, "")
        first = history.add_turn(number, "first?", {})
        history.finish(first, "first.", "done", None)
        second = history.add_turn(number, "second?", {})
        filler = fill(disk)
        with pytest.raises(StoreError, match="cannot be written"):
            write_much(history, second)
        with pytest.raises(StoreError):
            history.add_turn(number, "third?" * 500, {})
        assert history.load(number).turns[0].answer == "first."
        filler.unlink()
        history.finish(second, "second.", "done", None)
    with closing(History.open(disk / "history.sqlite")) as history:
        assert history.notice is None
        turns = history.load(number).turns
        assert [turn.answer for turn in turns] == ["first.", "second."]


def write_much(history: History, turn: int) -> None:
    """What is left in the file's own pages is used first."""
    for _ in range(200):
        history.append(turn, "word " * 50)


def test_a_full_disk_leaves_files_as_they_were(disk: Path) -> None:
    path = disk / "vl2-desktop" / "settings.json"
    settings.save(settings.Settings(theme="dark"), path)
    (disk / "report.txt").write_text("mine")
    (disk / "receipt.json").write_text("mine")
    store = EncodingStore(disk / "encodings")
    fill(disk)
    with pytest.raises(StoreError):
        settings.save(settings.Settings(theme="light"), path)
    assert settings.load(path) == (settings.Settings(theme="dark"), None)
    with pytest.raises(StoreError):
        report_file.write_report(disk / "report.txt", "text" * 1000, overwrite=True)
    with pytest.raises(ReceiptError):
        write_receipt(disk / "receipt.json", {"clip": None, "text": "x" * 5000})
    assert (disk / "report.txt").read_text() == (disk / "receipt.json").read_text() == "mine"
    store.put(encoding("a" * 64))
    assert EncodingStore(disk / "encodings").get("a" * 64) is None
    log.begin("test", disk / "log")
    log.note("event")
    log.end()
    assert leftovers(disk) == []


def test_a_full_disk_takes_no_half_model(disk: Path) -> None:
    with pytest.raises(BundleError) as caught:
        bundles.import_bundle(demo_bundle(), folder=disk / "bundles")
    assert str(caught.value).endswith(".")
    found = disk / "bundles"
    assert not found.exists() or list(found.iterdir()) == []


# Disks that cannot be written at all.


def test_a_home_on_a_read_only_disk(disk: Path) -> None:
    with closing(History.open(disk / "vl2-desktop" / "history.sqlite")) as history:
        number = history.create("Talk", None, "")
        history.finish(history.add_turn(number, "first?", {}), "first.", "done", None)
    make_read_only(disk)
    done = vl2("ask", str(CLIP), ASKED["question"], "--engine-process")
    assert done.stdout.strip() == ASKED["answer"]
    assert vl2("doctor").returncode == 0
    assert vl2("doctor", "--report", str(disk / "r.txt")).stderr.count("\n") == 1
    with closing(History.open(disk / "vl2-desktop" / "history.sqlite")) as history:
        assert "cannot be written" in (history.notice or "")
        assert history.load(number).turns[0].answer == "first."
        again = history.add_turn(number, "second?", {})
        history.finish(again, "second.", "done", None)
        assert [turn.answer for turn in history.load(number).turns] == ["first.", "second."]
    with pytest.raises(BundleError):
        bundles.import_bundle(demo_bundle(), folder=disk / "bundles")


# Clocks.


def test_a_clock_that_is_set_back_changes_no_order(home: Path, monkeypatch) -> None:
    now = time.time()
    with closing(History.open(home / "history.sqlite")) as history:
        for number, later in enumerate((0.0, 60.0, -3600.0, -7200.0, 30.0)):
            monkeypatch.setattr(time, "time", lambda later=later: now + later)
            talk = history.create(str(number), None, "")
            history.finish(history.add_turn(talk, "?", {}), str(number), "done", None)
        assert [row.title for row in history.conversations()] == ["4", "3", "2", "1", "0"]
        # A clock that was wrong by a year, and is right again: nobody waits for a year.
        monkeypatch.setattr(time, "time", lambda: now + 365 * 86400)
        history.create("in a year", None, "")
        monkeypatch.setattr(time, "time", lambda: now)
        right = history.create("now", None, "")
        assert abs(history.load(right).created - now) < 1
    with closing(History.open(home / "history.sqlite")) as history:
        assert len(history.conversations()) == 7


def test_caches_and_log_outlive_a_clock_that_is_set_back(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "encodings"
    store = EncodingStore(folder)
    store.put(encoding("a" * 64))
    ahead = time.time() + 10 * 86400
    left = folder / "b.encoding.1-2.tmp"
    left.write_bytes(b"left by a program that was killed")
    for file in folder.iterdir():
        os.utime(file, (ahead, ahead))
    store.put(encoding("c" * 64))
    assert EncodingStore(folder).get("a" * 64) is not None
    assert EncodingStore(folder).get("c" * 64) is not None
    assert not left.exists()
    monkeypatch.setattr(time, "gmtime", lambda *_: time.struct_time((1980, 1, 1, 0, 0, 0, 1, 1, 0)))
    log.begin("test", tmp_path / "log")
    log.note("event", number=7)
    log.end()
    assert log.tail(1000, tmp_path / "log").endswith("event number=7\n")


# Damaged files.


def test_damaged_pages_cost_no_more_than_a_new_history(tmp_path: Path) -> None:
    chance = random.Random(0)
    whole = tmp_path / "whole.sqlite"
    with closing(History.open(whole)) as history:
        for number in range(40):
            talk = history.create(f"Talk {number}", None, "")
            history.finish(history.add_turn(talk, "what? " * 20, {}), "that. " * 50, "done", None)
    outcomes = set()
    for number in range(60):
        file = tmp_path / str(number) / "history.sqlite"
        file.parent.mkdir()
        content = bytearray(whole.read_bytes())
        page = chance.randrange(len(content) // 4096) * 4096
        at, size = page + chance.randrange(4000), chance.choice((1, 16, 96))
        content[at : at + size] = chance.randbytes(size)
        file.write_bytes(content)
        with closing(History.open(file)) as history:
            kept = list(file.parent.glob("history-damaged-*.sqlite"))
            assert bool(kept) == bool(history.notice)
            assert not kept or kept[0].stat().st_size >= len(content)
            outcomes.add(bool(kept) or use(history))
    assert True in outcomes
    assert "used" in outcomes


def use(history: History) -> str:
    """What a window does with it; only a sentence may come of it."""
    try:
        for row in history.conversations():
            history.load(row.id)
        history.conversations("that")
        talk = history.create("New", None, "")
        history.finish(history.add_turn(talk, "?", {}), "new", "done", None)
        assert history.load(talk).turns[0].answer == "new"
    except StoreError as error:
        assert str(error).endswith(".")  # noqa: PT017 (both ends are right)
        return "told"
    return "used"


@pytest.mark.parametrize("name", sorted(open_bundle(demo_bundle()).config.files))
def test_a_changed_byte_in_any_file_of_a_bundle_is_found(tmp_path: Path, name: str) -> None:
    bundle = tmp_path / "own.vl2"
    shutil.copytree(demo_bundle(), bundle)
    content = bytearray((bundle / name).read_bytes())
    content[random.Random(name).randrange(len(content))] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        open_bundle(bundle)


# Memory.


@pytest.mark.skipif(sys.platform != "linux", reason="limits are set from outside")
@pytest.mark.parametrize("spare_mb", [0, 8, 40])
def test_an_engine_without_memory_says_so_or_dies_and_the_next_one_answers(spare_mb: int) -> None:
    with Engine() as engine:
        assert isinstance(engine.run(Load()), Loaded)
        pid = engine.process.pid
        assert pid is not None
        limit = _address_space(pid) + (spare_mb << 20)
        resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
        replies = [engine.run(ASK) for _ in range(2) if engine.process.alive]
        for reply in replies:
            assert isinstance(reply, Finished | Failed | Died), reply
            if isinstance(reply, Failed | Died):
                assert reply.sentence.endswith(".")
                assert "unforeseen" not in reply.sentence, reply.sentence
    with Engine() as engine:
        engine.run(Load())
        answer = engine.run(ASK)
        assert isinstance(answer, Finished)
        assert answer.result["answer"] == ASKED["answer"]


def _address_space(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


# What may be deleted at any time.


def test_every_cache_may_be_deleted_while_it_is_used(home: Path) -> None:
    cache, logs = home / "vl2-desktop", log.log_dir()
    with Engine() as engine:
        engine.run(Load())
        for _ in range(3):
            shutil.rmtree(cache, ignore_errors=True)
            shutil.rmtree(logs, ignore_errors=True)
            answer = engine.run(ASK)
            assert isinstance(answer, Finished)
            assert answer.result["answer"] == ASKED["answer"]
        shutil.rmtree(cache, ignore_errors=True)
        assert isinstance(engine.run(Load()), Loaded)
        assert isinstance(engine.run(ASK), Finished)
    assert media.probe(CLIP).has_video
    assert "answered" in log.tail(10_000)
    assert encodings.FOLDER in {path.name for path in cache.iterdir()}


def test_a_journal_that_is_deleted_takes_no_more_than_what_it_held(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    with closing(History.open(file)) as history:
        talk = history.create("Talk", None, "")
        history.finish(history.add_turn(talk, "?", {}), "kept", "done", None)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for ending in ("-wal", "-shm"):
        Path(f"{file}{ending}").unlink(missing_ok=True)
    with closing(History.open(file)) as history:
        assert history.load(talk).turns[0].answer == "kept"
