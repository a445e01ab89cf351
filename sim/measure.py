"""Own measures: what a node records or counts becomes a column of tables and the axis of a chart.

A measure names a function from a run to a number, and says in which unit, and which way is better::

    Measure("fallbacks", Recorded("fallback"), better="lower")
    Measure("log_lag", Sampled("lag", "max"), unit="entries", better="lower")
    Measure("reads_share", share_of_reads, unit="%")

It is given to a scenario, a comparison or a sweep, or declared by a system (`System.measures`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

from sim.analysis.quantities import QUANTITIES, Quantity
from sim.settings import Value

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Measure", "Recorded", "RunFigure", "Sampled", "without_clash"]

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LATENCY = re.compile(r"(commit_)?p\d+")
_ENDINGS = ("_at_least", "_low", "_high", "_bound")
TAKEN = frozenset(
    {
        *QUANTITIES,
        # columns of tables and frames
        *("run", "seed", "seeds", "system", "guarantee", "checked", "unsafe", "nodes", "detection"),
        *("setting", "measure", "value", "low", "high", "n", "bound", "text", "count", "weight", "error"),
        *("dominated_by", "point"),
        # columns of a store of results
        *("key", "status", "verdict", "digest", "kept", "told", "sha256", "finished"),
        # fields of a scenario, which a sweep has as columns
        *("network", "workload", "faults", "duration", "machines", "leader", "retry", "check", "trace"),
        *("sample_every", "name", "measures"),
    }
)
"""Names that a measure of one's own cannot have: something else in a table, a frame or a store has them."""


@dataclass(frozen=True)
class RunFigure(Value):
    """A number worked out from a run: a value, so that it has a written form. Subclasses define ``__call__``."""

    def __call__(self, run: Any) -> float:
        """The number for a run (`sim.Run`); NaN if it does not apply."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it works out")

    def check(self, scenario: Any) -> None:
        """Raise ValueError for a scenario whose runs cannot have this number."""


@dataclass(frozen=True)
class Recorded(RunFigure):
    """A number from the events that nodes record, from the warm-up to the end of the run.

    Parameters
    ----------
    event:
        The name of the event: ``"fallback"`` for ``self.record("fallback", view=3)``.
    how:
        ``"count"``: how many there were; ``"rate"``: how many a second; ``"sum"``, ``"mean"``, ``"max"``, ``"min"``:
        of the numbers in a detail of the event. The mean, largest and smallest of no numbers are NaN.
    detail:
        The name of the detail: ``"view"`` in the example. Needed for a sum, mean, max and min, and only there.
    """

    event: str
    how: Literal["count", "rate", "sum", "mean", "max", "min"] = "count"
    detail: str | None = None

    def __post_init__(self) -> None:
        if (self.detail is None) != (self.how in ("count", "rate")):
            needs = "takes no detail" if self.detail is not None else "needs the name of a detail"
            raise ValueError(f"Recorded: how={self.how!r} {needs}, not detail={self.detail!r}")

    def __call__(self, run: Any) -> float:
        """The number for a run. Raises ValueError for a detail that an event has not, or that is no number."""
        events: pd.DataFrame = run.events
        found = events[(events["event"] == self.event) & (events["time"] >= run.warmup)]
        if self.how == "count":
            return float(len(found))
        if self.how == "rate":
            return float(len(found) / (run.ended - run.warmup))
        return _statistic([self._number(detail) for detail in found["detail"]], self.how)

    def _number(self, detail: Any) -> float:
        if self.detail not in detail:
            raise ValueError(
                f"the event {self.event!r} has no detail {self.detail!r}; it has {', '.join(detail) or 'none'}"
            )
        return _as_number(f"the detail {self.detail!r} of the event {self.event!r}", detail[self.detail])


@dataclass(frozen=True)
class Sampled(RunFigure):
    """A number from the samples of a gauge of all nodes, from the warm-up on. Needs ``Scenario(sample_every=...)``.

    Parameters
    ----------
    gauge:
        The name of the gauge: ``"backlog"``, or one that `Node.gauges` gives.
    how:
        The ``"mean"``, ``"max"`` or ``"min"`` of all samples, or the sum over nodes of their last samples (``"last"``).
    """

    gauge: str
    how: Literal["mean", "max", "min", "last"] = "mean"

    def __call__(self, run: Any) -> float:
        """The number for a run; NaN if no node has such a gauge."""
        samples: pd.DataFrame = run.samples
        found = samples[(samples["gauge"] == self.gauge) & (samples["time"] >= run.warmup)]
        if self.how == "last":
            return float(found.groupby("node")["value"].last().sum()) if len(found) else math.nan
        return _statistic([float(value) for value in found["value"]], self.how)

    def check(self, scenario: Any) -> None:
        if scenario.sample_every is None:
            raise ValueError(f"{self!r} needs samples: give the scenario sample_every=...")


def _statistic(values: Sequence[float], how: str) -> float:
    if how == "sum":
        return math.fsum(values)
    if not values:
        return math.nan
    return math.fsum(values) / len(values) if how == "mean" else max(values) if how == "max" else min(values)


def _as_number(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or math.isinf(value):
        raise ValueError(f"{what} must be a finite number, not {value!r}")
    return float(value)


@dataclass(frozen=True)
class Measure(Value):
    """A measure of one's own: a column of tables, usable in charts, precision, differences and frontiers.

    Parameters
    ----------
    name:
        The name of the column: small letters, digits and ``_``. Names of measures that there are already are refused.
    of:
        A function of a run (`sim.Run`) that gives a number, None or NaN where the measure does not apply. Or a value:
        `Recorded` (events), `Sampled` (gauges). A function that a file can name is found by its import path.
    unit:
        The unit of the number: ``"s"`` for seconds (tables then choose ms or s), ``"op/s"``, ``"entries"``.
    better:
        Whether ``"lower"`` or ``"higher"`` numbers are better; None: neither.
    label:
        The name for people; "": the name with spaces.

    Raises ValueError for a name that is taken or no name, and for a unit or a label of more than one line.
    """

    name: str
    of: Callable[[Any], Any] | RunFigure
    unit: str = ""
    better: Literal["lower", "higher"] | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"Measure: a name has small letters, digits and single _, such as 'log_lag', not {self.name!r}"
            )
        if self.name in TAKEN or _LATENCY.fullmatch(self.name) or self.name.endswith(_ENDINGS):
            raise ValueError(
                f"Measure: the name {self.name!r} is taken, by a measure or another column; choose another"
            )
        if isinstance(self.of, type):
            raise ValueError(
                f"Measure: of must be a function of a run, or a value such as Recorded(...), not {self.of!r}"
            )
        for field in (self.unit, self.label):
            if not field.isprintable():
                raise ValueError(f"Measure: unit and label must fit on a line, not {field!r}")

    @property
    def quantity(self) -> Quantity:
        """Its name, label, unit and direction, for tables and charts."""
        return Quantity(
            self.name, self.label or self.name.replace("_", " "), self.unit, self.better or "", -math.inf
        )

    def value_of(self, run: Any) -> float:
        """The number for a run. Raises ValueError if ``of`` gives no finite number; its other errors get a note."""
        try:
            value = self.of(run)
            return math.nan if value is None else _as_number("it", value)
        except Exception as error:
            error.add_note(f"in the measure {self.name!r}")
            if isinstance(error, ValueError):
                raise ValueError(f"the measure {self.name!r}: {error}") from error
            raise

    def check(self, scenario: Any) -> None:
        """Raise ValueError for a scenario whose runs cannot have this measure."""
        if isinstance(self.of, RunFigure):
            self.of.check(scenario)


def without_clash(measures: Iterable[Measure]) -> tuple[Measure, ...]:
    """The measures, each once. Raises ValueError for two different ones of one name."""
    found: dict[str, Measure] = {}
    for measure in measures:
        other = found.setdefault(measure.name, measure)
        if other != measure:
            raise ValueError(f"two measures are called {measure.name!r}: {other!r} and {measure!r}")
    return tuple(found.values())
