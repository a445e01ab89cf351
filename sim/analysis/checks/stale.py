"""The staleness of reads: k in versions, t in time.

Golab, Li & Shah (PODC 2011) and Golab, Hurwitz & Li (ICDCS 2013) for histories, Bailis et al. (VLDB 2012) for the
names. From a history alone both are lower bounds: a version counts only if its write certainly came after the one that
was read, and had certainly ended before the read began. With the commit log they are exact.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from typing import Any

import numpy as np
import pandas as pd

from sim.analysis.checks.columns import FAIL, INFO, OK, READS, WRITES, History, freeze
from sim.analysis.checks.times import HistoryClock

__all__ = ["staleness"]


def staleness(
    operations: pd.DataFrame, commits: pd.DataFrame | None = None, *, initial: object = None
) -> pd.DataFrame:
    """The staleness of every answered read.

    ``commits``: the commit log, columns ``key``, ``value``, ``time`` (seconds); None: bounds from the history alone.
    ``initial``: the value that keys start with. Returns a frame whose index are positions in ``operations``, with the
    columns ``process``, ``key``, ``value``, ``called``, ``k`` (versions; 0 is fresh) and ``t`` (seconds since the
    version that was read was replaced; 0 is fresh); both are NaN for a value that nobody wrote.
    """
    history = History.of(operations)
    if not history.timed:
        raise ValueError("staleness needs the columns 'called' and 'returned'")
    reads = np.flatnonzero(history.kind_is(*READS) & (history.status == OK))
    k, t = np.full(len(history), np.nan), np.full(len(history), np.nan)
    log = None if commits is None else _log(commits, history.clock)
    by_key = reads[np.argsort(history.key[reads], kind="stable")]
    bounds = np.searchsorted(history.key[by_key], np.arange(len(history.keys) + 1))
    writes = _writes_by_key(history)
    for key, name in enumerate(history.keys):
        rows = by_key[bounds[key] : bounds[key + 1]]
        if log is None:
            _bound(history, rows, writes[key], history.code(initial), k, t)
        else:
            _exact(history, rows, log.get(name, []), freeze(initial), k, t)
    names = (
        [None] * len(reads)
        if history.process is None
        else [history.processes[p] for p in history.process[reads]]
    )
    return pd.DataFrame(
        {
            "process": names,
            "key": [history.keys[key] for key in history.key[reads]],
            "value": pd.Series([history.values[v] for v in history.value[reads]], index=reads, dtype=object),
            "called": [history.clock.told(time) for time in history.called[reads]],
            "k": k[reads],
            "t": t[reads],
        },
        index=pd.Index(reads, name="row"),
    )


def _writes_by_key(history: History) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in history.keys]
    changes = ~history.kind_is(*READS, "scan") & (history.status != FAIL)
    for row in np.flatnonzero(changes).tolist():
        found[history.key[row]].append(row)
    return found


def _bound(history: History, reads: Any, writes: list[int], initial: int, k: Any, t: Any) -> None:
    """Lower bounds: count the writes called after the return of the one that was read, and over before the read."""
    h = history
    sources: dict[
        int, tuple[list[float], list[float]]
    ] = {}  # value -> calls of its writes, latest return so far
    by_call = sorted(writes, key=lambda row: h.called[row])
    setters = h.kind_is(*WRITES, "cas")
    deletes = h.kind_is("delete")
    for row in by_call:
        if setters[row] or deletes[row]:
            value = 0 if deletes[row] else int(h.value[row])
            starts, ends = sources.setdefault(value, ([], [-math.inf]))
            starts.append(float(h.called[row]))
            ends.append(max(ends[-1], float(h.returned[row])))
    ended = sorted((float(h.returned[row]), float(h.called[row])) for row in writes if h.status[row] != INFO)
    calls = sorted(call for _, call in ended)
    first_return: list[float] = []  # of the writes called from then on, the first to return
    for end, _ in sorted(ended, key=lambda w: -w[1]):
        first_return.append(min(end, first_return[-1]) if first_return else end)
    first_return.reverse()
    over: list[float] = []  # calls of the writes that ended before the read, sorted
    at = 0
    for row in sorted(reads.tolist(), key=lambda r: h.called[r]):
        begin, value = float(h.called[row]), int(h.value[row])
        starts, ends = sources.get(value, ([], [-math.inf]))
        source = bisect_right(starts, float(h.returned[row]))
        if not source and value != initial:
            continue
        read = ends[source]
        while at < len(ended) and ended[at][0] < begin:
            insort(over, ended[at][1])
            at += 1
        k[row] = len(over) - bisect_right(over, read)
        later = bisect_right(calls, read)
        replaced = first_return[later] if later < len(calls) else math.inf
        t[row] = max(0.0, begin - replaced)


def _log(commits: pd.DataFrame, clock: HistoryClock) -> dict[Any, list[tuple[float, Any]]]:
    missing = {"key", "value", "time"} - set(commits.columns)
    if missing:
        raise ValueError(
            f"a commit log needs the columns key, value and time; {', '.join(sorted(missing))} is missing"
        )
    log: dict[Any, list[tuple[float, Any]]] = {}
    rows = commits.sort_values("time", kind="stable")
    for key, value, time in zip(rows["key"], rows["value"], rows["time"], strict=True):
        log.setdefault(key, []).append((clock.keep(time), freeze(value)))
    return log


def _exact(
    history: History, reads: Any, log: list[tuple[float, Any]], initial: object, k: Any, t: Any
) -> None:
    """Versions committed before the read began, less the one that it read; and since when that was replaced."""
    times = [time for time, _ in log]
    places: dict[Any, list[int]] = {}
    for place, (_, value) in enumerate(log):
        places.setdefault(value, []).append(place)
    for row in reads.tolist():
        value = history.values[history.value[row]]
        limit = bisect_right(times, float(history.returned[row]))
        found = places.get(value, [])
        last = bisect_left(found, limit)
        if not last and value != initial:
            continue
        version = found[last - 1] if last else -1
        begin = float(history.called[row])
        k[row] = max(0, bisect_right(times, begin) - (version + 1))
        t[row] = max(0.0, begin - times[version + 1]) if version + 1 < len(times) else 0.0
