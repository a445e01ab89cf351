"""The anatomy of latency: what the operations of each region waited for, as stacked bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sim.analysis.anatomy import PARTS
from sim.analysis.plots.style import GREY, PALETTE, empty, label_of, legend, one_axes, runs_of
from sim.analysis.quantities import Quantity, decimals_for, scale_of
from sim.arguments import checked

__all__ = ["anatomy_bars"]

_BLUE, _VERMILION, _GREEN, _PURPLE, _ORANGE, _SKY, _BLACK = PALETTE
_LOOKS: dict[str, tuple[str, str]] = {
    "session": (_SKY, "...."),
    "client": (_SKY, ""),
    "quorum": (_BLUE, ""),
    "order": (_VERMILION, "////"),
    "core": (_GREEN, "xxxx"),
    "service": (_GREEN, ""),
    "disk": (_ORANGE, ""),
    "timer": (_PURPLE, "...."),
    "retry": (_BLACK, ""),
    "other": ("#BBBBBB", ""),
}
"""The colour and the hatching of each part: one without colours can tell them apart, too."""

_LATENCY = Quantity("latency", "mean latency", "s", "lower")


@checked
def anatomy_bars(means: pd.DataFrame, *, order: Sequence[str] = (), ax: Axes | None = None) -> Axes:
    """The mean latency of each run in each region, cut into its parts (see `sim.analysis.anatomy`).

    Behind a bar stand its length and, where a quorum was needed, the replica that was needed last most often.

    Args:
        means: rows of `mean_anatomy` by ``run`` and ``region``.
        order: the order of the regions; others follow in order of appearance.
    """
    if not len(means):
        return empty(one_axes(ax), "no latency: no operation was answered")
    runs, names = runs_of(means), [str(name) for name in means["region"].unique()]
    regions = [*(name for name in order if name in names), *(name for name in names if name not in order)]
    rows = [
        (place + 1.4 * block, region, means.loc[index])
        for place, (block, region, index) in enumerate(
            (block, region, index)
            for block, region in enumerate(regions)
            for run in runs
            for index in means.index[(means["region"] == region) & (means["run"] == run)]
        )
    ]
    ax = one_axes(ax, height=1.2 + 0.23 * (len(rows) + 1.4 * len(regions)))
    scale = scale_of(_LATENCY, means["latency"])
    at = np.array([place for place, _, _ in rows])
    shown = [part for part in PARTS if (means[part] > 1e-4 * means["latency"]).any()]
    left = np.zeros(len(rows))
    for part in shown:
        widths = scale.factor * np.array([row[part] for _, _, row in rows], dtype=float)
        ax.barh(at, widths, 0.82, left=left, **_look(part))
        left += widths
    digits = decimals_for(left, significant=2, most=2)
    for place, length, (_, _, row) in zip(at, left, rows, strict=True):
        needed = f"   {row['last']} {100 * row['last_share']:.0f} %" if row["last"] else ""
        said = f"{length:,.{digits}f}{needed}"
        ax.annotate(said, (length, place), (4, 0), textcoords="offset points", va="center", fontsize=7)
    ax.set_yticks(at, [str(row["run"]) for _, _, row in rows])
    if len(regions) > 1:
        _name_regions(ax, [(place, region) for place, region, _ in rows])
    ax.set_ylim(at[-1] + 0.7, at[0] - 1.6)
    ax.set_xlim(0.0, 1.16 * left.max())
    ax.grid(False, axis="y")
    ax.set_xlabel(label_of(_LATENCY, scale))
    handles: list[Any] = [Patch(label=PARTS[part], **_look(part)) for part in shown]
    named = means[means["last"] != ""]
    if len(named):
        first = named.iloc[0]
        told = f"{first['last']} {100 * first['last_share']:.0f} %: needed last, how often"
        handles.append(Line2D([], [], linestyle="none", label=told))
    legend(ax, handles)
    return ax


def _look(part: str) -> dict[str, Any]:
    colour, hatch = _LOOKS[part]
    return {"facecolor": colour, "hatch": hatch or None, "edgecolor": "white", "linewidth": 0.4}


def _name_regions(ax: Axes, rows: Sequence[tuple[float, str]]) -> None:
    """The name of each region above its first bar."""
    seen: set[str] = set()
    for place, region in rows:
        if region not in seen:
            seen.add(region)
            ax.annotate(
                region,
                (0.0, place - 0.95),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=GREY,
                weight="bold",
            )
