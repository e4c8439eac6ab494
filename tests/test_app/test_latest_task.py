"""Work of which only the newest counts: what is skipped, what is answered, what ends with it."""

import threading

import pytest
from pytestqt.exceptions import capture_exceptions
from pytestqt.qtbot import QtBot

from app.widgets.latest_task import LatestTask
from tests.test_app.conftest import threads

pytestmark = pytest.mark.gui


def test_what_waits_is_replaced_by_what_is_newer(qtbot: QtBot) -> None:
    task, answers, release = LatestTask(), [], threading.Event()
    task.done.connect(answers.append)
    task.ask(lambda: release.wait(60) and "first")
    for number in range(5):
        task.ask(lambda number=number: number)
    release.set()
    qtbot.waitUntil(lambda: len(answers) == 2)
    assert answers == ["first", 4]
    task.close()


def test_after_close_nothing_is_begun_or_answered(qtbot: QtBot) -> None:
    before = threads()
    task, answers, release = LatestTask(), [], threading.Event()
    task.done.connect(answers.append)
    task.ask(lambda: release.wait(60))
    task.close()
    task.ask(lambda: "too late")
    release.set()
    qtbot.waitUntil(lambda: threads() <= before)
    qtbot.wait(50)
    assert answers == []


def test_what_is_forgotten_is_not_answered(qtbot: QtBot) -> None:
    task, answers, release = LatestTask(), [], threading.Event()
    task.done.connect(answers.append)
    task.ask(lambda: release.wait(60) and "old")
    task.ask(lambda: "old too")
    task.forget()
    task.ask(lambda: "new")
    release.set()
    qtbot.waitUntil(lambda: bool(answers))
    qtbot.wait(50)
    assert answers == ["new"]
    task.close()


def test_an_error_in_the_work_is_not_swallowed(qtbot: QtBot) -> None:
    task = LatestTask()
    with capture_exceptions() as errors:
        task.ask(lambda: 1 // 0)
        qtbot.waitUntil(lambda: len(errors) == 1)
    assert errors[0][0] is ZeroDivisionError
    answers: list[int] = []
    task.done.connect(answers.append)
    task.ask(lambda: 7)
    qtbot.waitUntil(lambda: answers == [7])
    task.close()


def test_the_thread_ends_with_its_owner(qtbot: QtBot) -> None:
    before = threads()
    task = LatestTask()
    with qtbot.waitSignal(task.done):
        task.ask(lambda: None)
    assert len(threads() - before) == 1
    task.deleteLater()
    qtbot.waitUntil(lambda: threads() <= before)
