import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.errors import CheckpointError, DeviceError, ExportError
from engines.file_lock import only_writer
from export.unfinished import (
    LOCK,
    NotPublishedError,
    Unfinished,
    part_folder,
    unfinished_bundle,
)

KEY = {"made_by": ["vl2", (2, 13)], "options": [1, None]}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "x.vl2"


def begun(target: Path, text: str = "12345") -> Unfinished:
    """An export with one finished step, whose file another one goes on with."""
    work = Unfinished(target, KEY)
    (work.bundle / "a.data").write_text(text)
    work.save("first", {"layers": 3}, {"x": np.arange(4)})
    return work


def test_a_finished_step_is_there_in_the_next_run(target: Path) -> None:
    begun(target)
    work = Unfinished(target, KEY)
    assert work.resumed
    assert not work.dropped
    found = work.load("first")
    assert found is not None
    facts, arrays = found
    assert facts == {"layers": 3}
    assert arrays["x"].tolist() == [0, 1, 2, 3]
    assert work.load("second") is None


def test_a_step_is_run_once(target: Path) -> None:
    work = Unfinished(target, KEY)
    runs: list[int] = []

    def run() -> dict[str, np.ndarray]:
        runs.append(1)
        return {"n": np.asarray(7)}

    assert work.step("count", run)["n"] == work.step("count", run)["n"] == 7
    assert runs == [1]


def test_other_options_begin_anew(target: Path) -> None:
    begun(target)
    work = Unfinished(target, {**KEY, "options": [2, None]})
    assert work.dropped
    assert not work.resumed
    assert not list(work.bundle.iterdir())


def test_a_file_that_became_shorter_or_went_undoes_its_step(target: Path) -> None:
    work = begun(target)
    (work.bundle / "a.data").write_text("123456789")
    assert work.load("first") is not None
    (work.bundle / "a.data").write_text("1234")
    assert work.load("first") is None
    (work.bundle / "a.data").unlink()
    assert work.load("first") is None


def test_a_step_that_is_torn_is_not_finished(target: Path) -> None:
    work = begun(target)
    path = work.folder / "first.npz"
    path.write_bytes(path.read_bytes()[:-30])
    assert work.load("first") is None


def test_what_is_published_is_the_bundle_alone(target: Path) -> None:
    target.mkdir()
    (target / "left over").write_text("")
    begun(target)
    with unfinished_bundle(target, KEY, print) as work:
        work.publish()
    assert [path.name for path in target.parent.iterdir()] == ["x.vl2"]
    assert [path.name for path in target.iterdir()] == ["a.data"]


def test_killed_between_the_renames_the_older_one_comes_back(target: Path) -> None:
    work = begun(target)
    older = work.folder / "replaced"
    older.mkdir()
    (older / "manifest.json").write_text("{}")
    work = Unfinished(target, KEY)
    assert (target / "manifest.json").is_file()
    assert work.load("first") is not None


def broken_off(target: Path, error: BaseException, said: list[str]) -> None:
    with unfinished_bundle(target, KEY, said.append) as work:
        work.save("first", {}, {})
        raise error


def test_two_at_once(target: Path) -> None:
    with unfinished_bundle(target, KEY, print) as work:
        work.save("first", {}, {})
        with pytest.raises(ExportError, match=r"Another process is making .*x\.vl2; wait for it"):
            broken_off(target, ZeroDivisionError(), [])
        assert work.load("first") == ({}, {})


def test_a_process_that_was_killed_lets_go(target: Path) -> None:
    code = f"""
import os, pathlib
from export.unfinished import unfinished_bundle
with unfinished_bundle(pathlib.Path({str(target)!r}), {{"options": 1}}, print) as work:
    work.save("first", {{}}, {{}})
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with unfinished_bundle(target, {"options": 1}, print) as work:
        assert work.load("first") == ({}, {})


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, DeviceError, NotPublishedError])
def test_what_is_finished_is_kept(target: Path, error: type[BaseException]) -> None:
    said: list[str] = []
    with pytest.raises(error):
        broken_off(target, error(), said)
    assert said == [
        f"what is finished is kept in {target}.part: the same command goes on from there"
    ]
    with unfinished_bundle(target, KEY, said.append) as work:
        assert work.load("first") == ({}, {})
    assert said[1:] == [f"going on from what an interrupted export left in {target}.part"]


def test_nothing_is_kept_of_what_is_wrong(target: Path) -> None:
    said: list[str] = []
    with pytest.raises(CheckpointError):
        broken_off(target, CheckpointError("The shard x is missing; fetch it."), said)
    assert not list(target.parent.iterdir())
    assert said == []


def test_a_full_disk_is_one_sentence(target: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(ExportError, match=r"x\.vl2 could not be written \(no space left on"):
        broken_off(target, full, [])


def test_the_folder_goes_while_it_is_still_held(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, alone = part_folder(target) / LOCK, []
    real = shutil.rmtree

    def watched(path: Path, ignore_errors: bool = False) -> None:
        if path == lock.parent:
            with only_writer(lock) as found:
                alone.append(found)
        real(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", watched)
    with unfinished_bundle(target, KEY, print) as work:
        work.publish()
    assert alone == [False]
    assert not lock.parent.exists()
