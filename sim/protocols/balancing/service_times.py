"""Service times: how long a server works on a request. Small values that draw from a node's own stream.

>>> Exponential(0.010).mean, Bimodal(short=0.001, long=0.100, long_share=0.01).mean
(0.01, 0.00199)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import exp, inf, isfinite, log, sqrt
from statistics import NormalDist
from typing import Any

from sim.node import RandomSource
from sim.settings import Value

__all__ = [
    "Bimodal",
    "Deterministic",
    "ExponentialService",
    "Inverse",
    "LognormalService",
    "MeasuredService",
    "ParetoService",
    "ServiceTime",
    "as_service_time",
]

_NORMAL = NormalDist()
_HALF_STEP = 2.0**-54  # half the distance between two neighbouring draws of random()


def _positive(owner: object, **values: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
            raise ValueError(f"{type(owner).__name__}: {name} must be positive and finite, not {value!r}")


class ServiceTime(Value):
    """A distribution of service times, in seconds. To define one: `draw`, `mean` and `variance`."""

    __slots__ = ()

    def draw(self, random: RandomSource) -> float:
        """The next service time, in seconds."""
        raise NotImplementedError

    def sampler(self, random: RandomSource) -> Callable[[], float]:
        """A function without arguments that draws from this stream."""
        return partial(self.draw, random)

    @property
    def mean(self) -> float:
        """The mean, in seconds."""
        raise NotImplementedError

    @property
    def variance(self) -> float:
        """The variance, in seconds squared; infinite where it does not exist."""
        raise NotImplementedError

    @property
    def cv2(self) -> float:
        """The squared coefficient of variation: variance over squared mean."""
        return self.variance / self.mean**2


@dataclass(frozen=True, slots=True)
class Deterministic(ServiceTime):
    """Always ``seconds``."""

    seconds: float

    def __post_init__(self) -> None:
        _positive(self, seconds=self.seconds)

    def draw(self, random: RandomSource) -> float:
        return self.seconds

    @property
    def mean(self) -> float:
        return self.seconds

    @property
    def variance(self) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class ExponentialService(ServiceTime):
    """Exponential with the given mean (``seconds``)."""

    seconds: float

    def __post_init__(self) -> None:
        _positive(self, seconds=self.seconds)

    def draw(self, random: RandomSource) -> float:
        return random.exponential(self.seconds)

    def sampler(self, random: RandomSource) -> Callable[[], float]:
        mean, uniform = self.seconds, random.random  # the same draws, with two calls less
        return lambda: -mean * log(1.0 - uniform())

    @property
    def mean(self) -> float:
        return self.seconds

    @property
    def variance(self) -> float:
        return self.seconds**2


@dataclass(frozen=True, slots=True)
class LognormalService(ServiceTime):
    """LognormalService with mean ``seconds`` and coefficient of variation ``cv`` (standard deviation over mean)."""

    seconds: float
    cv: float = 1.0

    def __post_init__(self) -> None:
        _positive(self, seconds=self.seconds, cv=self.cv)

    def draw(self, random: RandomSource) -> float:
        sigma2 = log(1.0 + self.cv**2)
        normal = _NORMAL.inv_cdf(random.random() + _HALF_STEP)
        return self.seconds * exp(sqrt(sigma2) * normal - 0.5 * sigma2)

    @property
    def mean(self) -> float:
        return self.seconds

    @property
    def variance(self) -> float:
        return (self.cv * self.seconds) ** 2


@dataclass(frozen=True, slots=True)
class Bimodal(ServiceTime):
    """``long`` seconds for a share ``long_share`` of the requests, ``short`` seconds for the rest."""

    short: float
    long: float
    long_share: float

    def __post_init__(self) -> None:
        _positive(self, short=self.short, long=self.long)
        if not 0.0 <= self.long_share <= 1.0:
            raise ValueError(f"Bimodal: long_share must be in [0, 1], not {self.long_share!r}")

    def draw(self, random: RandomSource) -> float:
        return self.long if random.random() < self.long_share else self.short

    @property
    def mean(self) -> float:
        return self.short + self.long_share * (self.long - self.short)

    @property
    def variance(self) -> float:
        return self.long_share * (1.0 - self.long_share) * (self.long - self.short) ** 2


@dataclass(frozen=True, slots=True)
class ParetoService(ServiceTime):
    """Pareto with mean ``seconds`` and tail index ``alpha`` > 1: P(S > t) = (minimum / t) ** alpha."""

    seconds: float
    alpha: float = 2.5

    def __post_init__(self) -> None:
        _positive(self, seconds=self.seconds)
        if not 1.0 < self.alpha < inf:
            raise ValueError(
                f"ParetoService: alpha must be above 1 (else there is no mean), not {self.alpha!r}"
            )

    @property
    def minimum(self) -> float:
        """The shortest service time, in seconds."""
        return self.seconds * (self.alpha - 1.0) / self.alpha

    def draw(self, random: RandomSource) -> float:
        return float(self.minimum * (1.0 - random.random()) ** (-1.0 / self.alpha))

    @property
    def mean(self) -> float:
        return self.seconds

    @property
    def variance(self) -> float:
        alpha = self.alpha
        if alpha <= 2.0:
            return inf
        return self.minimum * self.minimum * alpha / ((alpha - 1.0) * (alpha - 1.0) * (alpha - 2.0))


@dataclass(frozen=True, slots=True)
class MeasuredService(ServiceTime):
    """One of the measured ``samples`` (seconds, all positive), each equally likely."""

    samples: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", tuple(float(s) for s in self.samples))
        if not self.samples:
            raise ValueError("MeasuredService: there are no samples: ()")
        for sample in self.samples:
            _positive(self, sample=sample)

    def draw(self, random: RandomSource) -> float:
        return random.choice(self.samples)

    @property
    def mean(self) -> float:
        return sum(self.samples) / len(self.samples)

    @property
    def variance(self) -> float:
        mean = self.mean
        return sum((s - mean) ** 2 for s in self.samples) / len(self.samples)


@dataclass(frozen=True, slots=True)
class Inverse(ServiceTime):
    """Any distribution that offers ``quantile(q)`` and ``mean()``, such as those of `sim.network`.

    Draws by inversion; the variance is integrated numerically over the quantiles.
    """

    distribution: Any

    def draw(self, random: RandomSource) -> float:
        return float(self.distribution.quantile(random.random()))

    @property
    def mean(self) -> float:
        return float(self.distribution.mean())

    @property
    def variance(self) -> float:
        steps = 20_000
        mean = self.mean
        points = [float(self.distribution.quantile((i + 0.5) / steps)) for i in range(steps)]
        return sum([(p - mean) ** 2 for p in points]) / steps


def as_service_time(value: Any) -> ServiceTime:
    """A `ServiceTime` from a number of seconds, samples, or a distribution with ``quantile`` and ``mean``.

    Raises ValueError for anything else.
    """
    if isinstance(value, ServiceTime):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return Deterministic(float(value))
    if callable(getattr(value, "quantile", None)) and callable(getattr(value, "mean", None)):
        if not 0.0 < value.mean() < inf:
            raise ValueError(f"a service time needs a positive, finite mean, not that of {value!r}")
        return Inverse(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return MeasuredService(tuple(value))
    raise ValueError(f"a service time is a ServiceTime, seconds, samples or a distribution, not {value!r}")
