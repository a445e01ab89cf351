"""Distributions given by data: samples, a table of percentiles, a frozen distribution of SciPy."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, fsum
from os import PathLike
from typing import Any

import numpy as np

from sim.distributions.base import Distribution, Floats, Uniforms, non_negative, positive, probability
from sim.readers.tables import figure, read_csv
from sim.units import ms, us

__all__ = ["Empirical", "PercentileTable", "Scipy"]

_UNITS = {"_s": 1.0, "_ms": ms, "_us": us}


@dataclass(frozen=True, slots=True, repr=False)
class Empirical(Distribution):
    """Measured times: each draw is one of the ``samples`` (seconds, >= 0), all equally likely.

    Takes any iterable or array of numbers; keeps them sorted. Raises ValueError when there are none, or when one
    of them is negative or not finite.
    """

    samples: tuple[float, ...]

    def _convert(self) -> None:
        if isinstance(self.samples, str | bytes):
            raise ValueError(f"Empirical: samples must be numbers, not {self.samples!r}")
        try:
            array = np.asarray(
                self.samples if hasattr(self.samples, "__array__") else list(self.samples), dtype=float
            )
        except (TypeError, ValueError):
            raise ValueError(f"Empirical: samples must be numbers, not {self.samples!r}") from None
        if array.ndim != 1 or not array.size:
            raise ValueError(f"Empirical: samples must be a non-empty sequence, not of shape {array.shape}")
        bad = ~(np.isfinite(array) & (array >= 0.0))
        if bad.any():
            raise ValueError(
                f"Empirical: sample {int(np.argmax(bad))} must be finite and >= 0, not {array[bad][0]}"
            )
        object.__setattr__(self, "samples", tuple(np.sort(array).tolist()))

    @classmethod
    def from_csv(
        cls, path: str | PathLike[str], column: str | None = None, unit: float | None = None
    ) -> Empirical:
        """The samples in one column of a CSV file with a header line.

        Parameters
        ----------
        path:
            The file.
        column:
            The name of the column; may be left out if the file has only one.
        unit:
            Seconds per unit of the numbers. By default the end of the column's name decides (``_s``, ``_ms``,
            ``_us``); without such an ending the unit is 1.

        Raises ValueError with file, line and value for a cell that is not a number >= 0.
        """
        name = column or ""

        def check(columns: Sequence[str]) -> None:
            nonlocal name
            if column is None and len(columns) == 1:
                name = columns[0]
            if name not in columns:
                raise ValueError(f"column {column!r} is not among {', '.join(columns) or 'none'}")

        values = [figure(line, name) for line in read_csv(path, check)]
        if not values:
            raise ValueError(f"{path}: no samples under column {name!r}")
        if unit is None:
            unit = next((u for end, u in _UNITS.items() if name.endswith(end)), 1.0)
        positive("unit", unit)
        return cls(tuple(unit * value for value in values))

    def __repr__(self) -> str:
        median, largest = self.median(), self.samples[-1]
        return f"<Empirical: {len(self.samples)} samples, median {median:.6g} s, largest {largest:.6g} s>"

    def draws(self, rng: np.random.Generator) -> Callable[[int], Floats]:
        samples = np.array(self.samples)
        # Not rng.integers: for small ranges it keeps unused bits between calls.
        return lambda n: samples[(rng.random(n) * len(samples)).astype(np.intp)]

    def draw(self, random: Uniforms) -> float:
        return random.choice(self.samples)

    def mean(self) -> float:
        return fsum(self.samples) / len(self.samples)

    def variance(self) -> float:
        mean = self.mean()
        return fsum((sample - mean) ** 2 for sample in self.samples) / len(self.samples)

    def cdf(self, x: float) -> float:
        return bisect_right(self.samples, x) / len(self.samples)

    def quantile(self, q: float) -> float:
        # The factor 1 - 1e-15 makes q = 0.07 of 100 samples the 7th, although 0.07 * 100 > 7 in floats.
        rank = ceil(probability("q", q) * len(self.samples) * (1.0 - 1e-15))
        return self.samples[max(rank, 1) - 1]


@dataclass(frozen=True, slots=True)
class PercentileTable(Distribution):
    """Percentiles, interpolated linearly in the level, so that the quantiles at the table's levels are the table's.

    ``table`` maps levels in [0, 1] (0.99, not 99) to seconds, or is a sequence of such pairs. The first and the last
    time are used below the lowest and above the highest level: give levels 0 and 1 if you know the smallest and the
    largest time.

    Raises ValueError when the table is empty, a level is not in [0, 1] or appears twice, or the times are
    negative or decrease with the level.
    """

    table: tuple[tuple[float, float], ...]
    _columns: tuple[Floats, Floats] = field(
        init=False, repr=False, compare=False
    )  # for all links that draw from it

    def __init__(self, table: Mapping[float, float] | Iterable[tuple[float, float]]) -> None:
        try:
            pairs = tuple((p, x) for p, x in (table.items() if isinstance(table, Mapping) else table))
        except (TypeError, ValueError):
            raise ValueError(f"PercentileTable: give {{level: seconds}}, not {table!r}") from None
        if not pairs:
            raise ValueError("PercentileTable: the table is empty")
        pairs = tuple(sorted((probability("PercentileTable: level", p), self._time(p, x)) for p, x in pairs))
        for (p, x), (q, y) in pairwise(pairs):
            if p == q:
                raise ValueError(f"PercentileTable: level {p!r} comes twice")
            if y < x:
                raise ValueError(
                    f"PercentileTable: {y!r} s at level {q!r} is less than {x!r} s at level {p!r}"
                )
        object.__setattr__(self, "table", pairs)
        levels, times = np.array(pairs).T.copy()
        object.__setattr__(self, "_columns", (levels, times))

    @staticmethod
    def _time(level: float, seconds: float) -> float:
        return non_negative(f"PercentileTable: the time at level {level!r}", seconds)

    def draws(self, rng: np.random.Generator) -> Callable[[int], Floats]:
        levels, times = self._columns
        return lambda n: np.interp(rng.random(n), levels, times)

    def _knots(self) -> tuple[Floats, Floats]:
        """Levels and times from level 0 to level 1."""
        levels, times = np.array(self.table).T
        return np.concatenate(([0.0], levels, [1.0])), np.concatenate((times[:1], times, times[-1:]))

    def mean(self) -> float:
        levels, times = self._knots()
        return float(np.diff(levels) @ (times[1:] + times[:-1]) / 2.0)

    def cdf(self, x: float) -> float:
        levels, times = self._knots()
        i = int(np.searchsorted(times, x, side="right"))
        if i in (0, len(times)):
            return float(i > 0)
        return float(
            levels[i - 1] + (levels[i] - levels[i - 1]) * (x - times[i - 1]) / (times[i] - times[i - 1])
        )

    def quantile(self, q: float) -> float:
        levels, times = self._knots()
        return float(np.interp(probability("q", q), levels, times))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Scipy(Distribution):
    """A frozen distribution of ``scipy.stats`` (one-dimensional), drawn by its ``ppf``.

    Raises ValueError when ``frozen`` is not such a distribution, or when more than one draw in a million would be
    negative; rarer negative draws become 0.
    """

    frozen: Any

    def __post_init__(self) -> None:
        try:
            median = np.asarray(self.frozen.ppf(0.5))
        except (AttributeError, TypeError):  # something else; multivariate; parameters still missing
            raise ValueError(
                f"Scipy: {self.frozen!r} is not a frozen one-dimensional scipy.stats distribution"
            ) from None
        if median.ndim or not np.isfinite(median):
            raise ValueError(
                f"Scipy: the median must be one finite number, not {median}; check the parameters"
            )
        below = float(self.frozen.cdf(-1e-300))
        if not below <= 1e-6:
            raise ValueError(
                f"Scipy: {100.0 * below:.3g} % of the draws would be negative times; truncate or shift it"
            )

    def __repr__(self) -> str:
        # SciPy's own repr shows a memory address, which differs from run to run.
        frozen = self.frozen
        if not all(hasattr(frozen, part) for part in ("dist", "args", "kwds")):
            return f"Scipy({type(frozen).__name__})"
        values = [*map(repr, frozen.args), *(f"{name}={value!r}" for name, value in frozen.kwds.items())]
        return f"Scipy({frozen.dist.name}({', '.join(values)}))"

    def _told(self) -> tuple[Any, ...]:
        """The identity of the distribution, for comparisons: SciPy's objects compare equal only to themselves."""
        frozen = self.frozen
        if not all(hasattr(frozen, part) for part in ("dist", "args", "kwds")):
            return (frozen,)
        return (type(frozen.dist), frozen.dist.name, tuple(frozen.args), tuple(sorted(frozen.kwds.items())))

    def __eq__(self, other: object) -> bool:
        return self._told() == other._told() if isinstance(other, Scipy) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._told())

    def draws(self, rng: np.random.Generator) -> Callable[[int], Floats]:
        return lambda n: np.maximum(self.frozen.ppf(rng.random(n)), 0.0)

    def mean(self) -> float:
        return float(self.frozen.mean())

    def cdf(self, x: float) -> float:
        return float(self.frozen.cdf(x)) if x >= 0.0 else 0.0

    def quantile(self, q: float) -> float:
        return max(0.0, float(self.frozen.ppf(probability("q", q))))
