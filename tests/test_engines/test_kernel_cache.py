import os
from pathlib import Path

import pytest

from engines import kernel_cache
from engines.kernel_cache import kernel_file, read_kernels, write_kernels


def test_each_gpu_driver_version_and_engine_has_its_own() -> None:
    one = ("RTX", "580", "1.7", "ab")
    others = [("RTX 2", *one[1:]), ("RTX", "581", "1.7", "ab"), (*one[:2], "1.8", "ab")]
    files = {kernel_file(*key) for key in (one, *others, (*one[:3], "cd"))}
    assert len(files) == 5
    assert kernel_file(*one) in files


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "kernels" / "a.kernels"
    assert read_kernels(file) is None
    write_kernels(file, b"compiled")
    assert read_kernels(file) == b"compiled"
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.write_bytes(b"")
    assert read_kernels(file) is None


def test_what_cannot_be_marked_as_used_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError

    (tmp_path / "a.kernels").write_bytes(b"compiled")
    monkeypatch.setattr(os, "utime", refused)
    assert read_kernels(tmp_path / "a.kernels") == b"compiled"


def test_more_than_is_ever_kept_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_cache, "MAX_BYTES", 25)
    (tmp_path / "a.kernels").write_bytes(b"x" * 25)
    (tmp_path / "b.kernels").write_bytes(b"x" * 26)
    assert read_kernels(tmp_path / "a.kernels") == b"x" * 25
    assert read_kernels(tmp_path / "b.kernels") is None


def test_a_disk_that_takes_nothing_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    write_kernels(tmp_path / "file" / "a.kernels", b"compiled")
    assert read_kernels(tmp_path / "file" / "a.kernels") is None


def test_what_was_used_longest_ago_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_cache, "MAX_BYTES", 25)
    for name in "abc":
        write_kernels(tmp_path / f"{name}.kernels", b"x" * 10)
        if name == "b":
            assert read_kernels(tmp_path / "a.kernels") is not None  # Used now, so it stays.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.kernels", "c.kernels"]
