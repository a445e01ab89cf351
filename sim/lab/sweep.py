"""Sweeps: one scenario with fields varied, under several seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from sim.arguments import checked, checked_methods
from sim.display import Block, Displayed, text_of_blocks
from sim.lab.compare import counted_runs, outcome, together
from sim.lab.conditions import conditions, notes, warmups
from sim.lab.grid import SYSTEM, grid, plain_value
from sim.lab.jobs import Failed, RunGrid, RunResult, RunTask, failures_frame, perform
from sim.lab.labels import same
from sim.lab.own import in_own_words, measures_of
from sim.lab.run import Check, Run
from sim.lab.scenario import Scenario
from sim.lab.settings import MeasuredSettings
from sim.lab.stages import Precision, Stages, aim, first_stage, in_stage, in_stages, stages_told
from sim.lab.work import Failure, Work
from sim.recorder import COLUMNS
from sim.settings import field_path
from sim.system import System

if TYPE_CHECKING:
    import pandas as pd

    from sim.analysis.quantities import Quantity
    from sim.lab.plots import SweepPlots

__all__ = ["Sweep", "refuse_overwriting", "sweep"]


@checked_methods
@in_own_words
class Sweep(Displayed, MeasuredSettings):
    """Runs of a scenario with varied fields.

    Attributes: ``fields`` (the names of the varied fields), ``points`` (a mapping field -> value for each run),
    ``runs``, ``checks`` (a check or None for each run), ``scenarios`` (one for each run), ``failed`` (the runs that
    failed), ``stages`` (how seeds were added for a precision: one entry for each point, or for points that differ only
    in the system).
    """

    def __init__(
        self,
        fields: tuple[str, ...],
        points: list[dict[str, Any]],
        scenarios: list[Scenario],
        runs: list[Run],
        checks: Sequence[Check | None],
        failed: Sequence[Failed] = (),
    ) -> None:
        self.fields = fields
        self.points = points
        self.scenarios = scenarios
        self.runs = runs
        self.checks = list(checks)
        self.failed = tuple(failed)
        self.stages: list[Stages] = []

    def own_quantities(self) -> tuple[Quantity, ...]:
        return tuple(measure.quantity for measure in measures_of(self.scenarios))

    @property
    def distinguished_by(self) -> tuple[str, ...]:
        """The columns of the varied fields."""
        return self.fields or ("run",)

    @cached_property
    def summaries(self) -> pd.DataFrame:  # type: ignore[override]
        """One row per run: the varied fields, ``run``, ``seed`` and every measure."""
        import pandas as pd

        rows = [
            {**self._plain(point, run.label), "run": run.label, "seed": run.seed, **run.measures()}
            for point, run in zip(self.points, self.runs, strict=True)
        ]
        return pd.DataFrame(rows)

    @property
    def failures(self) -> pd.DataFrame:
        """One row for each run that failed: the varied fields, ``run``, ``seed``, ``error``."""
        return failures_frame(
            [replace(failed, point=self._plain(failed.point, failed.label)) for failed in self.failed]
        )

    def _plain(self, point: Mapping[str, Any], label: str) -> dict[str, Any]:
        return _written(point, label, self._values)

    @cached_property
    def _values(self) -> dict[str, list[Any]]:
        return _values_of(self.fields, [*self.points, *(failed.point for failed in self.failed)])

    @property
    def plot(self) -> SweepPlots:
        """Charts of the sweep: ``sweep.plot.throughput_latency()`` and so on."""
        from sim.lab.plots import SweepPlots

        return SweepPlots(self)

    def table(self, measures: Iterable[str] | None = None) -> pd.DataFrame:
        """One row per point: its values, result of the checks, and each measure with its 95 % interval over seeds."""
        from sim.analysis.tables import MEASURES, sweep_table, with_lost

        chosen = (*MEASURES, *self.own_names()) if measures is None else tuple(measures)
        groups: dict[str, list[Check | None]] = {}
        for point, run, check in zip(self.points, self.runs, self.checks, strict=True):
            groups.setdefault(repr(self._plain(point, run.label)), []).append(check)
        lost = [self._plain(failed.point, failed.label) for failed in self.failed]
        count = Counter(map(repr, lost))
        checked = [outcome(group, count[point]) for point, group in groups.items()]
        table = sweep_table(self.summaries, self.fields, checked=checked, measures=chosen)
        # A row for each point where every run failed.
        alone = {repr(point): point for point in lost if repr(point) not in groups}
        return with_lost(
            table, [{**point, "checked": outcome([], count[key])} for key, point in alone.items()]
        )

    def report(self, path: Path | str) -> Path:
        """Write a report as one HTML file, for readers without Python; returns the path. See docs/report.md.

        The grid, a small chart for each measure, the frontier. Raises ValueError for a path that does not end in .html.
        """
        from sim.lab.report.sweep import sweep_report

        return sweep_report(self, path)

    def text(self, measures: Iterable[str] | None = None) -> str:
        """The table as text for a terminal, with notes for the reader."""
        return text_of_blocks(self.blocks(measures))

    def blocks(self, measures: Iterable[str] | None = None) -> list[Block]:
        """The parts of its `text`."""
        from sim.analysis.tables import text_table

        lines = [
            *stages_told(self.stages),
            *warmups(self.summaries),
            *notes(self.scenarios),
            *map(str, self.failed),
        ]
        seeds = Counter(
            repr(self._plain(point, run.label)) for point, run in zip(self.points, self.runs, strict=True)
        )
        heading = conditions(self.scenarios, (), list(seeds.values()))
        return [heading, text_table(self.table(measures)), *(["\n".join(lines)] if lines else [])]

    def __repr__(self) -> str:
        varied = ", ".join(map(field_path, self.fields)) or "nothing"
        return f"<Sweep of {varied.replace('__', '.')}: {counted_runs(self.runs, self.failed)}>"

    def pooled(self, quantiles: Sequence[float] = (0.5, 0.95, 0.99, 0.999)) -> pd.DataFrame:
        """At each point: quantiles of the latencies of all its runs together, each within 1 %, from their sketches.

        Columns: the varied fields, ``run``, ``operations``, and ``p50`` ... (seconds), with ``p50_at_least`` ... (1: a
        lower bound). Rare latencies need many operations: p99.9 of a single run of a thousand says little.
        """
        import pandas as pd

        from sim.analysis.measures import quantile_name
        from sim.analysis.sketch import merged

        rows = []
        for keys, group in self.summaries.groupby([*self.fields, "run"], sort=False, dropna=False):
            found = merged(self.runs[at].sketch() for at in group.index).distribution()
            row: dict[Any, Any] = dict(zip([*self.fields, "run"], keys, strict=True))
            row["operations"] = group["operations"].sum()
            for q in quantiles:
                value = found.quantile(q)
                row[quantile_name(q)], row[f"{quantile_name(q)}_at_least"] = (
                    value.value,
                    float(value.at_least),
                )
            rows.append(row)
        return pd.DataFrame(rows)

    def difference(
        self, baseline: str | System | Mapping[str, Any], measures: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """At each point of the grid: the paired difference from the baseline there, seed by seed, per measure.

        ``baseline``: one of the systems that were swept (or its label), or values of swept fields
        (``{"system.nodes": 3}``): a point is compared with the one that has these values and else its own.

        Columns: the swept fields, then ``measure, value, low, high, n, bound, text``
        (see `sim.analysis.pairing.differences`). Raises ValueError for what was not swept.
        """
        from sim.analysis.pairing import differences

        return differences(self.summaries, self._baseline(baseline), measures, by=self.fields)

    def ratio(
        self, baseline: str | System | Mapping[str, Any], measures: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """At each point: the mean over that of the baseline there; see `difference` and `pairing.ratios`."""
        from sim.analysis.pairing import ratios

        return ratios(self.summaries, self._baseline(baseline), measures, by=self.fields)

    def _baseline(self, baseline: str | System | Mapping[str, Any]) -> dict[str, Any]:
        """The values of a baseline as they stand in `summaries`."""
        if not isinstance(baseline, Mapping):
            if not self.fields:
                raise ValueError("nothing was swept: there is one point, and no other to compare it with")
            if SYSTEM not in self.fields:
                named = baseline if isinstance(baseline, str) else getattr(baseline, "label", repr(baseline))
                raise ValueError(
                    f"{named} cannot be the baseline: no systems were swept, but {', '.join(self.fields)}; "
                    f"name values, such as {{{self.fields[0]!r}: {self.summaries[self.fields[0]].tolist()[0]!r}}}"
                )
            baseline = {SYSTEM: baseline}
        return {
            field_path(name): self._column_value(field_path(name), value) for name, value in baseline.items()
        }

    def _column_value(self, field: str, value: Any) -> Any:
        """A value of a swept field as it stands in the column. Raises ValueError for one that was not swept."""
        if field not in self.fields:
            raise ValueError(f"{field} was not swept; {', '.join(self.fields)} were")
        column = self.summaries[field]
        for point, written in zip(self.points, column, strict=True):
            if same(point[field], value) or same(written, value):
                return written
        named = getattr(value, "label", value)
        raise ValueError(
            f"{field} was not {named} anywhere; it was {', '.join(dict.fromkeys(map(str, column)))}"
        )

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """The frames of all runs together, by name; with those that failed, if any (``failures``)."""
        found = {name: together(self.runs, name) for name in COLUMNS}
        return {**found, "failures": self.failures} if self.failed else found

    def save(self, folder: Path | str) -> list[Path]:
        """Save the sweep in a folder, from which `sim.load` loads it; returns the paths.

        The frames of all runs together, the table and the summaries (``sweep.csv``) are written as CSV (also as Parquet
        if pyarrow is installed); ``manifest.json`` describes what ran.
        """
        from sim.lab.saved import save_sweep

        return save_sweep(self, folder)


def _written(point: Mapping[str, Any], label: str, values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """A point as it stands in frames: numbers and words, no two values of a field alike.

    ``label``: of the system that ran. ``values``: all values of each field.
    """
    found = {}
    for name, value in point.items():
        plain = label if isinstance(value, System) else plain_value(value)
        others = [other for other in values[name] if not same(other, value)]
        alike = not isinstance(value, System) and any(same(plain_value(other), plain) for other in others)
        found[name] = repr(value) if alike else plain
    return found


def _values_of(fields: Iterable[str], points: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The values of each field, once each."""
    found: dict[str, list[Any]] = {name: [] for name in fields}
    for point in points:
        for name, value in point.items():
            if not any(value is other for other in found[name]):
                found[name].append(value)
    return found


def refuse_overwriting(fields: Sequence[str]) -> None:
    """Raise ValueError for a field (``workload__rate``) that is set twice, or set before its owner (``workload``)."""
    fields = [field_path(name) for name in fields]
    for i, early in enumerate(fields):
        for late in fields[i + 1 :]:
            if early == late or early.startswith(f"{late}__"):
                again = "twice" if early == late else f"before {late} as a whole, which undoes it"
                raise ValueError(
                    f"{early} is given {again}: give all of its values at once, and wholes before parts"
                )


@checked
def sweep(
    scenario: Scenario,
    fields: Mapping[str, Any],
    *,
    seeds: int | Iterable[int] | None = None,
    precision: Precision | None = None,
    max_seeds: int | None = None,
    judge: bool = True,
    **work: Unpack[Work],
) -> Sweep:
    """Run a scenario for every combination of field values and every seed; see `Scenario.sweep`.

    If systems are swept (the field ``system``), those without given size, failure detection or client timeout get
    common ones, as in `compare`.

    Parameters
    ----------
    seeds:
        The seeds to run under; a number n means the first n. None: seed 0, or 20 to begin with for a precision.
    precision, max_seeds:
        Add seeds, at each point as many as it needs, as in `compare`. Points that differ only in the system get the
        same, so that they can be paired.
    judge:
        Check each history against the consistency that the system claims.
    work:
        See `sim.lab.work.Work`.

    A run that fails costs its own row (`Sweep.failed`). Raises ValueError for a field without values, and for a value
    or a seed that is given twice; and what the first run raised where all fail.
    """
    refuse_overwriting(list(fields))
    swept = grid(scenario, fields)
    wanted = aim(precision, max_seeds, measures_of(swept.scenarios))
    chosen = first_stage(seeds, wanted, (0,))
    values = _values_of(swept.fields, swept.points)
    plain = [_written(point, label, values) for point, label in zip(swept.points, swept.labels, strict=True)]
    whole = Work(progress="sweeping") | work

    def run(tasks: list[tuple[int, int]], stage: int) -> list[RunResult]:
        labels = [swept.labels[number] for number, _ in tasks]
        asked = RunGrid("sweep", labels, swept.fields, [plain[number] for number, _ in tasks])
        jobs = [RunTask(swept.scenarios[number], seed, judge) for number, seed in tasks]
        return perform(jobs, asked, in_stage(whole, stage), stage)

    names = [swept.name(number) for number in range(len(swept.points))]
    done, stages = in_stages(names, swept.groups, chosen, wanted, run)
    each = [(number, seed, result) for number, results in enumerate(done) for seed, result in results]
    failed = [
        Failed(swept.labels[n], seed, swept.scenarios[n], result.reason, swept.points[n])
        for n, seed, result in each
        if isinstance(result, Failure)
    ]
    good = [(n, result) for n, _, result in each if not isinstance(result, Failure)]
    for n, (one, _) in good:
        one.label, one.scenario = swept.labels[n], swept.scenarios[n]
    found = Sweep(
        swept.fields,
        [swept.points[n] for n, _ in good],
        [swept.scenarios[n] for n, _ in good],
        [one for _, (one, _) in good],
        [check for _, (_, check) in good],
        failed,
    )
    found.stages = stages
    return found
