"""Latency with unanswered operations: Kaplan-Meier."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim.analysis.survival import survival

TIMES = st.lists(st.integers(0, 12).map(lambda n: n / 4), min_size=1, max_size=40)


@given(TIMES, st.floats(0.001, 1.0))
@settings(max_examples=50)
def test_without_unanswered_operations_it_is_the_empirical_distribution(times: list[float], q: float) -> None:
    found = survival(times, [True] * len(times))
    quantile = found.quantile(q)
    assert quantile.value == np.quantile(times, q, method="inverted_cdf")
    assert not quantile.at_least
    assert found.mean().value == pytest.approx(np.mean(times), rel=1e-12, abs=1e-15)
    assert not found.mean().at_least


@given(st.lists(st.tuples(st.integers(0, 12).map(lambda n: n / 4), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=50)
def test_it_agrees_with_scipy(watched: list[tuple[float, bool]]) -> None:
    times, seen = zip(*watched, strict=True)
    found = survival(times, seen)
    uncensored = [t for t, answered in watched if answered]
    censored = [t for t, answered in watched if not answered]
    expected = stats.ecdf(stats.CensoredData(uncensored=uncensored, right=censored)).cdf
    for time in sorted({*times, 0.1, 99.0}):
        assert found.fraction_within(time) == pytest.approx(float(expected.evaluate(time)), abs=1e-12)
    assert found.censored == len(censored)


def test_the_textbook_example_by_hand() -> None:
    # Answers at 1, 3 and 6 s; at 2 and 5 s somebody stopped watching. S: 1 → 4/5, 3 → 4/5·2/3 = 8/15, 6 → 0.
    found = survival([1, 2, 3, 5, 6], [True, False, True, False, True])
    assert found.times.tolist() == [1.0, 3.0, 6.0]
    assert found.fractions == pytest.approx([1 / 5, 7 / 15, 1.0])
    assert found.quantile(0.2).value == 1.0
    assert found.quantile(0.21).value == 3.0
    assert found.quantile(0.5).value == 6.0
    assert found.mean().value == pytest.approx(1 / 5 * 1 + 4 / 15 * 3 + 8 / 15 * 6)


def test_a_quantile_among_the_unanswered_is_a_lower_bound() -> None:
    # 98 answered in 10 ms; two never, watched for 3 and 5 s.
    found = survival([0.01] * 98 + [3.0, 5.0], [True] * 98 + [False] * 2)
    assert (found.quantile(0.98).value, found.quantile(0.98).at_least) == (0.01, False)
    assert (found.quantile(0.99).value, found.quantile(0.99).at_least) == (5.0, True)
    assert found.mean().at_least
    assert found.mean().value == pytest.approx(0.98 * 0.01 + 0.02 * 5.0)


def test_an_operation_given_up_early_counts_as_late_as_its_peers() -> None:
    # Five gave up after 1 s. Were they dropped, the median would be 2 s; were they answers, 1 s. What is known of
    # them is what the five who waited longer show: the median of those.
    times = [1.0] * 5 + [2.0, 3.0, 4.0, 5.0, 6.0]
    found = survival(times, [False] * 5 + [True] * 5)
    assert found.quantile(0.5).value == 4.0


@given(st.lists(st.tuples(st.floats(0.0, 100.0), st.booleans()), min_size=1, max_size=60))
def test_fractions_and_quantiles_never_decrease(watched: list[tuple[float, bool]]) -> None:
    times, seen = zip(*watched, strict=True)
    found = survival(times, seen)
    assert (np.diff(found.times) > 0).all()
    assert (np.diff(found.fractions) > 0).all()
    assert ((found.fractions > 0) & (found.fractions <= 1)).all()
    quantiles = [found.quantile(q).value for q in (0.1, 0.5, 0.9, 1.0)]
    assert quantiles == sorted(quantiles)


def test_a_million_equal_latencies_lose_no_digit() -> None:
    found = survival(np.arange(1_000_000), np.ones(1_000_000, dtype=bool))
    assert found.quantile(0.5).value == 499_999
    assert found.quantile(0.999).value == 998_999
    assert found.quantile(1.0).value == 999_999


def test_nothing_watched_has_no_quantile() -> None:
    found = survival([], [])
    assert math.isnan(found.quantile(0.5).value)
    assert math.isnan(found.mean().value)
    assert found.fraction_within(1.0) == 0.0


@pytest.mark.parametrize("q", [0.0, -0.1, 1.5, math.nan])
def test_a_quantile_outside_its_range_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="quantile"):
        survival([1.0], [True]).quantile(q)


@pytest.mark.parametrize("time", [-1.0, math.inf, math.nan])
def test_an_impossible_latency_is_refused(time: float) -> None:
    with pytest.raises(ValueError, match=str(time)):
        survival([1.0, time], [True, True])


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        survival([1.0, 2.0], [True])


@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.7, 1.5]), st.booleans(), st.integers(1, 4)),
        min_size=1,
        max_size=12,
    )
)
def test_a_weight_counts_like_so_many_operations_answered_together(
    rows: list[tuple[float, bool, int]],
) -> None:
    """Where nobody goes unanswered; a censored weight is inherited whole, as one operation's is."""
    times, _, weights = (list(column) for column in zip(*rows, strict=True))
    weighed = survival(times, [True] * len(rows), weights)
    repeated = survival(np.repeat(times, weights), np.ones(sum(weights), dtype=bool))
    assert weighed.times.tolist() == repeated.times.tolist()
    assert weighed.fractions.tolist() == pytest.approx(repeated.fractions.tolist(), abs=1e-12)
    for q in (0.25, 0.5, 0.9, 1.0):
        assert weighed.quantile(q).value == repeated.quantile(q).value


def test_equal_weights_change_nothing_and_wrong_ones_are_refused() -> None:
    times, answered = [0.3, 0.1, 0.2, 0.4, 0.2], [True, True, False, True, True]
    plain, weighed = survival(times, answered), survival(times, answered, [2.0] * 5)
    assert weighed.fractions.tolist() == pytest.approx(plain.fractions.tolist(), abs=1e-12)
    for wrong in ([1.0], [1.0, 1.0, 0.0, 1.0, 1.0], [math.nan] * 5):
        with pytest.raises(ValueError, match="weights must be one positive number"):
            survival(times, answered, wrong)
