"""Traces of requests: tables with any names of columns, and access logs of web servers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from sys import intern
from typing import Literal

from sim.readers.note import Note, counted
from sim.readers.tables import CsvLine, figure, read_csv
from sim.readers.text import encoding_of, readable

__all__ = ["COLUMNS", "NEEDED", "Requests", "TraceLine", "read_requests"]

NEEDED = ("time", "op", "key")
COLUMNS = (*NEEDED, "region", "bytes", "client", "length")
"""The columns of a trace, as they are called here."""

_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
# Unit -> a time in 2001, counted from 1970. Four times that number is a time in 2096.
_EPOCHS = {"s": 1e9, "ms": 1e12, "us": 1e15, "ns": 1e18}
_EPOCH_SPAN = 4.0
_SMALL = 1e8  # seconds, over three years: longer than any trace, so times since its beginning are smaller
_LOG = re.compile(
    r'(?P<host>\S+) (?P<ident>\S+) (?P<user>.+?) \[(?P<time>[^\]]+)\] "(?P<method>[A-Z]+) (?P<target>\S+)'
    r'(?: (?P<protocol>\S+))?" (?P<status>\d{3}) (?P<bytes>\d+|-)'
    r'(?: "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?.*'
)
_LOG_START = re.compile(r'\S+ \S+ .+? \[\d+/\w+/\d+:\d+:\d+:\d+ [+-]\d+\] "')
_METHODS = {"GET": "get", "HEAD": "get", "PUT": "put", "POST": "put", "PATCH": "put", "DELETE": "delete"}
_LOG_COLUMNS = {"time": "time", "op": "method", "key": "target"}


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One request: its time in seconds, and its cells by the names of `COLUMNS` that the file has."""

    where: str
    time: float
    cells: Mapping[str, str]
    separator: str


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of a file, and what its reader says of it. A million of them fit in memory, so they are columns."""

    names: tuple[str, ...]  # of the cells
    wheres: list[str]
    times: list[float]
    cells: list[tuple[str, ...]]
    separator: str
    note: Note

    def lines(self) -> Iterator[TraceLine]:
        for where, time, cells in zip(self.wheres, self.times, self.cells, strict=True):
            yield TraceLine(where, time, dict(zip(self.names, cells, strict=True)), self.separator)


def read_requests(
    path: str | PathLike[str],
    columns: Mapping[str, str],
    unit: Literal["s", "ms", "us", "ns"] | None,
) -> Requests:
    """The requests in a file. Raises ValueError with file, line, column and value for what cannot be read.

    ``columns``: name of `COLUMNS` -> the column of the file. ``unit``: that of the times; None: guessed, and the note
    says so; ValueError where more than one unit is plausible.
    """
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise ValueError(f"Trace: columns: {unknown[0]!r} is none of {', '.join(COLUMNS)}")
    left: dict[str, int] = {}
    if _is_log(path):
        mapped = {**_LOG_COLUMNS, **columns}
        rows = _log_lines(path, mapped, left)
        names = [name for name in _LOG.groupindex if name not in mapped.values()]
        form = "access log, by its first line"
    else:
        mapped, names, rows = _table(path, columns)
        form = "a table, by its header"
    wheres: list[str] = []
    values: list[float | datetime] = []
    cells: list[tuple[str, ...]] = []
    separator = ","
    for row in rows:
        wheres.append(row.where)
        values.append(_value(row, mapped["time"]))
        cells.append(tuple(intern(row[column]) for column in mapped.values()))
        separator = row.separator
    if not wheres:
        raise ValueError(f"{path}: a trace needs a header with time,op,key and at least one row")
    times, told = _seconds(wheres, values, mapped["time"], unit)
    took = (counted(len(wheres), "row"), told, *(f"{n} = {c}" for n, c in mapped.items() if n != c))
    gone = (*(f"column {name!r}" for name in names), *(f"{n:,} {what}" for what, n in left.items()))
    note = Note(Path(path).name, form, took, gone)
    return Requests(tuple(mapped), wheres, times, cells, separator, note)


def _is_log(path: str | PathLike[str]) -> bool:
    with readable(path), Path(path).open(encoding=encoding_of(path), errors="replace") as file:
        return _LOG_START.match(file.readline()) is not None


def _table(
    path: str | PathLike[str], columns: Mapping[str, str]
) -> tuple[dict[str, str], list[str], Iterator[CsvLine]]:
    """Our name -> column, the columns that are not used (both known once the first line is read), and the lines."""
    mapped: dict[str, str] = {}
    others: list[str] = []

    def check(found: Sequence[str]) -> None:
        for name, column in columns.items():
            if column not in found:
                raise ValueError(f"columns: {name!r} is {column!r}, which is none of {', '.join(found)}")
        mapped.update({name: name for name in COLUMNS if name in found and name not in columns.values()})
        mapped.update(columns)
        missing = [name for name in NEEDED if name not in mapped]
        if missing or len(set(found)) < len(found):
            raise ValueError(
                f"a trace needs a header with time,op,key, each once, not {','.join(found) or 'nothing'}; "
                f'columns={{"{(missing or ["time"])[0]}": "..."}} names them otherwise'
            )
        others.extend(name for name in found if name not in mapped.values())
        for name in others:  # other columns are left, but a misspelt name is an error
            meant = get_close_matches(name, [c for c in COLUMNS if c not in mapped], n=1, cutoff=0.75)
            if meant:
                raise ValueError(f"no column {name!r} is known; did you mean {meant[0]!r}?")

    return mapped, others, read_csv(path, check)


def _log_lines(
    path: str | PathLike[str], mapped: Mapping[str, str], left: dict[str, int]
) -> Iterator[CsvLine]:
    for column in mapped.values():
        if column not in _LOG.groupindex:
            raise ValueError(f"{path}: columns: {column!r} is none of {', '.join(_LOG.groupindex)}")
    with Path(path).open(encoding=encoding_of(path), errors="replace") as file:
        for i, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path}, line {i}"
            match = _LOG.fullmatch(line.strip())
            if match is None:
                raise ValueError(
                    f"{where}: a line of the common or combined log format is needed, not {line.strip()[:80]!r}"
                )
            cells = {name: value or "" for name, value in match.groupdict().items()}
            method = cells["method"]
            if method not in _METHODS and mapped["op"] == "method":
                left[method] = left.get(method, 0) + 1
                continue
            cells["method"] = _METHODS.get(method, method)
            yield CsvLine(where, cells)


def _seconds(
    wheres: Sequence[str],
    values: Sequence[float | datetime],
    column: str,
    unit: Literal["s", "ms", "us", "ns"] | None,
) -> tuple[list[float], str]:
    """The times in seconds, and how they were understood."""
    dated = [isinstance(value, datetime) for value in values]
    if all(dated):
        if unit is not None:
            raise ValueError(f"{wheres[0]}, column {column!r}: unit={unit!r} would have no effect on dates")
        naive = any(isinstance(v, datetime) and v.tzinfo is None for v in values)
        made = [
            (v if v.tzinfo else v.replace(tzinfo=UTC)).timestamp() for v in values if isinstance(v, datetime)
        ]
        return made, "dates as seconds since 1970" + (" (taken as UTC)" if naive else "")
    if any(dated):
        raise ValueError(
            f"{wheres[dated.index(True)]}, column {column!r}: a date, but other rows have numbers"
        )
    numbers = [v for v in values if isinstance(v, float)]
    if unit is None:
        unit, told = _guess(wheres[0], column, max(numbers))
    else:
        told = f"times in {unit}"
    return [_UNITS[unit] * value for value in numbers], told


def _value(row: CsvLine, column: str) -> float | datetime:
    try:
        return figure(row, column)
    except ValueError:
        for read in (datetime.fromisoformat, lambda text: datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z")):
            try:
                return read(row[column])
            except ValueError:
                continue
        raise


def _guess(where: str, column: str, largest: float) -> tuple[Literal["s", "ms", "us", "ns"], str]:
    """The unit of times, by the column's name or their size. Raises ValueError where several are plausible."""
    units: tuple[Literal["s", "ms", "us", "ns"], ...] = ("s", "ms", "us", "ns")
    for unit in units:
        if column.casefold().endswith(f"_{unit}"):
            return unit, f"times in {unit}, by the name {column!r}"
    for unit in units:
        if _EPOCHS[unit] <= largest < _EPOCH_SPAN * _EPOCHS[unit]:
            return unit, f"times in {unit} since 1970, by their size (a guess)"
    if largest < _SMALL and column.casefold() in ("time", "seconds"):
        return "s", "times in s"
    raise ValueError(
        f"{where}, column {column!r}: times up to {largest:g} may be in several units: "
        f"give unit=, one of {', '.join(units)}"
    )
