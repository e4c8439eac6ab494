"""Two hundred clips opened, asked about and closed: neither process grows, nothing is left over."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import pytest

from assets import demo_clips
from tests.desktop import Desktop, asked_of

pytestmark = [pytest.mark.gui, pytest.mark.slow]

CYCLES = 200
CLIPS = ("bounce.mp4", "count.mp4", "flash.mp4", "no-sound.mp4", "order.mp4", "vanish.mp4")


def memory_mb(pid: int) -> float:
    """What a process has resident."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def counted(pid: int, what: str) -> int:
    return len(list(Path(f"/proc/{pid}/{what}").iterdir()))


@pytest.fixture
def desktop(qtbot, qapp) -> Iterator[Desktop]:
    desktop = Desktop(qtbot, qapp)
    yield desktop
    desktop.close()


def test_two_hundred_clips_leave_both_processes_as_they_were(desktop) -> None:
    window = desktop.window
    sizes: dict[str, list[float]] = {"window": [], "engine": []}
    counts: dict[str, list[int]] = {"threads": [], "handles": [], "engine handles": []}
    asked = {clip: asked_of(clip)[0] for clip in CLIPS}
    for number in range(CYCLES):
        clip = CLIPS[number % len(CLIPS)]
        desktop.open(demo_clips() / clip)
        desktop.ask(asked[clip]["question"])
        window.commands.close_clip.trigger()
        desktop.until(lambda: window.clip_work.clip is None)
        gc.collect()
        engine = window._link.pid
        sizes["window"].append(memory_mb(os.getpid()))
        sizes["engine"].append(memory_mb(engine))
        counts["threads"].append(counted(os.getpid(), "task"))
        counts["handles"].append(counted(os.getpid(), "fd"))
        counts["engine handles"].append(counted(engine, "fd"))
    tenth = CYCLES // 10
    for name, values in {**sizes, **counts}.items():
        parts = [round(mean(values[i * tenth : (i + 1) * tenth]), 1) for i in range(10)]
        sys.__stderr__.write(f"\n{name}, by tenths: {parts}")
    for values in sizes.values():
        assert mean(values[-tenth:]) <= 1.05 * mean(values[tenth : 2 * tenth])
    # A pool's thread may start late, once; a leak would go on.
    for values in counts.values():
        assert max(values[-tenth:]) <= max(values[: CYCLES // 2])
