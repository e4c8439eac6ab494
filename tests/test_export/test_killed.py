"""An export that is killed, at any moment and as often as one likes, gives the same bytes."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engines.bundle import file_sha256
from tests.golden import checkpoint

KILLS = 10


def export(target: Path, *options: str) -> "subprocess.Popen[bytes]":
    source = str(checkpoint("qwen2_av"))
    command = [sys.executable, "-m", "export.cli", source, "-o", str(target), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def hashes(bundle: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in bundle.iterdir()}


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
@pytest.mark.parametrize(
    "options", [("--rtn", "--accept-loss"), ("--accept-loss",), ("--fp16",), ("--fp32",)]
)
def test_killed_at_random_moments(tmp_path: Path, options: tuple[str, ...]) -> None:
    calibrated = options == ("--accept-loss",)
    options += ("--calibration-tokens", "2000") if calibrated else ()
    begun = time.monotonic()
    assert export(tmp_path / "whole.vl2", *options).wait() == 0
    lasts = time.monotonic() - begun
    target, chance, killed = tmp_path / "killed.vl2", random.Random(0), 0
    while killed < KILLS:
        running = export(target, *options)
        try:
            # Behind what every start takes, and early enough that work is left for all kills.
            running.wait(chance.uniform(0.1, 0.8) * lasts)
            lasts *= 0.7  # It ended before: the machine has become faster.
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            killed += 1
        if target.exists():
            assert hashes(target) == hashes(tmp_path / "whole.vl2")
            shutil.rmtree(target)
    assert export(target, *options).wait() == 0
    assert hashes(target) == hashes(tmp_path / "whole.vl2")
    assert not list(tmp_path.glob("killed.vl2.*"))
