"""Measures of load balancing: pure functions of the frames `operations` and `samples`.

For the imbalance of loads see `sim.analysis.measures.imbalance`. The functions use the gauges of balancers and servers
(`Scenario(sample_every=...)`). Servers offer ``requests`` (in the server now) and ``received`` (so far). Balancers,
and clients that balance by themselves, offer ``arrived``, ``done``, ``refused``, ``lost`` (so far) and ``under_way``.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from sim.arguments import checked

__all__ = [
    "amplification",
    "amplification_timeline",
    "gauge_by_node",
    "goodput",
    "goodput_timeline",
]


@checked
def gauge_by_node(samples: pd.DataFrame, gauge: str) -> pd.DataFrame:
    """One gauge as a table: one row per sampled time (index, seconds), one column per node.

    Raises ValueError when no node offers the gauge.
    """
    found = samples[samples["gauge"] == gauge]
    if found.empty:
        known = sorted(samples["gauge"].unique())
        raise ValueError(f"there are no samples of a gauge {gauge!r}; there are {known}")
    table = found.pivot_table(index="time", columns="node", values="value", aggfunc="last", sort=False)
    return table.astype(float).sort_index()


def _good(operations: pd.DataFrame, within: float | None) -> pd.Series:
    if within is not None and not within > 0:
        raise ValueError(f"a request is good within positive seconds, not {within!r}")
    good = operations["status"] == "ok"
    return good if within is None else good & (operations["latency"].astype(float) <= within)


@checked
def goodput(
    operations: pd.DataFrame, *, duration: float, warmup: float = 0.0, within: float | None = None
) -> float:
    """Good answers per second: of the requests called in [warmup, duration), those that were answered ``ok``.

    ``within``: count only answers within this many seconds; None: all. Raises ValueError unless
    0 <= warmup < duration.
    """
    if not 0.0 <= warmup < duration < math.inf:
        raise ValueError(f"need 0 <= warmup < duration (seconds), got {warmup!r}, {duration!r}")
    called = operations["called"].astype(float)
    counted = operations[(called >= warmup) & (called < duration)]
    return float(_good(counted, within).sum()) / (duration - warmup)


@checked
def goodput_timeline(
    operations: pd.DataFrame, *, duration: float, width: float = 1.0, within: float | None = None
) -> pd.DataFrame:
    """Offered load and goodput over time: columns `time` (start of the bin), `offered`, `goodput` (per second).

    Requests count in the bin in which they were called. ``width``: seconds of a bin.
    """
    if not 0 < width <= duration:
        raise ValueError(f"the width of a bin must be positive and at most {duration} s, not {width!r}")
    edges = np.arange(0.0, duration + 0.5 * width, width)
    called = operations["called"].to_numpy(dtype=float)
    offered, _ = np.histogram(called, bins=edges)
    good, _ = np.histogram(called[_good(operations, within).to_numpy(dtype=bool)], bins=edges)
    return pd.DataFrame({"time": edges[:-1], "offered": offered / width, "goodput": good / width})


@checked
def amplification(samples: pd.DataFrame) -> float:
    """The number of requests that servers received per request that arrived at the balancers, up to the last sample.

    1 without retries and hedges. NaN if no request arrived. A counter that a crash reset to zero continues to count.
    """
    timeline = amplification_timeline(samples)
    arrived = float(timeline["arrived"].sum())
    return float(timeline["received"].sum()) / arrived if arrived else math.nan


@checked
def amplification_timeline(samples: pd.DataFrame) -> pd.DataFrame:
    """Retry amplification between samples.

    Columns `time` (of the sample), `arrived` and `received` (requests since the sample before), `amplification`
    (their ratio, NaN where nothing arrived).
    """
    arrived = _grown(gauge_by_node(samples, "arrived"))
    received = _grown(gauge_by_node(samples, "received")).reindex(arrived.index, fill_value=0.0)
    ratio = received / arrived.where(arrived > 0)
    return pd.DataFrame(
        {
            "time": arrived.index.to_numpy(dtype=float),
            "arrived": arrived.to_numpy(),
            "received": received.to_numpy(),
            "amplification": ratio.to_numpy(dtype=float),
        }
    )


def _grown(counters: pd.DataFrame) -> pd.Series:
    """The growth of the counters of all nodes between samples; a counter that fell was reset to zero by a crash."""
    filled = counters.ffill().fillna(0.0)
    steps = filled.diff().fillna(filled)
    return steps.where(steps >= 0, filled).sum(axis=1)
