"""What the frozen program does first: its surroundings, and whose GPU pack it takes."""

import os
import sys
from pathlib import Path

import pytest

from app import frozen

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="rights are told otherwise there")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program with a pack beside it, begun as the frozen one is."""
    path = tmp_path / "program" / "vl2"
    (path.parent / "gpu" / "tensorrt_rtx").mkdir(parents=True, mode=0o755)
    path.touch()
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(frozen, "_state", {})
    monkeypatch.setenv("LC_CTYPE", "C.UTF-8")
    return path


def test_the_gpu_pack_comes_first(program: Path) -> None:
    frozen.prepare()
    assert sys.path[0] == str(program.parent / "gpu")
    assert frozen.pack_note().startswith("in use")


def test_without_a_pack_nothing_is_said(program: Path) -> None:
    (program.parent / "gpu" / "tensorrt_rtx").rmdir()
    (program.parent / "gpu").rmdir()
    before = [*sys.path]
    frozen.prepare()
    assert (sys.path, frozen.pack_note()) == (before, "")


@pytest.mark.parametrize("place", ["gpu", "gpu/tensorrt_rtx"])
def test_a_pack_that_others_may_write_is_left_alone(program: Path, place: str) -> None:
    (program.parent / place).chmod(0o777)
    frozen.prepare()
    assert str(program.parent / "gpu") not in sys.path
    assert "others may write" in frozen.pack_note()


def test_a_pack_that_is_a_link_is_left_alone(program: Path, tmp_path: Path) -> None:
    pack = program.parent / "gpu"
    pack.rename(tmp_path / "elsewhere")
    pack.symlink_to(tmp_path / "elsewhere")
    frozen.prepare()
    assert str(pack) not in sys.path
    assert "is a link" in frozen.pack_note()


def test_a_pack_of_somebody_else_is_left_alone(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = program.parent / "gpu"
    state = program.stat()
    stranger = os.stat_result([*state[:4], 4711, *state[5:]])
    monkeypatch.setattr(Path, "lstat", lambda path: stranger)
    assert "somebody else" in (frozen.refusal(pack, program) or "")


def test_other_programs_get_the_systems_libraries(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/vl2/_internal:/mine")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/mine")
    frozen.prepare()
    assert os.environ["LD_LIBRARY_PATH"] == "/mine"
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/vl2/_internal")
    frozen.prepare()
    assert "LD_LIBRARY_PATH" not in os.environ


def test_a_home_and_a_locale_where_there_is_none(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "")
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    frozen.prepare()
    assert os.environ["HOME"] == str(Path("~").expanduser())
    assert os.environ["HOME"]
    assert os.environ["LC_CTYPE"] == "C.UTF-8"
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.delenv("LC_CTYPE")
    frozen.prepare()
    assert os.environ["HOME"] == "/somewhere"
    assert "LC_CTYPE" not in os.environ


def test_a_program_without_a_terminal_can_still_speak(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    frozen.prepare()
    for stream in (sys.stdout, sys.stderr):
        stream.write("nobody hears it")
        stream.close()
