"""Failover as a distribution: for each crash of a leader the time to the next leader, and to the first answered write.

A mean with an interval of Student would read "2.6 s, -1.1 to 6.3" for four failovers. What decides is how long most of
them take, and the worst of how many. The intervals of quantiles are those of order statistics, free of any assumption
about the distribution (David and Nagaraja, "Order Statistics", 3rd ed., 7.1).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sim.analysis.ability import LeaderGroups
from sim.analysis.leadership import Reign, reigns
from sim.analysis.measures import READS, quantile_name
from sim.analysis.statistics import Interval, quantile_interval, values_needed
from sim.analysis.survival import survival
from sim.arguments import checked

__all__ = ["Failover", "failover_frame", "failover_times", "failovers"]

_TIMES = {"to_leader": "new leader", "to_write": "first answered write"}


class Failover(NamedTuple):
    """One crash of a leader, at ``time``. Times are in seconds from the crash; ``*_at_least``: only a lower bound.

    ``crashed`` led the ``group``; ``successor`` is the next member that led it, or "". ``to_write`` is NaN if no client
    called a write after the crash.
    """

    time: float
    group: str
    crashed: str
    successor: str
    to_leader: float
    to_leader_at_least: bool
    to_write: float
    to_write_at_least: bool


@checked
def failovers(
    operations: pd.DataFrame,
    events: pd.DataFrame,
    led: LeaderGroups | None,
    *,
    duration: float,
    reads: Collection[str] = READS,
) -> list[Failover]:
    """Each crash of the member that led its group: when, and how long it took until another (or the same) one led.

    The first answered write is the `ok` write that returned first among those that clients called after the crash, so
    that answers in flight do not count. With several groups, a member of the group must have answered it. The crash of
    a member that had been deposed and did not know it is not that of a leader. What had not happened at the end of
    the run took at least as long as the rest of the run.

    Args:
        operations, events: of one run.
        led: the groups of members; None: no leader, and so no failover.
        duration: seconds; the end of the run.
        reads: the kinds of operation that only read.
    """
    if led is None or "detail" not in events.columns:
        return []
    writes = operations[~operations["kind"].isin(list(reads))]
    each = reigns(events, led, duration=duration)
    found = []
    for number, reign in enumerate(each):
        later = [other for other in each[number + 1 :] if other.group == reign.group]
        if reign.crashed and not any(other.start <= reign.end for other in later):
            mine = (
                writes[writes["node"].isin(list(led.members[reign.group]))]
                if len(led.members) > 1
                else writes
            )
            found.append(_failover(reign, later, writes, mine, duration))
    return sorted(found)


def _failover(
    reign: Reign, later: Sequence[Reign], writes: pd.DataFrame, mine: pd.DataFrame, duration: float
) -> Failover:
    rest = duration - reign.end
    leader = (later[0].node, later[0].start - reign.end, False) if later else ("", rest, True)
    after = mine[(mine["called"] >= reign.end) & (mine["status"] == "ok") & (mine["returned"] < duration)]
    if len(after):
        write = (float(after["returned"].min()) - reign.end, False)
    else:
        waited = bool((writes["called"] >= reign.end).any())
        write = (rest, True) if waited else (math.nan, False)
    return Failover(reign.end, reign.group, reign.node, *leader, *write)


@checked
def failover_frame(found: Sequence[Failover]) -> pd.DataFrame:
    """The failovers as a frame: one row each, with the fields of `Failover` as columns."""
    kinds = {name: {float: "float64", bool: "bool"}.get(kind, "object") for name, kind in _kinds().items()}
    return pd.DataFrame(list(found), columns=list(Failover._fields)).astype(kinds)


def _kinds() -> dict[str, Any]:
    numbers = {"time": float, "to_leader": float, "to_write": float}
    return {name: bool if name.endswith("_at_least") else numbers.get(name, str) for name in Failover._fields}


@checked
def failover_times(
    found: pd.DataFrame,
    *,
    by: Sequence[str] = (),
    quantiles: Sequence[float] = (0.5, 0.9),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Quantiles and the worst of the times of failover, each with its interval.

    Args:
        found: the frame of failovers, of one run or of several (with the columns `by`).
        by: the columns that distinguish settings.
        quantiles: in (0, 1).
        confidence: of the intervals.

    Returns:
        Columns `by…, until` ("new leader", "first answered write"), `n` (failovers), `quantile` ("p50", "worst"),
        `value, low, high` (seconds), `at_least` (the value is a lower bound), `text`. An end of an interval that so few
        failovers cannot give is NaN, and the text says how many would. The worst has no interval; its text says which
        share of all failovers takes no longer, with this confidence.
    """
    groups = found.groupby(list(by), sort=False, dropna=False) if by else [((), found)]
    rows: list[tuple[Any, ...]] = []
    for keys, group in groups:
        for column, until in _TIMES.items():
            kept = group[group[column].notna()]
            values = kept[column].to_numpy(dtype=float)
            bounded = kept[f"{column}_at_least"].to_numpy(dtype=bool)
            rows += [
                (*keys, until, len(values), *line) for line in _lines(values, bounded, quantiles, confidence)
            ]
    columns = [*by, "until", "n", "quantile", "value", "low", "high", "at_least", "text"]
    return pd.DataFrame(rows, columns=columns)


def _lines(
    values: Any, bounded: Any, quantiles: Sequence[float], confidence: float
) -> list[tuple[str, float, float, float, bool, str]]:
    n = len(values)
    if not n:
        return []
    lines = []
    known = survival(values, ~bounded)
    for q in quantiles:
        middle = known.quantile(q)
        low = quantile_interval(values, q, confidence).low
        high = quantile_interval(np.where(bounded, math.inf, values), q, confidence).high
        ends = Interval(middle.value, low, high, n)
        said = f"{'≥ ' if middle.at_least else ''}{middle.value:.3g} s {_ends(ends, q, confidence)}"
        lines.append((quantile_name(q), middle.value, low, high, middle.at_least, said))
    worst, unsure = float(values.max()), bool(bounded.any())
    share = (1 - confidence) ** (1 / n)
    said = f"{'≥ ' if unsure else ''}{worst:.3g} s, the worst of {n}"
    if not unsure:
        said += f": at least {100 * share:.3g} % of all take no longer ({100 * confidence:g} % confidence)"
    return [*lines, ("worst", worst, math.nan, math.nan, unsure, said)]


def _ends(found: Interval, q: float, confidence: float) -> str:
    """The interval in words: "[1.6, 2.4]"; where n is too small for an end, how many values would do."""
    needed = values_needed(q, confidence)
    if math.isnan(found.low) and math.isnan(found.high):
        return f"(of {found.count}: too few for an interval, which needs {needed})"
    low = "?" if math.isnan(found.low) else f"{found.low:.3g}"
    high = "?" if math.isnan(found.high) else "∞" if math.isinf(found.high) else f"{found.high:.3g}"
    more = f", both ends need {needed}" if "?" in (low, high) else ""
    return f"[{low}, {high}] (of {found.count}{more})"
