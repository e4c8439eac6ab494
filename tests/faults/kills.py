"""Kills programs of ours with SIGKILL at random moments and looks at what is left.

    python -m tests.faults.kills engine --count 100 --seed 1

engine: the model's process, at any moment of starting, loading, reading a clip, answering; the next
one answers right, and no process is left behind. media: what reads clips; the caller gets a
sentence or the right numbers, and the next one the right numbers. window: the whole program while
it answers and writes; every answer that was finished is in the history, the others as far as they
came. export: a bundle that was killed again and again has the same bytes as one that was not.
Prints one JSON object; exits with 1 if a round was not survived.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from assets import demo_clips
from engines import media, media_process
from engines.bundle import file_sha256
from engines.config import ClipOptions
from engines.errors import MediaError

if TYPE_CHECKING:
    from app.inference import EngineProcess

ROOT = Path(__file__).parents[2]
CLIP = demo_clips() / "bounce.mp4"
PATIENCE_S = 120.0
MARK = "VL2_TEST_MARK"


def kill_engines(count: int, chance: random.Random, tell: Callable[[str], None]) -> Counter[str]:
    """Outcomes of `count` kills: in which kind of job it died."""
    from app.inference import Ask, Died, Finished, Load, Open
    from engines.messages import clip_message
    from tests.engine import Engine

    asked = next(
        one
        for one in map(json.loads, (demo_clips() / "questions.jsonl").read_text().splitlines())
        if one["clip"] == CLIP.name
    )
    clip = ClipOptions(CLIP)
    ask = Ask([clip_message(clip, asked["question"])])
    os.environ[MARK] = mark = f"{os.getpid()}-{chance.random()}"
    found: Counter[str] = Counter()
    with Engine() as engine:
        started = time.monotonic()
        for job in (Load(), Open(clip), ask):
            engine.run(job)
        lasts = time.monotonic() - started
    for number in range(count):
        _forget_encodings()
        with Engine() as engine:
            jobs = [engine.process.submit(job) for job in (Load(), Open(clip), ask)]
            timer = threading.Timer(chance.uniform(0.05, 1.0) * lasts, _kill, [engine.process])
            timer.start()
            replies = []
            while not isinstance(reply := engine.next(), Died):
                replies.append(reply)
            timer.join()
            ended = sum(getattr(r, "job", 0) in jobs and type(r).__name__ in _LAST for r in replies)
            found[("loading", "reading", "answering", "idle")[ended]] += 1
            assert reply.sentence.endswith("."), reply
            assert not any(type(r).__name__ == "Failed" for r in replies), replies
        _nobody_left(mark)
        with Engine() as engine:
            assert type(engine.run(Load())).__name__ == "Loaded"
            answer = engine.run(ask)
            assert isinstance(answer, Finished), answer
            assert answer.result["answer"] == asked["answer"], answer
        _nobody_left(mark)
        tell(f"{number + 1} {dict(found)}")
    return found


_LAST = ("Loaded", "Opened", "Finished")


def _kill(process: "EngineProcess") -> None:
    """As soon as there is one: on a busy machine that may be later than the moment."""
    while process.pid is None:
        time.sleep(0.01)
    process.kill()


def kill_media_children(
    count: int, chance: random.Random, tell: Callable[[str], None]
) -> Counter[str]:
    """Outcomes of `count` kills: "told" a sentence, "whole" the right numbers all the same."""

    def read() -> list[bytes]:
        line = media.read_timeline(CLIP)
        places = list(range(0, len(line.times_s), 3))
        frames = [frame.rgb.tobytes() for frame in media.read_frames(CLIP, places)]
        return frames + [s.samples.tobytes() for s in media.read_sound(CLIP, [(0, 2)], rate=None)]

    started = time.monotonic()
    right = read()
    lasts = time.monotonic() - started
    found: Counter[str] = Counter()
    for number in range(count):
        _forget_media(end=chance.random() < 0.5)  # with a warm child, or with none
        timer = threading.Timer(chance.uniform(0.0, 1.0) * lasts, _kill_media)
        timer.start()
        try:
            assert read() == right
            found["whole"] += 1
        except MediaError as error:
            _check_sentence(str(error))
            found["told"] += 1
        timer.join()
        _forget_media(end=False)
        assert read() == right
        tell(f"{number + 1} {dict(found)}")
    _forget_media(end=True)
    return found


def _check_sentence(text: str) -> None:
    assert text.endswith("."), text
    assert "\n" not in text, text


def _kill_media() -> None:
    for child in [*media_process._kept, *media_process._asked]:
        child.process.kill()


def _forget_media(end: bool) -> None:
    if end:
        media_process.end_children()
    for remembered in (media._probe, media._timeline, media._sound_info):
        remembered.cache_clear()


def kill_windows(count: int, chance: random.Random, tell: Callable[[str], None]) -> Counter[str]:
    """Outcomes of `count` kills: the states of the turns that were left."""
    from app.history import History

    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        own = {**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen", MARK: name}
        for variable in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            own[variable] = name
        history = home / "vl2-desktop" / "history.sqlite"
        said: list[tuple[str, str]] = []
        for number in range(count):
            command = [sys.executable, "-m", "tests.faults.asking_window"]
            child = subprocess.Popen(
                command, env=own, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            assert child.stdout is not None
            # In the middle of the first answer, or of one of the next.
            lines = [child.stdout.readline() for _ in range(chance.randint(1, 4))]
            time.sleep(chance.uniform(0.0, 0.2))
            child.kill()
            rest, _ = child.communicate()
            assert lines[0] == b"ready\n", "the window did not get there"
            lines += rest.splitlines()
            said += [tuple(json.loads(line)) for line in lines if line.strip().endswith(b"]")]
            _nobody_left(name)
            with closing(History.open(history)) as opened:
                assert opened.notice is None, opened.notice
                turns = [
                    turn
                    for row in opened.conversations(limit=10_000)
                    for turn in opened.load(row.id).turns
                ]
            kept = Counter((turn.question, turn.answer) for turn in turns if turn.status == "done")
            assert not Counter(said) - kept, "a finished answer is not in the history"
            whole = dict(said)
            for turn in turns:
                assert turn.status in ("done", "stopped")
                assert whole.get(turn.question, turn.answer).startswith(turn.answer.strip())
            found = Counter(turn.status for turn in turns)
            tell(f"{number + 1} {dict(found)}")
    return found


def kill_exports(count: int, chance: random.Random, tell: Callable[[str], None]) -> Counter[str]:
    """Outcomes of `count` kills: "killed", and "finished" exports between them."""
    from tests.golden import checkpoint

    source = str(checkpoint("qwen2_av"))
    options = ["--rtn", "--accept-loss"]
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        whole, target = Path(name) / "whole.vl2", Path(name) / "killed.vl2"

        def export(bundle: Path) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "export.cli", source, "-o", str(bundle), *options]
            return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)

        started = time.monotonic()
        assert export(whole).wait() == 0
        lasts = time.monotonic() - started
        right = {path.name: file_sha256(path) for path in whole.iterdir()}
        while found["killed"] < count:
            running = export(target)
            try:
                assert running.wait(chance.uniform(0.1, 0.9) * lasts) == 0
                found["finished"] += 1
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)
                running.wait()
                found["killed"] += 1
            if target.exists():
                assert {path.name: file_sha256(path) for path in target.iterdir()} == right
                shutil.rmtree(target)
            tell(str(dict(found)))
        assert export(target).wait() == 0
        assert {path.name: file_sha256(path) for path in target.iterdir()} == right
        assert not list(Path(name).glob("killed.vl2.*"))
    return found


def _forget_encodings() -> None:
    """So that every round reads the clip anew, and writes what it made of it."""
    from engines.bundle import cache_dir

    shutil.rmtree(cache_dir() / "encodings", ignore_errors=True)


def _nobody_left(mark: str) -> None:
    """Waits until no process that was started under this mark runs any more, but this one."""
    deadline = time.monotonic() + PATIENCE_S
    wanted = f"{MARK}={mark}".encode()
    while left := [pid for pid in _others() if wanted in _environment(pid)]:
        assert time.monotonic() < deadline, f"{left} still run"
        time.sleep(0.02)


def _others() -> list[int]:
    found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in found if pid != os.getpid()]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


KILLS = {
    "engine": kill_engines,
    "media": kill_media_children,
    "window": kill_windows,
    "export": kill_exports,
}


def main() -> int:
    """Run the rounds that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=KILLS)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parsed = parser.parse_args()

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    started = time.monotonic()
    found = KILLS[parsed.what](parsed.count, random.Random(parsed.seed), tell)
    seconds = round(time.monotonic() - started, 1)
    print(json.dumps({**vars(parsed), "outcomes": dict(found), "seconds": seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
