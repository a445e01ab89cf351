"""Comparisons: several systems in one scenario, under the same seeds.

Pairing: under one seed all systems meet the same arrivals and the same random crashes, and draw from the same
latency streams. Message k of a link may be another message in another protocol, so latencies are paired as
streams, not message by message.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sim.lab.parallel import run_all
from sim.lab.run import Check, Run
from sim.lab.scenario import Scenario
from sim.system import System

if TYPE_CHECKING:
    import pandas as pd

    from sim.lab.plots import ComparisonPlots

__all__ = ["Comparison", "compare"]


def _run_and_judge(scenario: Scenario, seed: int, judge: bool) -> tuple[Run, Check | None]:
    run = scenario.run(seed)
    return run, run.check() if judge else None


def compare(
    systems: Iterable[System],
    scenario: Scenario,
    *,
    seeds: Iterable[int] = range(10),
    judge: bool = True,
    workers: int | None = None,
    executor: Executor | None = None,
    start_method: str | None = None,
    progress: str | None = "comparing",
) -> Comparison:
    """Run each system in the scenario under each seed.

    Parameters
    ----------
    systems:
        What takes the place of ``scenario.system``. Two with the same label are refused.
    judge:
        Check each history against what the system claims.
    workers, executor, start_method, progress:
        See `sim.lab.parallel.run_all`.
    """
    scenarios = [dataclasses.replace(scenario, system=system) for system in systems]
    return compare_scenarios(
        {s.system.label: s for s in _distinct(scenarios)},
        seeds=seeds,
        judge=judge,
        workers=workers,
        executor=executor,
        start_method=start_method,
        progress=progress,
    )


def _distinct(scenarios: Sequence[Scenario]) -> Sequence[Scenario]:
    labels = [s.system.label for s in scenarios]
    if not labels:
        raise ValueError("nothing to compare: give at least one system")
    twice = [label for i, label in enumerate(labels) if label in labels[:i]]
    if twice:
        raise ValueError(f"two systems are labelled {twice[0]!r}: they could not be told apart")
    return scenarios


def compare_scenarios(
    scenarios: dict[str, Scenario],
    *,
    seeds: Iterable[int] = range(10),
    judge: bool = True,
    workers: int | None = None,
    executor: Executor | None = None,
    start_method: str | None = None,
    progress: str | None = "comparing",
) -> Comparison:
    """Like `compare`, for scenarios that differ in more than the system; the keys are their labels."""
    seed_list = list(seeds)
    if not seed_list:
        raise ValueError("at least one seed is needed")
    tasks = [(s, seed, judge) for s in scenarios.values() for seed in seed_list]
    done = run_all(
        _run_and_judge,
        tasks,
        workers=workers,
        executor=executor,
        start_method=start_method,
        progress=progress,
    )
    labels = [label for label in scenarios for _ in seed_list]
    for label, (run, _) in zip(labels, done, strict=True):
        run.label = label
    return Comparison(scenarios, [run for run, _ in done], [check for _, check in done])


class Comparison:
    """Runs of several systems under the same seeds.

    Attributes: ``scenarios`` (label -> scenario), ``runs``, ``checks`` (one for each run, or None).
    """

    def __init__(
        self, scenarios: dict[str, Scenario], runs: list[Run], checks: Sequence[Check | None]
    ) -> None:
        self.scenarios = scenarios
        self.runs = runs
        self.checks = list(checks)

    def _together(self, name: str) -> pd.DataFrame:
        import pandas as pd

        frames = []
        for run in self.runs:
            frame = run.frames[name]
            if len(frame):
                frames.append(frame.assign(run=run.label, seed=run.seed))
        return (
            pd.concat(frames, ignore_index=True)
            if frames
            else self.runs[0].frames[name].assign(run="", seed=0)
        )

    @cached_property
    def operations(self) -> pd.DataFrame:
        """All operations, with the columns ``run`` and ``seed``."""
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

    @cached_property
    def summaries(self) -> pd.DataFrame:
        """One row per run: ``run``, ``seed`` and every measure."""
        import pandas as pd

        rows = [{"run": run.label, "seed": run.seed, **run.summary().to_dict()} for run in self.runs]
        return pd.DataFrame(rows)

    def table(self, measures: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per system: guarantee, what was checked, and each measure with its 95 % interval over seeds."""
        from sim.analysis.tables import MEASURES, comparison_table

        return comparison_table(
            self.summaries,
            guarantees=self._guarantees(),
            checked=self._checked(),
            measures=MEASURES if measures is None else measures,
        )

    def text(self, measures: Sequence[str] | None = None) -> str:
        """The table as text for a terminal."""
        from sim.analysis.tables import render

        return render(self.table(measures))

    def _guarantees(self) -> dict[str, str]:
        return {
            label: claim
            for label, scenario in self.scenarios.items()
            if (claim := scenario.resolved_system().claims) is not None
        }

    def _checked(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for label in self.scenarios:
            checks = [
                c for r, c in zip(self.runs, self.checks, strict=True) if r.label == label and c is not None
            ]
            statuses = [check.status for check in checks]
            if not statuses:
                continue
            claimed = [s for s in statuses if s != "no claim"]
            if not claimed:
                found[label] = "nothing claimed"
            elif "invalid" in claimed:
                found[label] = f"VIOLATED in {claimed.count('invalid')}/{len(claimed)}"
            else:
                found[label] = f"{claimed.count('valid')}/{len(claimed)} valid"
        return found

    def difference(self, baseline: str | System) -> pd.DataFrame:
        """Each system's paired difference from a baseline, seed by seed, with its 95 % interval per measure."""
        from sim.analysis.statistics import differences

        label = baseline if isinstance(baseline, str) else baseline.label
        return differences(self.summaries, label)

    @property
    def plot(self) -> ComparisonPlots:
        """Charts of the comparison: ``comparison.plot.latency_cdf()`` and so on."""
        from sim.lab.plots import ComparisonPlots

        return ComparisonPlots(self)

    @property
    def derived(self) -> dict[str, dict[str, Any]]:
        """Label -> the values that were derived and not given (failure-detection times, ...)."""
        return {label: scenario.derived for label, scenario in self.scenarios.items()}

    def save(self, folder: Any) -> list[Any]:
        """Write the frames and the table into a folder; returns the paths."""
        from sim.analysis.store import write_frames

        frames = {
            "table": self.table(),
            "summaries": self.summaries,
            "operations": self.operations,
            "events": self.events,
            "links": self.links,
            "nodes": self.nodes,
        }
        return write_frames({k: v for k, v in frames.items() if len(v)}, folder)
