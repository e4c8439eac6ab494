"""A bundle's self-test: stored inputs through opened graphs, held against the stored outputs.

What the reference gave for them was written by the export (docs/bundle-format.md). A compiled
engine must pass before it is first used on a machine; `vl2 selftest` and `vl2-export verify` run
the same for people.
"""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle
from engines.config import VerificationRow
from engines.encode import TOWER_FRAMES
from engines.errors import BundleError
from engines.prompt import PLACEHOLDER_IDS

Array = NDArray[Any]
Test = Literal["encode_video", "encode_audio", "next_logits"]

# The graphs that each test runs, and the array it is held against.
PARTS: Mapping[Test, tuple[str, ...]] = {
    "encode_video": ("vision_tower", "projector"),
    "encode_audio": ("audio",),
    "next_logits": ("decoder",),
}
OUTPUTS: Mapping[Test, str] = {
    "encode_video": "visual_tokens",
    "encode_audio": "audio_tokens",
    "next_logits": "logits",
}
# What an engine may differ at least, as a share of the largest value, by the type of its products:
# a bundle whose own graphs are float32 is held to less than 16 bits can give. bfloat16 has an
# eighth of float16's precision.
ENGINE_TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 5e-2}
INPUT = "self-test"


@dataclass(frozen=True)
class Stored:
    """The self-test of a bundle: its arrays, and what each output may differ by."""

    path: Path
    arrays: dict[str, Array]
    tolerances: dict[str, float]

    def tests(self) -> list[Test]:
        """The tests that it has arrays for."""
        return [test for test, output in OUTPUTS.items() if output in self.arrays]

    def limit(self, test: Test, exact: bool = False, engine_dtype: str | None = None) -> float:
        """What a test's output may differ by, as a share of its largest value.

        Args:
            test: which.
            exact: for the decoder, that of 32-bit activations.
            engine_dtype: type of a compiled engine's products; None for the ONNX graphs.

        Raises:
            BundleError: the manifest has no tolerance for it.
        """
        name = OUTPUTS[test]
        # The limit of 8-bit activations is there for broken kernels; an engine has none.
        tight = exact or engine_dtype is not None
        key = "logits_exact" if tight and name == "logits" else name
        found = self.tolerances.get(key, self.tolerances.get(name))
        if found is None:
            raise BundleError(
                f"The manifest of {self.path.parent} has no tolerance for {name}; export the bundle"
                " again."
            )
        return max(found, ENGINE_TOLERANCES[engine_dtype]) if engine_dtype else found


def read_selftest(bundle: Bundle) -> Stored:
    """The self-test of a bundle.

    Raises:
        BundleError: it cannot be read.
    """
    path = bundle.path / bundle.config.selftest.file
    try:
        # Opened here: of a damaged file the library leaves its own open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path} cannot be read; export the bundle again.") from error
    return Stored(path, arrays, bundle.config.selftest.tolerances)


def measure(test: str, got: Array, wanted: Array, limit: float) -> VerificationRow:
    """Compares two arrays; another shape, or NaN anywhere, counts as infinitely wrong."""
    largest = float(np.abs(wanted).max())
    error = float("inf")
    if got.shape == wanted.shape:
        error = float(np.abs(got.astype(np.float64) - wanted).max())
    error = error if np.isfinite(error) else float("inf")
    return VerificationRow(test, error, error / max(largest, 1e-30), limit, INPUT)


def passed(row: VerificationRow) -> bool:
    """Whether a measurement is within its limit."""
    return row.max_rel <= row.tolerance


def run_test(
    test: Test,
    stored: Stored,
    run: Callable[[str, dict[str, Array]], dict[str, Array]],
    next_logits: Callable[[Array], Array],
    embed: Callable[[Array], Array],
) -> Array:
    """What the opened graphs make of the stored inputs.

    Args:
        test: which.
        stored: the self-test.
        run: (graph, inputs) → outputs.
        next_logits: embeddings (1, L, H) → logits (vocab,).
        embed: token ids (n,) → embeddings (n, H).

    Raises:
        BundleError: the arrays do not fit the bundle.
        DeviceError: the library failed.
    """
    try:
        if test == "encode_video":
            return _video(stored.arrays["pixel_values"].astype(np.float32), run)
        if test == "encode_audio":
            fbank = stored.arrays["fbank"].astype(np.float32)
            tokens = run("audio", {"fbank": fbank})["audio_tokens"]
            return tokens.reshape(-1, tokens.shape[-1])
        ids = stored.arrays["input_ids"]
        (at,) = np.flatnonzero(ids == PLACEHOLDER_IDS["video"])
        tokens = stored.arrays["visual_tokens"]
        # Bundles of earlier versions asked about all of the drawn clip.
        seen = tokens[: int(stored.arrays.get("seen_tokens", len(tokens)))]
        parts = [embed(ids[:at]), seen, embed(ids[at + 1 :])]
        return next_logits(np.concatenate(parts)[None].astype(np.float32))
    except (KeyError, ValueError, IndexError) as error:
        raise BundleError(
            f"The self-test {stored.path} does not fit its bundle ({error}); export the bundle"
            " again."
        ) from error


def _video(pixels: Array, run: Callable[[str, dict[str, Array]], dict[str, Array]]) -> Array:
    starts = range(0, len(pixels), TOWER_FRAMES)
    features = [
        run("vision_tower", {"pixel_values": np.ascontiguousarray(pixels[i : i + TOWER_FRAMES])})
        for i in starts
    ]
    joined = np.concatenate([one["vision_features"] for one in features])
    return run("projector", {"vision_features": joined})["visual_tokens"]
