"""The chart of a result: what is published and expected, and over it what was simulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sim.analysis.plots.style import GREY, PALETTE, SHADE, legend, log_ticks, one_axes
from sim.validation.form import Published
from sim.validation.judging import RED, Judged

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["chart"]


def chart(published: Published, judged: Sequence[Judged], ax: Axes | None = None) -> Axes:
    """Curves over x, where the cases have a place on it; else the deviation of each figure within its tolerance."""
    if all(published.case(line.case).x is not None for line in judged):
        return _curves(published, judged, one_axes(ax))
    return _deviations(judged, one_axes(ax, height=1.0 + 0.2 * len(judged)))


def _curves(published: Published, judged: Sequence[Judged], ax: Axes) -> Axes:
    curves: dict[str, list[Judged]] = {}
    for line in judged:
        named = [published.case(line.case).series, line.figure if _several(judged) else ""]
        curves.setdefault(", ".join(part for part in named if part) or "simulated", []).append(line)
    for number, (name, lines) in enumerate(curves.items()):
        colour = PALETTE[number % len(PALETTE)]
        lines.sort(key=lambda line: published.case(line.case).x or 0.0)
        x = [published.case(line.case).x or 0.0 for line in lines]
        said = [(at, line.published) for at, line in zip(x, lines, strict=True) if line.published is not None]
        if said:
            at, heights = zip(*said, strict=True)
            ax.plot(at, heights, "o", markersize=9, markerfacecolor="none", color=colour, linestyle="none")
        wanted = [(at, line.expected) for at, line in zip(x, lines, strict=True) if line.expected is not None]
        if wanted:
            ax.plot(*zip(*wanted, strict=True), linestyle=(0, (4, 2)), linewidth=1.0, color=colour)
        bars = [3 * line.error for line in lines]
        ax.errorbar(
            x, [line.simulated for line in lines], yerr=bars, fmt=".", color=colour, label=name, capsize=2
        )
    if "x" in published.log:
        ax.set_xscale("log")
        log_ticks(ax.xaxis)
    if "y" in published.log:
        ax.set_yscale("log")
        log_ticks(ax.yaxis)
    ax.set_xlabel(published.axis)
    ax.set_ylabel(published.unit)
    ax.plot([], [], "o", markersize=9, markerfacecolor="none", color=GREY, label="published")
    if any(line.expected is not None for line in judged):
        ax.plot([], [], linestyle=(0, (4, 2)), linewidth=1.0, color=GREY, label="expected")
    legend(ax)
    return ax


def _several(judged: Sequence[Judged]) -> bool:
    return len({line.figure for line in judged}) > 1


def _deviations(judged: Sequence[Judged], ax: Axes) -> Axes:
    for row, line in enumerate(judged):
        reference = line.expected if line.expected is not None else line.published
        size = abs(reference or 1.0)
        ax.barh(row, 200 * line.tolerance, left=-100 * line.tolerance, height=0.7, color=SHADE)
        ax.errorbar(
            100 * line.deviation,
            row,
            xerr=300 * line.error / size,
            fmt="o",
            markersize=4,
            capsize=2,
            color=PALETTE[1] if line.verdict == RED else PALETTE[0],
        )
        if line.published is not None and line.expected:
            off = 100 * (line.published - line.expected) / size
            ax.plot([off], [row], "o", markersize=8, markerfacecolor="none", color=GREY)
    ax.set_yticks(
        range(len(judged)),
        [", ".join(t for t in (line.case, line.figure) if t) for line in judged],
        fontsize=7,
    )
    ax.set_ylim(len(judged) - 0.4, -0.6)
    ax.axvline(0, color=GREY, linewidth=0.8)
    ring = "; ring: published" if any(line.published is not None for line in judged) else ""
    ax.set_xlabel(f"deviation (%)\nband: tolerance{ring}")  # two lines: long names of cases leave little room
    return ax
