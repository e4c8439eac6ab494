"""`vl2-export engines` on the demo bundle: what it builds, leaves alone, refuses, leaves behind."""

import dataclasses
import errno
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from engines import engine_files, engine_key
from engines.backends.onnxruntime import open_session
from engines.bundle import Bundle, open_bundle
from engines.engine_files import Compiler, open_engine, read_engines
from engines.engine_trust import Outcome, recall, record
from engines.errors import EngineFileError, ExportError
from engines.machine_memory import Memory
from export import bundle_decoder, engine_build, engine_sources
from export.cli import main
from export.compilable import write_plain_attention
from export.engine_shelf import Shelf
from export.engine_sources import choose_context, profiles
from export.lock import locked
from export.tensorrt import Compiled, Job
from tests.golden import relative_error

DEMO = Path(__file__).parents[2] / "assets" / "demo"
GRAPHS = ("vision_tower", "projector", "audio", "decoder")
VERSION = "1.2.3"
Capture = pytest.CaptureFixture[str]
needs_compiler = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="tensorrt_rtx is not installed: pip install 'vl2[tensorrt]'",
)


@pytest.fixture(scope="module", autouse=True)
def user_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's data folder, which holds the key."""
    folder = tmp_path_factory.mktemp("user-data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_key, "user_data_path", lambda name, **_: folder / name)
        patch.setenv("XDG_DATA_HOME", str(folder))
        yield folder


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A copy of the demo bundle."""
    return Path(shutil.copytree(DEMO, tmp_path / "demo.vl2"))


class StandIn:
    """Stands for the compiler: writes what it was asked, and can be told to fail."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.fails: BaseException | None = None

    def __call__(self, job: Job) -> Compiled:
        if self.fails is not None:
            raise self.fails
        self.jobs.append(job)
        content = f"{job.graph.name} for {job.arch}".encode()
        job.engine.write_bytes(content)
        digest = engine_files.hashlib.sha256(content).hexdigest()
        return Compiled(len(content), digest, job.inputs, job.outputs, 1, 2, 0.5)

    @property
    def built(self) -> list[str]:
        return [f"{job.graph.stem} {job.arch}" for job in self.jobs]


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    found = StandIn()
    monkeypatch.setattr(engine_build, "compile_apart", found)
    monkeypatch.setattr(
        engine_build, "load_compiler", lambda flavour: (None, Compiler(flavour, VERSION))
    )
    return found


def build(bundle: Path, *more: str) -> int:
    return main(["engines", str(bundle), *(more or ("--arch", "sm89"))])


def refused(capsys: Capture, bundle: Path, *more: str) -> str:
    capsys.readouterr()
    assert build(bundle, *more) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("vl2-export: ")
    assert last.endswith(".")
    return last


def left(bundle: Path) -> set[str]:
    """Every file below the bundle's folder of engines."""
    root = bundle / "engines"
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.name != "lock"}


@needs_compiler
def test_four_engines_are_built_and_vouched_for(demo: Path, capsys: Capture) -> None:
    assert build(demo) == 0
    said = capsys.readouterr().err
    assert "4 engines by TensorRT for RTX" in said
    bundle = open_bundle(demo)
    assert bundle.id == open_bundle(DEMO).id
    engines = read_engines(bundle, "sm89")
    assert set(engines.graphs) == set(GRAPHS)
    for graph, entry in engines.graphs.items():
        assert f"{graph} for sm89" in said
        with open_engine(bundle, engines, graph, engines.tensorrt) as mapped:
            assert len(mapped) > entry.weights_bytes
        assert entry.activation_bytes > 0
        assert entry.dtype == "fp16"
    tower = engines.graphs["vision_tower"]
    assert tower.inputs == {"pixel_values": ("float32", ("T", 3, 84, 84))}
    assert tower.profiles["pixel_values"][2] == (32, 3, 84, 84)
    decoder = engines.graphs["decoder"]
    assert decoder.inputs["attention_mask"] == ("bool", (1, 1, "L", 4096))
    assert decoder.inputs["past_key_values.0.key"] == ("float16", (1, 2, 4096, 32))
    assert decoder.inputs["write_indices"] == ("int64", (1,))
    assert left(demo) == {f"sm89/{graph}.engine" for graph in GRAPHS} | {"sm89/engines.json"}


@needs_compiler
@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_an_interrupted_build_leaves_whole_engines_and_nothing_else(
    demo: Path, user_data: Path
) -> None:
    command = [sys.executable, "-m", "export.cli", "engines", str(demo), "--arch", "sm86"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(user_data)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("vision_tower for sm86 ") and "%" not in line:
                break
        process.send_signal(signal.SIGINT)
        assert "interrupted" in process.stderr.read()
    assert process.returncode == 130
    assert set(read_engines(open_bundle(demo), "sm86").graphs) == {"vision_tower"}
    assert left(demo) == {"sm86/vision_tower.engine", "sm86/engines.json"}
    assert not (demo / "engines" / "scratch").exists()


def test_only_what_is_out_of_date_is_built(demo: Path, compiler: StandIn, capsys: Capture) -> None:
    assert build(demo, "--arch", "sm86,sm89") == 0
    assert compiler.built == [f"{graph} {arch}" for graph in GRAPHS for arch in ("sm86", "sm89")]
    compiler.jobs.clear()
    capsys.readouterr()
    assert build(demo, "--arch", "sm86,sm89") == 0
    assert "up to date" in capsys.readouterr().err
    assert compiler.built == []
    (demo / "engines" / "sm86" / "audio.engine").write_bytes(b"changed")
    (demo / "engines" / "sm86" / "left.engine.part").write_bytes(b"half")
    assert build(demo, "--arch", "sm86,sm89") == 0
    assert compiler.built == ["audio sm86"]
    assert "sm86/left.engine.part" not in left(demo)


def test_what_is_up_to_date_is_built_when_that_is_asked_for(
    demo: Path, compiler: StandIn, capsys: Capture
) -> None:
    assert build(demo) == 0
    entry = read_engines(open_bundle(demo), "sm89").graphs["audio"]
    record("set aside", Outcome("failed", "it differs", entry.sha256))
    record("another", Outcome("failed", "it differs", "of another engine"))
    capsys.readouterr()
    compiler.jobs.clear()
    assert build(demo) == 0
    assert "--force builds them all the same" in capsys.readouterr().err
    assert compiler.built == []
    assert recall("set aside") is not None
    assert build(demo, "--arch", "sm89", "--force") == 0
    assert compiler.built == [f"{graph} sm89" for graph in GRAPHS]
    # The new one may have the same bytes, and is tested all the same.
    assert recall("set aside") is None
    assert recall("another") is not None


def test_a_forced_build_that_fails_leaves_what_is_there(
    demo: Path, compiler: StandIn, capsys: Capture
) -> None:
    assert build(demo) == 0
    before = left(demo)
    compiler.fails = OSError(errno.ENOSPC, "No space left on device")
    assert "could not be written" in refused(capsys, demo, "--arch", "sm89", "--force")
    assert left(demo) == before
    bundle = open_bundle(demo)
    engines = read_engines(bundle, "sm89")
    for graph in GRAPHS:
        open_engine(bundle, engines, graph, engines.tensorrt).close()


def test_the_context_stays_as_it_was_chosen(demo: Path, compiler: StandIn) -> None:
    assert build(demo, "--arch", "sm89", "--context", "1024") == 0
    compiler.jobs.clear()
    assert build(demo) == 0
    assert compiler.built == []
    assert build(demo, "--arch", "sm86,sm89") == 0  # Another GPU, of the same kind of user.
    assert {job.arch for job in compiler.jobs} == {"sm86"}
    decoder = next(job for job in compiler.jobs if job.graph.stem == "decoder")
    assert decoder.profiles["attention_mask"][2] == (1, 1, 512, 1024)


@pytest.mark.parametrize("name", ["sub", "audio.engine", "engines.json"])
def test_folders_where_engines_should_lie_are_removed(
    demo: Path, compiler: StandIn, name: str
) -> None:
    arch = demo / "engines" / "sm89"
    (arch / name / "deeper").mkdir(parents=True)
    (arch / name / "deeper" / "file").write_bytes(b"left")
    (arch / "link").symlink_to(demo)
    assert build(demo) == 0
    assert set(read_engines(open_bundle(demo), "sm89").graphs) == set(GRAPHS)
    assert left(demo) == {f"sm89/{graph}.engine" for graph in GRAPHS} | {"sm89/engines.json"}
    open_bundle(demo)


def test_a_lock_that_was_removed_meanwhile_locks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "lock", Path.open

    def opened(self: Path, *arguments: str) -> object:
        stream = real(self, *arguments)
        path.unlink()  # By the build that held it and came to its end.
        return stream

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        with pytest.raises(ExportError, match="busy"), locked(path, "busy"):
            raise AssertionError("another build may hold a new file of that name")
    with locked(path, "busy"):
        assert path.exists()


def test_another_context_is_another_decoder(demo: Path, compiler: StandIn) -> None:
    assert build(demo) == 0
    compiler.jobs.clear()
    assert build(demo, "--arch", "sm89", "--context", "1024") == 0
    assert compiler.built == ["decoder sm89"]
    (job,) = compiler.jobs
    assert job.inputs["past_key_values.4.value"] == ("float16", (1, 2, 1024, 32))
    assert job.profiles["attention_mask"][2] == (1, 1, 512, 1024)


@pytest.mark.parametrize("loss", ["list", "version", "key"])
def test_engines_that_nobody_may_run_are_built_again(
    demo: Path, compiler: StandIn, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build(demo) == 0
    compiler.jobs.clear()
    if loss == "list":
        path = demo / "engines" / "sm89" / "engines.json"
        path.write_text(path.read_text().replace('"build_s": 0.5', '"build_s": 0.6'))
    elif loss == "key":
        engine_key.key_path().unlink()
    else:
        monkeypatch.setattr(
            engine_build, "load_compiler", lambda flavour: (None, Compiler(flavour, "9.9"))
        )
    assert build(demo) == 0
    assert len(compiler.jobs) == 4
    engines = read_engines(open_bundle(demo), "sm89")
    assert engines.tensorrt.version == ("9.9" if loss == "version" else VERSION)


def test_a_disk_that_fills_leaves_nothing_half_written(
    demo: Path, compiler: StandIn, capsys: Capture
) -> None:
    compiler.fails = OSError(errno.ENOSPC, "No space left on device")
    assert "could not be written (no space left on device)" in refused(capsys, demo)
    assert not (demo / "engines").exists()
    open_bundle(demo)


@pytest.mark.parametrize("what", ["list", "key"])
def test_a_disk_that_fills_before_an_engine_is_listed_leaves_none(
    demo: Path, compiler: StandIn, capsys: Capture, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    with monkeypatch.context() as patch:
        if what == "key":
            engine_key.key_path().unlink(missing_ok=True)
            patch.setattr(engine_key.os, "fsync", full)
        else:
            patch.setattr(engine_files, "write_whole", full)
        assert "could not be written (no space left on device)" in refused(capsys, demo)
    assert not (demo / "engines").exists()
    assert [path.name for path in engine_key.key_path().parent.glob("*.tmp")] == []
    assert build(demo) == 0


def test_an_engine_that_cannot_be_built_does_not_keep_the_rest_back(
    demo: Path, compiler: StandIn, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_apart(job: Job) -> Compiled:
        if job.graph.stem in ("vision_tower", "audio"):
            raise ExportError(f"{job.graph.stem} is too much for it.")
        return compiler(job)

    monkeypatch.setattr(engine_build, "compile_apart", compile_apart)
    assert refused(capsys, demo) == "vl2-export: audio is too much for it."
    assert set(read_engines(open_bundle(demo), "sm89").graphs) == {"projector", "decoder"}


def test_too_little_space_is_said_before(
    demo: Path, compiler: StandIn, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        usage = shutil.disk_usage(demo)._replace(free=1 << 20)
        patch.setattr(shutil, "disk_usage", lambda path: usage)
        assert "of disk but" in refused(capsys, demo)
    monkeypatch.setattr(engine_build, "memory_here", lambda: Memory(1 << 30, 1 << 20))
    assert "of memory but 1.0 MB are free" in refused(capsys, demo)
    assert compiler.jobs == []
    assert not (demo / "engines").exists()


def test_two_builds_of_one_bundle(demo: Path, compiler: StandIn, capsys: Capture) -> None:
    (demo / "engines").mkdir()
    with locked(demo / "engines" / "lock", "busy"):
        assert "Another process is building engines" in refused(capsys, demo)
    assert build(demo) == 0


def test_a_graph_that_is_not_the_reference_is_not_compiled(
    demo: Path,
    compiler: StandIn,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unpack = bundle_decoder.from_matmul_nbits
    monkeypatch.setattr(bundle_decoder, "from_matmul_nbits", lambda *a: np.roll(unpack(*a), 1, 0))
    assert "decoder, last token differs from the reference" in refused(capsys, demo)
    assert compiler.built == ["vision_tower sm89", "projector sm89", "audio sm89"]
    assert set(read_engines(open_bundle(demo), "sm89").graphs) == set(GRAPHS[:3])


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--arch", "sm70"), "does not compile for 'sm70'"),
        (("--arch", "sm89", "--context", "4097"), "give 128 to 4096"),
        (("--arch", "sm89", "--context", "20"), "give 128 to 4096"),
    ],
    ids=["architecture", "large", "small"],
)
def test_wishes_that_cannot_be_met(
    demo: Path,
    compiler: StandIn,
    capsys: Capture,
    more: tuple[str, ...],
    sentence: str,
) -> None:
    assert sentence in refused(capsys, demo, *more)


def test_gpus_without_int4_keep_the_decoder_in_onnx_runtime(
    demo: Path, compiler: StandIn, capsys: Capture
) -> None:
    assert build(demo, "--arch", "sm75") == 0
    assert compiler.built == [f"{graph} sm75" for graph in GRAPHS[:3]]
    assert "sm75 takes no int4" in capsys.readouterr().err


def test_what_a_compiler_cannot_take_is_left_out_and_said(
    demo: Path,
    compiler: StandIn,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = onnx.load(demo / "decoder.onnx", load_external_data=False)
    for node in model.graph.node:
        if node.op_type == "GroupQueryAttention":
            (window,) = (a for a in node.attribute if a.name == "local_window_size")
            window.i = 100
    monkeypatch.setattr(onnx, "load", lambda path, **_: model)
    monkeypatch.setattr(engine_sources, "write_plain_attention", lambda source, target: None)
    monkeypatch.setattr(engine_sources.SelfTest, "check_audio", lambda self, path: [])
    assert build(demo) == 0
    assert "sees 100 positions at a time" in capsys.readouterr().err
    assert not (demo / "engines" / "scratch").exists()
    assert compiler.built == [f"{graph} sm89" for graph in GRAPHS[:3]]


def test_a_bundle_in_32_bits(
    demo: Path,
    compiler: StandIn,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = open_bundle(demo)
    quantisation = dataclasses.replace(found.config.quantisation, scheme="fp32")
    config = dataclasses.replace(found.config, quantisation=quantisation)
    other = Bundle(found.path, found.id, config)
    monkeypatch.setattr(engine_build, "open_bundle", lambda folder: other)
    assert "computes in 32 bits" in refused(capsys, demo)


def test_an_export_with_engines(
    tmp_path: Path, compiler: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[Path] = []

    def export_bundle(folder: Path, target: Path, options: object) -> None:
        exported.append(folder)
        shutil.copytree(DEMO, target)

    monkeypatch.setattr("export.build.export_bundle", export_bundle)
    target = tmp_path / "made.vl2"
    # What cannot be built is refused before hours of exporting.
    assert main(["checkpoint", "-o", str(target), "--tensorrt", "--arch", "sm70"]) == 1
    assert exported == []
    assert main(["checkpoint", "-o", str(target), "--tensorrt", "--arch", "sm89"]) == 0
    assert exported == [Path("checkpoint")]
    assert set(read_engines(open_bundle(target), "sm89").graphs) == set(GRAPHS)


def test_engine_options_go_with_engines(demo: Path, capsys: Capture) -> None:
    assert main(["nowhere", "--arch", "sm89"]) == 1
    assert "go with --tensorrt alone" in capsys.readouterr().err


def test_attention_in_plain_operators_is_the_same(tmp_path: Path) -> None:
    plain = tmp_path / "audio.onnx"
    write_plain_attention(DEMO / "audio.onnx", plain)
    kinds = {node.op_type for node in onnx.load(plain, load_external_data=False).graph.node}
    assert "Attention" not in kinds
    one, other = (open_session(path, threads=1) for path in (DEMO / "audio.onnx", plain))
    for batch, frames in ((1, 398), (2, 100)):
        values = np.random.default_rng(0).normal(8, 4, (batch, frames, 128)).astype(np.float32)
        wanted = one.run({"fbank": values})["audio_tokens"]
        assert relative_error(other.run({"fbank": values})["audio_tokens"], wanted) < 2e-3


def test_profiles_hold_what_the_runtime_asks_for() -> None:
    config = open_bundle(DEMO).config
    assert choose_context(config, None) == 4096
    assert choose_context(config, 200) == 200
    assert profiles(config, "audio", 4096)["fbank"] == ((1, 398, 128), (1, 398, 128), (4, 398, 128))
    assert profiles(config, "projector", 4096)["vision_features"][0] == (1, 49, 128)
    short = profiles(config, "decoder", 200)
    assert short["inputs_embeds"] == ((1, 1, 128), (1, 1, 128), (1, 200, 128))


def test_an_engine_made_of_another_graph_is_not_kept(demo: Path, compiler: StandIn) -> None:
    assert build(demo) == 0
    found = open_bundle(demo)
    file = found.config.files["audio.data"]
    found.config.files["audio.data"] = type(file)(file.size, "0" * 64)
    shelf = Shelf(found, "sm89", Compiler("rtx", VERSION), 4096)
    assert shelf.lacking == ["audio"]
    assert "sm89/audio.engine" not in left(demo)
    with pytest.raises(EngineFileError, match="another audio graph"):
        open_engine(found, read_engines(found, "sm89"), "audio", shelf.compiler)


def test_the_integers_of_a_decoder_are_read_back(tmp_path: Path) -> None:
    decoder = bundle_decoder.BundleDecoder(DEMO / "decoder.onnx")
    bundle_decoder.write_compilable(decoder, tmp_path / "decoder.onnx", 64, "bf16")
    model = onnx.load(tmp_path / "decoder.onnx")
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    codes = tensors["/model/layers.0/mlp/up_proj.weight_codes"]
    assert codes.data_type == TensorProto.INT4
    weight = decoder.layer(0).mlp.up.weight  # type: ignore[union-attr]
    assert np.array_equal(onnx.numpy_helper.to_array(codes).astype(np.int8).T, weight.codes)  # type: ignore[union-attr]
    scales = tensors["/model/layers.0/mlp/up_proj.weight_scales"]
    assert scales.data_type == TensorProto.BFLOAT16
