"""Measures of load balancing on frames made by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from sim.analysis.balancing_measures import (
    amplification,
    amplification_timeline,
    gauge_by_node,
    goodput,
    goodput_timeline,
)

OPERATIONS = pd.DataFrame(
    {
        "called": [0.1, 0.2, 1.1, 1.2, 1.3, 2.5],
        "returned": [0.2, 0.9, 1.2, 1.3, float("nan"), 2.6],
        "status": ["ok", "ok", "ok", "fail", "info", "ok"],
        "latency": [0.1, 0.7, 0.1, 0.1, float("nan"), 0.1],
    }
)


def samples(rows: list[tuple[float, str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["time", "node", "gauge", "value"])


def test_goodput_counts_what_was_answered_well() -> None:
    assert goodput(OPERATIONS, duration=4.0) == pytest.approx(4 / 4)
    assert goodput(OPERATIONS, duration=4.0, within=0.5) == pytest.approx(3 / 4)
    assert goodput(OPERATIONS, duration=2.0, warmup=1.0) == pytest.approx(1.0)


def test_goodput_over_time_is_given_with_the_offered_load() -> None:
    timeline = goodput_timeline(OPERATIONS, duration=3.0, width=1.0, within=0.5)
    assert timeline["offered"].tolist() == [2.0, 3.0, 1.0]
    assert timeline["goodput"].tolist() == [1.0, 1.0, 1.0]
    assert timeline["time"].tolist() == [0.0, 1.0, 2.0]


COUNTERS = samples(
    [
        (1.0, "b0", "arrived", 10.0),
        (1.0, "s0", "received", 8.0),
        (1.0, "s1", "received", 2.0),
        (2.0, "b0", "arrived", 20.0),
        (2.0, "s0", "received", 28.0),
        (2.0, "s1", "received", 12.0),
        (3.0, "b0", "arrived", 20.0),
        (3.0, "s0", "received", 1.0),  # crashed and back, with one more
        (3.0, "s1", "received", 12.0),
    ]
)


def test_amplification_is_what_servers_received_for_each_request_that_came() -> None:
    timeline = amplification_timeline(COUNTERS)
    assert timeline["arrived"].tolist() == [10.0, 10.0, 0.0]
    assert timeline["received"].tolist() == [10.0, 30.0, 1.0]
    assert timeline["amplification"].tolist()[:2] == [1.0, 3.0]
    assert math.isnan(timeline["amplification"][2])
    assert amplification(COUNTERS) == pytest.approx(41 / 20)


def test_a_gauge_by_node_is_a_table() -> None:
    table = gauge_by_node(COUNTERS, "received")
    assert list(table.columns) == ["s0", "s1"]
    assert table.loc[2.0, "s0"] == 28.0


@pytest.mark.parametrize(
    ("wrong", "value"),
    [
        (lambda: goodput(OPERATIONS, duration=0.0), "0.0"),
        (lambda: goodput(OPERATIONS, duration=1.0, within=-1.0), "-1.0"),
        (lambda: goodput_timeline(OPERATIONS, duration=1.0, width=2.0), "2.0"),
        (lambda: gauge_by_node(COUNTERS, "mood"), "mood"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_value(wrong, value: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=value):
        wrong()


def test_charts_are_drawn(tmp_path: Path) -> None:
    from sim.analysis.plots import balancing, save

    timeline = pd.concat([goodput_timeline(OPERATIONS, duration=3.0).assign(run=run) for run in ("a", "b")])
    ax = balancing.goodput_over_time(timeline, shade=(1.0, 2.0))
    assert [patch.get_label() for patch in ax.patches if hasattr(patch, "get_data")] == ["offered", "a", "b"]
    assert save(ax, tmp_path / "a.png").stat().st_size > 5000
    points = pd.DataFrame({"run": ["a", "a", "b"], "offered": [1.0, 2.0, 2.0], "goodput": [1.0, 1.5, 1.0]})
    assert len(balancing.goodput_by_load(points, capacity=1.8).lines) == 4
    shares = balancing.server_shares({"random": [1, 2, 3], "round robin": [2, 2, 2]})
    assert [text.get_text() for text in shares.texts] == ["0.857", "1.000", "Jain"]
    moved = balancing.keys_moved_bars({"ring": 0.1, "modulo": 0.9}, share=1 / 11)
    assert len(moved.patches) == 2
