from pathlib import Path

import pytest

from app.clip_files import guess_kind, is_clip_name, likely_folders, pasted_path, patterns


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.MP4", "video"),
        ("a.jpeg", "image"),
        ("a.flac", "audio"),
        ("a.gif", "video"),
        ("a", "video"),
    ],
)
def test_kinds_by_name(name: str, kind: str) -> None:
    assert guess_kind(Path(name)) == kind


def test_a_folder_is_frames() -> None:
    assert guess_kind(Path("holiday.mp4"), is_folder=True) == "frames"


def test_names_of_clips() -> None:
    assert is_clip_name(Path("/x/Rain.WAV"))
    assert not is_clip_name(Path("/x/letter.txt"))
    assert patterns(("mp4", "gif")) == "*.mp4 *.gif"


@pytest.mark.parametrize("text", ["/a/b c.mp4", "  '/a/b c.mp4'\n", '"/a/b c.mp4"'])
def test_a_path_is_read_as_people_copy_it(text: str) -> None:
    assert pasted_path(text) == Path("/a/b c.mp4")


@pytest.mark.parametrize("text", ["", "What is it?", "a.mp4", "/a\n/b", "/a\0b", "/" + "x" * 5000])
def test_other_text_is_no_path(text: str) -> None:
    assert pasted_path(text) is None


def test_a_path_from_home(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert pasted_path("~/a.mp4") == tmp_path / "a.mp4"


def test_a_moved_clip_is_looked_for_around_its_old_place_first() -> None:
    folders = likely_folders(Path("/media/card/films/a.mp4"), ["/home/u/b/c.mp4", "/top.mp4"])
    assert folders[:3] == [Path("/media/card/films"), Path("/media/card"), Path("/home/u/b")]
    assert Path("/") not in folders
    assert len(set(folders)) == len(folders)
