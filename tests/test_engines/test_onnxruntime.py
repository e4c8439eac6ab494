import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.backends.onnxruntime import DecoderSession, Session, open_session, runtime
from engines.errors import DeviceError

SHAPE = (1, 2, 96, 16)


@pytest.fixture(scope="module")
def session(decoder_file: Path) -> Session:
    return open_session(decoder_file, threads=1)


@pytest.fixture
def decoder(session: Session) -> DecoderSession:
    return DecoderSession(session)


@pytest.fixture(scope="module")
def embeds() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, 40, 64)).astype(np.float32)


def new_cache(fill: float = 0.0) -> list[Any]:
    return [np.full(SHAPE, fill, np.float32) for _ in range(4)]


def run_chunks(
    decoder: DecoderSession, embeds: np.ndarray, chunks: list[int], cache: list[Any]
) -> np.ndarray:
    past = 0
    for length in chunks:
        logits = decoder.run(embeds[:, past : past + length], past, cache)
        past += length
    return logits.copy()


@pytest.mark.parametrize("chunks", [[20, 20], [7, 13, 1, 19], [39, 1], [1] * 40])
def test_the_prompt_in_pieces_gives_what_the_whole_gives(
    decoder: DecoderSession, embeds: np.ndarray, chunks: list[int]
) -> None:
    whole, pieces = new_cache(), new_cache()
    expected = run_chunks(decoder, embeds, [40], whole)
    found = run_chunks(decoder, embeds, chunks, pieces)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for a, b in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_only_the_new_positions_are_written_and_nothing_behind_them_is_read(
    decoder: DecoderSession, embeds: np.ndarray
) -> None:
    expected = run_chunks(decoder, embeds, [40], new_cache())
    cache = new_cache(fill=np.nan)
    found = run_chunks(decoder, embeds, [30, 10], cache)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for array in cache:
        assert np.isfinite(array[:, :, :40]).all()
        assert np.isnan(array[:, :, 40:]).all()


def test_a_trimmed_cache_gives_what_a_fresh_one_gives(
    decoder: DecoderSession, embeds: np.ndarray
) -> None:
    other = embeds[:, ::-1]
    fresh = run_chunks(
        decoder, np.concatenate([embeds[:, :10], other[:, :5]], 1), [15], new_cache()
    )
    cache = new_cache()
    run_chunks(decoder, embeds, [40], cache)
    again = decoder.run(other[:, :5], 10, cache)
    np.testing.assert_allclose(again, fresh, atol=1e-5)


def test_two_caches_do_not_mix(decoder: DecoderSession, embeds: np.ndarray) -> None:
    first, second = new_cache(), new_cache()
    decoder.run(embeds[:, :8], 0, first)
    decoder.run(embeds[:, 20:28], 0, second)
    logits = decoder.run(embeds[:, 8:9], 8, first).copy()
    np.testing.assert_allclose(logits, run_chunks(decoder, embeds, [9], new_cache()), atol=1e-5)


def test_a_decode_step_allocates_nothing_of_the_caches_size(
    decoder: DecoderSession, embeds: np.ndarray
) -> None:
    cache = new_cache()
    decoder.run(embeds[:, :4], 0, cache)
    bindings = decoder._one, decoder._chunk
    first = decoder.run(embeds[:, 4:5], 4, cache)
    second = decoder.run(embeds[:, 5:6], 5, cache)
    assert first is second  # The logits of the last step are overwritten, by design.
    assert bindings == (decoder._one, decoder._chunk)  # Nothing was bound again.


def test_names_shapes_and_types_of_a_graph(session: Session) -> None:
    assert session.inputs["inputs_embeds"].shape == (1, "L", 64)
    assert session.inputs["logits_to_keep"].dtype == np.int64
    assert session.outputs["present.1.value"].shape == (1, 2, "capacity", 16)
    assert session.providers == ["CPUExecutionProvider"]


def test_run_takes_and_gives_named_arrays(tiny_bundle: Path) -> None:
    tower = open_session(tiny_bundle / "vision_tower.onnx", threads=1)
    found = tower.run({"pixel_values": np.ones((3, 3, 8, 8), np.float32)})
    assert found["vision_features"].shape == (3, 4, 6)


def test_telemetry_is_off_where_the_library_is_loaded() -> None:
    runtime()
    assert "onnxruntime" in sys.modules
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_wrong_input_is_one_sentence(tiny_bundle: Path) -> None:
    tower = open_session(tiny_bundle / "vision_tower.onnx", threads=1)
    with pytest.raises(DeviceError, match=r"vision_tower\.onnx failed") as caught:
        tower.run({"pixel_values": np.ones((3, 3, 8, 9), np.float32)})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"not a graph", b"", b"name: \xb9"], ids=str)
def test_a_file_that_is_no_graph_is_one_sentence(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "decoder.onnx"
    path.write_bytes(content)
    with pytest.raises(DeviceError, match=r"cannot open .*decoder\.onnx") as caught:
        open_session(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_gpu_that_is_not_there_is_said(
    decoder_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "engines.backends.onnxruntime.available_providers", lambda: ["CPUExecutionProvider"]
    )
    with pytest.raises(DeviceError, match="cuda cannot be used"):
        open_session(decoder_file, "cuda")


def test_a_silent_fall_back_to_the_cpu_is_an_error(
    decoder_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "engines.backends.onnxruntime.available_providers", lambda: ["CUDAExecutionProvider"]
    )
    monkeypatch.setattr(runtime(), "preload_dlls", lambda: None)
    monkeypatch.setattr("warnings.warn", lambda *_, **__: None)
    with pytest.raises(DeviceError, match="fell back to the CPU"):
        open_session(decoder_file, "cuda")
