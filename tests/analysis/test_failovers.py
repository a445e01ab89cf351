"""Failover as a distribution: by hand, and the intervals of its quantiles against the binomial distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim.analysis.ability import LeaderGroups
from sim.analysis.failovers import Failover, failover_frame, failover_times, failovers
from sim.analysis.statistics import quantile_interval, values_needed

THREE = LeaderGroups(members={"g": ("a", "b", "c")}, majority={"g": 2}, grace=5.0)
TWO = LeaderGroups(members={"g": ("a", "b", "c"), "h": ("x", "y", "z")}, majority={"g": 2, "h": 2}, grace=5.0)
Row = tuple[float, str, str, dict[str, Any]]


def leads(time: float, node: str) -> Row:
    return (time, node, "role", {"role": "leader"})


def crash(time: float, node: str) -> Row:
    return (time, node, "crash", {})


def events(*rows: Row) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["time", "node", "event", "detail"])


def operations(*rows: tuple[str, float, float, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["kind", "called", "returned", "status", "node"])


WRITES = operations(
    ("put", 9.0, 10.1, "ok", "a"),  # its answer was in flight when a crashed
    ("get", 10.2, 10.3, "ok", "b"),
    ("put", 10.5, 12.5, "fail", "b"),
    ("put", 11.0, 13.0, "ok", "b"),
    ("put", 10.6, 14.0, "ok", "b"),
)


def test_a_crash_of_a_leader_has_the_time_to_the_next_and_to_the_first_write_called_and_answered_after_it() -> (
    None
):
    (found,) = failovers(WRITES, events(leads(0, "a"), crash(10, "a"), leads(12, "b")), THREE, duration=20.0)
    assert found == (10.0, "g", "a", "b", 2.0, False, 3.0, False)


def test_the_crashed_leader_may_be_its_own_successor() -> None:
    rows = events(leads(0, "a"), crash(10, "a"), (11.0, "a", "restart", {}), leads(12, "a"))
    assert failovers(WRITES, rows, THREE, duration=20.0)[0].successor == "a"


def test_only_a_leader_that_was_not_deposed_fails_over() -> None:
    deposed = events(leads(0, "a"), leads(5, "b"), crash(10, "a"))
    assert failovers(WRITES, deposed, THREE, duration=20.0) == []
    follower = events(leads(0, "a"), crash(10, "b"))
    assert failovers(WRITES, follower, THREE, duration=20.0) == []
    assert failovers(WRITES, follower, None, duration=20.0) == []


def test_what_had_not_happened_at_the_end_is_a_lower_bound() -> None:
    rows = events(leads(0, "a"), crash(10, "a"))
    (found,) = failovers(WRITES[:3], rows, THREE, duration=20.0)
    assert found[3:] == ("", 10.0, True, 10.0, True)
    (found,) = failovers(WRITES[:1], rows, THREE, duration=20.0)  # no client called a write
    assert math.isnan(found.to_write)
    assert not found.to_write_at_least


def test_a_write_that_another_group_answered_does_not_end_the_failover() -> None:
    rows = events(leads(0, "a"), leads(0, "x"), crash(10, "a"), leads(12, "b"))
    other = operations(("put", 10.1, 10.2, "ok", "x"), ("put", 10.1, 15.0, "ok", "b"))
    assert failovers(other, rows, TWO, duration=20.0)[0].to_write == 5.0


def binomial_coverage(n: int, low: int, high: int, q: float) -> float:
    """The probability that the quantile is between the order statistics `low` and `high` (from 1)."""
    return sum(math.comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(low, high))


@pytest.mark.parametrize(("n", "q"), [(6, 0.5), (30, 0.5), (36, 0.9), (100, 0.9), (200, 0.99), (3000, 0.5)])
def test_the_interval_of_a_quantile_covers_it_with_at_least_the_confidence_and_no_shorter_one_does(
    n: int, q: float
) -> None:
    found = quantile_interval(np.arange(1, n + 1), q)
    ends = [found.low, found.high]
    if n < values_needed(q):
        assert any(map(math.isnan, ends))
        return
    low, high = (int(end) for end in ends)
    if n < 1000:
        assert binomial_coverage(n, low, high, q) >= 0.95
        assert sum(math.comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(low + 1)) > 0.025
        assert sum(math.comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(high - 1, n + 1)) > 0.025
    else:
        assert (low, high) == (1446, 1555)  # 1500 ± 1.96 √750, rounded outwards
    assert low <= found.mean <= high


def test_too_few_values_have_no_interval_and_so_many_are_needed() -> None:
    assert (values_needed(0.5), values_needed(0.9), values_needed(0.99)) == (6, 36, 368)
    for q in (0.5, 0.9):
        n = values_needed(q)
        assert not math.isnan(quantile_interval(np.arange(n), q).high)
        assert math.isnan(quantile_interval(np.arange(n - 1), q).high)


def times(values: list[float], bounded: float | None = None) -> pd.DataFrame:
    rows = [Failover(float(i), "g", "a", "b", v, v == bounded, math.nan, False) for i, v in enumerate(values)]
    return failover_times(failover_frame(rows))


def test_quantiles_and_the_worst_are_told_with_their_intervals() -> None:
    found = times([0.1 * i for i in range(1, 31)])
    assert found["until"].unique().tolist() == ["new leader"]
    assert found["quantile"].tolist() == ["p50", "p90", "worst"]
    assert found["value"].tolist() == pytest.approx([1.5, 2.7, 3.0])
    assert found["text"].tolist() == [
        "1.5 s [1, 2.1] (of 30)",
        "2.7 s [2.3, ?] (of 30, both ends need 36)",
        "3 s, the worst of 30: at least 90.5 % of all take no longer (95 % confidence)",
    ]


def test_a_few_failovers_say_that_they_are_too_few() -> None:
    assert times([1.0, 2.0])["text"].tolist()[0] == "1 s (of 2: too few for an interval, which needs 6)"


def test_a_failover_that_did_not_end_makes_lower_bounds_only() -> None:
    found = times([*[0.1 * i for i in range(1, 30)], 9.0], bounded=9.0)
    assert found["at_least"].tolist() == [False, False, True]
    assert found["text"].tolist()[2] == "≥ 9 s, the worst of 30"
    assert times([5.0], bounded=5.0)["text"].tolist()[0].startswith("≥ 5 s")


def test_no_failover_has_no_lines() -> None:
    assert len(failover_times(failover_frame([]))) == 0
    assert len(failover_times(failover_frame([]).assign(run=[]), by=("run",))) == 0
