"""Histories on disk: one JSON object a line, the columns of the operations frame; events of Jepsen are read, too.

``{"process": 3, "kind": "cas", "key": "x", "value": [1, 2], "call": 0.1, "return": 0.2, "status": "ok"}``

In a file the two times are named ``call`` and ``return``: this is the public form, which is written. In the frame they
are named ``called`` and ``returned``, because ``return`` is a keyword of Python; a file with these names is read, too.
Times are seconds, or integers in any unit (such as nanoseconds since 1970), which stay exact. An operation that was
never answered has no return (``null``). The index of a frame that was read is the line number (named ``line``), so that
later error messages can name the line. `sim.readers.histories` reads events; its note on what it used and ignored
is then in the frame's ``attrs["note"]``, and ``attrs["initial"]`` is the value of a key before its first write.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain, islice
from json.scanner import make_scanner
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from sim.arguments import checked
from sim.readers.histories import event_form, read_events

__all__ = ["COLUMNS", "FILE_NAMES", "STATUSES", "HistoryError", "read_history", "write_history"]

COLUMNS = (
    "process",
    "kind",
    "key",
    "value",
    "result",
    "called",
    "returned",
    "status",
    "latency",
    "node",
    "region",
    "attempts",
)
"""The columns of the operations frame; columns that a check does not need may be missing in a history."""
STATUSES = ("ok", "fail", "info")
"""ok: the operation happened. fail: it certainly did not. info: unknown (it may happen, also later)."""

FILE_NAMES = {"called": "call", "returned": "return"}
"""Column -> its name in a file, for columns whose two names differ."""

_TIMES = ("called", "returned", "latency")
_WRITTEN_TIMES = ("call", "return", *_TIMES)  # all names of times in a file
_REPEATED = frozenset(
    {"process", "kind", "key", "status", "node", "region"}
)  # few distinct values: share them
_LINE_ENDS = frozenset({"\n", "", "\r\n"})
_EXACT = 2**53  # up to this number, floating point numbers represent every integer
_COARSE = 2.0**23  # from this number of seconds, floating point numbers are more than a nanosecond apart
_CHUNK = 50_000  # lines held as dictionaries at the same time, to limit memory


class HistoryError(ValueError):
    """A history that cannot be read; the message starts with the line number."""


@checked
def read_history(source: str | Path | IO[str], *, progress: bool = False) -> pd.DataFrame:
    """Read a history from a path or an open text stream into an operations frame.

    The first lines say whether it is JSONL (the form of this module) or a history of events (`EVENT_FORMS` of
    `sim.readers.histories`). Blank lines are skipped and unknown fields ignored. ``progress`` shows a bar on standard
    error. Raises `HistoryError` (a ValueError) that names the first bad line; OSError when the file cannot be opened.
    """
    if isinstance(source, (str, Path)):
        with open(source, encoding="utf-8-sig") as stream:
            return _read(stream, Path(source).name, progress)
    return _read(source, "history", progress)


def _read(stream: IO[str], name: str, progress: bool) -> pd.DataFrame:
    """The frame of a history in any form; the form is found by the first lines."""
    head = []
    for _, line in _numbered(stream):
        head.append(line)
        if line.strip(" \t\r\n\ufeff[("):
            break
    form = event_form("".join(head))
    if form is None:
        return _frame(_chunks(chain(head, stream)), progress)
    text = "".join((*head, *(line for _, line in _numbered(stream, len(head)))))
    try:
        found = read_events(name, text, form)
    except ValueError as error:
        raise HistoryError(str(error)) from None
    frame = _frame(iter([(list(found.lines), list(found.records))]), progress)
    frame.attrs.update(note=str(found.note), initial=found.initial)
    return frame


def _frame(chunks: Iterator[tuple[list[int], list[dict[str, Any]]]], progress: bool) -> pd.DataFrame:
    from tqdm import tqdm

    lines: list[int] = []
    columns: dict[str, list[Any]] = {}
    shared: dict[Any, Any] = {}
    with tqdm(unit=" lines", desc="reading", disable=None if progress else True) as bar:
        for numbers, records in chunks:
            seen = set().union(*records) if records else set()  # membership only: its order is never used
            for name in COLUMNS:
                if (name in seen or FILE_NAMES.get(name) in seen) and name not in columns:
                    columns[name] = [_empty(name, len(lines))] if lines else []
            for name, parts in columns.items():
                parts.append(_column(name, numbers, _cells(name, seen, numbers, records), shared))
            lines.extend(numbers)
            bar.update(len(numbers))
    if not lines:
        return pd.DataFrame({name: [] for name in COLUMNS}, index=pd.Index([], name="line", dtype="int64"))
    frame = pd.DataFrame(
        {name: _joined(name, columns[name]) for name in COLUMNS if name in columns},
        index=pd.Index(lines, name="line", dtype="int64"),
    )
    return frame


def _chunks(stream: Iterable[str]) -> Iterator[tuple[list[int], list[dict[str, Any]]]]:
    """Line numbers and parsed objects, in chunks of `_CHUNK` lines."""
    numbered = _numbered(stream)
    scan = make_scanner(json.JSONDecoder())  # type: ignore[arg-type]
    while chunk := list(islice(numbered, _CHUNK)):
        numbers: list[int] = []
        records: list[dict[str, Any]] = []
        for number, line in chunk:
            try:
                record, end = scan(line, 0)  # half the cost of json.loads
                plain = type(record) is dict and line[end:] in _LINE_ENDS
            except (StopIteration, json.JSONDecodeError, RecursionError):
                plain = False
            if not plain:
                record = _loads(number, line)
                if record is None:
                    continue
            if any(type(t := record.get(name)) is float and abs(t) >= _COARSE for name in _WRITTEN_TIMES):
                _refuse_merged(number, line, record)
            numbers.append(number)
            records.append(record)
        yield numbers, records


def _numbered(stream: Iterable[str], before: int = 0) -> Iterator[tuple[int, str]]:
    number = before
    try:
        for number, line in enumerate(stream, before + 1):
            yield number, line
    except UnicodeDecodeError as error:
        raise HistoryError(f"line {number + 1}, or soon after it: not UTF-8 text: {error.reason}") from None


def _loads(number: int, line: str) -> dict[str, Any] | None:
    """The object in a line; None for a blank line. Raises HistoryError for anything else."""
    if not line.strip():
        return None
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise HistoryError(f"line {number}: not JSON: {error.msg} (column {error.pos + 1})") from None
    except RecursionError:
        raise HistoryError(f"line {number}: too deeply nested") from None
    if not isinstance(record, dict):
        raise HistoryError(f"line {number}: not an object with an operation's fields: {line.strip()[:60]}")
    return record


def _cells(name: str, seen: set[str], numbers: list[int], records: list[dict[str, Any]]) -> list[Any]:
    """The cells of a column, by its name in files or in the frame. Raises HistoryError for a line with both names."""
    written = FILE_NAMES.get(name, name)
    if name not in seen or written == name:
        return [record.get(written) for record in records]
    for number, record in zip(numbers, records, strict=True):
        if name in record and written in record:
            raise HistoryError(f"line {number}: {written} and {name} are one time: give one of them")
    return [record.get(name, record.get(written)) for record in records]


def _column(name: str, numbers: list[int], values: list[Any], shared: dict[Any, Any]) -> Any:
    if name in _TIMES:
        for number, value in zip(numbers, values, strict=True):
            if value is not None and (type(value) not in (float, int) or math.isnan(value)):
                name = FILE_NAMES.get(name, name)
                raise HistoryError(f"line {number}: {name} is {value!r}, not a number of seconds")
        if any(type(value) is int and abs(value) > _EXACT for value in values):
            return _objects(values)
        return np.array(values, dtype=np.float64)
    if name in _REPEATED:
        try:
            return [shared.setdefault((type(value), value), value) for value in values]
        except TypeError:
            number, value = next(
                (n, v) for n, v in zip(numbers, values, strict=True) if isinstance(v, (list, dict))
            )
            raise HistoryError(f"line {number}: {name} is {value!r}, not a string or a number") from None
    return values


def _refuse_merged(number: int, line: str, record: dict[str, Any]) -> None:
    """Raise HistoryError if a time has more digits than a floating point number keeps at its size."""
    written = json.loads(line, parse_float=Decimal)
    for name in _WRITTEN_TIMES:
        value = record.get(name)
        if type(value) is float and math.isfinite(value) and Decimal(repr(value)) != written[name]:
            raise HistoryError(
                f"line {number}: {name} is {written[name]}, which floating point numbers merge with its neighbours: "
                "write integers (nanoseconds), or subtract the first time"
            )


def _objects(values: list[Any]) -> Any:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _empty(name: str, count: int) -> Any:
    return np.full(count, np.nan) if name in _TIMES else [None] * count


def _joined(name: str, parts: list[Any]) -> Any:
    if name in _TIMES:
        return np.concatenate(parts) if parts else np.empty(0)
    joined = [value for part in parts for value in part]
    if name in {"value", "result"}:  # None must not become NaN, and lists stay lists
        return _objects(joined)
    large = any(type(value) is int and abs(value) > _EXACT for value in dict.fromkeys(joined))
    return _objects(joined) if large else joined  # pandas turns integers into floats if a value is missing


@checked
def write_history(operations: pd.DataFrame, target: str | Path | IO[str]) -> None:
    """Write an operations frame as JSONL: only known columns; NaN and missing values become ``null``.

    Raises TypeError for values that JSON cannot represent.
    """
    if isinstance(target, (str, Path)):
        with open(target, "w", encoding="utf-8") as stream:
            write_history(operations, stream)
        return
    names = [name for name in COLUMNS if name in operations.columns]
    dumps = json.JSONEncoder(default=_plain, allow_nan=False).encode
    written = [FILE_NAMES.get(name, name) for name in names]
    for row in zip(*(operations[name].tolist() for name in names), strict=True):
        record = {
            name: None if isinstance(cell, float) and math.isnan(cell) else cell
            for name, cell in zip(written, row, strict=True)
        }
        target.write(dumps(record) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if value is pd.NA or value is pd.NaT:
        return None
    raise TypeError(f"{value!r} cannot be written as JSON")
