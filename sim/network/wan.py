"""Wide-area networks with measured latencies: EC2 regions, or your own measurements."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from itertools import combinations, combinations_with_replacement
from os import PathLike
from typing import TYPE_CHECKING, Unpack

from sim.distributions import Distribution
from sim.network.fit import BOUNDS, LEVELS, Fit, fit_one_way
from sim.network.measurements import Measured, RttTable, read_table, shipped_table
from sim.network.topology import Line, Topology

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Wan", "deviations", "wan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wan(Topology):
    """Places with measured round trips; the one-way latencies are fitted to them. See `wan`."""

    table: RttTable = field(default_factory=shipped_table)

    def _convert(self) -> None:
        if isinstance(self.regions, tuple) and isinstance(self.table, RttTable):
            self._keep(regions=tuple(self.table.resolve(place) for place in self.regions))

    def __post_init__(self) -> None:
        # Zero-argument super() does not work in a slotted dataclass.
        Topology.__post_init__(self)
        for a, b in combinations(dict.fromkeys(self.regions), 2):
            self.table.between(a, b)

    def resolve(self, place: str) -> str:
        """The name of a place of the table; replicas need not be placed there by default."""
        return self.table.resolve(place)

    def latency(self, src: str, dst: str) -> Distribution:
        fit = _fit(self.table.between(src, dst))
        x, y = self.table.serving(src, dst)
        return fit.there if x <= y else fit.back

    def median_rtt(self, a: str, b: str) -> float:
        """The measured median round trip in seconds."""
        return self.table.between(self.resolve(a), self.resolve(b)).percentiles[0]

    def deviations(self) -> pd.DataFrame:
        """How far fitted round trips between the regions are from the table; see `deviations`."""
        places = list(dict.fromkeys(self.regions))
        rows = [self.table.between(a, b) for i, a in enumerate(places) for b in places[i:]]
        return _deviations(list(dict.fromkeys(rows)))


def wan(*regions: str, csv: str | PathLike[str] | None = None, **line: Unpack[Line]) -> Wan:
    """A network over measured places.

    Parameters
    ----------
    *regions:
        The regions in which replicas are placed, round robin; a region may be repeated. Without ``csv``: ``virginia``,
        ``california``, ``oregon``, ``tokyo``, ``ireland``, ``singapore``, ``sydney``, ``saopaulo``, and the zones
        ``virginia-b``, ``virginia-c``, ``virginia-d``; Amazon's names (``us-east-1``) are understood. By default all
        regions of the table.
    csv:
        Your own measurements, in the columns of the shipped table or as samples (`sim.network.measurements`).
    **line:
        ``loss``, ``duplicate``, ``bandwidth``, ``transport``, ``burst``, ``retransmit``, ``coherence`` of all links, as
        in `sim.network.topology.LinkSpec`.

    Raises ValueError for an unknown region (with candidates), for a pair without measurements and for a bad file.
    Warns when your own measurements cannot be fitted within the bounds.

    The shipped figures: Bailis, "Communication Costs in Real-world Networks", 2013.
    """
    table = shipped_table() if csv is None else read_table(csv)
    network = Wan(regions=regions or table.regions, table=table, **line)
    if csv is not None:
        _warn_of_poor_fits(network)
    return network


def deviations(csv: str | PathLike[str] | None = None) -> pd.DataFrame:
    """How far the fitted round trips are from a table, for all its rows.

    One row for each pair of places and percentile (and the mean), with the columns ``src``, ``dst``, ``figure``,
    ``table`` and ``fitted`` (seconds), ``deviation`` (relative), ``bound`` (NaN if none) and ``symmetric`` (whether
    both directions have the same distribution).
    """
    return _deviations((shipped_table() if csv is None else read_table(csv)).rows)


def _fit(row: Measured) -> Fit:
    # Two hosts at one place are interchangeable, so both directions must have the same distribution.
    return fit_one_way(row.mean, row.percentiles, symmetric=row.src == row.dst)


def _deviations(rows: list[Measured] | tuple[Measured, ...]) -> pd.DataFrame:
    import pandas as pd

    figures = ["mean", *(f"p{round(100 * level, 3):g}" for level in LEVELS)]
    bounds = dict(zip(figures[1:], BOUNDS, strict=False))
    records = []
    for row in rows:
        fit = _fit(row)
        for name, table, fitted in zip(
            figures, (row.mean, *row.percentiles), (fit.mean, *fit.round_trip), strict=True
        ):
            bound = bounds.get(name, float("nan"))
            symmetric = fit.there == fit.back
            records.append((row.src, row.dst, name, table, fitted, fitted / table - 1.0, bound, symmetric))
    columns = ["src", "dst", "figure", "table", "fitted", "deviation", "bound", "symmetric"]
    return pd.DataFrame.from_records(records, columns=columns)


def _warn_of_poor_fits(network: Wan) -> None:
    for a, b in combinations_with_replacement(dict.fromkeys(network.regions), 2):
        fit = _fit(network.table.between(a, b))
        if not fit.within_bounds:
            worst = ", ".join(
                f"p{100 * level:g} {100 * off:+.0f} %"
                for level, off in zip(LEVELS[:4], fit.deviations, strict=False)
            )
            warnings.warn(
                f"{network.table.name}: no one-way latencies add up to the round trips between {a} and {b}: {worst}",
                stacklevel=3,
            )
