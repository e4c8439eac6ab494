import io
from types import SimpleNamespace

import pytest

from export import progress as progress_module
from export.progress import Progress, duration, size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time passes only where a test says so."""
    clock = SimpleNamespace(now_s=1000.0, monotonic=lambda: clock.now_s)
    monkeypatch.setattr(progress_module, "time", clock)
    return clock


def test_a_terminal_shows_one_line_that_changes() -> None:
    stream = Terminal()
    progress = Progress(200, stream, _started=1000.0)
    progress.step("vision tower", 50)
    progress.step("projector", 50)
    progress.say("done")
    shown = stream.getvalue().split("\r\x1b[K")
    assert shown == ["", "vision tower · 25%", "projector · 50%", "done\n"]


def test_a_log_file_gets_a_line_now_and_then() -> None:
    stream = io.StringIO()
    progress = Progress(200, stream, _started=1000.0)
    for _ in range(50):
        progress.step("layer", 1)
    assert stream.getvalue() == "layer · 0%\n"


def test_work_beyond_the_estimate_is_still_all_of_it() -> None:
    stream = io.StringIO()
    Progress(10, stream, _started=1000.0).step("layer", 20)
    assert stream.getvalue() == "layer · 100%\n"


def test_what_an_earlier_run_did_took_no_time_of_this_one(
    clock: SimpleNamespace,
) -> None:
    stream = Terminal()
    progress = Progress(1000, stream, _started=clock.now_s)
    progress.skip(900)
    clock.now_s += 10
    progress.step("layer", 50)
    # 50 took 10 s, and 50 are left.
    assert stream.getvalue() == "\r\x1b[Klayer · 95% · 10 s left"


def test_words_for_numbers() -> None:
    assert [duration(s) for s in (44.6, 200, 7200)] == ["45 s", "3 min", "2.0 h"]
    assert [size(n) for n in (4_100_000_000, 5_940_000, 340_000)] == ["4.1 GB", "5.9 MB", "340 kB"]
