"""Charts of epidemics and of failure detectors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from sim.analysis.plots.style import (
    GREY,
    colours,
    dashes,
    dress,
    empty,
    legend,
    log_ticks,
    markers,
    one_axes,
    runs_of,
)
from sim.arguments import checked

__all__ = ["detection_tradeoff", "residue_by_traffic", "share_informed"]


@checked
def share_informed(
    spreads: pd.DataFrame, theory: Mapping[str, pd.Series] | None = None, *, ax: Axes | None = None
) -> Axes:
    """The share of members that know a rumour over time, one line per run; dotted: a deterministic recurrence.

    Args:
        spreads: columns `run`, `cycle` (since the rumour was written), `share` (of members that know it at its end).
        theory: run -> share by cycle, drawn in the colour of the run.
    """
    ax = one_axes(ax)
    if not len(spreads):
        return empty(ax, "nobody spread anything")
    runs = runs_of(spreads)
    palette, style, marks = colours(runs), dashes(runs), markers(runs)
    for run in runs:
        frame = spreads[spreads["run"] == run]
        x, y = frame["cycle"].to_numpy(dtype=float), 100.0 * frame["share"].to_numpy(dtype=float)
        ax.plot(
            x, y, color=palette[run], marker=marks[run], linestyle=style[run], markersize=4.0,
            linewidth=1.3, label=run,
        )  # fmt: skip
        if theory is not None and run in theory:
            line = theory[run]
            ax.plot(line.index, 100.0 * line, color=palette[run], linestyle=":", linewidth=1.6)
    if theory:
        ax.plot([], [], color=GREY, linestyle=":", linewidth=1.6, label="recurrence")
    ax.set_xlabel("cycles since the rumour was written")
    ax.set_ylabel("members that know of it (%)")
    ax.set_ylim(-2.0, 103.0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    dress(ax)
    legend(ax)
    return ax


@checked
def residue_by_traffic(points: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """The share of members that never receive a rumour, against updates sent per member, with exp(-m) as a line.

    Args:
        points: columns `run`, `k`, `traffic`, `residue`; points with residue 0 are drawn hollow at the bottom.
    """
    ax = one_axes(ax)
    if not len(points):
        return empty(ax, "no points")
    runs = runs_of(points)
    palette, style, marks = colours(runs), dashes(runs), markers(runs)
    seen = points.loc[points["residue"] > 0, "residue"]
    foot = 0.3 * float(seen.min()) if len(seen) else 1e-4
    m = np.linspace(0.8 * float(points["traffic"].min()), 1.05 * float(points["traffic"].max()), 100)
    m = m[np.exp(-m) > foot]
    ax.plot(m, np.exp(-m), color=GREY, linestyle=":", linewidth=1.6, label="exp(-m)")
    for run in runs:
        frame = points[points["run"] == run].sort_values("traffic")
        x, y = frame["traffic"].to_numpy(dtype=float), frame["residue"].to_numpy(dtype=float)
        ax.plot(x, np.maximum(y, foot), color=palette[run], linestyle=style[run], linewidth=1.0, alpha=0.6)
        for hollow in (False, True):
            here = (y == 0) == hollow
            face = "white" if hollow else palette[run]
            ax.plot(
                x[here], np.maximum(y[here], foot), linestyle="", marker=marks[run], markersize=5.5,
                color=palette[run], markerfacecolor=face, label=None if hollow else run,
            )  # fmt: skip
    if (points["residue"] == 0).any():
        ax.annotate("hollow: nobody was left out", (0.01, 0.03), xycoords="axes fraction", fontsize=7.5)
    ax.set_yscale("log")
    ax.set_ylim(bottom=0.7 * foot)
    log_ticks(ax.yaxis)
    ax.set_xlabel("traffic m (updates sent per member)")
    ax.set_ylabel("residue (share never told)")
    dress(ax)
    legend(ax)
    return ax


@checked
def detection_tradeoff(points: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Detection time against false suspicions: one line per family of detectors, one labelled point per setting.

    Args:
        points: columns `run` (the family), `setting`, `detection` (seconds), `false_per_hour` (0 is at the left edge).
    """
    ax = one_axes(ax, height=4.2)
    if not len(points):
        return empty(ax, "no points")
    runs = runs_of(points)
    palette, style, marks = colours(runs), dashes(runs), markers(runs)
    some = points.loc[points["false_per_hour"] > 0, "false_per_hour"]
    edge = 0.4 * float(some.min()) if len(some) else 1.0
    for i, run in enumerate(runs):
        frame = points[points["run"] == run].sort_values("detection")
        x = np.maximum(frame["false_per_hour"].to_numpy(dtype=float), edge)
        y = frame["detection"].to_numpy(dtype=float)
        ax.plot(
            x, y, color=palette[run], marker=marks[run], linestyle=style[run], markersize=5.5,
            linewidth=1.2, label=run,
        )  # fmt: skip
        above = i % 3 != 1  # neighbouring lines are close: the second has its labels below and to the left
        for at, value, name in zip(x, y, frame["setting"], strict=True):
            ax.annotate(
                str(name), (at, value), (5, 4) if above else (-5, -10), textcoords="offset points",
                fontsize=7, color=palette[run], ha="left" if above else "right",
            )  # fmt: skip
    ax.set_xscale("log")
    ax.margins(x=0.12, y=0.1)
    log_ticks(ax.xaxis)
    if (points["false_per_hour"] == 0).any():
        ax.axvline(edge, color=GREY, linewidth=0.8, linestyle="--")
        ax.annotate("none", (edge, 1.0), (3, -9), xycoords=("data", "axes fraction"),
                    textcoords="offset points", fontsize=7.5, color=GREY)  # fmt: skip
    ax.set_xlabel("false suspicions per hour, in the whole group")
    ax.set_ylabel("median detection time (s)")
    ax.set_ylim(bottom=0.0)
    dress(ax)
    legend(ax)
    return ax
