"""The report of a sweep: the grid, a small chart for each measure, and the frontier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sim.analysis.quantities import quantity
from sim.analysis.tables import text_table, worth_showing
from sim.lab.labels import words
from sim.lab.report.parts import chart, checked_path, reproducing, scenario_in_words, verdict, write_report
from sim.page.document import Remark, ReportBlock, Section

if TYPE_CHECKING:
    from sim.lab.sweep import Sweep

__all__ = ["sweep_report"]

_MULTIPLES = ("throughput", "p50", "p99", "unavailability", "messages_per_operation", "acknowledged_lost")
_FRONTIER = ("p99", "throughput")
_MOST_CHARTS = 24
_MOST_SCENARIOS = 12
_MOST_VERDICTS = 4


def sweep_report(sweep: Sweep, path: Path | str) -> Path:
    """Write the report of a sweep; returns the path."""
    file = checked_path(path)
    heading, *blocks = sweep.blocks()
    fields = " and ".join(words(field.split("__")[-1]) for field in sweep.fields) or "nothing"
    first = sweep.scenarios[0]
    scenarios = {
        _named(point): scenario for point, scenario in zip(_points(sweep), sweep.scenarios, strict=True)
    }
    shown = dict(islice(scenarios.items(), _MOST_SCENARIOS))
    more = len(scenarios) - len(shown)
    again = reproducing(shown, [run.seed for run in sweep.runs], [run.digest() for run in sweep.runs])
    note = [Remark(f"The scenarios of {more} more points are left out.")] if more else []
    sections = [
        Section("The grid", blocks),
        Section("Small multiples", _multiples(sweep)),
        Section("The frontier", _frontier(sweep)),
        Section("Verdicts", _verdicts(sweep)),
        scenario_in_words(first),
        Section(again.title, [*again.blocks, *note]),
    ]
    return write_report(file, first.name or f"Sweep of {fields}", str(heading), sections)


def _points(sweep: Sweep) -> list[dict[str, Any]]:
    return [{field: row[field] for field in sweep.fields} for row in sweep.summaries.to_dict("records")]


def _named(point: Mapping[str, Any]) -> str:
    return (
        ", ".join(f"{words(field.split('__')[-1])} {value}" for field, value in point.items())
        or "the scenario"
    )


def _numeric(column: pd.Series) -> bool:
    return bool(column.dtype.kind in "if") and column.nunique() > 1


def _multiples(sweep: Sweep) -> list[ReportBlock]:
    """A chart for each measure, and for each choice of the fields that a chart has no room for."""
    frame = sweep.summaries
    vary = [field for field in sweep.fields if frame[field].nunique(dropna=False) > 1]
    numbers = [field for field in vary if _numeric(frame[field])]
    if not numbers:
        return ["No number was swept, so that there is nothing to draw along; the table has the values."]
    measures = [name for name in _MULTIPLES if name in frame.columns and worth_showing(frame, name)]
    along, *others = [numbers[0], *(field for field in vary if field != numbers[0])]
    rest = others[1:]
    wanted = [(name, where) for where in _choices(frame, rest) for name in measures]
    blocks: list[ReportBlock] = [
        chart(
            partial(sweep.plot.lines, name, along, where=where),
            f"{quantity(name).label} against {along.replace('__', '.')}{f', where {_named(where)}' if where else ''}",
        )
        for name, where in wanted[:_MOST_CHARTS]
    ]
    if len(wanted) > _MOST_CHARTS:
        blocks.append(
            Remark(f"{len(wanted) - _MOST_CHARTS} more charts are left out; the grid has their values.")
        )
    return blocks


def _choices(frame: pd.DataFrame, fields: list[str]) -> Iterator[dict[str, Any]]:
    values = [list(dict.fromkeys(frame[field].tolist())) for field in fields]
    for chosen in product(*values):
        yield dict(zip(fields, chosen, strict=True))


def _frontier(sweep: Sweep) -> list[ReportBlock]:
    measures = [name for name in _FRONTIER if sweep.summaries[name].notna().any()]
    if len(measures) < 2 or not sweep.fields:
        return ["There are no two points with these measures to choose between."]
    found = sweep.frontier(*measures)
    alone = [name for name in sweep.distinguished_by if name in found]
    return [
        f"The points that no other one surely beats in {' and '.join(quantity(n).label for n in measures)}.",
        chart(lambda: sweep.plot.frontier(*measures), "the frontier of the sweep"),
        text_table(found.drop(columns=alone)) if len(alone) else text_table(found),
    ]


def _verdicts(sweep: Sweep) -> list[ReportBlock]:
    pairs = list(zip(_points(sweep), sweep.runs, sweep.checks, strict=True))
    bad = [(point, run, check) for point, run, check in pairs if check is not None and not check.ok]
    if not bad:
        return ["No run contradicts what its system claims."]
    blocks: list[ReportBlock] = []
    for point, run, check in bad[:_MOST_VERDICTS]:
        blocks += [f"{_named(point)}, seed {run.seed}:", *verdict(run, check).blocks]
    if len(bad) > _MOST_VERDICTS:
        blocks.append(
            Remark(f"{len(bad) - _MOST_VERDICTS} more runs are not as claimed; the grid says where.")
        )
    return blocks
