"""Comparisons: several systems in one scenario, under the same seeds.

Pairing: under one seed all systems get the same arrivals and the same random crashes, and draw from the same
latency streams. Message k of a link may be a different message in another protocol, so latencies are paired as
streams, not message by message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from sim.arguments import checked_but, checked_methods
from sim.display import Block, Displayed, text_of_blocks
from sim.lab.conditions import conditions, notes, warmups
from sim.lab.fairness import fair, sized
from sim.lab.jobs import Failed, RunGrid, RunResult, RunTask, failures_frame, perform
from sim.lab.labels import label_all, same
from sim.lab.own import in_own_words, measures_of
from sim.lab.run import Check, Run
from sim.lab.scenario import Scenario
from sim.lab.seeds import distinct
from sim.lab.settings import MeasuredSettings
from sim.lab.stages import Precision, Stages, aim, first_stage, in_stage, in_stages
from sim.lab.work import Failure, Work
from sim.measure import Measure
from sim.recorder import COLUMNS
from sim.system import System

if TYPE_CHECKING:
    import pandas as pd

    from sim.analysis.quantities import Quantity
    from sim.lab.plots import ComparisonPlots

__all__ = ["Comparison", "compare", "counted_runs", "outcome", "together"]


@checked_but("systems", "scenario", "seeds")
def compare(
    systems: System | Iterable[System] | Mapping[str, System],
    scenario: Scenario,
    *,
    seeds: int | Iterable[int] | None = None,
    precision: Precision | None = None,
    max_seeds: int | None = None,
    judge: bool = True,
    measures: Iterable[Measure] = (),
    **work: Unpack[Work],
) -> Comparison:
    """Run each system in the scenario under each seed.

    Size, failure detection and the clients' timeout are the same for all systems that were given none (see
    `sim.lab.fairness`).

    Parameters
    ----------
    systems:
        The systems that replace ``scenario.system``: one, several, or a mapping from your own labels to systems. By
        default a label says how the systems differ (see `sim.lab.labels`).
    seeds:
        The seeds to run under; a number n means the first n, 0 to n - 1. None: 10, or 20 to begin with for a precision.
    precision:
        Add seeds until half of each interval is at most this fraction of its mean: 0.02 for ± 2 % of throughput, p50
        and p99; ``{"p50": 0.01}`` for other measures. By a rule fixed before (see `sim.analysis.precision`); all
        systems get the same seeds. ``comparison.stages`` says whether it was reached, and so does the text.
    max_seeds:
        The largest number of seeds for a precision; None: 1000.
    judge:
        Check each history against the consistency that the system claims.
    measures:
        Measures of your own, added to those of the scenario (see `sim.measure`).
    work:
        See `sim.lab.work.Work`.

    A run that fails costs its own row (`Comparison.failed`). Raises ValueError for no systems, for no seeds, and for a
    system or a seed that is given twice, and for an impossible precision; if all runs fail, it raises what the first
    run raised.
    """
    named = isinstance(systems, Mapping)
    chosen = [systems] if isinstance(systems, System) else list(_values(systems))
    _check(chosen, scenario)
    scenario = scenario.measuring(measures)
    labels = label_all(sized(chosen, scenario))
    names = [str(name) for name in systems] if isinstance(systems, Mapping) else list(labels.each)
    comparison = compare_scenarios(
        dict(zip(names, fair(chosen, scenario), strict=True)),
        seeds=seeds,
        precision=precision,
        max_seeds=max_seeds,
        judge=judge,
        **work,
    )
    comparison.systems = dict(zip(names, chosen, strict=True))
    comparison.shared = () if named else labels.shared
    return comparison


def _values(systems: Any) -> Iterable[Any]:
    if isinstance(systems, Mapping):
        return systems.values()
    if isinstance(systems, str) or not isinstance(systems, Iterable):
        raise ValueError(f"compare takes systems and then the scenario: {systems!r} is no system")
    return systems


def _check(systems: Sequence[Any], scenario: Any) -> None:
    if not systems:
        raise ValueError("nothing to compare: give at least one system")
    for system in systems:
        if not isinstance(system, System):
            hint = f"; write {system.__name__}()" if isinstance(system, type) else ""
            raise ValueError(f"only systems can be compared, not {system!r}{hint}")
    if not isinstance(scenario, Scenario):
        raise ValueError(f"compare takes systems and then the scenario, not {scenario!r}")


def compare_scenarios(
    scenarios: Mapping[str, Scenario],
    *,
    seeds: int | Iterable[int] | None = None,
    precision: Precision | None = None,
    max_seeds: int | None = None,
    judge: bool = True,
    **work: Unpack[Work],
) -> Comparison:
    """Like `compare`, for scenarios that differ not only in the system; the keys are their labels.

    Each scenario runs as it is: sizes and times are not made equal.
    """
    if not scenarios:
        raise ValueError("nothing to compare: give at least one scenario")
    distinct("scenario", list(scenarios.values()))
    wanted = aim(precision, max_seeds, measures_of(scenarios.values()))
    chosen = first_stage(seeds, wanted, range(10))
    labels, each = list(scenarios), list(scenarios.values())
    whole = Work(progress="comparing") | work

    def run(tasks: list[tuple[int, int]], stage: int) -> list[RunResult]:
        grid = RunGrid("comparison", [labels[number] for number, _ in tasks])
        jobs = [RunTask(each[number], seed, judge) for number, seed in tasks]
        return perform(jobs, grid, in_stage(whole, stage), stage)

    done, stages = in_stages(labels, [range(len(labels))], chosen, wanted, run)
    runs, checks, failed = [], [], []
    for label, scenario, results in zip(labels, each, done, strict=True):
        for seed, result in results:
            if isinstance(result, Failure):
                failed.append(Failed(label, seed, scenario, result.reason))
            else:
                result[0].label, result[0].scenario = label, scenario
                runs.append(result[0])
                checks.append(result[1])
    comparison = Comparison(dict(scenarios), runs, checks, failed)
    comparison.stages = stages[0] if stages else None
    return comparison


def outcome(checks: Iterable[Check | None], failed: int = 0) -> str:
    """A summary of the checks of some runs, such as ``"20/20 valid"``; ``"not checked"`` if no run was checked.

    ``failed``: the number of further runs, which failed and have no history.
    """
    return f"{_outcome(checks)}{f', {failed} FAILED' if failed else ''}"


def _outcome(checks: Iterable[Check | None]) -> str:
    statuses = [check.status for check in checks if check is not None]
    if not statuses:
        return "not checked"
    claimed = [status for status in statuses if status != "no claim"]
    if not claimed:
        return "nothing claimed"
    if "invalid" in claimed:
        return f"VIOLATED in {claimed.count('invalid')}/{len(claimed)}"
    unknown = f", {claimed.count('unknown')} unknown" if "unknown" in claimed else ""
    return f"{claimed.count('valid')}/{len(claimed)} valid{unknown}"


def counted_runs(runs: Sequence[Run], failed: Sequence[Failed]) -> str:
    """How many runs there are, under how many seeds, for a repr."""
    seeds = len({run.seed for run in runs})
    lost = f", {len(failed)} failed" if failed else ""
    return f"{len(runs)} run{'s' * (len(runs) != 1)}, {seeds} seed{'s' * (seeds != 1)}{lost}"


def together(runs: Sequence[Run], name: str) -> pd.DataFrame:
    """One frame of several runs, with the columns ``run`` and ``seed``; operations of closed loops have weights."""
    import pandas as pd

    frames = []
    for run in runs:
        frame = run.weighed_operations if name == "operations" else run.frames[name]
        if len(frame):
            frames.append(frame.assign(run=run.label, seed=run.seed))
    return pd.concat(frames, ignore_index=True) if frames else runs[0].frames[name].assign(run="", seed=0)


@checked_methods
@in_own_words
class Comparison(Displayed, MeasuredSettings):
    """Runs of several systems under the same seeds.

    Attributes: ``scenarios`` (label -> scenario that ran), ``systems`` (label -> system as it was given), ``runs``,
    ``checks`` (a check or None for each run), ``failed`` (the runs that failed), ``shared`` (settings that all systems
    share, in words), ``stages`` (how seeds were added for a precision, and whether it was reached; None without one).
    """

    def __init__(
        self,
        scenarios: dict[str, Scenario],
        runs: list[Run],
        checks: Sequence[Check | None],
        failed: Sequence[Failed] = (),
    ) -> None:
        self.scenarios = scenarios
        self.systems = {label: scenario.system for label, scenario in scenarios.items()}
        self.runs = runs
        self.checks = list(checks)
        self.failed = tuple(failed)
        self.shared: tuple[str, ...] = ()
        self.stages: Stages | None = None

    def _together(self, name: str) -> pd.DataFrame:
        return together(self.runs, name)

    @cached_property
    def operations(self) -> pd.DataFrame:
        """All operations, with the columns ``run`` and ``seed``, and of closed loops ``weight`` (see `Run`)."""
        return self._together("operations")

    @cached_property
    def events(self) -> pd.DataFrame:
        """All events, with the columns ``run`` and ``seed``."""
        return self._together("events")

    @cached_property
    def links(self) -> pd.DataFrame:
        """All links, with the columns ``run`` and ``seed``."""
        return self._together("links")

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """All nodes, with the columns ``run`` and ``seed``."""
        return self._together("nodes")

    @cached_property
    def samples(self) -> pd.DataFrame:
        """All samples, with the columns ``run`` and ``seed``."""
        return self._together("samples")

    def own_quantities(self) -> tuple[Quantity, ...]:
        return tuple(measure.quantity for measure in measures_of(self.scenarios.values()))

    @property
    def distinguished_by(self) -> tuple[str, ...]:
        """The column of the labels."""
        return ("run",)

    @cached_property
    def summaries(self) -> pd.DataFrame:  # type: ignore[override]
        """One row per run: ``run``, ``seed`` and every measure."""
        import pandas as pd

        rows = [{"run": run.label, "seed": run.seed, **run.measures()} for run in self.runs]
        return pd.DataFrame(rows)

    def table(self, measures: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per system: guarantee, result of the checks, and each measure with its 95 % interval over seeds.

        If systems differ in size or failure detection, there are columns ``nodes`` and ``detection`` (seconds).
        """
        from sim.analysis.tables import MEASURES, comparison_table, with_lost

        ran = dict.fromkeys(run.label for run in self.runs)
        guarantees, checked, differing = self._guarantees(), self._checked(), self._differing()
        table = comparison_table(
            self.summaries,
            guarantees={label: claim for label, claim in guarantees.items() if label in ran},
            checked={label: said for label, said in checked.items() if label in ran},
            settings=differing,
            measures=(*MEASURES, *self.own_names()) if measures is None else measures,
        )
        lost = [
            {"system": label, "guarantee": guarantees.get(label, "none"), "checked": checked[label]}
            | {name: values[label] for name, values in differing.items()}
            for label in self.scenarios
            if label not in ran
        ]
        return with_lost(table, lost)

    def by_region(self, quantiles: Sequence[float] = (0.5, 0.99)) -> pd.DataFrame:
        """Latency by region of the clients: columns ``run, seed, region, count``, quantiles and ``mean`` (seconds).

        A quantile has two columns, such as ``p50`` and ``p50_at_least`` (1: it is only a lower bound).
        """
        import pandas as pd

        from sim.analysis.measures import latency_quantiles

        frames = [
            latency_quantiles(
                run.weighed_operations,
                by=("region",),
                quantiles=quantiles,
                duration=run.ended,
                warmup=run.warmup,
            ).assign(run=run.label, seed=run.seed)
            for run in self.runs
        ]
        together = pd.concat(frames, ignore_index=True)
        return together[["run", "seed", *(c for c in together.columns if c not in ("run", "seed"))]]

    def anatomy(self) -> pd.DataFrame:
        """The latency of each operation after the warm-up, cut up along its critical path, in seconds.

        Columns of `Run.anatomy`, and ``run``, ``seed``, ``weight`` (clients of a closed loop count equally). Needs
        ``Scenario(trace="full")``, else ValueError.
        """
        from sim.lab.anatomies import anatomies

        return anatomies(self.runs)

    def report(self, path: Path | str) -> Path:
        """Write a report as one HTML file, for readers without Python; returns the path. See docs/report.md.

        With ``trace`` it has the space-time page of the first run of each system. Raises ValueError for a path that
        does not end in .html.
        """
        from sim.lab.report.comparison import comparison_report

        return comparison_report(self, path)

    def text(self, measures: Sequence[str] | None = None) -> str:
        """The table for a terminal, with the common settings, latency by region, and notes for the reader."""
        return text_of_blocks(self.blocks(measures))

    def blocks(self, measures: Sequence[str] | None = None) -> list[Block]:
        """The parts of its `text`."""
        from sim.analysis.tables import region_table, text_table

        blocks: list[Block] = [self.heading, text_table(self.table(measures))]
        regions = self.by_region()
        if regions["region"].nunique() > 1:
            blocks.append(region_table(regions, order=next(iter(self.scenarios.values())).network.regions))
        precision = [] if self.stages is None else [str(self.stages)]
        lines = [
            *precision,
            *warmups(self.summaries),
            *notes(list(self.scenarios.values())),
            *map(str, self.failed),
        ]
        return [*blocks, *(["\n".join(lines)] if lines else [])]

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self.scenarios)}: {counted_runs(self.runs, self.failed)}>"

    @property
    def heading(self) -> str:
        """The conditions that all systems share: size, failure detection, load, settings; and the number of seeds."""
        seeds = len({run.seed for run in self.runs})
        return conditions(list(self.scenarios.values()), self.shared, [seeds])

    def _differing(self) -> dict[str, dict[str, float]]:
        """The settings, of ``nodes`` and ``detection``, in which the systems differ: setting -> label -> value."""
        asked: dict[str, dict[str, float]] = {
            "nodes": {label: s.resolved.size for label, s in self.scenarios.items()},
            "detection": {label: s.resolved.detection for label, s in self.scenarios.items()},
        }
        return {name: values for name, values in asked.items() if len(set(values.values())) > 1}

    def _guarantees(self) -> dict[str, str]:
        return {
            label: claim
            for label, scenario in self.scenarios.items()
            if (claim := scenario.resolved.system.consistency) is not None
        }

    def _checked(self) -> dict[str, str]:
        return {
            label: outcome(
                [c for r, c in zip(self.runs, self.checks, strict=True) if r.label == label],
                sum(failed.label == label for failed in self.failed),
            )
            for label in self.scenarios
        }

    def label_of(self, system: str | System) -> str:
        """The label of a system of this comparison. Raises ValueError for a label or a system that is not in it."""
        if isinstance(system, str):
            if system in self.scenarios:
                return system
        else:
            for label, scenario in self.scenarios.items():
                if same(system, self.systems[label]) or same(system, scenario.system):
                    return label
        named = system if isinstance(system, str) else getattr(system, "label", repr(system))
        raise ValueError(f"{named} is none of the systems compared: {', '.join(self.scenarios)}")

    def difference(self, baseline: str | System, measures: Sequence[str] | None = None) -> pd.DataFrame:
        """Each system's paired difference from a baseline, seed by seed, with its 95 % interval per measure.

        Columns ``run, measure, value, low, high, n, bound, text`` (see `sim.analysis.pairing.differences`). Raises
        ValueError, with the labels, for a baseline that was not compared.
        """
        from sim.analysis.pairing import differences

        return differences(self.summaries, self.label_of(baseline), measures)

    def ratio(self, baseline: str | System, measures: Sequence[str] | None = None) -> pd.DataFrame:
        """Each system's mean over the baseline's, paired by seed, with its 95 % interval (Fieller) per measure.

        Columns as in `difference`; ``text`` reads "1.32 ± 0.03 times Raft".
        """
        from sim.analysis.pairing import ratios

        return ratios(self.summaries, self.label_of(baseline), measures)

    @property
    def plot(self) -> ComparisonPlots:
        """Charts of the comparison: ``comparison.plot.latency_cdf()`` and so on."""
        from sim.lab.plots import ComparisonPlots

        return ComparisonPlots(self)

    @property
    def derived(self) -> dict[str, dict[str, Any]]:
        """Label -> the derived values of the scenario (failure-detection times, ...)."""
        return {label: scenario.derived for label, scenario in self.scenarios.items()}

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """The frames of all runs together, by name; with those that failed, if any (``failures``)."""
        found = {name: self._together(name) for name in COLUMNS}
        return {**found, "failures": self.failures} if self.failed else found

    @property
    def failures(self) -> pd.DataFrame:
        """One row for each run that failed: ``run``, ``seed``, ``error``."""
        return failures_frame(self.failed)

    def save(self, folder: Path | str) -> list[Path]:
        """Save the comparison in a folder, from which `sim.load` loads it; returns the paths.

        The frames of all runs together, the table and the summaries are written as CSV (also as Parquet if pyarrow is
        installed); ``manifest.json`` describes what ran.
        """
        from sim.lab.saved import save_comparison

        return save_comparison(self, folder)
