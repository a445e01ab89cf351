"""How stale the reads of clients are: the share of reads that are at most so far behind."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sim.analysis.plots.style import colours, dashes, empty, label_of, legend, one_axes, runs_of
from sim.analysis.quantities import Quantity, scale_of
from sim.arguments import checked

__all__ = ["staleness_cdf"]

_STALENESS = Quantity("staleness", "staleness of a read", "s", "lower")


def _name(run: str, times: np.ndarray) -> str:
    """The label of a curve: the run, and the percentage of its reads that were stale."""
    if not len(times):
        return f"{run} (no reads)".strip()
    stale = 100.0 * float((times > 0).mean())
    said = "all fresh" if stale == 0 else f"{'< 0.1' if stale < 0.1 else format(stale, '.1f')} % stale"
    return f"{run} ({said})".strip()


@checked
def staleness_cdf(
    reads: pd.DataFrame, *, duration: float, warmup: float = 0.0, ax: Axes | None = None
) -> Axes:
    """The fraction of reads that are at most so stale, a line for each run; it begins with the fresh ones, at 0.

    Staleness is the time since the version that was read was replaced. From a history alone it is a lower bound
    (`sim.analysis.checks.staleness`). Reads of values that nobody wrote do not count: they have no age.

    Args:
        reads: rows of `sim.analysis.checks.staleness` (columns `called` and `t`, seconds), of several runs with a
            column `run`.
        duration, warmup: seconds; reads called in [warmup, duration) count.
    """
    window = reads[(reads["called"] >= warmup) & (reads["called"] < duration) & reads["t"].notna()]
    if not len(window):
        return empty(one_axes(ax), f"no reads were answered from {warmup:g} s to {duration:g} s")
    runs = runs_of(reads)
    of = {
        run: np.sort(
            (window[window["run"] == run] if "run" in window.columns else window)["t"].to_numpy(float)
        )
        for run in runs
    }
    longest = float(window["t"].max())
    scale = scale_of(_STALENESS, window.loc[window["t"] > 0, "t"])
    edge = 1.05 * longest * scale.factor if longest > 0 else 1.0
    ax = one_axes(ax)
    palette, style = colours(runs), dashes(runs)
    for run, times in of.items():
        if len(times):
            x, last = np.unique(times, return_index=False, return_counts=True)
            y = np.cumsum(last) / len(times)
            if x[0] > 0:
                x, y = np.concatenate(([0.0], x)), np.concatenate(([0.0], y))
            x, y = np.concatenate((x * scale.factor, [edge])), np.concatenate((y, [1.0]))
        else:
            x = y = np.empty(0)
        ax.plot(
            x,
            y,
            drawstyle="steps-post",
            color=palette[run],
            linestyle=style[run],
            label=_name(run, times),
            linewidth=1.6,
        )
    ax.set_xlim(0.0, edge)
    low = min(float((times <= 0).mean()) for times in of.values() if len(times))
    ax.set_ylim(max(0.0, low - 0.1 * (1.0 - low) - 0.01), 1.005)
    ax.set_xlabel(label_of(_STALENESS, scale))
    ax.set_ylabel("fraction of reads at most so stale")
    legend(ax)
    return ax
