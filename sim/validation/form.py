"""The declaration of a published result: its source, its set-up, its points, a tolerance, and how it is simulated.

A result has *cases* (a row of a table, a point of a curve: settings of the simulation); a case has *figures* (one or
several numbers with a name). `Published.measure` simulates a case once, under a seed, and gives its figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple

__all__ = ["SHOWN", "Case", "Estimate", "Figures", "Perturbation", "Published"]


class Estimate(NamedTuple):
    """A mean and its standard error; an error of zero says that the mean is exact."""

    mean: float
    error: float = 0.0


Figures = Mapping[str, "float | Estimate"]
"""What a measurement, or an expectation, gives: the name of a figure -> its number."""

SHOWN = float("inf")
"""As the tolerance of a published figure: it is shown and not judged, and the case has an expectation that is."""


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """A change of the simulation that the result must notice: a test sees the figures red under it.

    ``what``: the change in words. ``scale``: setting -> the factor of this constant; it differs from 1 by at most
    twice the smallest tolerance of the figures that it is for. ``off``: setting -> the value that switches a mechanism
    off, or takes another one. ``cases`` and ``figures``: the cases and figures that it is for; (): all.
    """

    what: str
    scale: Mapping[str, float] = field(default_factory=dict)
    off: Mapping[str, Any] = field(default_factory=dict)
    cases: Sequence[str] = ()
    figures: Sequence[str] = ()

    def __post_init__(self) -> None:
        if bool(self.scale) == bool(self.off):
            raise ValueError(
                f"Perturbation {self.what!r}: it has either scale= or off=, and not both or none"
            )

    def concerns(self, case: str, figure: str) -> bool:
        """Whether it is for a figure of a case."""
        return (not self.cases or case in self.cases) and (not self.figures or figure in self.figures)

    def of(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings under it. Raises ValueError for a setting that there is not."""
        for name in (*self.scale, *self.off):
            if name not in settings:
                raise ValueError(
                    f"Perturbation {self.what!r}: there is no setting {name!r}; there are {', '.join(settings)}"
                )
        return {**settings, **{name: settings[name] * by for name, by in self.scale.items()}, **self.off}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row of a table, or a point of a curve.

    ``settings``: the keywords of the measurement, beside those of the result. ``published``: figure -> what the source
    says; None: the source does not say it, and the figure has an expectation. ``samples``: how many seeds (0, 1, ...)
    are simulated; 1 only where the measurement gives its own standard error, or is deterministic. ``tolerance``:
    instead of that of the result; a mapping gives it by figure. ``published_tolerance``: the same for the published
    figure where there is an expectation, too; `SHOWN`: it is not judged, because of ``why``. ``fast``: part of
    ``sim validate --fast``. ``x``, ``series``: its place in the chart; without x the chart shows deviations. ``weak``:
    figures that no perturbation is seen to turn red, because the sample is too small for it; the page names them.
    """

    name: str
    published: Mapping[str, float | None]
    settings: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 1
    tolerance: float | Mapping[str, float] | None = None
    published_tolerance: float | Mapping[str, float] | None = None
    why: str = ""
    fast: bool = False
    x: float | None = None
    series: str = ""
    weak: Sequence[str] = ()

    def __post_init__(self) -> None:
        for figure in self.weak:
            if figure not in self.published:
                raise ValueError(f"Case {self.name!r}: weak names {figure!r}, which is no figure of it")
        if not self.published:
            raise ValueError(f"Case {self.name!r}: published must name at least one figure")
        if self.samples < 1:
            raise ValueError(f"Case {self.name!r}: samples must be at least 1, not {self.samples!r}")
        for figure in self.published:
            if self.published_tolerance_of(figure) == SHOWN and not self.why:
                raise ValueError(f"Case {self.name!r}: why= must say why {figure!r} is shown and not judged")

    def published_tolerance_of(self, figure: str) -> float | None:
        """By which fraction a figure may differ from what is published; None: as from its expectation."""
        return _of(self.published_tolerance, figure)


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published result, to be simulated again.

    ``name``: for the command line. ``title``: one line. ``source``: authors, place, year, table. ``certainty``: whether
    the figures were read in the source, recalled, or derived. ``setup``: what is simulated, in sentences. ``unit``: of
    the figures. ``measure``: ``measure(seed, **settings)`` simulates a case once. ``cases``; ``perturbations``: each
    figure of each case is concerned by one at least. ``tolerance``: the fraction by which a figure may differ.
    ``expect``: ``expect(**settings)`` gives exact figures, or those of a plain Monte Carlo. ``expected_by``: how, in
    words. ``settings``: those of all cases. ``deterministic``: no figure depends on the seed. ``axis``: what x is in
    the chart; ``log``: its axes with logarithmic scales, of "x", "y" or both. ``notes``: what to know about the table.

    Raises ValueError on construction for a declaration that could not be judged.
    """

    name: str
    title: str
    source: str
    certainty: str
    setup: str
    unit: str
    measure: Callable[..., Figures | float | Estimate]
    cases: Sequence[Case]
    perturbations: Sequence[Perturbation]
    tolerance: float
    expect: Callable[..., Figures] | None = None
    expected_by: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    deterministic: bool = False
    axis: str = ""
    log: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        names = [case.name for case in self.cases]
        if not names or len(set(names)) != len(names):
            raise ValueError(
                f"{self.name}: cases must have different names, not {', '.join(names) or 'none'}"
            )
        if bool(self.expect) != bool(self.expected_by):
            raise ValueError(f"{self.name}: expect= and expected_by= (how it is worked out) belong together")
        for case in self.cases:
            for figure, published in case.published.items():
                self._check(case, figure, published)
        for perturbation in self.perturbations:
            self._check_perturbation(perturbation)

    def _check(self, case: Case, figure: str, published: float | None) -> None:
        where = f"{self.name}, {case.name}, {figure}"
        tolerance = self.tolerance_of(case, figure)
        if not (isfinite(tolerance) and tolerance >= 0):
            raise ValueError(f"{where}: tolerance must be a fraction of at least 0, not {tolerance!r}")
        if self.expect is None and (published is None or case.published_tolerance_of(figure) is not None):
            raise ValueError(f"{where}: nothing judges it: it needs expect=")
        if not any(p.concerns(case.name, figure) for p in self.perturbations):
            raise ValueError(f"{where}: no perturbation is for it, so nothing shows that it can be red")

    def _check_perturbation(self, perturbation: Perturbation) -> None:
        known = [case.name for case in self.cases]
        for name in perturbation.cases:
            if name not in known:
                raise ValueError(f"{self.name}: {perturbation.what!r} names {name!r}, which is no case")
        for case in self.cases:
            for figure in case.published:
                if perturbation.concerns(case.name, figure):
                    perturbation.of(self.settings_of(case))
                    most = 2 * self.tolerance_of(case, figure)
                    for setting, by in perturbation.scale.items():
                        if abs(by - 1) > most + 1e-9:
                            raise ValueError(
                                f"{self.name}, {case.name}, {figure}: {perturbation.what!r} changes {setting} by "
                                f"{abs(by - 1):.3g}, more than twice the tolerance ({most:.3g})"
                            )

    def case(self, name: str) -> Case:
        """The case with a name. Raises ValueError, with the names, if there is none."""
        found = next((case for case in self.cases if case.name == name), None)
        if found is None:
            raise ValueError(
                f"{self.name} has no case {name!r}; it has {', '.join(case.name for case in self.cases)}"
            )
        return found

    def settings_of(self, case: Case) -> dict[str, Any]:
        """The keywords of the measurement of a case."""
        return {**self.settings, **case.settings}

    def tolerance_of(self, case: Case, figure: str) -> float:
        """The fraction by which a figure of a case may differ from its expectation."""
        own = _of(case.tolerance, figure)
        return self.tolerance if own is None else own

    def published_tolerance_of(self, case: Case, figure: str) -> float:
        """The fraction by which a figure of a case may differ from what is published."""
        own = case.published_tolerance_of(figure)
        return self.tolerance_of(case, figure) if own is None else own


def _of(tolerance: float | Mapping[str, float] | None, figure: str) -> float | None:
    return tolerance.get(figure) if isinstance(tolerance, Mapping) else tolerance
