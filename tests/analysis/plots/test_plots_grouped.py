"""Grouped bars show the table's numbers, where the group stands."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sim.analysis.plots import grouped_bars


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
