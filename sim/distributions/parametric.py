"""Distributions given by a formula; all times in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from math import exp, expm1, fsum, inf, lgamma, log, log1p, sqrt
from statistics import NormalDist

import numpy as np

from sim.distributions.base import Distribution, Floats, Uniforms, non_negative, positive, probability
from sim.settings import Positive, Seconds, Share, Wait

__all__ = ["Constant", "Exponential", "Gamma", "LogNormal", "Mixture", "Pareto", "Uniform", "bimodal"]

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Constant(Distribution):
    """Always ``value`` seconds (>= 0)."""

    value: Wait

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float(self.value))

    def draws(self, rng: np.random.Generator) -> Callable[[int], Floats]:
        return lambda n: np.full(n, self.value)

    def sampler(self, rng: np.random.Generator) -> Callable[[], float]:
        return repeat(self.value).__next__

    def draw(self, random: Uniforms) -> float:
        return self.value

    def mean(self) -> float:
        return self.value

    def variance(self) -> float:
        return 0.0

    def cdf(self, x: float) -> float:
        return float(x >= self.value)

    def quantile(self, q: float) -> float:
        probability("q", q)
        return self.value


@dataclass(frozen=True, slots=True)
class Uniform(Distribution):
    """Uniform between ``low`` and ``high`` seconds (0 <= low <= high)."""

    low: Wait
    high: Wait

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"Uniform: low {self.low!r} is above high {self.high!r}")

    def draws(self, rng: np.random.Generator) -> Callable[[int], Floats]:
        return lambda n: self.low + (self.high - self.low) * rng.random(n)

    def mean(self) -> float:
        return 0.5 * (self.low + self.high)

    def variance(self) -> float:
        return (self.high - self.low) ** 2 / 12.0

    def cdf(self, x: float) -> float:
        if x < self.low:
            return 0.0
        return 1.0 if x >= self.high else (x - self.low) / (self.high - self.low)

    def quantile(self, q: float) -> float:
        return self.low + (self.high - self.low) * probability("q", q)


# A class cannot have both a method `mean` and a field `mean`. The usual names of the parameters of the next two
# classes are names of methods, so these classes write their own __init__ and __repr__ and name the fields otherwise.


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Exponential(Distribution):
    """``shift`` seconds (>= 0) plus an exponential time whose own mean is ``mean`` seconds (> 0)."""

    scale: float = field(init=False)
    shift: float = field(init=False)

    def __init__(self, mean: float, shift: float = 0.0) -> None:
        object.__setattr__(self, "scale", positive("Exponential: mean", mean))
        object.__setattr__(self, "shift", non_negative("Exponential: shift", shift))

    def made_of(self) -> dict[str, float]:
        return {"mean": self.scale, "shift": self.shift}

    def __repr__(self) -> str:
        return f"Exponential(mean={self.scale!r}, shift={self.shift!r})"

    def draws(self, rng: np.random.Generator) -> Callable[[int], Floats]:
        return lambda n: rng.exponential(self.scale, n) + self.shift

    def draw(self, random: Uniforms) -> float:
        return random.exponential(self.scale) + self.shift

    def drawer(self, random: Uniforms) -> Callable[[], float]:
        mean, shift, uniform = self.scale, self.shift, random.random  # the same draws, with two calls less
        return lambda: shift - mean * log(1.0 - uniform())

    def mean(self) -> float:
        return self.shift + self.scale

    def variance(self) -> float:
        return self.scale**2

    def cdf(self, x: float) -> float:
        return -expm1((self.shift - x) / self.scale) if x > self.shift else 0.0

    def quantile(self, q: float) -> float:
        return self.shift - self.scale * log1p(-q) if probability("q", q) < 1.0 else inf


@dataclass(frozen=True, slots=True, init=False, repr=False)
class LogNormal(Distribution):
    """Log-normal: ``median`` in seconds (> 0); ``sigma`` (> 0) is the standard deviation of the logarithm."""

    centre: float = field(init=False)
    sigma: float = field(init=False)

    def __init__(self, median: float, sigma: float) -> None:
        object.__setattr__(self, "centre", positive("LogNormal: median", median))
        object.__setattr__(self, "sigma", positive("LogNormal: sigma", sigma))

    @classmethod
    def from_mean(cls, mean: float, cv: float) -> LogNormal:
        """The log-normal with this ``mean`` (seconds) and coefficient of variation (deviation / mean); both > 0."""
        positive("LogNormal: mean", mean)
        variance = log1p(positive("LogNormal: cv", cv) ** 2)
        return cls(median=mean * exp(-0.5 * variance), sigma=sqrt(variance))

    def made_of(self) -> dict[str, float]:
        return {"median": self.centre, "sigma": self.sigma}

    def __repr__(self) -> str:
        return f"LogNormal(median={self.centre!r}, sigma={self.sigma!r})"

    def draws(self, rng: np.random.Generator) -> Callable[[int], Floats]:
        centre = log(self.centre)
        return lambda n: rng.lognormal(centre, self.sigma, n)

    def mean(self) -> float:
        return self.centre * exp(0.5 * self.sigma**2)

    def variance(self) -> float:
        return self.mean() ** 2 * expm1(self.sigma**2)

    def cdf(self, x: float) -> float:
        return _NORMAL.cdf(log(x / self.centre) / self.sigma) if x > 0.0 else 0.0

    def quantile(self, q: float) -> float:
        if probability("q", q) in (0.0, 1.0):
            return inf if q else 0.0
        return self.centre * exp(self.sigma * _NORMAL.inv_cdf(q))


@dataclass(frozen=True, slots=True)
class Gamma(Distribution):
    """Gamma with ``shape`` (> 0) and ``scale`` seconds (> 0); its mean is their product."""

    shape: Positive
    scale: Seconds

    def draws(self, rng: np.random.Generator) -> Callable[[int], Floats]:
        return lambda n: rng.gamma(self.shape, self.scale, n)

    def mean(self) -> float:
        return self.shape * self.scale

    def variance(self) -> float:
        return self.shape * self.scale**2

    def cdf(self, x: float) -> float:
        return _incomplete_gamma(self.shape, x / self.scale) if x > 0.0 else 0.0

    def quantile(self, q: float) -> float:
        return self._bisect(q) if probability("q", q) < 1.0 else inf


@dataclass(frozen=True, slots=True)
class Pareto(Distribution):
    """Pareto of the first kind: at least ``xm`` seconds (> 0), P(X > x) = (xm / x) ** alpha (alpha > 0).

    The mean is infinite for alpha <= 1, the variance for alpha <= 2.
    """

    xm: Seconds
    alpha: Positive

    @classmethod
    def from_mean(cls, mean: float, alpha: float = 2.5) -> Pareto:
        """The Pareto with this ``mean`` (seconds) and tail index ``alpha`` (> 1, else the mean is infinite)."""
        if positive("Pareto: alpha", alpha) <= 1.0:
            raise ValueError(f"Pareto: alpha must be above 1 (else there is no mean), not {alpha!r}")
        return cls(positive("Pareto: mean", mean) * (alpha - 1.0) / alpha, alpha)

    def draws(self, rng: np.random.Generator) -> Callable[[int], Floats]:
        return lambda n: self.xm * (1.0 - rng.random(n)) ** (-1.0 / self.alpha)

    def mean(self) -> float:
        return self.xm * self.alpha / (self.alpha - 1.0) if self.alpha > 1.0 else inf

    def variance(self) -> float:
        if self.alpha <= 2.0:
            return inf
        return self.xm**2 * self.alpha / ((self.alpha - 1.0) ** 2 * (self.alpha - 2.0))

    def cdf(self, x: float) -> float:
        return 1.0 - (self.xm / x) ** self.alpha if x > self.xm else 0.0

    def quantile(self, q: float) -> float:
        return self.xm * (1.0 - q) ** (-1.0 / self.alpha) if probability("q", q) < 1.0 else inf


@dataclass(frozen=True, slots=True)
class Mixture(Distribution):
    """Each draw comes from one of the ``parts``, pairs (weight, distribution); the weights sum to 1.

    Raises ValueError when there are no parts, a weight is not in [0, 1] or the sum is not 1 (within 1e-9).
    """

    parts: tuple[tuple[Share, Distribution], ...]

    def __post_init__(self) -> None:
        total = fsum(weight for weight, _ in self.parts)
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"Mixture: the weights must sum to 1, not {total!r}")

    def draws(self, rng: np.random.Generator) -> Callable[[int], Floats]:
        # Each part has its own generator; otherwise the sequence would depend on the sizes of the blocks.
        # Each number is given as its two words: NumPy takes twice as long to make them of an integer.
        seeds = rng.integers(2**63, size=1 + len(self.parts)).astype("<i8").view("<u4").reshape(-1, 2)
        choice, *own = (
            np.random.Generator(np.random.PCG64(np.random.SeedSequence(words))) for words in seeds
        )
        parts = [part.draws(generator) for (_, part), generator in zip(self.parts, own, strict=True)]
        bounds = np.array(list(accumulate(weight for weight, _ in self.parts)))[:-1]

        def draws(n: int) -> Floats:
            chosen = bounds.searchsorted(
                choice.random(n), "right"
            )  # methods: NumPy's functions cost more than they do
            values = np.empty(n)
            for i, part in enumerate(parts):
                (where,) = (chosen == i).nonzero()
                values[where] = part(len(where))
            return values

        return draws

    def draw(self, random: Uniforms) -> float:
        left = random.random()
        for weight, part in self.parts:
            left -= weight
            if left < 0.0:
                return part.draw(random)
        return next(part for weight, part in reversed(self.parts) if weight).draw(random)

    def mean(self) -> float:
        return fsum(weight * part.mean() for weight, part in self.parts if weight)

    def variance(self) -> float:
        mean = self.mean()
        if mean == inf:
            return inf
        return fsum(w * (part.variance() + (part.mean() - mean) ** 2) for w, part in self.parts if w)

    def cdf(self, x: float) -> float:
        return min(1.0, fsum(weight * part.cdf(x) for weight, part in self.parts))

    def quantile(self, q: float) -> float:
        if probability("q", q) == 1.0:
            return max(part.quantile(1.0) for weight, part in self.parts if weight)
        return self._bisect(q)


def bimodal(short: float, long: float, long_share: float) -> Mixture:
    """``long`` seconds for a share ``long_share`` of the draws, ``short`` seconds for the rest."""
    probability("bimodal: long_share", long_share)
    return Mixture(((long_share, Constant(long)), (1.0 - long_share, Constant(short))))


def _incomplete_gamma(a: float, x: float) -> float:
    """The regularised lower incomplete gamma function P(a, x) for a, x > 0.

    A power series for x < a + 1, else Legendre's continued fraction (by Lentz's method):
    Abramowitz and Stegun, Handbook of Mathematical Functions, 6.5.29 and 6.5.31.
    """
    if x == inf:
        return 1.0
    front = exp(a * log(x) - x - lgamma(a))
    if x < a + 1.0:
        term = total = 1.0 / a
        k = a
        while term > 1e-17 * total:
            k += 1.0
            term *= x / k
            total += term
        return min(1.0, front * total)
    b = x + 1.0 - a
    c, d = 1e300, 1.0 / b
    fraction, i, factor = d, 0, 0.0
    while abs(factor - 1.0) > 1e-16:
        i += 1
        step = i * (a - i)
        b += 2.0
        d = 1.0 / (step * d + b)
        c = b + step / c
        factor = c * d
        fraction *= factor
    return max(0.0, 1.0 - front * fraction)
