"""Differences and ratios to a baseline under common random numbers: paired by seed, at each point of a grid."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sim.analysis.pairing import differences, paired_difference, paired_ratio, ratios


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


def test_pairing_removes_what_the_seeds_share() -> None:
    shared = np.array([10.0, 200.0, 35.0, 90.0])
    found = paired_difference(shared + np.array([1.0, 1.1, 0.9, 1.0]), shared)
    assert found.mean == pytest.approx(1.0)
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, 3) * np.std([1.0, 1.1, 0.9, 1.0], ddof=1) / 2)
    with pytest.raises(ValueError, match="shape"):
        paired_difference([1.0], [1.0, 2.0])


def test_a_ratio_is_fiellers() -> None:
    """Against the roots of his equation, found by search: those ratios r at which (y - r x) is just not 0."""
    rng = np.random.default_rng(5)
    x = rng.normal(10.0, 1.0, size=8)
    y = 1.3 * x + rng.normal(0.0, 0.4, size=8)
    found = paired_ratio(y, x)
    assert found.mean == pytest.approx(y.mean() / x.mean())
    for end in (found.low, found.high):
        assert stats.ttest_1samp(y - end * x, 0.0).pvalue == pytest.approx(0.05)
    seconds = paired_ratio(1e-6 * y, 1e3 * x)
    assert seconds.high == pytest.approx(1e-9 * found.high)


def test_a_ratio_to_what_may_be_nothing_is_bounded_by_nothing() -> None:
    found = paired_ratio([1.0, 2.0, 3.0], [-1.0, 1.0, 0.3])
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert math.isnan(paired_ratio([1.0, 2.0], [0.0, 0.0]).mean)
    assert math.isnan(paired_ratio([1.0], [2.0]).low)
    assert paired_ratio([1.0, math.nan, 3.0], [2.0, 5.0, 6.0]).count == 2
    assert math.isnan(paired_ratio([], []).mean)


def test_differences_are_paired_by_seed_not_by_row() -> None:
    found = differences(summaries(), "b").set_index("measure")
    assert found.loc["p99", "value"] == pytest.approx(2.0)  # 1, 2, 3 by seed
    assert found.loc["p99", "high"] == pytest.approx(2.0 + stats.t.ppf(0.975, 2) * 1 / math.sqrt(3))
    assert found.loc["p99", "bound"] == "≥"
    assert found.loc["loss", "n"] == 2
    assert differences(summaries(), "a").set_index("measure").loc["p99", "bound"] == "≤"


def test_differences_refuse_what_cannot_be_paired() -> None:
    frame = summaries()
    with pytest.raises(ValueError, match="'c'"):
        differences(frame, "c")
    with pytest.raises(ValueError, match="twice"):
        differences(pd.concat([frame, frame]), "a")
    with pytest.raises(ValueError, match="share no seed"):
        differences(frame.assign(seed=range(6)), "a")
    with pytest.raises(ValueError, match="'p50'"):
        differences(frame, "a", ["p50"])
    with pytest.raises(ValueError, match="the baseline names 'rate'; groups differ in run"):
        differences(frame, {"rate": 3})


def test_what_a_ratio_says_in_words() -> None:
    frame = pd.DataFrame(
        {
            "run": ["base"] * 4 + ["other"] * 4,
            "seed": [0, 1, 2, 3] * 2,
            "p99": [0.1, 0.11, 0.09, 0.1, 0.13, 0.144, 0.118, 0.132],
            "p50_at_least": [0.0] * 7 + [1.0],
            "p50": [0.1, 0.11, 0.09, 0.1, 0.05, 0.06, 0.04, 0.05],
        }
    )
    found = ratios(frame, "base").set_index("measure")
    assert found.loc["p99", "text"] == "1.310 ± 0.013 times base"
    assert found.loc["p50", "text"].startswith("≥ 0.50 ± 0.06")
    told = differences(frame, "base").set_index("measure")["text"]
    assert told["p99"] == "31 ± 4 ms more than base"
    assert told["p50"].startswith("≥ -50")
    assert told["p50"].endswith(" ms against base")


def test_a_grid_is_compared_point_by_point() -> None:
    rows = [
        {"system": system, "rate": rate, "seed": seed, "p50": float(rate * factor + seed)}
        for rate in (10, 20)
        for system, factor in (("a", 1), ("b", 2), ("c", 3))
        for seed in (1, 2, 3)
    ]
    found = differences(pd.DataFrame(rows), {"system": "a"}, by=("system", "rate"))
    assert found[["system", "rate", "value", "n"]].values.tolist() == [
        ["b", 10, 10.0, 3],
        ["c", 10, 20.0, 3],
        ["b", 20, 20.0, 3],
        ["c", 20, 40.0, 3],
    ]
    one = ratios(pd.DataFrame(rows), {"system": "a", "rate": 20}, by=("system", "rate"))
    assert one["value"].round(3).tolist() == [0.545, 1.0, 1.455, 1.909, 2.818]
    missing = pd.DataFrame([row for row in rows if (row["system"], row["rate"]) != ("a", 20)])
    with pytest.raises(ValueError, match="there is no a, 20 to compare"):
        differences(missing, {"system": "a"}, by=("system", "rate"))
