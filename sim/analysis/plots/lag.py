"""How far each replica is behind the one that is furthest, over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sim.analysis.plots.style import colours, dashes, empty, legend, natural, one_axes
from sim.analysis.plots.timelines import shade_faults
from sim.arguments import checked

__all__ = ["POSITIONS", "replication_lag"]

POSITIONS = ("last_applied", "applied", "executed", "commit_index", "commit", "log")
"""The gauges that say how far a replica is, the best one first."""


@checked
def replication_lag(
    samples: pd.DataFrame,
    events: pd.DataFrame,
    *,
    duration: float,
    warmup: float = 0.0,
    gauge: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """How many entries each replica is behind the furthest one, at each sample; faults are shaded.

    A replica that is down has a gap.

    Args:
        samples: of one run (`time, node, gauge, value`), taken at the same times for all nodes.
        events: of the same run.
        duration, warmup: seconds; the chart shows [warmup, duration].
        gauge: the gauge that says how far a replica is; None: the first of `POSITIONS` that there is.

    Raises:
        ValueError: there are samples, but none of this gauge.
    """
    if not len(samples):
        return empty(one_axes(ax), "no samples were taken")
    known = list(dict.fromkeys(map(str, samples["gauge"])))
    chosen = gauge if gauge is not None else next((name for name in POSITIONS if name in known), None)
    if chosen not in known:
        asked = f"gauge {chosen!r}" if chosen is not None else f"one of the gauges {', '.join(POSITIONS)}"
        raise ValueError(f"no sample of {asked}; there are {known}")
    mine = samples[samples["gauge"] == chosen]
    by_node = mine.pivot(index="time", columns="node", values="value").astype(float)
    behind = by_node.rsub(by_node.max(axis=1), axis=0)
    nodes = sorted(map(str, behind.columns), key=natural)
    ax = one_axes(ax)
    palette, style = colours(nodes), dashes(nodes)
    for node in nodes:
        line = behind[node]  # without a sample (the node is down) there is a gap
        ax.plot(
            line.index.to_numpy(dtype=float), line.to_numpy(), drawstyle="steps-post", label=node,
            color=palette[node], linestyle=style[node], linewidth=1.4,
        )  # fmt: skip
    ax.set_xlim(warmup, duration)
    ax.set_ylim(0.0, 1.25 * max(1.0, float(np.nanmax(behind.to_numpy(dtype=float)))))
    ax.set_xlabel("time (s)")
    ax.set_ylabel(f"{chosen.replace('_', ' ')}: behind the furthest (entries)")
    shade_faults([ax], events, duration=duration)
    legend(ax)
    return ax
