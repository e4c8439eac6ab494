"""`vl2 ask` here and in an engine process, with receipts and their replay."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import main
from assets import demo_bundle, demo_clips
from engines import child_process
from tests.engine import CLIP, ends

ROOT = Path(__file__).parents[2]
QUESTION = "Describe what you see and hear."


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(folder))
    return folder


def output(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    return capfd.readouterr().out


def fails(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("vl2: ")]
    assert len(lines) == 1
    assert lines[0].endswith(".")
    assert "unforeseen" not in lines[0]
    return lines[0]


def test_an_engine_process_answers_as_this_one_does(capfd: pytest.CaptureFixture[str]) -> None:
    here = json.loads(output(capfd, "ask", CLIP, QUESTION, "--json"))
    there = json.loads(output(capfd, "ask", CLIP, QUESTION, "--json", "--engine-process"))
    assert set(here) == set(there)
    for part in ("answer", "token_ids", "finish_reason", "usage", "coverage", "device", "bundle"):
        assert here[part] == there[part]
    assert main(["ask", str(CLIP), QUESTION, "--engine-process"]) == 0
    out, err = capfd.readouterr()
    assert out == here["answer"] + "\n"
    assert "first token" in err
    assert "only its small synthetic world" in err


def test_a_receipt_gives_the_same_text_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--temperature", "3", "--top-k", "0", "--top-p", "1", "--seed", "5", "--frames", "4"]
    path, again = tmp_path / "r.json", tmp_path / "again.json"
    said = output(capfd, "ask", CLIP, "What is this?", *options, "--receipt", path)
    plain = output(capfd, "ask", CLIP, "What is this?", "--frames", "4")
    assert said != plain
    assert output(capfd, "ask", "--replay", path, "--receipt", again) == said
    assert output(capfd, "ask", "--replay", path, "--engine-process") == said
    assert output(capfd, "ask", "--replay", again) == said
    first, second = json.loads(path.read_text()), json.loads(again.read_text())
    for part in ("bundle", "clip", "messages", "options", "token_ids", "coverage", "versions"):
        assert first[part] == second[part]


def test_an_engine_process_writes_the_same_receipt(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = tmp_path / "here.json", tmp_path / "there.json"
    output(capfd, "ask", CLIP, QUESTION, "--receipt", paths[0])
    output(capfd, "ask", CLIP, QUESTION, "--receipt", paths[1], "--engine-process")
    here, there = (json.loads(path.read_text()) for path in paths)
    assert {**here, "timing": None} == {**there, "timing": None}


def test_a_moved_clip_is_named_and_a_changed_one_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clip, moved, path = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "r.json"
    shutil.copy(CLIP, clip)
    said = output(capfd, "ask", clip, QUESTION, "--receipt", path)
    clip.rename(moved)
    assert "a.mp4, is gone" in fails(capfd, "ask", "--replay", path)
    assert output(capfd, "ask", moved, "--replay", path) == said
    shutil.copy(demo_clips() / "count.mp4", clip)
    assert "its content differs" in fails(capfd, "ask", "--replay", path)
    assert "no receipt" in fails(capfd, "ask", "--replay", CLIP)


def test_another_bundle_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, bundle = tmp_path / "r.json", tmp_path / "mine.vl2"
    shutil.copytree(demo_bundle(), bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "name": "mine"}))
    said = output(capfd, "ask", CLIP, QUESTION, "--bundle", bundle, "--receipt", path)
    assert output(capfd, "ask", "--replay", path) == said
    assert "which" in fails(capfd, "ask", "--replay", path, "--bundle", demo_bundle())
    shutil.rmtree(bundle)
    assert "mine.vl2 any more" in fails(capfd, "ask", "--replay", path)


def test_a_wrong_answer_in_a_receipt_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.json"
    output(capfd, "ask", CLIP, QUESTION, "--receipt", path)
    receipt = json.loads(path.read_text())
    path.write_text(json.dumps({**receipt, "token_ids": [1, 2]}))
    assert "is not the receipt's" in fails(capfd, "ask", "--replay", path)


@pytest.mark.parametrize(
    "more", [["--frames", "3"], ["--seed", "1"], ["--sound", "off"], ["clip.mp4", "What?"]]
)
def test_what_the_receipt_says_cannot_be_said_beside_it(
    more: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.json"
    output(capfd, "ask", CLIP, QUESTION, "--receipt", path)
    with pytest.raises(SystemExit) as exit_:
        main(["ask", "--replay", str(path), *more])
    assert exit_.value.code == 2
    assert "cannot be given with --replay" in capfd.readouterr().err


def test_a_receipt_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none" / "r.json"
    assert "cannot be written" in fails(capfd, "ask", CLIP, QUESTION, "--receipt", path)


def test_what_fails_there_is_one_sentence_here(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = "--engine-process"
    assert "none.mp4" in fails(capfd, "ask", tmp_path / "none.mp4", QUESTION, there)
    assert "none.vl2" in fails(capfd, "ask", CLIP, "?", "--bundle", tmp_path / "none.vl2", there)
    monkeypatch.setattr(child_process, "command", lambda _: [sys.executable, "-c", "exit(9)"])
    assert "exit code 9" in fails(capfd, "ask", CLIP, QUESTION, there)


def test_ctrl_c_ends_both_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "ask", str(CLIP), QUESTION, "--engine-process"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT, text=True) as parent:
        assert parent.stderr is not None
        assert parent.stderr.readline()  # it says that it opens the model: the child is at work
        children = Path(f"/proc/{parent.pid}/task").glob("*/children")
        [child] = [int(pid) for file in children for pid in file.read_text().split()]
        os.kill(parent.pid, signal.SIGINT)
        assert parent.wait() == 130
        assert parent.stderr.read().endswith("\nvl2: interrupted\n")
    assert ends(child)


def test_bench_tells_what_one_waits_for(capfd: pytest.CaptureFixture[str]) -> None:
    record = json.loads(output(capfd, "bench", CLIP, "--engine-process", "--runs", "1"))
    seconds = [name for name in record if name.endswith("_s")]
    assert {"start_s", "preview_s", "first_question_s", "follow_up_first_token_s"} <= set(seconds)
    assert all(record[name] > 0 for name in seconds)
    assert record["follow_up_ratio"] > 0
