"""Grouped bars show the numbers of a table or of regions, with their intervals, where the group stands."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sim.analysis.plots import grouped_bars, region_bars


def test_each_bar_is_a_number_of_the_table() -> None:
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, np.nan]}, index=["x", "y"])
    axes = grouped_bars(table, "latency (ms)")
    heights = [bar.get_height() for container in axes.containers for bar in container]
    assert heights[:3] == [1.0, 2.0, 3.0]
    assert np.isnan(heights[3])
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "y"]
    assert axes.get_ylabel() == "latency (ms)"
    axes.figure.clear()


def test_a_region_has_the_mean_over_seeds_and_its_interval_in_the_order_asked_for() -> None:
    rows = [
        (run, seed, region, base + 0.01 * seed, float(run == "b" and region == "x" and seed == 3))
        for base, run in ((0.1, "a"), (0.2, "b"))
        for region in ("y", "x", "z")
        for seed in (1, 2, 3)
    ]
    regions = pd.DataFrame(rows, columns=["run", "seed", "region", "p99", "p99_at_least"])
    ax = region_bars(regions, "p99", order=["x", "y"])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["x", "y", "z"]
    assert ax.get_ylabel() == "p99 latency (ms)"
    bars = [patch.get_height() for patch in ax.patches]  # type: ignore[attr-defined]
    assert bars == pytest.approx([120.0] * 3 + [220.0] * 3)
    (line,) = {tuple(np.diff(s[:, 1])) for s in ax.containers[1].lines[2][0].get_segments()}  # type: ignore[attr-defined]
    assert line[0] == pytest.approx(
        2 * 4.302652729911275 * 10.0 / np.sqrt(3)
    )  # Student's t, 2 degrees of freedom
    assert [text.get_text() for text in ax.texts] == ["120", "120", "120", "≥ 220", "220", "220"]
    assert ax.texts[0].get_position()[1] == pytest.approx(120.0 + line[0] / 2)
