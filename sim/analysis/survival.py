"""Latency when some operations were never answered: the Kaplan-Meier estimate.

An operation without an answer took *at least* as long as it was observed. If such operations were dropped, or counted
as finished at the end of the observation, the failing system would look better than it is. The product-limit estimator
(Kaplan and Meier 1958, "Nonparametric estimation from incomplete observations", JASA 53:457) uses exactly what is
known. Without unanswered operations it is the empirical distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.arguments import checked

__all__ = ["Bounded", "Survival", "survival"]

# Fractions are ratios of counts. In any run that fits in memory they differ by at least 1e-9 or not at all; smaller
# differences are rounding errors.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Bounded:
    """A value; with `at_least` only a lower bound of it, because the rest was not observed."""

    value: float
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Survival:
    """The distribution of latencies, of which some are only known to be at least a certain time.

    `times` (seconds, ascending, distinct) are the latencies of answered operations; `fractions` are the estimated
    fractions of all operations answered within these times. `longest` is the longest time that any operation was
    observed, answered or not. There are `count` operations, of which `censored` got no answer.
    """

    times: NDArray[np.float64]
    fractions: NDArray[np.float64]
    longest: float
    count: int
    censored: int

    def quantile(self, q: float) -> Bounded:
        """The shortest time within which a fraction `q` (0 < q ≤ 1) of the operations was answered.

        If fewer than `q` were seen answered: the longest observed time, as a lower bound. NaN without operations.
        """
        if not 0.0 < q <= 1.0:
            raise ValueError(f"a quantile must be in (0, 1], got {q!r}")
        if self.count == 0:
            return Bounded(math.nan)
        index = int(np.searchsorted(self.fractions, q - _ROUNDING, side="left"))
        if index == len(self.times):
            return Bounded(self.longest, at_least=True)
        return Bounded(float(self.times[index]))

    def mean(self) -> Bounded:
        """The area above the distribution up to the longest observed time; a lower bound if some are longer."""
        if self.count == 0:
            return Bounded(math.nan)
        # The sum of each time multiplied by its mass; without censoring it is the plain mean, except for rounding.
        mass = np.diff(self.fractions, prepend=0.0)
        beyond = 1.0 - (float(self.fractions[-1]) if len(self.fractions) else 0.0)
        unseen = beyond > _ROUNDING
        total = float(np.dot(mass, self.times)) + (beyond * self.longest if unseen else 0.0)
        return Bounded(total, at_least=unseen)

    def fraction_within(self, time: float) -> float:
        """The estimated fraction of operations answered within `time` seconds."""
        index = int(np.searchsorted(self.times, time, side="right"))
        return float(self.fractions[index - 1]) if index else 0.0


@checked
def survival(times: ArrayLike, answered: ArrayLike, weights: ArrayLike | None = None) -> Survival:
    """Estimate the distribution of latencies.

    Args:
        times: seconds for which each operation was observed, shape (n,).
        answered: whether the observation ended with an answer, shape (n,).
        weights: the weight of each operation (> 0), shape (n,); None: equal weights.

    Raises:
        ValueError: shapes differ, a time is negative or not finite, or a weight is not positive.
    """
    watched = np.asarray(times, dtype=np.float64)
    seen = np.asarray(answered, dtype=bool)
    if watched.shape != seen.shape or watched.ndim != 1:
        raise ValueError(f"times and answered must have one shape (n,), got {watched.shape} and {seen.shape}")
    bad = ~np.isfinite(watched) | (watched < 0)
    if bad.any():
        raise ValueError(f"a latency must be finite and not negative, got {watched[bad][0]!r}")
    n = len(watched)
    if n == 0:
        nothing = np.empty(0)
        return Survival(nothing, nothing, math.nan, 0, 0)
    # At equal times answers come first: an observation that ended then had not seen an answer up to that time.
    order = np.lexsort((~seen, watched))
    watched, seen = watched[order], seen[order]
    remaining, heirs = _remaining(n, weights, order)
    # When the observation of an operation ends without an answer, its weight goes to the operations that are still
    # observed, in proportion to their weights. So the weight of the remaining operations is their original weight,
    # multiplied by all factors so far; without censoring, no rounding errors accumulate.
    inheritance = np.where(seen | (heirs == 0), 1.0, remaining / np.where(heirs == 0, 1.0, heirs))
    weight = np.concatenate(([1.0], np.cumprod(inheritance)[:-1])) / remaining[0]
    fractions = 1.0 - weight * heirs
    if seen[-1]:
        fractions[-1] = 1.0
    at, within = watched[seen], fractions[seen]
    last = np.append(at[1:] != at[:-1], True) if len(at) else np.empty(0, dtype=bool)
    return Survival(at[last], within[last], float(watched[-1]), n, int(n - seen.sum()))


def _remaining(
    n: int, weights: ArrayLike | None, order: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each operation: the total weight of it and all that were observed longer; and this total without itself."""
    if weights is None:
        remaining = np.arange(n, 0, -1, dtype=np.float64)
        return remaining, remaining - 1
    each = np.asarray(weights, dtype=np.float64)
    if each.shape != (n,) or not (np.isfinite(each) & (each > 0)).all():
        raise ValueError(f"weights must be one positive number an operation, got {weights!r}")
    remaining = np.cumsum(each[order][::-1])[::-1]
    return remaining, np.append(remaining[1:], 0.0)
