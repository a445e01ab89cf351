"""Charts of load balancing: goodput over time and against offered load, shares of servers, keys moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sim.analysis.measures import imbalance
from sim.analysis.plots.style import (
    GREY,
    SHADE,
    colours,
    dashes,
    dress,
    empty,
    legend,
    markers,
    one_axes,
    runs_of,
)
from sim.arguments import checked

__all__ = ["goodput_by_load", "goodput_over_time", "keys_moved_bars", "server_shares"]


@checked
def goodput_over_time(
    timelines: pd.DataFrame, *, shade: tuple[float, float] | None = None, ax: Axes | None = None
) -> Axes:
    """Goodput over time, one line per run, and the offered load.

    Args:
        timelines: `sim.analysis.balancing_measures.goodput_timeline` of each run, with its label in column `run`.
        shade: start and end (seconds) of a disturbance, drawn as a grey area.
    """
    ax = one_axes(ax)
    if not len(timelines):
        return empty(ax, "no requests")
    runs = runs_of(timelines)
    palette, style = colours(runs), dashes(runs)
    if shade is not None:
        ax.axvspan(*shade, color=SHADE, linewidth=0, label="trigger")
    first = timelines if runs == [""] else timelines[timelines["run"] == runs[0]]
    ax.stairs(
        first["offered"],
        _edges(first),
        color=GREY,
        linewidth=1.0,
        linestyle=":",
        label="offered",
        baseline=None,
    )
    for run in runs:
        frame = timelines if runs == [""] else timelines[timelines["run"] == run]
        ax.stairs(
            frame["goodput"], _edges(frame), color=palette[run], linestyle=style[run], linewidth=1.5,
            label=run or "goodput", baseline=None,
        )  # fmt: skip
    ax.set_xlabel("time (s)")
    ax.set_ylabel("goodput (requests/s)")
    ax.set_ylim(bottom=-0.02 * float(timelines["offered"].max()))  # so that a line at zero is visible
    dress(ax)
    legend(ax)
    return ax


def _edges(frame: pd.DataFrame) -> list[float]:
    """The edges of bins of equal width (seconds)."""
    starts = frame["time"].tolist()
    return [*starts, starts[-1] + (starts[-1] - starts[-2] if len(starts) > 1 else 1.0)]


@checked
def goodput_by_load(points: pd.DataFrame, *, capacity: float | None = None, ax: Axes | None = None) -> Axes:
    """Goodput against offered load, one line per run; on the diagonal, the whole offered load is served.

    Args:
        points: columns `run`, `offered`, `goodput` (requests per second).
        capacity: the largest possible goodput of the servers (requests per second), drawn as a line.
    """
    ax = one_axes(ax)
    if not len(points):
        return empty(ax, "no requests")
    runs = runs_of(points)
    palette, style, marks = colours(runs), dashes(runs), markers(runs)
    most = float(points["offered"].max())
    ax.plot([0.0, most], [0.0, most], color=GREY, linewidth=1.0, linestyle=":", label="all that is offered")
    if capacity is not None:
        ax.axhline(capacity, color=GREY, linewidth=1.0, linestyle="--", label="capacity")
    for run in runs:
        frame = points if runs == [""] else points[points["run"] == run]
        mean = frame.groupby("offered")["goodput"].mean()
        marker = marks[run]
        ax.plot(
            mean.index,
            mean,
            color=palette[run],
            marker=marker,
            linestyle=style[run],
            markersize=4.5,
            label=run or None,
        )
    ax.set_xlabel("offered load (requests/s)")
    ax.set_ylabel("goodput (requests/s)")
    ax.set_xlim(left=0.0)
    ax.set_ylim(bottom=0.0)
    dress(ax)
    legend(ax)
    return ax


@checked
def server_shares(loads: Mapping[str, Sequence[float]], *, ax: Axes | None = None) -> Axes:
    """The load of each server relative to the mean: one row of dots per policy, with Jain's index beside it.

    Args:
        loads: policy -> requests (or busy seconds) of each server.
    """
    if not loads:
        return empty(one_axes(ax), "no servers")
    ax = one_axes(ax, height=0.9 + 0.38 * len(loads))
    palette = colours(loads)
    for row, (policy, values) in enumerate(loads.items()):
        share = np.asarray(values, dtype=float) / np.mean(values)
        ax.plot(share, np.full(len(share), row), "o", color=palette[policy], alpha=0.6, markersize=5)
        jain = imbalance(values)["jain"]
        ax.annotate(f"{jain:.3f}", (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    ax.annotate("Jain", (1.01, -0.9), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=GREY)
    ax.axvline(1.0, color=GREY, linewidth=1.0, linestyle=":")
    ax.set_yticks(range(len(loads)), labels=list(loads))
    ax.set_ylim(len(loads) - 0.5, -0.5)
    ax.set_xlim(left=0.0)
    ax.set_xlabel("load of a server, relative to the mean")
    dress(ax)
    return ax


@checked
def keys_moved_bars(moved: Mapping[str, float], *, share: float, ax: Axes | None = None) -> Axes:
    """The fraction of keys that moved when members changed, one bar per policy.

    Args:
        moved: policy -> fraction in [0, 1].
        share: the fraction of servers that joined or left, drawn as a line.
    """
    if not moved:
        return empty(one_axes(ax), "no policies")
    ax = one_axes(ax, height=0.9 + 0.38 * len(moved))
    palette = colours(moved)
    for row, (policy, fraction) in enumerate(moved.items()):
        ax.barh(row, fraction, color=palette[policy], height=0.6)
        ax.annotate(f" {fraction:.1%}", (fraction, row), va="center", fontsize=8)
    ax.axvline(share, color=GREY, linewidth=1.0, linestyle="--", label=f"share of the change: {share:.1%}")
    ax.set_yticks(range(len(moved)), labels=list(moved))
    ax.invert_yaxis()
    ax.set_xlim(0.0, 1.1)
    ax.set_xlabel("fraction of keys moved")
    dress(ax)
    legend(ax)
    return ax
