import dataclasses
from pathlib import Path

import pytest

from engines.errors import ExportError
from export.checkpoint import Checkpoint
from export.plan import ExportOptions, default_target, make_plan
from export.reference.decoder import DecoderConfig
from export.storage import choose_group

MISTRAL_7B = DecoderConfig(4096, 14336, 32, 32, 8, 128, 32000, 32768, 1e-5, 1e6)
QWEN2_7B = DecoderConfig(3584, 18944, 28, 28, 4, 128, 152064, 32768, 1e-6, 1e6)


def with_inner(width: int) -> DecoderConfig:
    return dataclasses.replace(MISTRAL_7B, intermediate_size=width)


def test_largest_group_that_divides_every_input() -> None:
    assert choose_group(MISTRAL_7B, None) == choose_group(QWEN2_7B, None) == 128
    assert choose_group(with_inner(14336 + 64), None) == 64
    assert choose_group(with_inner(14336 + 32), None) == 32
    assert choose_group(with_inner(14336 + 16), None) == 16


def test_a_group_that_is_asked_for_must_divide() -> None:
    assert choose_group(MISTRAL_7B, 32) == 32
    with pytest.raises(ExportError, match="--group 128 does not divide the 14400 inputs of down"):
        choose_group(with_inner(14400), 128)


@pytest.mark.parametrize("group", [1, 8, 48, 512])
def test_a_group_that_no_kernel_takes(group: int) -> None:
    with pytest.raises(ExportError, match=rf"--group {group} is none of -1, 16, 32, 64, 128, 256"):
        choose_group(MISTRAL_7B, group)
    assert choose_group(MISTRAL_7B, 256) == 256


def test_no_group_at_all() -> None:
    with pytest.raises(ExportError, match=r"No group size of 16 or more divides .* --fp16"):
        choose_group(with_inner(14336 + 8), None)


def test_group_goes_with_int4(mistral: Path) -> None:
    with pytest.raises(ExportError, match="--group goes with --int4"):
        make_plan(Checkpoint(mistral), ExportOptions("fp32", group=32))


def test_sizes_are_about_those_of_the_bundle(mistral: Path) -> None:
    checkpoint = Checkpoint(mistral)
    plans = {s: make_plan(checkpoint, ExportOptions(s)) for s in ("fp32", "fp16", "int4")}
    for plan in plans.values():
        weights = plan.work - sum(plan.also.values())
        if plan.quantise is None:
            assert weights == plans["fp32"].bundle_bytes
    assert plans["fp16"].bundle_bytes == plans["fp32"].bundle_bytes // 2
    assert plans["int4"].group == 32
    assert plans["int4"].bundle_bytes < plans["fp16"].bundle_bytes


def test_heads_that_positions_cannot_turn(mistral: Path) -> None:
    checkpoint = Checkpoint(mistral)
    checkpoint.config = dataclasses.replace(
        checkpoint.config, decoder=dataclasses.replace(checkpoint.config.decoder, head_dim=13)
    )
    with pytest.raises(ExportError, match="attention heads 13 wide"):
        make_plan(checkpoint, ExportOptions())


def test_default_name(tmp_path: Path) -> None:
    assert default_target(tmp_path / "VideoLLaMA2-7B", "int4") == Path("VideoLLaMA2-7B-int4.vl2")
