import errno

import pytest

from engines.command import printable, run_command
from engines.errors import MediaError


def test_a_sentence_moves_no_cursor_and_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise MediaError("There is no file \x1b[31mred\x9b2J\nand\rmore.")

    assert run_command("vl2", fail) == 1
    assert capsys.readouterr().err == "vl2: There is no file [31mred2J and more.\n"


def test_what_a_terminal_may_get() -> None:
    assert printable("a\tb\n\x1b]0;x\x07\u00fc") == "a\tb\n]0;x\u00fc"


def test_a_full_disk_and_what_nobody_foresaw(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int) -> None:
        raise OSError(number, "reason")

    assert run_command("vl2", lambda: fail(errno.ENOSPC)) == 1
    assert capsys.readouterr().err == "vl2: The disk is full; free some space and run it again.\n"
    assert run_command("vl2", lambda: fail(errno.EIO)) == 1
    assert "unforeseen happened (OSError: [Errno 5] reason)" in capsys.readouterr().err
    monkeypatch.setenv("VL2_TRACEBACK", "1")
    with pytest.raises(OSError, match="reason"):
        run_command("vl2", lambda: fail(errno.EIO))


def test_no_room_for_a_thread_is_no_memory(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise RuntimeError("can't start new thread")

    assert run_command("vl2", fail) == 1
    assert capsys.readouterr().err.startswith("vl2: There is not enough memory;")


def test_a_sentence_has_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise MediaError(f"{'x' * 100_000} is bad; choose another.")

    assert run_command("vl2", fail) == 1
    said = capsys.readouterr().err
    assert len(said) < 6000
    assert said.endswith("is bad; choose another.\n")


def test_an_interrupt_has_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert run_command("vl2", interrupted) == 130
    assert capsys.readouterr().err == "\nvl2: interrupted\n"
