"""A measure over two swept fields, as a map of colours and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sim.analysis.plots.style import empty, field_label, label_of, one_axes
from sim.analysis.quantities import column_of, decimals_for, quantity, scale_of
from sim.analysis.statistics import intervals
from sim.arguments import checked

__all__ = ["sweep_map"]


@checked
def sweep_map(summaries: pd.DataFrame, x: str, y: str, measure: str, *, ax: Axes | None = None) -> Axes:
    """The mean of a measure over seeds, for each value of one field along x and of another along y.

    A number is marked with "≥" where the value of a seed is only a lower bound.

    Args:
        summaries: one row per seed and point, with the columns of both fields, `seed` and `measure`.
        x, y: the columns of the fields; numbers are in ascending order, other values in order of appearance.
        measure: the column to draw.

    Raises:
        ValueError: `x` and `y` are the same field.
    """
    known = quantity(measure)
    if not len(summaries) or not summaries[measure].notna().any():
        return empty(one_axes(ax), f"no {known.label}: no run has it")
    across, up = column_of(summaries, x), column_of(summaries, y)
    if across == up:
        raise ValueError(f"a map needs two fields, not {across} twice")
    found = intervals(summaries, [measure], by=(up, across))
    columns, rows = _values(summaries[across]), _values(summaries[up])
    means = found.pivot(index=up, columns=across, values="mean").reindex(index=rows, columns=columns)
    bounds = found.pivot(index=up, columns=across, values="at_least").reindex(index=rows, columns=columns)
    scale = scale_of(known, means.to_numpy(dtype=float).ravel())
    values = scale.factor * means.to_numpy(dtype=float)
    ax = one_axes(ax, width=max(6.4, 1.2 + 0.7 * len(columns)), height=1.6 + 0.42 * len(rows))
    ax.grid(False)
    mesh = ax.pcolormesh(
        np.arange(len(columns) + 1) - 0.5, np.arange(len(rows) + 1) - 0.5, values, cmap="cividis"
    )
    low, high = mesh.get_clim()
    digits = decimals_for(values.ravel(), significant=2, most=2)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            least = "≥ " if bounds.iat[row, column] == 1 else ""
            dark = value <= (low + high) / 2  # cividis begins dark
            text = f"{least}{value:,.{digits}f}"
            ax.text(
                column, row, text, ha="center", va="center", fontsize=7, color="white" if dark else "black"
            )
    ax.set_xticks(range(len(columns)), [_told(value) for value in columns])
    ax.set_yticks(range(len(rows)), [_told(value) for value in rows])
    ax.set_xlabel(field_label(across))
    ax.set_ylabel(field_label(up))
    figure = ax.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(mesh, ax=ax, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7)
    bar.set_label(label_of(known, scale), size=8)
    return ax


def _values(column: pd.Series) -> list[Any]:
    each = list(dict.fromkeys(column.tolist()))
    return sorted(each) if pd.api.types.is_numeric_dtype(column) else each


def _told(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
