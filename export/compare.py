"""Graphs against the torch reference: runs them through the runtime's own sessions, measures."""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from engines.backends.onnxruntime import DecoderSession, open_session
from engines.config import VerificationRow
from engines.errors import ExportError
from export.graph.builder import Array
from export.graph.heads import graph_head_dim
from export.memory import giving_back
from export.pieces import Pieces, Told
from export.reference.decoder import DecoderConfig
from export.storage import Scheme

# Largest |difference| allowed, as a share of the reference's largest |value|. The graphs of a
# float32 bundle must be the reference; float16 rounds every product's operands to 11 bits. The
# exact int4 decoder is held against the reference with the same rounded weights, so it is as
# tight; the fast one rounds activations to 8 bits as well, and as it is the same graph over the
# same data but for that attribute, its limit is there only to catch a broken kernel.
TOLERANCES: Mapping[Scheme, Mapping[str, float]] = {
    "fp32": {"": 1e-4},
    "fp16": {"": 2e-2},
    "int4": {"": 2e-2, "decoder": 0.5, "decoder_exact": 1e-3},
}
# Tokens decoded one by one after two chunks of prompt.
SINGLE_STEPS = 4


def tolerance(scheme: Scheme, graph: str) -> float:
    """Return the limit for a graph of a bundle."""
    limits = TOLERANCES[scheme]
    return limits.get(graph, limits[""])


def measure(graph: str, got: Array, wanted: Array, limit: float, name: str) -> VerificationRow:
    """Compare two arrays; another shape, or NaN anywhere, counts as infinitely wrong."""
    largest = float(np.abs(wanted).max())
    error = float("inf")
    if got.shape == wanted.shape:
        error = float(np.abs(got.astype(np.float64) - wanted).max())
    error = error if np.isfinite(error) else float("inf")
    return VerificationRow(graph, error, error / max(largest, 1e-30), limit, name)


@giving_back
def run_graph(path: Path, feeds: Mapping[str, Array], output: str) -> Array:
    """Open a graph on the CPU, run it once and return one output."""
    feeds = {name: np.ascontiguousarray(value, np.float32) for name, value in feeds.items()}
    return open_session(path).run(feeds)[output]


def checked_positions(length: int) -> list[int]:
    """Return the chunks a prompt is fed in: two of unequal length, then single tokens."""
    steps = min(SINGLE_STEPS, length - 2)
    first = (length - steps) * 2 // 3
    return [first, length - steps - first, *[1] * steps]


def logit_positions(length: int) -> list[int]:
    """Return the positions behind which `run_decoder` takes logits."""
    return [end - 1 for end in itertools.accumulate(checked_positions(length))]


@giving_back
def run_decoder(path: Path, config: DecoderConfig, inputs_embeds: Array) -> Array:
    """Feed a prompt (1, L, H) in chunks through a shared cache, as the runtime does.

    Returns:
        Logits (n, vocab) at `logit_positions`.
    """
    decoder = DecoderSession(open_session(path))
    length = inputs_embeds.shape[1]
    shape = (1, decoder.kv_heads, length + 1, decoder.head_dim)
    cache = [np.zeros(shape, decoder.cache_dtype) for _ in range(2 * config.num_hidden_layers)]
    logits, past = [], 0
    for count in checked_positions(length):
        chunk = np.ascontiguousarray(inputs_embeds[:, past : past + count], np.float32)
        logits.append(decoder.run(chunk, past, cache).copy())
        past += count
    return np.stack(logits)


def run_decoder_in_pieces(path: Path, inputs_embeds: Array, told: Told) -> Array:
    """Do as `run_decoder`, a layer at a time."""
    cuts = np.cumsum(checked_positions(inputs_embeds.shape[1]))[:-1]
    chunks = np.split(np.asarray(inputs_embeds, np.float32), cuts, axis=1)
    (logits,) = Pieces(path, [inputs_embeds.shape[1]]).read([chunks], told)
    return np.stack(logits)


@giving_back
def run_tensorrt_decoder(path: Path, config: DecoderConfig, inputs_embeds: Array) -> Array:
    """Do as `run_decoder` with the standard-operator graph, on ONNX Runtime in full precision."""
    # Left alone, ONNX Runtime would fuse the int4 products into ones with int8 activations.
    session = open_session(path, entries={"session.qdq_matmulnbits_accuracy_level": "0"})
    length = inputs_embeds.shape[1]
    fixed = session.inputs["attention_mask"].shape[-1]
    capacity = fixed if isinstance(fixed, int) else length + 1
    cache = {
        name: np.zeros(
            (1, config.num_key_value_heads, capacity, graph_head_dim(config)), info.dtype
        )
        for name, info in session.inputs.items()
        if name.startswith("past_key_values.")
    }
    logits, past = [], 0
    for count in checked_positions(length):
        at = np.arange(past, past + count)
        outputs = session.run(
            {
                "inputs_embeds": np.ascontiguousarray(inputs_embeds[:, at], np.float32),
                "position_ids": at[None],
                "write_indices": np.asarray([past]),
                "attention_mask": visible(config, at, capacity),
                **cache,
            }
        )
        cache = {name: outputs[name.replace("past_key_values", "present")] for name in cache}
        logits.append(outputs["logits"][0, -1])
        past += count
    return np.stack(logits)


def visible(config: DecoderConfig, positions: Array, capacity: int) -> Array:
    """Return the mask (1, 1, L, capacity): which cache slots each position may see."""
    slots = np.arange(capacity)
    mask = slots[None] <= positions[:, None]
    window = config.window(config.num_hidden_layers - 1)
    if window is not None:
        mask &= slots[None] > positions[:, None] - window
    return mask[None, None]


def refuse_failures(rows: Iterable[VerificationRow]) -> None:
    """Refuse to go on if a graph is outside its tolerance.

    Raises:
        ExportError: one is.
    """
    for row in rows:
        if not row.max_rel <= row.tolerance:
            raise ExportError(
                f"Graph {row.graph} differs from the reference by {row.max_rel:.2g} of its largest"
                f" value, more than {row.tolerance:.2g} allows, so nothing was published; report"
                " it with the checkpoint's name."
            )


def table(rows: Iterable[VerificationRow]) -> str:
    """Lay the measurements out in columns."""
    lines = [f"{'graph':<18} {'largest difference':>18} {'of largest value':>17} {'limit':>8}  on"]
    lines += [
        f"{r.graph:<18} {r.max_abs:>18.2e} {r.max_rel:>17.2e} {r.tolerance:>8.0e}  {r.input}"
        for r in rows
    ]
    return "\n".join(lines)
