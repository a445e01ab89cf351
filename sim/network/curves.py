"""Round trips at the levels that a fit needs (`sim.network.fit.LEVELS`), from what a file says of a pair."""

from __future__ import annotations

from itertools import pairwise
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np

from sim.network.fit import LEVELS
from sim.readers import PairFigures, PairSamples

__all__ = ["mean_and_percentiles"]

_NORMAL = NormalDist()


def mean_and_percentiles(pair: PairFigures | PairSamples) -> tuple[float, tuple[float, ...]]:
    """Mean and percentiles in seconds.

    Samples have theirs. Between two percentiles of a table, round trips are taken to be log-normal; above the highest
    one, and below the lowest, nothing is known, and they are that one. Without percentiles: log-normal with the mean
    and the standard deviation, from the shortest to the longest round trip. Raises ValueError if no round trip was
    answered.
    """
    if isinstance(pair, PairSamples):
        pair.require_answer()
        answered = pair.answered
        return float(np.mean(answered)), tuple(float(x) for x in np.quantile(answered, LEVELS))
    if pair.percentiles:
        percentiles = tuple(_at(level, pair) for level in LEVELS)
    else:
        percentiles = _log_normal(pair)
    return pair.mean if pair.mean is not None else _mean(percentiles, pair.least), percentiles


def _at(level: float, pair: PairFigures) -> float:
    known = sorted(pair.percentiles.items())
    if level <= known[0][0]:
        return known[0][1]
    for (p, x), (q, y) in pairwise(known):
        if level == q:
            return y
        if level < q:
            part = (_score(level) - _score(p)) / (_score(q) - _score(p))
            return x * exp(part * log(y / x))
    return known[-1][1]


def _score(level: float) -> float:
    """The standard normal quantile; the levels 0 and 1 count as the ends of a million round trips."""
    return _NORMAL.inv_cdf(min(max(level, 1e-6), 1.0 - 1e-6))


def _log_normal(pair: PairFigures) -> tuple[float, ...]:
    mean, deviation = float(pair.mean or 0.0), pair.deviation
    if deviation is None:  # a quarter of the range: that is what ping prints on Windows
        deviation = ((pair.most or mean) - (pair.least or mean)) / 4.0
    spread = log(1.0 + (deviation / mean) ** 2)
    median = mean / exp(spread / 2.0)
    least, most = pair.least or 0.0, pair.most or float("inf")
    return tuple(
        min(max(median * exp(sqrt(spread) * _NORMAL.inv_cdf(level)), least), most) for level in LEVELS
    )


def _mean(percentiles: tuple[float, ...], least: float | None) -> float:
    """The mean of the piecewise linear curve through the percentiles.

    Where the shortest round trip is not known, it is as far below the median, by factor, as the 75th percentile is
    above it.
    """
    start = percentiles[0] ** 2 / percentiles[1] if least is None else least
    times = np.array([start, *percentiles, percentiles[-1]])
    return float(np.diff([0.0, *LEVELS, 1.0]) @ (times[1:] + times[:-1]) / 2.0)
