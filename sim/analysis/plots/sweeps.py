"""Charts of sweeps: a measure against a field of the scenario, and latency against throughput."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from sim.analysis.knee import knee
from sim.analysis.plots.style import (
    colours,
    dashes,
    empty,
    field_label,
    label_of,
    legend,
    log_ticks,
    markers,
    one_axes,
    runs_of,
)
from sim.analysis.quantities import column_of, quantity, scale_of
from sim.analysis.statistics import intervals
from sim.arguments import checked

__all__ = ["sweep_lines", "throughput_latency"]


def _levels(summaries: pd.DataFrame, field: str, measure: str, run: str, confidence: float) -> pd.DataFrame:
    """The mean and interval of a measure at each level of the field, sorted by level, for one run."""
    mine = summaries[summaries["run"] == run] if "run" in summaries.columns else summaries
    return intervals(mine, [measure], by=(field,), confidence=confidence).sort_values(field)


def _marker(place: int, marker: str) -> dict[str, Any]:
    """The style of a line's points: every second line has larger, hollow points, so that all points are visible."""
    hollow = place % 2 == 1
    return {
        "marker": marker,
        "markersize": 6.5 if hollow else 4.5,
        "markerfacecolor": "none" if hollow else None,
    }


def _reach(frame: pd.DataFrame, factor: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distances from each mean to the lower and the upper end of its interval."""
    low, mean, high = (frame[side].to_numpy(dtype=float) * factor for side in ("low", "mean", "high"))
    return np.nan_to_num(mean - low), np.nan_to_num(high - mean)


def _mark_bounds(
    ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], frame: pd.DataFrame, colour: str
) -> None:
    """Draw an arrow above each point that is only a lower bound."""
    for at, value in zip(x[frame["at_least"]], y[frame["at_least"]], strict=True):
        ax.annotate(
            "", (at, value), (0, 16), textcoords="offset points",
            arrowprops={"arrowstyle": "<|-", "color": colour, "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip


def _mark_knee(
    ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], frame: pd.DataFrame, colour: str
) -> str:
    """Draw a ring around the knee, if the points show one (bounds do not count). Returns its name for the legend."""
    place = knee(x, np.where(frame["at_least"], np.nan, y))
    if place is None:
        return ""
    ax.plot(x[place], y[place], "o", markersize=13, markerfacecolor="none", color=colour, markeredgewidth=1.1)
    return f"knee: {float(f'{x[place]:.3g}'):,g} op/s"


@checked
def sweep_lines(
    summaries: pd.DataFrame,
    field: str,
    measure: str,
    *,
    log: bool = False,
    confidence: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """A measure against a numeric swept field: one line per run, with its interval over seeds as a band.

    An arrow upwards marks a value that is only a lower bound.

    Args:
        summaries: one row per run, seed and level, with columns `run`, `seed`, `field` and `measure`.
        field: the column that was varied.
        measure: the column to draw.
        log: whether the axis of the measure is logarithmic.
        confidence: of the intervals.
    """
    known = quantity(measure)
    if not len(summaries) or not summaries[measure].notna().any():
        return empty(one_axes(ax), f"no {known.label}: no run has it")
    field = column_of(summaries, field)
    runs = runs_of(summaries)
    found = {run: _levels(summaries, field, measure, run, confidence) for run in runs}
    scale = scale_of(known, [value for frame in found.values() for value in frame["mean"]])
    ax = one_axes(ax)
    palette, style, marks = colours(runs), dashes(runs), list(markers(runs).values())
    for i, (run, frame) in enumerate(found.items()):
        x = frame[field].to_numpy(dtype=float)
        mean, low, high = (
            frame[side].to_numpy(dtype=float) * scale.factor for side in ("mean", "low", "high")
        )
        ax.plot(
            x,
            mean,
            color=palette[run],
            linestyle=style[run],
            linewidth=1.5,
            label=run,
            **_marker(i, marks[i]),
        )
        ax.fill_between(x, low, high, color=palette[run], alpha=0.18, linewidth=0)
        _mark_bounds(ax, x, mean, frame, palette[run])
    ax.set_xlabel(field_label(field))
    ax.set_ylabel(label_of(known, scale))
    if log:
        ax.set_yscale("log")
        log_ticks(ax.yaxis)
    if runs != [""]:
        legend(ax)
    return ax


@checked
def throughput_latency(
    summaries: pd.DataFrame,
    load: str,
    *,
    latency: str = "p99",
    confidence: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Latency against the reached throughput as the load grows (hockey stick): one line per run.

    Points are means over seeds, with the intervals of both measures. They are joined in order of load, so a curve
    bends back if more load reduces throughput. An arrow upwards marks a latency that is only a lower bound. A ring
    marks the knee (`sim.analysis.knee`) where the points show it, and the legend names its throughput.

    Args:
        summaries: one row per run, seed and load, with columns `run`, `seed`, `load`, `throughput` and `latency`.
        load: the column that was varied, such as the arrival rate or the number of clients.
        latency: the column of the y axis.
        confidence: of the intervals.
    """
    for name in ("throughput", latency):
        if not len(summaries) or not summaries[name].notna().any():
            return empty(one_axes(ax), f"no {quantity(name).label}: no run has it")
    load = column_of(summaries, load)
    runs = runs_of(summaries)
    across = {run: _levels(summaries, load, "throughput", run, confidence) for run in runs}
    up = {run: _levels(summaries, load, latency, run, confidence) for run in runs}
    scale = scale_of(quantity(latency), [value for frame in up.values() for value in frame["mean"]])
    ax = one_axes(ax)
    palette, style, marks = colours(runs), dashes(runs), list(markers(runs).values())
    knees: dict[str, str] = {}
    for i, run in enumerate(runs):
        x, y = across[run]["mean"].to_numpy(dtype=float), up[run]["mean"].to_numpy(dtype=float) * scale.factor
        left, right = _reach(across[run], 1.0)
        below, above = _reach(up[run], scale.factor)
        ax.errorbar(
            x,
            y,
            xerr=[left, right],
            # A logarithmic axis cannot show an interval that reaches zero: it is cut off at a tenth of the mean.
            yerr=[np.minimum(below, 0.9 * y), above],
            color=palette[run],
            linestyle=style[run],
            linewidth=1.5,
            elinewidth=0.9,
            capsize=2,
            **_marker(i, marks[i]),
        )
        _mark_bounds(ax, x, y, up[run], palette[run])
        knees[run] = _mark_knee(ax, x, y, up[run], palette[run])
    ax.set_xlim(left=0.0)
    ax.set_yscale("log")
    ax.margins(y=0.1)
    log_ticks(ax.yaxis)
    ax.set_xlabel(label_of(quantity("throughput"), scale_of(quantity("throughput"), [])))
    ax.set_ylabel(label_of(quantity(latency), scale))
    named = {run: f"{run} ({knees[run]})" if run and knees[run] else run or knees[run] for run in runs}
    if any(named.values()):
        legend(
            ax,
            [
                Line2D(
                    [], [], color=palette[run], linestyle=style[run], label=named[run], **_marker(i, marks[i])
                )
                for i, run in enumerate(runs)
            ],
        )
    return ax
