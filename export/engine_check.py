"""The graphs that are going to be compiled, run on the CPU and held against the reference.

The reference's outputs are the bundle's own self-test; the decoder, which is compiled in another
form than ONNX Runtime's, is held against that one as well. An engine itself is not run here.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engines.bundle import Bundle, open_embeddings
from engines.config import VerificationRow
from engines.errors import BundleError, ExportError
from engines.prompt import PLACEHOLDER_IDS
from export.compare import measure, run_decoder, run_graph, run_tensorrt_decoder
from export.graph.builder import Array
from export.reference.decoder import DecoderConfig

INPUT = "self-test"
# Share of the largest value. Float16 rounds operands to 11 bits, and so in a bundle's own checks;
# bfloat16 to 8.
TOLERANCES = {"fp16": 2e-2, "bf16": 5e-2}


class SelfTest:
    """A bundle's stored inputs and what the reference made of them.

    Raises BundleError when they cannot be read.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._vision: list[VerificationRow] | None = None
        path = bundle.path / bundle.config.selftest.file
        try:
            with np.load(path, allow_pickle=False) as file:
                self.arrays: Mapping[str, Array] = dict(file)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise BundleError(f"{path} cannot be read; export the bundle again.") from error

    def check_vision(self) -> list[VerificationRow]:
        """Run tower and connector, one behind the other, once for both."""
        if self._vision is not None:
            return self._vision
        pixels = self._stored("pixel_values").astype(np.float32)
        path = self.bundle.graph_path
        features = run_graph(path("vision_tower"), {"pixel_values": pixels}, "vision_features")
        tokens = run_graph(path("projector"), {"vision_features": features}, "visual_tokens")
        self._vision = [self._row("vision_tower + projector", tokens, "visual_tokens")]
        return self._vision

    def check_audio(self, path: Path) -> list[VerificationRow]:
        """Run audio tower and projector as they are compiled, and as the bundle has them."""
        fbank = self._stored("fbank").astype(np.float32)
        tokens = run_graph(path, {"fbank": fbank}, "audio_tokens")
        shipped = run_graph(self.bundle.graph_path("audio"), {"fbank": fbank}, "audio_tokens")
        row = self._row("audio", tokens[0], "audio_tokens")
        return [row, measure("audio", tokens, shipped, row.tolerance, "audio.onnx")]

    def check_decoder(
        self, path: Path, config: DecoderConfig, dtype: str, capacity: int
    ) -> list[VerificationRow]:
        """Run a decoder as it is compiled, and as the bundle has it.

        Args:
            path: The graph in standard operators.
            config: Its geometry.
            dtype: What it is compiled in: "fp16" or "bf16".
            capacity: Positions in its cache.
        """
        embeds = self._prompt()
        if embeds.shape[1] >= capacity:
            raise ExportError(
                f"A cache of {capacity} positions is too small for the self-test of"
                f" {self.bundle.path}, which takes {embeds.shape[1] + 1}; give a larger --context."
            )
        limit = TOLERANCES[dtype]
        got = run_tensorrt_decoder(path, config, embeds)
        graphs = self.bundle.config.graphs
        flavour = "decoder_exact" if "decoder_exact" in graphs else "decoder"
        shipped = run_decoder(self.bundle.graph_path(flavour), config, embeds)
        wanted = self._stored("logits")
        return [
            measure("decoder, last token", got[-1], wanted, limit, "the reference"),
            measure("decoder, every step", got, shipped, limit, f"{flavour}.onnx"),
        ]

    def _prompt(self) -> Array:
        """Return the question of the self-test as embeddings (1, L, H)."""
        table, ids = open_embeddings(self.bundle), self._stored("input_ids")
        (at,) = np.flatnonzero(ids == PLACEHOLDER_IDS["video"])
        tokens = self._stored("visual_tokens")
        seen = tokens[: int(self.arrays.get("seen_tokens", len(tokens)))]
        parts = [table.rows(ids[:at]), seen, table.rows(ids[at + 1 :])]
        embeds: Array = np.concatenate(parts)[None]
        return embeds

    def _row(self, graph: str, got: Array, name: str) -> VerificationRow:
        limit = self.bundle.config.selftest.tolerances.get(name, TOLERANCES["fp16"])
        return measure(graph, got, self._stored(name), limit, "the reference")

    def _stored(self, name: str) -> Array:
        if name not in self.arrays:
            raise BundleError(
                f"The self-test of {self.bundle.path} holds no {name}; export the bundle again."
            )
        return self.arrays[name]
