"""`vl2-export verify`: a bundle's files by their hashes, its graphs by the stored self-test.

An int4 bundle's answers are measured against the unrounded model's once more (`export.accuracy`).

All goes through the runtime's own front door, so what is verified is what a user will run.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import engines
from engines.bundle import open_bundle
from engines.config import VerificationRow
from engines.errors import BundleError
from engines.prompt import PLACEHOLDER_IDS
from export.accuracy import accuracy_table, measure_again, refuse_loss
from export.compare import measure, refuse_failures, table
from export.graph.builder import Array

INPUT = "self-test"


def verify_bundle(folder: Path) -> str:
    """Check a bundle and return the tables of differences.

    Raises:
        BundleError: a file is missing or damaged, or the self-test cannot be read.
        ExportError: a graph no longer gives what the reference gave, or answers too differently.
    """
    rows = selftest_rows(folder)
    refuse_failures(rows)
    published = open_bundle(folder).config.accuracy
    if published is None:
        return table(rows)
    found = measure_again(folder, published)
    if not published.accepted_loss:
        refuse_loss(found, folder)
    return f"{table(rows)}\n{accuracy_table(found)}"


def selftest_rows(folder: Path) -> list[VerificationRow]:
    """Open a bundle as the program does and run its self-test.

    Raises:
        BundleError: a file is missing or damaged, or the self-test cannot be read.
    """
    config = open_bundle(folder).config
    stored = _read(folder / config.selftest.file)
    limits = config.selftest.tolerances
    try:
        rows = _encoder_rows(folder, stored, limits)
        rows += [
            _decoder_row(folder, key, stored, limits)
            for key in ("logits", "logits_exact")
            if key in limits
        ]
    except (KeyError, ValueError) as error:
        raise BundleError(
            f"The self-test {folder / config.selftest.file} does not fit its bundle ({error});"
            " export the bundle again."
        ) from error
    return rows


def _encoder_rows(
    folder: Path, stored: Mapping[str, Array], limits: Mapping[str, float]
) -> list[VerificationRow]:
    # A model of its own, so that the encoders are gone when the decoder is opened.
    model = engines.load(folder, device="cpu", keep_encodings=False)
    got = model.encode_video(stored["pixel_values"].astype(np.float32))
    wanted = stored["visual_tokens"]
    rows = [measure("encode_video", got, wanted, limits["visual_tokens"], INPUT)]
    if model.config.audio is not None:
        got = model.encode_audio(stored["fbank"].astype(np.float32))
        wanted = stored["audio_tokens"]
        rows.append(measure("encode_audio", got, wanted, limits["audio_tokens"], INPUT))
    return rows


def _decoder_row(
    folder: Path, key: str, stored: Mapping[str, Array], limits: Mapping[str, float]
) -> VerificationRow:
    exact = key == "logits_exact"
    model = engines.load(folder, device="cpu", exact=exact, keep_encodings=False)
    ids = stored["input_ids"]
    (at,) = np.flatnonzero(ids == PLACEHOLDER_IDS["video"])
    words = model.embed(ids[:at]), model.embed(ids[at + 1 :])
    embeds = np.concatenate([words[0], stored["visual_tokens"], words[1]])
    got = model.next_logits(embeds[None])
    return measure(f"next_{key}", got, stored["logits"], limits[key], INPUT)


def _read(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path} cannot be read; export the bundle again.") from error
