"""Numbers in groups, such as medians by region and system, as bars side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sim.analysis.plots.style import colours, empty, hatches, label_of, legend, one_axes, runs_of
from sim.analysis.quantities import decimals_for, quantity, scale_of
from sim.analysis.statistics import intervals
from sim.arguments import checked

__all__ = ["grouped_bars", "region_bars"]

_NUMBER = 7.0  # points: the size of the numbers above bars


@checked
def grouped_bars(table: pd.DataFrame, ylabel: str, *, digits: int = 0, ax: Axes | None = None) -> Axes:
    """A group of bars for each row, a colour for each column, the number above each bar.

    Args:
        table: rows are groups, columns are entries of the legend; missing numbers have no bar.
        ylabel: the label of the numbers, with their unit.
        digits: decimals of the numbers above the bars.
    """
    return _groups(
        table,
        ylabel,
        f"no numbers: the table has {len(table)} rows and {len(table.columns)} columns",
        digits=digits,
        ax=ax,
    )


@checked
def region_bars(
    regions: pd.DataFrame,
    measure: str,
    *,
    order: Sequence[str] = (),
    confidence: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """A measure of the clients of each region, one bar per run: the mean over seeds with its interval.

    Where the value of a seed is only a lower bound, the mean is marked with "≥".

    Args:
        regions: one row per run, seed and region (rows of `latency_quantiles`), with the column of the measure.
        measure: the column of the measure.
        order: the order of the regions; others follow in order of appearance.
        confidence: the confidence level of the intervals.
    """
    known = quantity(measure)
    nothing = f"no {known.label}: no region has it"
    if not len(regions) or not regions[measure].notna().any():
        return empty(one_axes(ax), nothing)
    found = intervals(regions, [measure], by=("region", "run"), confidence=confidence)
    scale = scale_of(known, found["mean"])
    names = [str(name) for name in found["region"].unique()]
    rows = [*(name for name in order if name in names), *(name for name in names if name not in order)]
    value, low, high, bound = (
        found.pivot(index="region", columns="run", values=column).loc[rows, runs_of(regions)]
        for column in ("mean", "low", "high", "at_least")
    )
    value, low, high = (scale.factor * table for table in (value, low, high))
    digits = decimals_for(value.to_numpy(dtype=float).ravel(), significant=2, most=2)
    return _groups(
        value, label_of(known, scale), nothing, digits=digits, between=(low, high), bound=bound, ax=ax
    )


def _groups(
    table: pd.DataFrame,
    ylabel: str,
    nothing: str,
    *,
    digits: int,
    between: tuple[pd.DataFrame, pd.DataFrame] | None = None,
    bound: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    groups, series = len(table.index), len(table.columns)
    if not groups or not series:
        return empty(one_axes(ax), nothing)
    ax = one_axes(ax, width=max(6.4, 0.42 * groups * series))
    palette = colours(str(name) for name in table.columns)
    hatch = hatches(str(name) for name in table.columns)
    width = 0.84 / series
    numbered = _fits(ax, table, width, digits)
    places = np.arange(groups)
    for k, name in enumerate(table.columns):
        values = table[name].to_numpy(dtype=float)
        at = places + (k - (series - 1) / 2) * width
        ax.bar(
            at, values, width, color=palette[str(name)], label=str(name),
            hatch=hatch[str(name)], edgecolor="white", linewidth=0.0,
        )  # fmt: skip
        tops = values
        if between is not None:
            low, high = (one[name].to_numpy(dtype=float) for one in between)
            tops = _intervals(ax, at, values, low, high)
        bounded = [False] * groups if bound is None else bound[name].eq(True).tolist()
        for x, value, top, least in zip(at, values, tops, bounded, strict=True):
            if numbered and np.isfinite(value):
                ax.text(
                    x,
                    top,
                    f"{'≥ ' if least else ''}{value:,.{digits}f}",
                    ha="center",
                    va="bottom",
                    fontsize=_NUMBER,
                )
    ax.set_xticks(places, [str(name) for name in table.index])
    ax.grid(False, axis="x")
    ax.set_ylabel(ylabel)
    if series > 1:
        legend(ax)
    return ax


def _fits(ax: Axes, table: pd.DataFrame, width: float, digits: int) -> bool:
    """Whether the longest number is no wider than a bar and the gap beside it, which is so but in a narrow column."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    bar = 72.0 * figure.get_figwidth() * ax.get_position().width * width / len(table)
    letters = max(len(f"{value:,.{digits}f}") for value in np.nan_to_num(table.to_numpy(dtype=float)).ravel())
    return letters * 0.55 * _NUMBER <= 1.05 * bar


def _intervals(
    ax: Axes,
    at: NDArray[np.floating[Any]],
    values: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Draw the intervals that are known; returns the top of each bar and its interval."""
    known = np.isfinite(low) & np.isfinite(high)
    if known.any():
        ax.errorbar(
            at[known],
            values[known],
            yerr=[(values - low)[known], (high - values)[known]],
            color="black",
            capsize=2,
            elinewidth=0.9,
            linestyle="none",
        )
    return np.where(known, high, values)
