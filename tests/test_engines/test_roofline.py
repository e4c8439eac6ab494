"""Bytes a token reads and the share of the roof, worked by hand."""

import dataclasses

import numpy as np
import pytest

import engines
from assets import demo_bundle
from engines import roofline
from engines.backends.cuda_driver import gpus
from engines.bundle import read_bundle
from engines.devices import Device
from engines.roofline import (
    bytes_per_token,
    decoder_speed,
    gpu_bytes_per_s,
    memory_bytes_per_s,
    roof,
)
from engines.sessions import Sessions
from tests import gpu_stand_in

DEMO = read_bundle(demo_bundle())


def test_bytes_a_token() -> None:
    files = DEMO.config.files
    weights = files["decoder.onnx"].size + files["decoder.data"].size
    assert bytes_per_token(DEMO.config, 0) == weights
    # Keys and values of five layers, two heads of 32, four bytes a number.
    assert bytes_per_token(DEMO.config, 100) == weights + 2 * 5 * 2 * 32 * 4 * 100
    assert bytes_per_token(DEMO.config, 100, width=2) == weights + 2 * 5 * 2 * 32 * 2 * 100


def test_a_mixture_of_experts_reads_what_the_token_needs() -> None:
    source = dataclasses.replace(DEMO.config.source, model_type="videollama2_mixtral")
    assert bytes_per_token(dataclasses.replace(DEMO.config, source=source), 0) is None


def test_share() -> None:
    assert roof(2 * 10**9, 10, 40e9).share == 0.5
    assert roof(None, 10, 40e9).share is None
    assert roof(2, None, 40e9).share is None
    assert roof(2, 10, None) == roofline.Roof(2, None, None)
    assert roof(2, 10, 0.0).share is None


def test_a_gpu_s_bandwidth_counts_reading_and_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "COPY_BYTES", 1 << 20)
    stand_in = gpu_stand_in.install(monkeypatch)
    assert gpu_bytes_per_s(gpus()[0]) == 2 * (1 << 20) * 20 / 0.0125
    assert (stand_in.live, stand_in.contexts) == ({}, 0)
    full = stand_in.driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY
    at = stand_in.calls.index("cuMemAlloc") - stand_in.calls.index("cuInit", 1)
    stand_in.calls.clear()
    stand_in.fail_at, stand_in.failure = at, full
    # A model leaves little room: half as much is copied.
    assert gpu_bytes_per_s(gpu_stand_in_gpu()) == 2 * (1 << 19) * 20 / 0.0125
    assert stand_in.failed == "cuMemAlloc"
    assert (stand_in.live, stand_in.contexts) == ({}, 0)
    monkeypatch.setattr(stand_in, "called", lambda name: name == "cuMemAlloc")
    assert gpu_bytes_per_s(gpu_stand_in_gpu()) is None
    assert (stand_in.live, stand_in.contexts) == ({}, 0)


def gpu_stand_in_gpu() -> roofline.Gpu:
    return roofline.Gpu(0, "NVIDIA GeForce RTX 4060", (8, 9), 8 << 30, 13000)


def test_the_memory_that_the_decoder_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "read_bytes_per_s", lambda threads: 7.0 * threads)
    assert memory_bytes_per_s(Sessions(DEMO, Device("cpu", "so"), 2), 2) == 14.0
    # ONNX Runtime's decoder on CUDA: nothing here measures that memory.
    cuda = Sessions(DEMO, Device("cuda", "so", asked=True), 2)
    assert memory_bytes_per_s(cuda, 2) is None


def test_speed_of_a_decoder() -> None:
    model = engines.load(demo_bundle(), "cpu", threads=1, keep_encodings=False)
    embeds = model.embed(np.arange(1, 21))
    speed = decoder_speed(model.sessions.decoder("decoder"), embeds, 4)
    assert speed.past == 20 + roofline.WARM_TOKENS + 2
    assert speed.prefill_tokens_per_s > 0
    assert speed.decode_tokens_per_s > 0
