"""The engine process: the real one, with the demo bundle and its clips."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app import inference
from app.inference import (
    Ask,
    Died,
    EngineSpec,
    Failed,
    Finished,
    Load,
    Loaded,
    Mismatch,
    Open,
    Opened,
    Piece,
    Preview,
    Previewed,
    Progress,
    Reply,
    Stopped,
    pack_job,
    unpack_job,
    unpack_reply,
)
from assets import demo_bundle
from engines import child_process
from engines.config import ClipOptions
from engines.messages import Message, clip_message
from engines.sampling import GenerateOptions
from engines.wire import Packet
from tests.engine import CLIP, Engine, ends, is_running, open_files
from tests.test_app.conftest import threads

DESCRIBE = "Describe what you see and hear."
DESCRIPTION = (
    "A large red circle moves left and bounces back. A small blue square stays still. The"
    " background is gray. You hear two beeps."
)
BEEPS, TWO_BEEPS = "How many beeps do you hear?", "There are two beeps."
# Writes on past the end of its answer, for some seconds.
LONG = GenerateOptions(max_new_tokens=3500, ignore_eos=True)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The processes' cache folder, empty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def shared(cache: None) -> Iterator[Engine]:
    """A process with the demo bundle, for tests that leave it as it was."""
    with Engine() as engine:
        assert isinstance(engine.run(Load()), Loaded)
        yield engine


def question(text: str = DESCRIBE, clip: Path = CLIP) -> list[Message]:
    return [clip_message(ClipOptions(clip), text)]


def answer(engine: Engine, messages: list[Message]) -> str:
    reply = engine.run(Ask(messages))
    assert isinstance(reply, Finished), reply
    text: str = reply.result["answer"]
    return text


def test_a_bundle_says_what_it_is() -> None:
    with Engine() as engine:
        reply = engine.run(Load())
        assert isinstance(reply, Loaded)
        info = reply.info
        assert info["name"] == "VL2 demo"
        assert info["path"] == str(demo_bundle())
        assert len(info["bundle"]) == 64
        assert (info["num_frames"], info["max_frames"]) == (8, 128)
        assert info["window_s"] > 0
        assert info["device"] == "cpu"
        assert info["device_reason"].endswith(".")
        assert info["card"]["suggested_questions"]
        assert set(info["engines"]) >= {"vision_tower", "projector", "audio", "decoder"}
        assert all("ONNX Runtime" in runs for runs in info["engines"].values())


def test_open_then_ask_then_ask_on(shared: Engine) -> None:
    opened = shared.run(Open(ClipOptions(CLIP)))
    assert isinstance(opened, Opened)
    assert (opened.modal, opened.visual_tokens, opened.audio_tokens) == ("video", 80, 48)
    assert opened.duration_s == pytest.approx(4.0)
    assert len(opened.coverage.frame_times_s) == 8
    assert opened.coverage.sound_spans_s
    assert len(opened.sha256) == 64
    stages = {reply.stage for reply in shared.seen if isinstance(reply, Progress)}
    assert {"media", "vision", "audio", "prefill"} <= stages

    number = shared.process.submit(Ask(question()))
    finished = shared.wait(number)
    assert isinstance(finished, Finished)
    assert finished.result["answer"] == DESCRIPTION
    pieces = [r for r in shared.seen if isinstance(r, Piece) and r.job == number]
    assert "".join(piece.text for piece in pieces) == DESCRIPTION
    assert [piece.token_id for piece in pieces] == finished.result["token_ids"]
    receipt = finished.result["receipt"]
    assert receipt["clip"]["sha256"] == opened.sha256
    # What the clip costs was paid when it was opened: only the question's own words are read.
    read = [r for r in shared.seen if isinstance(r, Progress) and r.job == number]
    assert {progress.stage for progress in read} == {"prefill"}
    assert read[0].done >= opened.visual_tokens + opened.audio_tokens

    turns = [*question(), {"role": "assistant", "content": DESCRIPTION}]
    assert answer(shared, [*turns, {"role": "user", "content": BEEPS}]) == TWO_BEEPS


def test_sound_off_changes_the_answer(shared: Engine) -> None:
    heard = answer(shared, question(BEEPS))
    silent = answer(shared, [clip_message(ClipOptions(CLIP, sound="off"), BEEPS)])
    assert heard == TWO_BEEPS
    assert silent != heard


def test_a_preview_shows_the_frames_that_the_model_gets(shared: Engine) -> None:
    clip = ClipOptions(CLIP, num_frames=4, range_s=(1.0, 3.0))
    first = shared.process.submit(Preview(clip, thumbnail_px=64, bins=50))
    second = shared.process.submit(Open(clip))
    replies: dict[int, Reply] = {}
    while len(replies) < 2:
        reply = shared.next()
        if isinstance(reply, Previewed | Opened):
            replies[reply.job] = reply
    previewed, opened = replies[first], replies[second]
    assert isinstance(previewed, Previewed)
    assert isinstance(opened, Opened)
    seen = previewed.preview
    assert seen.frame_times_s == opened.coverage.frame_times_s
    assert seen.thumbnails.shape == (4, 64, 64, 3)
    assert seen.thumbnails.std() > 1
    assert seen.peaks is not None
    assert seen.peaks.shape == (50, 2)
    assert (seen.peaks[:, 0] <= seen.peaks[:, 1]).all()
    assert float(np.abs(seen.peaks).max()) > 0.01
    assert (seen.kind, seen.duration_s, seen.fps) == ("video", 4.0, 25.0)


def test_what_fails_is_a_sentence_and_the_process_goes_on(shared: Engine, tmp_path: Path) -> None:
    missing = tmp_path / "gone.mp4"
    text = tmp_path / "letter.mp4"
    text.write_text("not a film\n" * 50)
    wrong: list[Message] = [{"role": "user", "content": [{"type": "clip", "path": 3}]}]
    jobs = {
        "gone.mp4": Open(ClipOptions(missing)),
        "letter.mp4": Preview(ClipOptions(text)),
        "bounce.mp4": Open(ClipOptions(CLIP, num_frames=0)),
        "<video>": Ask(question("What is <video>?")),
        "temperature": Ask(question(), GenerateOptions(temperature=-1)),
        "none.vl2": Load(EngineSpec(tmp_path / "none.vl2")),
        "clip.path": Ask(wrong),
        "message": Ask([3]),  # type: ignore[list-item]
        "num_frames": Open(ClipOptions(CLIP, num_frames=1.5)),  # type: ignore[arg-type]
        "cannot be asked": Ask([{"role": "user", "content": object()}]),
    }
    for part, job in jobs.items():
        reply = shared.run(job)
        assert isinstance(reply, Failed), job
        assert part in reply.sentence
        assert reply.sentence.endswith(".")
        assert "unforeseen" not in reply.sentence
        assert "\n" not in reply.sentence
    assert answer(shared, question()) == DESCRIPTION


def test_without_a_bundle_nothing_is_answered() -> None:
    with Engine() as engine:
        for job in (Open(ClipOptions(CLIP)), Preview(ClipOptions(CLIP)), Ask(question())):
            reply = engine.run(job)
            assert isinstance(reply, Failed)
            assert reply.sentence.startswith("No model is loaded")


def test_stop_half_way_and_ask_again(shared: Engine) -> None:
    shared.seen.clear()
    number = shared.process.submit(Ask(question(), LONG))
    shared.until(Piece, 5)
    shared.process.stop(number)
    assert shared.wait(number) == Stopped(number)
    written = [r for r in shared.seen if isinstance(r, Piece) and r.job == number]
    assert 5 <= len(written) < 3500
    assert answer(shared, question()) == DESCRIPTION


def test_stop_while_the_clip_is_read(shared: Engine) -> None:
    shared.seen.clear()
    clip = ClipOptions(CLIP, num_frames=100)
    number = shared.process.submit(Open(clip))
    shared.until(Progress, 2)
    shared.process.stop(number)
    assert shared.wait(number) == Stopped(number)
    read = [r for r in shared.seen if isinstance(r, Progress) and r.job == number]
    assert read[-1].stage == "media"
    assert read[-1].done < read[-1].total
    opened = shared.run(Open(clip))
    assert isinstance(opened, Opened)
    assert len(opened.coverage.frame_times_s) == 100


def test_what_has_not_begun_is_taken_back(shared: Engine) -> None:
    shared.seen.clear()
    running = shared.process.submit(Ask(question(), LONG))
    waiting = [shared.process.submit(Ask(question(BEEPS))) for _ in range(2)]
    shared.until(Piece)
    shared.process.stop(waiting[0])
    assert shared.wait(waiting[0]) == Stopped(waiting[0])
    shared.process.stop(running)
    assert shared.wait(running) == Stopped(running)
    # The stop was for one job alone: the next one is not touched.
    last = shared.wait(waiting[1])
    assert isinstance(last, Finished)
    assert last.result["answer"] == TWO_BEEPS
    shared.process.stop(waiting[1])  # too late, and nothing happens
    shared.process.stop(10_000)
    assert answer(shared, question()) == DESCRIPTION
    assert not any(isinstance(r, Stopped) and r.job == waiting[1] for r in shared.seen)


def test_killed_in_mid_answer_tells_it_once_and_another_takes_over() -> None:
    with Engine() as engine:
        engine.run(Load())
        number = engine.process.submit(Ask(question(), LONG))
        engine.process.submit(Ask(question()))
        engine.until(Piece, 3)
        assert engine.process.pid is not None
        os.kill(engine.process.pid, signal.SIGKILL)
        died = engine.wait(number)
        assert isinstance(died, Died)
        assert "Killed" in died.sentence
        assert died.sentence.endswith(".")
        assert not engine.process.alive
        engine.process.submit(Ask(question()))  # lost, and no error
        engine.process.close()
        assert engine.nothing_more()
        assert sum(isinstance(reply, Died) for reply in engine.seen) == 1
    with Engine() as engine:
        engine.run(Load())
        assert answer(engine, question()) == DESCRIPTION


@pytest.mark.parametrize("when", ["starting", "loading", "encoding", "writing", "resting"])
def test_closing_leaves_nothing_behind(when: str) -> None:
    before, files = threads(), open_files()
    with Engine() as engine:
        if when != "starting":
            number = engine.process.submit(Load())
            engine.until(Progress)
        if when in ("encoding", "writing", "resting"):
            engine.wait(number)
        if when == "encoding":
            engine.seen.clear()
            engine.process.submit(Open(ClipOptions(CLIP)))
            engine.until(Progress)
        if when == "writing":
            engine.process.submit(Ask(question(), LONG))
            engine.until(Piece)
        pid = engine.process.pid
        engine.process.close()
        assert not engine.process.alive
        assert pid is None or not is_running(pid)
    engine.process.close()  # once more does no harm
    assert threads() <= before
    assert open_files() <= files  # Tests before this one may have left some that go meanwhile.
    assert not any(isinstance(reply, Died) for reply in engine.seen)


def test_a_process_that_does_not_react_is_killed() -> None:
    with Engine() as engine:
        engine.run(Load())
        pid = engine.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        for _ in range(100):  # more than a pipe holds, and nobody reads
            engine.process.submit(Ask([{"role": "user", "content": "x" * 10_000}]))
        engine.process.close(timeout_s=0.2)
        assert not is_running(pid)


def test_no_start_no_harm() -> None:
    process = inference.EngineProcess(lambda _: None)
    assert process.pid is None
    assert not process.alive
    process.close()


def test_garbage_on_the_pipe_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    greeting = "import sys; sys.stdout.buffer.write(b'{\"vl2-wire\": 1}\\n'); "
    programs = {
        "cannot be read": f"{greeting}print('oops', flush=True); sys.stdin.read()",
        "exit code 0": f"{greeting}print('oops')",
        "exit code 7": "raise SystemExit(7)",
        "no reply 'Boo'": (
            f'{greeting}print(\'{{"head": {{"kind": "Boo"}}, "arrays": []}}\', flush=True);'
            " sys.stdin.read()"
        ),
    }
    for part, program in programs.items():
        command = [sys.executable, "-c", program]
        monkeypatch.setattr(child_process, "command", lambda _, given=command: given)
        # Those that end by themselves have the time for it; the others are ended.
        breath_s = 60.0 if "exit" in part else 0.1
        monkeypatch.setattr(inference, "LAST_BREATH_S", breath_s)
        with Engine() as engine:
            reply = engine.run(Load())
            assert isinstance(reply, Died)
            assert part in reply.sentence
            assert reply.sentence.endswith(".")
            engine.process.close()
            assert engine.nothing_more()


def test_a_program_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "command", lambda _: ["/no/such/program"])
    with Engine() as engine:
        reply = engine.run(Load())
    assert isinstance(reply, Died)
    assert "cannot be started" in reply.sentence


def test_noise_on_stdout_does_not_hurt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # Python runs this when it starts: noise from before our own first line, and all along.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, threading, time\n"
        "os.write(1, b'no end of line')\n"
        "def shout():\n"
        "    while True:\n"
        "        os.write(1, b'{noise}\\n')\n"
        "        print('more', flush=True)\n"
        "        time.sleep(0.01)\n"
        "threading.Thread(target=shout, daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Engine() as engine:
        assert isinstance(engine.run(Load()), Loaded)
        assert answer(engine, question()) == DESCRIPTION
    assert "{noise}" in capfd.readouterr().err


def test_a_bundle_deleted_in_use_is_one_sentence(tmp_path: Path) -> None:
    bundle = tmp_path / "mine.vl2"
    shutil.copytree(demo_bundle(), bundle)
    with Engine() as engine:
        engine.run(Load(EngineSpec(bundle)))
        assert answer(engine, question()) == DESCRIPTION
        shutil.rmtree(bundle)
        # All of it that an answer needs is in memory.
        assert answer(engine, question(BEEPS)) == TWO_BEEPS
        gone = engine.run(Load(EngineSpec(bundle)))
        assert isinstance(gone, Failed)
        assert "mine.vl2" in gone.sentence
        # What was loaded stays.
        assert answer(engine, question(BEEPS)) == TWO_BEEPS
        assert isinstance(engine.run(Load()), Loaded)
        assert answer(engine, question()) == DESCRIPTION


def test_a_preview_is_made_while_an_answer_is_written(shared: Engine) -> None:
    shared.seen.clear()
    writing = shared.process.submit(Ask(question(), LONG))
    shared.until(Piece)
    assert isinstance(shared.run(Preview(ClipOptions(CLIP))), Previewed)
    assert not any(isinstance(r, Finished) for r in shared.seen)
    shared.process.stop(writing)
    assert shared.wait(writing) == Stopped(writing)


def test_jobs_cross_as_they_are() -> None:
    odd = ClipOptions(Path("/clips/\udcff ü\n.mp4"), range_s=(0.5, 1.0), sound="only", seed=3)
    jobs = (
        Load(EngineSpec(Path("b"), "cuda", exact=True, threads=2)),
        Open(odd),
        Preview(odd, 10, 20),
        Ask([{"role": "user", "content": "Why?"}], GenerateOptions(temperature=0.5, seed=1)),
    )
    for number, job in enumerate(jobs):
        assert unpack_job(*pack_job(number, job)) == (number, job)
    for head in ({}, {"job": 1, "kind": "Frobnicate", "fields": {}}, {"job": 1, "kind": "Open"}):
        with pytest.raises(Mismatch):
            unpack_job(head)
    broken, _ = pack_job(1, jobs[1])
    broken["fields"]["clip"]["sound"] = "loud"
    with pytest.raises(Mismatch, match="sound"):
        unpack_job(broken)
    for packet in (Packet({"kind": "Previewed", "job": 1, "fields": {}}), Packet({"kind": []})):
        with pytest.raises(Mismatch):
            unpack_reply(packet)


def previewed(*arrays: np.ndarray, **facts: object) -> Packet:
    known = {"kind": "video", "duration_s": 1.0, "fps": None, "frame_times_s": [0.0, 0.5]}
    return Packet({"kind": "Previewed", "job": 1, "fields": {**known, **facts}}, arrays)


def test_a_preview_that_cannot_be_drawn_is_refused() -> None:
    pictures, sound = np.zeros((2, 3, 4, 3), np.uint8), np.zeros((5, 2), np.float32)
    reply = unpack_reply(previewed(pictures, sound))
    assert isinstance(reply, Previewed)
    assert reply.preview.peaks is sound
    for packet in (
        previewed(),
        previewed(pictures[:1]),
        previewed(pictures[0]),
        previewed(pictures[..., :1]),
        previewed(pictures.astype(np.float32)),
        previewed(pictures, sound[:, :1]),
        previewed(pictures, sound[0, 0]),
        previewed(pictures, pictures),
        previewed(pictures, sound, frame_times_s=None),
        previewed(pictures, sound, frame_times_s=["now", "then"]),
        previewed(pictures, sound, kind="smell"),
        Packet({"kind": "Died", "fields": {"sentence": "I am dead."}}),
    ):
        with pytest.raises(Mismatch):
            unpack_reply(packet)


def test_what_is_too_large_for_the_pipe_fails_alone(shared: Engine) -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    large = shared.run(Preview(ClipOptions(CLIP), thumbnail_px=6000))
    deep = shared.run(Ask([{"role": "user", "content": nested}]))
    for reply in (large, deep):
        assert isinstance(reply, Failed)
        assert reply.sentence.endswith("ask for less at once." if reply is large else "less.")
    assert isinstance(shared.run(Preview(ClipOptions(CLIP))), Previewed)
    assert answer(shared, question()) == DESCRIPTION


PARENT = """
import sys, time
from tests.engine import Engine
from app.inference import Load
with Engine() as engine:
    engine.run(Load())
    print(engine.process.pid, flush=True)
    time.sleep(1000)
"""


def test_the_child_ends_when_its_parent_is_killed() -> None:
    command, root = [sys.executable, "-c", PARENT], Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
    assert ends(child)
