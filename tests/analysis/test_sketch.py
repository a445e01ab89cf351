"""Sketches of latency: within 1 % of exact quantiles, merged in any order, unanswered operations counted as such."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.analysis.measures import latencies
from sim.analysis.sketch import ACCURACY, LatencySketch, merged, sketch_of

QUANTILES = (0.01, 0.5, 0.9, 0.99, 1.0)
LATENCIES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=60)


def operations(values: list[float], unanswered: int = 0) -> pd.DataFrame:
    """The last ones of them have no answer."""
    status = ["ok"] * (len(values) - unanswered) + ["info"] * unanswered
    return pd.DataFrame({"called": 0.0, "returned": values, "status": status, "latency": values})


def sketch(values: list[float], unanswered: int = 0) -> LatencySketch:
    return sketch_of(operations(values, unanswered), duration=1e4)


@given(LATENCIES)
def test_quantiles_are_within_one_per_cent(values: list[float]) -> None:
    exact, found = latencies(operations(values), 1e4), sketch(values)
    for q in QUANTILES:
        assert found.quantile(q).value == pytest.approx(exact.quantile(q).value, rel=ACCURACY * 1.001)
        assert not found.quantile(q).at_least


@given(st.lists(LATENCIES, min_size=1, max_size=5))
def test_merged_sketches_are_the_sketch_of_all(parts: list[list[float]]) -> None:
    whole = sketch([value for part in parts for value in part])
    for order in (parts, parts[::-1]):
        found = merged(map(sketch, order))
        assert found.keys.tolist() == whole.keys.tolist()
        assert found.answered.tolist() == whole.answered.tolist()


@pytest.mark.parametrize("unanswered", [1, 100, 400])
def test_operations_without_an_answer_count_as_everywhere(unanswered: int) -> None:
    rng = np.random.default_rng(unanswered)
    values = rng.lognormal(-3.0, 1.0, 1000).tolist()
    exact, found = latencies(operations(values, unanswered), 1e4), sketch(values, unanswered)
    for q in (0.5, 0.9, 0.99):
        assert found.quantile(q).value == pytest.approx(exact.quantile(q).value, rel=0.03)
    assert sketch([1.0] * 5, 4).quantile(0.9).at_least
    assert sketch([1.0] * 5, 0).quantile(0.9).at_least is False


def test_what_there_is_nothing_of_and_what_took_no_time() -> None:
    assert math.isnan(merged([]).quantile(0.5).value)
    assert math.isnan(sketch([]).quantile(0.5).value)
    assert sketch([0.0] * 9 + [1.0]).quantile(0.5).value == 0.0
    failed = operations([1.0, 2.0]).assign(status="fail")
    assert len(sketch_of(failed, duration=9.0).keys) == 0


def test_weights_count_and_the_window_is_kept() -> None:
    frame = operations([1.0, 1.0, 5.0]).assign(weight=[0.1, 0.1, 1.0], called=[0.0, 2.0, 2.0])
    frame["returned"] = frame["called"] + frame["latency"]
    assert sketch_of(frame, duration=9.0).quantile(0.5).value == pytest.approx(5.0, rel=0.01)
    assert sketch_of(frame, duration=9.0, warmup=1.0).answered.sum() == pytest.approx(1.1)


def test_a_sketch_of_thousands_of_operations_is_small() -> None:
    rng = np.random.default_rng(0)
    found = sketch(rng.lognormal(-3.0, 1.0, 20_000).tolist())
    assert found.nbytes < 5_000
    assert len(pickle.dumps(found)) < 6_000
