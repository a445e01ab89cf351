"""Latencies in CSV: a matrix, percentiles, single samples, buckets of a histogram. The columns say which."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from os import PathLike
from pathlib import Path

from sim.readers.buckets import from_buckets
from sim.readers.figures import Latencies, PairFigures, PairSamples
from sim.readers.note import Note, counted
from sim.readers.tables import CsvLine, figure, number, number_at, read_csv

__all__ = ["TABLES", "read_latency_table"]

TABLES = (
    "src,dst,rtt_ms (samples; also time, lost)",
    "src,dst,p50_ms,p99_ms,... (percentiles; also mean_ms, loss)",
    "src,dst,le,count (buckets of a histogram, in seconds)",
    "a matrix (names of places in the first line and column, round trips in ms)",
)
"""The forms of latencies in CSV."""

_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_ENDS = {
    "src": ("src", "source", "from", "region_from"),
    "dst": ("dst", "destination", "target", "to", "region_to"),
}
_FIGURE = re.compile(r"(?P<name>mean|avg|min|max|std|rtt|le|p\d+(\.\d+)?)_(?P<unit>s|ms|us)")
_YES_OR_NO = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


class _Columns:
    """The columns of a table of pairs: where the ends are, and the figures with their units."""

    def __init__(self, columns: Sequence[str]) -> None:
        plain = {name.casefold(): name for name in columns}
        self.src = next((plain[name] for name in _ENDS["src"] if name in plain), None)
        self.dst = next((plain[name] for name in _ENDS["dst"] if name in plain), None)
        self.figures: dict[str, tuple[str, float]] = {}  # "rtt", "p99", "mean" -> column, seconds a unit
        for name, column in plain.items():
            match = _FIGURE.fullmatch(name)
            if match:
                self.figures[match["name"].replace("avg", "mean")] = column, _UNITS[match["unit"]]
        if "le" in plain:
            self.figures["le"] = plain["le"], 1.0
        self.plain = plain
        used = {self.src, self.dst, *(column for column, _ in self.figures.values())}
        used |= {plain[name] for name in ("time", "lost", "loss", "count") if name in plain}
        self.others = tuple(column for column in columns if column not in used)

    @property
    def percentiles(self) -> dict[float, tuple[str, float]]:
        found = {float(name[1:]) / 100.0: at for name, at in self.figures.items() if name[0] == "p"}
        return dict(sorted(found.items()))

    def of(self, line: CsvLine, name: str) -> float | None:
        """The figure of a line in seconds; None if there is no such column, or nothing in it."""
        if name not in self.figures or not line[self.figures[name][0]]:
            return None
        column, unit = self.figures[name]
        return unit * figure(line, column, zero=name in ("std", "min"))


def read_latency_table(path: str | PathLike[str]) -> Latencies:
    """The latencies of a CSV file. Raises ValueError with file, line, column, value and the known forms."""
    columns: list[str] = []
    make: Callable[[Sequence[str], str, Iterable[CsvLine]], Latencies] = _matrix

    def check(found: Sequence[str]) -> None:
        nonlocal make
        columns.extend(found)
        made = _maker(found)
        if made is None or len(set(found)) < len(found):
            raise ValueError(
                f"the columns must be {', or '.join(TABLES)}, each column once, not {','.join(found) or 'nothing'}"
            )
        make = made

    lines = read_csv(path, check)
    first = next(lines, None)
    if first is None:
        raise ValueError(f"{path}: there are no measurements in it")
    return make(columns, Path(path).name, chain((first,), lines))


def _maker(columns: Sequence[str]) -> Callable[[Sequence[str], str, Iterable[CsvLine]], Latencies] | None:
    known = _Columns(columns)
    if known.src is None and known.dst is None:
        return _matrix if len(columns) > 1 and not known.figures else None
    if known.src is None or known.dst is None:
        return None
    if "le" in known.figures:
        return _buckets if "count" in known.plain else None
    if "rtt" in known.figures:
        return _samples
    return _percentiles if known.percentiles else None


def _ends(line: CsvLine, columns: _Columns) -> tuple[str, str]:
    ends = []
    for column in (columns.src, columns.dst):
        name = line[str(column)]
        if not name:
            raise ValueError(f"{line.where}, column {column!r}: the name of a place is needed, not {name!r}")
        ends.append(name)
    return ends[0], ends[1]


def _fraction(line: CsvLine, columns: _Columns) -> float:
    """The column ``loss``: 0 to 1, or a percentage with its sign."""
    if "loss" not in columns.plain:
        return 0.0
    column = columns.plain["loss"]
    text = line[column]
    try:
        value = number(text.removesuffix("%"), line.separator) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{line.where}, column {column!r}: a loss from 0 to 1, or 0% to 100%, not {text!r}")
    return value


def _note(source: str, form: str, took: Iterable[str], columns: _Columns, spare: Iterable[str]) -> Note:
    """``spare``: the known columns that this form does not use."""
    left = (*columns.others, *(columns.plain[name] for name in spare if name in columns.plain))
    return Note(source, form, tuple(took), tuple(f"column {name!r}" for name in left))


def _percentiles(names: Sequence[str], source: str, lines: Iterable[CsvLine]) -> Latencies:
    columns = _Columns(names)
    levels = columns.percentiles
    if any(level > 1.0 for level in levels):
        raise ValueError(f"{source}, line 1: a percentile is at most p100, not {','.join(names)}")
    pairs: dict[tuple[str, str], PairFigures] = {}
    for line in lines:
        ends = _ends(line, columns)
        if ends in pairs:
            raise ValueError(f"{line.where}: a second line from {ends[0]!r} to {ends[1]!r}")
        found: dict[float, float] = {}
        before: tuple[str, float] | None = None
        for level, (column, unit) in levels.items():
            found[level] = unit * figure(line, column, zero=False)
            if before is not None and found[level] < before[1]:
                raise ValueError(
                    f"{line.where}, column {column!r}: {line[column]} is below {before[0]!r}, {line[before[0]]}"
                )
            before = column, found[level]
        pairs[ends] = PairFigures(
            *ends,
            line.where,
            found,
            mean=columns.of(line, "mean"),
            least=columns.of(line, "min"),
            most=columns.of(line, "max"),
            loss=_fraction(line, columns),
        )
    told = ",".join(column for column, _ in levels.values())
    highest = f"p{round(100 * max(levels), 5):g}"
    took = [
        counted(len(pairs), "pair"),
        f"percentiles {told}",
        f"between them log-normal, above {highest} as {highest}" if len(levels) < 7 else "as they stand",
    ]
    note = _note(source, "percentiles in CSV, by its columns", took, columns, ("time", "lost", "count"))
    return Latencies(tuple(pairs.values()), note)


def _samples(names: Sequence[str], source: str, lines: Iterable[CsvLine]) -> Latencies:
    columns = _Columns(names)
    timed = "time" in columns.plain
    found: dict[tuple[str, str], tuple[str, list[float], list[float | None]]] = {}
    for line in lines:
        _, times, trips = found.setdefault(_ends(line, columns), (line.where, [], []))
        if timed:
            times.append(_time(line, columns.plain["time"]))
        trips.append(None if _lost(line, columns) else columns.of(line, "rtt"))
    pairs = tuple(
        PairSamples(*ends, where, tuple(times) if timed else None, tuple(trips))
        for ends, (where, times, trips) in found.items()
    )
    count = sum(len(pair.round_trips) for pair in pairs)
    lost = sum(pair.round_trips.count(None) for pair in pairs)
    took = [counted(count, "sample"), counted(len(pairs), "pair"), f"column {columns.figures['rtt'][0]!r}"]
    if lost:
        took.append(f"{lost:,} lost: loss is their share, pair by pair")
    return Latencies(pairs, _note(source, "samples in CSV, by its columns", took, columns, ("loss", "count")))


def _time(line: CsvLine, column: str) -> float:
    return number_at(
        f"{line.where}, column {column!r}",
        line[column],
        line.separator,
        "a number of seconds",
        lambda value: abs(value) < 1e300,
    )


def _lost(line: CsvLine, columns: _Columns) -> bool:
    """Whether the sample of a line was lost: its column ``lost`` says so, or its round trip is blank."""
    rtt = columns.figures["rtt"][0]
    if "lost" not in columns.plain:
        return not line[rtt]
    column = columns.plain["lost"]
    told = _YES_OR_NO.get(line[column].casefold())
    if told is None:
        raise ValueError(f"{line.where}, column {column!r}: 0 or 1, true or false, not {line[column]!r}")
    if told == bool(line[rtt]):
        saying = f"lost, but {rtt!r} is {line[rtt]!r}" if told else f"not lost, but {rtt!r} is empty"
        raise ValueError(f"{line.where}, column {column!r}: the round trip is {saying}")
    return told


def _buckets(names: Sequence[str], source: str, lines: Iterable[CsvLine]) -> Latencies:
    columns = _Columns(names)
    le, unit = columns.figures["le"]
    found: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
    for line in lines:
        infinite = line[le].lstrip("+").casefold() in ("inf", "infinity")
        bound = float("inf") if infinite else unit * figure(line, le)
        count = figure(line, columns.plain["count"])
        found.setdefault(_ends(line, columns), []).append((line.where, bound, count))
    pairs = tuple(from_buckets(*ends, buckets) for ends, buckets in found.items())
    took = [counted(len(pairs), "pair"), "cumulative counts, linear inside a bucket"]
    form = "buckets of histograms in CSV, by its columns"
    return Latencies(pairs, _note(source, form, took, columns, ("time", "lost", "loss")))


def _matrix(names: Sequence[str], source: str, lines: Iterable[CsvLine]) -> Latencies:
    places = list(names[1:])
    if "" in places:
        raise ValueError(
            f"{source}, line 1, column {places.index('') + 2}: the name of a place is needed, not ''"
        )
    rows: dict[str, CsvLine] = {}
    for line in lines:
        place = line[names[0]]
        if place not in places:
            raise ValueError(
                f"{line.where}: {place!r} is not a place of the first line ({', '.join(places)}). "
                f"The forms known are {', '.join(TABLES)}"
            )
        if place in rows:
            raise ValueError(f"{line.where}: a second line of {place!r}")
        rows[place] = line
    cells = list(_cells(rows, places))
    if not cells:
        raise ValueError(f"{source}: there are no measurements in it")
    took = [counted(len(cells), "pair"), "round trips in ms", "one figure a pair: no variation"]
    return Latencies(tuple(cells), Note(source, "a matrix in CSV, by its first line", tuple(took)))


def _cells(rows: dict[str, CsvLine], places: Sequence[str]) -> Iterator[PairFigures]:
    """The cells of a matrix; an empty cell, or a zero or a dash between a place and itself, was not measured."""
    for src, line in rows.items():
        for dst in places:
            if line[dst] in ("", "-", "–", "n/a", "N/A"):
                continue
            value = 1e-3 * figure(line, dst, zero=src == dst)
            if value == 0.0:
                continue
            yield PairFigures(src, dst, line.where, {0.5: value}, mean=value)
