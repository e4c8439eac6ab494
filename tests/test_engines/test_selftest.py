"""What the self-test measures and allows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets import demo_bundle
from engines.bundle import Bundle, read_bundle
from engines.config import VerificationRow
from engines.errors import BundleError
from engines.selftest import Stored, measure, passed, read_selftest, run_test


def stored(**tolerances: float) -> Stored:
    return Stored(Path("b/selftest.npz"), {"logits": np.ones(3)}, tolerances)


def test_the_demo_has_all_tests() -> None:
    assert read_selftest(read_bundle(demo_bundle())).tests() == [
        "encode_video",
        "encode_audio",
        "next_logits",
    ]
    assert stored().tests() == ["next_logits"]


@pytest.mark.parametrize(
    ("exact", "dtype", "wanted"),
    [
        (False, None, 0.5),
        (True, None, 1e-3),
        # An engine does not round activations to 8 bits, so what allows for that is not its limit.
        (False, "fp16", 2e-2),
        (False, "bf16", 5e-2),
        (False, "fp32", 1e-3),
    ],
)
def test_limits(exact: bool, dtype: str | None, wanted: float) -> None:
    assert stored(logits=0.5, logits_exact=1e-3).limit("next_logits", exact, dtype) == wanted


def test_limits_that_a_manifest_has_or_lacks() -> None:
    assert stored(logits=1e-4).limit("next_logits", exact=True) == 1e-4
    assert stored(visual_tokens=1e-4).limit("encode_video", engine_dtype="fp16") == 2e-2
    assert stored(visual_tokens=0.1).limit("encode_video", engine_dtype="fp16") == 0.1
    with pytest.raises(
        BundleError, match=r"no tolerance for audio_tokens; export the bundle again"
    ):
        stored(logits=1).limit("encode_audio")


def test_measuring() -> None:
    wanted = np.array([1.0, -4.0, 2.0])
    row = measure("t", wanted + np.array([0, 0, 0.1]), wanted, 0.03)
    assert row == VerificationRow("t", pytest.approx(0.1), pytest.approx(0.025), 0.03, "self-test")
    assert passed(row)
    assert not passed(measure("t", wanted + 0.13, wanted, 0.03))
    for wrong in (wanted[:2], wanted * np.nan, np.array([np.inf, 0, 0])):
        row = measure("t", wrong, wanted, 1e9)
        assert row.max_rel == float("inf")
        assert not passed(row)


def test_a_self_test_that_does_not_fit() -> None:
    def run(graph: str, feeds: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError("nothing is run")

    with pytest.raises(BundleError, match=r"does not fit its bundle \('input_ids'\)"):
        run_test("next_logits", stored(), run, lambda e: e, lambda ids: ids)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"no zip"])
def test_a_self_test_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    demo = read_bundle(demo_bundle())
    (tmp_path / demo.config.selftest.file).write_bytes(content)
    with pytest.raises(BundleError, match=r"selftest\.npz cannot be read; export the bundle again"):
        read_selftest(Bundle(tmp_path, demo.id, demo.config))
