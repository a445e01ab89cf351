"""The report of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.lab.led import leader_groups
from sim.lab.report.parts import (
    chart,
    checked_path,
    faults_played,
    frame_table,
    reproducing,
    scenario_in_words,
    space_time,
    verdict,
    write_report,
)
from sim.page.document import ReportBlock, Section

if TYPE_CHECKING:
    from sim.lab.run import Run

__all__ = ["run_report", "run_sections"]

_NODE_UNITS = {"bytes_out": "B", "busy": "s", "disk_bytes": "B"}


def run_report(run: Run, path: Path | str) -> Path:
    """Write the report of a run; returns the path."""
    file = checked_path(path)
    title = run.scenario.name or run.label
    lead = f"{run.label}, seed {run.seed}: {run.ended:g} s simulated, {len(run.operations):,} operations."
    return write_report(file, title, lead, run_sections(run))


def run_sections(run: Run, broken: Mapping[str, Any] | None = None) -> list[Section]:
    """The sections of the report of a run. ``broken``: what broke, for the page; None: the run's violation."""
    return [
        Section("Measures", run.blocks()[1:2]),
        verdict(run, run.check()),
        Section("Step through it", space_time(run, broken)),
        Section("Charts", _charts(run)),
        Section("Anatomy of latency", _anatomy(run)),
        faults_played(run.events),
        scenario_in_words(run.scenario, run.seed),
        Section("Nodes", frame_table(run.nodes, _NODE_UNITS), folded=True),
        Section("Links", frame_table(run.links, {"bytes": "B"}), folded=True),
        reproducing({run.label: run.scenario}, [run.seed], [run.digest()]),
    ]


def _charts(run: Run) -> list[ReportBlock]:
    if not len(run.operations):
        return ["No client asked anything, so there is nothing to draw."]
    plot = run.plot
    drawn = [
        chart(plot.timeline, "throughput and latency over time, faults shaded"),
        chart(plot.latency_cdf, "the distribution of latency"),
        chart(plot.availability, "the share of operations that succeeded within a second, over time"),
    ]
    led = leader_groups(run.scenario.resolved)
    if led is not None and led.members:
        drawn.append(chart(plot.leaders, "who led when"))
    if run.scenario.trace:
        drawn.append(chart(plot.messages, "messages between replicas per operation, by kind"))
    return list(drawn)


def _anatomy(run: Run) -> list[ReportBlock]:
    if run.scenario.trace != "full" or not (run.operations["return_step"] >= 0).any():
        return []
    rows = run.anatomy().rename(columns={"last": "needed last"})
    times = [name for name in rows.columns if rows[name].dtype.kind == "f"]
    return [
        chart(
            run.plot.anatomy, "what operations waited for: the mean latency, cut up along the critical paths"
        ),
        *frame_table(rows, dict.fromkeys(times, "s")),
    ]
