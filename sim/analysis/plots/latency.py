"""Latency of several systems side by side: whole distributions, and percentiles with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from sim.analysis.measures import QUANTILES, in_window, latencies, quantile_name
from sim.analysis.plots.style import (
    GREY,
    MARKERS,
    colours,
    dashes,
    empty,
    label_of,
    legend,
    log_ticks,
    one_axes,
    runs_of,
)
from sim.analysis.quantities import Quantity, quantity, scale_of
from sim.analysis.statistics import intervals
from sim.analysis.survival import Survival
from sim.arguments import checked

__all__ = ["latency_cdf", "latency_percentiles"]

_LATENCY = Quantity("latency", "latency", "s")


def _thinned(count: int, most: int = 2000, tail: int = 1000) -> NDArray[np.intp]:
    """Indices of enough points to draw a curve of `count` points: evenly spaced points, and the whole tail."""
    if count <= most + tail:
        return np.arange(count)
    even = np.linspace(0, count - 1, most).astype(np.intp)
    return np.unique(np.concatenate((even, np.arange(count - tail, count))))


def _by_run(operations: pd.DataFrame, duration: float, warmup: float) -> dict[str, Survival]:
    window = in_window(operations, duration, warmup)
    found: dict[str, Survival] = {}
    for run in runs_of(operations):
        mine = window[window["run"] == run] if "run" in window.columns else window
        found[run] = latencies(mine, duration)
    return found


def _name(run: str, one: Survival) -> str:
    """The label of a curve: the run, and the percentage of its unanswered operations, if there are any."""
    if not one.count:
        return f"{run} (no operations)".strip()
    if not len(one.fractions):
        return f"{run} (none answered)".strip()
    unanswered = 100 * (1.0 - float(one.fractions[-1]))
    if unanswered <= 0:
        return run
    return f"{run} ({'< 0.1' if unanswered < 0.1 else format(unanswered, '.1f')} % unanswered)".strip()


def _by_nines(slower: float, _: int | None = None) -> str:
    """A fraction of slower operations, and at powers of ten its percentile: "0.01 (p99)"."""
    power = round(math.log10(slower), 9) if slower > 0 else 0.0
    return f"{slower:.10g}" + (
        f" ({quantile_name(1.0 - slower)})" if power < 0 and power == int(power) else ""
    )


@checked
def latency_cdf(
    operations: pd.DataFrame,
    *,
    duration: float,
    warmup: float = 0.0,
    tail: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """The distribution of latency of each run, seeds pooled, on a logarithmic axis of time.

    If some operations were never answered, the curve ends below 1 (Kaplan-Meier) and continues as dots with an arrow;
    the legend shows their percentage.

    Args:
        operations: of one run, or of several runs with a column `run` (and `seed`).
        duration, warmup: seconds; operations called in [warmup, duration) count.
        tail: draw the fraction *slower* than each latency, on a logarithmic axis by nines, to show the slowest ones.
    """
    found = _by_run(operations, duration, warmup)
    if not any(one.count for one in found.values()):
        return empty(one_axes(ax), f"no operations were called from {warmup:g} s to {duration:g} s")
    times = np.concatenate([one.times for one in found.values()])
    scale = scale_of(_LATENCY, times)
    ax = one_axes(ax)
    palette, style = colours(found), dashes(found)
    longest = max((one.longest for one in found.values() if one.count), default=0.0)
    edge = 1.8 * float(times.max(initial=0.0) or longest) * scale.factor
    for run, one in found.items():
        if len(one.times):
            kept = _thinned(len(one.times))
            x = np.concatenate((one.times[:1], one.times[kept])) * scale.factor
            y = np.concatenate(([0.0], one.fractions[kept]))
        else:
            x, y = np.array([edge / 100.0]), np.array([0.0])
        y = 1.0 - y if tail else y
        ax.plot(
            x,
            y,
            drawstyle="steps-post",
            color=palette[run],
            linestyle=style[run],
            label=_name(run, one),
            linewidth=1.6,
        )
        if one.count and (not len(one.fractions) or one.fractions[-1] < 1.0):
            end = min(one.longest * scale.factor, edge)
            ax.plot([x[-1], end], y[[-1, -1]], color=palette[run], linestyle=":", linewidth=1.0)
            ax.plot(
                [end], y[-1:], color=palette[run], marker=">", markersize=5, linestyle="none", clip_on=False
            )
    ax.set_xscale("log")
    if edge > 0.0:
        ax.set_xlim(right=edge)
    log_ticks(ax.xaxis)
    ax.set_xlabel(label_of(_LATENCY, scale))
    if tail:
        ax.set_yscale("log")
        log_ticks(ax.yaxis)
        ax.yaxis.set_major_formatter(FuncFormatter(_by_nines))
        ax.set_ylabel("fraction of operations slower")
    else:
        ax.set_ylim(0.0, 1.01)
        ax.set_ylabel("fraction of operations answered")
    if list(found) != [""] or not len(times):
        legend(ax)
    return ax


@checked
def latency_percentiles(
    summaries: pd.DataFrame,
    *,
    quantiles: Sequence[float] = QUANTILES,
    confidence: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Latency percentiles, one row per run: means over seeds with their intervals.

    A percentile that is only a lower bound (operations were not answered) is drawn as an arrow to the right.

    Args:
        summaries: one row per run and seed, with columns `run`, `seed`, `p50` … (rows of `summary`).
        quantiles: the quantiles to draw.
        confidence: the confidence level of the intervals.
    """
    names = [quantile_name(q) for q in quantiles]
    if not summaries.reindex(columns=names).notna().any(axis=None):
        return empty(one_axes(ax), "no latency: no run has an operation")
    found = intervals(summaries, names, confidence=confidence)
    scale = scale_of(quantity(names[0]), found["mean"])
    runs = runs_of(summaries)
    ax = one_axes(ax, height=1.2 + 0.62 * len(runs))
    palette = colours(runs)
    dodge = np.linspace(-0.24, 0.24, len(names)) if len(names) > 1 else np.zeros(1)
    for row, run in enumerate(runs):
        mine = found[found["run"] == run].set_index("measure").loc[names]
        x = mine["mean"].to_numpy(dtype=float) * scale.factor
        half = np.nan_to_num((mine["high"] - mine["mean"]).to_numpy(dtype=float) * scale.factor)
        y = row + dodge
        ax.plot(x, y, color=palette[run], linewidth=1.2, alpha=0.3, zorder=1, label=run)
        for i, bounded in enumerate(mine["at_least"]):
            ax.errorbar(
                x[i],
                y[i],
                # A logarithmic axis cannot show an interval that reaches zero: it is cut off at a tenth of x.
                xerr=[[min(half[i], 0.9 * x[i])], [half[i]]],
                color=palette[run],
                marker=">" if bounded else MARKERS[i % len(MARKERS)],
                markersize=6,
                capsize=3,
                elinewidth=1.2,
                linestyle="none",
            )
            text = f"{'≥ ' if bounded else ''}{float(f'{x[i]:.3g}'):,g}"
            ax.annotate(
                text, (x[i] + half[i], y[i]), (7, 0), textcoords="offset points", va="center", fontsize=7.5,
                color=palette[run],
            )  # fmt: skip
    ax.set_yticks(range(len(runs)), runs)
    ax.set_ylim(len(runs) - 0.5, -0.5)
    ax.set_xscale("log")
    ax.margins(x=0.1)
    log_ticks(ax.xaxis)
    ax.grid(False, axis="y")
    ax.set_xlabel(label_of(_LATENCY, scale))
    handles = [
        Line2D(
            [], [], color=GREY, marker=MARKERS[i % len(MARKERS)], linestyle="none", markersize=6, label=name
        )
        for i, name in enumerate(names)
    ]
    legend(ax, handles)
    return ax
