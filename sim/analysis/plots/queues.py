"""Queue lengths of many servers over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sim.analysis.plots.style import dress, empty, natural, one_axes
from sim.arguments import checked

__all__ = ["queue_heatmap", "sampled"]


def sampled(
    samples: pd.DataFrame, gauge: str, nodes: Sequence[str], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean of a gauge in each bin of time, one row per node; a value holds until the next sample.

    Shape (nodes, bins); NaN before a node's first sample.
    """
    rows = []
    for node in nodes:
        mine = samples[(samples["node"] == node) & (samples["gauge"] == gauge)].sort_values(
            "time", kind="stable"
        )
        time, value = mine["time"].to_numpy(dtype=float), mine["value"].to_numpy(dtype=float)
        if not len(time):
            rows.append(np.full(len(edges) - 1, np.nan))
            continue
        # The integral of the step function up to each edge; NaN before the first sample.
        area = np.concatenate(([0.0], np.cumsum(value[:-1] * np.diff(time))))
        index = np.searchsorted(time, edges, side="right") - 1
        at = np.where(index < 0, np.nan, area[index] + value[index] * (edges - time[index]))
        rows.append(np.diff(at) / np.diff(edges))
    return np.array(rows)


@checked
def queue_heatmap(
    samples: pd.DataFrame,
    *,
    duration: float,
    warmup: float = 0.0,
    gauge: str = "queue",
    nodes: Sequence[str] | None = None,
    bins: int = 200,
    ax: Axes | None = None,
) -> Axes:
    """The queue length of every server over time: one row per server; colours show lengths.

    Args:
        samples: of one run (`time, node, gauge, value`); a value holds until the server's next sample.
        duration, warmup: seconds; the chart shows [warmup, duration].
        gauge: the name of the gauge.
        nodes: the rows from the top; None: all nodes with the gauge, by name.
        bins: the number of bins of time; each shows its mean.

    Raises:
        ValueError: there are samples, but none of this gauge.
    """
    if not len(samples):
        return empty(one_axes(ax), "no samples were taken")
    mine = samples[samples["gauge"] == gauge]
    if not len(mine):
        known = list(dict.fromkeys(samples["gauge"]))
        raise ValueError(f"no sample of gauge {gauge!r}; there are {known}")
    rows = sorted(map(str, mine["node"].unique()), key=natural) if nodes is None else list(nodes)
    edges = np.linspace(warmup, duration, bins + 1)
    values = sampled(mine, gauge, rows, edges)
    ax = one_axes(ax, height=1.4 + min(4.0, 0.24 * len(rows)))
    ax.grid(False)
    mesh = ax.pcolormesh(
        edges, np.arange(len(rows) + 1) - 0.5, values, cmap="cividis", vmin=0.0, rasterized=True
    )
    # With more than 25 servers, only some are labelled.
    every = -(-len(rows) // 25)
    ax.set_yticks(range(0, len(rows), every), rows[::every])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(warmup, duration)
    ax.set_xlabel("time (s)")
    figure = ax.get_figure(root=True)
    if figure is not None:
        bar = figure.colorbar(mesh, ax=ax, pad=0.02)
        dress(bar.ax)
        bar.ax.grid(False)
        bar.outline.set_visible(False)
        bar.set_label(
            f"{gauge.replace('_', ' ')} length" if gauge == "queue" else gauge.replace("_", " "), size=9
        )
    return ax
