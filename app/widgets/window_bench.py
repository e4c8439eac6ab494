"""`vl2 bench --window`: how long the window's thread is held while a clip is answered about."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEventLoop
from PySide6.QtWidgets import QApplication

from app.history import History
from app.inference import EngineSpec
from app.settings import Settings
from app.widgets import theme
from app.widgets.engine_link import EngineLink
from app.widgets.watchdog import Waits, Watchdog, quantile
from app.widgets.window import MainWindow
from engines.bench import versions
from engines.errors import EngineError
from engines.sampling import GenerateOptions

QUESTION = "Describe what you see and hear."
# The demo's answers are short; what is written on past their end is drawn all the same.
TOKENS = 1_000
PATIENCE_S = 600.0
_WAIT = QEventLoop.ProcessEventsFlag.AllEvents | QEventLoop.ProcessEventsFlag.WaitForMoreEvents


def bench_window(
    clip: Path, settings: Settings, runs: int, tell: Callable[[int, int], None]
) -> dict[str, Any]:
    """Measure on a window of its own, with a history that is thrown away.

    Args:
        clip: what is opened.
        settings: which model, on which device.
        runs: how often, each in a new window.
        tell: called with (runs done, runs in all).

    Returns:
        Waits in milliseconds over all runs, by phase, and of them what the window's thread
        computed (`cpu`: on a busy machine the rest is waiting for the processor); seconds are
        medians of the runs.
    """
    app = QApplication.instance() or QApplication([])
    if not isinstance(app, QApplication):
        raise EngineError("The window cannot be measured in a program without one; run it alone.")
    theme.apply(app, "light")
    all_waits: dict[str, list[Waits]] = {}
    seconds: dict[str, list[float]] = {}
    for number in range(runs):
        tell(number, runs)
        with tempfile.TemporaryDirectory() as folder:
            run = _Run(app, clip, settings, Path(folder))
            for phase, (waits, took) in run.phases().items():
                all_waits.setdefault(phase, []).append(waits)
                seconds.setdefault(phase, []).append(took)
    tell(runs, runs)
    return {
        "what": "window",
        "clip": clip.name,
        "runs": runs,
        "platform": app.platformName(),
        "phases": {
            phase: {"seconds": round(statistics.median(seconds[phase]), 3), **_figures(waits)}
            for phase, waits in all_waits.items()
        },
        "all": _figures([waits for phase in all_waits.values() for waits in phase]),
        "versions": versions(),
    }


def _figures(parts: list[Waits]) -> dict[str, Any]:
    seconds = [one for part in parts for one in part.seconds]
    cpu_s = [one for part in parts for one in part.cpu_s]
    longest = sorted((hold for part in parts for hold in part.longest), key=lambda h: -h.cpu_s)
    return {
        "measured": len(seconds),
        "median_ms": _ms(quantile(seconds, 0.5)),
        "p99_ms": _ms(quantile(seconds, 0.99)),
        "longest_ms": _ms(quantile(seconds, 1.0)),
        "cpu_p99_ms": _ms(quantile(cpu_s, 0.99)),
        "cpu_longest_ms": _ms(quantile(cpu_s, 1.0)),
        "held_by": [
            f"{_ms(hold.cpu_s)} of {_ms(hold.seconds)} ms {hold.place}" for hold in longest[:6]
        ],
    }


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


class _Link(EngineLink):
    """Each run encodes the clip: nothing is taken from an earlier one."""

    def load(self, spec: EngineSpec) -> None:
        super().load(replace(spec, keep_encodings=False))


class _Run:
    """One window from opening to closing."""

    def __init__(self, app: QApplication, clip: Path, settings: Settings, folder: Path) -> None:
        self._app, self._clip = app, clip
        history = History.open(folder / "history.sqlite")
        self._window = MainWindow(_Link(), history, settings, None)

    def phases(self) -> dict[str, tuple[Waits, float]]:
        """Each step of a session with its waits and its length in seconds."""
        window = self._window
        found = {"start": self._measure(self._start, lambda: bool(window.desk.info))}
        work, talk = window.clip_work, window.talk
        found["open"] = self._measure(
            lambda: window.open_clip(self._clip),
            lambda: work.preview is not None and not work.encoding_now,
        )
        options = GenerateOptions(max_new_tokens=TOKENS, ignore_eos=True)
        talk.set_options(replace(talk.options, generate=options))
        for phase in ("answer", "second answer"):
            found[phase] = self._measure(
                lambda: talk.ask(QUESTION),
                lambda: talk.conversation is not None and talk.writing is None,
            )
        found["close"] = self._measure(window.close, lambda: True)
        window.deleteLater()
        return found

    def _start(self) -> None:
        self._window.show()
        self._window.start()

    def _measure(self, act: Callable[[], object], done: Callable[[], bool]) -> tuple[Waits, float]:
        watchdog = Watchdog()
        watchdog.start()
        began = time.perf_counter()
        act()
        self._app.processEvents()
        while not done():
            if time.perf_counter() - began > PATIENCE_S:
                raise EngineError("The window did not get to the end; run vl2 bench instead.")
            # Sleeps until something happens, as the program's own loop does.
            self._app.processEvents(_WAIT)
        took = time.perf_counter() - began
        self._app.processEvents()
        return watchdog.stop(), took
