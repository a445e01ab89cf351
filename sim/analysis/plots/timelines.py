"""A run over time: throughput and latency, with the faults in the background."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from sim.analysis.measures import in_window, quantile_name
from sim.analysis.measures import timeline as timeline_frame
from sim.analysis.outages import fault_spans
from sim.analysis.plots.style import (
    DASHES,
    GREY,
    SHADE,
    colours,
    dashes,
    empty,
    label_of,
    legend,
    log_ticks,
    runs_of,
    stacked_axes,
)
from sim.analysis.quantities import Quantity, quantity, scale_of
from sim.analysis.statistics import AT_LEAST, mean_interval
from sim.arguments import checked

__all__ = ["nice_width", "shade_faults", "timeline"]

_LATENCY = Quantity("latency", "latency", "s")
_BAND = 5
"""The smallest number of seeds for which intervals are drawn; with fewer seeds they are too wide to be useful."""

_SIZE, _GAP = 7.5, 3.0
"""The font size of the names of faults, and their distance from the start of the fault, in points."""
_LETTER = 0.58
"""The mean width of a letter, relative to the font size."""


def nice_width(span: float, bins: int = 60) -> float:
    """The bin width (1, 2 or 5 times a power of ten) that divides `span` seconds into about `bins` bins."""
    rough = span / bins
    power = 10.0 ** math.floor(math.log10(rough))
    return float(power * min((1, 2, 5, 10), key=lambda step: abs(math.log(step * power / rough))))


def _groups(frame: pd.DataFrame, run: str) -> Iterator[pd.DataFrame]:
    """The rows of a run, in one frame for each seed."""
    mine = frame[frame["run"] == run] if "run" in frame.columns else frame
    if "seed" not in mine.columns:
        yield mine
    else:
        yield from (part for _, part in mine.groupby("seed", sort=False))


def _merged(spans: pd.DataFrame) -> list[tuple[float, float]]:
    """The union of the spans, as disjoint intervals (start, end)."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(zip(spans["start"].tolist(), spans["end"].tolist(), strict=True)):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def shade_faults(axes: Iterable[Axes], events: pd.DataFrame, *, duration: float, most: int = 6) -> None:
    """Shade the times of faults, and write the names of the faults at the top of the first Axes, if there are few.

    The x axis is in seconds. Faults of several runs and seeds with the same start have one name; if they affect
    different nodes, the name is only their kind. With more than `most` starts, there are no names.
    """
    panels = list(axes)
    parts = [part for run in runs_of(events) for part in _groups(events, run)]
    found = [fault_spans(part, duration=duration) for part in parts]
    spans = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["start", "end"])
    for start, end in _merged(spans):
        for ax in panels:
            ax.axvspan(start, end, color=SHADE, alpha=0.6, linewidth=0, zorder=0)
    by_start = list(spans.groupby("start"))
    if by_start and len(by_start) <= most:
        names: list[tuple[float, str]] = []
        for when, group in by_start:
            labels, kinds = list(dict.fromkeys(group["label"])), list(dict.fromkeys(group["event"]))
            names.append((float(np.asarray(when)), labels[0] if len(labels) == 1 else " / ".join(kinds)))
        _name_faults(panels[0], names)


def _name_faults(ax: Axes, names: Sequence[tuple[float, str]]) -> None:
    """Write each name at its time (ascending) at the top, in the first row without overlap."""
    left, right = ax.get_xlim()
    figure = ax.get_figure(root=True)
    assert figure is not None
    points = 72.0 * figure.get_figwidth() * ax.get_position().width
    taken: list[float] = []  # the right end of the text in each row, in points
    for when, name in names:
        begin = points * (when - left) / (right - left) + _GAP
        width = _LETTER * _SIZE * len(name)
        flip = begin + width > points and begin - 2 * _GAP > width  # no room to the right
        if flip:
            begin -= 2 * _GAP + width
        row = next((row for row, end in enumerate(taken) if begin > end), len(taken))
        taken[row:] = [begin + width, *taken[row + 1 :]]
        ax.annotate(
            name,
            (when, 1.0),
            (-_GAP if flip else _GAP, -_GAP - 1.3 * _SIZE * row),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right" if flip else "left",
            va="top",
            fontsize=_SIZE,
            color=GREY,
        )


def _throughput(ax: Axes, seeds: list[pd.DataFrame], colour: str, style: Any, label: str) -> float:
    """Draw the mean over seeds in each bin, and its interval if there are enough seeds; returns the largest mean."""
    values = np.array([frame["throughput"].to_numpy(dtype=float) for frame in seeds])
    edges = np.append(seeds[0]["start"], seeds[0]["end"].iloc[-1])
    mean = values.mean(axis=0)
    ax.stairs(mean, edges, color=colour, linestyle=style, linewidth=1.4, label=label, baseline=None)
    if len(seeds) >= _BAND:
        found = [mean_interval(column, least=0.0) for column in values.T]
        low, high = (np.array([getattr(one, side) for one in found]) for side in ("low", "high"))
        ax.stairs(high, edges, baseline=low, color=colour, alpha=0.15, fill=True, linewidth=0)
    return float(mean.max())


def _latency(ax: Axes, frame: pd.DataFrame, name: str, factor: float, colour: str, style: Any) -> None:
    """Draw one quantile as a step over each bin, so that no line rises before its cause.

    A triangle marks bins in which it is only a lower bound.
    """
    middle = (frame["start"] + frame["end"]).to_numpy(dtype=float) / 2
    values = frame[name].to_numpy(dtype=float) * factor
    edges = np.append(frame["start"], frame["end"].iloc[-1])
    ax.stairs(values, edges, color=colour, linestyle=style, linewidth=1.4, baseline=None)
    bounded = frame[name + AT_LEAST].to_numpy(dtype=float) > 0
    if bounded.any():
        ax.plot(middle[bounded], values[bounded], color=colour, marker="^", markersize=4, linestyle="none")


@checked
def timeline(
    operations: pd.DataFrame,
    events: pd.DataFrame,
    *,
    duration: float,
    warmup: float = 0.0,
    width: float | None = None,
    quantiles: Sequence[float] | None = None,
    ax: Any = None,
) -> np.ndarray[Any, Any]:
    """Throughput (above) and latency (below) over time, faults shaded.

    Throughput is the mean over seeds, with its 95 % interval for five seeds or more. Latency is that of the operations
    *called* in each bin, all seeds together, so that an outage shows at the time of the calls. A triangle marks a lower
    bound: some operations of that bin were not answered.

    Args:
        operations, events: of one run, or of several runs with columns `run` and `seed`.
        duration, warmup: seconds.
        width: the width of a bin in seconds; None: about sixty bins.
        quantiles: the quantiles of latency; None: median and 99th percentile for one run, only the latter for several.
        ax: None, or an array of two Axes.

    Returns:
        An array of the two Axes.
    """
    runs = runs_of(operations)
    if not len(in_window(operations, duration, warmup)):
        said = f"no operations were called from {warmup:g} s to {duration:g} s"
        return np.array([empty(one, said) for one in stacked_axes(ax, 2)], dtype=object)
    step = nice_width(duration - warmup) if width is None else width
    chosen = quantiles or ((0.5, 0.99) if len(runs) == 1 else (0.99,))
    names = [quantile_name(q) for q in chosen]
    axes = stacked_axes(ax, 2)
    upper, lower = axes
    palette, style = colours(runs), dashes(runs)
    options = {"duration": duration, "warmup": warmup}
    pooled = {
        run: timeline_frame(pd.concat(_groups(operations, run)), step, quantiles=chosen, **options)
        for run in runs
    }
    scale = scale_of(
        _LATENCY, [value for frame in pooled.values() for name in names for value in frame[name]]
    )
    tops: list[float] = []
    for run in runs:
        seeds = [timeline_frame(part, step, quantiles=(), **options) for part in _groups(operations, run)]
        tops.append(_throughput(upper, seeds, palette[run], style[run], run))
        for name, dash in zip(names, [style[run]] if len(names) == 1 else DASHES, strict=False):
            _latency(lower, pooled[run], name, scale.factor, palette[run], dash)
    upper.set_xlim(warmup, duration)
    shade_faults(axes, events, duration=duration)
    upper.set_ylim(0.0, 1.2 * max(tops) or 1.0)
    upper.set_ylabel(label_of(quantity("throughput"), scale_of(quantity("throughput"), [])))
    lower.set_xlim(warmup, duration)
    lower.set_yscale("log")
    log_ticks(lower.yaxis)
    lower.set_xlabel("time (s)")
    one = quantity(names[0]) if len(names) == 1 else _LATENCY
    lower.set_ylabel(label_of(one, scale))
    if runs != [""]:
        legend(upper)
    if len(names) > 1:
        legend(
            lower,
            [Line2D([], [], color=GREY, linestyle=d, label=n) for n, d in zip(names, DASHES, strict=False)],
        )
    return axes
