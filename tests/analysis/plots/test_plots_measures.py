"""Bars and sweeps draw means and intervals; charts keep to themselves and to their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from sim.analysis.plots import (
    latency_cdf,
    measure_bars,
    save,
    sweep_lines,
    throughput_latency,
    timeline,
    unavailability,
)
from sim.analysis.plots.style import PALETTE, colours
from sim.analysis.statistics import intervals


def test_bars_are_means_with_intervals_and_seeds(summaries: pd.DataFrame) -> None:
    ax = measure_bars(summaries, "throughput")
    found = intervals(summaries, ["throughput"]).set_index("run")
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(found["mean"].tolist())
    segments = ax.collections[0].get_segments()
    assert [s[1][0] for s in segments] == pytest.approx(found["high"].tolist())
    assert [s[0][0] for s in segments] == pytest.approx(found["low"].tolist())
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    for dot, (_, mine) in zip(dots, summaries.groupby("run", sort=False), strict=True):
        assert np.asarray(dot.get_xdata()).tolist() == mine["throughput"].tolist()
    assert ax.get_xlabel() == "throughput (op/s)"


def test_an_outage_that_did_not_end_is_an_arrow_and_a_lower_bound(summaries: pd.DataFrame) -> None:
    frame = summaries.copy()
    frame.loc[
        (frame["run"] == "Raft") & (frame["seed"] == 2), ["unavailability", "unavailability_at_least"]
    ] = [20.0, 1.0]
    ax = unavailability(frame)
    arrows = [x for line in ax.lines if line.get_marker() == ">" for x in np.asarray(line.get_xdata())]
    assert arrows == [20.0]
    assert [text.get_text().startswith("≥") for text in ax.texts] == [True, False, False, False]
    assert ax.get_xlabel() == "unavailability (s)"
    # Times are not negative, whatever the interval says.
    assert ax.get_xlim()[0] == 0.0
    assert min(s[0][0] for s in ax.collections[0].get_segments()) >= 0.0


def test_bars_of_a_single_seed_have_no_interval(summaries: pd.DataFrame) -> None:
    ax = measure_bars(summaries[summaries["seed"] == 0], "p99")
    assert all(segment[0][0] == segment[1][0] for segment in ax.collections[0].get_segments())


def test_a_sweep_draws_the_mean_at_each_level(sweep: pd.DataFrame) -> None:
    ax = sweep_lines(sweep, "rate", "p99", log=True)
    found = intervals(sweep, ["p99"], by=("run", "rate"))
    for line, run in zip(ax.lines, ("random", "round robin", "two choices"), strict=True):
        mine = found[found["run"] == run]
        assert np.asarray(line.get_xdata()).tolist() == mine["rate"].tolist()
        assert np.asarray(line.get_ydata()).tolist() == pytest.approx((mine["mean"] * 1e3).tolist())
    assert ax.get_ylabel() == "p99 latency (ms)"
    assert ax.get_xlabel() == "offered load (op/s)"


def test_throughput_and_latency_meet_in_order_of_load(sweep: pd.DataFrame) -> None:
    ax = throughput_latency(sweep.sample(frac=1.0, random_state=1), "rate")
    mine = sweep[sweep["run"] == "two choices"].groupby("rate")
    order = list(dict.fromkeys(sweep.sample(frac=1.0, random_state=1)["run"]))
    drawn = [container.lines[0] for container in ax.containers][order.index("two choices")]
    assert np.asarray(drawn.get_xdata()).tolist() == pytest.approx(mine["throughput"].mean().tolist())
    assert np.asarray(drawn.get_ydata()).tolist() == pytest.approx((mine["p99"].mean() * 1e3).tolist())
    bounds = [text for text in ax.texts if text.arrow_patch is not None]
    assert len(bounds) == 1  # the overloaded point of "random"
    assert ax.get_xlabel() == "throughput (op/s)"


def test_colours_differ_and_repeat_in_a_cycle() -> None:
    assert len(set(PALETTE)) == len(PALETTE)
    assert list(colours(f"r{i}" for i in range(8)).values()) == [*PALETTE, PALETTE[0]]


def test_charts_change_nothing_global(
    operations: pd.DataFrame, events: pd.DataFrame, sweep: pd.DataFrame
) -> None:
    before = dict(mpl.rcParams)
    axes = Figure().subplots(2, 2)
    latency_cdf(operations, duration=30.0, ax=axes[0, 0])
    throughput_latency(sweep, "rate", ax=axes[0, 1])
    timeline(operations, events, duration=30.0, ax=axes[1])
    assert dict(mpl.rcParams) == before
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_equal_data_give_equal_files_and_no_figure_stays_open(
    suffix: str, operations: pd.DataFrame, events: pd.DataFrame, tmp_path: Path
) -> None:
    rows = operations[operations["seed"] == 0]
    files = [
        save(timeline(rows, events, duration=30.0, width=1.0), tmp_path / f"{name}{suffix}").read_bytes()
        for name in ("one", "two")
    ]
    assert files[0] == files[1]
    assert pyplot.get_fignums() == []
    if suffix == ".svg":
        assert b">throughput (op/s)<" in files[0]  # text stays text


def test_the_analysis_does_not_load_matplotlib(fresh_python: Callable[..., Any]) -> None:
    code = """
import sys
import sim.analysis, sim.analysis.measures, sim.analysis.statistics, sim.analysis.tables, sim.analysis.store
import sim.analysis.outages, sim.analysis.losses
print(sorted({"matplotlib", "scipy", "pyarrow.parquet"} & set(sys.modules)))
"""
    assert fresh_python(code).strip() == "[]"
