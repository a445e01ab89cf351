"""Least squares for few parameters and costly residuals: Levenberg-Marquardt, and walks along the profile.

Everything is in logarithms of the parameters: a step is a factor. K. Levenberg, Quarterly of Applied Mathematics 2,
1944; D. Marquardt, SIAM J. 11(2), 1963; profiles: D. Bates & D. Watts, "Nonlinear Regression Analysis and Its
Applications", 1988, chapter 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from sim.distributions.base import Floats

__all__ = ["Side", "Valley", "minimise", "profile", "slopes_at"]

Residuals = Callable[[Floats], Floats]

# Half the width of the difference quotients. Quantiles of a finite run are a staircase, and narrow ones see its steps.
_COARSE, _FINE = 0.25, 0.1
_MOST_STEPS = 12
_FARTHEST = log(30.0)  # how far a profile is followed: a factor of 30 to each side
_LONGEST_STRIDE = 0.7  # of a walk along the profile: a factor of two
_CHI2 = 3.841458820694124  # the 95 % quantile of chi squared with one degree of freedom


@dataclass(frozen=True)
class Valley:
    """Where a search ended: the lowest point of the error surface, and its slopes.

    ``at``: the logarithms of the parameters. ``cost``: the sum of the squared residuals there. ``slopes``: the
    derivatives of the residuals, one column a parameter.
    """

    at: Floats
    cost: float
    slopes: Floats

    @property
    def covariance(self) -> Floats:
        """The covariance of the logarithms of the parameters, if the residuals are in units of their errors."""
        square = self.slopes.T @ self.slopes
        inverse = np.linalg.pinv(square + 1e-10 * np.eye(len(self.at)), hermitian=True)
        return np.asarray(inverse, dtype=float)


@dataclass(frozen=True)
class Side:
    """One end of an interval.

    ``at``: the logarithms of all parameters there. ``closed``: whether the data rule out what lies beyond.
    """

    at: Floats
    closed: bool


def minimise(residuals: Residuals, start: Floats, low: Floats, high: Floats) -> Valley:
    """The least sum of squares between ``low`` and ``high`` (logarithms), from ``start`` on."""
    at = np.clip(start, low, high)
    here = residuals(at)
    cost = float(here @ here)
    damping, step = 1e-2, _COARSE
    slopes = slopes_at(residuals, at, low, high, step)
    for _ in range(_MOST_STEPS):
        square = slopes.T @ slopes
        ridge = np.diag(np.diag(square) + 1e-9 * (np.trace(square) + 1.0))
        change = -np.linalg.solve(square + damping * ridge, slopes.T @ here)
        there = np.clip(at + np.clip(change, -1.0, 1.0), low, high)
        moved = float(np.abs(there - at).max())
        trial = residuals(there)
        if (reached := float(trial @ trial)) < cost:
            small = cost - reached < 1e-2 * cost or moved < 2e-3
            at, here, cost, damping = there, trial, reached, damping / 5
            if small and step == _FINE:
                break
            step = _FINE if small or moved < 0.1 else step
            slopes = slopes_at(residuals, at, low, high, step)
        elif damping < 1.0 and moved > 5e-3:
            damping *= 10
        elif step == _FINE:
            break
        else:
            damping, step = 1e-2, _FINE
            slopes = slopes_at(residuals, at, low, high, step)
    return Valley(at, cost, slopes)


def slopes_at(residuals: Residuals, at: Floats, low: Floats, high: Floats, step: float = _FINE) -> Floats:
    """Central difference quotients; at a bound, to the side on which there is room."""
    columns = []
    for k in range(len(at)):
        below, above = at.copy(), at.copy()
        below[k], above[k] = max(at[k] - step, low[k]), min(at[k] + step, high[k])
        columns.append((residuals(above) - residuals(below)) / (above[k] - below[k]))
    return np.array(columns).T


def profile(
    residuals: Residuals, found: Valley, k: int, sign: int, low: Floats, high: Floats, scale: float
) -> Side:
    """One end of the 95 % interval of parameter ``k``: the others follow the valley of the error surface.

    ``sign``: -1 or 1. ``scale``: the square of the error of a residual (1 if the weights are right). The interval ends
    where the sum of squares has risen by 3.84 x scale.
    """
    covariance = found.covariance
    target = _CHI2 * scale
    room = min((high[k] - found.at[k]) if sign > 0 else (found.at[k] - low[k]), _FARTHEST)
    # The valley may bend: a long way is gone in steps, each from where the last one ended.
    reach, step, risen = 0.0, min(sqrt(target * covariance[k, k]), _LONGEST_STRIDE), 0.0
    at, valley = found.at, covariance[:, k] / covariance[k, k]
    for _ in range(_MOST_STEPS):
        step = min(step, room - reach)
        there, cost = _relaxed(residuals, np.clip(at + sign * step * valley, low, high), k, low, high)
        rise = max(cost - found.cost, 0.0)
        if rise >= target:
            # Along the valley the sum of squares is nearly a parabola.
            part = (sqrt(target) - sqrt(risen)) / (sqrt(rise) - sqrt(risen))
            return Side(at + part * (there - at), True)
        reach += step
        if reach >= room - 1e-9:
            return Side(there, False)
        valley = np.where(np.arange(len(at)) == k, 1.0, (there - at) / (sign * step))
        at, risen = there, rise
        step = min(step * (1.1 * sqrt(target / rise) - 1.0 if rise > target / 4 else 2.0), _LONGEST_STRIDE)
        step = max(step, 0.02)
    return Side(at, False)


def _relaxed(residuals: Residuals, at: Floats, k: int, low: Floats, high: Floats) -> tuple[Floats, float]:
    """A point with the same parameter ``k`` that is lower in the valley, by one step of Gauss and Newton; its cost."""
    here = residuals(at)
    cost = float(here @ here)
    others = [i for i in range(len(at)) if i != k]
    if not others:
        return at, cost
    slopes = slopes_at(residuals, at, low, high)[:, others]
    square = slopes.T @ slopes
    change = -np.linalg.solve(
        square + (1e-9 * np.trace(square) + 1e-12) * np.eye(len(others)), slopes.T @ here
    )
    there = at.copy()
    there[others] += np.clip(change, -1.0, 1.0)
    there = np.clip(there, low, high)
    trial = residuals(there)
    reached = float(trial @ trial)
    return (there, reached) if reached < cost else (at, cost)
