"""The times of a history, kept exactly: two that differ stay different, or the history is refused.

Checks compare times as floating point numbers, which hold integers up to 2^53 exactly: enough for seconds, not for
nanoseconds since 1970. Larger integers, and dates, are therefore counted from the first of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["EXACT", "SECONDS", "HistoryClock", "inexact", "read_times"]

Floats = NDArray[np.float64]

EXACT = 2**53
"""Up to here floating point numbers hold every integer."""
_SPAN = 2**52
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class HistoryClock:
    """The relation between the stored times of a history and those in the frame.

    ``origin``: what was subtracted (0: nothing). ``dated``: the frame holds dates, or lengths of time; kept are the
    seconds since the first of them.
    """

    origin: int = 0
    dated: bool = False

    def told(self, kept: float) -> float | int:
        """A kept time as it stands in the frame (dates: seconds since the first)."""
        if self.origin == 0 or self.dated or not math.isfinite(kept):
            return float(kept)
        return self.origin + int(kept)

    def keep(self, time: Any) -> float:
        """A time from elsewhere (a commit log), counted as the history counts. Raises ValueError if it cannot be."""
        if self.dated:
            whole = _whole(time)
            if whole is None:
                raise ValueError(f"the history holds dates, but this time is {time!r}")
            return (whole - self.origin) / _NANOSECONDS
        whole = int(time) if isinstance(time, (int, np.integer)) else None
        if self.origin == 0 and (whole is None or abs(whole) <= EXACT):
            return float(time)
        if whole is None or abs(whole - self.origin) > _SPAN:
            raise ValueError(
                f"time {time!r} cannot be compared exactly with those of the history: use integers"
            )
        return float(whole - self.origin)


SECONDS = HistoryClock()
"""Times are kept as they stand in the frame."""


def inexact(column: pd.Series[Any]) -> NDArray[np.bool_]:
    """A mask of the floating point numbers in a column that may have been rounded from another integer."""
    if column.dtype.kind != "f":
        return np.zeros(len(column), dtype=bool)
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(np.isfinite(values) & (np.abs(values) > EXACT))


def read_times(columns: list[pd.Series[Any]]) -> tuple[list[Floats], HistoryClock]:
    """The columns as numbers that compare as the times do (NaN: missing), and the clock that they are of.

    Raises `BadTime` (a ValueError) with the column, the place and what is wrong.
    """
    if all(column.dtype.kind in "fiub" and not _large(column) for column in columns):
        return [column.to_numpy(dtype=np.float64, na_value=np.nan) for column in columns], SECONDS
    cells = [[_plain(cell) for cell in column.tolist()] for column in columns]
    present = [cell for cells_of in cells for cell in cells_of if cell is not None]
    dates = [_whole(cell) is not None for cell in present]
    if any(dates):
        return _dated(cells, [str(column.name) for column in columns])
    for name, cells_of in zip((str(column.name) for column in columns), cells, strict=True):
        for at, cell in enumerate(cells_of):
            if cell is not None and not _number(cell):
                raise BadTime(name, at, f"{name} is {cell!r}, not a number of seconds")
            if isinstance(cell, float) and math.isfinite(cell) and abs(cell) > EXACT:
                raise BadTime(name, at, _merged(name, cell))
    if not any(isinstance(cell, int) and abs(cell) > EXACT for cell in present):
        return [_floats(cells_of) for cells_of in cells], SECONDS
    return _counted(cells, [str(column.name) for column in columns])


class BadTime(ValueError):
    """A time is invalid: ``column``, ``place`` (position in the frame) and the reason."""

    def __init__(self, column: str, place: int, reason: str) -> None:
        super().__init__(reason)
        self.column, self.place = column, place


def _large(column: pd.Series[Any]) -> bool:
    values = column.dropna()
    if column.dtype.kind in "iu":
        return len(values) > 0 and max(abs(int(values.min())), abs(int(values.max()))) > EXACT
    return bool(inexact(column).any())


def _missing(cell: Any) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell))


def _plain(cell: Any) -> Any:
    """None for a missing cell; NumPy's numbers as Python's."""
    if _missing(cell):
        return None
    if isinstance(cell, (np.integer, np.floating)) and not isinstance(cell, np.timedelta64):
        return cell.item()
    return cell


def _number(cell: Any) -> bool:
    return isinstance(cell, (int, float))


def _floats(cells: list[Any]) -> Floats:
    return np.array([math.nan if cell is None else float(cell) for cell in cells], dtype=np.float64)


def _merged(name: str, value: float) -> str:
    return (
        f"{name} is {value!r}, a floating point number too large to tell neighbouring integers apart: keep integers "
        "(dtype Int64 or object where some are missing), or subtract the first time"
    )


def _whole(cell: Any) -> int | None:
    """Nanoseconds of a date or a length of time; None for anything else."""
    if isinstance(cell, (pd.Timestamp, pd.Timedelta)):
        return int(cell.as_unit("ns").value)
    kind = type(cell).__name__
    if kind in {"datetime", "datetime64"}:
        return int(pd.Timestamp(cell).as_unit("ns").value)
    if kind in {"timedelta", "timedelta64"}:
        return int(pd.Timedelta(cell).as_unit("ns").value)
    return None


def _dated(cells: list[list[Any]], names: list[str]) -> tuple[list[Floats], HistoryClock]:
    whole: list[list[int | None]] = []
    for name, cells_of in zip(names, cells, strict=True):
        found = [None if cell is None else _whole(cell) for cell in cells_of]
        for at, (cell, number) in enumerate(zip(cells_of, found, strict=True)):
            if cell is not None and number is None:
                raise BadTime(name, at, f"{name} is {cell!r}, where other times are dates")
        whole.append(found)
    kept, clock = _counted(whole, names)
    return [times / _NANOSECONDS for times in kept], HistoryClock(clock.origin, dated=True)


def _counted(cells: list[list[Any]], names: list[str]) -> tuple[list[Floats], HistoryClock]:
    """Integers, counted from the least of them."""
    origin = min(int(cell) for cells_of in cells for cell in cells_of if isinstance(cell, int))
    kept = []
    for name, cells_of in zip(names, cells, strict=True):
        column = np.full(len(cells_of), np.nan)
        for at, cell in enumerate(cells_of):
            if cell is None:
                continue
            if isinstance(cell, float):
                if math.isfinite(cell) and not cell.is_integer():
                    raise BadTime(name, at, f"{name} is {cell!r}, where other times are integers above 2^53")
                column[at] = cell if not math.isfinite(cell) else float(int(cell) - origin)
            else:
                column[at] = float(int(cell) - origin)
            if math.isfinite(column[at]) and column[at] > _SPAN:
                raise BadTime(
                    name, at, f"{name} is {cell!r}, too far from the first time, {origin}, to be exact"
                )
        kept.append(column)
    return kept, HistoryClock(origin)
