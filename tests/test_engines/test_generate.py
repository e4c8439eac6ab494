from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engines.errors import DeviceError, PromptError
from engines.generate import (
    PrefillStep,
    TokenPrompt,
    TokenStep,
    check_length,
    drain,
    generate_steps,
    prefill,
)
from engines.kv_cache import KvCache
from engines.sampling import Sampling, make_sampler

VOCAB = 10


class CountingDecoder:
    """Says the number after the last embedding's; writes what it sees into the cache."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, int]] = []

    def run(self, inputs_embeds: Any, past: int, cache: Sequence[Any]) -> Any:
        length = inputs_embeds.shape[1]
        self.runs.append((past, length))
        cache[0][0, 0, past : past + length, 0] = inputs_embeds[0, :, 0]
        logits = np.zeros(VOCAB, np.float32)
        logits[int(inputs_embeds[0, -1, 0] + 1) % VOCAB] = 1
        return logits


def embed(ids: Any) -> Any:
    return np.asarray(ids, np.float32)[:, None]


def prompt(*ids: int) -> TokenPrompt:
    return TokenPrompt(embed(ids), np.array(ids, np.int64))


@pytest.fixture
def decoder() -> CountingDecoder:
    return CountingDecoder()


@pytest.fixture
def cache() -> KvCache:
    return KvCache(layers=1, kv_heads=1, head_dim=1, dtype=np.dtype(np.float32), limit=99)


def answer(
    decoder: CountingDecoder, cache: KvCache, given: TokenPrompt, limit: int = 20
) -> list[PrefillStep | TokenStep]:
    greedy = make_sampler(Sampling())
    return list(generate_steps(decoder, cache, given, embed, greedy, {8}, limit))


def test_tokens_until_the_end_token(decoder: CountingDecoder, cache: KvCache) -> None:
    assert answer(decoder, cache, prompt(3, 5)) == [
        PrefillStep(2, 2, 2),
        TokenStep(6, None),
        TokenStep(7, None),
        TokenStep(8, "stop"),
    ]
    assert decoder.runs == [(0, 2), (2, 1), (3, 1)]
    assert cache.keys.tolist() == [3, 5, 6, 7]
    assert cache.arrays[0][0, 0, :4, 0].tolist() == [3, 5, 6, 7]


def test_tokens_until_the_limit(decoder: CountingDecoder, cache: KvCache) -> None:
    assert answer(decoder, cache, prompt(1), limit=2)[1:] == [
        TokenStep(2, None),
        TokenStep(3, "length"),
    ]


def test_a_cache_shorter_than_the_longest_answer_is_outgrown_only_by_a_long_one(
    decoder: CountingDecoder, cache: KvCache
) -> None:
    decoder.most_positions = 64  # type: ignore[attr-defined]
    assert answer(decoder, cache, prompt(3, 5), limit=500)[-1] == TokenStep(8, "stop")
    assert cache.capacity == 64
    greedy = make_sampler(Sampling())
    steps = list(generate_steps(decoder, cache, prompt(3, 5), embed, greedy, (), 70))
    assert len(steps) == 71
    assert cache.capacity > 64
    assert cache.length == 2 + 70 - 1
    assert decoder.runs[-1] == (70, 1)


def test_a_long_prompt_is_read_in_chunks(decoder: CountingDecoder, cache: KvCache) -> None:
    cache.reserve(7)
    steps = prefill(decoder, cache, prompt(1, 2, 3, 4, 5, 6, 7), chunk=3)
    assert next(steps) == PrefillStep(3, 7, 3)
    logits = drain(steps)
    assert decoder.runs == [(0, 3), (3, 3), (6, 1)]
    assert np.argmax(logits) == 8


def test_the_common_beginning_is_not_computed_again(
    decoder: CountingDecoder, cache: KvCache
) -> None:
    answer(decoder, cache, prompt(3, 5))
    decoder.runs.clear()
    steps = answer(decoder, cache, prompt(3, 5, 6, 1, 2, 6))
    assert steps[0] == PrefillStep(6, 6, 3)
    assert decoder.runs[0] == (3, 3)
    assert cache.keys.tolist() == [3, 5, 6, 1, 2, 6, 7]


def test_the_same_prompt_again_computes_its_last_position(
    decoder: CountingDecoder, cache: KvCache
) -> None:
    first = answer(decoder, cache, prompt(3, 5))
    decoder.runs.clear()
    assert answer(decoder, cache, prompt(3, 5))[1:] == first[1:]
    assert decoder.runs[0] == (1, 1)


def test_stopping_leaves_the_cache_as_far_as_it_was_computed(
    decoder: CountingDecoder, cache: KvCache
) -> None:
    steps = generate_steps(decoder, cache, prompt(1, 2), embed, make_sampler(Sampling()), {9}, 5)
    for step in steps:
        if step == TokenStep(4, None):
            break
    assert cache.keys.tolist() == [1, 2, 3]
    assert answer(decoder, cache, prompt(1, 2, 3, 4))[1] == TokenStep(5, None)
    assert decoder.runs[2] == (3, 1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(cache: KvCache, wrong: float) -> None:
    class Overflowing:
        def run(self, inputs_embeds: Any, past: int, cache: Sequence[Any]) -> Any:
            return np.full(VOCAB, wrong, np.float32)

    steps = generate_steps(Overflowing(), cache, prompt(1), embed, lambda *_: 0, {9}, 5)
    with pytest.raises(DeviceError, match="not finite"):
        list(steps)


def test_a_prompt_that_fits() -> None:
    check_length(90, 10, 100)


@pytest.mark.parametrize(
    ("tokens", "new", "pattern"),
    [(100, 1, "has 100 tokens but the model reads"), (90, 11, "--max-new-tokens to 10")],
)
def test_a_prompt_too_long(tokens: int, new: int, pattern: str) -> None:
    with pytest.raises(PromptError, match=pattern) as caught:
        check_length(tokens, new, 100)
    assert "fewer frames" in str(caught.value)
