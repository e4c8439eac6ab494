"""Clips read by a child: the same as in this process, and what happens when it misbehaves."""

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import repeat
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from engines import child_process, media, media_child, media_process, wire
from engines.config import to_json
from engines.confine import Confinement, Limits
from engines.errors import MediaError
from engines.media import PlayOptions
from engines.wire import Packet
from tests.clips import MEDIA, write_clip

CLIP = MEDIA / "testsrc.mp4"
GREETED = wire.GREETING + wire.to_bytes(to_json(Confinement(True, True, True, True)))
ROOT = Path(__file__).parents[2]
PROBED: dict[str, Any] = {
    "kind": "video",
    "path": "clip.mp4",
    "duration_s": 1.0,
    "fps": 25.0,
    "frame_count": 25,
    "width": 16,
    "height": 16,
    "rotation": 0,
    "has_video": True,
    "has_sound": True,
    "sample_rate": 8000,
    "channels": 1,
    "notes": [],
}
SOUND: dict[str, Any] = {
    "start_s": 0.0,
    "end_s": 1.0,
    "padded_end_s": 1.0,
    "clip_end_s": 1.0,
    "sample_rate": 8000,
    "with_pictures": True,
    "notes": [],
}


@pytest.fixture(autouse=True)
def _no_child_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    media_process.end_children()
    for remembered in (media._probe, media._timeline, media._sound_info):
        remembered.cache_clear()


def only_child() -> media_process._Child:
    [child] = media_process._kept
    return child


@pytest.mark.confined
def test_child_reads_what_this_process_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def everything() -> list[Any]:
        for remembered in (media._probe, media._timeline, media._sound_info):
            remembered.cache_clear()
        frames = [(f.time_s, f.exact, f.rgb.tobytes()) for f in media.read_frames(CLIP, [0, 3, 9])]
        sound = media.read_sound(CLIP, [(0.0, 0.5), (1.0, 1.25)], rate=16000)
        line = media.read_timeline(CLIP)
        return [
            media.probe(CLIP),
            (line.times_s.tolist(), line.end_s, line.fps, line.notes),
            media.sound_info(CLIP),
            frames,
            [(s.samples.tobytes(), s.sample_rate, s.start_s, s.end_s) for s in sound],
        ]

    confined = everything()
    monkeypatch.setattr(media_process, "call", media_child.answers)
    assert confined == everything()


@pytest.mark.confined
def test_one_child_serves_one_clip(tmp_path: Path) -> None:
    media.probe(CLIP)
    first = only_child().process.pid
    media.read_timeline(CLIP)
    assert only_child().process.pid == first
    media.probe(write_clip(tmp_path / "other.mp4", frames=3))
    assert {child.process.pid for child in media_process._kept} > {first}


@pytest.mark.confined
def test_folder_of_frames_and_odd_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / os.fsdecode(b"fr\xffmes")
    folder.mkdir()
    for number in range(3):
        shutil.copy(MEDIA / "test.png", folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    relative = Path(folder.name)
    assert [frame.time_s for frame in media.read_frames(relative, [0, 2])] == [0.0, 2 / 3]
    assert media.probe(relative).path == relative
    assert [p.name for p in media.folder_frames(relative)] == ["0.png", "1.png", "2.png"]


@pytest.mark.confined
def test_file_is_said_to_be_bad_in_the_same_words(tmp_path: Path) -> None:
    bad = tmp_path / "notes.txt"
    bad.write_text("no clip")
    with pytest.raises(MediaError, match="is not a video, picture or sound that can be read"):
        media.probe(bad)
    with pytest.raises(MediaError, match="There is no file"):
        media.probe(tmp_path / "missing.mp4")


@pytest.mark.confined
@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_names_of_files_move_no_cursor_in_any_sentence(tmp_path: Path) -> None:
    name = "\x1b[2J\x1b]0;owned\x07\u202egpj\n<b>.mp4"
    odd, folder = tmp_path / name, tmp_path / f"{name}.frames"
    odd.write_bytes(b"no clip")
    folder.mkdir()
    (folder / f"{name}.png").write_bytes((MEDIA / "test.png").read_bytes()[:4000])
    said = []
    for path in (odd, folder, tmp_path / f"{name}.missing"):
        for question in (media.probe, media.read_timeline, media.sound_info, media.clip_hash):
            try:
                question(path)
            except MediaError as error:
                said.append(str(error))
    try:
        list(media.read_frames(folder, [0]))
    except MediaError as error:
        said.append(str(error))
    assert len(said) > 8
    assert all(sentence.isprintable() for sentence in said)


@pytest.mark.confined
def test_death_of_the_child_is_one_sentence_and_the_next_one_answers() -> None:
    frames = media.read_frames(CLIP, range(100))
    next(frames)
    for pid in _children_of_this_process():
        os.kill(pid, signal.SIGSEGV)
    with pytest.raises(MediaError, match=r"testsrc\.mp4 could not be read: its decoder ended"):
        list(frames)
    assert len(list(media.read_frames(CLIP, [0, 1]))) == 2


@pytest.mark.confined
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_child_that_worked_too_long_says_so() -> None:
    frames = media.read_frames(CLIP, range(100))
    next(frames)
    for pid in _children_of_this_process():
        os.kill(pid, signal.SIGXCPU)  # as the system does after so many seconds of work
    with pytest.raises(MediaError, match=r"testsrc\.mp4 could not be read: .* 900 s of work"):
        list(frames)


@pytest.mark.confined
def test_child_that_waited_too_long_is_replaced() -> None:
    media.probe(CLIP)
    idle = only_child().process
    idle.kill()
    idle.wait()
    assert media.read_timeline(CLIP).fps == 25.0


@pytest.mark.confined
def test_child_that_falls_asleep_when_it_is_asked_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    media.probe(CLIP)
    idle = only_child().process
    idle.send_signal(signal.SIGALRM)
    os.waitid(os.P_PID, idle.pid, os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(idle, "poll", lambda: None)  # nobody has noticed
    assert media.read_timeline(CLIP).fps == 25.0
    assert only_child().process is not idle


@pytest.mark.confined
def test_child_that_does_not_listen_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    media.probe(CLIP)
    only_child().process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(media_process, "SILENCE_S", 0.2)
    with pytest.raises(MediaError, match="takes more than 0 s for one step"):
        list(media.read_frames(CLIP, [0] * 100_000))  # more than a pipe holds


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux's /proc")
def test_child_has_no_terminal_to_read_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VL2_TRACEBACK", raising=False)
    child = media_process._start()
    try:
        assert Path(f"/proc/{child.process.pid}/fd/2").readlink() == Path("/dev/null")
    finally:
        media_process._end(child)


@pytest.mark.confined
def test_busy_child_does_not_outlive_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_process, "_left", False)  # for the tests that follow
    frames = media.read_frames(CLIP, range(100))
    next(frames)
    [child] = media_process._asked
    media_process.leave()
    assert child.process.wait(60) == -signal.SIGKILL
    with pytest.raises(MediaError):
        list(frames)
    with pytest.raises(MediaError, match="is being closed"):
        media.sound_info(CLIP)
    assert not media_process._kept


@pytest.mark.confined
def test_thread_that_reads_a_clip_does_not_hold_up_the_programs_end() -> None:
    """Executors' threads are waited for; a stopped child would be for two minutes."""
    code = f"""
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from engines import media, media_process
media.probe(Path({str(CLIP)!r}))
[child] = media_process._kept
child.process.send_signal(signal.SIGSTOP)
reading = ThreadPoolExecutor(1).submit(media.read_timeline, Path({str(CLIP)!r}))
while not media_process._asked:
    pass
media_process.leave()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@pytest.mark.skipif(sys.platform == "win32", reason="the job object does it")
def test_child_does_not_work_on_for_a_parent_that_was_killed() -> None:
    child = (
        "import time; from engines import media_child; media_child._end_with_parent();"
        " print(flush=True); time.sleep(600)"
    )
    parent = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE)
child.stdout.readline()
os.kill(os.getpid(), 9)
"""
    # The child has inherited stderr: whoever waits for its end waits for the child's, too.
    subprocess.run(
        [sys.executable, "-c", parent], cwd=ROOT, capture_output=True, timeout=300, check=False
    )


@pytest.mark.confined
@pytest.mark.skipif(sys.platform != "linux", reason="what Linux has")
def test_child_says_what_it_has_given_up() -> None:
    held = media_process.confinement()
    bounded = os.geteuid() != 0  # the superuser may start as many threads as there can be
    assert held == Confinement(limits=True, threads=bounded, system_calls=True, files=True)
    assert not media_process._kept
    assert not media_process._asked


@pytest.mark.parametrize("said", [b"{}", b'{"head": {"limits": "yes"}, "arrays": []}', b""])
def test_greeting_that_is_none_is_the_childs_end(said: bytes) -> None:
    child = media_process._Child(cast(Any, Pretended(wire.GREETING + said + b"\n")))
    with pytest.raises(MediaError, match="its decoder ended"):
        list(media_process._converse(child, CLIP, "probe", {}))


def test_child_gets_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, str]] = []

    def popen(*_: Any, env: dict[str, str], **__: Any) -> None:
        given.append(env)
        raise OSError("no process")

    monkeypatch.setattr(child_process.subprocess, "Popen", popen)
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    with pytest.raises(MediaError):
        media_process._start()
    [environment] = given
    assert "secret" not in environment.values()
    assert environment["LC_ALL"] == "C.UTF-8"
    known = media_process.PASSED | set(media_process.VARIABLES) | {"PYTHONPATH"}
    assert {name.upper() for name in environment} <= known


@pytest.mark.confined
def test_child_that_told_nonsense_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    media.probe(CLIP)
    child = only_child().process
    with monkeypatch.context() as wrong:
        wrong.setattr(media, "_is_sane", lambda _: False)
        with pytest.raises(MediaError, match="makes no sense"):
            media.read_timeline(CLIP)
    assert child.wait(60) == -signal.SIGKILL
    assert not media_process._kept
    with monkeypatch.context() as wrong:
        wrong.setattr(media, "_is_sane", lambda _: False)
        with pytest.raises(MediaError, match="makes no sense"):
            next(media.read_frames(CLIP, [0, 1]))  # in the middle of an answer
    assert not media_process._kept
    assert media.read_timeline(CLIP).fps == 25.0


@pytest.mark.confined
def test_children_at_a_time_are_few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(media_process, "MOST_RUNNING", 2)
    monkeypatch.setattr(media_process, "WAIT_S", 0.1)
    first, second = (media.read_frames(CLIP, range(100)) for _ in range(2))
    next(first), next(second)
    with pytest.raises(MediaError, match="2 clips are being read at the same time"):
        media.sound_info(CLIP)
    media_process.warm()
    assert len(_children_of_this_process()) == 2
    first.close()
    assert media.sound_info(CLIP) is not None
    # One that is only kept makes room.
    assert media.probe(write_clip(tmp_path / "other.mp4", frames=3)).frame_count == 3
    assert len(_children_of_this_process()) == 2
    second.close()


@pytest.mark.confined
def test_who_waits_for_a_child_gets_the_next_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_process, "MOST_RUNNING", 1)
    frames = media.read_frames(CLIP, range(100))
    next(frames)
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(media.sound_info, CLIP)
        frames.close()
        assert waiting.result(60) is not None


@pytest.mark.confined
def test_reading_given_up_while_the_child_dies_says_nothing() -> None:
    frames = media.read_frames(CLIP, range(100))
    next(frames)
    [child] = media_process._asked
    child.process.kill()
    child.process.wait()
    frames.close()
    assert not media_process._kept


@pytest.mark.confined
def test_silent_child_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    media.probe(CLIP)
    only_child().process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(media_process, "SILENCE_S", 0.2)
    with pytest.raises(MediaError, match="takes more than 0 s for one step"):
        media.read_timeline(CLIP)


@pytest.mark.confined
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of writable memory is Linux's")
def test_clip_that_needs_too_much_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    monkeypatch.setattr(media_process, "LIMITS", Limits(memory_bytes=256 << 20))
    Image.new("RGB", (9000, 9000)).save(tmp_path / "large.png")
    with pytest.raises(MediaError, match=r"more than the 0\.25 GB of memory that a clip may take"):
        list(media.read_frames(tmp_path / "large.png", [0]))
    # libav's own complaint is no word about the file.
    with av.open(tmp_path / "large.avi", "w") as out:
        stream = out.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 9000, 8000, "yuvj444p"
        out.mux(stream.encode(av.VideoFrame(9000, 8000, "yuvj444p")))
        out.mux(stream.encode(None))
    with pytest.raises(MediaError, match="memory that a clip may take") as caught:
        list(media.read_frames(tmp_path / "large.avi", [0]))
    assert "harm" not in str(caught.value)


@pytest.mark.confined
@pytest.mark.parametrize("taken", [1, 3])
def test_frames_given_up_leave_a_child_that_answers(taken: int) -> None:
    """Also behind the last frame, whose end is then on its way already."""
    with closing(media.read_frames(CLIP, [0, 1, 2])) as frames:
        for _ in range(taken):
            next(frames)
    child = only_child().process
    assert [frame.time_s for frame in media.read_frames(CLIP, [1])] == [0.04]
    assert only_child().process is child


@pytest.mark.confined
def test_child_reads_no_second_clip(tmp_path: Path) -> None:
    """Not even when a picture of its folder leads out of it."""
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "a.png").symlink_to(MEDIA / "test.png")
    with pytest.raises(MediaError, match="may not be read"):
        list(media.read_frames(folder, [0]))


@pytest.mark.parametrize(
    "packets",
    [
        [],
        [Packet({"time_s": 0.0, "exact": True})],
        [Packet({"time_s": 0.0, "exact": True}, (np.zeros((2, 2, 4), np.uint8),))],
        [Packet({"time_s": 0.0, "exact": True}, (np.zeros((2, 2, 3), np.float32),))],
        [Packet({"time_s": "now", "exact": True}, (np.zeros((2, 2, 3), np.uint8),))],
        [Packet({"time_s": 0.0, "exact": True}, (np.zeros((2, 2, 3), np.uint8),))] * 2,
        [Packet({"time_s": float("nan"), "exact": True}, (np.zeros((2, 2, 3), np.uint8),))],
    ],
)
def test_answers_of_a_captured_decoder_are_not_believed(
    packets: list[Packet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_process, "call", lambda *_, **__: iter(packets))
    with pytest.raises(MediaError, match="makes no sense"):
        list(media.read_frames(CLIP, [0]))


@pytest.mark.parametrize(
    ("question", "head"),
    [
        (media.probe, {"kind": "virus"}),
        (media.read_timeline, {"end_s": 1.0, "fps": None, "notes": []}),
        (media.probe, PROBED | {"duration_s": float("inf")}),
        (media.probe, PROBED | {"duration_s": -1.0}),
        (media.probe, PROBED | {"duration_s": None}),
        (media.probe, PROBED | {"width": None}),
        (media.probe, PROBED | {"has_video": False}),
        (media.probe, PROBED | {"has_sound": False}),
        (media.probe, PROBED | {"fps": -1.0}),
        (media.probe, {**PROBED, "rotation": 1 << 40}),
        (media.probe, []),
        (media.probe, 7),
        (media.probe, PROBED | {"frame_count": 1 << 60}),
        (media.probe, PROBED | {"sample_rate": 0}),
        (media.probe, PROBED | {"fps": float("nan")}),
        (media.probe, PROBED | {"notes": ["\x1b[2J"]}),
        (media.probe, PROBED | {"notes": ["a" * 10_000]}),
        (media.probe, PROBED | {"notes": ["a"] * 100}),
        (media.sound_info, {"info": SOUND | {"sample_rate": 0}}),
        (media.sound_info, {"info": SOUND | {"end_s": float("inf")}}),
        (media.sound_info, {"info": SOUND | {"start_s": 2.0}}),
        (media.sound_info, {"info": {"start_s": 0}}),
        (media.folder_frames, {"names": ["../../etc/passwd"]}),
        (media.folder_frames, {"names": [".."]}),
        (media.probe, PROBED | {"sample_rate": 1 << 30}),
        (media.sound_info, {"info": SOUND | {"sample_rate": 1 << 30}}),
    ],
)
def test_facts_of_a_captured_decoder_are_not_believed(
    question: Any, head: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_process, "call", lambda *_, **__: iter([Packet(head)]))
    with pytest.raises(MediaError, match="makes no sense"):
        question(CLIP)


def test_facts_that_are_in_order_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    for question, head in ((media.probe, PROBED), (media.sound_info, {"info": SOUND})):
        monkeypatch.setattr(media_process, "call", lambda *_, head=head: iter([Packet(head)]))
        assert question(CLIP) is not None


@pytest.mark.parametrize("sample", [np.nan, np.inf, -1e30])
def test_samples_of_a_captured_decoder_are_not_believed(
    sample: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = np.full(8000, sample, np.float32)
    packet = Packet({"sample_rate": 8000, "start_s": 0.0, "end_s": 1.0}, (samples,))
    monkeypatch.setattr(media_process, "call", lambda *_, **__: iter([packet]))
    with pytest.raises(MediaError, match="makes no sense"):
        media.read_sound(CLIP, [(0.0, 1.0)], rate=8000)


def test_more_frames_than_a_film_has_are_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    packet = Packet({"end_s": 1.0, "fps": None, "notes": []}, (np.zeros(11, np.float64),))
    monkeypatch.setattr(media, "MOST_FRAMES", 10)
    monkeypatch.setattr(media_process, "call", lambda *_: iter([packet]))
    with pytest.raises(MediaError, match="makes no sense"):
        media.read_timeline(CLIP)


@pytest.mark.parametrize("times_s", [[], [np.nan], [1.0, 0.5], [0.0, 2.0], [1e300]])
def test_times_of_a_captured_decoder_are_not_believed(
    times_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    packet = Packet({"end_s": 1.0, "fps": None, "notes": []}, (np.array(times_s, np.float64),))
    monkeypatch.setattr(media_process, "call", lambda *_: iter([packet]))
    with pytest.raises(MediaError, match="makes no sense"):
        media.read_timeline(CLIP)


def test_captured_decoder_that_never_ends_is_not_listened_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = Packet({"time_s": 0.0, "exact": True}, (np.zeros((2, 2, 3), np.uint8),))
    monkeypatch.setattr(media_process, "call", lambda *_, **__: repeat(picture))
    with pytest.raises(MediaError, match="makes no sense"):
        list(media.read_frames(CLIP, [0, 1]))
    samples = Packet(
        {"sample_rate": 8000, "start_s": 0.0, "end_s": 1.0}, (np.zeros(8000, np.float32),)
    )
    monkeypatch.setattr(media_process, "call", lambda *_, **__: repeat(samples))
    with pytest.raises(MediaError, match="makes no sense"):
        media.read_sound(CLIP, [(0.0, 1.0)], rate=8000)
    monkeypatch.setattr(media_process, "call", lambda *_: repeat(Packet(PROBED)))
    with pytest.raises(MediaError, match="makes no sense"):
        media.probe(CLIP)


@pytest.mark.parametrize(
    "parts",
    [
        [(0.0, (9, 8, 3))],  # larger than the box
        [(float("nan"), (4, 4, 3))],
        [(1.0, (4, 4, 3)), (0.5, (4, 4, 3))],  # backwards
        [(0.0, (800, 2))] * 40,  # sound whose time stands still
        [(0.0, (8000 * 100, 2))],
    ],
)
def test_film_of_a_captured_decoder_is_not_played(
    parts: list[tuple[float, tuple[int, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = [
        Packet({"time_s": at}, (np.zeros(shape, np.uint8 if len(shape) == 3 else np.float32),))
        for at, shape in parts
    ]
    monkeypatch.setattr(media_process, "call", lambda *_, **__: iter(packets))
    with pytest.raises(MediaError, match="makes no sense"):
        list(media.play(CLIP, PlayOptions(0.0, 8, 6, 8000)))


def test_a_childs_sentence_is_short_and_moves_no_cursor() -> None:
    said = wire.to_bytes({"end": "error", "sentence": "\x1b[2Jno clip\n" + "a" * 10_000})
    child = media_process._Child(cast(Any, Pretended(GREETED + said)))
    with pytest.raises(MediaError) as caught:
        list(media_process._converse(child, CLIP, "probe", {}))
    assert str(caught.value).startswith("[2Jno clipaaa")
    assert len(str(caught.value)) < 6000


class Pretended:
    """A process of which only the pipes are used."""

    returncode = 0

    def __init__(self, says: bytes) -> None:
        self.stdin, self.stdout = io.BytesIO(), io.BytesIO(says)

    def kill(self) -> None: ...

    def wait(self, timeout: float = 0.0) -> int:
        return self.returncode


def _children_of_this_process() -> list[int]:
    found = []
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended meanwhile
            found += [int(number) for number in task.read_text().split()]
    return found
