"""Statistics over seeds and over time, against SciPy and against known answers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.analysis.statistics import (
    batch_means,
    intervals,
    mean_interval,
    mser5,
    t_quantile,
)

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


@pytest.mark.parametrize("p", [0.9, 0.95, 0.975, 0.99, 0.995, 0.9999, 0.6, 0.025, 0.3, 1e-9])
def test_students_t_quantile_is_scipys(p: float) -> None:
    for df in (1, 2, 3, 4, 5, 9, 19, 29, 99, 999, 1e5, 0.5, 2.5):
        assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-10), df


def test_students_t_quantile_by_the_printed_tables() -> None:
    assert t_quantile(0.975, 9) == pytest.approx(2.262157, abs=1e-6)
    assert t_quantile(0.975, 1) == pytest.approx(12.7062047, abs=1e-6)
    assert t_quantile(0.5, 7) == 0.0


@pytest.mark.parametrize(
    ("p", "df"), [(0.0, 3), (1.0, 3), (0.9, 0), (0.9, -1), (math.nan, 2), (0.9, math.nan)]
)
def test_an_impossible_t_quantile_is_refused(p: float, df: float) -> None:
    with pytest.raises(ValueError):
        t_quantile(p, df)


@given(VALUES, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_of_a_mean_is_scipys(values: list[float], confidence: float) -> None:
    found = mean_interval(values, confidence)
    error = stats.sem(values)
    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * error
    assert found.mean == pytest.approx(np.mean(values))
    assert found.half_width == pytest.approx(half, rel=1e-9, abs=1e-9)
    assert found.count == len(values)


def test_missing_values_are_left_out_and_one_value_has_no_interval() -> None:
    assert mean_interval([1.0, math.nan, 3.0]).mean == 2.0
    single = mean_interval([4.0, math.nan])
    assert (single.mean, single.count) == (4.0, 1)
    assert math.isnan(single.low)
    assert math.isnan(mean_interval([]).mean)
    assert str(single) == "4 (of 1 value: no interval)"
    assert str(mean_interval([1.0, 3.0], 0.5)) == "2 [1, 3] (of 2 values)"


def test_an_interval_ends_where_the_truth_cannot_be() -> None:
    free, bound = mean_interval([0.0, 0.1, 2.0]), mean_interval([0.0, 0.1, 2.0], least=0.0)
    assert free.low < 0.0 == bound.low
    assert (bound.mean, bound.high, bound.half_width) == (free.mean, free.high, free.half_width)
    frame = pd.DataFrame({"run": "a", "seed": [1, 2, 3], "p99": [0.0, 0.1, 2.0], "drift": [0.0, 0.1, 2.0]})
    found = intervals(frame).set_index("measure")
    assert found.loc["p99", "low"] == 0.0
    assert found.loc["drift", "low"] == free.low  # not known to be positive


def test_values_of_one_seed_are_no_independent_samples() -> None:
    frame = pd.DataFrame(
        {"run": "a", "seed": [1, 2, 1, 2], "rate": [10, 10, 20, 20], "p99": [1.0, 2.0, 3.0, 4.0]}
    )
    with pytest.raises(
        ValueError, match=r"seed 1 is there twice for run a: values of one seed are not independent"
    ):
        intervals(frame, ["p99"])
    assert intervals(frame, ["p99"], by=("run", "rate"))["count"].tolist() == [2, 2]


# ---- frames of summaries


def summaries() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": ["b", "b", "b", "a", "a", "a"],
            "seed": [1, 2, 3, 3, 2, 1],
            "p99": [10.0, 20.0, 30.0, 33.0, 22.0, 11.0],
            "p99_at_least": [0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            "loss": [1.0, 1.0, 1.0, math.nan, 1.0, 1.0],
        }
    )


def test_intervals_of_every_measure_in_order_of_appearance() -> None:
    found = intervals(summaries()).set_index(["run", "measure"])
    assert list(found.index) == [("b", "p99"), ("b", "loss"), ("a", "p99"), ("a", "loss")]
    row = found.loc[("a", "p99")]
    assert row["mean"] == 22.0
    assert row["high"] - row["mean"] == pytest.approx(stats.t.ppf(0.975, 2) * 11 / math.sqrt(3))
    assert found["at_least"].tolist() == [False, False, True, False]
    assert found["count"].tolist() == [3, 3, 3, 2]


# ---- within one run


def slow_mser(values: list[float]) -> int:
    """The rule as it is written: for each cut, the spread of what remains over its length squared."""
    count = len(values) // 5
    batches = [float(np.mean(values[5 * i : 5 * i + 5])) for i in range(count)]
    scores = []
    for cut in range(count // 2 + 1):
        rest = batches[cut:]
        mean = sum(rest) / len(rest)
        scores.append(sum((x - mean) ** 2 for x in rest) / len(rest) ** 2)
    return 5 * scores.index(min(scores))


@given(st.lists(st.integers(0, 50), min_size=10, max_size=120))
def test_mser5_is_the_rule_as_written(values: list[int]) -> None:
    floats = [float(value) for value in values]
    fast, slow = mser5(floats), slow_mser(floats)
    if fast != slow:  # only where rounding decides between cuts that are equally good

        def score(cut: int) -> float:
            count = len(floats) // 5
            rest = np.array(floats[: count * 5]).reshape(count, 5).mean(axis=1)[cut // 5 :]
            return float(((rest - rest.mean()) ** 2).sum() / len(rest) ** 2)

        assert score(fast) == pytest.approx(score(slow), rel=1e-9, abs=1e-12)


def test_mser5_cuts_a_warm_up_and_spares_a_steady_run() -> None:
    rng = np.random.default_rng(11)
    steady = rng.normal(10.0, 1.0, 4000)
    warm = 60.0 * np.exp(-np.arange(4000) / 80)
    assert 200 <= mser5(steady + warm) <= 600
    assert mser5(steady) <= 400
    assert mser5(steady + warm) % 5 == 0
    assert mser5([1.0] * 9) == 0
    with pytest.raises(ValueError, match="shape"):
        mser5(np.ones((2, 10)))


def test_batch_means_cover_correlated_output_where_single_values_do_not() -> None:
    rng = np.random.default_rng(2)
    covered, naive = 0, 0
    for _ in range(300):
        noise = rng.normal(size=4200)
        series = np.empty(4200)
        level = 0.0
        for i, step in enumerate(noise):
            level = 0.8 * level + step
            series[i] = level
        steady = series[200:]
        found, plain = batch_means(steady), mean_interval(steady)
        covered += found.low <= 0.0 <= found.high
        naive += plain.low <= 0.0 <= plain.high
    assert covered / 300 > 0.91
    assert naive / 300 < 0.7


def test_batches_drop_the_oldest_remainder() -> None:
    assert batch_means([100.0, 1.0, 2.0, 3.0, 4.0], batches=2).mean == 2.5
    with pytest.raises(ValueError, match="do not fill"):
        batch_means([1.0], batches=2)
    with pytest.raises(ValueError, match="batches"):
        batch_means([1.0, 2.0], batches=1)
