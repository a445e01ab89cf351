"""The report of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sim.lab.report.parts import (
    chart,
    checked_path,
    faults_played,
    reproducing,
    scenario_in_words,
    space_time,
    verdict,
    write_report,
)
from sim.page.document import ReportBlock, Section

if TYPE_CHECKING:
    from sim.lab.compare import Comparison

__all__ = ["comparison_report"]

_ROOM = 7_000_000  # bytes of all space-time pages together
_MOST_PAGES = 6


def comparison_report(comparison: Comparison, path: Path | str) -> Path:
    """Write the report of a comparison; returns the path."""
    file = checked_path(path)
    heading, *blocks = comparison.blocks()
    labels = list(comparison.scenarios)
    seeds = [run.seed for run in comparison.runs]
    sections = [
        Section("The systems side by side", blocks),
        Section("Verdicts", _verdicts(comparison)),
        Section("Charts", _charts(comparison)),
        Section("Anatomy of latency", _anatomy(comparison)),
        *_pages(comparison),
        scenario_in_words(comparison.scenarios[labels[0]]),
        reproducing(comparison.scenarios, seeds, [run.digest() for run in comparison.runs]),
    ]
    first = next(iter(comparison.scenarios.values()))
    title = first.name or f"{', '.join(labels)}"
    return write_report(file, title, str(heading), sections)


def _verdicts(comparison: Comparison) -> list[ReportBlock]:
    """For each system its first run that is not as it claims, with the counterexample; else a sentence."""
    blocks: list[ReportBlock] = []
    for label in comparison.scenarios:
        pairs = [(run, check) for run, check in zip(comparison.runs, comparison.checks, strict=True)]
        mine = [(run, check) for run, check in pairs if run.label == label]
        bad = next((pair for pair in mine if pair[1] is not None and not pair[1].ok), None)
        if bad is None:
            blocks.append(f"{label}: {len(mine)} runs, and none contradicts what it claims.")
        else:
            blocks += [f"{label}, seed {bad[0].seed}:", *verdict(*bad).blocks]
    return blocks


def _charts(comparison: Comparison) -> list[ReportBlock]:
    plot = comparison.plot
    drawn = [
        chart(plot.latency_cdf, "the distribution of latency, by system"),
        chart(plot.latency_percentiles, "percentiles of latency with intervals over seeds, by system"),
        chart(plot.timeline, "throughput and latency over time, by system, faults shaded"),
        chart(plot.availability, "the share of operations that succeeded within a second, over time"),
    ]
    if comparison.operations["region"].nunique() > 1:
        drawn.append(chart(plot.by_region, "median latency of the clients of each region, by system"))
    if any(scenario.faults for scenario in comparison.scenarios.values()):
        drawn.append(
            chart(plot.unavailability, "the longest time without an answer after a fault, by system")
        )
    if all(scenario.trace for scenario in comparison.scenarios.values()):
        drawn.append(chart(plot.messages, "messages between replicas per operation, by kind"))
    return list(drawn)


def _anatomy(comparison: Comparison) -> list[ReportBlock]:
    if not all(scenario.trace == "full" for scenario in comparison.scenarios.values()):
        return []
    return [chart(comparison.plot.anatomy, "what operations waited for, by system and region")]


def _pages(comparison: Comparison) -> list[Section]:
    """The first run of each system, and the faults that it met; pages only of runs that were traced."""
    firsts = {run.label: run for run in reversed(comparison.runs)}
    each = [firsts[label] for label in comparison.scenarios if label in firsts]
    sections = []
    traced = [run for run in each if run.scenario.trace and run.has_frames]
    for number, run in enumerate(each):
        blocks: list[ReportBlock] = []
        if run in traced[:_MOST_PAGES]:
            blocks += space_time(run, room=_ROOM // min(len(traced), _MOST_PAGES))
        blocks += faults_played(run.events).blocks
        title = f"{run.label}, seed {run.seed}: {'step through it' if run in traced else 'faults played'}"
        sections.append(Section(title, blocks, folded=number > 0))
    return sections
