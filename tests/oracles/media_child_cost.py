"""What it costs to have clips read by a confined child instead of in the asking process.

    python tests/oracles/media_child_cost.py [--runs 5] [CLIP …]

Prints a table: medians in ms, by the clock and of processor time of both processes together. "here"
reads in this very process, for comparison; "cold" starts a child for each question, "warm" has one
that has read nothing yet, "again" asks the one that has just answered.
"""

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import PIL

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from engines import media, media_child, media_process  # noqa: E402
from engines.config import ClipOptions  # noqa: E402
from engines.devices import machine  # noqa: E402
from engines.preview import PEAK_BINS, THUMBNAIL_PX, preview_steps  # noqa: E402
from tests.fuzz.media_fuzz import VISION, children  # noqa: E402

CLIPS = [
    ROOT / "assets" / "clips" / "bounce.mp4",
    ROOT / "tests" / "data" / "media" / "testsrc.mp4",
]
# Long enough for a child to have loaded its libraries, also on a busy machine.
READY_S = 3.0
ask_child = media_process.call


def preview(path: Path) -> None:
    deque(preview_steps(ClipOptions(path), VISION, THUMBNAIL_PX, PEAK_BINS), maxlen=0)


def sixteen_frames(path: Path) -> None:
    count = len(media.read_timeline(path).times_s)
    indices = np.linspace(0, count - 1, 16).astype(int).tolist()
    deque(media.read_frames(path, indices), maxlen=0)


QUESTIONS: dict[str, Callable[[Path], object]] = {
    "probe": media.probe,
    "16 frames": sixteen_frames,
    "preview": preview,
}


def forget() -> None:
    for remembered in (media._probe, media._timeline, media._sound_info):
        remembered.cache_clear()
    media_child.media_decoder._probe_container.cache_clear()
    media_child.media_decoder.read_index.__globals__["_read_index"].cache_clear()


def spent_s() -> float:
    """Processor time of this process and of its children, those that have ended and the others."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    # Linux's number of the clock that counts what another process works.
    clocks = [((~pid) << 3) | 2 for pid in children()]
    ended = sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)
    return ended + sum(time.clock_gettime(clock) for clock in clocks)


def measured(way: str, question: Callable[[Path], object], path: Path) -> tuple[float, float]:
    """Milliseconds by the clock, and of processor time."""
    media_process.end_children()
    forget()
    media_process.call = media_child.answers if way == "here" else ask_child
    if way == "warm":
        media_process.warm()
        time.sleep(READY_S)
    if way == "again":
        question(path)
        forget()
    before_s, began = spent_s(), time.perf_counter()
    question(path)
    took, worked = time.perf_counter() - began, spent_s() - before_s
    media_process.end_children()
    return 1000 * took, 1000 * worked


def main() -> None:
    parser = argparse.ArgumentParser(description="What the confined child costs.")
    parser.add_argument("clips", nargs="*", type=Path, default=CLIPS)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    here = machine()
    versions = {
        "python": platform.python_version(),
        "av": av.__version__,
        "pillow": PIL.__version__,
    }
    print(json.dumps({"cpu": here.cpu, "cores": here.cores, "system": here.system, **versions}))
    for path in given.clips:
        for name, question in QUESTIONS.items():
            measured("here", question, path)  # libraries are loaded, the file is in memory
            for way in ("here", "cold", "warm", "again"):
                runs = [measured(way, question, path) for _ in range(given.runs)]
                took, worked = (statistics.median(column) for column in zip(*runs, strict=True))
                least = min(run[0] for run in runs)
                told = f"{took:.0f} ms (least {least:.0f}), {worked:.0f} ms of processor time"
                print(f"{path.name}, {name}, {way}: {told}", flush=True)


if __name__ == "__main__":
    main()
