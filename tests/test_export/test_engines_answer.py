"""Engines from `vl2-export engines` to an answer: only the GPU and the compiler are stood in for.

What is run in their place is the very graph that is given to the compiler, by ONNX Runtime, from
memory laid out as the GPU's would be.
"""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

import engines
from app.selftest import measured, text
from assets import demo_bundle, demo_clips
from engines import devices, engine_files
from engines.config import ClipOptions
from engines.events import Result
from engines.messages import clip_message
from engines.model import VideoLlama2
from engines.sampling import GenerateOptions
from engines.selftest import passed
from export import engine_build
from export.cli import main
from export.tensorrt import Compiled, Job
from tests import gpu_stand_in
from tests.gpu_stand_in import StandIn

GRAPHS = ("vision_tower", "projector", "audio", "decoder")
CONTEXT = 384


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo with engines, whose bytes stand for the graphs that they were made of."""
    monkeypatch.setattr(engine_files, "user_data_path", lambda *_, **__: tmp_path / "user-data")
    monkeypatch.setattr("engines.bundle.user_cache_path", lambda *_, **__: tmp_path / "cache")
    return Path(shutil.copytree(demo_bundle(), tmp_path / "demo.vl2"))


@pytest.fixture
def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    found = gpu_stand_in.install(monkeypatch)
    monkeypatch.setattr(devices.shutil, "which", lambda _: None)

    def compile_apart(job: Job) -> Compiled:
        kept = folder.parent / "kept" / job.graph.stem
        shutil.copytree(job.graph.parent, kept, ignore=shutil.ignore_patterns("engines"))
        content = f"{job.graph.name} for {job.arch}".encode()
        found.models[content] = kept / job.graph.name
        job.engine.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return Compiled(len(content), digest, job.inputs, job.outputs, 1 << 20, 2 << 20, 0.5)

    monkeypatch.setattr(engine_build, "compile_apart", compile_apart)
    assert main(["engines", str(folder), "--arch", "sm89", "--context", str(CONTEXT)]) == 0
    return found


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
    monkeypatch.setattr("app.selftest.READ_TOKENS", 20)
    monkeypatch.setattr("app.selftest.WRITTEN_TOKENS", 4)
    report = measured(folder, "tensorrt", exact=False, threads=1)
    assert report.problems == ()
    assert [row.graph for row in report.rows] == ["encode_video", "encode_audio", "next_logits"]
    assert all(passed(row) for row in report.rows)
    assert [row.tolerance for row in report.rows] == [2e-2, 2e-2, 2e-2]
    assert report.roof.memory_bytes_per_s == pytest.approx(2 * (1 << 20) * 20 / 0.0125)
    lines = text(report).splitlines()
    assert sum("A compiled engine runs it on the NVIDIA GeForce" in line for line in lines) == 4
    assert sum(line.endswith("passed") for line in lines) == 3
    # An engine that computes something else: the report says what took its place.
    decoder = next(plan for plan in stand_in.models if plan.startswith(b"decoder"))
    stand_in.models[decoder] = stand_in.models[b"vision_tower.onnx for sm89"]
    report = measured(folder, "tensorrt", exact=False, threads=1)
    assert [p for p in report.problems if p.startswith("decoder runs on cpu: ")]
    assert np.isfinite([row.max_rel for row in report.rows]).all()
