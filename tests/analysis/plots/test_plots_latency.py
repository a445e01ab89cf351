"""The latency charts show the values of the measures."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes

from sim.analysis.measures import latency_cdf as cdf_frame
from sim.analysis.plots import latency_cdf, latency_percentiles
from sim.analysis.plots.style import PALETTE
from sim.analysis.statistics import intervals


def curve(ax: Axes, start: str) -> tuple[np.ndarray, np.ndarray]:
    (line,) = [line for line in ax.lines if str(line.get_label()).startswith(start)]
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


def small() -> pd.DataFrame:
    """Ten answers of 10 to 100 ms by one run; by the other, four of five, at 20 ms."""
    rows = [("a", 0.0, 0.01 * i, "ok") for i in range(1, 11)] + [("b", 0.0, 0.02, "ok")] * 4
    rows.append(("b", 0.0, math.nan, "info"))
    return pd.DataFrame(rows, columns=["run", "called", "returned", "status"])


def test_a_curve_is_the_distribution_in_milliseconds() -> None:
    ax = latency_cdf(small(), duration=5.0)
    x, y = curve(ax, "a")
    assert x.tolist() == pytest.approx([10.0, *range(10, 101, 10)])
    assert y.tolist() == pytest.approx([0.0, *(i / 10 for i in range(1, 11))])
    assert ax.get_xlabel() == "latency (ms)"
    assert ax.get_xscale() == "log"


def test_a_curve_of_which_some_were_never_answered_stays_below_one_and_says_so() -> None:
    ax = latency_cdf(small(), duration=5.0)
    x, y = curve(ax, "b (20.0 % unanswered)")
    assert (x[-1], y[-1]) == (20.0, 0.8)
    arrows = [line for line in ax.lines if line.get_marker() == ">"]
    assert [float(line.get_ydata()[0]) for line in arrows] == [0.8]
    assert not [line for line in arrows if float(line.get_xdata()[0]) > 5000]


def test_the_tail_is_the_fraction_slower() -> None:
    ax = latency_cdf(small(), duration=5.0, tail=True)
    x, y = curve(ax, "a")
    assert (x[-2], y[-2]) == pytest.approx((90.0, 0.1))
    assert ax.get_yscale() == "log"


def test_curves_agree_with_the_frame_for_thousands_of_operations(operations: pd.DataFrame) -> None:
    ax = latency_cdf(operations, duration=30.0, warmup=2.0)
    frame = cdf_frame(operations[operations["run"] == "Raft"], duration=30.0, warmup=2.0)
    x, y = curve(ax, "Raft")
    assert 2000 <= len(x) <= 3001  # thinned …
    expected = np.interp(x[1:] / 1e3, frame["latency"], frame["fraction"])
    assert y[1:] == pytest.approx(expected, abs=1e-12)  # … to points of the distribution …
    assert (np.diff(y) <= 1 / 1999 + 1e-3).all()  # … without a hole …
    assert y[-1] == frame["fraction"].iloc[-1]  # … and with its whole tail
    assert x[-1] == pytest.approx(frame["latency"].iloc[-1] * 1e3)


def test_runs_keep_their_colours_by_place_and_the_legend_names_them(operations: pd.DataFrame) -> None:
    ax = latency_cdf(operations, duration=30.0)
    named = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    assert [line.get_color() for line in named] == list(PALETTE[:4])
    assert ax.get_legend() is not None
    assert [text.get_text().split(" (")[0] for text in ax.get_legend().get_texts()] == list(
        operations["run"].unique()
    )


def test_one_unnamed_run_needs_no_legend() -> None:
    ax = latency_cdf(small()[lambda frame: frame["run"] == "a"].drop(columns="run"), duration=5.0)
    assert ax.get_legend() is None
    assert len(ax.lines) == 1


def test_percentiles_stand_at_their_means_with_their_intervals(summaries: pd.DataFrame) -> None:
    ax = latency_percentiles(summaries)
    found = intervals(summaries, ["p50", "p95", "p99"]).set_index(["run", "measure"])
    for row, run in enumerate(summaries["run"].unique()):
        x, y = curve(ax, run)
        assert x.tolist() == pytest.approx([found.loc[(run, m), "mean"] * 1e3 for m in ("p50", "p95", "p99")])
        assert y.mean() == pytest.approx(row)
    ends = [bar.get_segments()[0] for bar in ax.collections]
    low, high = ends[0][0][0], ends[0][1][0]
    assert (low, high) == pytest.approx(
        (found.loc[("Raft", "p50"), "low"] * 1e3, found.loc[("Raft", "p50"), "high"] * 1e3)
    )
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(summaries["run"].unique())


def test_a_percentile_that_is_a_lower_bound_is_an_arrow(summaries: pd.DataFrame) -> None:
    ax = latency_percentiles(summaries)
    arrows = [line for line in ax.lines if line.get_marker() == ">"]
    bounded = summaries.groupby("run", sort=False)["p99_at_least"].max()
    assert len(arrows) == int((bounded > 0).sum()) == 1
    assert any(text.get_text().startswith("≥") for text in ax.texts)


def test_charts_draw_on_the_given_axes_and_open_no_figure(
    operations: pd.DataFrame, summaries: pd.DataFrame
) -> None:
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert latency_cdf(operations, duration=30.0, ax=ax) is ax
    other = Figure().subplots()
    assert latency_percentiles(summaries, ax=other) is other
    assert pyplot.get_fignums() == []


def test_the_slowest_are_told_by_nines(operations: pd.DataFrame) -> None:
    ax = latency_cdf(operations, duration=30.0, tail=True)
    ax.set_ylim(5e-4, 1.0)
    ax.get_figure(root=True).canvas.draw()
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert {"1", "0.1 (p90)", "0.01 (p99)", "0.001 (p99.9)"} <= set(shown)
