"""Who leads when: a lane for each member, with the faults in the background."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from sim.analysis.leadership import Reign
from sim.analysis.plots.style import PALETTE, colours, empty, legend, natural, one_axes
from sim.analysis.plots.timelines import shade_faults
from sim.arguments import checked

__all__ = ["leader_lanes"]


@checked
def leader_lanes(
    reigns: Sequence[Reign],
    events: pd.DataFrame,
    *,
    duration: float,
    warmup: float = 0.0,
    ax: Axes | None = None,
) -> Axes:
    """The times for which members led, a lane for each member that did; a cross where a crash ended one.

    Groups that have a leader each (shards) have colours. Bars above each other are members that lead at the same time,
    as they believe: a leader that was cut off does not know yet.

    Args:
        reigns: of `sim.analysis.leadership.reigns`.
        events: of the same run; their faults are shaded.
        duration, warmup: seconds; the chart shows [warmup, duration].
    """
    shown = [one for one in reigns if one.end > warmup and one.start < duration]
    if not shown:
        return empty(one_axes(ax), f"no member led from {warmup:g} s to {duration:g} s")
    nodes = sorted({one.node for one in shown}, key=natural)
    groups = list(dict.fromkeys(one.group for one in shown))
    palette = colours(groups)
    ax = one_axes(ax, height=1.5 + 0.34 * len(nodes))
    named: set[str] = set()
    for one in shown:
        start, end = max(one.start, warmup), min(one.end, duration)
        label = one.group if one.group not in named else "_"
        named.add(one.group)
        lane = nodes.index(one.node)
        ax.barh(lane, end - start, 0.6, left=start, color=palette[one.group], label=label, zorder=2)
        if one.crashed and one.end <= duration:
            ax.plot([end], [lane], marker="X", color=PALETTE[-1], markersize=6, clip_on=False, zorder=3)
    ax.set_yticks(range(len(nodes)), nodes)
    ax.set_ylim(len(nodes) - 0.5, -1.0)
    ax.set_xlim(warmup, duration)
    ax.grid(False, axis="y")
    ax.set_xlabel("time (s)")
    shade_faults([ax], events, duration=duration)
    if len(groups) > 1:
        legend(ax)
    return ax
