"""Comparison tables: one row per system; each measure has its 95 % confidence interval over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sim.analysis.quantities import column_of, decimals_for, quantity, scale_of, time_scale
from sim.analysis.statistics import bounded, intervals
from sim.arguments import checked
from sim.display import Block, Column, TextTable, text_lines
from sim.settings import field_path

__all__ = [
    "MEASURES",
    "comparison_table",
    "difference_table",
    "measures_table",
    "ratio_lines",
    "region_table",
    "render",
    "sweep_table",
    "text_table",
    "with_lost",
    "worth_showing",
]

MEASURES: tuple[str, ...] = (
    "throughput",
    "p50",
    "p99",
    "unavailability",
    "acknowledged_lost",
    "acknowledged_unreplicated",
    "elections",
    "false_elections",
    "time_without_leader",
    "writes_refused",
    "messages_per_operation",
    "warmup",
)

_HEADS = {
    "p50": "p50",
    "p95": "p95",
    "p99": "p99",
    "acknowledged_lost": "acked lost",
    "acknowledged_unreplicated": "acked unreplicated",
    "false_elections": "false elections",
    "time_without_leader": "leaderless",
    "writes_refused": "refused",
    "messages_per_operation": "msgs/op",
    "bytes_per_operation": "bytes/op",
    "attempts_per_operation": "attempts/op",
    "utilisation_max": "busiest",
    "queue_max": "longest queue",
}
_RARE = frozenset(
    {
        *("acknowledged_unreplicated", "warmup"),
        *("elections", "false_elections", "time_without_leader", "writes_refused"),
    }
)
"""Measures that are 0 in most scenarios: shown only if a run has a value above 0."""

_NOTHING = "–"
_IN_SECONDS = frozenset(
    {"duration", "warmup", "heartbeat", "detection", "timeout", "backoff", "lease", "start", "think"}
)
"""Fields in seconds, for headings."""
_UNSAFE = "UNSAFE"


@checked
def comparison_table(
    summaries: pd.DataFrame,
    *,
    guarantees: Mapping[str, str] | None = None,
    checked: Mapping[str, str] | None = None,
    settings: Mapping[str, Mapping[str, float]] | None = None,
    measures: Sequence[str] = MEASURES,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """One row per system, in order of appearance.

    Args:
        summaries: one row per run and seed: columns `run`, `seed` and measures.
        guarantees: run → the consistency that the system claims ("linearizable"); missing runs claim nothing ("none").
        checked: run → the result of its checks ("20/20 valid"); missing runs are "not checked".
        settings: `nodes` or `detection` (seconds) → run → its value: columns for settings that differ.
        measures: the measures to show; one that no run has (all NaN), or a rare one that is always 0, is left out.
        confidence: the confidence level of the intervals.

    Returns:
        Columns `system, guarantee, checked, unsafe` (bool: the label says UNSAFE), `seeds`, and for each measure its
        mean over seeds, with `<measure>_low`, `<measure>_high` and `<measure>_bound` ("≥": a lower bound, or "").
    """
    runs = [str(run) for run in summaries["run"].unique()]
    for name in (*(guarantees or {}), *(checked or {})):
        if name not in runs:
            raise ValueError(f"no run {name!r} among {runs}")
    for key, values in (settings or {}).items():
        without = [run for run in runs if run not in values]
        if without:
            raise ValueError(f"settings: {key!r} has no value for run {without[0]!r}")
    kept = [name for name in measures if worth_showing(summaries, name)]
    found = intervals(summaries, kept, confidence=confidence)
    rows = []
    for run, group in summaries.groupby("run", sort=False):
        name = str(run)
        row: dict[str, object] = {
            "system": name,
            "guarantee": (guarantees or {}).get(name, "none"),
            "checked": (checked or {}).get(name, "not checked"),
            "unsafe": _UNSAFE in name.split(),
            **{key: values[name] for key, values in (settings or {}).items()},
            "seeds": group["seed"].nunique(),
        }
        rows.append(row | _measured(found[found["run"] == run]))
    return pd.DataFrame(rows)


@checked
def with_lost(table: pd.DataFrame, lost: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """The table with rows of what has no run to measure, since all failed: no seed counts, and each measure is NaN."""
    if not lost:
        return table
    bounds = dict.fromkeys((name for name in table.columns if name.endswith("_bound")), "")
    rows = [{"seeds": 0, "unsafe": False, **bounds, **row} for row in lost]
    kept = [{str(name): row.get(name, math.nan) for name in table.columns} for row in rows]
    return pd.concat([table, pd.DataFrame(kept)], ignore_index=True)


def _measured(found: pd.DataFrame) -> dict[str, object]:
    """The cells of one row, from its lines of the frame of `intervals`."""
    row: dict[str, object] = {}
    for line in found.to_dict("records"):
        measure = str(line["measure"])
        row[measure] = line["mean"]
        row[f"{measure}_low"], row[f"{measure}_high"] = line["low"], line["high"]
        row[f"{measure}_bound"] = "≥" if line["at_least"] else ""
    return row


@checked
def sweep_table(
    summaries: pd.DataFrame,
    fields: Sequence[str],
    *,
    checked: Sequence[str] | None = None,
    measures: Sequence[str] = MEASURES,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """One row per point of a sweep: its values of `fields`, the result of its checks, and measures.

    `checked`: the result of the checks at each point, in order of appearance. Measures are as in `comparison_table`.
    Raises ValueError unless `checked` has one entry per point.
    """
    kept = [name for name in measures if worth_showing(summaries, name)]
    by = [column_of(summaries, field) for field in fields] or ["run"]
    found = intervals(summaries, kept, by=by, confidence=confidence)
    size = len(kept)
    points = summaries.groupby(by, sort=False, dropna=False)
    if checked is not None and len(checked) != len(points):
        raise ValueError(f"{len(points)} points were swept, and {len(checked)} checked")
    rows = []
    for number, (keys, group) in enumerate(points):
        row: dict[str, object] = dict(zip(by, keys, strict=True))
        row["checked"] = "not checked" if checked is None else checked[number]
        row["seeds"] = group["seed"].nunique()
        rows.append(row | _measured(found.iloc[number * size : (number + 1) * size]))
    return pd.DataFrame(rows)


@checked
def region_table(latencies: pd.DataFrame, *, order: Sequence[str] = ()) -> TextTable:
    """Latency by region: one row per system, one column per region, cells "p50 / p99" (means over seeds).

    Args:
        latencies: columns `run, seed, region, p50, p99` (seconds), and `p99_at_least` (whether p99 is a lower bound).
        order: the order of the regions' columns; other regions follow in order of appearance.
    """
    scale = time_scale(latencies["p50"])
    systems = list(dict.fromkeys(latencies["run"]))
    columns: list[Column] = [("system", systems, False)]
    found = list(dict.fromkeys(latencies["region"]))
    for region in sorted(found, key=lambda name: order.index(name) if name in order else len(order)):
        cells = [
            _pair(latencies[(latencies["run"] == run) & (latencies["region"] == region)], scale.factor)
            for run in systems
        ]
        columns.append((str(region), cells, True))
    return TextTable(columns, f"p50 / p99 [{scale.unit}] of clients in")


def _pair(rows: pd.DataFrame, factor: float) -> str:
    values = [float(rows[name].mean()) * factor for name in ("p50", "p99")]
    bounds = ["≥ " if bounded(rows, name) else "" for name in ("p50", "p99")]
    texts = [
        _NOTHING if math.isnan(value) else f"{bound}{value:,.{decimals_for([value], most=1)}f}"
        for value, bound in zip(values, bounds, strict=True)
    ]
    return " / ".join(texts)


@checked
def worth_showing(summaries: pd.DataFrame, measure: str) -> bool:
    """Whether a table shows this measure: at least one run has a value and, for a rare measure, a value above 0."""
    if measure in _RARE:
        return measure in summaries.columns and bool((summaries[measure] > 0).any())
    return measure not in summaries.columns or bool(summaries[measure].notna().any())


@checked
def measures_table(measures: Mapping[str, Any]) -> TextTable:
    """The measures of one run, one a row, in suitable units; those without a value are left out.

    ``measures``: name → value; ``<name>_at_least``, if it is there and not 0, says that the value is a lower bound.
    """
    heads, cells = [], []
    for name, value in measures.items():
        if name.endswith("_at_least") or math.isnan(value) or (name in _RARE and not value):
            continue
        known = quantity(name)
        scale = scale_of(known, [value])
        shown = value * scale.factor
        bound = "≥ " if measures.get(f"{name}_at_least", 0.0) > 0.0 else ""
        unit = f" {scale.unit}" if scale.unit else ""
        heads.append(known.label)
        cells.append(f"{bound}{shown:,.{decimals_for([shown])}f}{unit}")
    return TextTable([("measure", heads, False), ("value", cells, False)])


@checked
def difference_table(differences: pd.DataFrame, measures: Sequence[str] = MEASURES) -> pd.DataFrame:
    """The frame of `pairing.differences` as a table like that of `comparison_table`, for `render`."""
    rows = []
    for run, group in differences.groupby("run", sort=False):
        row: dict[str, object] = {"system": str(run), "seeds": int(group["n"].max())}
        for line in group.to_dict("records"):
            measure = str(line["measure"])
            if measure in measures and not math.isnan(float(line["value"])):
                row[measure] = line["value"]
                row[f"{measure}_low"], row[f"{measure}_high"] = line["low"], line["high"]
                row[f"{measure}_bound"] = line["bound"]
        rows.append(row)
    return pd.DataFrame(rows)


@checked
def ratio_lines(ratios: pd.DataFrame, measures: Sequence[str] = MEASURES) -> str:
    """The frame of `pairing.ratios` as text: one line for each system and measure with a ratio."""
    shown = ratios[ratios["measure"].isin(list(measures)) & ratios["value"].notna()]
    lines = [
        f"{line['run']}: {_HEADS.get(line['measure'], quantity(line['measure']).label)} {line['text']}"
        for line in shown.to_dict("records")
    ]
    return "\n".join(lines) or "(no ratios)"


def _measures_of(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if f"{name}_low" in table.columns]


def _column(table: pd.DataFrame, measure: str, signed: bool) -> tuple[str, list[str]]:
    """The head and the aligned cells ("≥ 12.3 ± 0.4") of one measure."""
    known = quantity(measure)
    means = [float(value) for value in table[measure]]
    scale = scale_of(known, means)
    # The upper half-width: the lower end of the interval of a non-negative measure may be cut off at zero.
    halves = [float(high) - mean for mean, high in zip(means, table[f"{measure}_high"], strict=True)]
    means, halves = [v * scale.factor for v in means], [v * scale.factor for v in halves]
    bounds = [bound if isinstance(bound, str) else "" for bound in table[f"{measure}_bound"]]
    most = 1 if scale.unit == "op/s" else 3
    decimals = decimals_for(means, most=most)
    # A half-width smaller than the last digit of the means gets one digit: "± 0.0" would claim exactness.
    real = [half for half, mean in zip(halves, means, strict=True) if half > 1e-9 * abs(mean)]
    decimals = max([decimals, *(decimals_for([half], significant=1, most=most) for half in real)])
    form = f"{'+' if signed else ''},.{decimals}f"
    texts = [_NOTHING if math.isnan(mean) else format(mean, form) for mean in means]
    spreads = ["" if math.isnan(half) else f"± {half:,.{decimals}f}" for half in halves]
    wide, wider = max(map(len, texts)), max(map(len, spreads))
    marks = 2 if any(bounds) else 0
    cells = [
        (bound.ljust(marks) + text.rjust(wide) + " " + spread.ljust(wider)).rstrip()
        for text, spread, bound in zip(texts, spreads, bounds, strict=True)
    ]
    head = _HEADS.get(measure, known.label)
    return (f"{head} [{scale.unit}]" if scale.unit else head), cells


def _columns(table: pd.DataFrame, signed: bool) -> list[Column]:
    """(head, cells, whether the cells are numbers) for each column to show."""
    columns: list[Column] = []
    for name in _leading(table):
        cells = [_plain(value) for value in table[name]]
        if name == "system" and "unsafe" in table.columns:
            marks = table["unsafe"].astype(bool)
            cells = [
                f"{_UNSAFE} {cell}" if unsafe and _UNSAFE not in cell.split() else cell
                for cell, unsafe in zip(cells, marks, strict=True)
            ]
        columns.append((_heading(name), cells, pd.api.types.is_numeric_dtype(table[name])))
    columns.extend((*_column(table, measure, signed), True) for measure in _measures_of(table))
    return columns


def _leading(table: pd.DataFrame) -> list[str]:
    """The columns that identify a row, with its guarantee and checks; all columns that are not measures."""
    behind = {"unsafe", "seeds", *_measures_of(table)}
    behind |= {name + end for name in _measures_of(table) for end in ("_low", "_high", "_bound")}
    return [str(name) for name in table.columns if name not in behind]


def _heading(field: str) -> str:
    """A swept field as written on the command line, with "[s]" for a time."""
    path = field_path(field)
    unit = " [s]" if path.rpartition("__")[2] in _IN_SECONDS else ""
    return path.replace("__", ".") + unit


def _plain(value: object) -> str:
    """A value as text; None and NaN are "none"."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


@checked
def render(table: pd.DataFrame, *, markdown: bool = False, signed: bool = False) -> str:
    """A comparison table as aligned text (or Markdown), with times in suitable units.

    A number is the mean over seeds, followed by "±" and the distance to the upper end of its 95 % interval (left out
    for a single seed). "≥" means a lower bound, because operations were not answered. "–" means that the measure does
    not apply. `signed` writes a plus before positive numbers, for tables of differences.
    """
    found = text_table(table, signed=signed)
    if isinstance(found, str):
        return found
    if markdown:
        return "\n".join(
            text_lines(found.columns, " | ", "| ", lambda width, n: "-" * (width - 1) + (":" if n else "-"))
        )
    return found.text()


@checked
def text_table(table: pd.DataFrame, *, signed: bool = False) -> Block:
    """A comparison table as `render` shows it, for text and HTML; a word where there are no runs."""
    return TextTable(_columns(table, signed)) if len(table) else "(no runs)"
