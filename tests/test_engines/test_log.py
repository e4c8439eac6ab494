"""The log: bounded, private, shared by processes, and only of what may be said."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engines import log


@pytest.fixture
def folder(tmp_path: Path):
    log.begin("test", tmp_path / "log")
    yield tmp_path / "log"
    log.end()


def lines(folder: Path) -> list[str]:
    return (folder / "log.txt").read_text().splitlines()


def test_it_begins_with_the_versions(folder) -> None:
    (first,) = lines(folder)
    assert " start version=" in first
    assert "python=3." in first


def test_nothing_is_written_before_it_begins(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(log, "log_dir", lambda: tmp_path / "log")
    log.note("event")
    log.failure("event", ValueError())
    assert list(tmp_path.iterdir()) == []


def test_only_this_user_may_read_it(folder) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_it_never_grows_beyond_three_files(folder, monkeypatch) -> None:
    monkeypatch.setattr(log, "FILE_BYTES", 4000)
    for number in range(1000):
        log.note("event", number=number)
    files = sorted(folder.glob("log*.txt"))
    assert [file.name for file in files] == ["log.1.txt", "log.2.txt", "log.txt"]
    assert all(file.stat().st_size < 4000 + log.MAX_LINE for file in files)
    assert "number=999" in log.tail(1 << 20, folder)
    numbers = [line.rpartition("=")[2] for line in log.tail(1 << 20, folder).splitlines()]
    assert numbers == [str(number) for number in range(int(numbers[0]), 1000)]


def test_a_word_is_neither_a_path_nor_an_address_nor_long(folder) -> None:
    log.note("event", one="/home/anna/a.mp4", two="rtsp://u:p@host", three="C:\\a", four="x" * 999)
    log.note("event", five="a\nb\x1b[31mc", six='"quoted"', seven=1.23456, eight=None)
    said = "".join(lines(folder)[1:])
    for mark in ("/", "@", "\\", "\x1b", '"'):
        assert mark not in said
    assert "x" * 121 not in said
    assert "seven=1.235" in said
    assert "eight" not in said
    assert len(lines(folder)) == 3


def test_an_exception_is_its_kind_and_its_places_in_our_code(folder) -> None:
    from engines.bundle import read_bundle
    from engines.errors import BundleError

    try:
        read_bundle(Path("/home/anna/secret.vl2"))
    except BundleError as error:
        log.failure("load_failed", error)
    try:
        Path("/home/anna/secret.txt").read_bytes()
    except OSError as error:
        log.failure("load_failed", error)
    bundle, file = lines(folder)[1:]
    assert "error=BundleError" in bundle
    assert "engines/bundle.py:" in bundle
    assert bundle.endswith(":read_bundle")
    assert "error=FileNotFoundError errno=ENOENT" in file
    assert "secret" not in bundle + file
    assert "anna" not in bundle + file


def test_of_a_clip_only_ending_and_size(folder, tmp_path) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"x" * 1234)
    log.note("clip", **log.clip_facts(tmp_path / "secret.mp4"))
    log.note("clip", **log.clip_facts(tmp_path / "a.secret"))
    assert lines(folder)[1].endswith("clip ending=mp4 bytes=1234")
    assert lines(folder)[2].endswith("clip ending=other")


def test_the_folder_may_go_at_any_time(folder) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    log.note("event", number=7)
    assert lines(folder)[0].endswith("event number=7")


def test_a_disk_that_takes_nothing_is_no_error(folder, monkeypatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log.os, "write", full)
    log.note("event")
    monkeypatch.undo()
    assert len(lines(folder)) == 1


def test_a_link_in_its_place_is_not_followed(folder, tmp_path) -> None:
    target = tmp_path / "other.txt"
    target.write_text("mine")
    (folder / "log.txt").unlink()
    (folder / "log.txt").symlink_to(target)
    log.note("event")
    assert target.read_text() == "mine"


def test_several_processes_write_whole_lines(folder) -> None:
    code = (
        "import sys; from pathlib import Path; from engines import log;"
        "log.FILE_BYTES = 20_000; log.begin('other', Path(sys.argv[1]));"
        "[log.note('event', word='w' * 50) for _ in range(400)]"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(folder)]) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    kept = log.tail(1 << 20, folder).splitlines()
    assert len(kept) > 100
    assert all(" other " in line or " test " in line for line in kept)
    assert all(line.endswith("w" * 50) for line in kept if " event " in line)


def test_a_crash_is_told_by_the_next_one(tmp_path) -> None:
    code = (
        "import sys; from pathlib import Path; from engines import log;"
        "log.begin('window', Path(sys.argv[1])); import faulthandler; import ctypes;"
        "from engines import bundle; bundle.cache_dir = lambda: ctypes.string_at(0);"
        "bundle._hashes_path()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode < 0
    log.begin("window", tmp_path)
    log.end()
    (told,) = [line for line in lines(tmp_path) if "crashed_before" in line]
    assert "kind='Segmentation fault'" in told
    assert "engines/bundle.py:" in told
    assert "_hashes_path" in told
    assert str(tmp_path) not in told
    log.begin("window", tmp_path)
    log.end()
    assert "crashed_before" not in lines(tmp_path)[-1]
