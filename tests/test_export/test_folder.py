import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engines.errors import ExportError
from export.folder import check_target, publish, unfinished


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "made" / "x.vl2"


@pytest.fixture(autouse=True)
def parent(target: Path) -> Path:
    target.parent.mkdir()
    return target.parent


def work_that_fails(target: Path, error: BaseException) -> None:
    with unfinished(target) as part:
        (part / "a").write_text("1")
        raise error


def test_a_folder_appears_when_it_is_whole(target: Path, parent: Path) -> None:
    with unfinished(target) as part:
        (part / "a").write_text("1")
        assert not target.exists()
        publish(part, target)
    assert [p.name for p in parent.iterdir()] == ["x.vl2"]
    assert (target / "a").read_text() == "1"


def test_an_older_one_is_replaced_in_whole(target: Path, parent: Path) -> None:
    target.mkdir()
    (target / "manifest.json").write_text("{}")
    (target / "left over").write_text("")
    with unfinished(target) as part:
        (part / "manifest.json").write_text("{}")
        publish(part, target)
    assert [p.name for p in parent.iterdir()] == ["x.vl2"]
    assert [p.name for p in target.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ExportError, ZeroDivisionError])
def test_nothing_is_left_of_work_that_fails(
    target: Path, parent: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        work_that_fails(target, error())
    assert not list(parent.iterdir())


def test_a_full_disk_is_one_sentence(target: Path, parent: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(ExportError, match=r"x\.vl2 could not be written \(no space left on"):
        work_that_fails(target, full)
    assert not list(parent.iterdir())


def test_what_a_killed_export_left_is_removed(target: Path, parent: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stale = parent / f"x.vl2.part-{ended.pid}"
    running = parent / f"x.vl2.part-{os.getppid()}"
    copy = parent / "x.vl2.part-mine"
    for folder in (stale, running, copy):
        folder.mkdir()
        (folder / "decoder.data").write_text("half")
    with unfinished(target):
        assert not stale.exists()
        assert running.exists()
        assert copy.exists()


def test_what_was_left_by_a_process_of_our_own_number_is_removed(
    target: Path, parent: Path
) -> None:
    # In a container the same command often gets the same process number again.
    (parent / f"x.vl2.part-{os.getpid()}").mkdir()
    with unfinished(target) as part:
        publish(part, target)
    assert [p.name for p in parent.iterdir()] == ["x.vl2"]


def test_killed_between_the_renames_the_older_one_comes_back(target: Path, parent: Path) -> None:
    old = parent / f"x.vl2.replaced-{os.getpid()}"
    old.mkdir()
    (old / "manifest.json").write_text("{}")
    with pytest.raises(ZeroDivisionError):
        work_that_fails(target, ZeroDivisionError())
    assert [p.name for p in parent.iterdir()] == ["x.vl2"]
    shutil.copytree(target, old)
    with unfinished(target):
        assert not old.exists()


def test_target_that_exists(target: Path) -> None:
    target.mkdir()
    (target / "manifest.json").write_text("{}")
    with pytest.raises(ExportError, match="exists already; choose another name with -o"):
        check_target(target, replace=False)
    check_target(target, replace=True)


def test_only_a_bundle_is_ever_replaced(target: Path) -> None:
    target.mkdir()
    (target / "thesis.tex").write_text("")
    with pytest.raises(ExportError, match="is not a bundle, so it is not replaced"):
        check_target(target, replace=True)


def test_no_folder(target: Path) -> None:
    with pytest.raises(ExportError, match="does not exist; make it"):
        check_target(target / "deeper" / "y.vl2", replace=False)
