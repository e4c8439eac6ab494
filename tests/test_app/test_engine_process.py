"""The engine process seen from its pipes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from app.inference import Failed, Load, pack_job, unpack_reply
from engines import child_process, wire

ROOT = Path(__file__).parents[2]


@contextmanager
def child(*command: str) -> Iterator[tuple["subprocess.Popen[bytes]", BinaryIO, BinaryIO]]:
    with subprocess.Popen(
        command or child_process.command("app.engine_process"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process, process.stdin, process.stdout  # type: ignore[misc]
        process.kill()


def test_it_greets_and_ends_with_its_input() -> None:
    with child() as (process, jobs, replies):
        assert replies.readline() == wire.GREETING
        jobs.close()
        assert process.wait() == 0
        assert replies.read() == b""


def test_the_program_itself_can_be_the_child() -> None:
    # As a frozen program starts it, which has no `python -m app.engine_process`.
    with child(sys.executable, "-m", "app", "--app.engine_process") as (process, jobs, replies):
        assert replies.readline() == wire.GREETING
        jobs.close()
        assert process.wait() == 0


@pytest.mark.parametrize(
    "garbage", [b"frobnicate\n", b'{"head": {"jab": 1}, "arrays": []}\n', b"\xff" * 100 + b"\n"]
)
def test_garbage_ends_it_with_one_sentence(garbage: bytes) -> None:
    with child() as (process, jobs, _):
        jobs.write(garbage)
        jobs.flush()
        assert process.wait() == 3
        assert process.stderr is not None
        lines = process.stderr.read().decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("vl2: The engine process was sent what is no job")


def test_a_job_of_no_known_kind_is_answered() -> None:
    with child() as (_, jobs, replies):
        wire.skip_noise(replies)
        for head in ({"job": 4, "kind": "Frobnicate", "fields": {}}, {"job": 5, "kind": "Open"}):
            jobs.write(wire.to_bytes(head))
            jobs.flush()
            packet = wire.read(replies)
            assert packet is not None
            reply = unpack_reply(packet)
            assert isinstance(reply, Failed)
            assert reply.job == head["job"]
            assert reply.sentence.startswith("This cannot be asked of the model")


def test_it_is_not_misled_by_the_folder_it_runs_in(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    for name in ("app/__init__.py", "numpy.py", "engines.py"):
        (tmp_path / name).write_text("raise SystemExit('loaded from the working folder')\n")
    program = (
        "import os, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.engine import Engine\n"
        "from app.inference import Load, Loaded\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "with Engine() as engine:\n"
        "    reply = engine.run(Load())\n"
        "    assert isinstance(reply, Loaded), reply\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_a_load_needs_nothing_said() -> None:
    assert pack_job(1, Load())[0]["fields"]["spec"]["bundle"] is None
