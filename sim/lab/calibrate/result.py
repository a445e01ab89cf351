"""The result of a calibration: the fitted scenario, the intervals, the error on points that were not fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import expm1, isinf, sqrt
from typing import TYPE_CHECKING

from sim.display import Displayed
from sim.lab.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Calibration", "Fitted"]

_TOLD = 4.0  # the upper end of an interval over the lower end: a factor of two to each side
_TIED = 0.9  # from this correlation on, two estimates stand for each other
_ABOVE_NOISE = 2.0
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


@dataclass(frozen=True)
class Fitted(Displayed):
    """One parameter of the machines.

    Attributes
    ----------
    name: the field of `sim.cluster.Machine` (``fsync``: of its disk).
    value: seconds.
    low, high: the 95 % interval, seconds; 0 and infinity where the measurements rule nothing out.
    """

    name: str
    value: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        """Whether the measurements tell its value: to within a factor of two, or better."""
        return self.low > 0.0 and self.high <= _TOLD * self.low

    def __str__(self) -> str:
        if self.low == 0.0 and isinf(self.high):
            return f"{self.name}: not told"
        if self.low == 0.0:
            return f"{self.name}: at most {_seconds(self.high)}"
        if isinf(self.high):
            return f"{self.name}: at least {_seconds(self.low)}"
        text = f"{self.name}: {_seconds(self.value)} ({_seconds(self.low)} to {_seconds(self.high)})"
        return text if self.told else f"{text}, not told to within a factor of two"


@dataclass(frozen=True)
class Calibration(Displayed):
    """A scenario with fitted machines, and how far to trust it.

    Attributes
    ----------
    scenario: the scenario with the fitted machines.
    parameters: the fitted parameters with their intervals.
    correlations: of the estimates, in the order of ``parameters``.
    rows: one for each measure of each point; see `points`.
    axis: what the points differ in: ``offered`` or ``clients``.
    notes: what was assumed.
    """

    scenario: Scenario
    parameters: tuple[Fitted, ...]
    correlations: tuple[tuple[float, ...], ...]
    rows: tuple[Mapping[str, object], ...]
    axis: str
    notes: tuple[str, ...] = ()

    @property
    def points(self) -> pd.DataFrame:
        """One row for each measure of each point.

        Columns: ``offered`` or ``clients``, ``bytes`` if measured, ``half`` (fitted or held out), ``measure``,
        ``measured``, ``predicted``, ``error`` (the logarithm of their ratio: 0.1 is about 10 %), ``noise``.
        """
        import pandas as pd

        return pd.DataFrame([dict(row) for row in self.rows])

    def table(self) -> pd.DataFrame:
        """One row for each parameter: ``parameter``, ``value``, ``low``, ``high`` (seconds), ``told``."""
        import pandas as pd

        columns = ["parameter", "value", "low", "high", "told"]
        return pd.DataFrame(
            [(p.name, p.value, p.low, p.high, p.told) for p in self.parameters], columns=columns
        )

    def error(self, half: str = "held out") -> float:
        """The error of the points of a half, ``"held out"`` or ``"fitted"``: root mean square, 0.1 is 10 %."""
        return expm1(_rms([float(str(row["error"])) for row in self._half(half)]))

    def noise(self, half: str = "held out") -> float:
        """The error that noise alone would make on the points of a half, as a fraction."""
        return expm1(_rms([float(str(row["noise"])) for row in self._half(half)]))

    @property
    def excess(self) -> float:
        """The error on the held-out points in units of the noise of each: about 1 if the model is right."""
        return _rms([float(str(row["error"])) / float(str(row["noise"])) for row in self._half("held out")])

    @property
    def explained(self) -> bool:
        """Whether the error on the points that were not fitted is at most twice the noise."""
        return self.excess <= _ABOVE_NOISE

    def _half(self, half: str) -> list[Mapping[str, object]]:
        rows = [row for row in self.rows if row["half"] == half]
        if not rows:
            raise ValueError(f'half must be "held out" or "fitted", not {half!r}')
        return rows

    @property
    def untold(self) -> tuple[str, ...]:
        """What the measurements cannot tell: one sentence for each parameter, or pair of parameters."""
        sentences, tied = [], set()
        for i, j in combinations(range(len(self.parameters)), 2):
            one, other = self.parameters[i], self.parameters[j]
            correlation = self.correlations[i][j]
            if abs(correlation) < _TIED or (one.told and other.told):
                continue
            tied |= {one.name, other.name}
            way = "less" if correlation < 0 else "more"
            sentences.append(
                f"{one.name} and {other.name} cannot be told apart by this curve: more of one with {way} of the other "
                "explains it as well"
            )
        alone = [p for p in self.parameters if not p.told and p.name not in tied]
        return (*sentences, *(f"{p.name} cannot be told by this curve: {_open(p)}" for p in alone))

    def text(self) -> str:
        """The result in words."""
        fitted, held_out = (len({row[self.axis] for row in self._half(h)}) for h in ("fitted", "held out"))
        lines = [str(parameter) for parameter in self.parameters]
        lines += self.untold
        lines.append(
            f"error: {self.error('fitted'):.1%} on the {fitted} loads that were fitted, {self.error():.1%} on the "
            f"{held_out} that were held out, where noise alone makes {self.noise():.1%}"
        )
        if not self.explained:
            lines.append(
                f"the model cannot explain these measurements: on the points that it was not fitted to it is off by "
                f"{self.excess:.1f} times the noise; do not rely on the values above"
            )
        return "\n".join([*lines, *self.notes])

    def __repr__(self) -> str:
        told = ", ".join(parameter.name for parameter in self.parameters)
        return f"<Calibration of {told} at {len({row[self.axis] for row in self.rows})} loads>"


def _open(parameter: Fitted) -> str:
    if parameter.low == 0.0 and isinf(parameter.high):
        return "all values that were tried explain it equally well"
    if parameter.low == 0.0:
        return f"all values up to {_seconds(parameter.high)} explain it equally well"
    if isinf(parameter.high):
        return f"all values from {_seconds(parameter.low)} on explain it equally well"
    return f"it may be between {_seconds(parameter.low)} and {_seconds(parameter.high)}"


def _seconds(value: float) -> str:
    size, unit = next(((size, unit) for size, unit in _UNITS if value >= size), _UNITS[-1])
    return f"{value / size:.3g} {unit}"


def _rms(values: Sequence[float]) -> float:
    return sqrt(sum(value * value for value in values) / len(values))
