"""The `vl2` command as a user meets it, on the bundled demo model."""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from io import StringIO
from pathlib import Path
from unittest.mock import Mock

import av
import numpy as np
import pytest
from PIL import Image

from app.cli import main, seconds
from app.terminal import device_lines
from assets import demo_bundle, demo_clips
from engines.config import PartDevice
from engines.confine import Confinement
from engines.errors import DeviceError

ROOT = Path(__file__).parents[2]
MEDIA = ROOT / "tests" / "data" / "media"
DEMO = demo_clips() / "bounce.mp4"
QUESTION = "Describe the video."


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(folder))
    return folder


def left_behind(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and path.suffix != ".npz"]


def fails(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run a command that must fail; returns its one sentence."""
    assert main([str(argument) for argument in arguments]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if not line.endswith("…")]
    assert len(lines) == 1, err
    assert lines[0].startswith("vl2: ")
    assert lines[0].endswith(".")
    assert "unforeseen" not in lines[0]
    return lines[0]


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert "vl2 open holiday.mp4" in out
    assert "vl2 ask holiday.mp4" in out


@pytest.mark.parametrize("arguments", [[], ["open"], ["open", "a.mp4"]])
def test_without_the_windows_library_one_sentence_says_so(
    arguments: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "vl2[desktop]" in fails(capfd, *arguments)


@pytest.mark.parametrize(
    "arguments", [["frobnicate"], ["ask"], ["ask", "a.mp4", "q", "--range", "1"]]
)
def test_wrong_usage_exits_with_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2


def test_demo_questions_of_the_bundled_clip_are_answered_right(
    capfd: pytest.CaptureFixture[str],
) -> None:
    lines = (demo_clips() / "questions.jsonl").read_text().splitlines()
    asked = [json.loads(line) for line in lines]
    first = next(item for item in asked if item["clip"] == DEMO.name and "history" not in item)
    assert main(["ask", str(DEMO), first["question"]]) == 0
    out, err = capfd.readouterr()
    assert out == first["answer"] + "\n"
    assert "first token" in err
    assert "tokens in" in err
    assert "only its small synthetic world" in err


def test_json_holds_every_promised_field(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", str(DEMO), QUESTION, "--json", "--max-new-tokens", "4"]) == 0
    result = json.loads(capfd.readouterr().out)
    assert set(result) == {
        "answer",
        "token_ids",
        "finish_reason",
        "usage",
        "timing",
        "coverage",
        "device",
        "bundle",
        "devices",
    }
    assert [part["device"] for part in result["devices"]] == ["cpu"] * 4
    assert set(result["usage"]) == {
        "prompt_tokens",
        "visual_tokens",
        "audio_tokens",
        "text_tokens",
        "new_tokens",
    }
    assert set(result["timing"]) == {
        "media_s",
        "encode_s",
        "prefill_s",
        "first_token_s",
        "decode_tokens_per_s",
    }
    assert {"frame_times_s", "sound_spans_s"} <= set(result["coverage"])
    usage = result["usage"]
    parts = usage["visual_tokens"] + usage["audio_tokens"] + usage["text_tokens"]
    assert usage["prompt_tokens"] == parts
    assert usage["audio_tokens"] > 0
    assert result["finish_reason"] == "length"
    assert len(result["token_ids"]) == usage["new_tokens"] == 4


@pytest.mark.parametrize("clip", ["testsrc.mp4", "test.png", "sweep.wav"])
def test_clips_of_another_world_run_to_the_end(
    clip: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(MEDIA / clip), "What is this?", "--json"]) == 0
    result = json.loads(capfd.readouterr().out)
    assert result["answer"]
    assert bool(result["usage"]["visual_tokens"]) == (clip != "sweep.wav")
    assert bool(result["usage"]["audio_tokens"]) == (clip != "test.png")


def test_range_and_sound_reach_the_coverage(capfd: pytest.CaptureFixture[str]) -> None:
    clip = str(MEDIA / "testsrc.mp4")
    assert main(["ask", clip, "What?", "--json", "--range", "0:02", "4.0", "--frames", "4"]) == 0
    coverage = json.loads(capfd.readouterr().out)["coverage"]
    assert len(coverage["frame_times_s"]) == 4
    assert all(1.9 <= time <= 4.0 for time in coverage["frame_times_s"])
    ((start, end),) = coverage["sound_spans_s"]
    assert (start, end) == pytest.approx((2.0, 4.0), abs=0.05)
    assert main(["ask", clip, "What?", "--json", "--sound", "off"]) == 0
    assert json.loads(capfd.readouterr().out)["coverage"]["sound_spans_s"] == []


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def picture(folder: Path, width: int, height: int) -> Path:
    path = folder / f"{width}x{height}.png"
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(path)
    return path


def test_bad_clips_are_one_sentence(
    tmp_path: Path, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = (MEDIA / "testsrc.mp4").read_bytes()
    empty_folder = tmp_path / "frames"
    empty_folder.mkdir()
    (empty_folder / "notes.txt").write_text("no picture")
    bad = [
        tmp_path / "missing.mp4",
        empty_folder,
        write(tmp_path, "empty.mp4", b""),
        write(tmp_path, "cut.mp4", whole[: len(whole) // 2]),
        write(tmp_path, "text.mp4", b"This is a letter and not a film.\n" * 100),
        write(tmp_path, "noise.mp4", bytes(range(256)) * 64),
    ]
    for clip in bad:
        sentence = fails(capfd, "ask", clip, QUESTION)
        assert clip.name in sentence
        assert left_behind(home) == []


def test_bad_ranges_and_frames_are_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    clip = MEDIA / "testsrc.mp4"
    for start, end in (("-1", "2"), ("3", "3"), ("4", "2"), ("100", "110")):
        assert clip.name in fails(capfd, "ask", clip, QUESTION, "--range", start, end)
    for frames in ("0", "-3", "100000"):
        assert clip.name in fails(capfd, "ask", clip, QUESTION, "--frames", frames)


def test_a_sense_that_the_clip_lacks_is_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    assert "test.png" in fails(capfd, "ask", MEDIA / "test.png", QUESTION, "--sound", "only")
    assert "sweep.wav" in fails(capfd, "ask", MEDIA / "sweep.wav", QUESTION, "--sound", "off")


def test_odd_pictures_are_answered(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for width, height in ((1, 1), (16000, 2), (2, 16000)):
        clip = picture(tmp_path, width, height)
        assert main(["ask", str(clip), QUESTION, "--max-new-tokens", "2"]) == 0, (width, height)
        capfd.readouterr()


def film(path: Path, rate: Fraction) -> Path:
    """Twenty plain frames at a frame rate that the header states."""
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            shade = np.full((48, 64, 3), number * 10, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_zero_and_absurd_frame_rates_are_answered(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clips = [film(tmp_path / f"{rate}.mp4", Fraction(rate, 1000)) for rate in (1, 60_000_000)]
    content = bytearray(film(tmp_path / "plain.avi", Fraction(25)).read_bytes())
    stream, header = content.find(b"strh"), content.find(b"avih")
    content[stream + 28 : stream + 36] = bytes(8)  # dwScale and dwRate
    content[header + 8 : header + 12] = bytes(4)  # dwMicroSecPerFrame
    clips.append(write(tmp_path, "zero.avi", bytes(content)))
    for clip in clips:
        assert main(["ask", str(clip), QUESTION, "--json", "--max-new-tokens", "2"]) == 0
        times = json.loads(capfd.readouterr().out)["coverage"]["frame_times_s"]
        assert len(times) == 8
        assert times == sorted(times)
        assert all(0 <= time < 20_000 for time in times)


def test_bad_questions_and_options_are_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    assert "<video>" in fails(capfd, "ask", DEMO, "What is <video>?")
    assert "0 tokens" in fails(capfd, "ask", DEMO, QUESTION, "--max-new-tokens", "0")
    fails(capfd, "ask", DEMO, QUESTION, "--temperature", "-1")
    fails(capfd, "ask", DEMO, QUESTION, "--temperature", "1", "--top-p", "2")
    fails(capfd, "ask", DEMO, QUESTION, "--device", "cuda")


def test_bad_bundles_are_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.vl2"
    assert "none.vl2" in fails(capfd, "ask", DEMO, QUESTION, "--bundle", missing)
    (tmp_path / "folder.vl2").mkdir()
    assert "folder.vl2" in fails(capfd, "ask", DEMO, QUESTION, "--bundle", tmp_path / "folder.vl2")
    damaged = tmp_path / "damaged.vl2"
    shutil.copytree(demo_bundle(), damaged)
    tokenizer = damaged / "tokenizer.json"
    content = bytearray(tokenizer.read_bytes())
    content[len(content) // 2] ^= 1
    tokenizer.write_bytes(content)
    assert "tokenizer.json" in fails(capfd, "ask", DEMO, QUESTION, "--bundle", damaged)


def test_chat_keeps_the_conversation(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = "How many beeps do you hear?\nIs there a red circle?\nWhich way does it move?\n"
    monkeypatch.setattr(sys, "stdin", StringIO(questions))
    assert main(["chat", str(DEMO)]) == 0
    out, err = capfd.readouterr()
    assert out.splitlines() == [
        "There are two beeps.",
        "Yes, there is a red circle.",
        "It moves left and bounces back.",
    ]
    assert err.count("first token") == 3
    assert err.count("only its small synthetic world") == 1
    assert err.count("Looking at frames") == 1


def test_eval_scores_the_bundled_questions(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(demo_clips() / "questions.jsonl"), "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["count"] == len(report["answers"]) > 0
    assert report["correct"] == sum(answer["correct"] for answer in report["answers"])
    assert report["accuracy"] > 0.8


def test_doctor_speaks_of_this_machine(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capfd.readouterr().out
    assert "CPUExecutionProvider" in out
    assert "whole" in out
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["device"] == "cpu"
    assert set(told["clips_confined"]) == {"limits", "threads", "system_calls", "files"}


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (Confinement(True, True, True, True), "may open nothing but the clip, and no connection"),
        (Confinement(True, True, True, False), "took it over, the system would let it read the us"),
        (Confinement(True, True, False, True), "the system would let it open connections, start"),
    ],
)
def test_doctor_says_what_reading_clips_is_kept_from(
    held: Confinement, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("app.doctor.confinement", lambda: held)
    assert main(["doctor"]) == 0
    [row] = [line for line in capfd.readouterr().out.splitlines() if line.startswith("clips ")]
    assert said in row


def test_doctor_says_what_a_bundle_s_parts_need_and_where_they_run(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", str(demo_bundle()), "--context", "1000", "--device", "cpu"]) == 0
    lines = capfd.readouterr().out.splitlines()
    parts = ["vision_tower", "projector", "audio", "decoder", "cache"]
    found = {line.split()[0]: line for line in lines if line.startswith(tuple(parts))}
    assert list(found) == parts
    assert all(line.split()[1] == "cpu" for line in found.values())
    assert "2.6 MB" in found["cache"]  # 2 x 5 layers x 2 heads x 32 x 4 bytes x 1,000 tokens.
    assert lines[-1].startswith("Everything runs on the CPU. Conversations of 1,000 tokens;")
    assert main(["doctor", str(demo_bundle()), "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert [part["device"] for part in report["devices"]] == ["cpu"] * 4
    assert report["placement"]["context"] == 4096
    assert report["placement"]["fits"] is True


def test_doctor_of_what_is_no_bundle(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path / "none.vl2")]) == 1
    assert capfd.readouterr().err.startswith("vl2: There is no bundle at")


def test_selftest_reports_parity_speed_and_share(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.roofline.read_bytes_per_s", lambda threads: 1e10)
    monkeypatch.setattr("app.selftest.READ_TOKENS", 16)
    monkeypatch.setattr("app.selftest.WRITTEN_TOKENS", 4)
    assert main(["selftest", "--device", "cpu"]) == 0
    out = capfd.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if line.endswith("passed")] == [
        "encode_video",
        "encode_audio",
        "next_logits",
    ]
    assert "decode " in out
    assert "memory 10.0 GB/s" in out
    assert main(["selftest", "--exact", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["problems"] == []
    assert report["rows"][-1]["tolerance"] == 1e-3
    assert report["roof"]["share"] > 0


def test_a_selftest_that_is_not_passed_says_so(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.roofline.read_bytes_per_s", lambda threads: 1e10)
    monkeypatch.setattr("app.selftest.READ_TOKENS", 16)
    monkeypatch.setattr("engines.selftest.Stored.limit", lambda *_: 1e-12)
    assert main(["selftest", "--device", "cpu"]) == 1
    captured = capfd.readouterr()
    assert captured.out.count("FAILED") == 3
    assert "was not passed; paste the report above into an issue." in captured.err


def test_selftest_on_a_gpu_that_is_not_here(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise DeviceError("There is no NVIDIA GPU here; use --device cpu.")

    monkeypatch.setattr("engines.devices.engine_gpu", none)
    assert main(["selftest", "--device", "tensorrt"]) == 1
    assert capfd.readouterr().err == "vl2: There is no NVIDIA GPU here; use --device cpu.\n"


def test_an_answer_says_why_a_part_ran_elsewhere() -> None:
    devices = (
        PartDevice("vision_tower", "tensorrt", "An engine."),
        PartDevice("audio", "cpu", "No engine."),
        PartDevice("decoder", "cpu", "No engine."),
    )
    result = Mock(device="tensorrt", devices=devices)
    assert device_lines(result) == ["[audio, decoder on cpu: No engine.]"]
    assert device_lines(Mock(device="cpu", devices=devices[1:])) == []


def test_seconds_are_read_as_people_write_them() -> None:
    assert [seconds(t) for t in ("12.5", "1:05", "1:02:03.5")] == [12.5, 65.0, 3723.5]
    for text in ("a", "1:2:3:4", "-1:05", "", "nan"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a time"):
            seconds(text)


def test_the_program_loads_no_torch_and_opens_no_network(home: Path) -> None:
    # An audit hook in the child: any socket beyond a local one ends it.
    program = (
        "import sys\n"
        "def hook(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.sendto'):\n"
        "        raise SystemExit('network: ' + event)\n"
        "sys.addaudithook(hook)\n"
        "from app.cli import main\n"
        f"code = main(['ask', {str(DEMO)!r}, {QUESTION!r}])\n"
        "import os\n"
        "loaded = {'torch', 'transformers', 'onnx', 'safetensors', 'PySide6'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m app ask '{DEMO}' 'Describe the video.' | true"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
