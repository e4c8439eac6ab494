"""GPTQ over one decoder layer: its matrices in the order in which they follow each other.

Every matrix is quantised on the inputs that the quantised ones before it give (the `stored`
stream), while the checkpoint's own weights go along (the `original` stream) and say what those
inputs should have been.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from engines.errors import ExportError
from export.gptq_checkpoint import gptq_tensors
from export.graph.decoder import MLP_NAMES, expert_path
from export.quantise_state import MatrixRow, QuantiseState
from export.reference.decoder import DecoderLayer, Expert
from export.storage import Head
from export.streams import CHUNK, Stream
from quant.gptq import Rounded, Settings, quantise, round_plainly
from quant.grid import dequantise
from quant.hessian import Hessian

# An expert that saw fewer tokens than this share of its inputs is rounded to nearest.
LEAST_TOKENS = 1 / 16
# The least RMS that a token's residual stream is taken to have.
MIN_RMS = 1e-6

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class QuantiseOptions:
    """How a decoder is quantised.

    Attributes:
        group: Inputs that share a scale; -1 is a whole row.
        head: How the output matrix is stored; only "int4" needs the calibration.
        asymmetric: Make up for what the layers before have changed, in the matrix's inputs and in
            the residual stream it adds to.
        damp: See `quant.gptq.Settings`.
        ridge: Likewise.
        device: Where torch computes: "cpu" or "cuda".
    """

    group: int
    head: Head = "int8"
    asymmetric: bool = True
    damp: float = 0.01
    ridge: float = 0.3
    device: str = "cpu"

    @property
    def settings(self) -> Settings:
        """Return what one matrix needs to know."""
        return Settings(self.group, 4, self.damp, self.ridge)


@dataclass
class Streams:
    """Both streams, and how much each token counts in a Hessian (T,)."""

    stored: Stream
    original: Stream
    weights: Tensor


class LayerJob:
    """Quantises one layer and takes both streams through it; its tensors go to `state`."""

    def __init__(
        self,
        index: int,
        streams: Streams,
        options: QuantiseOptions,
        read_expert: Callable[[int], Expert],
        state: QuantiseState,
    ) -> None:
        self.index = index
        self.streams = streams
        self.options = options
        self.device = torch.device(options.device)
        self.read_expert = read_expert
        self.state = state
        self._tensors: dict[str, Tensor] = {}
        self._rows: list[MatrixRow] = []

    def run(self, original: DecoderLayer) -> None:
        """Quantise the layer; `original` is used up."""
        _to_device(original, self.device)
        stored = _twin(original)
        self._attention(stored, original)
        del stored.self_attn, original.self_attn  # They are as large as a Hessian.
        self._save("attention")
        if hasattr(original, "block_sparse_moe"):
            self._experts(stored, original)
        else:
            self._feed_forward(stored, original)
            self._save("mlp")

    def _save(self, part: str) -> None:
        """Put what was quantised on disk and forget it."""
        self.state.save_part(self.index, part, self._tensors, self._rows)
        self._tensors, self._rows = {}, []

    def _attention(self, stored: DecoderLayer, original: DecoderLayer) -> None:
        ours, theirs, index = self.streams.stored, self.streams.original, self.index
        names = ("q_proj", "k_proj", "v_proj")
        modules = {name: getattr(original.self_attn, name) for name in names}
        hessian = self._hessian(modules)
        for span in ours.chunks():
            x = stored.input_layernorm(ours.at(span))
            self._add(hessian, x, span, original.input_layernorm(theirs.at(span)))
        self._quantise("self_attn", stored.self_attn, modules, hessian)
        modules = {"o_proj": original.self_attn.o_proj}
        hessian = self._hessian(modules, writes=True)
        for span in ours.spans:
            x, other = ours.mixed(index, stored, span), theirs.mixed(index, original, span)
            self._add_written(hessian, x, span, other, original.self_attn.o_proj)
        self._quantise("self_attn", stored.self_attn, modules, hessian)
        ours.attend(index, stored)

    def _feed_forward(self, stored: DecoderLayer, original: DecoderLayer) -> None:
        ours, theirs = self.streams.stored, self.streams.original
        gate, up, down = MLP_NAMES
        modules = {name: getattr(original.mlp, name) for name in (gate, up)}
        hessian = self._hessian(modules)
        norms = stored.post_attention_layernorm, original.post_attention_layernorm
        for span in ours.chunks():
            self._add(hessian, norms[0](ours.at(span)), span, norms[1](theirs.at(span)))
        self._quantise("mlp", stored.mlp, modules, hessian)
        modules = {down: original.mlp.down_proj}
        hessian = self._hessian(modules, writes=True)
        for span in ours.chunks():
            x = stored.mlp.inner(norms[0](ours.at(span)))
            other = original.mlp.inner(norms[1](theirs.at(span)))
            self._add_written(hessian, x, span, other, original.mlp.down_proj)
        del original.mlp.gate_proj, original.mlp.up_proj
        self._quantise("mlp", stored.mlp, modules, hessian)
        ours.feed_forward(stored)

    def _experts(self, stored: DecoderLayer, original: DecoderLayer) -> None:
        ours, theirs = self.streams.stored, self.streams.original
        routings = ours.route(stored), theirs.route(original)
        for e in range(len(original.block_sparse_moe.experts)):
            expert = self.read_expert(e)
            _to_device(expert, self.device)
            theirs.add_expert(routings[1], original, e, expert)
            twin = _twin(expert)
            rows = torch.where((routings[0].chosen == e).any(-1))[0]
            self._expert(e, (stored, twin), (original, expert), rows)
            ours.add_expert(routings[0], stored, e, twin)
            self._save(f"expert-{e}")
        ours.x += routings[0].out
        theirs.x += routings[1].out

    def _expert(
        self,
        number: int,
        stored: tuple[DecoderLayer, Expert],
        original: tuple[DecoderLayer, Expert],
        rows: Tensor,
    ) -> None:
        """Quantise an expert on the tokens that the quantised model routes to it."""
        path, twin, expert = expert_path(number), stored[1], original[1]
        modules, down = {"w1": expert.w1, "w3": expert.w3}, {"w2": expert.w2}
        seen = int((self.streams.weights[rows] > 0).sum())
        least = round(LEAST_TOKENS * expert.w1.in_features)
        if seen < least:
            reason = f"only {seen} of at least {least} tokens reached it"
            self._round_plainly(path, twin, modules | down, seen, reason)
            return
        hessian = self._hessian(modules)
        for row in rows.split(CHUNK):
            x, other = self._normed(stored[0], original[0], row)
            self._add(hessian, x, row, other)
        self._quantise(path, twin, modules, hessian)
        hessian = self._hessian(down)
        for row in rows.split(CHUNK):
            x, other = self._normed(stored[0], original[0], row)
            self._add(hessian, twin.inner(x), row, expert.inner(other))
        del modules, expert.w1, expert.w3
        self._quantise(path, twin, down, hessian)

    def _normed(
        self, stored: DecoderLayer, original: DecoderLayer, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        x = stored.post_attention_layernorm(self.streams.stored.at(rows))
        return x, original.post_attention_layernorm(self.streams.original.at(rows))

    def _hessian(self, modules: dict[str, nn.Linear], writes: bool = False) -> Hessian:
        return new_hessian([m.weight for m in modules.values()], self.options, writes)

    def _add(self, hessian: Hessian, x: Tensor, rows: slice | Tensor, other: Tensor) -> None:
        hessian.add(x, self.streams.weights[rows].to(self.device), other)

    def _add_written(
        self, hessian: Hessian, x: Tensor, rows: slice, other: Tensor, original: nn.Linear
    ) -> None:
        """Add inputs of a matrix that writes to the residual stream, and let the original write.

        What the stored stream lacks beside the layer is to be made up for as well. The next norm
        divides a token by its RMS, so an error counts the less the larger that is; not its square,
        which would forget the few huge tokens that attention rests on.
        """
        ours, theirs = self.streams.stored, self.streams.original
        missing = theirs.at(rows) - ours.at(rows)
        theirs.add(rows, original(other))
        size = theirs.at(rows).square().mean(-1).sqrt().clamp_min(MIN_RMS)
        hessian.add(x, self.streams.weights[rows].to(self.device) / size, other, missing)

    def _quantise(
        self, path: str, stored: nn.Module, modules: dict[str, nn.Linear], hessian: Hessian
    ) -> None:
        """Quantise matrices that share an input and give them to the stored layer."""
        weights = {name: module.weight for name, module in modules.items()}
        tokens, drift = hessian.tokens, hessian.drift
        try:
            found = quantise(weights, hessian, self.options.settings)
        except ArithmeticError:
            raise not_finite(self.index, f"the input of {path}.{'/'.join(weights)}") from None
        for name, rounded in found.items():
            self._keep(path, stored, name, rounded, (tokens, drift))

    def _round_plainly(
        self,
        path: str,
        stored: nn.Module,
        modules: dict[str, nn.Linear],
        tokens: int,
        reason: str,
    ) -> None:
        for name, module in modules.items():
            rounded = round_plainly(module.weight, self.options.settings, reason)
            self._keep(path, stored, name, rounded, (tokens, None))

    def _keep(
        self,
        path: str,
        stored: nn.Module,
        name: str,
        rounded: Rounded,
        seen: tuple[int, float | None],
    ) -> None:
        matrix = f"{path}.{name}"
        self._tensors |= gptq_tensors(f"model.layers.{self.index}.{matrix}", rounded.quantised)
        self._rows.append(matrix_row(self.index, matrix, seen, rounded))
        weight = nn.Parameter(dequantise(rounded.quantised), requires_grad=False)
        getattr(stored, name).weight = weight


def new_hessian(
    weights: Sequence[Tensor], options: QuantiseOptions, writes: bool = False
) -> Hessian:
    """Start the sums for matrices (N, K) that share an input.

    `writes` tells a matrix that writes to the residual stream by itself.
    """
    columns = weights[0].shape[1]
    narrow = writes or (len(weights) == 1 and 2 * len(weights[0]) <= columns)
    return Hessian(
        columns,
        asymmetric=options.asymmetric,
        through=weights[0] if narrow and options.asymmetric else None,
        device=weights[0].device,
    )


def matrix_row(
    layer: int, matrix: str, seen: tuple[int, float | None], rounded: Rounded
) -> MatrixRow:
    """Return what to report of a matrix; `seen` is how many tokens and how far they drifted."""
    return MatrixRow(
        layer,
        matrix,
        seen[0],
        rounded.error,
        rounded.rounding_error,
        seen[1],
        rounded.damp,
        rounded.reason,
    )


def _twin(module: M) -> M:
    """Copy a module, not its parameters: they may be replaced one by one."""
    return copy.deepcopy(module, {id(p): p for p in module.parameters()})


def _to_device(module: nn.Module, device: torch.device) -> None:
    """Move what was read; experts on the meta device stay there."""
    for parameter in module.parameters():
        if not parameter.is_meta:
            parameter.data = parameter.data.to(device)


def not_finite(layer: int, what: str) -> ExportError:
    """Return the error for values that overflow in a layer."""
    return ExportError(
        f"In decoder layer {layer} {what} is not finite on the calibration, so its weights cannot"
        " be what they should; fetch the checkpoint again, or calibrate with other clips."
    )
