"""A measure of several systems as bars, with intervals and the seeds behind them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sim.analysis.plots.style import GREY, colours, empty, hatches, label_of, one_axes, runs_of
from sim.analysis.quantities import decimals_for, quantity, scale_of
from sim.analysis.statistics import AT_LEAST, intervals
from sim.arguments import checked

__all__ = ["measure_bars", "unavailability"]


@checked
def measure_bars(
    summaries: pd.DataFrame,
    measure: str,
    *,
    confidence: float = 0.95,
    points: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """One measure, one bar per run: the mean over seeds, its interval, and each seed as a dot.

    Seeds whose value is only a lower bound are drawn as arrows, and the mean is marked with "≥".

    Args:
        summaries: one row per run and seed, with columns `run`, `seed` and `measure`.
        measure: the column of the measure.
        confidence: the confidence level of the intervals.
        points: whether to show the seeds.
    """
    known = quantity(measure)
    if not len(summaries) or not summaries[measure].notna().any():
        return empty(one_axes(ax), f"no {known.label}: no run has it")
    found = intervals(summaries, [measure], confidence=confidence).set_index("run")
    scale = scale_of(known, found["mean"])
    runs = runs_of(summaries)
    ax = one_axes(ax, height=0.9 + 0.45 * len(runs))
    palette = colours(runs)
    means = found["mean"].reindex(runs).to_numpy(dtype=float) * scale.factor
    halves = (found["high"] - found["mean"]).reindex(runs).to_numpy(dtype=float) * scale.factor
    below = (found["mean"] - found["low"]).reindex(runs).to_numpy(dtype=float) * scale.factor
    rows = np.arange(len(runs))
    negative = bool((summaries[measure] < 0).any() or (means - np.nan_to_num(below) < 0).any())
    ax.barh(
        rows,
        means,
        height=0.6,
        color=[palette[run] for run in runs],
        hatch=list(hatches(runs).values()),
        edgecolor="white",
        linewidth=0.0,
        alpha=0.75,
        zorder=2,
    )
    ax.errorbar(
        means,
        rows,
        xerr=[np.nan_to_num(below), np.nan_to_num(halves)],
        color="black",
        capsize=3,
        elinewidth=1.1,
        linestyle="none",
        zorder=4,
    )
    reach = np.nan_to_num(means) + np.nan_to_num(halves)
    for row, run in enumerate(runs):
        mine = summaries[summaries["run"] == run]
        values = mine[measure].to_numpy(dtype=float) * scale.factor
        if points and len(values) > 1:
            reach[row] = max(reach[row], np.nanmax(np.append(values, 0.0)))
            flags = (
                mine[measure + AT_LEAST] if measure + AT_LEAST in mine.columns else pd.Series(0.0, mine.index)
            )
            _dots(ax, row, values, flags.to_numpy(dtype=float) > 0)
    decimals = decimals_for(means, most=2)
    for row, (run, mean) in enumerate(zip(runs, means, strict=True)):
        text = "–" if np.isnan(mean) else f"{mean:,.{decimals}f}"
        mark = "≥ " if found.loc[run, "at_least"] else ""
        ax.annotate(
            mark + text,
            (reach[row], row),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color="black",
        )
    ax.set_yticks(rows, runs)
    ax.set_ylim(len(runs) - 0.5, -0.5)
    ax.margins(x=0.12)
    ax.autoscale_view(scaley=False)
    if not negative:
        ax.set_xlim(left=0.0)
    ax.grid(False, axis="y")
    ax.set_xlabel(label_of(known, scale))
    return ax


def _dots(ax: Axes, row: int, values: NDArray[np.float64], bounded: NDArray[np.bool_]) -> None:
    """The seeds of one bar as dots, spread vertically so that equal values can be counted."""
    spread = row + np.linspace(-0.2, 0.2, len(values))
    for marker, chosen in (("o", ~bounded), (">", bounded)):
        ax.plot(
            values[chosen],
            spread[chosen],
            marker=marker,
            linestyle="none",
            markersize=3,
            markerfacecolor="white",
            markeredgecolor=GREY,
            markeredgewidth=0.8,
            zorder=3,
        )


@checked
def unavailability(
    summaries: pd.DataFrame,
    *,
    of: Literal["reads", "writes"] | None = None,
    confidence: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """The longest time without an `ok` after a fault, for each run: see `measure_bars`.

    `of`: the kind of operation; None: the longer time of both kinds.
    """
    return measure_bars(
        summaries, "unavailability" if of is None else f"unavailability_{of}", confidence=confidence, ax=ax
    )
