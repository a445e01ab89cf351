"""What an operation costs in messages, by kind; and how many operations were answered in time, window by window."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sim.analysis.measures import in_window
from sim.analysis.plots.style import GREY, colours, empty, one_axes, runs_of
from sim.analysis.plots.timelines import nice_width
from sim.analysis.quantities import decimals_for
from sim.arguments import checked

__all__ = ["availability_windows", "message_bars"]


@checked
def message_bars(kinds: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """The messages between replicas that an operation costs, a bar for each kind, a block for each run.

    Args:
        kinds: rows of `sim.analysis.message_kinds.messages_by_kind`.
    """
    if not len(kinds):
        return empty(one_axes(ax), "no messages between replicas, or no operation that succeeded")
    runs = runs_of(kinds)
    palette = colours(runs)
    block = {run: 1.5 * number for number, run in enumerate(runs)}
    at = np.arange(len(kinds)) + kinds["run"].map(block).to_numpy(dtype=float)
    counts = kinds["messages"].to_numpy(dtype=float)
    ax = one_axes(ax, height=1.1 + 0.23 * (len(kinds) + 1.5 * len(runs)))
    ax.barh(at, counts, 0.82, color=[palette[run] for run in kinds["run"]])
    digits = decimals_for(counts, significant=2, most=2)
    for place, count in zip(at, counts, strict=True):
        text = f"{count:,.{digits}f}"
        ax.annotate(text, (count, place), (4, 0), textcoords="offset points", va="center", fontsize=7)
    for run in runs:
        mine = (kinds["run"] == run).to_numpy()
        said = f"{run}: {counts[mine].sum():,.{digits}f} in all".removeprefix(": ")
        ax.annotate(
            said, (0.0, at[mine][0] - 0.95), (3, 0), textcoords="offset points", va="center", fontsize=8,
            color=GREY, weight="bold",
        )  # fmt: skip
    ax.set_yticks(at, kinds["kind"].tolist())
    ax.set_ylim(at[-1] + 0.7, at[0] - 1.6)
    ax.set_xlim(0.0, 1.1 * counts.max())
    ax.grid(False, axis="y")
    ax.set_xlabel("replica messages per operation")
    return ax


@checked
def availability_windows(
    operations: pd.DataFrame,
    *,
    duration: float,
    warmup: float = 0.0,
    within: float = 1.0,
    width: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The share of the operations called in each window of time that succeeded in time, a lane for each run.

    Seeds are pooled. A window without a call is white. An operation called less than `within` before the end, and not
    answered by then, is left out: nobody knows.

    Args:
        operations: of one run, or of several with the column `run`.
        duration, warmup: seconds; the chart shows [warmup, duration].
        within: seconds from the call to an `ok` that counts.
        width: the width of a window in seconds; None: about sixty windows.

    Raises:
        ValueError: `within` or `width` is not positive.
    """
    for name, value in (("within", within), ("width", width)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be positive (seconds), got {value!r}")
    called = in_window(operations, duration, warmup)
    taken = called["returned"] - called["called"]
    good = (called["status"] == "ok") & (taken <= within)
    known = good | (called["called"] + within <= duration) | (called["status"] == "fail")
    called = called[known].assign(good=good[known])
    if not len(called):
        return empty(one_axes(ax), f"no operations were called from {warmup:g} s to {duration:g} s")
    step = nice_width(duration - warmup) if width is None else width
    edges = np.append(np.arange(warmup, duration, step), duration)
    runs = runs_of(called)
    rows = []
    for run in runs:
        mine = called[called["run"] == run] if "run" in called.columns else called
        times = mine["called"].to_numpy(dtype=float)
        calls = np.histogram(times, edges)[0].astype(float)
        served = np.histogram(times[mine["good"].to_numpy(dtype=bool)], edges)[0]
        rows.append(100.0 * served / np.where(calls > 0, calls, np.nan))
    ax = one_axes(ax, height=1.3 + 0.34 * len(runs))
    ax.grid(False)
    mesh = ax.pcolormesh(
        edges, np.arange(len(runs) + 1) - 0.5, np.array(rows), cmap="cividis", vmin=0.0, vmax=100.0
    )
    ax.set_yticks(range(len(runs)), runs)
    ax.set_ylim(len(runs) - 0.5, -0.5)
    ax.set_xlim(warmup, duration)
    ax.set_xlabel("time of the call (s)")
    figure = ax.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(mesh, ax=ax, pad=0.02, ticks=[0, 50, 100])
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7)
    bar.set_label(f"ok within {within:g} s (%)", size=8)
    return ax
