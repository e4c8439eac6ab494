"""A whole bundle whose graphs are compiled, on the stand-in for the GPU."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines import devices, engine_key, part_memory
from engines.backends.cuda_driver import Device
from engines.backends.tensorrt_decoder import pieces
from engines.backends.tensorrt_engine import compiler
from engines.bundle import open_bundle
from engines.compiled import CompiledGraphs
from engines.config import ClipOptions
from engines.engine_files import EngineSet, graph_hash, read_engines, write_engines
from engines.engine_trust import Outcome, recall, record, records_path
from engines.errors import BundleError, Cancelled, DeviceError
from engines.events import Result, TextPiece
from engines.messages import clip_message
from engines.model import VideoLlama2
from engines.sampling import GenerateOptions
from tests import gpu_stand_in
from tests.compiled import entry_of, write_standard_decoder
from tests.gpu_stand_in import FakeIExecutionContext, StandIn

GRAPHS = ("vision_tower", "projector", "audio", "decoder")
CAPACITY = 448
ASK = [clip_message(ClipOptions(Path("film.mp4")), "What is it?")]
FOLLOWED = [*ASK, {"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
LONG = [clip_message(ClipOptions(Path("film.mp4")), "What is it? " * 36)]


@pytest.fixture(autouse=True)
def user_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "user-data"
    monkeypatch.setattr(engine_key, "user_data_path", lambda *_, **__: folder)
    return folder


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, fake_media: Any) -> StandIn:
    monkeypatch.setattr(devices.shutil, "which", lambda _: None)
    return gpu_stand_in.install(monkeypatch)


@pytest.fixture
def folder(
    own_bundle: tuple[Path, dict[str, Any]],
    seal_bundle: Callable[[Path, dict[str, Any]], None],
    stand_in: StandIn,
) -> Path:
    """The tiny bundle with a self-test and four engines."""
    path, manifest = own_bundle
    model = engines.load(path, device="cpu", threads=1, keep_encodings=False)
    rng = np.random.default_rng(0)
    pixels = rng.standard_normal((4, 3, 8, 8)).astype(np.float32)
    fbank = rng.standard_normal((1, 8, 128)).astype(np.float32)
    visual = model.encode_video(pixels)
    ids = np.array([1, 9, -201, 8, 7])
    embeds = [model.embed(ids[:2]), visual, model.embed(ids[3:])]
    np.savez(
        path / "selftest.npz",
        pixel_values=pixels,
        visual_tokens=visual,
        fbank=fbank,
        audio_tokens=model.encode_audio(fbank),
        input_ids=ids,
        logits=model.next_logits(np.concatenate(embeds)[None]),
    )
    limits = {"visual_tokens": 1e-3, "audio_tokens": 1e-3, "logits": 1e-3}
    manifest["selftest"]["tolerances"] = limits
    seal_bundle(path, manifest)
    write(path, stand_in)
    return path


def write(path: Path, stand_in: StandIn, salt: bytes = b"", **models: Path) -> None:
    """Writes engines for a bundle; `models` are the graphs that they really compute."""
    bundle = open_bundle(path)
    beside = path.parent / "graphs"
    beside.mkdir(exist_ok=True)
    standard = write_standard_decoder(path / "decoder.onnx", beside / "decoder.onnx", CAPACITY)
    arch = path / "engines" / "sm89"
    arch.mkdir(parents=True, exist_ok=True)
    entries = {}
    for graph in GRAPHS:
        declared = standard if graph == "decoder" else path / f"{graph}.onnx"
        plan = b"an engine of " + graph.encode() + salt
        stand_in.models[plan] = models.get(graph, declared)
        (arch / f"{graph}.engine").write_bytes(plan)
        entries[graph] = dataclasses.replace(
            entry_of(declared, positions=(CAPACITY, CAPACITY)),
            size=len(plan),
            sha256=hashlib.sha256(plan).hexdigest(),
            graph_file=bundle.config.graphs[graph].file,
            graph_sha256=graph_hash(bundle, graph),
        )
    write_engines(bundle, EngineSet(1, compiler(), "sm89", bundle.id, entries))


def load(path: Path, device: str = "tensorrt") -> VideoLlama2:
    return engines.load(path, device=device, threads=1, keep_encodings=False)


def ask(model: VideoLlama2, messages: Any = ASK, tokens: int = 12) -> Result:
    options = GenerateOptions(max_new_tokens=tokens, ignore_eos=True)
    *_, result = model.generate(messages, options)
    assert isinstance(result, Result)
    return result


def places(result: Result) -> dict[str, str]:
    return {part.part: part.device for part in result.devices}


def reason(result: Result, part: str) -> str:
    found = next(p.reason for p in result.devices if p.part == part)
    assert found.endswith(".")
    assert "\n" not in found
    return found


@pytest.fixture
def wanted(folder: Path) -> tuple[int, ...]:
    """The answer without a GPU."""
    return ask(load(folder, "cpu")).token_ids


@pytest.mark.parametrize("device", ["auto", "tensorrt"])
def test_engines_answer_as_the_graphs_do(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, device: str
) -> None:
    model = load(folder, device)
    result = ask(model)
    assert result.token_ids == wanted
    assert places(result) == dict.fromkeys(GRAPHS, "tensorrt")
    assert reason(result, "decoder") == (
        "A compiled engine runs it on the NVIDIA GeForce RTX 4060 (sm89)."
    )
    assert result.device == "tensorrt"
    again = ask(
        model, [*ASK, {"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
    )
    assert model.counters.positions_reused > 20
    assert places(again) == places(result)


def test_an_engine_is_tested_once_a_machine(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(load(folder))
    first = len(stand_in.executions)
    records = json.loads(records_path().read_text())
    assert [found["state"] for found in records.values()] == ["passed"] * 4
    stand_in.executions.clear()
    ask(load(folder))
    second = len(stand_in.executions)
    assert second < first
    # Another driver, another test.
    monkeypatch.setattr("engines.sessions.driver_version", lambda: "591.44")
    stand_in.executions.clear()
    ask(load(folder))
    assert len(stand_in.executions) == first


def test_what_has_not_passed_yet_is_told_from_what_has(folder: Path, stand_in: StandIn) -> None:
    later = "A compiled engine runs it on the NVIDIA GeForce RTX 4060 (sm89), if it passes its test"
    model = load(folder)
    before = {part.part: part.reason for part in model.sessions.devices()}
    assert all(said == f"{later} before it is first used." for said in before.values())
    model.sessions.get("audio")
    for now in (model, load(folder)):
        after = {part.part: part.reason for part in now.sessions.devices()}
        assert after["audio"] == later.partition(", if")[0] + "."
        assert after["decoder"] == before["decoder"]


def test_numbers_that_are_not_finite_cost_nothing_but_time(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(folder)
    ask(model)
    model.forget()
    real, tokens = FakeIExecutionContext._compute, iter(range(1000))

    def overflowing(self: Any, shapes: Any, addresses: Any) -> None:
        real(self, shapes, addresses)
        if shapes.get("inputs_embeds", (1, 0))[1] == 1 and next(tokens) > 4:
            stand_in.array(addresses["logits"], "FLOAT", (8,))[3] = np.nan

    monkeypatch.setattr(FakeIExecutionContext, "_compute", overflowing)
    result = ask(model)
    assert result.token_ids == wanted
    assert places(result) == {**dict.fromkeys(GRAPHS, "tensorrt"), "decoder": "cpu"}
    assert "gave numbers in logits that are not finite" in reason(result, "decoder")


def test_the_decoder_s_test_writes_a_token_too(folder: Path, stand_in: StandIn) -> None:
    model = load(folder)
    model.sessions.decoder("decoder")
    lengths = [e["inputs_embeds"][1] for e in stand_in.executions if "inputs_embeds" in e]
    with np.load(folder / "selftest.npz") as stored:
        prompt = 4 + len(stored["visual_tokens"])
    assert sum(lengths) == prompt
    assert lengths == [b - a for a, b in pieces(prompt - 1, 1 << 20)] + [1]


@pytest.fixture
def wrong_decoder(tiny_bundle: Path, folder: Path, tmp_path: Path) -> Path:
    """A decoder of the same form that computes something else."""
    import onnx
    from onnx import numpy_helper

    path = write_standard_decoder(folder / "decoder.onnx", tmp_path / "wrong.onnx", CAPACITY)
    graph = onnx.load(path)
    for tensor in graph.graph.initializer:
        if tensor.name == "lm_head":
            other = numpy_helper.to_array(tensor)[:, ::-1].copy()
            tensor.CopyFrom(numpy_helper.from_array(other, "lm_head"))
    onnx.save(graph, path)
    return path


def test_an_engine_that_fails_the_test_is_set_aside_and_its_graph_answers(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, wrong_decoder: Path
) -> None:
    write(folder, stand_in, decoder=wrong_decoder)
    result = ask(load(folder))
    assert result.token_ids == wanted
    assert places(result) == {**dict.fromkeys(GRAPHS, "tensorrt"), "decoder": "cpu"}
    assert "failed the self-test (next_logits differs by" in reason(result, "decoder")
    stand_in.executions.clear()
    result = ask(load(folder))
    assert not any("write_indices" in shapes for shapes in stand_in.executions)
    assert result.token_ids == wanted
    assert "was set aside on this machine (next_logits differs by" in reason(result, "decoder")
    command = f"vl2-export engines {folder} --arch sm89 --force"
    assert f"build it anew with {command}, or test it again with" in reason(result, "decoder")
    assert (folder / "engines" / "sm89" / "decoder.engine").is_file()
    # It is known before anything is opened, as for vl2 doctor.
    found = {part.part: part for part in load(folder).sessions.devices()}
    assert "was set aside on this machine" in found["decoder"].reason
    assert (found["decoder"].device, found["audio"].device) == ("cpu", "tensorrt")
    # Built anew, it is another file and is tested.
    write(folder, stand_in, salt=b"2")
    assert places(ask(load(folder)))["decoder"] == "tensorrt"


def test_an_engine_that_ended_the_program_is_not_tried_again(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, user_data: Path
) -> None:
    ask(load(folder))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for key in json.loads(records_path().read_text()):
        record(key, Outcome("begun", "next_logits", "", 0, gone.pid))
    (user_data / "engine-tests.crash").write_text("Fatal Python error: Segmentation fault\n")
    result = ask(load(folder))
    assert result.token_ids == wanted
    assert set(places(result).values()) == {"cpu"}
    assert "it ended the program: Segmentation fault" in reason(result, "audio")


def test_an_engine_is_judged_by_itself(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, tmp_path: Path
) -> None:
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(folder / "projector.onnx")
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and values.ndim > 1:
            tensor.CopyFrom(numpy_helper.from_array(values[..., ::-1].copy(), tensor.name))
    onnx.save(graph, tmp_path / "wrong.onnx")
    write(folder, stand_in, projector=tmp_path / "wrong.onnx")
    for _ in range(2):
        result = ask(load(folder))
        assert result.token_ids == wanted
        assert places(result) == {**dict.fromkeys(GRAPHS, "tensorrt"), "projector": "cpu"}
    assert "set aside" in reason(result, "projector")


def test_a_graph_that_fails_beside_an_engine_says_nothing_about_the_engine(
    folder: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines.backends.onnxruntime import Session

    def failing(*_: Any) -> None:
        raise DeviceError("ONNX Runtime failed with vision_tower.onnx.")

    model = load(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Session, "run", failing)
        model.sessions.get("projector")
        found = {p.part: p for p in model.sessions.devices()}["projector"]
        assert (found.device, found.reason) == (
            "cpu",
            "ONNX Runtime failed with vision_tower.onnx.",
        )
    assert places(ask(load(folder))) == dict.fromkeys(GRAPHS, "tensorrt")


def test_stop_is_heard_while_an_engine_is_tested(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(folder)
    real = FakeIExecutionContext._compute

    def pressed(self: Any, shapes: Any, addresses: Any) -> None:
        real(self, shapes, addresses)
        model.stop()

    with monkeypatch.context() as patch:
        patch.setattr(FakeIExecutionContext, "_compute", pressed)
        with pytest.raises(Cancelled):
            ask(model)
    assert json.loads(records_path().read_text()) == {}
    result = ask(model)
    assert result.token_ids == wanted
    assert places(result) == dict.fromkeys(GRAPHS, "tensorrt")


def test_stop_is_heard_while_a_graph_runs_beside_the_engine_under_test(
    folder: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines.backends.onnxruntime import Session

    model, stopped = load(folder), []
    monkeypatch.setattr(Session, "stop", lambda self: stopped.append(self.path.name))
    real = Session.run

    def pressed(self: Session, feeds: Any) -> Any:
        model.stop()
        return real(self, feeds)

    monkeypatch.setattr(Session, "run", pressed)
    with pytest.raises(Cancelled):
        model.sessions.get("projector")
    assert "vision_tower.onnx" in stopped


def test_a_gpu_that_had_failed_before_says_nothing_about_the_engine(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failed(_: Device) -> None:
        raise DeviceError("The GPU failed (cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS).")

    with monkeypatch.context() as patch:
        patch.setattr(Device, "synchronise", failed)
        result = ask(load(folder))
    assert result.token_ids == wanted
    assert set(places(result).values()) == {"cpu"}
    assert not records_path().exists()
    assert places(ask(load(folder))) == dict.fromkeys(GRAPHS, "tensorrt")


def test_a_test_that_the_user_ends_says_nothing_about_the_engine(
    folder: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FakeIExecutionContext, "_compute", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ask(load(folder))
    assert json.loads(records_path().read_text()) == {}


def spoil_engine(folder: Path, user_data: Path) -> str:
    path = folder / "engines" / "sm89" / "decoder.engine"
    path.write_bytes(b"x" * path.stat().st_size)
    return "has been changed since it was built"


def spoil_end(folder: Path, user_data: Path) -> str:
    path = folder / "engines" / "sm89" / "decoder.engine"
    path.write_bytes(path.read_bytes()[:-1])
    return "so it is not whole"


def spoil_arch(folder: Path, user_data: Path) -> str:
    """The list of another architecture in the place of this one's, though signed."""
    bundle = open_bundle(folder)
    found = read_engines(bundle, "sm89")
    write_engines(bundle, dataclasses.replace(found, arch="sm86"))
    (folder / "engines" / "sm86" / "engines.json").replace(
        folder / "engines" / "sm89" / "engines.json"
    )
    return "lists engines for sm86, not for sm89"


def spoil_bundle(folder: Path, user_data: Path) -> str:
    """Another export of the same name in the place of the bundle that they were made of."""
    path = folder / "manifest.json"
    path.write_text(path.read_text() + "\n")
    return "were made for another bundle"


def spoil_list(folder: Path, user_data: Path) -> str:
    path = folder / "engines" / "sm89" / "engines.json"
    path.write_text(path.read_text().replace('"fp32"', '"fp16"'))
    return "was changed or comes from another computer"


def spoil_key(folder: Path, user_data: Path) -> str:
    (user_data / "engines.key").unlink()
    return "The key that vouches for"


def spoil_place(folder: Path, user_data: Path) -> str:
    shutil.rmtree(folder / "engines")
    return "has no engines for sm89"


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_engine,
        spoil_end,
        spoil_arch,
        spoil_bundle,
        spoil_list,
        spoil_key,
        spoil_place,
    ],
)
def test_what_cannot_be_trusted_is_not_run_and_the_graph_answers(
    folder: Path,
    wanted: tuple[int, ...],
    stand_in: StandIn,
    user_data: Path,
    spoil: Callable[[Path, Path], str],
) -> None:
    sentence = spoil(folder, user_data)
    result = ask(load(folder))
    assert result.token_ids == wanted
    assert places(result)["decoder"] == "cpu"
    assert sentence in reason(result, "decoder")
    assert result.device == max(places(result).values())  # "tensorrt" if any part runs there.


@pytest.mark.parametrize(
    ("diagnosis", "sentence"),
    [
        ("UNSUPPORTED_CC", "it was built for another kind of GPU"),
        ("VERSION_MISMATCH", "another version of TensorRT built it"),
        ("OLD_CUDA_DRIVER", "the GPU's driver is too old"),
        ("MALFORMED_ENGINE", "it is not an engine"),
    ],
)
def test_what_the_library_cannot_run_is_told_and_the_graph_answers(
    folder: Path,
    wanted: tuple[int, ...],
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    diagnosis: str,
    sentence: str,
) -> None:
    trt = stand_in.trt
    answer = trt.EngineValidity.INVALID, int(getattr(trt.EngineInvalidityDiagnostics, diagnosis))
    monkeypatch.setattr(gpu_stand_in.FakeRuntime, "get_engine_validity", lambda *_: answer)
    result = ask(load(folder))
    assert result.token_ids == wanted
    assert set(places(result).values()) == {"cpu"}
    path = folder / "engines" / "sm89" / "audio.engine"
    said = reason(result, "audio")
    assert said.startswith(f"{path} cannot run on this GPU: {sentence}; build it anew with ")
    assert said.endswith(f"vl2-export engines {folder} --arch sm89 --force.")


def test_a_changed_engine_says_nothing_about_the_one_tested_with_it(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn
) -> None:
    path = folder / "engines" / "sm89" / "projector.engine"
    whole = path.read_bytes()
    path.write_bytes(b"x" * len(whole))
    result = ask(load(folder))
    assert result.token_ids == wanted
    assert places(result) == {**dict.fromkeys(GRAPHS, "tensorrt"), "projector": "cpu"}
    assert "has been changed since it was built" in reason(result, "projector")
    path.write_bytes(whole)
    assert places(ask(load(folder))) == dict.fromkeys(GRAPHS, "tensorrt")


def test_engines_of_another_version_are_not_run(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(compiler(), version="0.9")
    monkeypatch.setattr("engines.compiled.compiler", lambda: other)
    result = ask(load(folder))
    assert result.token_ids == wanted
    assert "cannot be run by TensorRT for RTX 0.9" in reason(result, "decoder")


@pytest.mark.parametrize("at", [0, 1, 5, 10])
def test_a_gpu_that_fails_in_the_middle_of_an_answer_costs_nothing_but_time(
    folder: Path,
    wanted: tuple[int, ...],
    stand_in: StandIn,
    at: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = load(folder)
    ask(model)  # Outcome and opened.
    model.forget()
    steps = iter(range(1000))
    real = FakeIExecutionContext.execute_async_v3

    def failing(self: Any, stream_handle: int) -> bool:
        decodes = self._shapes.get("inputs_embeds", (1, 0))[1] == 1
        if decodes and next(steps) >= at:
            raise RuntimeError("OutOfMemory: no")
        return real(self, stream_handle)

    monkeypatch.setattr(FakeIExecutionContext, "execute_async_v3", failing)
    result = ask(model)
    assert result.token_ids == wanted
    assert places(result) == {**dict.fromkeys(GRAPHS, "tensorrt"), "decoder": "cpu"}
    assert "The GPU's memory does not hold decoder.engine" in reason(result, "decoder")
    assert ask(model, FOLLOWED).token_ids == ask(load(folder, "cpu"), FOLLOWED).token_ids


def test_a_cache_beside_the_conversation_s_does_not_disturb_it(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, cpu = load(folder), load(folder, "cpu")
    ask(model)
    held = len(stand_in.live)
    embeds = model.embed(np.arange(5, 45))[None]
    logits = model.next_logits(embeds)
    np.testing.assert_allclose(logits, cpu.next_logits(embeds), atol=1e-4)
    assert len(stand_in.live) == held  # Its cache went when it did.
    # Now the GPU fails: the conversation is read again from what was kept of it, not of the other.
    monkeypatch.setattr(FakeIExecutionContext, "execute_async_v3", lambda *_: False)
    assert ask(model, FOLLOWED).token_ids == ask(cpu, FOLLOWED).token_ids
    np.testing.assert_array_equal(model.next_logits(embeds), cpu.next_logits(embeds))


def test_an_encoder_that_fails_hands_over_to_its_graph(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(folder)
    ask(model)
    model.forget()
    real = FakeIExecutionContext.execute_async_v3

    def failing(self: Any, stream_handle: int) -> bool:
        return "fbank" not in self._shapes and real(self, stream_handle)

    monkeypatch.setattr(FakeIExecutionContext, "execute_async_v3", failing)
    result = ask(model)
    assert result.token_ids == wanted
    assert places(result) == {**dict.fromkeys(GRAPHS, "tensorrt"), "audio": "cpu"}
    assert "TensorRT failed with audio.engine" in reason(result, "audio")


@pytest.mark.parametrize("part", ["audio", "decoder"])
def test_a_graph_that_did_not_open_is_tried_again(
    folder: Path,
    wanted: tuple[int, ...],
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
) -> None:
    model = load(folder)
    ask(model)
    real, gone = FakeIExecutionContext.execute_async_v3, folder / "gone"
    failing = "fbank" if part == "audio" else "inputs_embeds"

    def refused(self: Any, stream_handle: int) -> bool:
        return failing not in self._shapes and real(self, stream_handle)

    monkeypatch.setattr(FakeIExecutionContext, "execute_async_v3", refused)
    for _ in range(2):
        model.forget()
        (folder / f"{part}.onnx").rename(gone)
        with pytest.raises(BundleError, match="was moved or deleted while it was in use"):
            ask(model)
        gone.rename(folder / f"{part}.onnx")
    result = ask(model)
    assert result.token_ids == wanted
    assert places(result) == {**dict.fromkeys(GRAPHS, "tensorrt"), part: "cpu"}


def test_an_engine_of_other_outputs_than_the_manifest_s_leaves_the_graph_to_answer(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines import sessions

    real = sessions._check

    def fussy(session: Any, declared: Any) -> None:
        if "TensorRT for RTX" in session.providers and "fbank" in session.inputs:
            raise BundleError("audio.engine does not have the outputs that the manifest says.")
        real(session, declared)

    monkeypatch.setattr(sessions, "_check", fussy)
    result = ask(load(folder))
    assert result.token_ids == wanted
    assert places(result) == {**dict.fromkeys(GRAPHS, "tensorrt"), "audio": "cpu"}


def test_the_longest_answer_does_not_keep_the_decoder_from_the_gpu(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn
) -> None:
    model, cpu = load(folder), load(folder, "cpu")
    # And the prompt besides, but this answer is not as long.
    steps = model.generate(ASK, GenerateOptions(max_new_tokens=CAPACITY, ignore_eos=True))
    pieces_seen = (step for step in steps if isinstance(step, TextPiece))
    assert tuple(next(pieces_seen).token_id for _ in wanted) == wanted
    steps.close()
    assert {p.part: p.device for p in model.sessions.devices()}["decoder"] == "tensorrt"
    # One that does get there goes on in the graph.
    result, plain = ask(model, tokens=CAPACITY), ask(cpu, tokens=CAPACITY)
    assert result.token_ids == plain.token_ids
    assert "was built for 448" in reason(result, "decoder")


def test_a_longer_prompt_than_the_engine_was_built_for(folder: Path, stand_in: StandIn) -> None:
    result = ask(load(folder), LONG, tokens=2)
    assert result.usage.prompt_tokens > CAPACITY
    assert result.token_ids == ask(load(folder, "cpu"), LONG, tokens=2).token_ids
    assert "was built for 448" in reason(result, "decoder")


@pytest.mark.parametrize(
    ("free", "encoders", "sentence"),
    [(1, "cpu", "too small for any part"), (100_000, "tensorrt", "The decoder does not fit")],
)
def test_what_has_no_room_on_the_gpu_runs_on_the_cpu(
    folder: Path,
    wanted: tuple[int, ...],
    stand_in: StandIn,
    free: int,
    encoders: str,
    sentence: str,
) -> None:
    stand_in.free_bytes = free
    result = ask(load(folder))
    assert result.token_ids == wanted
    assert places(result) == {**dict.fromkeys(GRAPHS, encoders), "decoder": "cpu"}
    assert sentence in reason(result, "decoder")


def test_encoders_take_turns_where_the_gpu_is_tight(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines.placement import Placement, Row

    rows = [Row(part, "gpu", 1, 1, kept=False) for part in GRAPHS[:3]]
    plan = Placement((*rows, Row("decoder", "gpu", 1, 1)), CAPACITY, 0, 0, True, "Tight.")
    monkeypatch.setattr("engines.compiled.CompiledGraphs._place", lambda _: plan)
    most, real = 0, CompiledGraphs._load

    def counted(self: CompiledGraphs, graph: str) -> Any:
        nonlocal most
        found = real(self, graph)
        most = max(most, len(set(self._open) - {"decoder"}))
        return found

    monkeypatch.setattr(CompiledGraphs, "_load", counted)
    model = load(folder)
    result = ask(model)
    assert result.token_ids == wanted
    assert places(result) == dict.fromkeys(GRAPHS, "tensorrt")
    assert most == 1
    assert model.sessions.compiled is not None
    assert sorted(model.sessions.compiled._open) == ["audio", "decoder"]  # The last, and it.


def test_what_goes_in_and_comes_out_takes_what_was_planned(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As many frames and positions as are asked for here, so that the plan is for these.
    monkeypatch.setattr(part_memory, "MOST_FRAMES", 1)
    monkeypatch.setattr(part_memory, "MOST_NEW", 16)
    model = load(folder)
    ask(model)
    # The connector of this bundle keeps all tokens, whatever it is called.
    vision = dataclasses.replace(model.config.vision, projector_type="linear")
    config = dataclasses.replace(model.config, vision=vision)
    planned = part_memory.passing_bytes(config, CAPACITY)
    assert model.sessions.compiled is not None
    opened, decoder = model.sessions.compiled._open, model.sessions.compiled._decoder
    taken = {
        graph: sum(buffer.nbytes for buffer in session._buffers.values())
        for graph, session in opened.items()
    }
    assert decoder is not None
    assert decoder._block is not None
    taken["decoder"] = decoder._block.buffer.nbytes
    assert {graph: planned[graph] - taken[graph] for graph in GRAPHS[:2]} == dict.fromkeys(
        GRAPHS[:2], 0
    )
    # A window's last two steps have no whole frame; what lies in one piece is aligned.
    assert planned["audio"] - taken["audio"] == 2 * 128 * 4
    assert 0 <= taken["decoder"] - planned["decoder"] < 5 * 256


def test_a_model_gives_the_gpu_back_and_takes_it_again(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn
) -> None:
    model = load(folder)
    for _ in range(2):
        assert ask(model).token_ids == wanted
        assert stand_in.live
        model.close()
        assert (stand_in.live, stand_in.contexts) == ({}, 0)


def test_a_graph_that_is_closed_gives_its_memory_on_the_gpu_back(
    folder: Path, wanted: tuple[int, ...], stand_in: StandIn
) -> None:
    model = load(folder)
    ask(model)
    held = sum(stand_in.live.values())
    for graph in GRAPHS[:3]:
        model.sessions.close(graph)
    assert model.sessions.compiled is not None
    assert list(model.sessions.compiled._open) == ["decoder"]
    assert sum(stand_in.live.values()) < held
    model.forget()
    assert ask(model).token_ids == wanted


def test_records_that_are_no_records_are_ignored(tmp_path: Path) -> None:
    records_path().parent.mkdir(parents=True)
    odd = '{"k": {"state": [], "detail": ""}}'
    for text in ("", "[]", '{"k": 1}', '{"k": ["passed", ""]}', odd, "{" * 5000):
        records_path().write_text(text)
        assert recall("k") is None
    record("k", Outcome("passed", "well"))
    assert recall("k") == Outcome("passed", "well")
    assert recall("other") is None
