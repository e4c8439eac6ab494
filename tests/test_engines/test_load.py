import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import engines
from engines.errors import BundleError, DeviceError

HEAVY = ("onnxruntime", "torch", "onnx", "transformers", "PySide6")


def test_loading_imports_no_inference_library_and_goes_offline_first(tiny_bundle: Path) -> None:
    code = (
        "import os, sys, engines\n"
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == os.environ['HF_HUB_OFFLINE'] == '1'\n"
        f"engines.load({str(tiny_bundle)!r}, keep_encodings=False)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert answer.stdout.strip() == "[]"
    assert answer.stderr == ""


@pytest.mark.parametrize("threads", [-3, 0, 100_000])
def test_a_number_of_threads_that_cannot_be(tiny_bundle: Path, threads: int) -> None:
    with pytest.raises(DeviceError, match=f"{threads} threads cannot be used"):
        engines.load(tiny_bundle, threads=threads, keep_encodings=False)


def test_a_bundle_deleted_in_use_is_one_sentence(
    own_bundle: tuple[Path, dict[str, object]],
) -> None:
    folder, _ = own_bundle
    model = engines.load(folder, keep_encodings=False)
    shutil.rmtree(folder)
    with pytest.raises(BundleError, match="moved or deleted while it was in use"):
        model.next_logits(model.embed(np.array([1, 2]))[None])
