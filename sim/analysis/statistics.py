"""Statistics over seeds and over time: intervals, warm-up truncation, batch means.

SciPy is not used: importing it takes more than a second, and results must not depend on whether it is installed.
The tests compare the results with SciPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sim.analysis.quantities import quantity
from sim.arguments import checked

__all__ = [
    "AT_LEAST",
    "Interval",
    "batch_means",
    "bounded",
    "check_confidence",
    "intervals",
    "mean_interval",
    "measured",
    "mser5",
    "quantile_interval",
    "t_quantile",
    "values_needed",
]

AT_LEAST = "_at_least"
"""Suffix of columns: `p99_at_least` is 1 if the value in column `p99` is only a lower bound, else 0."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate (`mean`) with its confidence interval from `low` to `high`, out of `count` values.

    `low` and `high` are NaN for fewer than two values.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def half_width(self) -> float:
        """The distance from the estimate to `high`; NaN for fewer than two values."""
        return self.high - self.mean

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.mean:g} (of {self.count} value{'s' * (self.count != 1)}: no interval)"
        return f"{self.mean:g} [{self.low:g}, {self.high:g}] (of {self.count} values)"


# ---- Student's t --------------------------------------------------------------------------------------------


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast only for smaller x; use the symmetry
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    # Evaluated by the modified Lentz method (Thompson and Barnett 1986).
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    fraction = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for term in (even, odd):
            d = 1.0 + term * d
            c = 1.0 + term / c
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            step = c * d
            fraction *= step
        if abs(step - 1.0) < 1e-16:
            break
    return front * fraction / a


@lru_cache(maxsize=1024)
def t_quantile(p: float, df: float) -> float:
    """The quantile of Student's t distribution with `df` degrees of freedom (0 < p < 1, df > 0)."""
    if not 0.0 < p < 1.0:
        raise ValueError(f"a probability must be in (0, 1), got {p!r}")
    if not df > 0:
        raise ValueError(f"degrees of freedom must be positive, got {df!r}")
    if p == 0.5:
        return 0.0
    tail = min(p, 1.0 - p)

    def beyond(t: float) -> float:  # P(T > t), Abramowitz and Stegun 26.7.1
        return 0.5 * _incomplete_beta(df / 2, 0.5, df / (df + t * t))

    low, high = 0.0, 1.0
    while beyond(high) > tail:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        if beyond(middle) > tail:
            low = middle
        else:
            high = middle
    return high if p > 0.5 else -high


# ---- over seeds ---------------------------------------------------------------------------------------------


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]


@checked
def check_confidence(confidence: float) -> None:
    """Raise ValueError unless a confidence level is in (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be in (0, 1), got {confidence!r}")


@checked
def mean_interval(values: ArrayLike, confidence: float = 0.95, *, least: float = -math.inf) -> Interval:
    """The mean of independent values (one per seed) with its Student t interval; NaNs are left out.

    `least`: a lower bound of the true mean, such as 0 for a time. The interval is cut off there, which does not change
    its coverage. A single value has no interval (NaN).
    """
    check_confidence(confidence)
    kept = _finite(values)
    n = len(kept)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(kept.mean())
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = t_quantile((1 + confidence) / 2, n - 1) * float(kept.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, max(mean - half, least), mean + half, n)


@checked
def measured(summaries: pd.DataFrame, by: Sequence[str], measures: Sequence[str] | None) -> list[str]:
    """The columns of the measures: `measures`, else all numeric ones. Raises ValueError for a missing column."""
    missing = [name for name in (*by, *(measures or ())) if name not in summaries.columns]
    if missing:
        raise ValueError(f"summaries have no column {missing[0]!r}; they have {list(summaries.columns)}")
    if measures is not None:
        return list(measures)
    numeric = summaries.select_dtypes("number").columns
    return [c for c in numeric if c not in (*by, "seed") and not c.endswith(AT_LEAST)]


@checked
def bounded(group: pd.DataFrame, measure: str) -> bool:
    """Whether at least one value of this measure is only a lower bound."""
    flag = measure + AT_LEAST
    return flag in group.columns and bool((group[flag].fillna(0) > 0).any())


@checked
def intervals(
    summaries: pd.DataFrame,
    measures: Sequence[str] | None = None,
    *,
    by: Sequence[str] = ("run",),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Each measure's mean over seeds with its interval.

    Args:
        summaries: one row per run and seed, one column per measure (`summary()` rows with `run` and `seed`).
        measures: the columns of the measures; by default all numeric ones.
        by: the columns that distinguish groups; each group has several seeds.

    Returns:
        Columns `by…, measure, mean, low, high, count, at_least`, groups in order of appearance. `at_least`: the value
        of a seed is only a lower bound, so the mean is, too. The intervals of quantities that cannot be negative
        (times, counts, rates: `quantities`) do not reach below zero.

    Raises:
        ValueError: a group has a seed twice. Values of one seed are not independent samples: add columns to `by`.
    """
    names = measured(summaries, by, measures)
    if "seed" in summaries.columns and "seed" not in by:
        twice = summaries.duplicated([*by, "seed"])
        if twice.any():
            row = summaries[twice].iloc[0]
            where = ", ".join(f"{name} {row[name]}" for name in by)
            raise ValueError(
                f"seed {row['seed']} is there twice for {where}: values of one seed are not independent samples"
                f"; tell them apart by further columns (by=) or leave one out"
            )
    rows = []
    for keys, group in summaries.groupby(list(by), sort=False, dropna=False):
        for name in names:
            found = mean_interval(group[name].to_numpy(dtype=float), confidence, least=quantity(name).least)
            rows.append((*keys, name, found.mean, found.low, found.high, found.count, bounded(group, name)))
    return pd.DataFrame(rows, columns=[*by, "measure", "mean", "low", "high", "count", "at_least"])


@checked
def quantile_interval(values: ArrayLike, q: float, confidence: float = 0.95) -> Interval:
    """The quantile `q` of independent values, with an interval from their order statistics; NaNs are left out.

    The number of values below the true quantile is binomial, whatever the distribution is. So the interval from the
    l-th to the u-th value covers the quantile with a probability that follows from l, u and n alone. The part beyond
    each end is at most half of what the confidence leaves; where n is too small for that, the end is NaN
    (`values_needed`). With equal values or counts the coverage is larger. The estimate is the smallest value with a
    fraction of at least `q` at or below it.
    """
    check_confidence(confidence)
    _check_quantile(q)
    ordered = np.sort(_finite(values))
    n = len(ordered)
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0)
    tail = (1 - confidence) / 2
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n)]
    k = np.arange(n)
    below = np.cumsum(np.exp(np.array(logs) + k * math.log(q) + (n - k) * math.log1p(-q)))  # P(B <= k)
    first = int(np.searchsorted(below, tail, side="right"))  # how many of the smallest values may be left out
    last = int(np.searchsorted(below, 1 - tail, side="left"))  # the place of the upper end
    low = float(ordered[first - 1]) if first else math.nan
    high = float(ordered[last]) if last < n else math.nan
    return Interval(float(ordered[max(math.ceil(q * n - 1e-9), 1) - 1]), low, high, n)


@checked
def values_needed(q: float, confidence: float = 0.95) -> int:
    """How many values give both ends of the interval of the quantile `q` (0 < q < 1): 6 for p50, 36 for p90."""
    check_confidence(confidence)
    _check_quantile(q)
    tail = (1 - confidence) / 2
    return math.ceil(math.log(tail) / math.log(max(q, 1 - q)))


def _check_quantile(q: float) -> None:
    if not 0.0 < q < 1.0:
        raise ValueError(f"a quantile must be in (0, 1), got {q!r}")


# ---- over time, within one run ------------------------------------------------------------------------------


@checked
def mser5(values: ArrayLike) -> int:
    """How many of the first values to drop as warm-up: the MSER-5 rule.

    Values are averaged in batches of five. The rule cuts where the standard error of the mean of the remaining batches
    is smallest (White 1997, "An effective truncation heuristic for bias reduction in simulation output", Simulation 69;
    batches of five: White, Cobb and Spratt 2000, WSC). Only cuts in the first half are considered: a result of about
    half the length means that the run is too short.

    Args:
        values: one run's output in order of time (latencies, queue lengths), shape (n,).
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise ValueError(f"mser5 takes one series, got shape {series.shape}")
    count = len(series) // 5
    if count < 2:
        return 0
    batches = series[: count * 5].reshape(count, 5).mean(axis=1)
    level = float(batches.mean())
    batches = batches - level  # sums of squares lose digits around a large mean
    left = np.arange(count, 0, -1)  # number of remaining batches for each cut
    sums = np.cumsum(batches[::-1])[::-1]
    squares = np.cumsum((batches**2)[::-1])[::-1]
    spread = np.maximum(squares - sums**2 / left, 0.0) / left.astype(float) ** 2
    spread = spread[: count // 2 + 1]
    # Of cuts that only rounding tells apart (all that remains is equal), the earliest.
    return 5 * int(np.argmax(spread <= spread.min() + 1e-12 * spread.max() + (1e-12 * level) ** 2))


@checked
def batch_means(values: ArrayLike, batches: int = 20, confidence: float = 0.95) -> Interval:
    """The mean of the correlated output of one long run, with an interval from the means of consecutive batches.

    Batches that are long compared to the correlation are nearly independent (Law, "Simulation Modeling and Analysis",
    5th ed., 9.5.3). Values that do not fill a batch are dropped at the start, where the warm-up may still have effects.

    Raises:
        ValueError: fewer than two batches, or fewer values than batches.
    """
    series = np.asarray(values, dtype=np.float64)
    if batches < 2:
        raise ValueError(f"batches must be at least 2, got {batches!r}")
    if len(series) < batches:
        raise ValueError(f"{len(series)} values do not fill {batches} batches")
    size = len(series) // batches
    means = series[len(series) - size * batches :].reshape(batches, size).mean(axis=1)
    return mean_interval(means, confidence)
