"""Where each part of a model runs on cards of 6 to 24 GB; sums worked by hand."""

import dataclasses
from typing import Any

import pytest

from assets import demo_bundle
from engines import part_memory as part_memory_module
from engines.bundle import read_bundle
from engines.config import BundleConfig, FileConfig
from engines.engine_files import EngineFile
from engines.part_memory import (
    PartMemory,
    cache_bytes,
    graph_bytes,
    part_memory,
    passing_bytes,
)
from engines.placement import (
    CONTEXT_BYTES,
    LEAST_CONTEXT,
    MARGIN,
    NO_ENGINE,
    Free,
    Placement,
    place,
)

GB = 10**9
# Bytes of files, by the geometry of the published models: parameters of the decoder's matrices at
# 4.125 bits (groups of 128), the output matrix at 8, towers and connector in 16 bits.
SIZES: dict[str, dict[str, Any]] = {
    "demo": {},
    "7B": {
        "decoder": 3.65 * GB,
        "vision_tower": 0.61 * GB,
        "projector": 0.35 * GB,
        "audio": 0.18 * GB,
        "geometry": (4096, 32, 32, 8, 128, 32000),
    },
    "8x7B": {
        "decoder": 24.1 * GB,
        "vision_tower": 0.61 * GB,
        "projector": 0.35 * GB,
        "audio": 0.18 * GB,
        "geometry": (4096, 32, 32, 8, 128, 32000),
    },
    "72B": {
        "decoder": 37.5 * GB,
        "vision_tower": 0.61 * GB,
        "projector": 0.9 * GB,
        "audio": 0.18 * GB,
        "geometry": (8192, 80, 64, 8, 128, 152064),
    },
}


def config_of(model: str) -> BundleConfig:
    demo = read_bundle(demo_bundle()).config
    sizes = dict(SIZES[model])
    if not sizes:
        return demo
    hidden, layers, heads, kv_heads, width, vocab = sizes.pop("geometry")
    decoder = dataclasses.replace(
        demo.decoder,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=width,
        vocab_size=vocab,
        max_position_embeddings=32768,
    )
    vision = dataclasses.replace(
        demo.vision,
        image_size=336,
        patch_size=14,
        hidden_size=1024,
        num_frames=16,
        tokens_per_frame=576,
    )
    audio = dataclasses.replace(  # type: ignore[type-var]
        demo.audio, tokens_per_window=1496, window_s=30.0
    )
    files = {name: FileConfig(0, "") for name in demo.files}
    files |= {f"{graph}.data": FileConfig(int(size), "") for graph, size in sizes.items()}
    return dataclasses.replace(demo, decoder=decoder, vision=vision, audio=audio, files=files)


def plan(model: str, card_gb: float, context: int = 8192, ram_gb: float = 64) -> Placement:
    config = config_of(model)
    return place(
        part_memory(config, context),
        (cache_bytes(config, 1, 2), cache_bytes(config, 1)),
        min(context, config.decoder.max_position_embeddings),
        Free(int(card_gb * GB), int(ram_gb * GB)),
    )


def summary(found: Placement) -> tuple[str, str, bool, int]:
    """Decoder, encoders, whether these are kept, context."""
    return (
        found.where("decoder"),
        found.where("vision_tower"),
        found.kept("vision_tower"),
        found.context,
    )


CARDS = (6, 8, 12, 16, 24)


@pytest.mark.parametrize("card", CARDS)
def test_the_demo_fits_everywhere(card: int) -> None:
    found = plan("demo", card)
    assert summary(found) == ("gpu", "gpu", True, 4096)
    assert found.fits
    assert found.reason == "Everything fits on the GPU."


@pytest.mark.parametrize(
    ("card", "wanted"),
    [
        (6, ("gpu", "cpu", True, 8192)),
        (8, ("gpu", "gpu", False, 8192)),
        (12, ("gpu", "gpu", True, 8192)),
        (16, ("gpu", "gpu", True, 8192)),
        (24, ("gpu", "gpu", True, 8192)),
    ],
)
def test_a_7b_model(card: int, wanted: Any) -> None:
    assert summary(plan("7B", card)) == wanted


# 32 frames, a window of 30 s, 512 new positions beside a cache of 8,192; 32-bit numbers.
TOWER_PASSES = 4 * 2 * (3 * 336**2 + 576 * 1024)
CONNECTOR_PASSES = 4 * (32 * 576 * 1024 + 17 * 13**2 * 4096)
SOUND_PASSES = 4 * (3000 * 128 + 1496 * 4096)
DECODER_PASSES = 512 * (4 * 4096 + 8 + 8192) + 4 * 32000


def test_what_goes_in_and_comes_out_is_known_before_anything_is_loaded() -> None:
    config = config_of("7B")
    assert passing_bytes(config, 8192) == {
        "vision_tower": TOWER_PASSES,
        "projector": CONNECTOR_PASSES,
        "audio": SOUND_PASSES,
        "decoder": DECODER_PASSES,
    }
    # A short cache is read at once at the most.
    assert passing_bytes(config, 256)["decoder"] == 256 * (4 * 4096 + 8 + 256) + 4 * 32000
    vision = dataclasses.replace(config.vision, projector_type="mlp2x_gelu", num_frames=64)
    other = dataclasses.replace(config, vision=vision, audio=None)
    assert passing_bytes(other, 256)["projector"] == 4 * 64 * 576 * (1024 + 4096)
    assert "audio" not in passing_bytes(other, 256)


@pytest.mark.parametrize(
    ("card", "wanted"),
    [
        (6, DECODER_PASSES),
        (8, DECODER_PASSES + CONNECTOR_PASSES),  # The encoders take turns: that is the largest.
        (12, DECODER_PASSES + CONNECTOR_PASSES + TOWER_PASSES + SOUND_PASSES),
        (16, DECODER_PASSES + CONNECTOR_PASSES + TOWER_PASSES + SOUND_PASSES),
        (24, DECODER_PASSES + CONNECTOR_PASSES + TOWER_PASSES + SOUND_PASSES),
    ],
)
def test_what_goes_in_and_comes_out_counts_on_the_gpu_alone(
    card: int, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = plan("7B", card)
    nothing = dict.fromkeys(("vision_tower", "projector", "audio", "decoder"), 0)
    monkeypatch.setattr(part_memory_module, "passing_bytes", lambda *_: nothing)
    without = plan("7B", card)
    assert summary(found) == summary(without)
    assert found.gpu_bytes - without.gpu_bytes == wanted
    assert found.ram_bytes == without.ram_bytes
    if card > 6:  # All on the GPU: the largest file, on its way.
        assert found.ram_bytes == graph_bytes(config_of("7B"), "decoder")
    # On a card that holds just the rest, it decides.
    just = (without.gpu_bytes + 1) / (1 - MARGIN) / GB
    assert summary(plan("7B", just)) == summary(without)
    monkeypatch.undo()
    assert summary(plan("7B", just)) != summary(found)


def engine(weights: float, activations: float) -> EngineFile:
    tensors: dict[str, Any] = {"inputs": {}, "outputs": {}, "profiles": {}}
    sizes = {"weights_bytes": int(weights), "activation_bytes": int(activations)}
    return EngineFile(
        "x.engine", int(weights + 4.5e6), "", "", "", "fp16", **tensors, **sizes, build_s=1.0
    )


# Megabytes as the compiler told them (docs/benchmarks.md); the decoder's weights are of 32 layers.
BUILT = {
    "vision_tower": engine(583.2e6, 491.6e6),
    "projector": engine(978e6, 1210e6),
    "audio": engine(212.1e6, 1048.5e6),
    "decoder": engine(3730e6, 359.2e6),
}


def test_an_engine_s_activations_come_to_what_goes_in_and_out() -> None:
    engines = {"projector": BUILT["projector"]}
    found = {part.part: part for part in part_memory(config_of("7B"), 8192, engines=engines)}
    assert found["projector"].gpu_bytes == 978_000_000
    assert found["projector"].opening_bytes == 982_500_000
    assert found["projector"].gpu_working_bytes == 1_210_000_000 + CONNECTOR_PASSES
    tower = found["vision_tower"]
    assert tower.gpu_working_bytes == tower.working_bytes + TOWER_PASSES


@pytest.mark.parametrize(
    ("card", "context", "wanted", "nbytes"),
    [
        (6, 4096, ("gpu", "cpu", True, 4096), 5.11e9),
        (8, 4096, ("gpu", "gpu", False, 4096), 7.42e9),
        (12, 4096, ("gpu", "gpu", True, 4096), 9.79e9),
        (16, 4096, ("gpu", "gpu", True, 4096), 9.79e9),
        (24, 4096, ("gpu", "gpu", True, 4096), 9.79e9),
        (6, 8192, ("gpu", "cpu", True, 8192), 5.65e9),
        (8, 8192, ("gpu", "cpu", True, 8192), 5.65e9),
        (12, 8192, ("gpu", "gpu", True, 8192), 10.33e9),
    ],
)
def test_a_7b_model_by_what_its_engines_take(
    card: int, context: int, wanted: Any, nbytes: float
) -> None:
    config, free = config_of("7B"), Free(card * GB, 64 * GB)
    parts = part_memory(config, context, engines=BUILT)
    found = place(parts, (cache_bytes(config, 1, 2), cache_bytes(config, 1)), context, free)
    assert summary(found) == wanted
    assert found.gpu_bytes == pytest.approx(nbytes, rel=1e-3)


@pytest.mark.parametrize("card", CARDS)
def test_mixtral_s_decoder_fits_on_none_of_them(card: int) -> None:
    found = plan("8x7B", card)
    assert summary(found) == ("cpu", "gpu", True, 8192)
    assert "decoder does not fit" in found.reason
    assert plan("8x7B", 32).where("decoder") == "gpu"


@pytest.mark.parametrize("card", CARDS)
def test_qwen_72b_s_decoder_fits_on_none_of_them(card: int) -> None:
    found = plan("72B", card)
    assert summary(found)[:2] == ("cpu", "gpu")
    assert found.ram_bytes > 37.5 * GB * 1.25
    assert found.fits
    assert not plan("72B", card, ram_gb=32).fits
    assert plan("72B", 48).where("decoder") == "gpu"


def part(name: str, weights: int, working: int = 0) -> PartMemory:
    return PartMemory(name, weights, 2 * weights, weights, working, working)


def by_hand(room: int, context: int = 10_000) -> Placement:
    """Decoder 4000 + 400, encoders 900, 300 and 200 with 100 each, a byte a token."""
    parts = (
        part("vision_tower", 900, 100),
        part("projector", 300, 100),
        part("audio", 200, 100),
        part("decoder", 4000, 400),
    )
    free = Free(-(-room * 100 // round(100 * (1 - MARGIN))), None)
    return place(parts, (1, 2), context, free, context_bytes=0)


def test_the_order_of_giving_up_is_encoders_then_context_then_the_decoder() -> None:
    # 4400 for the decoder, 10000 for the cache; the encoders take 1000 + 400 + 300, or 1000.
    assert summary(by_hand(16100)) == ("gpu", "gpu", True, 10_000)
    assert by_hand(16100).gpu_bytes == 16100
    assert summary(by_hand(16099)) == ("gpu", "gpu", False, 10_000)
    assert by_hand(15400).gpu_bytes == 15400
    assert summary(by_hand(15399)) == ("gpu", "cpu", True, 10_000)
    assert by_hand(14400).gpu_bytes == 14400
    assert by_hand(14400).ram_bytes == 2 * 1400 + 300
    # Then the cache, in steps of 256, beside the largest encoder.
    assert summary(by_hand(14399)) == ("gpu", "gpu", False, 35 * 256)
    least = 4400 + 1000 + LEAST_CONTEXT
    assert summary(by_hand(least)) == ("gpu", "gpu", False, LEAST_CONTEXT)
    assert summary(by_hand(least - 1)) == ("gpu", "cpu", True, (least - 1 - 4400) // 256 * 256)
    assert summary(by_hand(4400 + LEAST_CONTEXT - 1)) == ("cpu", "gpu", True, 10_000)
    assert summary(by_hand(1699)) == ("cpu", "gpu", False, 10_000)
    nothing = by_hand(999)
    assert summary(nothing) == ("cpu", "cpu", True, 10_000)
    assert nothing.reason.startswith("The GPU is too small")
    assert nothing.ram_bytes == 2 * 5400 + 700 + 2 * 10_000
    assert nothing.gpu_bytes == 0


def test_what_is_on_its_way_to_the_gpu_is_in_this_computer_s_memory() -> None:
    parts = [
        dataclasses.replace(part("audio", 200, 100), opening_bytes=250),
        dataclasses.replace(part("decoder", 4000, 400), opening_bytes=4100),
    ]
    assert place(parts, (1, 2), 100, Free(9000, 4100), 0).ram_bytes == 4100
    assert place(parts, (1, 2), 100, Free(9000, 4100), 0).fits
    assert not place(parts, (1, 2), 100, Free(9000, 4099), 0).fits
    # The decoder on the CPU, packed, with its cache; the encoder's file comes to that.
    found = place(parts, (1, 2), 100, Free(4000, None), 0)
    assert found.where("decoder") == "cpu"
    assert found.ram_bytes == 2 * 4000 + 400 + 2 * 100 + 250
    assert place(parts, (1, 2), 100, Free(None, None), 0).ram_bytes == 2 * 4200 + 500 + 2 * 100


def test_a_decoder_without_an_engine_takes_no_room_from_the_encoders() -> None:
    parts = (part("vision_tower", 900, 100), part("decoder", 4000, 400))
    free = Free(5000, None)
    assert summary(place(parts, (1, 2), 500, free, 0))[:2] == ("cpu", "gpu")
    found = place(parts, (1, 2), 100, Free(4800, None), 0)
    assert (found.where("decoder"), found.where("vision_tower")) == ("gpu", "cpu")
    found = place(parts, (1, 2), 100, Free(4800, None), 0, no_decoder=NO_ENGINE)
    assert (found.where("decoder"), found.where("vision_tower")) == ("cpu", "gpu")
    assert found.reason.startswith("The decoder has no engine for this GPU and runs on the CPU;")


def test_without_a_gpu_all_is_in_this_computer_s_memory() -> None:
    parts = (part("decoder", 4000, 400),)
    found = place(parts, (1, 2), 100, Free(None, 8600))
    assert (found.where("decoder"), found.ram_bytes, found.fits) == ("cpu", 8600, True)
    assert not place(parts, (1, 2), 100, Free(None, 8599)).fits
    assert not place(parts, (1, 2), 100, Free(None, None)).fits
    assert found.reason == "Everything runs on the CPU."


def test_the_driver_s_own_memory_counts() -> None:
    parts = (part("decoder", 1000),)
    free = Free(int((CONTEXT_BYTES + 1100) / (1 - MARGIN)) + 2, None)
    found = place(parts, (0, 0), 10, free)
    assert found.where("decoder") == "gpu"
    assert found.gpu_bytes == CONTEXT_BYTES + 1000
    smaller = Free(int((CONTEXT_BYTES + 999) / (1 - MARGIN)), None)
    assert place(parts, (0, 0), 10, smaller).where("decoder") == "cpu"


def test_a_shared_data_file_is_counted_once() -> None:
    config = read_bundle(demo_bundle()).config
    data = config.files["decoder.data"].size
    both = graph_bytes(config, "decoder"), graph_bytes(config, "decoder_exact")
    assert all(data < size < data + 100_000 for size in both)
