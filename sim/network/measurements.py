"""Tables of measured round trips: merging both directions, and finding the row for two places.

`sim.readers.latencies` says which forms of files are read. A round trip is the same from both ends, so both directions
are merged. If their medians differ by more than a factor of five, they cannot be round trips of one pair, and the file
is refused. A link loses messages as measured: a round trip needs two of them, so each way loses ``1 - sqrt(1 - loss)``.

Names of places are free. Names in Amazon's style are understood: ``us-east-1 (Virginia)`` is a region,
called ``virginia`` here; ``us-east-1b`` is a zone of it, called ``virginia-b``; ``us-east-1b host 2`` is a host
in that zone, and the rows between hosts of a zone describe two hosts at one place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from os import PathLike
from pathlib import Path

import numpy as np

from sim.network.curves import mean_and_percentiles
from sim.network.topology import choose
from sim.readers import Latencies, read_latencies
from sim.units import ms

__all__ = ["Measured", "RttTable", "places_of", "read_table", "shipped_table", "table_of"]

_MOST_UNLIKE = 5.0  # the largest allowed ratio of the median round trips measured from the two ends
_AMAZON = re.compile(r"(?P<code>[a-z]{2}(-[a-z]+)+-\d)(?P<zone>[a-z])?( host \d+)?( \((?P<city>.+)\))?")


@dataclass(frozen=True, slots=True)
class Measured:
    """Round trips in seconds between two places (between two hosts at one place, if src and dst are the same).

    ``percentiles`` are at `sim.network.fit.LEVELS`; ``loss`` is the fraction of round trips that were lost.
    """

    src: str
    dst: str
    mean: float
    percentiles: tuple[float, ...]
    loss: float = 0.0

    @property
    def constant(self) -> bool:
        """Whether all round trips took equally long, or only one figure is known."""
        return all(x == self.mean for x in self.percentiles)


@dataclass(frozen=True, slots=True, repr=False)
class RttTable:
    """Measured round trips between places, both directions merged.

    Attributes
    ----------
    name:
        The name of the file.
    rows:
        One row for each pair of places that was measured.
    note:
        What the reader of the file took and left.
    """

    name: str
    rows: tuple[Measured, ...]
    _names: dict[str, str] = field(compare=False)  # every known spelling -> place
    _region: dict[str, str] = field(compare=False)  # zone -> its region
    note: str = field(default="", compare=False)
    _pairs: dict[tuple[str, str], Measured] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        pairs = {(row.src, row.dst): row for row in self.rows}
        pairs.update({(row.dst, row.src): row for row in self.rows})
        object.__setattr__(self, "_pairs", pairs)

    def __repr__(self) -> str:
        return f"<RttTable {self.name}: {len(self.rows)} pairs>"

    @property
    def regions(self) -> tuple[str, ...]:
        """The places that are not zones of a region, in the file's order."""
        return tuple(place for place in dict.fromkeys(self._names.values()) if place not in self._region)

    def resolve(self, place: str) -> str:
        """The place that a spelling means (``us-east-1``, ``Sao Paulo``); ValueError with candidates if none."""
        return choose(place, self._names)

    def between(self, a: str, b: str) -> Measured:
        """The row for the round trips between a host at place ``a`` and another host at place ``b``.

        Within a region, the name of the region means its zone with measured hosts. If two hosts at one place were not
        measured, the result is the row between hosts of a zone: of the same region, else of Virginia in the shipped
        table. For zones of different regions, the result is the row between the regions.

        Raises ValueError when the pair was not measured.
        """
        x, y = self.serving(a, b)
        row = self._pairs.get((x, y))
        if row is None and x == y:
            row = self._near(x)
        if row is None:
            raise ValueError(f"{self.name} has no row between {a} and {b}")
        return row

    def serving(self, a: str, b: str) -> tuple[str, str]:
        """The two places whose measurements are used for the pair ``a`` and ``b``."""
        region, other = self._region.get(a, a), self._region.get(b, b)
        return (self._zone(a), self._zone(b)) if region == other else (region, other)

    def _zone(self, place: str) -> str:
        """The zone that the name of a region means within the region: the zone with measured hosts."""
        zones = (
            zone for zone, region in self._region.items() if region == place and (zone, zone) in self._pairs
        )
        return next(zones, place) if (place, place) not in self._pairs else place

    def _near(self, place: str) -> Measured:
        """The row for two hosts at a place where no such pair was measured."""
        own = self._zone(self._region.get(place, place))
        return self._pairs.get((own, own)) or shipped_table().between("virginia", "virginia")


@cache
def shipped_table() -> RttTable:
    """Round trips between EC2 regions, zones and hosts over a week.

    Source: Bailis, "Communication Costs in Real-world Networks", 17 May 2013,
    bailis.org/blog/communication-costs-in-real-world-networks.
    """
    return read_table(Path(__file__).parent / "data" / "ec2_rtt_2013.csv")


def read_table(path: str | PathLike[str]) -> RttTable:
    """Read a file of any form that `sim.readers.latencies` knows, and merge directions.

    Raises ValueError with file, line, column and value for data that cannot be used.
    """
    return table_of(read_latencies(path))


def table_of(found: Latencies) -> RttTable:
    """The table of what a reader found."""
    rows = [Measured(pair.src, pair.dst, *mean_and_percentiles(pair), pair.loss) for pair in found.pairs]
    lossy = next((row for row in rows if not row.loss < 1.0), None)
    if lossy is not None:
        raise ValueError(
            f"{found.note.source}: every round trip from {lossy.src!r} to {lossy.dst!r} was lost"
        )
    return _build(found.note.source, rows, str(found.note))


def places_of(spellings: Sequence[str]) -> dict[str, str]:
    """Spelling in a file -> the name of the place."""
    cities = _cities(spellings)
    return {spelling: _place(spelling, cities)[0] for spelling in spellings}


def _cities(spellings: Sequence[str]) -> dict[str, str]:
    return {m["code"]: m["city"] for m in map(_AMAZON.fullmatch, spellings) if m and m["city"]}


def _build(name: str, raw: Sequence[Measured], note: str) -> RttTable:
    spellings = list(dict.fromkeys(end for row in raw for end in (row.src, row.dst)))
    cities = _cities(spellings)
    names: dict[str, str] = {}
    region: dict[str, str] = {}
    places: dict[str, str] = {}
    for spelling in spellings:
        place, aliases, inside = _place(spelling, cities)
        places[spelling] = place
        names.update(dict.fromkeys((place, spelling, *aliases), place))
        if inside is not None:
            region[place] = inside
    _refuse_unlike_directions(name, raw)
    # First the two directions, then the several pairs of hosts in one zone.
    both = _merged([(frozenset((row.src, row.dst)), row) for row in raw])
    there = [Measured(places[r.src], places[r.dst], r.mean, r.percentiles, r.loss) for r in both]
    rows = _merged([(frozenset((row.src, row.dst)), row) for row in there])
    return RttTable(name, tuple(rows), names, region, note)


def _refuse_unlike_directions(name: str, raw: Sequence[Measured]) -> None:
    there = {(row.src, row.dst): row for row in raw}
    for row in raw:
        back = there.get((row.dst, row.src))
        if back is not None and row.percentiles[0] > _MOST_UNLIKE * back.percentiles[0]:
            raise ValueError(
                f"{name}: the median round trip from {row.src!r} to {row.dst!r} is {row.percentiles[0] / ms:g} ms, but "
                f"{back.percentiles[0] / ms:g} ms from {row.dst!r} to {row.src!r}: a round trip is the same from both "
                "ends. For one-way latencies that differ use sim.network.matrix"
            )


def _place(spelling: str, cities: Mapping[str, str]) -> tuple[str, tuple[str, ...], str | None]:
    """For a name in the file: the name of the place, its other spellings, and, for a zone, its region."""
    match = _AMAZON.fullmatch(spelling)
    if match is None or match["code"] not in cities:
        return spelling, (), None
    code, zone, city = match["code"], match["zone"], cities[match["code"]]
    short = "".join(city.lower().split())
    if zone is None:
        return short, (code, city), None
    return f"{short}-{zone}", (code + zone,), short


def _merged(keyed: Sequence[tuple[frozenset[str], Measured]]) -> list[Measured]:
    """One row per key: the geometric mean of each column."""
    groups: dict[frozenset[str], list[Measured]] = {}
    for key, row in keyed:
        groups.setdefault(key, []).append(row)
    return [_geometric(rows) for rows in groups.values()]


def _geometric(rows: Sequence[Measured]) -> Measured:
    if len(rows) == 1:
        return rows[0]
    columns = np.array([(row.mean, *row.percentiles) for row in rows])
    mean, *percentiles = (float(x) for x in np.exp(np.log(columns).mean(axis=0)))
    loss = sum(row.loss for row in rows) / len(rows)
    return Measured(rows[0].src, rows[0].dst, mean, tuple(percentiles), loss)
