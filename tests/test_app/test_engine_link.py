"""Replies of a scripted process as signals: numbers, batches, deaths, and no word after closing."""

from pathlib import Path
from typing import ClassVar

import pytest

from app.inference import (
    Died,
    EngineSpec,
    Failed,
    Finished,
    Load,
    Loaded,
    Piece,
    Progress,
    Stopped,
)
from app.widgets import engine_link
from app.widgets.engine_link import EngineLink
from engines.config import ClipOptions
from engines.sampling import GenerateOptions

pytestmark = pytest.mark.gui

CLIP = ClipOptions(Path("a.mp4"))


class Scripted:
    """A process that does only what the test says."""

    made: ClassVar[list["Scripted"]] = []

    def __init__(self, on_message):
        self.tell = on_message
        self.jobs, self.stops, self.closed, self.pid = [], [], None, 1000 + len(Scripted.made)
        Scripted.made.append(self)

    alive = True

    def start(self):
        pass

    def submit(self, job):
        self.jobs.append(job)
        return len(self.jobs)

    def stop(self, number):
        self.stops.append(number)

    def close(self, timeout_s):
        self.closed = timeout_s


@pytest.fixture
def link(qtbot, qapp):
    Scripted.made.clear()
    link = EngineLink(make=Scripted)
    heard = link.heard = []
    for name in ("loaded", "loadFailed", "piece", "finished", "failed", "stopped", "died"):
        getattr(link, name).connect(lambda *values, name=name: heard.append((name, *values)))
    link.progress.connect(lambda *values: heard.append(("progress", *values)))
    link.restarted.connect(lambda: heard.append(("restarted",)))
    yield link
    link.close()


def heard(qtbot, link, count):
    qtbot.waitUntil(lambda: len(link.heard) >= count)
    return link.heard


def test_nothing_is_started_before_the_first_job(link) -> None:
    assert Scripted.made == []
    assert link.pid is None
    assert not link.alive


def test_pieces_are_gathered_and_come_before_the_end(qtbot, link) -> None:
    job = link.ask([], GenerateOptions())
    tell = Scripted.made[0].tell
    for reply in (Piece(1, "There ", 5), Piece(1, "are", 6), Piece(1, "", 7)):
        tell(reply)
    tell(Finished(1, {"answer": "There are"}))
    assert heard(qtbot, link, 2) == [
        ("piece", job, "There are"),
        ("finished", job, {"answer": "There are"}),
    ]
    assert not link.busy(job)


def test_a_piece_alone_does_not_wait_for_more(qtbot, link) -> None:
    job = link.ask([], GenerateOptions())
    Scripted.made[0].tell(Piece(1, "A", 5))
    assert heard(qtbot, link, 1) == [("piece", job, "A")]


def test_loading_has_the_number_nought(qtbot, link) -> None:
    link.load(EngineSpec())
    tell = Scripted.made[0].tell
    tell(Progress(1, "load", 1, 4))
    tell(Loaded(1, {"name": "demo"}))
    assert heard(qtbot, link, 2) == [("progress", 0, "load", 1, 4), ("loaded", {"name": "demo"})]
    link.load(EngineSpec())
    tell(Failed(2, "It is gone."))
    assert heard(qtbot, link, 3)[2] == ("loadFailed", "It is gone.")


def test_a_death_loses_its_jobs_and_loads_again(qtbot, link) -> None:
    spec = EngineSpec(device="cpu")
    link.load(spec)
    lost = link.open(CLIP)
    first = Scripted.made[0]
    first.tell(Piece(2, "late", 1))
    first.tell(Died("It is dead."))
    assert heard(qtbot, link, 3)[:3] == [
        ("piece", lost, "late"),
        ("died", "It is dead.", True),
        ("restarted",),
    ]
    second = Scripted.made[1]
    assert second.jobs == [Load(spec)]
    first.tell(Failed(2, "Too late."))  # the old process is not heard any more
    new = link.open(CLIP)
    assert new > lost
    second.tell(Failed(2, "No."))
    assert heard(qtbot, link, 4)[3] == ("failed", new, "No.")


def test_it_is_not_started_for_ever(qtbot, link) -> None:
    link.load(EngineSpec())
    for number in range(engine_link.MAX_DEATHS + 1):
        Scripted.made[-1].tell(Died(f"Death {number}."))
        qtbot.waitUntil(lambda number=number: ("died", f"Death {number}.") in cut(link.heard))
    assert link.heard[-1] == ("died", "Death 3.", False)
    assert len(Scripted.made) == 4
    link.restart()
    assert len(Scripted.made) == 5


def cut(entries):
    return [entry[:2] for entry in entries]


def test_stopping_reaches_the_process_once_it_is_known(qtbot, link) -> None:
    link.load(EngineSpec())
    job = link.open(CLIP)
    link.stop(None)
    link.stop(99)
    link.stop(job)
    assert Scripted.made[0].stops == [2]
    Scripted.made[0].tell(Stopped(2))
    assert heard(qtbot, link, 1) == [("stopped", job)]
    link.stop(job)
    assert Scripted.made[0].stops == [2]


def test_what_does_not_stop_is_ended(qtbot, link, monkeypatch) -> None:
    monkeypatch.setattr(engine_link, "STOP_GRACE_MS", 20)
    link.load(EngineSpec())
    job = link.open(CLIP)
    link.stop(job)
    entries = heard(qtbot, link, 2)
    assert entries[0][0] == "died"
    assert "did not stop" in entries[0][1]
    assert Scripted.made[0].closed is not None
    assert len(Scripted.made) == 2


def test_closing_is_the_last_word(qtbot, link) -> None:
    link.ask([], GenerateOptions())
    Scripted.made[0].tell(Piece(1, "A", 5))
    link.close()
    qtbot.wait(60)
    assert link.heard == []
    assert Scripted.made[0].closed is not None
