"""Seeds added until a mean is precise enough: how often the interval that comes of it covers the truth, by Monte Carlo.

docs/measures.md has the table; the nightly test counts it, and a part of it runs always.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from sim.analysis import statistics
from sim.analysis.pairing import paired_difference, paired_ratio
from sim.analysis.precision import seeds_needed, shortfalls
from sim.analysis.statistics import mean_interval, t_quantile

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]

DRAWS: dict[str, Draw] = {  # all of mean 1
    "normal, cv 0.1": lambda rng, n: rng.normal(1.0, 0.1, n),
    "normal, cv 0.3": lambda rng, n: rng.normal(1.0, 0.3, n),
    "lognormal, cv 0.53": lambda rng, n: rng.lognormal(-0.125, 0.5, n),
    "exponential": lambda rng, n: rng.exponential(1.0, n),
    "lognormal, cv 1.3": lambda rng, n: rng.lognormal(-0.5, 1.0, n),
}

# Values, first stage, precision -> share of intervals that cover the truth, of 20,000 (docs/measures.md).
COVERAGE: dict[tuple[str, int, float], float] = {
    ("normal, cv 0.1", 10, 0.1): 0.950,
    ("normal, cv 0.1", 10, 0.05): 0.936,
    ("normal, cv 0.1", 20, 0.05): 0.950,
    ("normal, cv 0.1", 20, 0.02): 0.948,
    ("normal, cv 0.3", 10, 0.1): 0.939,
    ("normal, cv 0.3", 10, 0.05): 0.951,
    ("normal, cv 0.3", 20, 0.1): 0.942,
    ("normal, cv 0.3", 20, 0.05): 0.949,
    ("lognormal, cv 0.53", 10, 0.1): 0.938,
    ("lognormal, cv 0.53", 10, 0.05): 0.946,
    ("lognormal, cv 0.53", 20, 0.1): 0.936,
    ("lognormal, cv 0.53", 20, 0.05): 0.950,
    ("exponential", 10, 0.1): 0.946,
    ("exponential", 20, 0.1): 0.947,
    ("lognormal, cv 1.3", 20, 0.1): 0.931,
}


def staged(draw: Draw, rng: np.random.Generator, first: int, precision: float, most: int = 10_000) -> Floats:
    """The values when the rule has stopped."""
    values = draw(rng, first)
    while len(values) < most and (needed := seeds_needed(values, precision)) > len(values):
        values = np.concatenate([values, draw(rng, min(needed, most) - len(values))])
    return values


def covered(name: str, first: int, precision: float, trials: int) -> float:
    rng = np.random.default_rng([first, round(1 / precision)])
    found = [mean_interval(staged(DRAWS[name], rng, first, precision)) for _ in range(trials)]
    assert all(one.half_width <= precision * one.mean for one in found)
    return sum(one.low <= 1.0 <= one.high for one in found) / trials


def assert_covers(name: str, first: int, precision: float, trials: int) -> None:
    """As often as docs/measures.md says; 3.5 standard errors on either side."""
    expected = COVERAGE[name, first, precision]
    share = covered(name, first, precision, trials)
    assert abs(share - expected) < 3.5 * math.sqrt(expected * (1 - expected) * (1 / trials + 1 / 20_000))


@pytest.mark.parametrize("case", [case for case in COVERAGE if case[2] == 0.1], ids=str)
def test_intervals_at_a_wanted_precision_cover_as_often_as_the_table_says(
    case: tuple[str, int, float],
) -> None:
    assert_covers(*case, 400 if case[0] in ("exponential", "lognormal, cv 1.3") else 1_000)


@pytest.mark.nightly
@pytest.mark.parametrize("case", COVERAGE, ids=str)
def test_intervals_at_any_wanted_precision_cover_as_often_as_the_table_says(
    case: tuple[str, int, float],
) -> None:
    assert_covers(*case, 20_000)


def test_no_interval_of_this_mode_covers_less_than_the_page_says() -> None:
    assert min(COVERAGE.values()) > 0.93


def test_pairs_of_which_one_side_chose_the_number_of_seeds_are_covered_too() -> None:
    """Both systems get the seeds that the neediest needs; differences and ratios are of all of them."""
    rng = np.random.default_rng(8)
    hits = np.zeros(2)
    for _ in range(1_500):

        def draw(n: int) -> Floats:
            shared = rng.normal(1.0, 0.2, n)
            return np.stack([1.3 * shared + rng.normal(0.0, 0.1, n), shared])

        values = draw(20)
        while (needed := max(seeds_needed(row, 0.05) for row in values)) > values.shape[1]:
            values = np.concatenate([values, draw(needed - values.shape[1])], axis=1)
        ratio, difference = paired_ratio(*values), paired_difference(*values)
        hits += (ratio.low <= 1.3 <= ratio.high, difference.low <= 0.3 <= difference.high)
    assert np.abs(hits / 1_500 - 0.95).max() < 3.5 * math.sqrt(0.95 * 0.05 / 1_500)


def test_a_wrong_quantile_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the normal quantile instead of Student's, the search ends too early and the interval is too short."""
    monkeypatch.setattr(statistics, "t_quantile", lambda p, df: t_quantile(p, 1e6))
    with pytest.raises(AssertionError):
        assert_covers("normal, cv 0.1", 10, 0.05, 4_000)


def test_how_many_seeds_are_needed() -> None:
    values = np.tile([0.9, 1.1], 10)
    half = mean_interval(values).half_width
    assert seeds_needed(values, half * 1.0001) == 20
    assert seeds_needed(values, half / 2) == pytest.approx(80, abs=1)
    assert seeds_needed(values, half * 0.9999) == 22  # a tenth more at least, so that looks are few
    assert seeds_needed([math.nan] * 10, 0.1) == 10  # does not apply: no number of seeds would help
    assert seeds_needed([math.nan] * 9 + [1.0], 0.1) == 20
    assert seeds_needed([0.0] * 10, 0.1) == 10
    assert seeds_needed([-1.0, 1.0] * 5, 0.1) == 20
    gaps = np.where(np.arange(40) % 2, np.repeat(values, 2), math.nan)  # every other seed has a value
    assert seeds_needed(gaps, mean_interval(gaps).half_width / 2) == pytest.approx(160, abs=1)


def test_missing_precision_is_reported_by_group_and_measure() -> None:
    frame = pd.DataFrame(
        {
            "run": ["a"] * 10 + ["b"] * 10,
            "p50": [1.0, 1.2] * 5 + [1.0, 1.001] * 5,
            "p99": [math.nan] * 10 + [2.0] * 10,
            "queue_max": [math.nan] * 20,
        }
    )
    short, needed = shortfalls(frame, {"p50": 0.01, "p99": 0.01, "queue_max": 0.01})
    assert [(one.group, one.measure) for one in short] == [("a", "p50"), ("", "queue_max")]
    interval = mean_interval([1.0, 1.2] * 5)
    assert short[0].relative == pytest.approx(interval.half_width / interval.mean)
    assert needed == seeds_needed([1.0, 1.2] * 5, 0.01)
    assert shortfalls(frame, {"p99": 0.01}) == ([], 0)
