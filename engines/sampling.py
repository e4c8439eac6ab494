"""From logits to the next token: a sampler is a function made once.

The order of the steps and their meaning are those of Hugging Face's generation: repetition
penalty, temperature, top-k, top-p, then a draw. Greedy takes the largest after the penalty.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.config import GenerationConfig
from engines.errors import PromptError

# What upstream uses when it samples and is not told otherwise (mm_infer).
SAMPLED_TOP_P = 0.9
Sampler = Callable[[NDArray[Any], Sequence[int]], int]


@dataclass(frozen=True)
class GenerateOptions:
    """How to answer; None takes the bundle's or upstream's default."""

    max_new_tokens: int | None = None  # None: up to 2048, as far as the model's context goes.
    temperature: float | None = None  # None or 0: greedy.
    top_p: float | None = None  # Keep the likeliest tokens that together reach this; None: 0.9.
    top_k: int | None = None  # Keep this many; 0 keeps all; None: the bundle's.
    repetition_penalty: float | None = None  # Above 1 discourages; None: the bundle's.
    seed: int = 0
    ignore_eos: bool = False  # Write on past the end, for measuring.


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, every value decided (see `GenerateOptions`)."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int = 0


def resolve_sampling(options: GenerateOptions, defaults: GenerationConfig) -> Sampling:
    """Fills in what was left open.

    Whether the bundle's own configuration says to sample plays no part: upstream is greedy unless
    told otherwise. Its penalty and top-k are honoured.

    Raises:
        PromptError: a value outside its range.
    """
    temperature = options.temperature or 0.0
    top_p = SAMPLED_TOP_P if options.top_p is None else options.top_p
    top_k = defaults.top_k if options.top_k is None else options.top_k
    penalty = options.repetition_penalty
    penalty = defaults.repetition_penalty if penalty is None else penalty
    if temperature != 0 and not 0.01 <= temperature <= 100:
        raise PromptError(f"The temperature is {temperature}; choose 0, or a number up to 100.")
    if not 0 < top_p <= 1:
        raise PromptError(f"Top-p is {top_p}; choose a number above 0 and up to 1.")
    if top_k < 0:
        raise PromptError(f"Top-k is {top_k}; choose 0 for all tokens, or how many to keep.")
    if not 0.01 <= penalty <= 100:
        raise PromptError(f"The repetition penalty is {penalty}; choose 1 for none, or up to 100.")
    if options.seed < 0:
        raise PromptError(f"The seed is {options.seed}; choose 0 or a positive whole number.")
    return Sampling(temperature, top_p, top_k, penalty, options.seed)


def make_sampler(sampling: Sampling) -> Sampler:
    """Makes the function (logits (vocab,), ids generated so far) → next id.

    The prompt takes no part in the repetition penalty: upstream generates from embeddings, so its
    penalty never saw the prompt either.
    """
    penalty = sampling.repetition_penalty
    if sampling.temperature == 0:
        return lambda logits, ids: int(np.argmax(penalise(logits, ids, penalty)))
    generator = np.random.default_rng(sampling.seed)

    def draw(logits: NDArray[Any], ids: Sequence[int]) -> int:
        scores = penalise(logits, ids, penalty) / np.float32(sampling.temperature)
        kept = top_k(scores, sampling.top_k)
        probabilities = softmax(scores[kept])
        likely = top_p(probabilities, sampling.top_p)
        weights = probabilities[likely]
        return int(kept[generator.choice(likely, p=weights / weights.sum())])

    return draw


def penalise(logits: NDArray[Any], ids: Sequence[int], penalty: float) -> NDArray[Any]:
    """Divides positive logits of the given ids by the penalty and multiplies negative ones."""
    if penalty == 1.0 or not ids:
        return logits
    seen = np.unique(np.asarray(ids, np.int64))
    scores = logits.copy()
    values = scores[seen]
    scores[seen] = np.where(values < 0, values * penalty, values / penalty)
    return scores


def top_k(scores: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Ids of the k largest scores, ascending, and of any equal to the k-th; 0 keeps all."""
    if k == 0 or k >= scores.size:
        return np.arange(scores.size)
    return np.flatnonzero(scores >= np.partition(scores, -k)[-k])


def top_p(probabilities: NDArray[np.float64], p: float) -> NDArray[np.int64]:
    """Places of the fewest likeliest entries that together reach p; the likeliest always stays."""
    if p >= 1:
        return np.arange(probabilities.size)
    # All entries below this make up less than 1 - p together, so only the others need sorting.
    candidates = np.flatnonzero(probabilities > (1 - p) / probabilities.size)
    rest = 1 - probabilities[candidates].sum()
    ascending = candidates[np.argsort(probabilities[candidates], kind="stable")]
    tail = rest + np.cumsum(probabilities[ascending])
    removed = int(np.searchsorted(tail[:-1], 1 - p, side="right"))
    return ascending[removed:]


def softmax(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Probabilities of scores (n,), float64, summing to 1."""
    exponents: NDArray[np.float64] = np.exp(scores.astype(np.float64) - np.max(scores))
    exponents /= exponents.sum()
    return exponents
