"""An operations frame as arrays, which all checks use instead of the frame.

Values are coded: equal values have equal codes, and null is code 0. Values are compared as Python compares them
(1 equals 1.0 and True); lists and objects are compared by content. Integers stay exact, values and times alike:
a history in which floating point numbers have merged integers is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim.analysis.checks.times import SECONDS, BadTime, HistoryClock, inexact, read_times
from sim.analysis.checks.verdict import HistoryOperation
from sim.analysis.history import FILE_NAMES, STATUSES

__all__ = ["FAIL", "INFO", "OK", "READS", "WRITES", "History", "freeze"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

OK, FAIL, INFO = range(3)
READS = ("read", "get")
WRITES = ("write", "put")


def freeze(value: Any) -> Any:
    """A hashable equal of a JSON-like value: lists become tuples, objects frozen sets of pairs, NaN None."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(freeze(v) for v in value)
    if isinstance(value, Mapping):
        return frozenset((k, freeze(v)) for k, v in value.items())
    if isinstance(value, (set, frozenset)):
        return frozenset(freeze(v) for v in value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is pd.NA or value is pd.NaT:
        return None
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True, eq=False)
class History:
    """The columns of an operations frame (n rows), checked and coded.

    ``process`` is None where the frame has no such column, ``timed`` False where it has no times. ``returned`` is
    infinite for unknown outcomes, whatever the frame says: they may take effect at any later time. Times are counted
    by ``clock``: integers too large for floating point numbers from the first of them.
    ``value`` holds codes into ``values``: what was written, read or (cas) put in place of ``expected``, which is
    -1 except for cas. A cas that was answered with ``result`` False counts as failed.
    """

    frame: pd.DataFrame
    process: Ints | None
    processes: list[Any]
    kind: Ints
    kinds: list[str]
    key: Ints
    keys: list[Any]
    value: Ints
    expected: Ints
    values: list[Any]
    called: Floats
    returned: Floats
    status: Ints
    timed: bool
    clock: HistoryClock = SECONDS
    _codes: dict[Any, int] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.status)

    @classmethod
    def of(cls, frame: pd.DataFrame) -> History:
        """Check and code a frame. Raises ValueError that names the row (or line) and the offending value."""
        if "kind" not in frame.columns:
            raise ValueError(f"a history needs a column 'kind'; this one has {list(frame.columns)}")
        if "run" in frame.columns and frame["run"].nunique() > 1:
            raise ValueError("this frame holds several runs: check them one at a time")
        kind, kinds = _coded(frame["kind"])
        for name in ("process", "key", "value", "result"):
            if name in frame.columns and (merged := inexact(frame[name])).any():
                large = float(frame[name].iloc[int(np.argmax(merged))])
                raise ValueError(
                    f"{_row(frame, merged)}: {name} is {large!r}, a floating point number too large to tell "
                    "neighbouring integers apart: keep integers (dtype Int64 or object where some are missing)"
                )
        if (kind < 0).any():
            raise ValueError(f"{_row(frame, kind < 0)}: no kind of operation is given")
        kinds = [str(k) for k in kinds]
        status = _statuses(frame)
        status[_refused(frame, kind, kinds, status)] = FAIL
        call, returned, timed, clock = _times(frame, status)
        process, processes = _coded(frame["process"]) if "process" in frame.columns else (None, [])
        key, keys = (
            _coded(frame["key"]) if "key" in frame.columns else (np.zeros(len(frame), np.int64), [None])
        )
        if (key < 0).any():
            key, keys = key + 1, [None, *keys]
        if process is not None and (process < 0).any():
            process, processes = process + 1, [None, *processes]
        value, expected, values = _values(frame, kind, kinds, status)
        return cls(
            frame,
            process,
            processes,
            kind,
            kinds,
            key,
            keys,
            value,
            expected,
            values,
            call,
            returned,
            status,
            timed,
            clock,
        )

    def code(self, value: Any) -> int:
        """The code of a value; -1 if no operation mentions it."""
        if not self._codes and self.values:
            self._codes.update({v: i for i, v in reversed(list(enumerate(self.values)))})
        return self._codes.get(freeze(value), -1)

    def kind_is(self, *names: str) -> NDArray[np.bool_]:
        """Which rows are of one of these kinds."""
        table = np.array([k in names for k in self.kinds], dtype=bool)
        return table[self.kind] if len(self.kinds) else np.zeros(0, dtype=bool)

    @cached_property
    def results(self) -> list[Any]:
        """The hashable ``result`` of every row, None where there is none."""
        if "result" not in self.frame.columns:
            return [None] * len(self)
        return [freeze(r) for r in self.frame["result"].tolist()]

    def operation(self, row: int) -> HistoryOperation:
        """One row as an `HistoryOperation`."""
        value = self.values[self.value[row]]
        if self.expected[row] >= 0:
            value = (self.values[self.expected[row]], value)
        return HistoryOperation(
            row=int(row),
            process=None if self.process is None else _plain(self.processes[self.process[row]]),
            kind=self.kinds[self.kind[row]],
            key=_plain(self.keys[self.key[row]]),
            value=value,
            result=self.results[row],
            called=self.clock.told(self.called[row]),
            returned=self.clock.told(self.returned[row]),
            status=STATUSES[self.status[row]],
            label=self.label(row),
        )

    def label(self, row: int) -> str:
        """The row's place for messages: ``line 7`` of a file, ``row 6`` of a frame."""
        name = "line" if self.frame.index.name == "line" else "row"
        return f"{name} {self.frame.index[row]}"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _row(frame: pd.DataFrame, mask: Any) -> str:
    name = "line" if frame.index.name == "line" else "row"
    return f"{name} {frame.index[int(np.argmax(mask))]}"


def _coded(series: pd.Series[Any]) -> tuple[Ints, list[Any]]:
    """Codes (-1: missing) and distinct values, in the order of first appearance."""
    try:
        codes, uniques = pd.factorize(series)
        return codes.astype(np.int64), [_plain(v) for v in uniques]
    except TypeError:  # lists and objects
        frozen = np.empty(len(series), dtype=object)
        frozen[:] = [freeze(v) for v in series.tolist()]
        codes, distinct = pd.factorize(frozen)
        return codes.astype(np.int64), list(distinct)


def _statuses(frame: pd.DataFrame) -> Ints:
    if "status" not in frame.columns:
        return np.zeros(len(frame), np.int64)
    codes, names = _coded(frame["status"])
    wrong = [i for i, name in enumerate(names) if name not in STATUSES]
    bad = np.isin(codes, [*wrong, -1])
    if bad.any():
        value = frame["status"].iloc[int(np.argmax(bad))]
        raise ValueError(f"{_row(frame, bad)}: status is {value!r}, not one of {', '.join(STATUSES)}")
    table = np.array([STATUSES.index(name) for name in names], dtype=np.int64)
    return table[codes] if len(names) else codes


def _refused(frame: pd.DataFrame, kind: Ints, kinds: list[str], status: Ints) -> Ints:
    """Rows of cas that were answered "ok" with the result False."""
    if "cas" not in kinds or "result" not in frame.columns:
        return np.zeros(0, dtype=np.int64)
    rows = np.flatnonzero((kind == kinds.index("cas")) & (status == OK))
    results = frame["result"].iloc[rows].tolist()
    return rows[[i for i, r in enumerate(results) if isinstance(r, (bool, np.bool_)) and not r]]


def _times(frame: pd.DataFrame, status: Ints) -> tuple[Floats, Floats, bool, HistoryClock]:
    for written, name in FILE_NAMES.items():
        if name in frame.columns:
            raise ValueError(f"the column {name!r} of a file is named {written!r} in a frame: rename it")
    if "called" not in frame.columns and "returned" not in frame.columns:
        return np.full(len(frame), np.nan), np.full(len(frame), np.nan), False, SECONDS
    if "returned" not in frame.columns and bool((status == INFO).all()):
        frame = frame.assign(returned=np.nan)  # nothing was answered
    for name in ("called", "returned"):
        if name not in frame.columns:
            raise ValueError(f"the history has no column {name!r}")
    try:
        (call, returned), clock = read_times([frame["called"], frame["returned"]])
    except BadTime as bad:
        raise ValueError(f"{_row(frame, np.arange(len(frame)) == bad.place)}: {bad}") from None
    answered = status != INFO
    for wrong, what in (
        (~np.isfinite(call), "it has no time of call"),
        (answered & np.isnan(returned), "it was answered (its status is not info) but has no time of return"),
        (returned < call, "it returned before it was called"),
    ):
        if wrong.any():
            raise ValueError(f"{_row(frame, wrong)}: {what}")
    return call, np.where(answered, returned, np.inf), True, clock


def _values(frame: pd.DataFrame, kind: Ints, kinds: list[str], status: Ints) -> tuple[Ints, Ints, list[Any]]:
    """Codes of values and of the values that cas expects, and the values (the first is null)."""
    n = len(frame)
    expected = np.full(n, -1, dtype=np.int64)
    if "value" not in frame.columns:
        return np.zeros(n, np.int64), expected, [None]
    column = frame["value"]
    cas = np.flatnonzero(kind == kinds.index("cas")) if "cas" in kinds else np.zeros(0, np.int64)
    if not len(cas):
        codes, values = _coded(column)
        return codes + 1, expected, [None, *values]
    cells = np.empty(n + len(cas), dtype=object)
    cells[:n] = column.tolist()
    for i, row in enumerate(cas.tolist()):
        pair = cells[row]
        if not isinstance(pair, (list, tuple, np.ndarray)) or len(pair) != 2:
            where = _row(frame, np.arange(n) == row)
            raise ValueError(f"{where}: the value of a cas is [expected, new], not {pair!r}")
        cells[n + i], cells[row] = pair
    codes, values = _coded(pd.Series(cells, dtype=object))
    expected[cas] = codes[n:] + 1
    return codes[:n] + 1, expected, [None, *values]
