"""The chart of a frontier: each setting at its values of two measures, with intervals; what is beaten is grey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from sim.analysis.plots.style import GREY, PALETTE, empty, label_of, legend, log_ticks, one_axes
from sim.analysis.quantities import Scale, decimals_for, quantity, scale_of
from sim.arguments import checked

__all__ = ["frontier_chart"]

_WIDE, _HIGH = 12.0, 9.0  # the room that a number takes, in points
_LINE = 0.17  # the height of a line of the legend, in inches


@checked
def frontier_chart(
    found: pd.DataFrame, measures: Sequence[str], *, log: bool = False, ax: Axes | None = None
) -> Axes:
    """The settings of `sim.analysis.frontier.frontier`: the first measure along x, the second along y.

    Settings on the frontier are coloured, and dominated ones grey. Bars are intervals over seeds. The legend names the
    settings by number, with their values of further measures. With two measures, a line joins the settings whose means
    are beaten by no other mean.

    Args:
        found: the frame of `frontier`.
        measures: the measures of the frontier, two or more.
        log: whether the axis of the first measure is logarithmic.
    """
    if len(measures) < 2:
        raise ValueError(f"a chart of a frontier needs at least two measures, got {list(measures)!r}")
    shown = found[found["status"] != "no value"]
    if not len(shown):
        return empty(one_axes(ax), "no setting has a value of each measure")
    known = [quantity(name) for name in measures]
    scales = [scale_of(one, shown[one.name]) for one in known]
    ax = one_axes(ax, height=3.4 + _LINE * len(shown))
    for status, style in (("dominated", {"color": GREY, "alpha": 0.7}), ("frontier", {"color": PALETTE[0]})):
        rows = shown[shown["status"] == status]
        if len(rows):
            (x, left_right), (y, below_above) = (
                _points(rows, name, scale) for name, scale in zip(measures[:2], scales[:2], strict=True)
            )
            face = "none" if status == "dominated" else None
            ax.errorbar(
                x, y, xerr=left_right, yerr=below_above, linestyle="none", marker="o", markersize=5,
                markerfacecolor=face, elinewidth=0.9, capsize=2, zorder=3, **style,
            )  # fmt: skip
    if len(measures) == 2:
        _join(ax, shown, measures, scales)
    ax.set_xlabel(label_of(known[0], scales[0]))
    ax.set_ylabel(label_of(known[1], scales[1]))
    ax.margins(x=0.12, y=0.12)
    if log:
        ax.set_xscale("log")
        log_ticks(ax.xaxis)
    _number(ax, shown, measures, scales)
    return ax


def _points(
    rows: pd.DataFrame, measure: str, scale: Scale
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """The means of a measure, and the distances to the lower and the upper end of its intervals."""
    mean, low, high = (
        rows[column].to_numpy(dtype=float) * scale.factor
        for column in (measure, f"{measure}_low", f"{measure}_high")
    )
    return mean, [np.nan_to_num(mean - low), np.nan_to_num(high - mean)]


def _join(ax: Axes, shown: pd.DataFrame, measures: Sequence[str], scales: Sequence[Scale]) -> None:
    """A line through the settings that no mean beats, where less of both measures is better."""
    if any(quantity(name).better != "lower" for name in measures[:2]):
        return
    x, y = (shown[name].to_numpy(dtype=float) * s.factor for name, s in zip(measures, scales, strict=True))
    best: list[tuple[float, float]] = []
    for at in np.lexsort((y, x)):
        if not best or y[at] < best[-1][1]:
            best.append((float(x[at]), float(y[at])))
    ax.plot(
        *zip(*best, strict=True), color=PALETTE[0], linewidth=0.9, alpha=0.5, drawstyle="steps-post", zorder=2
    )


def _number(ax: Axes, shown: pd.DataFrame, measures: Sequence[str], scales: Sequence[Scale]) -> None:
    """A number beside each setting, moved up where it would cover another one; the legend says what it stands for."""
    figure: Any = ax.get_figure(root=True)
    figure.draw_without_rendering()
    x, y = (
        shown[name].to_numpy(dtype=float) * s.factor for name, s in zip(measures[:2], scales[:2], strict=True)
    )
    at = ax.transData.transform(np.column_stack([x, y])) * 72.0 / figure.dpi
    taken: list[tuple[float, float]] = []
    handles = []
    for number, i in enumerate(np.lexsort((y, x)), 1):
        height = at[i, 1] + 7.0
        while any(abs(at[i, 0] - a) < _WIDE and abs(height - h) < _HIGH for a, h in taken):
            height += 1.0
        taken.append((at[i, 0], height))
        beaten = shown["status"].iloc[i] == "dominated"
        colour = GREY if beaten else PALETTE[0]
        ax.annotate(
            str(number), (x[i], y[i]), (6, height - at[i, 1]), textcoords="offset points",
            va="center", ha="left", fontsize=8, color=colour,
        )  # fmt: skip
        label = f"{number}  {_label(shown.iloc[i].to_dict(), measures[2:], scales[2:])}"
        face = "none" if beaten else None
        looks: dict[str, Any] = {"color": colour, "markerfacecolor": face, "label": label}
        handles.append(Line2D([], [], linestyle="none", marker="o", markersize=5, **looks))
    legend(ax, handles)


def _label(row: dict[Any, Any], rest: Sequence[str], scales: Sequence[Scale]) -> str:
    """The setting, and the measures that have no axis: "Raft (cost 0.52 /h)"."""
    more = []
    for name, scale in zip(rest, scales, strict=True):
        value = float(row[name]) * scale.factor
        unit = f" {scale.unit}" if scale.unit else ""
        digits = decimals_for([value], most=2)
        more.append(f"{quantity(name).label} {row[f'{name}_bound']}{value:,.{digits}f}{unit}")
    return f"{row['setting']} ({', '.join(more)})" if more else str(row["setting"])
