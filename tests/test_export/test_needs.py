import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engines.errors import ExportError
from engines.machine_memory import Memory
from export import needs
from export.checkpoint import Checkpoint
from export.needs import PROGRAM_BYTES, Need, check_needs, decoder_in_pieces, memory_needs
from export.plan import ExportOptions, Plan, make_plan
from export.reference.decoder import DecoderConfig
from export.tensor_names import PROJECTOR
from export.unfinished import part_folder
from tests.golden import checkpoint
from tests.oracles.random_checkpoint import full_config, tensor_shapes


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "x.vl2"


def planned(name: str, options: ExportOptions) -> tuple[Plan, list[Need]]:
    model = Checkpoint(checkpoint(name))
    plan = make_plan(model, options)
    return plan, memory_needs(model, plan, options)


def test_every_part_is_reckoned_with_and_the_largest_first() -> None:
    _, found = planned("qwen2_av", ExportOptions(method="rtn"))
    sizes = [need.bytes for need in found]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) > PROGRAM_BYTES
    assert {need.what for need in found} == {
        "the vision tower",
        "the connector",
        "the audio tower",
        "the token embeddings",
        "a layer of the decoder",
        "the output matrix",
        "checking the whole decoder",
        "measuring what int4 costs",
    }
    _, whole = planned("qwen2", ExportOptions("fp32"))
    assert not {"the audio tower", "measuring what int4 costs", "quantising"} & {
        need.what for need in whole
    }
    _, gptq = planned("qwen2", ExportOptions())
    assert "quantising" in {need.what for need in gptq}


def bytes_of(found: list[Need], what: str) -> int:
    return next(need.bytes for need in found if need.what == what) - PROGRAM_BYTES


def test_figures_worked_by_hand() -> None:
    plan, found = planned("mistral", ExportOptions("fp32"))
    # Width 64, inner 160, heads 4 and 2 of 16, 356 tokens, all stored as float32.
    layer = 2 * 64 * 16 * 6 + 3 * 64 * 160
    assert bytes_of(found, "a layer of the decoder") == layer * 8 + 4 * 64 * 160
    assert bytes_of(found, "the output matrix") == 356 * 64 * 8
    assert bytes_of(found, "the token embeddings") == 356 * 64 * 8
    assert bytes_of(found, "checking the whole decoder") == plan.decoder_bytes
    # Three layers, their norms, the norm behind them is not of a layer, the output matrix.
    assert plan.decoder_bytes == 4 * (3 * (layer + 2 * 64) + 356 * 64)
    _, sparse = planned("mixtral", ExportOptions(method="rtn"))
    config = Checkpoint(checkpoint("mixtral")).config.decoder
    attention = 2 * 64 * config.head_dim * (config.num_attention_heads + config.num_key_value_heads)
    matrix = 64 * config.intermediate_size
    wanted = 4 * attention + 3 * matrix * (4 + config.num_local_experts) + 4 * matrix
    assert bytes_of(sparse, "a layer of the decoder") == wanted


def published(name: str) -> Any:
    """A checkpoint of a published geometry of which there is nothing but names and shapes."""
    config = full_config(name)
    decoder = DecoderConfig(
        config["hidden_size"],
        config["intermediate_size"],
        config["num_hidden_layers"],
        config["num_attention_heads"],
        config["num_key_value_heads"],
        head_dim=128,
        vocab_size=config["vocab_size"],
        max_position_embeddings=config["max_position_embeddings"],
        rms_norm_eps=config["rms_norm_eps"],
        rope_theta=config["rope_theta"],
        num_local_experts=config.get("num_local_experts", 0),
    )
    stored = {
        key: SimpleNamespace(shape=shape, size=2 * math.prod(shape))
        for key, shape in tensor_shapes(config)
    }
    return SimpleNamespace(
        config=SimpleNamespace(
            decoder=decoder,
            num_frames=config["num_frames"],
            vision=SimpleNamespace(grid=24 if "clip" in config["mm_vision_tower"] else 27),
        ),
        tensors=SimpleNamespace(stored=stored),
        check_decoder=lambda: None,
    )


@pytest.mark.parametrize(
    ("name", "parameters", "memory", "disk"),
    [
        # docs/benchmarks.md: 5.14 GB were measured, and 5.7 GB written.
        ("7b-16f", 8.034e9, (5.14e9, 6e9), 5.7e9),
        ("av", 8.527e9, (5e9, 6e9), 6.9e9),
        ("8x7b", 47.50e9, (25e9, 30e9), 26.7e9),
        ("72b", 74.94e9, (40e9, 46e9), 45.6e9),
    ],
)
def test_published_sizes(
    name: str,
    parameters: float,
    memory: tuple[float, float],
    disk: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(needs, "memory_here", lambda: Memory(None, None))
    model = published(name)
    numbers = sum(math.prod(tensor.shape) for tensor in model.tensors.stored.values())
    assert numbers == pytest.approx(parameters, rel=1e-3)
    options = ExportOptions(method="rtn")
    plan = make_plan(model, options)
    least, most = memory
    assert least < memory_needs(model, plan, options)[0].bytes < most
    assert plan.bundle_bytes == pytest.approx(disk, rel=0.01)


@pytest.mark.parametrize(
    ("name", "options", "total", "most"),
    [
        # GB. Of what a computer has, a decoder that is checked as a whole leaves a fifth.
        ("7b-16f", ExportOptions(), 8, None),
        ("7b-16f", ExportOptions(), 6, 6.8),
        ("7b-16f", ExportOptions("fp16"), 44, None),
        ("7b-16f", ExportOptions("fp16"), 24, 6),
        ("8x7b", ExportOptions(), 36, None),
        ("8x7b", ExportOptions(), 24, 7),
        ("72b", ExportOptions(method="rtn"), 32, 16),
    ],
)
def test_a_decoder_larger_than_memory_is_checked_layer_by_layer(
    name: str,
    options: ExportOptions,
    total: int,
    most: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(needs, "memory_here", lambda: Memory(total * 10**9, None))
    model = published(name)
    plan = make_plan(model, options)
    found = memory_needs(model, plan, options)
    assert decoder_in_pieces(plan) == (most is not None)
    checking = "the decoder layer by layer" if most else "the whole decoder"
    assert f"checking {checking}" in {need.what for need in found}
    if most:
        assert found[0].bytes < most * 1e9


@pytest.mark.parametrize(
    ("name", "kernel", "measured"),
    # docs/benchmarks.md: what the connector took, the program included.
    [("7b-16f", 4096**2 * 8, 4.0e9), ("72b", 8192**2 * 8, 12.9e9)],
)
def test_the_connector_is_reckoned_with_the_copies_of_its_largest_kernel(
    name: str, kernel: int, measured: float
) -> None:
    model = published(name)
    sizes = [
        math.prod(tensor.shape)
        for key, tensor in model.tensors.stored.items()
        if key.startswith(PROJECTOR)
    ]
    assert max(sizes) == kernel
    options = ExportOptions(method="rtn")
    needed = bytes_of(memory_needs(model, make_plan(model, options), options), "the connector")
    copies = needs.KERNEL_COPIES * kernel
    assert needed == 4 * (sum(sizes) + copies) + needs.WORKING_BYTES
    assert measured < needed + PROGRAM_BYTES < 1.1 * measured


def test_what_it_takes_is_said(target: Path) -> None:
    plan, found = planned("mistral", ExportOptions("fp32"))
    said = check_needs(target, plan, found)
    assert said.startswith("takes up to 1.")
    assert f"free in {target.parent}" in said


def test_too_little_memory(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, found = planned("mistral", ExportOptions("fp32"))
    most = Need("checking the whole decoder", 28_000_000_000)
    monkeypatch.setattr(needs, "memory_here", lambda: Memory(None, 16_000_000_000))
    with pytest.raises(ExportError) as raised:
        check_needs(target, plan, [most, *found])
    assert str(raised.value) == (
        "The export needs 28.0 GB of memory (for checking the whole decoder) but 16.0 GB are free,"
        " 12.0 GB too little; close other programs, or export on a computer with more."
    )
    # Where the system does not say, the export may be tried.
    monkeypatch.setattr(needs, "memory_here", lambda: Memory(None, None))
    assert check_needs(target, plan, [most]).startswith("takes up to 28.0 GB of memory, for")


def test_too_little_disk(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, found = planned("mistral", ExportOptions("fp32"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50_000_000))
    with pytest.raises(ExportError, match=r"but .* has 50\.0 MB free, 1\d\.\d MB too little; free"):
        check_needs(target, plan, found)


def test_what_an_interrupted_export_wrote_is_not_needed_again(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, found = planned("mistral", ExportOptions("fp32"))
    enough = plan.bundle_bytes + needs.SPARE_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=enough - 1000))
    with pytest.raises(ExportError, match="too little"):
        check_needs(target, plan, found)
    part_folder(target).mkdir()
    (part_folder(target) / "decoder.data").write_bytes(bytes(1000))
    check_needs(target, plan, found)
