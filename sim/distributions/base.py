"""The base of all distributions of times, and `Affine`, which shifts and scales one.

There are two ways to draw, with the same distribution. Each link and disk has its own NumPy generator and draws in
blocks (`sampler`). A node has one stream for all its random decisions and takes one number at a time (`draw`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import fsum, isfinite
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sim.settings import NotNegative, Value, Wait

__all__ = [
    "Affine",
    "Distribution",
    "Floats",
    "Uniforms",
    "finite",
    "non_negative",
    "number",
    "positive",
    "probability",
]

T = TypeVar("T")

Floats = NDArray[np.float64]

_FIRST_BLOCK = 16
_LARGEST_BLOCK = 1024
_SLICES = 20_000  # number of quantiles for a variance without a formula


class Uniforms(Protocol):
    """The interface of a node's stream (`sim.kernel.Stream`) that distributions use."""

    def random(self) -> float: ...
    def exponential(self, mean: float) -> float: ...
    def choice(self, items: Sequence[T]) -> T: ...


class Distribution(Value):
    """A distribution of non-negative times, in seconds.

    To define one, implement `draws`, `cdf`, `mean` and, if there is a formula, `quantile` and `variance`.
    """

    __slots__ = ()

    def draws(self, rng: np.random.Generator) -> Callable[[int], Floats]:
        """A function of ``n`` that returns the next ``n`` draws, an array of shape (n,) in seconds.

        The k-th draw depends only on the state of ``rng`` at the call of `draws`, not on the sizes ``n``.
        """
        raise NotImplementedError

    def sampler(self, rng: np.random.Generator) -> Callable[[], float]:
        """A function without arguments that returns the next draw, in seconds.

        Draws are made in blocks that grow from 16 to 1024, so the sampler should be the only user of ``rng``.
        """
        # The __next__ of chain is the fastest function without arguments that Python offers.
        return chain.from_iterable(self._blocks(rng)).__next__

    def _blocks(self, rng: np.random.Generator) -> Iterator[array[float]]:
        draws, size = self.draws(rng), _FIRST_BLOCK
        while True:
            yield array("d", np.asarray(draws(size), np.float64).tobytes())
            size = min(4 * size, _LARGEST_BLOCK)  # a block costs more than its numbers

    def draw(self, random: Uniforms) -> float:
        """The next draw from the stream of a node, in seconds; by inversion unless a subclass overrides it."""
        return self.quantile(random.random())

    def drawer(self, random: Uniforms) -> Callable[[], float]:
        """A function without arguments that does the same as `draw`."""
        return partial(self.draw, random)

    def mean(self) -> float:
        """The mean, in seconds; infinite where it does not exist."""
        raise NotImplementedError

    def variance(self) -> float:
        """The variance, in seconds squared; infinite where it does not exist.

        This default sums over twenty thousand quantiles; subclasses with a formula override it.
        """
        mean = self.mean()
        if not isfinite(mean):
            return mean
        return fsum((self.quantile((i + 0.5) / _SLICES) - mean) ** 2 for i in range(_SLICES)) / _SLICES

    def cv2(self) -> float:
        """The squared coefficient of variation: variance over squared mean."""
        return self.variance() / self.mean() ** 2

    def median(self) -> float:
        """The median, in seconds."""
        return self.quantile(0.5)

    def cdf(self, x: float) -> float:
        """The probability of at most ``x`` seconds."""
        raise NotImplementedError

    def quantile(self, q: float) -> float:
        """The smallest time (seconds) that a fraction ``q`` of the draws, or more, do not exceed.

        Raises ValueError when ``q`` is not in [0, 1].
        """
        return self._bisect(probability("q", q))

    def _bisect(self, q: float) -> float:
        """The quantile by bisection of the cdf, to the last bit."""
        if self.cdf(0.0) >= q:
            return 0.0
        low, high = 0.0, 1.0
        while self.cdf(high) < q:
            low, high = high, 2.0 * high
            if not isfinite(high):
                return high
        while low < (middle := 0.5 * (low + high)) < high:
            low, high = (middle, high) if self.cdf(middle) < q else (low, middle)
        return high

    def scaled(self, factor: float) -> Distribution:
        """This distribution with every draw multiplied by ``factor`` (>= 0)."""
        return Affine(self, factor=factor)

    def shifted(self, seconds: float) -> Distribution:
        """This distribution with ``seconds`` (>= 0) added to every draw."""
        return Affine(self, shift=seconds)


@dataclass(frozen=True, slots=True)
class Affine(Distribution):
    """``factor`` times a draw of ``inner``, plus ``shift`` seconds (neither negative)."""

    inner: Distribution
    factor: NotNegative = 1.0
    shift: Wait = 0.0

    def draws(self, rng: np.random.Generator) -> Callable[[int], Floats]:
        inner, factor, shift = self.inner.draws(rng), self.factor, self.shift
        return lambda n: factor * inner(n) + shift

    def draw(self, random: Uniforms) -> float:
        return self.factor * self.inner.draw(random) + self.shift

    def variance(self) -> float:
        return self.factor**2 * self.inner.variance() if self.factor else 0.0

    def mean(self) -> float:
        return self.factor * self.inner.mean() + self.shift if self.factor else self.shift

    def cdf(self, x: float) -> float:
        if self.factor == 0.0:
            return float(x >= self.shift)
        return self.inner.cdf((x - self.shift) / self.factor)

    def quantile(self, q: float) -> float:
        inner = self.inner.quantile(q)
        return self.factor * inner + self.shift if self.factor else self.shift


def number(name: str, value: Any) -> float:
    """``value`` as a float; raises ValueError with ``name`` unless it is a real number."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"{name} must be a number, not {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a float can hold, not {value!r}") from None


def finite(name: str, value: Any) -> float:
    """``value`` as a float; ValueError unless it is finite."""
    if not isfinite(number(name, value)):
        raise ValueError(f"{name} must be finite, not {value!r}")
    return float(value)


def non_negative(name: str, value: Any) -> float:
    """``value`` as a float; ValueError unless it is finite and >= 0."""
    if finite(name, value) < 0.0:
        raise ValueError(f"{name} must be >= 0, not {value!r}")
    return float(value)


def positive(name: str, value: Any) -> float:
    """``value`` as a float; ValueError unless it is finite and > 0."""
    if finite(name, value) <= 0.0:
        raise ValueError(f"{name} must be > 0, not {value!r}")
    return float(value)


def probability(name: str, value: Any) -> float:
    """``value`` as a float; ValueError unless it is in [0, 1]."""
    if not 0.0 <= finite(name, value) <= 1.0:
        raise ValueError(f"{name} must be in [0, 1], not {value!r}")
    return float(value)
