import os
import time
from pathlib import Path

import pytest

from engines.last_use import last_use, mark_used


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.touch()
    return files


def in_order(files: list[Path]) -> str:
    return "".join(file.name for file in sorted(files, key=last_use))


def test_the_last_marked_is_the_last_however_quickly_they_follow(files: list[Path]) -> None:
    for name in "bacbcacba" * 20:
        mark_used(files["abc".index(name)], files)
    assert in_order(files) == "cba"


@pytest.mark.parametrize("clock", [0, 10**18, 3 * 10**18])
def test_a_clock_that_was_set_makes_nothing_older(
    clock: int, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_used(files[0], files)
    monkeypatch.setattr(time, "time_ns", lambda: clock)
    mark_used(files[2], files)
    mark_used(files[1], files)
    assert in_order(files) == "acb"


def test_a_file_that_is_gone_is_the_oldest(files: list[Path]) -> None:
    files[1].unlink()
    mark_used(files[1], files)
    assert last_use(files[1]) == 0
    assert in_order(files)[0] == "b"


def test_a_folder_that_takes_nothing_stays_as_it_is(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refused)
    before = last_use(files[0])
    mark_used(files[0], files)
    assert last_use(files[0]) == before
