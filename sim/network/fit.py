"""One-way latencies from round-trip percentiles.

A table of measurements holds percentiles of *round trips*. A simulator needs one-way latencies: two of them,
drawn independently, must add up to round trips with the percentiles of the table. Halving the table would be wrong:
a spike belongs to one direction, so halved spikes would be half as long and, on a round trip, twice as frequent.

The one-way latency is a piecewise linear quantile function. The distribution of the sum of two such latencies is
computed exactly (`round_trip_cdf`), and Levenberg-Marquardt finds the knots: least squares of the relative
deviations, each measured in units of its bound. Both directions get the same distribution. Some tables have no such
solution (for example tables with two modes: a sum of two latencies with two modes has three). Then one direction has
all the variation up to the 99th percentile, as after a change of the route in one direction, and the other direction
is constant up to that percentile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from sim.distributions import PercentileTable
from sim.distributions.base import Floats

__all__ = ["BOUNDS", "LEVELS", "Fit", "fit_one_way", "round_trip_cdf", "round_trip_quantiles"]

LEVELS = (0.5, 0.75, 0.95, 0.99, 0.999, 0.9999, 0.99999)
"""The levels of the percentiles in a table of round trips."""

BOUNDS = (0.05, 0.05, 0.10, 0.15)
"""The largest relative deviations of the fitted p50, p75, p95 and p99 from the table."""

_LEVELS = np.array(LEVELS)
# Deviations are compared in these units; the percentiles above p99, and the mean, have no hard bound.
_UNITS = np.array([*BOUNDS, 0.2, 0.3, 0.4, 0.1])
_GOOD = 0.05  # below this deviation (in these units) the search stops
_FAIR = 0.5  # above this deviation, minimise the largest deviation instead of the squares
_POOR = 0.9  # above this deviation, the two directions get different distributions
_NARROWEST = 1e-4  # the smallest rise from knot to knot, relative to the table's median
# The largest of two draws is below the quantile at sqrt(p) with probability p, and a spike on a round trip is
# usually the larger of two: so the one-way quantile at sqrt(p) determines the percentile p of the table.
_ROOTS = np.sqrt(_LEVELS)
_KNOTS = np.array(
    sorted(
        [
            0,
            0.2,
            0.4,
            0.55,
            0.65,
            0.74,
            0.79,
            0.83,
            0.9,
            0.94,
            0.96,
            0.985,
            0.998,
            0.9998,
            0.99998,
            1,
            *_ROOTS,
        ]
    )
)
_ONE_SIDED = np.array(sorted([0, 0.2, 0.4, 0.6, 0.68, 0.85, 0.97, 0.995, 0.9995, 0.99995, 1, *LEVELS]))


@dataclass(frozen=True, slots=True)
class Fit:
    """The result of `fit_one_way`; times in seconds.

    Attributes
    ----------
    there, back:
        The one-way latencies; usually the same distribution.
    round_trip:
        The percentiles of their sum, at `LEVELS`.
    mean:
        The mean of their sum.
    deviations:
        ``round_trip`` divided by the table's percentiles, minus one.
    """

    there: PercentileTable
    back: PercentileTable
    round_trip: tuple[float, ...]
    mean: float
    deviations: tuple[float, ...]

    @property
    def within_bounds(self) -> bool:
        """Whether the deviations of p50, p75, p95 and p99 are within `BOUNDS`."""
        return all(abs(d) <= bound for d, bound in zip(self.deviations, BOUNDS, strict=False))


class _Curve:
    """A piecewise linear distribution function through the points (times, levels), and its integral."""

    __slots__ = ("area", "levels", "slopes", "times", "weights", "widths")

    def __init__(self, levels: Floats, times: Floats) -> None:
        self.levels, self.times = levels, times
        self.weights, self.widths = np.diff(levels), np.diff(times)
        self.slopes = self.weights / self.widths
        self.area = np.concatenate(([0.0], np.cumsum(self.widths * (levels[1:] + levels[:-1]) / 2.0)))

    @classmethod
    def of(cls, table: PercentileTable) -> _Curve:
        """The curve of a table; jumps become steep segments."""
        levels, times = np.array(table.table).T
        levels, times = np.concatenate(([0.0], levels, [1.0])), np.concatenate((times[:1], times, times[-1:]))
        keep = np.append(np.diff(levels) > 0.0, True)
        levels, times = levels[keep], times[keep]
        least = 1e-9 * max(times[-1], 1e-9)
        return cls(
            levels,
            np.maximum.accumulate(times - least * np.arange(len(times))) + least * np.arange(len(times)),
        )

    def mean(self) -> float:
        return float(self.weights @ (self.times[1:] + self.times[:-1])) / 2.0

    def integrate(self, x: Floats) -> tuple[Floats, Floats]:
        """The distribution function at each ``x``, and its integral up to ``x``."""
        # Most of the time of a fit is spent here, and numpy.clip is slower than minimum and maximum.
        i = np.minimum(np.maximum(np.searchsorted(self.times, x, side="right") - 1, 0), len(self.widths) - 1)
        inside = np.minimum(np.maximum(x, self.times[0]), self.times[-1]) - self.times[i]
        function = self.levels[i] + self.slopes[i] * inside
        integral = self.area[i] + inside * (self.levels[i] + function) / 2.0
        return function, integral + np.maximum(x - self.times[-1], 0.0)


def round_trip_cdf(there: PercentileTable, back: PercentileTable, times: Sequence[float]) -> list[float]:
    """The probability that independent draws of both add up to at most each of the times (seconds); exact."""
    return [float(p) for p in _cdf(_Curve.of(there), _Curve.of(back), np.asarray(times, dtype=float))]


def round_trip_quantiles(
    there: PercentileTable, back: PercentileTable, levels: Sequence[float]
) -> list[float]:
    """The quantiles (seconds) of the sum of independent draws of both; exact."""
    return [float(x) for x in _quantiles(_Curve.of(there), _Curve.of(back), np.asarray(levels, dtype=float))]


def _cdf(a: _Curve, b: _Curve, x: Floats) -> Floats:
    """P(A + B <= x): the mean of b's function over each segment of a, on which A is uniform."""
    _, integral = b.integrate(x[:, None] - a.times)
    total: Floats = (integral[:, :-1] - integral[:, 1:]) / a.widths @ a.weights
    return total


def _quantiles(a: _Curve, b: _Curve, levels: Floats) -> Floats:
    """Quantiles of A + B. Between two sums of knots the cdf is a parabola: bisect over the sums, then solve it."""
    sums = np.sort((a.times[:, None] + b.times).ravel())
    low, high = np.zeros(len(levels), dtype=np.intp), np.full(len(levels), len(sums) - 1)
    while (high - low).max() > 1:
        middle = (low + high) // 2
        below = _cdf(a, b, sums[middle]) < levels
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    start, end = sums[low], sums[high]
    p0, p1, p2 = _cdf(a, b, np.concatenate((start, (start + end) / 2.0, end))).reshape(3, -1)
    square = 2.0 * (p2 - 2.0 * p1 + p0)
    linear = p2 - p0 - square
    root = linear + np.sqrt(np.maximum(linear**2 - 4.0 * square * (p0 - levels), 0.0))
    step = np.divide(2.0 * (levels - p0), root, out=np.ones_like(root), where=root > 0.0)
    result: Floats = start + np.clip(step, 0.0, 1.0) * (end - start)
    return result


def _slopes(a: _Curve, b: _Curve, x: Floats) -> tuple[Floats, Floats]:
    """The derivative of P(A + B <= x) by each knot of a, shape (times, knots), and the density of A + B at x."""
    function, integral = b.integrate(x[:, None] - a.times)
    average = (integral[:, :-1] - integral[:, 1:]) / a.widths
    by_knot = np.zeros_like(function)
    by_knot[:, :-1] += a.slopes * (average - function[:, :-1])
    by_knot[:, 1:] += a.slopes * (function[:, 1:] - average)
    return by_knot, (function[:, :-1] - function[:, 1:]) / a.widths @ a.weights


class _Search:
    """Levenberg-Marquardt over the logarithms of the rises from knot to knot (so that rises stay positive).

    Times are relative to the table's median. ``back``: the curve of the other direction, if it differs.
    """

    def __init__(self, mean: float, percentiles: Floats, knots: Floats, back: _Curve | None = None) -> None:
        self.mean, self.percentiles, self.knots, self.back = mean, percentiles, knots, back
        self.levels, self.targets, self.units = _LEVELS, percentiles, _UNITS

    def be_robust(self) -> None:
        """Add targets: the bounded percentiles also at levels two standard errors of 10,000 samples away."""
        some = len(BOUNDS)
        off = 0.02 * np.sqrt(_LEVELS[:some] * (1.0 - _LEVELS[:some]))
        self.levels = np.concatenate((_LEVELS, _LEVELS[:some] - off, _LEVELS[:some] + off))
        self.targets = np.concatenate((self.percentiles, self.percentiles[:some], self.percentiles[:some]))
        self.units = np.concatenate((_UNITS[:-1], _UNITS[:some], _UNITS[:some], _UNITS[-1:]))

    def curves(self, logs: Floats) -> tuple[_Curve, _Curve]:
        there = _Curve(self.knots, np.cumsum(np.exp(logs)))
        return there, there if self.back is None else self.back

    def residuals(self, logs: Floats) -> tuple[Floats, Floats]:
        """The deviations (logarithms of ratios, in units; the mean's deviation is last), and the quantiles."""
        there, back = self.curves(logs)
        quantiles = _quantiles(there, back, self.levels)
        ratios = np.append(quantiles / self.targets, (there.mean() + back.mean()) / self.mean)
        return np.log(ratios) / self.units, quantiles

    def jacobian(self, logs: Floats, quantiles: Floats) -> Floats:
        there, back = self.curves(logs)
        times = 1.0 if self.back is not None else 2.0  # 2: both directions have the same knots
        by_knot, density = _slopes(there, back, quantiles)
        # A quantile jumps where the density of the sum is 0; a minimal density keeps the step finite.
        density = np.maximum(density, 1e-2 * (1.0 - self.levels) / quantiles)
        rows = -times * by_knot / (density * quantiles)[:, None]
        halves = np.append(there.weights, 0.0) + np.append(0.0, there.weights)
        last = times * halves / 2.0 / (there.mean() + back.mean())
        knots = np.vstack((rows, last)) / self.units[:, None]
        # A rise moves all knots above it.
        moved: Floats = np.cumsum(knots[:, ::-1], axis=1)[:, ::-1] * np.exp(logs)
        return moved

    def run(self, logs: Floats, power: int, rounds: int) -> Floats:
        """Minimise the sum of the deviations to an (even) ``power``; a higher power stresses large deviations more."""
        damping = 1e-2
        residuals, quantiles = self.residuals(logs)
        for _ in range(rounds):
            if np.abs(residuals).max() < _GOOD:
                break
            jacobian = self.jacobian(logs, quantiles)
            weights = np.abs(residuals) ** (power - 2)
            weights /= weights.max()
            normal = (jacobian.T * weights) @ jacobian
            gradient = (jacobian.T * weights) @ residuals / (power - 1)
            for _ in range(8):
                step = np.linalg.solve(normal + damping * np.eye(len(logs)), gradient)
                trial = np.maximum(logs - np.clip(step, -1.0, 1.0), np.log(_NARROWEST))
                new, new_quantiles = self.residuals(trial)
                if np.sum(new**power) < np.sum(residuals**power):
                    break
                damping *= 4.0
            else:
                break
            damping = max(damping / 3.0, 1e-6)
            logs, residuals, quantiles = trial, new, new_quantiles
        return logs

    def worst(self, logs: Floats) -> float:
        """The largest deviation among the percentiles with bounds, in units of its bound."""
        return float(np.abs(self.residuals(logs)[0][: len(BOUNDS)]).max())


@cache
def fit_one_way(mean: float, percentiles: tuple[float, ...], symmetric: bool = False) -> Fit:
    """One-way latencies whose sum has the given mean and percentiles (at `LEVELS`), in seconds, all positive.

    With ``symmetric`` both directions get the same distribution, even if the fit is then worse.
    """
    scale = percentiles[0]
    targets = np.array(percentiles) / scale
    there, back = _search(mean / scale, targets, symmetric)
    forth, home = _table(there, scale), _table(back, scale)
    round_trip = round_trip_quantiles(forth, home, LEVELS)
    return Fit(
        there=forth,
        back=home,
        round_trip=tuple(round_trip),
        mean=forth.mean() + home.mean(),
        deviations=tuple(x / p - 1.0 for x, p in zip(round_trip, percentiles, strict=True)),
    )


def _table(curve: _Curve, scale: float) -> PercentileTable:
    # Nine digits: the further digits of linear algebra may differ between machines.
    return PercentileTable(
        (float(p), float(f"{x * scale:.9g}")) for p, x in zip(curve.levels, curve.times, strict=True)
    )


def _search(mean: float, targets: Floats, symmetric: bool) -> tuple[_Curve, _Curve]:
    """The curves for there and back, in units of the median round trip."""
    floor = _least(mean, targets) / 2.0
    search = _Search(mean, targets, _KNOTS)
    logs = search.run(_start(_KNOTS, _ROOTS, targets - floor, floor), power=2, rounds=15)
    if search.worst(logs) > _FAIR:
        search.be_robust()
        logs = search.run(logs, power=8, rounds=40)
    if search.worst(logs) > _POOR and not symmetric:
        spikes = np.exp(_start(_KNOTS, _ROOTS, targets - floor, floor)).cumsum()
        calm = np.where(_ROOTS[3] < _KNOTS, spikes, floor) + _NARROWEST * np.arange(len(_KNOTS))
        search = _Search(mean, targets, _ONE_SIDED, _Curve(_KNOTS, np.maximum.accumulate(calm)))
        logs = search.run(_start(_ONE_SIDED, _LEVELS, targets - floor, floor), power=2, rounds=60)
    return search.curves(logs)


def _least(mean: float, targets: Floats) -> float:
    """The shortest round trip that gives the mean if the lower half is uniform; clipped to [0.5, 0.999]."""
    upper = np.diff(_LEVELS) @ (targets[1:] + targets[:-1]) / 2.0 + (1.0 - _LEVELS[-1]) * targets[-1]
    return float(np.clip(4.0 * (mean - upper) - targets[0], 0.5, 0.999))


def _start(knots: Floats, levels: Floats, times: Floats, floor: float) -> Floats:
    """The start of the search, as logarithms of the rises, from 0.

    The curve has the given times at the given levels and is linear between them. In the tail, the logarithm of the
    time above ``floor`` is linear in the logarithm of the tail probability.
    """
    body = np.interp(knots, np.append(0.0, levels), np.append(floor, times))
    rarity = -np.log1p(-np.minimum(knots, levels[-1]))
    tail = floor + np.exp(np.interp(rarity, -np.log1p(-levels), np.log(np.maximum(times - floor, 1e-9))))
    rising = np.maximum.accumulate(np.where(knots > levels[2], tail, body)) + _NARROWEST * np.arange(
        len(knots)
    )
    logs: Floats = np.log(np.diff(rising, prepend=0.0))
    return logs
