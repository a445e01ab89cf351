"""The settings between which a choice is a matter of taste: those that no other setting surely beats.

Setting A dominates setting B (Pareto 1906) if A is not worse in any measure and better in at least one. What is known
of a setting are intervals over seeds. So A dominates B only where this is sure: in each measure the interval of A ends
where that of B begins, or before; in one of them they do not touch. Where intervals overlap, neither dominates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from sim.analysis.quantities import column_of, quantity
from sim.analysis.statistics import intervals
from sim.arguments import checked
from sim.settings import field_path

__all__ = ["Setting", "dominates", "frontier", "setting_label", "settings_of"]


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of a setting: its ``label``, and for each measure how bad it is at best and at worst.

    ``best`` and ``worst`` are ends of intervals, turned so that lower is better; infinite where nothing is known.
    """

    label: str
    best: tuple[float, ...]
    worst: tuple[float, ...]


@checked
def dominates(one: Setting, other: Setting) -> bool:
    """Whether ``one`` is surely not worse than ``other`` in any measure, and surely better in at least one."""
    pairs = list(zip(one.worst, other.best, strict=True))
    return all(mine <= theirs for mine, theirs in pairs) and any(mine < theirs for mine, theirs in pairs)


@checked
def setting_label(keys: Mapping[str, Any]) -> str:
    """The values that distinguish a setting, in words: "Raft, detection 0.3"; a system and a run need no name."""
    said = []
    for field, value in keys.items():
        name = field_path(field).rpartition("__")[2].replace("_", " ")
        shown = f"{value:g}" if isinstance(value, float) and not math.isnan(value) else str(value)
        said.append(shown if name in ("run", "system") else f"{name} {shown}")
    return ", ".join(said)


def _direction(name: str, better: Mapping[str, Literal["lower", "higher"]] | None) -> int:
    """1 if lower is better, -1 if higher is."""
    found = (better or {}).get(name) or quantity(name).better
    if not found:
        raise ValueError(
            f"whether less or more of {name!r} is better is not known: say better={{{name!r}: 'lower'}} or 'higher'"
        )
    return 1 if found == "lower" else -1


@checked
def settings_of(
    summaries: pd.DataFrame,
    measures: Sequence[str],
    *,
    by: Sequence[str] = ("run",),
    better: Mapping[str, Literal["lower", "higher"]] | None = None,
    confidence: float = 0.95,
) -> tuple[list[Setting], pd.DataFrame]:
    """The settings, and the frame of `intervals` from which they were read (one row a setting and measure)."""
    columns = [column_of(summaries, field) for field in by]
    for name in measures:
        if name not in summaries.columns:
            raise ValueError(
                f"there is no measure {name!r}; the runs have {', '.join(map(str, summaries.columns))}"
            )
        if not summaries[name].notna().any():
            raise ValueError(
                f"no run has a value of {name!r}: it does not apply to them, or was not recorded"
            )
    signs = [_direction(name, better) for name in measures]
    found = intervals(summaries, list(measures), by=columns, confidence=confidence)
    settings = []
    for start in range(0, len(found), len(measures)):
        rows = found.iloc[start : start + len(measures)].to_dict("records")
        ends = [_ends(row, sign) for row, sign in zip(rows, signs, strict=True)]
        label = setting_label({str(name): rows[0][name] for name in columns})
        settings.append(Setting(label, tuple(best for best, _ in ends), tuple(worst for _, worst in ends)))
    return settings, found


def _ends(row: Mapping[Any, Any], sign: int) -> tuple[float, float]:
    """How bad a measure is at best and at worst; lower is better."""
    low, high = float(row["low"]), float(row["high"])
    if math.isnan(low):  # a single seed, or none, has no interval
        return -math.inf, math.inf
    if row["at_least"]:
        high = math.inf
    return (low, high) if sign > 0 else (-high, -low)


@checked
def frontier(
    summaries: pd.DataFrame,
    measures: Sequence[str],
    *,
    by: Sequence[str] = ("run",),
    better: Mapping[str, Literal["lower", "higher"]] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Which settings no other setting surely beats in these measures.

    Args:
        summaries: one row per run and seed, one column per measure.
        measures: two or more measures, such as `("p99", "acknowledged_lost", "cost")`.
        by: the columns that distinguish settings.
        better: measure → `"lower"` or `"higher"`, for measures of which it is not known.
        confidence: the confidence level of the intervals.

    Returns:
        One row per setting, in order of appearance: columns `by…`, `setting` (its label), `seeds`, `status`
        (`"frontier"`; `"dominated"`; `"no value"` if a measure does not apply to it), `dominated_by` (the label of the
        first setting that dominates it, or ""), and for each measure its mean, with `<measure>_low`, `<measure>_high`
        and `<measure>_bound` ("≥" or ""). With one seed nothing is sure, and every setting is on the frontier.

    Raises:
        ValueError: fewer than two measures, one given twice, one that no run has, or one of unknown direction.
    """
    if len(measures) < 2:
        raise ValueError(f"a frontier needs at least two measures, got {list(measures)!r}")
    twice = [name for name in measures if list(measures).count(name) > 1]
    if twice:
        raise ValueError(f"the measure {twice[0]!r} is given twice")
    settings, found = settings_of(summaries, measures, by=by, better=better, confidence=confidence)
    columns = [column_of(summaries, field) for field in by]
    rows = []
    for number, setting in enumerate(settings):
        lines = found.iloc[number * len(measures) : (number + 1) * len(measures)].to_dict("records")
        row: dict[str, Any] = {name: lines[0][name] for name in columns}
        row |= {"setting": setting.label, "seeds": int(max(line["count"] for line in lines))}
        beaten = next((other.label for other in settings if dominates(other, setting)), "")
        lacks = any(math.isnan(line["mean"]) for line in lines)
        row["status"] = "no value" if lacks else "dominated" if beaten else "frontier"
        row["dominated_by"] = "" if lacks else beaten
        for line in lines:
            name = str(line["measure"])
            row |= {name: line["mean"], f"{name}_low": line["low"], f"{name}_high": line["high"]}
            row[f"{name}_bound"] = "≥" if line["at_least"] else ""
        rows.append(row)
    return pd.DataFrame(rows)
