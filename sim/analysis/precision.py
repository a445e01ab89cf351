"""How many seeds a wanted precision takes: a rule in stages, fixed before the first run.

The first stage estimates how much a measure varies between seeds, and from that how many seeds are needed, as in
Stein's two stages (1945, "A two-sample test for a linear hypothesis whose power is independent of the variance", Ann.
Math. Stat. 16:243). Stein's interval uses the deviation of the first stage only: it is exact for normal values, but for
skewed values it covers the truth in as little as 79 % of the cases. Here the interval is that of all values, and stages
follow until it is short enough, as in Chow and Robbins (1965, "On the asymptotic theory of fixed-width sequential
confidence intervals", Ann. Math. Stat. 36:457), but with few stages. The tests count how often it covers the truth;
docs/measures.md has the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sim.analysis.statistics import mean_interval
from sim.arguments import checked

__all__ = ["FIRST_STAGE", "LEAST_STAGE", "Shortfall", "seeds_needed", "shortfalls"]

FIRST_STAGE = 20
"""Seeds of the first stage where none are given."""
LEAST_STAGE = 10
"""Fewer seeds in the first stage say too little about the variation: intervals would miss the truth too often."""

_GROWTH = 0.1  # a stage adds at least this fraction of the seeds so far, so that stages are few


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A measure of a group that is not as precise as wanted, or has no value at all.

    ``relative``: half of its interval over its mean; NaN where no seed has a value, infinite where one has.
    """

    group: str
    measure: str
    relative: float


@checked
def seeds_needed(values: ArrayLike, precision: float, confidence: float = 0.95) -> int:
    """The estimated total of seeds that make half the interval of the mean at most `precision` times the mean.

    The number of seeds so far, if that is already so. `values`: one per seed, NaN where the measure does not apply. If
    all are NaN, no more seeds are needed.
    """
    array = np.asarray(values, dtype=np.float64)
    found = mean_interval(array, confidence)
    if found.count == 0:
        return len(array)
    wanted = precision * abs(found.mean)
    if found.count > 1 and found.half_width <= wanted:
        return len(array)
    least = math.ceil(len(array) * (1 + _GROWTH))
    if found.count < 2 or wanted == 0.0:
        return max(least, 2 * len(array))
    ratio = (found.half_width / wanted) ** 2  # of seeds needed to seeds so far
    return max(least, math.ceil(min(ratio * len(array), 1e15)))


@checked
def shortfalls(
    summaries: pd.DataFrame, wanted: Mapping[str, float], by: Sequence[str] = ("run",)
) -> tuple[list[Shortfall], int]:
    """Which measures of which groups are less precise than `wanted` (measure → fraction), and the seeds they need.

    A measure that does not apply to a group (all NaN) is left out, unless it applies to none.

    Returns:
        The shortfalls, and the largest `seeds_needed` among them (0: none needs more seeds).
    """
    found: list[Shortfall] = []
    most = 0
    for measure, precision in wanted.items():
        if not summaries[measure].notna().any():
            found.append(Shortfall("", measure, math.nan))
            continue
        for keys, group in summaries.groupby(list(by), sort=False, dropna=False):
            values = group[measure].to_numpy(dtype=float)
            needed = seeds_needed(values, precision)
            if needed > len(values):
                interval = mean_interval(values)
                relative = interval.half_width / abs(interval.mean) if interval.mean else math.inf
                relative = math.inf if math.isnan(relative) else relative
                found.append(Shortfall(", ".join(map(str, keys)), measure, relative))
                most = max(most, needed)
    return found, most
