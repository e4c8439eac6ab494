"""Compiled engines on a stand-in for the GPU alone (tests/gpu_stand_in.py)."""

import gc
import re
from collections.abc import Callable
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.backends import cuda_driver, tensorrt_engine
from engines.backends import onnxruntime as ort
from engines.backends.cuda_driver import Buffer, Device, gpus
from engines.backends.tensorrt_decoder import DecoderSession, pieces
from engines.backends.tensorrt_engine import Engine, compiler
from engines.backends.tensorrt_rtx import Session
from engines.errors import Cancelled, DeviceError, DeviceMemoryError, EngineFileError, Vl2Error
from engines.generate import TokenPrompt, drain, prefill
from engines.kv_cache import KvCache
from tests import gpu_stand_in
from tests.compiled import HIDDEN, KV_HEADS, LAYERS, WIDTH, entry_of, write_standard_decoder
from tests.gpu_stand_in import StandIn

CAPACITY = 96  # The most that the entry names.
PLAN, TOWER = b"an engine of a decoder", b"an engine of a tower"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return gpu_stand_in.install(monkeypatch)


@pytest.fixture(scope="session")
def standard_decoder(decoder_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("standard") / "decoder.onnx"
    return write_standard_decoder(decoder_file, path)


@pytest.fixture
def open_engine(stand_in: StandIn) -> Callable[..., Session]:
    def opened(plan: bytes, model: Path, kernels: Path | None = None, **entry: Any) -> Session:
        stand_in.models[plan] = model
        device = Device(gpus()[0])
        path = Path("engines/sm89") / f"{model.stem}.engine"
        return Session(Engine(plan, entry_of(model, **entry), path, device, kernels))

    return opened


@pytest.fixture
def decoder(open_engine: Callable[..., Session], standard_decoder: Path) -> DecoderSession:
    return DecoderSession(open_engine(PLAN, standard_decoder))


@pytest.fixture(scope="module")
def reference(decoder_file: Path) -> ort.DecoderSession:
    return ort.DecoderSession(ort.open_session(decoder_file, threads=1))


@pytest.fixture(scope="module")
def embeds() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal((1, 60, HIDDEN)).astype(np.float32)


def expected(reference: ort.DecoderSession, embeds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    shape = (1, KV_HEADS, 64, WIDTH)
    cache = [np.zeros(shape, np.float32) for _ in range(2 * LAYERS)]
    return reference.run(embeds, 0, cache).copy()


@pytest.mark.parametrize(
    ("length", "longest", "wanted"),
    [
        (1, 16, [(0, 1)]),
        (16, 16, [(0, 16)]),
        (23, 16, [(0, 16), (16, 20), (20, 22), (22, 23)]),
        (40, 16, [(0, 16), (16, 32), (32, 40)]),
        (7, 5, [(0, 4), (4, 6), (6, 7)]),
    ],
)
def test_a_run_is_cut_into_powers_of_two(
    length: int, longest: int, wanted: list[tuple[int, int]]
) -> None:
    assert list(pieces(length, longest)) == wanted


def test_memory_goes_back_without_asking_for_the_library_again(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It may be given back while another library is being loaded, whose lock would be asked for.
    memory = Buffer(Device(gpus()[0]), 1000)
    assert stand_in.live
    monkeypatch.setattr(cuda_driver, "library", lambda: pytest.fail("asked again"))
    memory.free()
    assert stand_in.live == {}


@pytest.mark.parametrize("chunks", [[40], [20, 20], [7, 13, 1, 19], [1] * 40], ids=str)
def test_the_compiled_decoder_gives_what_onnx_runtime_gives(
    decoder: DecoderSession,
    reference: ort.DecoderSession,
    embeds: np.ndarray[Any, Any],
    chunks: list[int],
) -> None:
    cache = decoder.grow([], 0, 64, 64)
    past = 0
    for length in chunks:
        logits = decoder.run(embeds[:, past : past + length], past, cache)
        past += length
    np.testing.assert_allclose(logits, expected(reference, embeds[:, :40]), atol=1e-4)


def test_a_trimmed_cache_is_written_over(
    decoder: DecoderSession, reference: ort.DecoderSession, embeds: np.ndarray[Any, Any]
) -> None:
    cache = decoder.grow([], 0, 64, 64)
    decoder.run(embeds[:, :40], 0, cache)
    other = np.concatenate([embeds[:, :25], embeds[:, 45:60]], axis=1)
    logits = decoder.run(other[:, 25:], 25, cache)
    np.testing.assert_allclose(logits, expected(reference, other), atol=1e-4)


def test_a_cache_that_grows_keeps_its_contents_and_gives_the_old_memory_back(
    decoder: DecoderSession,
    reference: ort.DecoderSession,
    embeds: np.ndarray[Any, Any],
    stand_in: StandIn,
) -> None:
    small = decoder.grow([], 0, 20, 20)
    assert small[0].shape == (1, KV_HEADS, 32, WIDTH)  # The least that the engine takes.
    decoder.run(embeds[:, :30], 0, small)
    large = decoder.grow(small, 30, 40, 64)
    assert all(array.buffer.address == 0 for array in small)
    logits = decoder.run(embeds[:, 30:40], 30, large)
    np.testing.assert_allclose(logits, expected(reference, embeds[:, :40]), atol=1e-4)


def test_more_positions_than_the_engine_was_built_for(decoder: DecoderSession) -> None:
    assert decoder.most_positions == CAPACITY
    with pytest.raises(DeviceError, match=r"needs 97 tokens.*built for 96"):
        decoder.grow([], 0, CAPACITY + 1, 128)


def test_the_conversations_cache_uses_it(
    decoder: DecoderSession, reference: ort.DecoderSession, embeds: np.ndarray[Any, Any]
) -> None:
    cache = KvCache(
        decoder.layers,
        decoder.kv_heads,
        decoder.head_dim,
        decoder.cache_dtype,
        limit=90,
        grow=decoder.grow,
    )
    keys = np.arange(40, dtype=np.int64)
    for length in (30, 40):
        cache.reserve(length)
        prompt = TokenPrompt(embeds[0, :length], keys[:length])
        logits = drain(prefill(decoder, cache, prompt))
        np.testing.assert_allclose(logits, expected(reference, embeds[:, :length]), atol=1e-4)
    assert cache.capacity == 64
    assert cache.nbytes == 4 * KV_HEADS * 64 * WIDTH * 4


def test_a_token_binds_nothing_anew_and_moves_no_cache(
    decoder: DecoderSession, embeds: np.ndarray[Any, Any], stand_in: StandIn
) -> None:
    cache = decoder.grow([], 0, 64, 64)
    decoder.run(embeds[:, :8], 0, cache)
    decoder.run(embeds[:, 8:9], 8, cache)
    stand_in.calls.clear()
    stand_in.bindings.clear()
    decoder.run(embeds[:, 9:10], 9, cache)
    assert stand_in.bindings == []
    assert stand_in.calls == [
        "cuCtxSetCurrent",
        "cuMemcpyHtoDAsync",
        "execute_async_v3",
        "cuMemcpyDtoHAsync",
        "cuStreamSynchronize",
    ]


def test_every_tensor_has_its_type_and_address(
    decoder: DecoderSession, embeds: np.ndarray[Any, Any], stand_in: StandIn
) -> None:
    cache = decoder.grow([], 0, 32, 32)
    decoder.run(embeds[:, :4], 0, cache)
    assert stand_in.executions[-1] == {
        "inputs_embeds": (1, 4, HIDDEN),
        "position_ids": (1, 4),
        "write_indices": (1,),
        "attention_mask": (1, 1, 4, 32),
        **{
            f"past_key_values.{i}.{part}": (1, KV_HEADS, 32, WIDTH)
            for i in range(LAYERS)
            for part in ("key", "value")
        },
    }
    tensors = decoder.session.engine.inputs
    assert {tensors[name].dtype for name in ("position_ids", "write_indices")} == {"int64"}
    assert tensors["attention_mask"].dtype == "bool"


def test_stopping_ends_the_work_between_two_pieces(
    decoder: DecoderSession, embeds: np.ndarray[Any, Any]
) -> None:
    cache = decoder.grow([], 0, 64, 64)
    decoder.session.stop()
    with pytest.raises(Cancelled):
        decoder.run(embeds[:, :8], 0, cache)
    decoder.session.resume()
    decoder.run(embeds[:, :8], 0, cache)


def test_an_encoder_takes_any_number_of_frames(
    open_engine: Callable[..., Session], tiny_bundle: Path, stand_in: StandIn
) -> None:
    path = tiny_bundle / "vision_tower.onnx"
    session, graph = open_engine(TOWER, path), ort.open_session(path, threads=1)
    assert session.inputs == graph.inputs
    assert session.outputs == graph.outputs
    for frames in (2, 5, 1):
        pixels = np.random.default_rng(frames).standard_normal((frames, 3, 8, 8), np.float32)
        found = session.run({"pixel_values": pixels})["vision_features"]
        wanted = graph.run({"pixel_values": pixels})["vision_features"]
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    session.close()
    assert stand_in.live == {}


def test_an_engine_that_is_let_go_gives_its_context_back_first(
    open_engine: Callable[..., Session], tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_with_alive: list[bool] = []
    gc.collect()  # What other tests left.

    def gone(self: Any) -> None:
        made_with_alive.append(all(kept() is not None for kept in self._kept))

    monkeypatch.setattr(gpu_stand_in.FakeIExecutionContext, "__del__", gone, raising=False)
    session = open_engine(TOWER, tiny_bundle / "vision_tower.onnx")
    session.run({"pixel_values": np.zeros((1, 3, 8, 8), np.float32)})
    del session
    gc.collect()
    assert made_with_alive == [True]


def test_an_array_of_another_type_is_refused(
    open_engine: Callable[..., Session], tiny_bundle: Path
) -> None:
    session = open_engine(TOWER, tiny_bundle / "vision_tower.onnx")
    with pytest.raises(DeviceError, match="takes pixel_values as float32, not float64"):
        session.run({"pixel_values": np.zeros((1, 3, 8, 8))})


def test_a_shape_that_the_engine_does_not_take(
    open_engine: Callable[..., Session], tiny_bundle: Path
) -> None:
    session = open_engine(TOWER, tiny_bundle / "vision_tower.onnx")
    with pytest.raises(DeviceError, match=r"vision_tower\.engine \(set_input_shape\)"):
        session.run({"pixel_values": np.zeros((1, 3, 8, 9), np.float32)})


def test_what_was_compiled_is_kept_and_used_again(
    open_engine: Callable[..., Session], tiny_bundle: Path, tmp_path: Path, stand_in: StandIn
) -> None:
    kernels = tmp_path / "kernels" / "a.kernels"
    pixels = np.zeros((1, 3, 8, 8), np.float32)
    first = open_engine(TOWER, tiny_bundle / "vision_tower.onnx", kernels)
    assert "deserialize" not in stand_in.calls
    first.run({"pixel_values": pixels})
    assert kernels.read_bytes() == stand_in.kernels
    first.run({"pixel_values": pixels})
    assert stand_in.calls.count("serialize") == 1
    kernels.write_bytes(b"of another driver")
    for _ in range(2):  # What does not fit is made anew, and then fits.
        open_engine(TOWER, tiny_bundle / "vision_tower.onnx", kernels).run({"pixel_values": pixels})
        assert kernels.read_bytes() == stand_in.kernels


def test_an_engine_that_cannot_run_here_says_why(
    open_engine: Callable[..., Session], tiny_bundle: Path, stand_in: StandIn
) -> None:
    stand_in.models.clear()
    engine = Engine.__init__
    with pytest.raises(EngineFileError, match="it is not an engine; build it anew"):
        open_and_forget(stand_in, tiny_bundle / "vision_tower.onnx", known=False)
    assert engine is Engine.__init__


def open_and_forget(stand_in: StandIn, model: Path, known: bool = True) -> None:
    if known:
        stand_in.models[PLAN] = model
    Engine(PLAN, entry_of(model), Path("a.engine"), Device(gpus()[0]))


def test_an_engine_that_is_not_what_its_list_says(
    stand_in: StandIn, tiny_bundle: Path, standard_decoder: Path
) -> None:
    stand_in.models[PLAN] = tiny_bundle / "vision_tower.onnx"
    with pytest.raises(EngineFileError, match="inputs and outputs that its list says"):
        Engine(PLAN, entry_of(standard_decoder), Path("a.engine"), Device(gpus()[0]))


@pytest.mark.parametrize("name", ["position_ids", "inputs_embeds", "attention_mask", "logits"])
def test_a_decoder_of_other_types_is_refused(
    open_engine: Callable[..., Session], standard_decoder: Path, name: str
) -> None:
    session = open_engine(PLAN, standard_decoder)
    entry = session.engine.entry
    tensors = entry.outputs if name == "logits" else entry.inputs
    tensors[name] = ("int32", tensors[name][1])
    with pytest.raises(EngineFileError, match="takes its inputs in other types"):
        DecoderSession(session)


def test_an_output_whose_shape_is_not_known_is_a_sentence(
    open_engine: Callable[..., Session], tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_engine(TOWER, tiny_bundle / "vision_tower.onnx")
    unknown = {"vision_features": (-1, 4, 16)}
    monkeypatch.setattr(gpu_stand_in.FakeIExecutionContext, "_outputs", lambda _: unknown)
    with pytest.raises(DeviceError, match="does not know the shape of vision_features"):
        session.run({"pixel_values": np.zeros((1, 3, 8, 8), np.float32)})


@pytest.mark.parametrize(
    "said",
    [
        "Error Code 2: OutOfMemory (Requested size was 5 bytes.)",
        "Error Code 1: Cuda Runtime (out of memory)",
        "Error Code 1: Cuda Driver (CUDA_ERROR_OUT_OF_MEMORY)",
        "cudaErrorMemoryAllocation",
    ],
)
@pytest.mark.parametrize("at", [0, 1])
def test_a_full_gpu_is_told_from_a_broken_engine_by_whichever_error_says_so(
    open_engine: Callable[..., Session],
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    at: int,
) -> None:
    session = open_engine(TOWER, tiny_bundle / "vision_tower.onnx")
    log = session.engine._log
    messages = ["Error Code 4: Internal Error", said][:: 1 if at else -1]

    def refused(self: Any, stream_handle: int) -> bool:
        for message in messages:
            log.log(log.Severity.ERROR, message)
        return False

    monkeypatch.setattr(gpu_stand_in.FakeIExecutionContext, "execute_async_v3", refused)
    with pytest.raises(DeviceMemoryError):
        session.run({"pixel_values": np.zeros((1, 3, 8, 8), np.float32)})
    messages[:] = ["the cause", "what came of it"]
    with pytest.raises(DeviceError, match=r"execute_async_v3: the cause\)"):
        session.run({"pixel_values": np.zeros((1, 3, 8, 8), np.float32)})


def test_an_engine_that_would_copy_its_cache_is_refused(
    open_engine: Callable[..., Session], standard_decoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_engine(PLAN, standard_decoder)
    monkeypatch.setattr(gpu_stand_in.FakeICudaEngine, "_alias", lambda *_: None)
    with pytest.raises(EngineFileError, match="does not write its cache in place"):
        DecoderSession(session)


def test_an_encoder_is_no_decoder(open_engine: Callable[..., Session], tiny_bundle: Path) -> None:
    with pytest.raises(EngineFileError, match="compiled decoder's inputs"):
        DecoderSession(open_engine(TOWER, tiny_bundle / "vision_tower.onnx"))


def test_this_gpu(stand_in: StandIn) -> None:
    (found,) = gpus()
    assert (found.name, found.arch, found.cuda) == ("NVIDIA GeForce RTX 4060", "sm89", 13000)
    device = Device(found)
    assert device.memory() == (8 << 30, 8 << 30)
    assert device.time_copies(1 << 20, 4) == 0.0125
    device.close()
    device.close()
    assert (stand_in.live, stand_in.contexts) == ({}, 0)


def test_without_a_driver_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoDriver:
        @staticmethod
        def cuInit(flags: int) -> None:
            raise RuntimeError("libcuda.so.1 is not here")

    monkeypatch.setattr(cuda_driver, "library", lambda: NoDriver)
    with pytest.raises(DeviceError, match=r"no NVIDIA driver.*--device cpu"):
        gpus()


def test_a_driver_without_a_gpu_is_told_from_one_that_failed(stand_in: StandIn) -> None:
    stand_in.fail_at, stand_in.failure = 0, stand_in.driver.CUresult.CUDA_ERROR_NO_DEVICE
    with pytest.raises(DeviceError, match=r"^There is no NVIDIA GPU here; use --device cpu\.$"):
        gpus()
    stand_in.calls.clear()
    stand_in.failure = stand_in.driver.CUresult.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
    with pytest.raises(DeviceError, match=r"failed \(cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH\);"):
        gpus()


@pytest.mark.parametrize("name", ["Runtime", "CudaGraphStrategy", "EngineValidity"])
def test_a_library_that_lacks_what_is_called_is_a_sentence(
    stand_in: StandIn, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole = tensorrt_engine.library()

    class Lacking:
        def __getattr__(self, wanted: str) -> Any:
            if wanted == name:
                raise AttributeError(f"module 'tensorrt_rtx' has no attribute '{name}'")
            return getattr(whole, wanted)

    lacking = Lacking()
    monkeypatch.setattr(tensorrt_engine, "library", lambda: lacking)
    with pytest.raises(DeviceError, match=rf"failed with a\.engine \(Engine: .*'{name}'\); use"):
        open_and_forget(stand_in, tiny_bundle / "vision_tower.onnx")


@pytest.mark.parametrize("call", ["cuMemcpyDtoHAsync", "execute_async_v3"])
def test_nothing_is_queued_any_more_when_a_run_has_failed(
    open_engine: Callable[..., Session], tiny_bundle: Path, stand_in: StandIn, call: str
) -> None:
    session = open_engine(TOWER, tiny_bundle / "vision_tower.onnx")
    feeds = {"pixel_values": np.zeros((1, 3, 8, 8), np.float32)}
    session.run(feeds)
    stand_in.calls.clear()
    session.run(feeds)
    at = stand_in.calls.index(call)
    stand_in.calls.clear()
    stand_in.fail_at = at
    stand_in.failure = (
        stand_in.driver.CUresult.CUDA_ERROR_LAUNCH_FAILED if call.startswith("cu") else False
    )
    with pytest.raises(DeviceError):
        session.run(feeds)
    # What would read the arrays, or write into them, has happened before they go.
    assert (stand_in.failed, stand_in.queued) == (call, [])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_a_failure_of_the_engine(
    open_engine: Callable[..., Session],
    decoder: DecoderSession,
    embeds: np.ndarray[Any, Any],
    tiny_bundle: Path,
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    value: float,
) -> None:
    session = open_engine(TOWER, tiny_bundle / "vision_tower.onnx")
    cache = decoder.grow([], 0, 32, 32)
    real = gpu_stand_in.FakeIExecutionContext._compute

    def overflowing(self: Any, shapes: Any, addresses: Any) -> None:
        real(self, shapes, addresses)
        for name in {"logits", "vision_features"} & set(addresses):
            stand_in.array(addresses[name], "FLOAT", (8,))[3] = value

    monkeypatch.setattr(gpu_stand_in.FakeIExecutionContext, "_compute", overflowing)
    with pytest.raises(DeviceError, match=r"vision_tower\.engine gave .* vision_features that are"):
        session.run({"pixel_values": np.zeros((1, 3, 8, 8), np.float32)})
    with pytest.raises(DeviceError, match=r"decoder\.engine gave numbers in logits that are not"):
        decoder.run(embeds[:, :2], 0, cache)


def test_the_version_is_that_of_the_installed_package() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    assert (compiler().flavour, compiler().version) == ("rtx", trt.__version__)


def scenario(stand_in: StandIn, model: Path, kernels: Path, embeds: np.ndarray[Any, Any]) -> Any:
    """Everything once: open, read a prompt, grow, write a token, give back."""
    stand_in.models[PLAN] = model
    device = decoder = None
    try:
        device = Device(gpus()[0])
        engine = Engine(PLAN, entry_of(model), Path("decoder.engine"), device, kernels)
        decoder = DecoderSession(Session(engine))
        cache = decoder.grow([], 0, 32, 32)
        decoder.run(embeds[:, :6], 0, cache)
        cache = decoder.grow(cache, 6, 48, 48)
        logits = decoder.run(embeds[:, 6:7], 6, cache).copy()
        for array in cache:
            array.buffer.free()
        return logits
    finally:
        if decoder is not None:
            decoder.close()
        cache = decoder = engine = None
        if device is not None:
            device.close()


def attempt(*arguments: Any) -> Any:
    """What the scenario gives, or the kind of its error and the sentence."""
    try:
        return scenario(*arguments)
    except Vl2Error as error:
        return type(error), str(error)


def harmless(names: list[str], index: int) -> bool:
    """Whether nobody notices a call failing: giving back, and keeping compiled kernels."""
    while names[index] in ("cuCtxSetCurrent", "cuStreamSynchronize") and index + 1 < len(names):
        index += 1  # What they prepare for.
    giving_back = ("cuMemFree", "cuMemFreeHost", "cuStreamDestroy", "cuDevicePrimaryCtxRelease")
    return names[index] in (*giving_back, "deserialize", "serialize")


@pytest.mark.parametrize("how", ["refused", "exception", "memory"])
def test_a_failure_at_any_call_is_a_sentence_and_leaves_no_memory_behind(
    stand_in: StandIn,
    standard_decoder: Path,
    tmp_path: Path,
    embeds: np.ndarray[Any, Any],
    how: str,
) -> None:
    kernels = tmp_path / "decoder.kernels"
    kernels.write_bytes(stand_in.kernels)
    wanted = scenario(stand_in, standard_decoder, kernels, embeds)
    names = list(stand_in.calls)
    assert len(names) > 100
    assert (stand_in.live, stand_in.contexts) == ({}, 0)
    results = stand_in.driver.CUresult
    for index, name in enumerate(names):
        driver = name.startswith("cu")
        if driver:
            full, lost = results.CUDA_ERROR_OUT_OF_MEMORY, results.CUDA_ERROR_ILLEGAL_ADDRESS
            failure: Any = full if how == "memory" else lost
        elif how == "refused":
            failure = None
        else:
            failure = RuntimeError("OutOfMemory: no" if how == "memory" else "it does not work")
        stand_in.calls.clear()
        stand_in.queued.clear()
        stand_in.fail_at, stand_in.failure = index, failure
        found = attempt(stand_in, standard_decoder, kernels, embeds)
        if isinstance(found, np.ndarray):
            assert harmless(names, index), name
            np.testing.assert_array_equal(found, wanted)
        else:
            kind, message = found
            assert issubclass(kind, DeviceError | EngineFileError), name
            assert re.fullmatch(r"[^\n]*\.", message), name
            if how == "memory" and not name.startswith(("set ", "get_aliased")):
                assert kind is DeviceMemoryError, (name, message)
        assert stand_in.failed == name
        if not harmless(names, index):
            assert stand_in.live == {}, name
        stand_in.live.clear()
        stand_in.memory.clear()  # Addresses differ from try to try, the calls do not.
        stand_in.contexts = 0


class NoGpu:
    """What an engine needs of a device before the library asks for one itself."""

    stream = 1

    def activate(self) -> None:
        pass


def test_the_real_library_takes_our_calls_as_far_as_it_goes_without_a_gpu(tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    with suppress(DeviceError):
        if gpus():
            pytest.skip("there is a GPU: tests/gpu goes on from here")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network()
    x = network.add_input("x", trt.float32, (1, 4))
    y = network.add_unary(x, trt.UnaryOperation.ABS).get_output(0)
    y.name = "y"
    network.mark_output(y)
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    file = tmp_path / "a.engine"
    file.write_bytes(bytes(builder.build_serialized_network(network, config)))
    device: Any = NoGpu()
    entry: Any = None  # Not reached.
    with file.open("rb") as stream:
        plan = mmap(stream.fileno(), 0, access=ACCESS_READ)
    with pytest.raises(DeviceError, match=r"a\.engine \(deserialize_cuda_engine: .*cudaError"):
        Engine(plan, entry, file, device)
    plan.close()  # The library holds on to nothing of it.
    with pytest.raises(EngineFileError, match="it is not an engine"):
        Engine(b"no engine" * 100, entry, file, device)
