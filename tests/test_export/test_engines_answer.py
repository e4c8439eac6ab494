"""Engines from `vl2-export engines` to an answer: only the GPU and the compiler are stood in for.

What is run in their place is the very graph that is given to the compiler, by ONNX Runtime, from
memory laid out as the GPU's would be.
"""

import hashlib
import io
import json
import re
import shutil
import subprocess
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from app.cli import main as vl2
from app.selftest import measured, text
from assets import demo_bundle, demo_clips
from engines import devices, engine_key
from engines.backends.cuda_driver import gpus
from engines.backends.tensorrt_decoder import DecoderSession
from engines.bundle import open_bundle
from engines.config import ClipOptions
from engines.errors import DeviceError
from engines.events import Result
from engines.messages import clip_message
from engines.model import VideoLlama2
from engines.sampling import GenerateOptions
from engines.selftest import passed
from export import engine_build
from export.cli import main
from export.tensorrt import Compiled, Job
from tests import gpu_stand_in
from tests.gpu import report
from tests.gpu_stand_in import StandIn

GRAPHS = ("vision_tower", "projector", "audio", "decoder")
CONTEXT = 384


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo with engines, whose bytes stand for the graphs that they were made of."""
    monkeypatch.setattr(engine_key, "user_data_path", lambda *_, **__: tmp_path / "user-data")
    monkeypatch.setattr("engines.bundle.user_cache_path", lambda *_, **__: tmp_path / "cache")
    return Path(shutil.copytree(demo_bundle(), tmp_path / "demo.vl2"))


@pytest.fixture
def gpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A GPU, and a compiler whose engines run on it."""
    found = gpu_stand_in.install(monkeypatch)
    monkeypatch.setattr(devices.shutil, "which", lambda _: None)

    def compile_apart(job: Job) -> Compiled:
        kept = folder.parent / "kept" / job.graph.stem
        beside = shutil.ignore_patterns("engines")
        shutil.copytree(job.graph.parent, kept, ignore=beside, dirs_exist_ok=True)
        content = f"{job.graph.name} for {job.arch}".encode()
        found.models[content] = kept / job.graph.name
        job.engine.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return Compiled(len(content), digest, job.inputs, job.outputs, 1 << 20, 2 << 20, 0.5)

    monkeypatch.setattr(engine_build, "compile_apart", compile_apart)
    return found


@pytest.fixture
def stand_in(folder: Path, gpu: StandIn) -> StandIn:
    """The GPU, when the demo's engines are built."""
    assert main(["engines", str(folder), "--arch", "sm89", "--context", str(CONTEXT)]) == 0
    return gpu


def answer(model: VideoLlama2, clip: str) -> Result:
    message = clip_message(ClipOptions(demo_clips() / clip), "What happens in this clip?")
    *_, result = model.generate([message], GenerateOptions(max_new_tokens=8))
    assert isinstance(result, Result)
    return result


def load(folder: Path, device: str) -> VideoLlama2:
    return engines.load(folder, device, threads=1, keep_encodings=False)


def test_the_demo_answers_through_its_engines(folder: Path, stand_in: StandIn) -> None:
    compiled, plain = load(folder, "auto"), load(folder, "cpu")
    found, wanted = answer(compiled, "bounce.mp4"), answer(plain, "bounce.mp4")
    assert found.answer == wanted.answer
    assert {p.part: p.device for p in found.devices} == dict.fromkeys(GRAPHS, "tensorrt")
    # What the runtime gives them is what they were built for.
    shapes = [shape for shape in stand_in.executions if "write_indices" in shape]
    assert {shape["attention_mask"][3] for shape in shapes} == {CONTEXT}
    assert max(shape["inputs_embeds"][1] for shape in shapes) <= 512
    assert {shape["inputs_embeds"][1].bit_count() for shape in shapes} == {1}


def test_the_self_test_for_people(
    folder: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.roofline.COPY_BYTES", 1 << 20)
    monkeypatch.setattr("app.selftest.WRITTEN_TOKENS", 4)
    found = measured(folder, "tensorrt", exact=False, threads=1)
    assert found.problems == ()
    # The engine is timed, and not the graph that would take over behind its last position.
    assert found.speed is not None
    assert found.speed.past < CONTEXT
    assert {part.device for part in found.devices} == {"tensorrt"}
    assert [row.graph for row in found.rows] == ["encode_video", "encode_audio", "next_logits"]
    assert all(passed(row) for row in found.rows)
    assert [row.tolerance for row in found.rows] == [2e-2, 2e-2, 2e-2]
    # A compiled decoder reads all of its cache: keys and values of five layers, two heads of 32.
    files = open_bundle(folder).config.files
    weights = files["decoder.onnx"].size + files["decoder.data"].size
    assert found.roof.bytes_per_token == weights + 2 * 5 * 2 * 32 * 2 * CONTEXT
    assert found.roof.memory_bytes_per_s == pytest.approx(2 * (1 << 20) * 20 / 0.0125)
    lines = text(found).splitlines()
    assert sum("A compiled engine runs it on the NVIDIA GeForce" in line for line in lines) == 4
    assert sum(line.endswith("passed") for line in lines) == 3
    assert "GPU: NVIDIA GeForce RTX 4060, sm89" in lines
    at = lines.index("each engine between the ONNX graphs of its test:")
    for line, graph in zip(lines[at + 1 :], GRAPHS, strict=False):
        assert re.fullmatch(rf"{graph} +passed: \w+ differs by \S+ of the largest value", line), (
            line
        )
    # An engine that computes something else: the report says what took its place.
    decoder = next(plan for plan in stand_in.models if plan.startswith(b"decoder"))
    stand_in.models[decoder] = stand_in.models[b"vision_tower.onnx for sm89"]
    found = measured(folder, "tensorrt", exact=False, threads=1)
    assert [p for p in found.problems if p.startswith("decoder runs on cpu: ")]
    assert found.alone["decoder"].startswith("failed: ")
    assert found.alone["projector"].startswith("passed: ")
    assert np.isfinite([row.max_rel for row in found.rows]).all()


def test_what_gives_up_while_it_is_timed_did_not_run(
    folder: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.roofline.COPY_BYTES", 1 << 20)
    monkeypatch.setattr("app.selftest.READ_TOKENS", 20)
    monkeypatch.setattr("app.selftest.WRITTEN_TOKENS", 4)
    real = DecoderSession.run

    def failing(self: DecoderSession, embeds: Any, past: int, cache: Any) -> Any:
        if past > 20:
            raise DeviceError("The GPU failed.")
        return real(self, embeds, past, cache)

    monkeypatch.setattr(DecoderSession, "run", failing)
    found = measured(folder, "tensorrt", exact=False, threads=1)
    assert found.problems == ("decoder runs on cpu: The GPU failed.",)
    with monkeypatch.context() as patch:
        patch.setattr("app.selftest.decoder_speed", failed)
        found = measured(folder, "cpu", exact=False, threads=1)
    assert found.problems == ("speed: No more.",)
    monkeypatch.setattr("app.selftest.memory_bytes_per_s", lambda *_: None)
    lines = text(measured(folder, "cpu", exact=False, threads=1)).splitlines()
    assert lines[-1] == "share of the roof: not known, for the memory's speed is not"


def failed(*_: Any) -> None:
    raise DeviceError("No more.")


def here(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in this process, where the GPU is stood in for."""
    run = {"export.cli": main, "app.cli": vl2}[module]
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = run(list(arguments))
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def test_the_report_of_a_machine_with_a_gpu(
    folder: Path, gpu: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("engines.roofline.COPY_BYTES", 1 << 20)
    monkeypatch.setattr("app.selftest.READ_TOKENS", 20)
    monkeypatch.setattr("app.selftest.WRITTEN_TOKENS", 4)
    monkeypatch.setattr(report, "QUESTIONS", 1)
    monkeypatch.setattr(report, "BENCH_RUNS", 1)
    assert report.report(folder, CONTEXT, here) == []
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert (lines[0], lines[-1]) == ("```", "```")
    assert lines[-2] == "everything is as it should be"
    assert "4 engines by TensorRT for RTX" in printed
    rows = lines[lines.index("== doctor") : lines.index("== selftest on tensorrt")]
    plan = [row.split()[:2] for row in rows if re.match(r"\S+( driver)? +gpu ", row)]
    assert plan == [*([graph, "gpu"] for graph in GRAPHS), ["cache", "gpu"], ["GPU", "driver"]]
    assert sum(" if it passes its test before it is first used." in row for row in rows) == 4
    assert sum("  passed: " in line for line in lines) == 4
    for device in ("tensorrt", "cpu"):
        assert f"== selftest on {device}" in lines
        assert f"== bench on {device}" in lines
    assert sum(line.endswith("  passed") for line in lines) == 6
    assert sum("A compiled engine runs it on the NVIDIA GeForce" in line for line in lines) >= 4
    assert (
        sum(
            line.endswith(" % of the roof (so little may lie in caches, which are faster)")
            for line in lines
        )
        == 2
    )
    assert "== answers: 1 of 1 are equal" in lines
    assert str(folder) not in printed
    assert str(Path.home()) not in printed


def test_what_fails_is_told_and_the_report_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def broken(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        ran.append(arguments[0])
        said = f"working\nvl2: {folder}/engines is not there; build it."
        answer = json.dumps({"answer": "yes"})
        failed = arguments[0] in ("engines", "ask") and "cpu" not in arguments
        return subprocess.CompletedProcess(arguments, int(failed), "" if failed else answer, said)

    monkeypatch.setattr(report, "QUESTIONS", 2)
    failures = report.report(folder, None, broken)
    printed = capsys.readouterr().out
    said = "bounce.mp4 on tensorrt: vl2: BUNDLE/engines is not there; build it"
    assert failures == ["engines ended with 1", said, said]
    assert "; ".join(failures) in printed
    assert "== answers: 0 of 2 are equal" in printed
    assert ran[:4] == ["engines", "doctor", "selftest", "selftest"]
    assert ran[-2:] == ["bench", "bench"]


def test_a_command_of_the_report_in_a_process_of_its_own(folder: Path) -> None:
    with suppress(DeviceError):
        if gpus():
            pytest.skip("there is a GPU: python -m tests.gpu.report")
    done = report.apart("export.cli", "engines", str(folder), "--arch", "this")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("vl2-export: This machine has no NVIDIA GPU to build engines for; say")
    assert report.apart("app.cli", "--version").stdout.startswith("vl2 ")
