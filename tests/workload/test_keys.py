"""Choices of keys: which key a uniform number stands for, with what probability, and what a large space costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from sim.workload import HotSpot, Latest, UniformKeys, Zipf
from sim.workload.ranks import rejection_inversion


def numbers(values: Iterable[float]) -> Callable[[], float]:
    return iter(values).__next__


@pytest.mark.parametrize("count", [10, 100_000, 100_001, 10**9])
def test_uniform_keys_divide_the_unit_interval_evenly_however_many_there_are(count: int) -> None:
    draw = UniformKeys(count).sampler(numbers([0.0, 0.5, 1 - 1e-12]))
    assert [draw(), draw(), draw()] == ["k0", f"k{count // 2}", f"k{count - 1}"]


def test_a_hot_spot_takes_its_share() -> None:
    draw = HotSpot(1_000_000, 1e-6, 0.25).sampler(numbers([0.249, 0.9, 0.25, 0.0, 0.25, 0.5]))
    assert [draw(), draw(), draw()] == ["k0", "k1", "k500000"]


def test_zipf_ranks_are_as_likely_as_their_weight() -> None:
    weights = 1.0 / np.arange(1, 101) ** 0.99
    probabilities = weights / weights.sum()
    grid = (np.arange(1_000_000) + 0.5) / 1_000_000
    draw = Zipf(100).sampler(numbers(grid))
    drawn = np.bincount([int(draw()[1:]) for _ in grid], minlength=100) / len(grid)
    assert drawn == pytest.approx(probabilities, abs=2e-6)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 0.99, 1.0, 1.5, 3.0])
def test_ranks_without_a_table_follow_the_law_of_the_table(exponent: float) -> None:
    """A chi-squared test against the exact probabilities; Zipf ranks that are rarer than 5 draws are pooled."""
    draws = 50_000
    weights = np.arange(1, 1001) ** -exponent
    expected = draws * weights / weights.sum()
    rank = rejection_inversion(1000, exponent, np.random.default_rng(7).random)
    drawn = np.bincount([rank() for _ in range(draws)], minlength=1000)
    often = expected >= 5
    observed, wanted = (
        np.append(drawn[often], drawn[~often].sum()),
        np.append(expected[often], expected[~often].sum()),
    )
    kept = wanted > 0
    assert chisquare(observed[kept], wanted[kept]).pvalue > 0.001


def test_a_billion_zipf_keys_take_no_memory_and_keep_their_law() -> None:
    count = 10**9
    draw = Zipf(count).sampler(np.random.default_rng(3).random)
    drawn = [int(draw()[1:]) for _ in range(20_000)]
    # The sum of k ** -0.99 by Euler and Maclaurin: the integral, half of the last term, and a constant.
    ends = np.arange(1, 10_001) ** -0.99
    total = ends.sum() + (count**0.01 - 10_000**0.01) / 0.01
    for k in range(3):
        assert drawn.count(k) / len(drawn) == pytest.approx(ends[k] / total, abs=0.005)
    assert np.mean(np.array(drawn) < 10_000) == pytest.approx(ends.sum() / total, abs=0.02)
    assert max(drawn) < count


@pytest.mark.parametrize("make", [UniformKeys, Zipf, HotSpot, Latest])
def test_more_keys_than_numbers_can_tell_apart_are_refused(make: Any) -> None:
    make(2**53)
    with pytest.raises(ValueError, match=f"{2**53 + 1} keys are too many"):
        make(2**53 + 1)


def test_the_latest_key_is_the_most_popular() -> None:
    draw = Latest(100).newest(numbers([0.0, 1 - 1e-12]), lambda: 250)
    assert [draw(), draw()] == ["k249", "k150"]
