"""Work in other threads is answered on this one, or not at all once the window closes."""

import threading

import pytest

from app.widgets.background_tasks import BackgroundTasks
from engines.errors import Cancelled, MediaError

pytestmark = pytest.mark.gui


@pytest.fixture
def tasks(qtbot, qapp):
    tasks = BackgroundTasks()
    yield tasks
    tasks.close()


def raising(error: Exception):
    def work() -> None:
        raise error

    return work


def test_the_answer_comes_on_this_thread(qtbot, tasks) -> None:
    threads = []
    done = []

    def work() -> int:
        threads.append(threading.get_ident())
        return 7

    tasks.run(work, lambda value: done.append((value, threading.get_ident())))
    qtbot.waitUntil(lambda: len(done) == 1)
    assert done == [(7, threading.get_ident())]
    assert threads[0] != threading.get_ident()


def test_errors_are_sentences(qtbot, tasks) -> None:
    failed = []
    tasks.run(raising(MediaError("No such clip.")), print, failed.append)
    qtbot.waitUntil(lambda: len(failed) == 1)
    tasks.run(raising(PermissionError(13, "Permission denied", "/a/b")), print, failed.append)
    qtbot.waitUntil(lambda: len(failed) == 2)
    assert failed == ["No such clip.", "/a/b cannot be used (Permission denied)."]


def test_cancelled_work_is_told_apart(qtbot, tasks) -> None:
    ended = []
    tasks.run(raising(Cancelled("stopped")), print, print, lambda: ended.append(1))
    qtbot.waitUntil(lambda: ended == [1])


def test_after_closing_nothing_is_answered(qtbot, tasks) -> None:
    done = []
    began, go_on = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        go_on.wait(60)

    tasks.run(work, done.append)
    began.wait(60)
    threading.Timer(0.05, go_on.set).start()
    tasks.close()
    qtbot.wait(50)
    assert done == []
    assert tasks.closing.is_set()
