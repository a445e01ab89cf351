"""Numbers in groups, such as medians by region and system, as bars side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sim.analysis.plots.style import colours, empty, legend, one_axes
from sim.arguments import checked

__all__ = ["grouped_bars"]


@checked
def grouped_bars(table: pd.DataFrame, ylabel: str, *, digits: int = 0, ax: Axes | None = None) -> Axes:
    """A group of bars for each row, a colour for each column, the number above each bar.

    Args:
        table: rows are groups, columns are entries of the legend; missing numbers have no bar.
        ylabel: the label of the numbers, with their unit.
        digits: decimals of the numbers above the bars.
    """
    groups, series = len(table.index), len(table.columns)
    if not groups or not series:
        return empty(one_axes(ax), f"no numbers: the table has {groups} rows and {series} columns")
    ax = one_axes(ax, width=max(6.4, 0.42 * groups * series))
    palette = colours(str(name) for name in table.columns)
    width = 0.84 / series
    places = np.arange(groups)
    for k, name in enumerate(table.columns):
        values = table[name].to_numpy(dtype=float)
        at = places + (k - (series - 1) / 2) * width
        ax.bar(at, values, width, color=palette[str(name)], label=str(name))
        for x, value in zip(at, values, strict=True):
            if np.isfinite(value):
                ax.text(x, value, f"{value:.{digits}f}", ha="center", va="bottom", fontsize=7)
    ax.set_xticks(places, [str(name) for name in table.index])
    ax.grid(False, axis="x")
    ax.set_ylabel(ylabel)
    if series > 1:
        legend(ax)
    return ax
