"""Clips read by a child: the same as in this process, and what happens when it misbehaves."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import media, media_child, media_process
from engines.confine import Limits
from engines.errors import MediaError
from engines.wire import Packet
from tests.clips import MEDIA, write_clip

CLIP = MEDIA / "testsrc.mp4"


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
def test_death_of_the_child_is_one_sentence_and_the_next_one_answers() -> None:
    frames = media.read_frames(CLIP, range(100))
    next(frames)
    for pid in _children_of_this_process():
        os.kill(pid, signal.SIGSEGV)
    with pytest.raises(MediaError, match=r"testsrc\.mp4 could not be read: its decoder ended"):
        list(frames)
    assert len(list(media.read_frames(CLIP, [0, 1]))) == 2


@pytest.mark.confined
def test_child_that_waited_too_long_is_replaced() -> None:
    media.probe(CLIP)
    idle = only_child().process
    idle.kill()
    idle.wait()
    assert media.read_timeline(CLIP).fps == 25.0


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
    with pytest.raises(MediaError, match="decoding it takes more than"):
        list(media.read_frames(tmp_path / "large.png", [0]))


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
        (media.sound_info, {"info": {"start_s": 0}}),
        (media.folder_frames, {"names": ["../../etc/passwd"]}),
    ],
)
def test_facts_of_a_captured_decoder_are_not_believed(
    question: Any, head: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_process, "call", lambda *_, **__: iter([Packet(head)]))
    with pytest.raises(MediaError, match="makes no sense"):
        question(CLIP)


def _children_of_this_process() -> list[int]:
    found = []
    for task in Path("/proc/self/task").glob("*/children"):
        found += [int(number) for number in task.read_text().split()]
    return found
