"""Choices of keys: which key a uniform number stands for, with what probability, and what a large space costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from sim.workload import HotSpot, Latest, Uniform, Zipf


def numbers(values: Iterable[float]) -> Callable[[], float]:
    return iter(values).__next__


@pytest.mark.parametrize("count", [10, 100_000, 100_001, 10**9])
def test_uniform_keys_divide_the_unit_interval_evenly_however_many_there_are(count: int) -> None:
    draw = Uniform(count).sampler(numbers([0.0, 0.5, 1 - 1e-12]))
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


def test_the_latest_key_is_the_most_popular() -> None:
    draw = Latest(100).newest(numbers([0.0, 1 - 1e-12]), lambda: 250)
    assert [draw(), draw()] == ["k249", "k150"]
