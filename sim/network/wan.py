"""Wide-area networks with measured latencies: EC2 regions, or your own measurements."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations, combinations_with_replacement
from math import sqrt
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Unpack

from sim.distributions import Constant, Distribution
from sim.distributions.base import positive
from sim.network.fit import BOUNDS, LEVELS, Fit, fit_one_way
from sim.network.measurements import Measured, RttTable, places_of, read_table, shipped_table, table_of
from sim.network.playback import Playback, Recording, recording_of
from sim.network.topology import Line, LinkSpec, Topology
from sim.readers import Latencies, read_latencies
from sim.readers.figures import renamed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Wan", "deviations", "wan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wan(Topology):
    """Places with measured round trips; the one-way latencies are fitted to them. See `wan`.

    Parameters
    ----------
    table:
        The measured round trips; default: EC2 regions in 2013 (Bailis), which come with the package.
    recording:
        Samples that are played back at the times at which they were measured; None: latencies are drawn.
    """

    table: RttTable = field(default_factory=shipped_table)
    recording: Recording | None = field(default=None, repr=False)

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

    @property
    def note(self) -> str:
        """The reader's note of what it used and ignored in the file; "" for the shipped table."""
        return self.table.note

    def link(self, src_place: str, dst_place: str) -> LinkSpec:
        known = (src_place, dst_place) in self._links
        spec = Topology.link(self, src_place, dst_place)
        if known:
            return spec
        row = self.table.between(self.resolve(src_place), self.resolve(dst_place))
        if row.loss:
            each_way = 1.0 - sqrt(1.0 - row.loss)
            spec = replace(spec, loss=1.0 - (1.0 - spec.loss) * (1.0 - each_way))
        played = self._played(src_place, dst_place)
        if played is not None:
            # What was measured to be lost is in the recording.
            usual = Constant(row.percentiles[0] / 2.0)
            spec = replace(spec, latency=usual, loss=self.loss, playback=played)
        self._links[src_place, dst_place] = spec
        return spec

    def _played(self, src_place: str, dst_place: str) -> Playback | None:
        if self.recording is None:
            return None
        return self.recording.between(*self.table.serving(self.resolve(src_place), self.resolve(dst_place)))

    def check_duration(self, duration: float) -> None:
        if self.recording is not None:
            self.recording.check_duration(duration)

    def calmed(self) -> Wan:
        rows = tuple(replace(row, loss=0.0) for row in self.table.rows)
        table = replace(self.table, rows=rows)
        return replace(self, loss=0.0, duplicate=0.0, burst=None, table=table, recording=None)

    def latency(self, src: str, dst: str) -> Distribution:
        row = self.table.between(src, dst)
        if row.constant:
            return Constant(row.mean / 2.0)
        fit = _fit(row)
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


def wan(
    *regions: str,
    csv: str | PathLike[str] | None = None,
    json: str | PathLike[str] | None = None,
    path: str | PathLike[str] | None = None,
    places: Mapping[str, str] | None = None,
    replay: bool = False,
    start: float | None = None,
    after: Literal["refuse", "hold", "repeat"] | None = None,
    loss_over: float | None = None,
    **line: Unpack[Line],
) -> Wan:
    """A network over measured places.

    Parameters
    ----------
    *regions:
        The regions in which replicas are placed, round robin; a region may be repeated. Without a file: ``virginia``,
        ``california``, ``oregon``, ``tokyo``, ``ireland``, ``singapore``, ``sydney``, ``saopaulo``, and the zones
        ``virginia-b``, ``virginia-c``, ``virginia-d``; Amazon's names (``us-east-1``) are understood. By default all
        regions of the table.
    path:
        Your own measurements: a file of any form that `sim.readers.latencies` knows (the first lines say which), or a
        folder of such files. ``network.note`` says what was taken and what was left.
    csv, json:
        The same, for a file that must be CSV or JSON.
    places:
        Other names for places of the file: ``{"tokyo.example.com": "tokyo"}``.
    replay:
        Play the samples of the file back instead of drawing from their distribution: at time t, a link has the latency
        and the loss that were measured at t (`sim.network.playback`). The samples need times.
    start:
        With ``replay``: the time of the file (seconds) at which the run begins. None: its first time.
    after:
        With ``replay``: what comes after the last sample. ``"refuse"`` (the default): a longer scenario is a
        ValueError; ``"hold"``: the last samples count forever; ``"repeat"``: the recording, from ``start`` on, again.
    loss_over:
        With ``replay``: None: after a lost round trip a link loses everything until the next sample. Else: the loss is
        the share of round trips lost within so many seconds around.
    **line:
        ``loss``, ``duplicate``, ``bandwidth``, ``transport``, ``burst``, ``retransmit``, ``coherence`` of all links, as
        in `sim.network.topology.LinkSpec`. A link also loses what was measured to be lost.

    Raises ValueError for an unknown region (with candidates), for a pair without measurements and for a bad file.
    Warns when your own measurements cannot be fitted within the bounds.

    The shipped figures: Bailis, "Communication Costs in Real-world Networks", 2013.
    """
    found = _read(csv, json, path, places)
    table = shipped_table() if found is None else table_of(found)
    recording = None
    if replay and found is not None:
        if loss_over is not None:
            positive("wan: loss_over (seconds)", loss_over)
        named = places_of([name for pair in found.pairs for name in (pair.src, pair.dst)])
        recording = recording_of(found, named, start, after or "refuse", loss_over)
    else:
        _refuse_unplayed(replay=replay, start=start, after=after, loss_over=loss_over)
    network = Wan(regions=regions or table.regions, table=table, recording=recording, **line)
    if found is not None and recording is None:
        _warn_of_poor_fits(network)
    return network


def _refuse_unplayed(*, replay: bool, **given: Any) -> None:
    """Refuse settings of a replay where nothing is replayed."""
    if replay:
        raise ValueError("wan: replay=True needs a file with samples and their times (csv= or path=)")
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"wan: {name}={value!r} would have no effect without replay=True")


def _read(
    csv: str | PathLike[str] | None,
    json: str | PathLike[str] | None,
    path: str | PathLike[str] | None,
    places: Mapping[str, str] | None,
) -> Latencies | None:
    """The latencies of the one given file; None if no file was given."""
    given = [
        (name, file) for name, file in (("csv", csv), ("json", json), ("path", path)) if file is not None
    ]
    if len(given) > 1:
        raise ValueError(f"wan: one file is needed, not {' and '.join(f'{n}={f!r}' for n, f in given)}")
    if not given:
        if places is not None:
            raise ValueError(f"wan: places={places!r} would have no effect without a file (path=)")
        return None
    name, file = given[0]
    found = read_latencies(file, "csv" if name == "csv" else "json" if name == "json" else "any")
    return found if places is None else renamed(found, places)


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
        row = network.table.between(a, b)
        if row.constant:
            continue
        fit = _fit(row)
        if not fit.within_bounds:
            worst = ", ".join(
                f"p{100 * level:g} {100 * off:+.0f} %"
                for level, off in zip(LEVELS[:4], fit.deviations, strict=False)
            )
            warnings.warn(
                f"{network.table.name}: no one-way latencies add up to the round trips between {a} and {b}: {worst}",
                stacklevel=3,
            )
