"""The measures of a run, each defined once: pure functions from frames to numbers (docs/measures.md).

Times are simulated seconds. `duration` is the end of the run and `warmup` the time from which operations count: the
*window* is [warmup, duration). The frames are those of one run unless stated otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sim.analysis.ability import LeaderGroups
from sim.analysis.leadership import leadership_measures
from sim.analysis.losses import acknowledged_unreplicated, conflicts
from sim.analysis.outages import outages
from sim.analysis.statistics import AT_LEAST
from sim.analysis.survival import Bounded, Survival, survival
from sim.arguments import checked

__all__ = [
    "QUANTILES",
    "commit_latencies",
    "imbalance",
    "in_window",
    "latencies",
    "latency_cdf",
    "latency_quantiles",
    "observed",
    "per_operation",
    "quantile_name",
    "summary",
    "timeline",
    "weigh_clients",
    "weights_of",
]

QUANTILES: tuple[float, ...] = (0.5, 0.95, 0.99)

_MOST_BINS = 100_000

_NO_LINKS = pd.DataFrame({c: [] for c in ("src_role", "dst_role", "messages", "bytes")})
_NO_NODES = pd.DataFrame({c: [] for c in ("utilisation", "queue_max")})


@checked
def quantile_name(q: float) -> str:
    """The column of a latency quantile: 0.5 → "p50", 0.999 → "p99.9"."""
    if not 0.0 < q <= 1.0:
        raise ValueError(f"a quantile must be in (0, 1], got {q!r}")
    return f"p{100 * q:.10g}"


def _require(frame: pd.DataFrame, name: str, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"the {name} frame has no column {missing[0]!r}; it has {list(frame.columns)}")


def _window(warmup: float, duration: float) -> float:
    if not (0.0 <= warmup < duration < math.inf):
        raise ValueError(
            f"need 0 <= warmup < duration (seconds), got warmup={warmup!r}, duration={duration!r}"
        )
    return duration - warmup


@checked
def in_window(operations: pd.DataFrame, duration: float, warmup: float = 0.0) -> pd.DataFrame:
    """The operations that were called in [warmup, duration)."""
    _window(warmup, duration)
    _require(operations, "operations", ("called",))
    call = operations["called"].to_numpy(dtype=float)
    return operations[(call >= warmup) & (call < duration)]


@checked
def latencies(operations: pd.DataFrame, duration: float) -> Survival:
    """The distribution of latencies of these operations, as seen by the clients.

    An `ok` operation took `returned - called`; `called` is the time at which the operation was due (the scheduled
    arrival in an open loop), so waiting for a free session counts. An operation without a known outcome (`info`, or no
    answer yet) took at least as long as its client waited: its `latency` if recorded, else until its `returned`, else
    until `duration`. A `fail` is a definite answer, but not a service: it is left out here, and counted separately.
    A column `weight` is the weight of each operation (see `weigh_clients`); without it all operations count equally.
    """
    return survival(*observed(operations, duration), weights_of(operations))


@checked
def weigh_clients(operations: pd.DataFrame, *, duration: float, warmup: float = 0.0) -> pd.DataFrame:
    """The operations with a column `weight`, so that each client (column `client`) has equal weight in the window.

    For closed loops: a client that is served quickly issues more operations, and would dominate the percentiles.
    """
    _require(operations, "operations", ("client", "status"))
    counted = in_window(operations, duration, warmup)
    counts = counted.loc[counted["status"] != "fail", "client"].value_counts()
    share = operations["client"].map(1.0 / counts).astype(float).fillna(1.0)
    return operations.assign(weight=share)


@checked
def weights_of(operations: pd.DataFrame) -> NDArray[np.float64] | None:
    """The weight of each operation that did not fail, in the order of `observed`; None: all are equal."""
    if "weight" not in operations.columns:
        return None
    return operations.loc[operations["status"] != "fail", "weight"].to_numpy(dtype=float)


@checked
def observed(operations: pd.DataFrame, duration: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """For each operation that did not fail: how long it was observed (seconds), and whether it was then answered."""
    _require(operations, "operations", ("called", "returned", "status"))
    ok = (operations["status"] == "ok").to_numpy(dtype=bool)
    call = operations["called"].to_numpy(dtype=float)
    returned = operations["returned"].to_numpy(dtype=float)
    unreturned = ok & np.isnan(returned)
    if unreturned.any():
        raise ValueError(
            f"an ok operation must have a return time; the one called at {call[unreturned][0]} s has none"
        )
    watched = returned - call
    if "latency" in operations.columns:
        recorded = operations["latency"].to_numpy(dtype=float)
        watched = np.where(ok | np.isnan(recorded), watched, recorded)
    watched = np.where(np.isnan(watched), np.maximum(duration - call, 0.0), watched)
    failed = (operations["status"] == "fail").to_numpy(dtype=bool)
    return watched[~failed], ok[~failed]


@checked
def latency_cdf(operations: pd.DataFrame, *, duration: float, warmup: float = 0.0) -> pd.DataFrame:
    """The distribution of latency: columns `latency` (seconds, ascending) and `fraction` answered within that time.

    The last fraction is below 1 if the slowest operations were never answered (Kaplan-Meier; see `survival`).
    """
    found = latencies(in_window(operations, duration, warmup), duration)
    return pd.DataFrame({"latency": found.times, "fraction": found.fractions})


def _put(row: dict[str, float], name: str, found: Bounded) -> None:
    row[name] = found.value
    row[name + AT_LEAST] = float(found.at_least)


def _quantiles(found: Survival, quantiles: Sequence[float]) -> dict[str, float]:
    row: dict[str, float] = {}
    for q in quantiles:
        _put(row, quantile_name(q), found.quantile(q))
    return row


def _latency_row(found: Survival, quantiles: Sequence[float]) -> dict[str, float]:
    row = _quantiles(found, quantiles)
    _put(row, "mean", found.mean())
    return row


@checked
def latency_quantiles(
    operations: pd.DataFrame,
    *,
    by: Sequence[str] = ("run",),
    quantiles: Sequence[float] = QUANTILES,
    duration: float,
    warmup: float = 0.0,
) -> pd.DataFrame:
    """Latency quantiles and mean of each group of operations, such as `by=("run", "seed", "region")`.

    Returns:
        Columns `by…, count, p50, p50_at_least, …, mean, mean_at_least`, in order of appearance.
    """
    _require(operations, "operations", by)
    rows = []
    for keys, group in in_window(operations, duration, warmup).groupby(list(by), sort=False):
        found = latencies(group, duration)
        rows.append(
            dict(zip(by, keys, strict=True)) | {"count": found.count} | _latency_row(found, quantiles)
        )
    names = [quantile_name(q) for q in quantiles] + ["mean"]
    columns = [*by, "count", *(column for name in names for column in (name, name + AT_LEAST))]
    return pd.DataFrame(rows, columns=columns)


def _longest(found: pd.DataFrame) -> Bounded:
    """The longest of these outages; a lower bound if the end of the run cut it off."""
    gaps = found["gap"].to_numpy(dtype=float)
    if not len(gaps):
        return Bounded(math.nan)
    worst = int(gaps.argmax())
    return Bounded(float(gaps[worst]), bool(found["at_least"].to_numpy(dtype=bool)[worst]))


READS = ("read", "get", "scan")
"""The kinds of operation that only read, unless an application names its own; all other kinds are writes."""


def unavailability(
    operations: pd.DataFrame,
    events: pd.DataFrame,
    *,
    duration: float,
    warmup: float = 0.0,
    reads: Collection[str] = READS,
) -> dict[str, Bounded]:
    """The longest outage after a fault: for `reads`, for `writes`, and the longer of the two (`""`), in seconds.

    A store that answers only reads is not available to clients that write, and vice versa. NaN for a kind without
    operations in the window, and for all kinds without a fault; 0 if no client waited.
    """
    if "kind" not in operations.columns:
        return {"": _longest(outages(operations, events, duration=duration, warmup=warmup))}
    look = operations["kind"].isin(reads).to_numpy(dtype=bool)
    asked = in_window(operations, duration, warmup)
    looked = asked["kind"].isin(reads).to_numpy(dtype=bool)
    found = {}
    for name, mine, some in (("reads", look, looked.any()), ("writes", ~look, (~looked).any())):
        kind = outages(operations[mine], events, duration=duration, warmup=warmup)
        found[name] = _longest(kind) if some else Bounded(math.nan)
    known = [bounded for bounded in found.values() if not math.isnan(bounded.value)]
    if not known:
        return found | {"": _longest(outages(operations, events, duration=duration, warmup=warmup))}
    return found | {"": max(known, key=lambda bounded: (bounded.value, bounded.at_least))}


@checked
def per_operation(operations: pd.DataFrame, links: pd.DataFrame, column: str = "messages") -> float:
    """Messages (or `column="bytes"`) sent between replicas per `ok` operation, over the whole run.

    Background traffic (heartbeats, elections, catching up) is included; clients' requests and the traffic of services
    are not. NaN when no operation succeeded.
    """
    _require(links, "links", ("src_role", "dst_role", column))
    between = (links["src_role"] == "replica") & (links["dst_role"] == "replica")
    done = int((operations["status"] == "ok").sum())
    return float(links.loc[between, column].sum()) / done if done else math.nan


@checked
def commit_latencies(events: pd.DataFrame, *, duration: float, warmup: float = 0.0) -> NDArray[np.float64]:
    """The time (seconds) from the arrival of each command at its leading replica until its commitment, in the window.

    From the events ``committed``, which consensus systems record with ``record_commits=True``.
    """
    _window(warmup, duration)
    if "detail" not in events.columns:
        return np.empty(0)
    found = events[events["event"] == "committed"]
    took = np.array([detail.get("latency", math.nan) for detail in found["detail"]], dtype=float)
    got = found["time"].to_numpy(dtype=float) - took
    kept: NDArray[np.float64] = took[(got >= warmup) & (got < duration)]
    return kept


@checked
def summary(
    operations: pd.DataFrame,
    events: pd.DataFrame,
    links: pd.DataFrame | None = None,
    nodes: pd.DataFrame | None = None,
    *,
    duration: float,
    warmup: float = 0.0,
    quantiles: Sequence[float] = QUANTILES,
    lost: int | None = None,
    reads: Collection[str] = READS,
    may_fail: Collection[str] = (),
    led: LeaderGroups | None = None,
) -> pd.Series:
    """All measures of one run.

    Args:
        operations, events, links, nodes: the run's frames; without links or nodes their measures are NaN.
        duration: seconds; the end of the run.
        warmup: seconds; operations called before are excluded.
        quantiles: the quantiles of latency, in (0, 1].
        lost: the number of acknowledged writes that were lost; None: not counted.
        reads: the kinds of operation that only read; all other kinds are writes.
        may_fail: the kinds of operation for which `fail` is an answer (a cas that does not match), and no refusal.
        led: the groups of members that each have a leader; None: the system has no leader.

    Returns:
        A series of floats: `throughput` (ok operations that returned in the window, per second), `p50`, `p95`,
        `p99`, `mean` (seconds), `unavailability`, `unavailability_reads`, `unavailability_writes` (seconds; NaN without
        a fault), `acknowledged_lost`, `acknowledged_unreplicated`, `conflicts` (see `losses`), `commit_p50` and so on
        (`commit_latencies`; NaN if not recorded), `elections`, `false_elections` (a day), `time_without_leader`
        (seconds) and `writes_refused` (NaN for a system without a leader; see `leadership`), `messages_per_operation`,
        `bytes_per_operation`, `attempts_per_operation`, the number of `operations` called in the window, and of those
        with status `ok`, `fail` and `info`, `utilisation_max`, `queue_max`; and `<measure>_at_least`: 1 if the value is
        only a lower bound.
    """
    span = _window(warmup, duration)
    _require(operations, "operations", ("called", "returned", "status"))
    called = in_window(operations, duration, warmup)
    returned = operations.loc[operations["status"] == "ok", "returned"].to_numpy(dtype=float)
    served = int(((returned >= warmup) & (returned < duration)).sum())
    row: dict[str, float] = {"throughput": served / span}
    row |= _latency_row(latencies(called, duration), quantiles)
    longest = unavailability(operations, events, duration=duration, warmup=warmup, reads=reads)
    for name in ("", "reads", "writes"):
        _put(row, f"unavailability_{name}".rstrip("_"), longest.get(name, Bounded(math.nan)))
    row["acknowledged_lost"] = math.nan if lost is None else float(lost)
    row["acknowledged_unreplicated"] = float(acknowledged_unreplicated(operations))
    row["conflicts"] = float(conflicts(events)) if "detail" in events.columns else math.nan
    committed = commit_latencies(events, duration=duration, warmup=warmup)
    for q in quantiles:
        exact = np.quantile(committed, q, method="inverted_cdf") if len(committed) else math.nan
        row[f"commit_{quantile_name(q)}"] = float(exact)
    row |= leadership_measures(events, led, duration=duration, warmup=warmup)
    row["writes_refused"] = math.nan if led is None else float(_refused(called, (*reads, *may_fail)))
    links = _NO_LINKS if links is None else links
    row["messages_per_operation"] = per_operation(operations, links) if len(links) else math.nan
    row["bytes_per_operation"] = per_operation(operations, links, "bytes") if len(links) else math.nan
    attempts = called["attempts"].astype(float) if "attempts" in called.columns else pd.Series(dtype=float)
    row["attempts_per_operation"] = float(attempts.mean())
    row["operations"] = float(len(called))
    counts = called["status"].value_counts()
    for status in ("ok", "fail", "info"):
        row[status] = float(counts.get(status, 0))
    nodes = _NO_NODES if nodes is None else nodes
    _require(nodes, "nodes", ("utilisation", "queue_max"))
    row["utilisation_max"] = float(nodes["utilisation"].astype(float).max())
    row["queue_max"] = float(nodes["queue_max"].astype(float).max())
    return pd.Series(row, dtype=float)


def _refused(called: pd.DataFrame, others: Sequence[str]) -> int:
    """How many of these operations are writes that were refused; `others`: the kinds that are not counted."""
    if "kind" not in called.columns:
        return 0
    return int(((called["status"] == "fail") & ~called["kind"].isin(others)).sum())


@checked
def timeline(
    operations: pd.DataFrame,
    width: float,
    *,
    duration: float,
    warmup: float = 0.0,
    quantiles: Sequence[float] = QUANTILES,
) -> pd.DataFrame:
    """Throughput and latency over time, in bins of `width` seconds from `warmup` to `duration`.

    Returns:
        One row a bin: `start`, `end` (seconds; the last bin may be shorter), `offered` (operations called per
        second), `throughput` (ok operations returned per second), and latency quantiles *of the operations called in
        the bin*, so that an outage shows at the time when its clients called; with `<quantile>_at_least`. NaN in empty
        bins.
    """
    span = _window(warmup, duration)
    if not 0.0 < width < math.inf:
        raise ValueError(f"the width of a bin must be positive seconds, got {width!r}")
    # A remainder from rounding does not get a bin of its own.
    count = max(1, math.ceil(span / width - 1e-9))
    if count > _MOST_BINS:
        raise ValueError(
            f"bins of {width:g} s cut {span:g} s into {count:,}; at most {_MOST_BINS:,}: a width of at least "
            f"{span / _MOST_BINS:g} s"
        )
    edges = np.minimum(warmup + width * np.arange(count + 1), duration)
    edges[-1] = duration
    sizes = np.diff(edges)
    call = in_window(operations, duration, warmup)["called"].to_numpy(dtype=float)
    returned = operations.loc[operations["status"] == "ok", "returned"].to_numpy(dtype=float)
    returned = returned[(returned >= warmup) & (returned < duration)]
    frame = pd.DataFrame(
        {
            "start": edges[:-1],
            "end": edges[1:],
            "offered": np.histogram(call, edges)[0] / sizes,
            "throughput": np.histogram(returned, edges)[0] / sizes,
        }
    )
    if not quantiles:
        return frame
    # Each bin is a slice of the operations, sorted by call.
    ordered = in_window(operations, duration, warmup).sort_values("called", kind="stable")
    ordered = ordered[ordered["status"] != "fail"]
    watched, answered = observed(ordered, duration)
    weights = weights_of(ordered)
    cuts = np.searchsorted(ordered["called"].to_numpy(dtype=float), edges)
    rows = [
        _quantiles(
            survival(
                watched[first:last], answered[first:last], None if weights is None else weights[first:last]
            ),
            quantiles,
        )
        for first, last in pairwise(cuts.tolist())
    ]
    return pd.concat([frame, pd.DataFrame(rows)], axis=1)


@checked
def imbalance(loads: ArrayLike) -> pd.Series:
    """The imbalance of the load of servers: `max_over_mean`, `cv` (coefficient of variation), `jain` (Jain's index).

    Jain's fairness index is (Σx)² / (n Σx²): 1 for equal loads, 1/n if one server has all the load (Jain, Chiu and Hawe
    1984, DEC TR-301). `loads` are requests, busy seconds or queue lengths, one per server; NaN if all are zero.
    """
    values = np.asarray(loads, dtype=float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"loads must be one finite number >= 0 a server, got {loads!r}")
    mean = values.mean()
    if mean == 0:
        return pd.Series({"max_over_mean": math.nan, "cv": math.nan, "jain": math.nan})
    return pd.Series(
        {
            "max_over_mean": float(values.max() / mean),
            "cv": float(values.std() / mean),
            "jain": float(values.sum() ** 2 / (len(values) * (values**2).sum())),
        }
    )
