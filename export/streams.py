"""Hidden states of several sequences on their way through the decoder's layers.

A layer can be gone through whole, or in the steps between which its matrices are quantised.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from export.reference.decoder import (
    DecoderConfig,
    DecoderLayer,
    RMSNorm,
    layer_mask,
    rotary,
)

# Tokens in hand at a time where each goes alone.
CHUNK = 1024


@dataclass
class Routing:
    """Where a layer's router sends each token, and what the experts have made of them so far."""

    weight: Tensor  # (T, k)
    chosen: Tensor  # (T, k) int64
    out: Tensor  # (T, H)


class Stream:
    """Hidden states of sequences laid end to end, changed in place.

    Attributes:
        x: (T, H) float32.
        spans: Where each sequence lies.
    """

    def __init__(
        self, config: DecoderConfig, x: Tensor, lengths: Sequence[int], device: str = "cpu"
    ) -> None:
        """Start at the embeddings.

        Args:
            config: The decoder.
            x: (T, H), kept where it is and written to.
            lengths: Of the sequences; they add up to T.
            device: Where the layers are.
        """
        self.config = config
        self.x = x
        self.device = torch.device(device)
        ends = torch.tensor([0, *lengths]).cumsum(0).tolist()
        self.spans = [slice(a, b) for a, b in itertools.pairwise(ends)]
        positions = torch.arange(max(lengths), device=self.device)
        self.cos, self.sin = rotary(config, positions)

    def advance(self, index: int, layer: DecoderLayer) -> None:
        """Go through a whole layer."""
        self.attend(index, layer)
        if not hasattr(layer, "block_sparse_moe"):
            self.feed_forward(layer)
            return
        routing = self.route(layer)
        for e, expert in enumerate(layer.block_sparse_moe.experts):
            self.add_expert(routing, layer, e, expert)
        self.x += routing.out

    def at(self, rows: slice | Tensor) -> Tensor:
        """Return the hidden states (n, H) of some tokens, where the layers are."""
        return self.x[rows].to(self.device)

    def add(self, rows: slice, y: Tensor) -> None:
        """Add to the hidden states of some tokens what a half of a layer made of them."""
        self.x[rows] += y.to(self.x.device)

    def mixed(self, index: int, layer: DecoderLayer, span: slice) -> Tensor:
        """Return the inputs (L, heads * head_dim) of `o_proj` of one sequence."""
        length = span.stop - span.start
        x = layer.input_layernorm(self.at(span))[None]
        mask = layer_mask(self.config, index, length)
        mask = None if mask is None else mask.to(self.device)
        return layer.self_attn.mix(x, self.cos[:length], self.sin[:length], mask)[0]

    def attend(self, index: int, layer: DecoderLayer) -> None:
        """Go through the first half of a layer."""
        for span in self.spans:
            self.add(span, layer.self_attn.o_proj(self.mixed(index, layer, span)))

    def feed_forward(self, layer: DecoderLayer) -> None:
        """Go through the second half of a layer without experts."""
        for span in self.chunks():
            self.add(span, layer.mlp(layer.post_attention_layernorm(self.at(span))))

    def route(self, layer: DecoderLayer) -> Routing:
        """Begin the second half of a layer with experts."""
        found = [
            layer.block_sparse_moe.route(layer.post_attention_layernorm(self.at(span)))
            for span in self.chunks()
        ]
        weights, chosen = (torch.cat(part).to(self.x.device) for part in zip(*found, strict=True))
        return Routing(weights, chosen, torch.zeros_like(self.x))

    def add_expert(
        self, routing: Routing, layer: DecoderLayer, number: int, expert: nn.Module
    ) -> None:
        """Let an expert work on the tokens routed to it; `x += routing.out` ends the layer."""
        rows, slots = torch.where(routing.chosen == number)
        for row, slot in zip(rows.split(CHUNK), slots.split(CHUNK), strict=True):
            y = expert(layer.post_attention_layernorm(self.at(row))).to(self.x.device)
            routing.out.index_add_(0, row, y * routing.weight[row, slot, None])

    def logits(self, norm: Tensor, head: nn.Linear) -> Tensor:
        """Return what is predicted at every position: (T, vocab)."""
        return head(self.normed(norm, slice(None)))

    def normed(self, norm: Tensor, rows: slice | Tensor) -> Tensor:
        """Return the inputs of the output matrix at some positions: (n, H)."""
        last = RMSNorm(self.config.hidden_size, self.config.rms_norm_eps)
        last.weight = nn.Parameter(norm, requires_grad=False)
        return last(self.at(rows))

    def chunks(self) -> Iterator[slice]:
        """Cut all tokens, whatever sequence they belong to, into pieces."""
        for start in range(0, len(self.x), CHUNK):
            yield slice(start, min(start + CHUNK, len(self.x)))


class BranchedStream(Stream):
    """Prompts with several answers each, side by side: no answer sees another one."""

    def __init__(
        self,
        config: DecoderConfig,
        prompts: Sequence[Tensor],
        answers: Sequence[Sequence[Tensor]],
    ) -> None:
        """Start at the embeddings, (L, H) of the prompts and (n, H) of the answers to each."""
        rows = [torch.cat([prompt, *said]) for prompt, said in zip(prompts, answers, strict=True)]
        super().__init__(config, torch.cat(rows), [len(one) for one in rows])
        self._tables: dict[int, tuple[Tensor, Tensor]] = {}
        for span, prompt, said in zip(self.spans, prompts, answers, strict=True):
            lengths = [len(one) for one in said]
            start = torch.arange(len(prompt))
            after = [len(prompt) + torch.arange(length) for length in lengths]
            branch = torch.arange(1, 1 + len(said)).repeat_interleave(torch.tensor(lengths))
            branch = torch.cat([torch.zeros_like(start), branch])
            self._tables[span.start] = torch.cat([start, *after]), branch

    def mixed(self, index: int, layer: DecoderLayer, span: slice) -> Tensor:
        """Return the inputs (L, heads * head_dim) of `o_proj` of a prompt and its answers."""
        positions, branch = self._tables[span.start]
        distance = positions[:, None] - positions[None]
        mask = (distance >= 0) & ((branch[None] == 0) | (branch[:, None] == branch[None]))
        window = self.config.window(index)
        if window is not None:
            mask &= distance < window
        x = layer.input_layernorm(self.at(span))[None]
        cos, sin = self.cos[positions], self.sin[positions]
        return layer.self_attn.mix(x, cos, sin, mask)[0]

    def choosing(self, number: int, answers: Sequence[Tensor]) -> Iterator[Tensor]:
        """Return where each token of a prompt's answers is chosen: the rows in front of them."""
        span = self.spans[number]
        at = span.stop - sum(map(len, answers))
        last = at - 1
        for answer in answers:
            yield torch.tensor([last, *range(at, at + len(answer) - 1)])
            at += len(answer)
