"""A decoder run a layer at a time, for a computer whose memory does not hold all of it.

What runs are the nodes of the finished graph, cut where nothing but hidden states goes on. A piece
is opened, given all there is to read of every conversation, and closed: so each reading costs one
opening of the decoder, however much is read.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engines.backends.onnxruntime import Session, open_session
from engines.generate import PREFILL_CHUNK
from export.memory import giving_back

Array = NDArray[Any]

# Told how many pieces of how many are done.
Told = Callable[[int, int], None]
_LAYER = re.compile(r"/model/layers\.(\d+)/")
_PAST, _PRESENT = "past_key_values.", "present."


class Pieces:
    """A decoder graph of a bundle, and conversations in its cache.

    Attributes:
        path: The graph; its data lie beside it.
        count: How many pieces it has: one of each layer and one behind them.
    """

    def __init__(self, path: Path, capacities: Sequence[int]) -> None:
        """Read the graph without its weights.

        Args:
            path: The graph, as ONNX Runtime takes it.
            capacities: How many positions each conversation may get.
        """
        self.path = path
        self._pieces = [piece.SerializeToString() for piece in _cut(path)]
        self.count = len(self._pieces)
        self._capacities = capacities
        self._lengths = [0] * len(capacities)
        self._cache: list[dict[str, Array]] = [{} for _ in capacities]

    def read(
        self,
        chunks: Sequence[Sequence[Array]],
        told: Told = lambda done, of: None,
    ) -> list[list[Array]]:
        """Let every conversation go on.

        Args:
            chunks: What each reads, (1, L, H) embeddings in turn; each chunk is run by itself.
            told: Called with the number of pieces that are done, and of all.

        Returns:
            Logits (vocab,) float32 behind each chunk.

        Raises:
            DeviceError: the library failed.
        """
        values = [list(one) for one in chunks]
        for number in range(self.count):
            self._through(number, values)
            told(number + 1, self.count)
        for n, one in enumerate(chunks):
            self._lengths[n] += sum(chunk.shape[1] for chunk in one)
        return [[logits[0, -1] for logits in one] for one in values]

    @giving_back
    def _through(self, number: int, values: list[list[Array]]) -> None:
        """Replace every chunk's hidden states by what a piece makes of them."""
        session = open_session(self.path, model=self._pieces[number])
        for n, one in enumerate(values):
            past = self._lengths[n]
            for at, hidden in enumerate(one):
                one[at] = self._run(session, hidden, past, n)
                past += hidden.shape[1]

    def _run(self, session: Session, hidden: Array, past: int, conversation: int) -> Array:
        total = past + hidden.shape[1]
        known: dict[str, Array] = {
            "seqlens_k": np.asarray([total - 1], np.int32),
            "total_sequence_length": np.asarray(total, np.int32),
            "logits_to_keep": np.asarray(1, np.int64),
        }
        cache = self._cache[conversation]
        feeds: dict[str, Array] = {}
        for name, info in session.inputs.items():
            if name.startswith(_PAST):
                if name not in cache:
                    _, heads, _, width = info.shape
                    shape = (1, int(heads), self._capacities[conversation], int(width))
                    cache[name] = np.zeros(shape, info.dtype)
                feeds[name] = cache[name]
            else:
                feeds[name] = known[name] if name in known else np.ascontiguousarray(hidden)
        found = session.run(feeds)
        (goes_on,) = (name for name in found if not name.startswith(_PRESENT))
        for name in found.keys() - {goes_on}:
            cache[name.replace(_PRESENT, _PAST, 1)] = found[name]
        return found[goes_on]


def prompt_chunks(inputs_embeds: Array) -> list[Array]:
    """Cut a prompt (L, H) as the runtime reads it: (1, n, H) each."""
    starts = range(0, len(inputs_embeds), PREFILL_CHUNK)
    return [inputs_embeds[None, start : start + PREFILL_CHUNK] for start in starts]


def next_logits(path: Path, prompt: Array, told: Told = lambda done, of: None) -> Array:
    """Return the logits (vocab,) behind a prompt (L, H)."""
    (found,) = Pieces(path, [len(prompt)]).read([prompt_chunks(prompt)], told)
    return found[-1]


def answer_logits(
    path: Path,
    prompts: Sequence[Array],
    answers: Sequence[Array],
    told: Told = lambda done, of: None,
) -> list[Array]:
    """Let given answers be read; all in one reading.

    Args:
        path: The graph.
        prompts: (L, H) embeddings of each conversation.
        answers: (n, H) of the tokens of the answer to each.
        told: See `Pieces.read`.

    Returns:
        Logits (n, vocab) from which each token of an answer is chosen.
    """
    lengths = [len(one) + len(other) for one, other in zip(prompts, answers, strict=True)]
    # The last token of an answer is chosen, not read.
    chunks = [
        [*prompt_chunks(prompt), *(token[None, None] for token in answer[:-1])]
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    found = Pieces(path, lengths).read(chunks, told)
    return [np.stack(one[-len(answer) :]) for one, answer in zip(found, answers, strict=True)]


def greedy_answers(
    path: Path,
    prompts: Sequence[Array],
    embed: Callable[[NDArray[np.int64]], Array],
    eos_token_ids: Collection[int],
    length: int,
    telling: Callable[[int], Told] = lambda number: lambda done, of: None,
) -> list[tuple[int, ...]]:
    """Answer several conversations at once; each reading gives every one its next token.

    Args:
        path: The graph.
        prompts: (L, H) embeddings of each conversation.
        embed: Ids (n,) to embeddings (n, H).
        eos_token_ids: End an answer, and belong to it.
        length: Tokens of an answer at most.
        telling: Makes of a token's number in the answers what `Pieces.read` tells.
    """
    pieces = Pieces(path, [len(prompt) + length for prompt in prompts])
    answers: list[list[int]] = [[] for _ in prompts]
    chunks = [prompt_chunks(prompt) for prompt in prompts]
    while any(chunks):
        told = telling(1 + max(map(len, answers)))
        for answer, found in zip(answers, pieces.read(chunks, told), strict=True):
            answer += [int(logits.argmax()) for logits in found[-1:]]
        ended = [one[-1] in eos_token_ids or len(one) == length for one in answers]
        chunks = [
            [] if end else [embed(np.asarray(one[-1:], np.int64))[None]]
            for one, end in zip(answers, ended, strict=True)
        ]
    return [tuple(answer) for answer in answers]


def _cut(path: Path) -> Iterator[Any]:
    """Cut a graph behind each layer; what stands in no layer comes last."""
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    inputs = {value.name: value for value in graph.input}
    outputs = {value.name: value for value in graph.output}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    layers = sum(name.startswith(_PRESENT) for name in outputs) // 2
    nodes: list[list[Any]] = [[] for _ in range(layers + 1)]
    for node in graph.node:
        found = _LAYER.match(f"{node.name}/")
        nodes[int(found[1]) if found else layers].append(node)
    width = inputs["inputs_embeds"].type.tensor_type.shape.dim[-1].dim_value
    crossing = "inputs_embeds"
    for number, own in enumerate(nodes):
        made = {name for node in own for name in node.output}
        read = dict.fromkeys(name for node in own for name in node.input if name not in made)
        values = [name for name in read if name and name not in weights]
        given = [inputs[name] if name in inputs else _hidden_states(name, width) for name in values]
        gone_on = [name for name in values if name not in inputs or name == "inputs_embeds"]
        assert gone_on == [crossing], f"{path.name}: {gone_on} go into layer {number}"
        results = [outputs[name] for name in outputs if name in made]
        if number < layers:
            later = {name for rest in nodes[number + 1 :] for node in rest for name in node.input}
            (crossing,) = made & later
            results.append(_hidden_states(crossing, width))
        piece = helper.make_graph(
            own,
            f"{graph.name} {number}",
            given,
            results,
            [weights[name] for name in read if name in weights],
        )
        yield helper.make_model(
            piece, opset_imports=model.opset_import, ir_version=model.ir_version
        )


def _hidden_states(name: str, width: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "L", width])
