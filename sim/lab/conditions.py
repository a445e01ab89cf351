"""Headings and notes of a table: the conditions that all its rows share, and what the reader must know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sim.lab.scenario import Scenario
from sim.workload import ClosedLoop, OpenLoop, Trace, Workload

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["conditions", "notes", "warmups"]


def conditions(scenarios: Sequence[Scenario], shared: Sequence[str], seeds: Sequence[int]) -> str:
    """One line or two: the name of the scenario, size, failure detection, clients' timeout, load, seeds.

    ``seeds``: how many there are, of each point if that differs.
    """
    scenarios = _distinct(scenarios)
    first = scenarios[0]
    sizes = sorted({s.resolved.size for s in scenarios})
    detections = sorted({s.resolved.detection for s in scenarios})
    timeouts = sorted({s.resolved.client_timeout for s in scenarios})
    loads = list(dict.fromkeys(_load(s.workload) for s in scenarios))
    lines = [
        *(text for text in shared if text != _replicas(sizes[0])),
        *([_replicas(sizes[0])] if len(sizes) == 1 and sizes[0] else []),
        f"silence suspected after {_times(detections)}",
        f"clients ask again after {_times(timeouts)}",
        *(loads if len(loads) == 1 and loads[0] else []),
        _seeds(min(seeds), max(seeds)),
    ]
    title = f"{first.name}: " if first.name else ""
    return title + "; ".join(lines) + "."


def _distinct(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Each scenario once: a sweep has one for each of its runs."""
    return list({id(one): one for one in scenarios}.values())


def _seeds(least: int, most: int) -> str:
    count = f"{most}" if least == most else f"{least} to {most}"
    return f"{count} seed{'s, mean ± 95 % interval' if most > 1 else ''}"


def _replicas(count: int) -> str:
    return f"{count} node{'s' if count != 1 else ''}"


def _times(values: Sequence[float]) -> str:
    """Sorted times (seconds) as text: one value if all are equal, else the smallest and the largest."""
    low, high = f"{values[0]:.3g}", f"{values[-1]:.3g}"
    return f"{low} s" if low == high else f"{low} to {high} s"


def _load(workload: Workload) -> str:
    if isinstance(workload, OpenLoop):
        return f"open loop, {workload.rate:g} op/s"
    if isinstance(workload, ClosedLoop):
        return "closed loop"
    if isinstance(workload, Trace):
        return f"a trace of {len(workload.rows):,} operations"
    return ""


def warmups(summaries: pd.DataFrame) -> list[str]:
    """The warm-ups that were found in the runs and cut, in a line; nothing where none was looked for."""
    if "warmup" not in summaries.columns:
        return []
    found = summaries["warmup"].dropna()
    unsure = int(summaries["warmup_at_least"].sum())
    sentence = f"warm-up found by MSER-5 in each run and cut: {found.min():.3g} to {found.max():.3g} s"
    return [
        sentence + (f"; in {unsure} of {len(found)} runs it may last longer: run longer" if unsure else "")
    ]


def notes(scenarios: Sequence[Scenario]) -> list[str]:
    """Notes that prevent wrong conclusions from the table, one line each."""
    scenarios = _distinct(scenarios)
    lines = []
    if any(isinstance(s.workload, ClosedLoop) for s in scenarios):
        lines.append(
            "closed loop: a client that waits asks nothing, so percentiles may not show an outage, and a quick "
            "system is asked more; each client counts equally"
        )
    free = [what for what in ("cores", "disk") if all(what in s.resolved.free_of_charge for s in scenarios)]
    if free:
        lines.append(f"free: {', '.join(free)}")
    return lines
