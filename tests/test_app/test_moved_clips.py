"""Clips found again by size and hash, or said to be gone."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from app import moved_clips
from app.history import History, clip_record, clip_status
from app.moved_clips import find_moved
from app.records import ClipRecord
from engines.media import clip_hash

MEDIA = Path(__file__).parents[2] / "tests" / "data" / "media"


@pytest.fixture
def clip(tmp_path: Path) -> ClipRecord:
    path = tmp_path / "videos" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"film" * 1000)
    return replace(clip_record(path, "video"), sha256=clip_hash(path))


@pytest.fixture
def frames(tmp_path: Path) -> ClipRecord:
    folder = tmp_path / "videos" / "frames"
    folder.mkdir(parents=True)
    for i in range(3):
        shutil.copy(MEDIA / "test.png", folder / f"{i}.png")
    (folder / ".hidden").write_text("left out")
    return replace(clip_record(folder, "frames"), sha256=clip_hash(folder))


def move(clip: ClipRecord, to: Path) -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    return clip.path.rename(to)


def test_a_clip_is_where_it_was(clip: ClipRecord, frames: ClipRecord) -> None:
    assert clip_status(clip) == "here"
    assert clip_status(frames) == "here"
    assert (clip.size, clip.kind, clip.path.is_absolute()) == (4000, "video", True)
    assert frames.size == 3 * (MEDIA / "test.png").stat().st_size


def test_another_file_in_its_place_is_not_the_clip(clip: ClipRecord, frames: ClipRecord) -> None:
    clip.path.write_bytes(b"another")
    assert clip_status(clip) == "changed"
    clip.path.unlink()
    clip.path.mkdir()
    assert clip_status(clip) == "changed"
    shutil.rmtree(frames.path)
    frames.path.touch()
    assert clip_status(frames) == "changed"


def test_a_clip_can_be_gone(clip: ClipRecord, tmp_path: Path) -> None:
    clip.path.unlink()
    assert clip_status(clip) == "gone"
    assert clip_status(replace(clip, path=Path("a\0b"))) == "gone"
    assert find_moved(clip, [tmp_path]) is None
    assert clip_record(tmp_path / "never.mp4", "video").size == 0


@pytest.mark.parametrize("to", ["videos/renamed.mkv", "elsewhere/deep/er/a.mp4"])
def test_a_moved_clip_is_found(clip: ClipRecord, tmp_path: Path, to: str) -> None:
    (tmp_path / "videos" / "same size.mp4").write_bytes(b"mlif" * 1000)
    (tmp_path / "other.mp4").write_bytes(b"film")
    target = move(clip, tmp_path / to)
    assert find_moved(clip, [tmp_path]) == target


def test_moved_frames_are_found(frames: ClipRecord, tmp_path: Path) -> None:
    target = move(frames, tmp_path / "elsewhere" / "pictures")
    assert find_moved(frames, [tmp_path]) == target


def test_a_size_alone_proves_nothing(clip: ClipRecord, tmp_path: Path) -> None:
    move(clip, tmp_path / "b.mp4")
    assert find_moved(replace(clip, sha256=None), [tmp_path]) is None


def test_links_hidden_folders_and_closed_doors_are_passed_over(
    clip: ClipRecord, tmp_path: Path
) -> None:
    hidden = move(clip, tmp_path / ".trash" / "a.mp4")
    (tmp_path / "link.mp4").symlink_to(hidden)
    (tmp_path / "linked").symlink_to(hidden.parent)
    (tmp_path / "circle").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert find_moved(clip, [tmp_path, tmp_path / "no such folder", Path("/dev/null")]) is None


def test_the_search_can_be_cancelled_and_ends_by_itself(
    clip: ClipRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = move(clip, tmp_path / "x" / "a.mp4")
    assert find_moved(clip, [tmp_path], cancelled=lambda: True) is None
    assert find_moved(clip, [tmp_path]) == target
    monkeypatch.setattr(moved_clips, "MAX_ENTRIES", 1)
    assert find_moved(clip, [tmp_path]) is None
    monkeypatch.setattr(moved_clips, "MAX_ENTRIES", 100)
    monkeypatch.setattr(moved_clips, "MAX_DEPTH", 0)
    assert find_moved(clip, [tmp_path]) is None


def test_a_candidate_that_cannot_be_read_is_passed_over(clip: ClipRecord, tmp_path: Path) -> None:
    empty = replace(clip, size=0)
    (tmp_path / "empty").touch()
    assert find_moved(empty, [tmp_path]) is None


def test_the_history_finds_a_clip_and_remembers_its_new_place(
    clip: ClipRecord, tmp_path: Path
) -> None:
    history = History.open(None)
    number = history.create("t", clip, "")
    renamed = move(clip, clip.path.with_name("renamed.mp4"))
    assert history.find_moved(number, []) == renamed
    history.relocate(number, renamed)
    found = history.load(number).clip
    assert found is not None
    assert clip_status(found) == "here"
    assert history.find_moved(history.create("none", None, ""), [tmp_path]) is None
    history.close()
