"""Regular registers, eventual convergence and staleness."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.analysis.checks import check, converged, staleness, synthetic
from sim.analysis.checks.axioms import weak
from sim.analysis.checks.columns import History
from sim.analysis.checks.relations import HistoryItems
from tests.budget import examples


def history(*rows: tuple[Any, ...]) -> pd.DataFrame:
    """Rows of (process, kind, key, value, call, return[, status])."""
    full = [(*row, "ok") if len(row) == 6 else row for row in rows]
    frame = pd.DataFrame(full, columns=["process", "kind", "key", "value", "called", "returned", "status"])
    frame["value"] = pd.Series([row[3] for row in full], dtype=object)
    frame["returned"] = frame["returned"].astype(float)
    return frame


W, R, C = "write", "read", "cas"


def test_a_regular_register_allows_new_old_inversion_but_nothing_overwritten() -> None:
    inversion = [(0, W, "x", 1, 0, 9), (1, R, "x", 1, 1, 2), (2, R, "x", None, 3, 4)]
    assert check(history(*inversion), "linearizable").valid is False
    assert check(history(*inversion), "regular").ok
    after = check(history(*inversion, (3, R, "x", None, 10, 11)), "regular")
    assert after.valid is False
    assert [op.row for op in after.counterexample] == [0, 3]


def test_regular_reads_need_one_order_of_the_writes() -> None:
    """Two writes at once, and later readers who take one and the other: no order puts each last."""
    rows = [(0, W, "x", 1, 0, 5), (1, W, "x", 2, 0, 5), (2, R, "x", 1, 6, 7), (3, R, "x", 2, 6, 7)]
    assert check(history(*rows[:3]), "regular").ok
    assert check(history(*rows), "regular").valid is False


@pytest.mark.parametrize("repeated", [False, True])
def test_regular_reads_nothing_from_the_future_and_nothing_from_thin_air(repeated: bool) -> None:
    extra = [(9, W, "x", 1, 20, 21)] if repeated else []
    assert check(history((0, R, "x", 1, 0, 1), (1, W, "x", 1, 2, 3), *extra), "regular").valid is False
    assert check(history((0, R, "x", 7, 0, 1), (1, W, "x", 1, 2, 3), *extra), "regular").valid is False


@st.composite
def one_key(draw: st.DrawFn) -> pd.DataFrame:
    unique = draw(st.booleans())
    clock = [0] * 3
    rows = []
    count = draw(st.integers(2, 7))
    for i in range(count):
        process = draw(st.integers(0, 2))
        call = clock[process] + draw(st.integers(0, 2))
        end = clock[process] = call + draw(st.integers(0, 4))
        kind = draw(st.sampled_from([R, R, W, W, C]))
        new = i + 1 if unique else i % 2 + 1
        seen = draw(st.one_of(st.none(), st.integers(1, count if unique else 2)))
        value = seen if kind == R else new if kind == W else [seen, new]
        rows.append((process, kind, "x", value, call, end, draw(st.sampled_from(["ok", "ok", "ok", "info"]))))
    return history(*rows)


@examples(30, 2000)
def test_regular_agrees_with_brute_force(examples: int) -> None:
    @settings(max_examples=examples)
    @given(one_key())
    def agree(frame: pd.DataFrame) -> None:
        trace = HistoryItems.of(History.of(frame), [0])
        if sum(trace.write) <= 5:
            verdict = check(frame, "regular", model="cas-register")
            expected = weak(trace, 0, "regular")
            if expected and not (frame["status"] == "ok").any():
                assert verdict.valid is None, str(verdict)
            else:
                assert verdict.valid == expected, str(verdict)

    agree()


# Eventual


def test_replicas_that_agree_after_the_last_write_have_converged() -> None:
    writes = [(0, W, "x", 1, 0, 1), (1, W, "x", 2, 0, 1)]
    rows = [*writes, (2, R, "x", 1, 0.5, 2), (2, R, "x", 2, 3, 4), (3, R, "x", 2, 3, 4)]
    assert check(history(*rows), "eventual").ok
    differ = check(history(*rows, (4, R, "x", 1, 5, 6)), "eventual")
    assert differ.valid is False
    assert {op.value for op in differ.counterexample} == {1, 2}


def test_only_the_last_read_of_each_process_counts_and_only_after_settling() -> None:
    rows = [(0, W, "x", 1, 0, 1), (2, R, "x", None, 2, 3), (2, R, "x", 1, 8, 9), (3, R, "x", 1, 8, 9)]
    assert check(history(*rows), "eventual").ok
    early = [*rows, (4, R, "x", None, 2, 3)]
    assert check(history(*early), "eventual").valid is False
    assert check(history(*early), "eventual", settle=5.0).ok


def test_eventual_is_unknown_without_a_quiet_read_or_with_a_write_that_may_come_late() -> None:
    assert check(history((0, W, "x", 1, 0, 3), (1, R, "x", 1, 2, 4)), "eventual").status == "unknown"
    late = [
        (0, W, "x", 1, 0, 1),
        (1, W, "x", 2, 0, math.nan, "info"),
        (2, R, "x", 1, 3, 4),
        (3, R, "x", 2, 5, 6),
    ]
    assert check(history(*late), "eventual").status == "unknown"
    assert check(history(*late, (4, R, "x", 9, 7, 8)), "eventual").valid is False  # nobody wrote that


def test_converged_replicas_hold_equal_written_values() -> None:
    assert converged({"n0": {"x": 1}, "n1": {"x": 1}}).ok
    assert converged({"n0": {"x": 1}, "n1": {"x": 1, "y": None}}, {"x": [1, 2]}).ok
    assert "n1 holds 2" in converged({"n0": {"x": 1}, "n1": {"x": 2}}).reason
    assert converged({"n0": {"x": 1}, "n1": {}}).valid is False
    assert converged({"n0": {"x": 3}, "n1": {"x": 3}}, {"x": [1, 2]}).valid is False


# Staleness


def test_staleness_from_the_history_alone_is_a_lower_bound() -> None:
    frame = history(
        (0, W, "x", 1, 0, 1),
        (0, W, "x", 2, 2, 3),
        (0, W, "x", 3, 4, 6),
        (1, R, "x", 1, 5, 7),  # 2 certainly came between; 3 is not over
        (1, R, "x", 1, 8, 9),
        (1, R, "x", 3, 10, 11),
        (1, R, "x", None, 12, 13),
        (1, R, "x", 9, 14, 15),  # nobody wrote it
    )
    found = staleness(frame)
    assert found.index.tolist() == [3, 4, 5, 6, 7]
    assert found["k"].tolist()[:4] == [1, 2, 0, 3]
    assert found["t"].tolist()[:4] == [2.0, 5.0, 0.0, 11.0]
    assert found[["k", "t"]].iloc[4].isna().all()


def test_staleness_with_the_commit_log_is_exact() -> None:
    commits = pd.DataFrame({"key": ["x", "x", "x"], "value": [1, 2, 3], "time": [0.5, 2.5, 4.5]})
    frame = history((1, R, "x", 1, 5, 7), (1, R, "x", 3, 5, 7), (1, R, "x", None, 3, 4), (1, R, "x", 3, 4, 5))
    found = staleness(frame, commits)
    assert found["k"].tolist() == [2, 0, 2, 0]
    assert found["t"].tolist() == [2.5, 0.0, 2.5, 0.0]
    with pytest.raises(ValueError, match="time is missing"):
        staleness(frame, commits.drop(columns="time"))


def brute_staleness(frame: pd.DataFrame, row: int) -> tuple[float, float]:
    frame = frame.rename(columns={"returned": "returned"})
    begin, end = frame["called"][row], frame["returned"][row]
    writes = frame[(frame["kind"] == W) & (frame["key"] == frame["key"][row])]
    sources = [w for w in writes.itertuples() if w.value == frame["value"][row] and w.called <= end]
    read = -math.inf
    if sources:
        read = max(math.inf if w.status == "info" else w.returned for w in sources)
    newer = [w for w in writes.itertuples() if w.status == "ok" and w.called > read and w.returned < begin]
    return len(newer), max([0.0, *(begin - w.returned for w in newer)])


@pytest.mark.parametrize("seed", range(4))
def test_staleness_bounds_agree_with_brute_force(seed: int) -> None:
    frame = synthetic(
        150, clients=2, keys=2, values=None if seed % 2 else 6, stale=0.4, unknown=0.05, seed=seed
    )
    found = staleness(frame)
    assert found["k"].max() > 0
    for row, k, t in zip(found.index, found["k"], found["t"], strict=True):
        expected = brute_staleness(frame, row)
        assert k == expected[0]
        assert t == pytest.approx(expected[1])


def test_reads_of_an_atomic_store_are_fresh() -> None:
    found = staleness(synthetic(3000, clients=8, keys=3, unknown=0.01, seed=2))
    assert (found["k"] == 0).all()
    assert (found["t"] == 0).all()
    assert np.isfinite(found["k"]).all()
