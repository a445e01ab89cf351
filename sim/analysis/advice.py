"""Advice in sentences, by fixed rules from measured settings. A rule that is not sure says nothing.

Each rule looks at means over seeds with their intervals, and speaks only where the intervals leave no doubt, and where
there are at least `LEAST_SEEDS` seeds. See docs/decide.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from sim.analysis.frontier import Setting, dominates, setting_label, settings_of
from sim.analysis.quantities import column_of, decimals_for, quantity, scale_of
from sim.analysis.statistics import Interval, mean_interval
from sim.arguments import checked
from sim.settings import field_path

__all__ = ["DECIDING", "LEAST_SEEDS", "Advice", "advice"]

DECIDING: tuple[str, ...] = (
    "p99",
    "unavailability",
    "acknowledged_lost",
    "false_elections",
    "messages_per_operation",
)
"""The measures by which settings are compared where none are given; those of one's own with a direction are added."""

LEAST_SEEDS = 5
"""With fewer seeds the rules say nothing."""

_TIMEOUTS = ("detection", "heartbeat")
_MOST_NINES = 6


@dataclass(frozen=True, slots=True)
class Advice:
    """A sentence, and the rule that says it: ``"never worse"``, ``"tighter timeout"`` or ``"one more nine"``."""

    rule: str
    text: str

    def __str__(self) -> str:
        return self.text


@checked
def advice(
    summaries: pd.DataFrame,
    *,
    by: Sequence[str] = ("run",),
    measures: Sequence[str] | None = None,
    own: Sequence[str] = (),
) -> list[Advice]:
    """What the rules say of these settings; nothing for a single setting, or for fewer than five seeds of each.

    Args:
        summaries: one row per run and seed, one column per measure.
        by: the columns that distinguish settings.
        measures: those by which settings are compared, two or more; None: `DECIDING` and `own`.
        own: further measures, of which those with a known direction count.
    """
    columns = [column_of(summaries, field) for field in by]
    groups = [group for _, group in summaries.groupby(columns, sort=False, dropna=False)]
    if len(groups) < 2 or min(group["seed"].nunique() for group in groups) < LEAST_SEEDS:
        return []
    if measures is None:
        wanted = [*DECIDING, *(name for name in own if quantity(name).better)]
        chosen = [n for n in wanted if n in summaries.columns and all(g[n].notna().any() for g in groups)]
    else:
        chosen = list(measures)
    told = _never_worse(summaries, columns, chosen) if len(chosen) > 1 else []
    return [*told, *_tighter(summaries, columns), *_nines(groups, columns)]


# Settings that are never worse


def _never_worse(summaries: pd.DataFrame, by: Sequence[str], measures: Sequence[str]) -> list[Advice]:
    settings, found = settings_of(summaries, measures, by=by)
    means = found["mean"].to_numpy(dtype=float).reshape(len(settings), len(measures))
    best = [one for one in settings if not any(dominates(other, one) for other in settings)]
    told = []
    for number, worse in enumerate(settings):
        better = next((one for one in best if dominates(one, worse)), None)
        if better is not None:
            rows = means[settings.index(better)], means[number]
            told.append(Advice("never worse", _compared(better, worse, measures, *rows)))
    return told


def _compared(better: Setting, worse: Setting, measures: Sequence[str], mine: Any, theirs: Any) -> str:
    gains, equal = [], []
    for i, name in enumerate(measures):
        if better.worst[i] < worse.best[i]:
            gains.append(
                f"{quantity(name).label} ({_value(name, mine[i])} instead of {_value(name, theirs[i])})"
            )
        else:
            equal.append(quantity(name).label)
    also = f", and not worse in {' and '.join(equal)}" if equal else ""
    return f"{better.label} is never worse than {worse.label}: better in {' and '.join(gains)}{also}."


def _value(name: str, value: float, spread: float | None = None) -> str:
    """A value with its unit: "12.3 ms", "4 ± 1 /day"."""
    scale = scale_of(quantity(name), [value])
    decimals = decimals_for([value * scale.factor], most=2)
    if spread is not None:
        decimals = max(decimals, decimals_for([spread * scale.factor], significant=1))
    text = f"{value * scale.factor:,.{decimals}f}"
    if spread is not None:
        text += f" ± {spread * scale.factor:,.{decimals}f}"
    return f"{text} {scale.unit}".rstrip()


# The price of a tighter timeout


def _tighter(summaries: pd.DataFrame, by: Sequence[str]) -> list[Advice]:
    """What the smaller of two neighbouring timeouts costs in false elections, and saves of the unavailability."""
    fields = [field for field in by if field_path(field).rpartition("__")[2] in _TIMEOUTS]
    told: list[Advice] = []
    if "false_elections" not in summaries.columns:
        return told
    for field in fields:
        rest = [other for other in by if other != field]
        groups = summaries.groupby(rest, sort=False, dropna=False) if rest else [((), summaries)]
        for keys, group in groups:
            where = setting_label(dict(zip(rest, keys, strict=True)))
            levels = sorted(v for v in group[field].dropna().unique() if isinstance(v, int | float))
            for tight, loose in pairwise(levels):
                both = group[group[field] == tight], group[group[field] == loose]
                text = _tighter_text(field_path(field).rpartition("__")[2], (tight, loose), both)
                if text:
                    told.append(Advice("tighter timeout", f"{where}: {text}" if where else text))
    return told


def _tighter_text(name: str, values: tuple[float, float], both: tuple[pd.DataFrame, pd.DataFrame]) -> str:
    """The sentence; "" if the tighter timeout does not surely cost false elections."""
    cost = _paired("false_elections", *both)
    if not cost.low > 0:
        return ""
    told = f"a {name} of {values[0]:g} s instead of {values[1]:g} s costs "
    told += f"{cost.mean:,.0f} ± {cost.half_width:,.0f} false elections a day more"
    if not all("unavailability" in one.columns and one["unavailability"].notna().any() for one in both):
        return f"{told}."  # without a fault there is no unavailability
    gain = _paired("unavailability", *both)
    if gain.high < 0:
        saved = _value("unavailability", -gain.mean, gain.half_width)
        return f"{told}, and shortens the unavailability after a fault by {saved}."
    return f"{told}; it does not surely shorten the unavailability after a fault."


def _paired(measure: str, one: pd.DataFrame, other: pd.DataFrame) -> Interval:
    """The mean difference of a measure over common seeds, with its interval."""
    mine, theirs = (frame.set_index("seed")[measure] for frame in (one, other))
    return mean_interval((mine - theirs).to_numpy(dtype=float))


# The price of one more nine


@dataclass(frozen=True, slots=True)
class _Nines:
    """A setting: its label, the share of operations that it surely answers, that it may answer, and its price."""

    label: str
    surely: float
    perhaps: float
    price: Interval


def _nines(groups: Sequence[pd.DataFrame], by: Sequence[str]) -> list[Advice]:
    """What the cheapest setting with one nine more costs, of the operations that ended with ok."""
    price = next((n for n in ("cost", "messages_per_operation") if n in groups[0].columns), None)
    if price is None or not {"ok", "operations"} <= {*groups[0].columns}:
        return []
    settings = [one for group in groups if (one := _answering(group, by, price)) is not None]
    told = []
    for nines in range(1, _MOST_NINES):
        here, above = (
            min((s for s in settings if s.surely >= 1 - 10.0**-n), key=lambda s: s.price.mean, default=None)
            for n in (nines, nines + 1)
        )
        if here is None or above is None or here.perhaps >= 1 - 10.0 ** -(nines + 1):
            continue
        if here.price.high < above.price.low:
            more = _value(price, above.price.mean - here.price.mean)
            told.append(
                Advice(
                    "one more nine",
                    f"One more nine costs {more} more ({quantity(price).label}): {_percent(nines)} of operations are "
                    f"answered by {here.label} for {_value(price, here.price.mean)}, and {_percent(nines + 1)} by "
                    f"{above.label} for {_value(price, above.price.mean)}.",
                )
            )
    return told


def _percent(nines: int) -> str:
    return f"{100 * (1 - 10.0**-nines):.10g} %"


def _answering(group: pd.DataFrame, by: Sequence[str], price: str) -> _Nines | None:
    asked = group["operations"].to_numpy(dtype=float)
    total = float(asked.sum())
    if total == 0 or not group[price].notna().any():
        return None
    each = np.divide(group["ok"], asked, where=asked > 0, out=np.full(len(asked), math.nan))
    share = mean_interval(each)
    # If none of n operations failed, up to 3/n of all may fail (the rule of three, at 95 %).
    surely = min(share.low, 1 - 3 / total)
    label = setting_label({name: group[name].tolist()[0] for name in by})
    return _Nines(label, surely, max(share.high, surely), mean_interval(group[price].to_numpy(dtype=float)))
