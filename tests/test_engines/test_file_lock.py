import os
import stat
import sys
from pathlib import Path

import pytest

from engines.bundle import write_whole
from engines.file_lock import own_folder


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_folders_of_our_own_are_for_nobody_else_from_the_first_on(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        tmp_path.chmod(0o755)
        own_folder(tmp_path / "state" / "program" / "log")
        write_whole(tmp_path / "data" / "program" / "settings.json", b"{}")
        own_folder(tmp_path)  # which is there, and stays as it is
    finally:
        os.umask(before)
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(folders) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_drive_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda *_, **__: False)  # not even the root
    with pytest.raises(FileExistsError):
        own_folder(tmp_path / "folder")


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        own_folder(tmp_path / "file" / "folder")
