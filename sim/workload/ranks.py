"""Ranks with a Zipf distribution: drawn from a table if it is small, else by rejection."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from math import exp, expm1, log, log1p

import numpy as np

__all__ = ["TABLE", "rejection_inversion", "zipf_ranks"]

TABLE = 100_000
"""Up to this number, ranks are drawn from a table of their cumulative probabilities; above it, by rejection."""


def zipf_ranks(count: int, exponent: float, uniform: Callable[[], float]) -> Callable[[], int]:
    """A function that draws ranks 0 ... ``count`` - 1, rank i in proportion to ``(i + 1) ** -exponent``.

    ``uniform``: the stream of uniform numbers in [0, 1) to draw from.
    """
    if count <= TABLE:
        cumulative = _cumulative(count, exponent)
        return lambda: bisect_left(cumulative, uniform())
    return rejection_inversion(count, exponent, uniform)


@lru_cache(maxsize=8)  # all clients share these tables
def _cumulative(count: int, exponent: float) -> tuple[float, ...]:
    """For each of ``count`` ranks, the probability that a Zipf rank is at most this rank."""
    weights = np.arange(1, count + 1, dtype=float) ** -exponent
    cumulative = np.cumsum(weights / weights.sum())
    cumulative[-1] = 1.0
    return tuple(float(c) for c in cumulative)


def rejection_inversion(count: int, exponent: float, uniform: Callable[[], float]) -> Callable[[], int]:
    """The same distribution exactly, in constant space; on average less than two uniform numbers per draw.

    Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions", ACM
    TOMACS 6(3), 1996. The hat is ``h(x) = x ** -exponent``; ``area`` is its integral from 1. Each k has the
    part of the hat from k - 1/2 to k + 1/2, of which the last ``h(k)`` is accepted.
    """
    power = 1.0 - exponent

    def height(x: float) -> float:
        return exp(-exponent * log(x))

    def area(x: float) -> float:
        return log(x) * _expm1_over(power * log(x))

    def inverse(u: float) -> float:
        return exp(u * _log1p_over(max(u * power, -1.0)))

    least = area(1.5) - 1.0  # the part of the hat that belongs to rank 1 is as large as h(1)
    most = area(count + 0.5)
    surely = 2.0 - inverse(area(2.5) - height(2.0))  # this near to k, the test below always accepts

    def draw() -> int:
        while True:
            u = most + uniform() * (least - most)
            x = inverse(u)
            k = min(max(int(x + 0.5), 1), count)
            if k - x <= surely or u >= area(k + 0.5) - height(k):
                return k - 1

    return draw


def _expm1_over(x: float) -> float:
    """``(exp(x) - 1) / x``, also near 0."""
    return expm1(x) / x if abs(x) > 1e-8 else 1.0 + x / 2.0


def _log1p_over(x: float) -> float:
    """``log(1 + x) / x``, also near 0; 1 + x is positive, except for rounding."""
    if abs(x) <= 1e-8:
        return 1.0 - x / 2.0
    return log1p(max(x, -1.0 + 1e-16)) / x
