import os
import sys
from pathlib import Path

import pytest

from app import bundles
from app.bundles import ExportChoices
from app.widgets.build_job import BuildJob

pytestmark = pytest.mark.gui

CHOICES = ExportChoices()
# Speaks as vl2-export does where its stderr is not a terminal.
WELL = """
import sys
print("Building äöü.vl2", file=sys.stderr)
for share in (10, 50, 90):
    print(f"layer · {share}% · 3 min left", file=sys.stderr)
"""
WAITS = """
import pathlib, signal, sys, time
def interrupted(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, interrupted)
try:
    print("layer · 25%", file=sys.stderr)
    while True:
        time.sleep(0.01)
except KeyboardInterrupt:
    pathlib.Path(sys.argv[1]).write_text("tidied")
    sys.exit(130)
"""
DEAF = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("layer · 25%", file=sys.stderr)
while True:
    time.sleep(0.01)
"""


@pytest.fixture
def make(qapp, tmp_path):
    made = []

    def make(program: str) -> BuildJob:
        job = BuildJob(
            Path("checkpoint"),
            tmp_path / "out.vl2",
            CHOICES,
            command=lambda *_: [sys.executable, "-c", program, str(tmp_path / "trace")],
        )
        made.append(job)
        return job

    yield make
    for job in made:
        job.close()


def ended(job):
    return lambda: not job.active


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_runs_to_its_end(qtbot, make):
    job = make(WELL)
    lines, shares = [], []
    job.line.connect(lines.append)
    job.changed.connect(lambda: shares.append(job.fraction))
    assert job.state == "stopped"
    job.resume()
    assert job.state == "running"
    qtbot.waitUntil(ended(job))
    assert job.state == "done"
    assert lines[0] == "Building äöü.vl2"
    assert list(job.log) == lines
    assert {0.1, 0.5, 0.9, 1.0} <= set(shares)
    assert shares == sorted(shares)


def test_stopping_lets_it_tidy_up(qtbot, make, tmp_path):
    job = make(WAITS)
    job.resume()
    qtbot.waitUntil(lambda: job.fraction == 0.25)
    number = job.process_id()
    job.stop()
    assert job.state == "stopping"
    qtbot.waitUntil(ended(job))
    assert job.state == "stopped"
    assert (tmp_path / "trace").read_text() == "tidied"
    assert not alive(number)


def test_one_that_does_not_hear_is_killed(qtbot, make):
    job = make(DEAF)
    job._kill.setInterval(50)
    job.resume()
    qtbot.waitUntil(lambda: job.fraction == 0.25)
    job.stop()
    qtbot.waitUntil(ended(job))
    assert job.state == "stopped"


def test_it_can_be_resumed(qtbot, make):
    job = make(WAITS)
    job.resume()
    qtbot.waitUntil(lambda: job.fraction == 0.25)
    job.stop()
    qtbot.waitUntil(ended(job))
    job.resume()
    assert job.active
    assert job.fraction == 0
    qtbot.waitUntil(lambda: job.fraction == 0.25)


def test_closing_leaves_no_process(qtbot, make, monkeypatch):
    monkeypatch.setattr("app.widgets.build_job.CLOSE_MS", 100)
    job = make(DEAF)
    job.resume()
    qtbot.waitUntil(lambda: job.fraction == 0.25)
    number = job.process_id()
    job.close()
    assert not job.active
    assert not alive(number)


def test_a_failure_has_its_reason(qtbot, make):
    job = make("import sys; print('vl2-export: The disk is full.', file=sys.stderr); sys.exit(1)")
    job.resume()
    qtbot.waitUntil(ended(job))
    assert job.state == "failed"
    assert job.last_words() == "The disk is full."


def test_dying_is_failing(qtbot, make):
    job = make("import os; os.kill(os.getpid(), 9)")
    job.resume()
    qtbot.waitUntil(ended(job))
    assert job.state == "failed"


def test_a_program_that_is_not_there(qtbot, make):
    job = make("")
    job._command = lambda *_: ["/no/such/program"]
    job.resume()
    qtbot.waitUntil(ended(job))
    assert job.state == "failed"
    assert job.last_words()


def test_broken_letters_and_a_last_line_without_end(qtbot, make):
    job = make(r"import sys; sys.stderr.buffer.write(b'a\xffb\r\xc3\xa4 c')")
    job.resume()
    qtbot.waitUntil(ended(job))
    assert list(job.log) == ["a\ufffdb", "ä c"]


def test_time_left_is_guessed_from_this_run(make, monkeypatch):
    job = make("")
    clock = iter([100.0, 130.0])
    monkeypatch.setattr("app.widgets.build_job.monotonic", lambda: next(clock))
    job.state = "running"
    job._take("layer · 40%")  # at 100 s: what was there already
    assert job.seconds_left() is None
    job.fraction = 0.7
    # 30 % took 30 s, and 30 % are left.
    assert job.seconds_left() == pytest.approx(30)


@pytest.mark.slow
def test_the_real_export(qtbot, qapp, tmp_path):
    checkpoint = Path(__file__).parent.parent / "data" / "golden" / "mistral"
    job = BuildJob(checkpoint, tmp_path / "small.vl2", ExportChoices("fp32"))
    job.resume()
    qtbot.waitUntil(ended(job), timeout=300_000)
    assert job.state == "done", list(job.log)
    assert (tmp_path / "small.vl2" / "manifest.json").is_file()
    assert not bundles.installed([tmp_path / "small.vl2"])[-1].problem
