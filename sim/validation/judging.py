"""Judges what was simulated by what is published and by what is expected: green, red, or too few samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import hypot, isinf, isnan, sqrt
from typing import Any

from sim.validation.form import Case, Estimate, Figures, Published

__all__ = ["GREEN", "RED", "TOO_FEW", "Judged", "estimates", "judge", "verdict_of"]

GREEN, RED, TOO_FEW = "green", "red", "too few"
_ROUNDING = 1e-9
"""The relative error that sums of floats may have: exact figures are compared with it."""


@dataclass(frozen=True)
class Judged:
    """A figure: published, expected (with the error of a Monte Carlo), simulated with its error, and the verdict."""

    case: str
    figure: str
    published: float | None
    expected: float | None
    expected_error: float
    simulated: float
    error: float
    tolerance: float
    published_tolerance: float
    verdict: str

    @property
    def deviation(self) -> float:
        """By which fraction the simulated figure differs from its expectation; without one, from what is published.

        Where that is zero: the simulated figure itself.
        """
        return self.comparisons[0][1]

    @property
    def comparisons(self) -> list[tuple[str, float, float]]:
        """What judges it: (``"expected"`` or ``"published"``, by which fraction it differs, the tolerance)."""
        found = (
            []
            if self.expected is None
            else [("expected", _off(self.simulated, self.expected), self.tolerance)]
        )
        if self.published is not None and not isinf(self.published_tolerance):
            found.append(("published", _off(self.simulated, self.published), self.published_tolerance))
        return found

    @property
    def worst(self) -> tuple[str, float, float]:
        """The comparison that differs most, measured in its tolerance."""
        return max(self.comparisons, key=lambda each: abs(each[1]) / max(each[2], _ROUNDING))

    def as_dict(self) -> dict[str, Any]:
        """Plain data; an infinite tolerance is None."""
        return {name: None if value == float("inf") else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Judged:
        """What `as_dict` made."""
        shown = {"published_tolerance": float("inf")} if tree["published_tolerance"] is None else {}
        return cls(**{**tree, **shown})


def _off(simulated: float, against: float) -> float:
    return (simulated - against) / abs(against) if against else simulated


def estimates(published: Published, case: Case, samples: Sequence[Figures]) -> dict[str, Estimate]:
    """The means of the figures over the samples, with standard errors.

    Raises ValueError for samples without a figure that the case has, and for one sample that says nothing about its
    error though the result is not deterministic.
    """
    found = {}
    for figure in case.published:
        values = [_estimate(sample, figure, f"{published.name}, {case.name}") for sample in samples]
        mean = sum(value.mean for value in values) / len(values)
        if len(values) > 1:
            error = sqrt(sum((value.mean - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
        else:
            error = values[0].error
            if not error and not published.deterministic:
                raise ValueError(
                    f"{published.name}, {case.name}: one sample without a standard error; give it more samples, "
                    "return Estimate(mean, error), or declare deterministic=True"
                )
        found[figure] = Estimate(mean, error)
    return found


def _estimate(sample: Figures, figure: str, where: str) -> Estimate:
    if figure not in sample:
        raise ValueError(f"{where}: the measurement gives no {figure!r}; it gives {', '.join(sample)}")
    value = sample[figure]
    return value if isinstance(value, Estimate) else Estimate(float(value))


def judge(published: Published, case: Case, samples: Sequence[Figures]) -> list[Judged]:
    """The verdict on each figure of a case."""
    expected = {} if published.expect is None else published.expect(**published.settings_of(case))
    judged = []
    for figure, simulated in estimates(published, case, samples).items():
        said = case.published[figure]
        wanted = _estimate(expected, figure, published.name) if figure in expected else None
        tolerance = published.tolerance_of(case, figure)
        loose = published.published_tolerance_of(case, figure)
        against = [] if wanted is None else [(wanted, tolerance)]
        if said is not None and not isinf(loose):
            against.append((Estimate(said), loose))
        if not against:
            raise ValueError(
                f"{published.name}, {case.name}: nothing judges {figure!r}: expect= does not give it"
            )
        judged.append(
            Judged(
                case.name,
                figure,
                said,
                None if wanted is None else wanted.mean,
                0.0 if wanted is None else wanted.error,
                simulated.mean,
                simulated.error,
                tolerance,
                loose,
                verdict_of([_verdict(simulated, *each) for each in against]),
            )
        )
    return judged


def _verdict(simulated: Estimate, wanted: Estimate, tolerance: float) -> str:
    noise = 3 * hypot(simulated.error, wanted.error)
    allowed = tolerance * abs(wanted.mean)
    rounding = _ROUNDING * max(1.0, abs(wanted.mean))
    if isnan(simulated.mean) or not abs(simulated.mean - wanted.mean) <= allowed + noise + rounding:
        return RED
    return GREEN if noise <= allowed + rounding else TOO_FEW


def verdict_of(verdicts: Sequence[str]) -> str:
    """The worst of some verdicts; green only if all are, and there is one."""
    if not verdicts:
        raise ValueError("no verdicts: nothing was judged")
    return next((worst for worst in (RED, TOO_FEW) if worst in verdicts), GREEN)
