"""Damaged clips through the real confined child: every one ends in an answer or in one sentence.

    python -m tests.fuzz.media_fuzz --count 2000 --seed 1 --work FOLDER [--seconds S] [--tools]

Case N of a seed is the same file wherever the clips it is made of are the same. A run that is
started again with the same folder goes on where it was; `results.jsonl` there has a line for every
case, `kept/` the files of those that ended unusually. Exits with 1 if one is at fault.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from engines import media, media_process
from engines.config import ClipOptions, PreprocessConfig, VisionConfig
from engines.errors import MediaError
from engines.media import PlayOptions
from engines.preview import PEAK_BINS, THUMBNAIL_PX, preview_steps
from tests.fuzz.media_mutate import damaged
from tests.fuzz.media_seeds import make_seeds, make_with_tools

# More than this of what is played says nothing new.
MOST_PARTS = 150
# Beside what counts as a process's own memory, its libraries are in it.
LIBRARIES_BYTES = 512 << 20
POLL_S = 0.02
VISION = VisionConfig(
    image_size=224,
    patch_size=14,
    hidden_size=8,
    num_frames=8,
    tokens_per_frame=256,
    min_frames=1,
    projector_type="stc_connector",
    preprocess=PreprocessConfig(
        resize="shortest_edge",
        size=224,
        crop=224,
        image_mean=(0.5, 0.5, 0.5),
        image_std=(0.5, 0.5, 0.5),
        rescale_factor=1 / 255,
    ),
)


@dataclass
class Case:
    """What became of one file.

    Attributes:
        outcomes: of every question: "answer", or the kind of its sentence.
        faults: what should not have happened.
        peak_bytes: the most memory of one of its children, as far as was seen.
    """

    number: int
    source: str
    damage: list[str]
    outcomes: dict[str, str] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    slowest_s: float = 0.0
    peak_bytes: int = 0


def make_case(seed: int, number: int, sources: Sequence[Path]) -> tuple[Case, bytes]:
    """A damaged file."""
    random = Random(f"{seed}:{number}")
    source = random.choice(sources)
    others = [random.choice(sources).read_bytes() for _ in range(2)]
    content, done = damaged(source.read_bytes(), others, random)
    return Case(number, source.name, done), content


def examine(path: Path, case: Case) -> Case:
    """Ask everything about a file that the program asks about clips."""
    began = time.perf_counter()
    with _Watch() as watch:
        for name, question in _QUESTIONS.items():
            asked = time.perf_counter()
            case.outcomes[name] = _outcome(path, question, case)
            case.slowest_s = max(case.slowest_s, round(time.perf_counter() - asked, 3))
        media_process.end_children()
    case.seconds = round(time.perf_counter() - began, 3)
    case.peak_bytes = watch.peak_bytes
    if case.peak_bytes > media_process.LIMITS.memory_bytes + LIBRARIES_BYTES:
        case.faults.append(f"{case.peak_bytes >> 20} MB of memory")
    if case.slowest_s > 2 * media_process.SILENCE_S:
        case.faults.append(f"{case.slowest_s:.0f} s for one question")
    if left := children():
        case.faults.append(f"{len(left)} children left")
    return case


def _outcome(path: Path, question: Callable[[Path], object], case: Case) -> str:
    try:
        question(path)
    except MediaError as error:
        sentence = str(error)
        if sentence not in case.sentences:
            case.sentences.append(sentence)
        if "unforeseen" in sentence or not sentence.isprintable() or len(sentence) > 1000:
            case.faults.append(sentence)
        kinds = {"takes more than": "limit", "decoder ended": "died", "no sense": "not believed"}
        return next((kind for mark, kind in kinds.items() if mark in sentence), "refused")
    except Exception as error:  # noqa: BLE001 (this is what is looked for)
        case.faults.append(f"{type(error).__name__}: {error}")
        return "fault"
    return "answer"


def _frames(path: Path) -> None:
    count = len(media.read_timeline(path).times_s)
    indices = sorted({0, 1, count // 2, count - 1} & set(range(count)))
    for _ in media.read_frames(path, indices):
        pass


def _sound(path: Path) -> None:
    info = media.sound_info(path)
    if info is None:
        return
    last_s = max(info.end_s - 1.0, info.start_s)
    spans = sorted([(0.0, 1.5), (last_s, last_s + 1.0)])
    media.read_sound(path, spans, rate=16_000)
    media.read_sound(path, spans, rate=None, first_channel=True)


def _preview(path: Path) -> None:
    for _ in preview_steps(ClipOptions(path), VISION, THUMBNAIL_PX, PEAK_BINS):
        pass


def _played(options: PlayOptions) -> Callable[[Path], None]:
    def play(path: Path) -> None:
        with closing(media.play(path, options)) as parts:
            for _ in islice(parts, MOST_PARTS):
                pass

    return play


_QUESTIONS: dict[str, Callable[[Path], object]] = {
    "probe": media.probe,
    "frames": _frames,
    "sound": _sound,
    "preview": _preview,
    "play": _played(PlayOptions(0.0, 320, 240, 48_000)),
    "play from within": _played(PlayOptions(0.3, 64, 64, 48_000, 1.5)),
}


def children() -> list[int]:
    """The processes that this one has started and that have not been taken leave of."""
    found = []
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            found += [int(pid) for pid in task.read_text().split()]
    return found


class _Watch:
    """Looks at the children's memory while something else is done."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._ended.wait(POLL_S):
            for pid in children():
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                rows = (line.split() for line in status.splitlines())
                peak = next((int(row[1]) for row in rows if row[0] == "VmHWM:"), 0)
                self.peak_bytes = max(self.peak_bytes, peak * 1024)

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def run(
    seed: int, numbers: range, work: Path, sources: Sequence[Path], seconds: float
) -> Iterator[Case]:
    """Cases that are not done yet, one after another, for so long at most."""
    results, kept = work / "results.jsonl", work / "kept"
    done = {case["number"] for case in _read(results)}
    started = time.perf_counter()
    for number in numbers:
        if number in done:
            continue
        if time.perf_counter() - started > seconds:
            return
        case, content = make_case(seed, number, sources)
        path = work / f"case-{number}{Path(case.source).suffix}"
        path.write_bytes(content)
        examine(path, case)
        unusual = {"died", "limit", "not believed", "fault"} & set(case.outcomes.values())
        if case.faults or unusual:
            kept.mkdir(exist_ok=True)
            (kept / path.name).write_bytes(content)
        path.unlink()
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(case)) + "\n")
        yield case


def _read(results: Path) -> list[dict[str, Any]]:
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


def summary(cases: Sequence[dict[str, Any]]) -> str:
    """What came of all cases, for people."""
    outcomes = Counter(
        f"{question}: {outcome}" for case in cases for question, outcome in case["outcomes"].items()
    )
    whole = Counter(_of_the_file(case) for case in cases)
    slowest = max(cases, key=lambda case: case["slowest_s"])
    largest = max(cases, key=lambda case: case["peak_bytes"])
    lines = [
        f"{len(cases)} files, {sum(bool(case['faults']) for case in cases)} at fault",
        *(f"  {outcome}: {count}" for outcome, count in whole.most_common()),
        *(f"    {outcome}: {count}" for outcome, count in sorted(outcomes.items())),
        f"slowest question {slowest['slowest_s']} s (case {slowest['number']}),"
        f" most memory {largest['peak_bytes'] >> 20} MB (case {largest['number']})",
        *(f"case {c['number']} ({c['source']}): {c['faults']}" for c in cases if c["faults"]),
    ]
    return "\n".join(lines)


def _of_the_file(case: dict[str, Any]) -> str:
    outcomes = set(case["outcomes"].values())
    order = ("fault", "died", "limit", "not believed", "refused", "answer")
    worst = next(outcome for outcome in order if outcome in outcomes)
    return "answered in part" if worst == "refused" and "answer" in outcomes else worst


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Damaged clips through the confined child.")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tools", action="store_true", help="clips by this machine's tools, too")
    parser.add_argument("--only", type=int, help="one case, its sentences and nothing else")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    sources = make_seeds(given.work / "seeds")
    if given.tools:
        sources += make_with_tools(given.work / "tools")
    if given.only is not None:
        case, content = make_case(given.seed, given.only, sources)
        path = given.work / f"only-{given.only}{Path(case.source).suffix}"
        path.write_bytes(content)
        print(json.dumps(asdict(examine(path, case)), indent=1))
        return 0
    for case in run(given.seed, range(given.count), given.work, sources, given.seconds):
        if case.faults:
            print(f"case {case.number} ({case.source}): {case.faults}", file=sys.stderr, flush=True)
    cases = _read(given.work / "results.jsonl")
    print(summary(cases))
    return int(any(case["faults"] for case in cases))


if __name__ == "__main__":
    os.environ.pop("VL2_TRACEBACK", None)
    sys.exit(main())
