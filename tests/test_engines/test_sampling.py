import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.config import GenerationConfig
from engines.errors import PromptError
from engines.sampling import (
    GenerateOptions,
    Sampling,
    make_sampler,
    penalise,
    resolve_sampling,
    softmax,
    top_k,
    top_p,
)

BUNDLE = GenerationConfig(
    do_sample=True, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05
)


def logits(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_greedy_takes_the_first_of_the_largest() -> None:
    assert make_sampler(Sampling())(logits(1, 3, 3, 2), [1, 1]) == 1


def test_the_penalty_divides_positive_and_multiplies_negative_logits_once_per_id() -> None:
    given = logits(4, -4, 2, -2)
    assert penalise(given, [0, 1, 0], 2.0).tolist() == [2, -8, 2, -2]
    assert given.tolist() == [4, -4, 2, -2]
    assert penalise(given, [], 2.0) is given


def test_greedy_honours_the_penalty() -> None:
    sampler = make_sampler(Sampling(repetition_penalty=2.0))
    assert sampler(logits(3, 2), []) == 0
    assert sampler(logits(3, 2), [0]) == 1


def test_top_k_keeps_equals_of_the_last() -> None:
    assert top_k(logits(1, 4, 3, 3), 2).tolist() == [1, 2, 3]
    assert top_k(logits(1, 4), 0).tolist() == [0, 1]
    assert top_k(logits(1, 4), 5).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("p", "kept"),
    [(0.4, {1}), (0.49, {1}), (0.6, {1, 3}), (0.79, {1, 3}), (0.81, {0, 1, 3}), (1, {0, 1, 2, 3})],
)
def test_top_p_keeps_the_smallest_set_that_reaches_it(p: float, kept: set[int]) -> None:
    assert set(top_p(np.array([0.15, 0.5, 0.05, 0.3]), p).tolist()) == kept


def test_top_p_never_drops_the_likeliest() -> None:
    assert top_p(np.array([0.1, 0.9]), 1e-9).tolist() == [1]


@given(st.lists(st.integers(1, 1000), min_size=1), st.floats(0.01, 0.99))
def test_top_p_equals_sorting_everything(weights: list[int], p: float) -> None:
    probabilities = np.array(weights) / sum(weights)
    ascending = np.argsort(probabilities, kind="stable")
    tail = np.cumsum(probabilities[ascending])
    if np.abs(tail - (1 - p)).min() > 1e-9:
        kept = [*ascending[:-1][tail[:-1] > 1 - p].tolist(), ascending[-1]]
        assert sorted(top_p(probabilities, p)) == sorted(kept)


def test_softmax() -> None:
    np.testing.assert_allclose(softmax(np.log(np.array([1.0, 3.0]))), [0.25, 0.75])
    np.testing.assert_allclose(softmax(logits(1e4, -np.inf)), [1, 0])


def test_the_order_of_the_steps() -> None:
    # After the penalty 2 the logits are 2, 3, 1; temperature 0.5 makes them 4, 6, 2: top-k 2 keeps
    # the first two, of which the second has probability 0.88, and top-p 0.85 drops the first.
    sampling = Sampling(temperature=0.5, top_p=0.85, top_k=2, repetition_penalty=2.0)
    sampler = make_sampler(sampling)
    assert {sampler(logits(4, 3, 1), [0]) for _ in range(50)} == {1}
    hotter = make_sampler(dataclasses.replace(sampling, temperature=1.0))
    assert {hotter(logits(4, 3, 1), [0]) for _ in range(50)} == {0, 1}


def test_the_draws_follow_the_probabilities() -> None:
    sampler = make_sampler(Sampling(temperature=1.0, seed=1))
    drawn = Counter(sampler(np.log(np.array([0.1, 0.6, 0.3])), []) for _ in range(2000))
    assert [round(drawn[i] / 2000, 1) for i in range(3)] == [0.1, 0.6, 0.3]


def test_the_same_seed_draws_the_same() -> None:
    def draws(seed: int) -> list[int]:
        sampler = make_sampler(Sampling(temperature=1.0, seed=seed))
        return [sampler(np.zeros(50, np.float32), []) for _ in range(20)]

    assert draws(3) == draws(3)
    assert draws(3) != draws(4)


def test_what_is_left_open_comes_from_the_bundle_and_from_upstream() -> None:
    assert resolve_sampling(GenerateOptions(), BUNDLE) == Sampling(0.0, 0.9, 20, 1.05, 0)
    given = GenerateOptions(temperature=0.5, top_p=0.7, top_k=0, repetition_penalty=1.0, seed=9)
    assert resolve_sampling(given, BUNDLE) == Sampling(0.5, 0.7, 0, 1.0, 9)


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        (GenerateOptions(temperature=-1), "temperature"),
        (GenerateOptions(temperature=float("nan")), "temperature"),
        (GenerateOptions(top_p=0), "Top-p"),
        (GenerateOptions(top_p=1.1), "Top-p"),
        (GenerateOptions(top_k=-1), "Top-k"),
        (GenerateOptions(repetition_penalty=0), "penalty"),
        (GenerateOptions(seed=-1), "seed"),
    ],
)
def test_values_out_of_range(options: GenerateOptions, pattern: str) -> None:
    with pytest.raises(PromptError, match=pattern):
        resolve_sampling(options, BUNDLE)
