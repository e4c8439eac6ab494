"""Work in another thread: its items, its result, its errors, and Ctrl+C in the middle of a call."""

import _thread
import threading
from collections.abc import Generator

import pytest

from app import background
from app.background import interruptible, still_working
from app.cli import main
from assets import demo_clips
from engines.errors import MediaError
from engines.events import Progress


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be stopped has the time that a busy machine takes for it."""
    monkeypatch.setattr(background, "GRACE_S", 60.0)


def counting(last: int) -> Generator[int, None, str]:
    yield from range(last)
    return "done"


def never() -> None:
    raise AssertionError("nothing was to be stopped")


def test_items_and_result_are_those_of_the_work() -> None:
    steps = interruptible(counting(3), never)
    assert [next(steps) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "done"
    assert not still_working()


def test_an_error_arrives_where_the_items_do() -> None:
    def failing() -> Generator[int, None, None]:
        yield 1
        raise MediaError("no such clip")

    with pytest.raises(MediaError, match="no such clip"):
        list(interruptible(failing(), never))
    assert not still_working()


def test_ctrl_c_during_a_native_call_stops_it() -> None:
    called, begun = threading.Event(), threading.Event()
    timer = threading.Timer(0.2, _thread.interrupt_main)

    def calling() -> Generator[int, None, None]:
        yield 1
        begun.wait()
        timer.start()
        called.wait()  # stands for a call that hears no signal
        yield 2

    def iterate() -> None:
        for _ in interruptible(calling(), called.set):
            begun.set()

    with pytest.raises(KeyboardInterrupt):
        iterate()
    assert called.is_set()
    assert not still_working()
    timer.join()


def test_ctrl_c_while_the_thread_is_being_started_leaves_no_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    called = threading.Event()

    def calling() -> Generator[int, None, None]:
        called.wait()
        yield 1

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(interruptible(calling(), called.set))
    assert called.is_set()
    assert not still_working()


def test_ceasing_to_iterate_stops_the_work() -> None:
    called = threading.Event()

    def calling() -> Generator[int, None, None]:
        yield 1
        called.wait()

    steps = interruptible(calling(), called.set)
    next(steps)
    steps.close()
    assert called.is_set()
    assert not still_working()


def test_what_cannot_be_stopped_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "GRACE_S", 0.05)
    released = threading.Event()

    def calling() -> Generator[int, None, None]:
        yield 1
        released.wait()

    steps = interruptible(calling(), lambda: None)
    next(steps)
    steps.close()
    assert still_working()
    released.set()
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(60)
    assert not still_working()


def test_ctrl_c_ends_vl2_ask_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = threading.Event()

    class Model:
        stop = staticmethod(called.set)

        def generate(self, *_: object) -> Generator[Progress, None, None]:
            yield Progress("vision", 0, 1)
            timer.start()
            called.wait()

    timer = threading.Timer(0.1, _thread.interrupt_main)
    monkeypatch.setattr("app.ask.load", lambda _: Model())
    assert main(["ask", str(demo_clips() / "count.mp4"), "What?"]) == 130
    timer.join()
    assert capsys.readouterr().err.endswith("\nvl2: interrupted\n")
    assert called.is_set()


@pytest.mark.parametrize("runs", ["0", "-2", "x"])
def test_bench_takes_at_least_one_run(runs: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "--runs", runs])
    assert "at least 1" in capsys.readouterr().err
