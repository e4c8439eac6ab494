import sys
from pathlib import Path

import pytest

import engines.page_cache
from engines.page_cache import PAGE_BYTES, drop, fill

ENOUGH = 1 << 40
linux = pytest.mark.skipif(sys.platform != "linux", reason="large pages of files are Linux's")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.data"
    path.write_bytes(bytes(range(256)) * (PAGE_BYTES // 256) + b"and a bit")
    return path


@linux
def test_the_whole_file_comes_in_and_stays_as_it_is(file: Path) -> None:
    before = file.read_bytes()
    drop(file)
    assert fill(file, ENOUGH) == len(before) == fill(file, len(before))
    assert file.read_bytes() == before


def test_what_does_not_fit_or_is_not_there_is_left(file: Path, tmp_path: Path) -> None:
    assert fill(file, file.stat().st_size - 1) == 0
    assert fill(file, None) == 0
    assert fill(tmp_path / "none.data", ENOUGH) == 0
    (tmp_path / "empty.data").write_bytes(b"")
    assert fill(tmp_path / "empty.data", ENOUGH) == 0
    drop(tmp_path / "none.data")


def test_nothing_is_done_where_there_are_no_large_pages(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines.page_cache, "_ADVICE", None)
    assert fill(file, ENOUGH) == 0
    drop(file)
