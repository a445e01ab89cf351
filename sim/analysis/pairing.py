"""Comparison of systems with a baseline, seed by seed: paired differences and ratios with their intervals.

Runs of one seed share arrivals and crashes (common random numbers), so their differences vary less than the runs do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sim.analysis.quantities import decimals_for, quantity, scale_of
from sim.analysis.statistics import Interval, bounded, check_confidence, mean_interval, measured, t_quantile
from sim.arguments import checked

__all__ = ["differences", "paired_difference", "paired_ratio", "ratios"]

_Estimate = Callable[[NDArray[np.float64], NDArray[np.float64], float], Interval]

# (is the value a lower bound, is the baseline a lower bound) → the mark of the difference or ratio.
_BOUNDS = {(False, False): "", (True, False): "≥", (False, True): "≤", (True, True): "?"}


def _pairs(values: ArrayLike, baseline: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left, right = np.asarray(values, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if left.shape != right.shape:
        raise ValueError(f"paired values must have one shape, got {left.shape} and {right.shape}")
    whole = ~(np.isnan(left) | np.isnan(right))
    return left[whole], right[whole]


@checked
def paired_difference(values: ArrayLike, baseline: ArrayLike, confidence: float = 0.95) -> Interval:
    """The mean of `values - baseline`, paired by position (same seed), with its Student t interval.

    Pairs with a NaN are left out. Pairing removes the variation that both runs of a seed share (arrivals, crashes),
    so the interval is often much narrower than the difference of two intervals.
    """
    left, right = _pairs(values, baseline)
    return mean_interval(left - right, confidence)


@checked
def paired_ratio(values: ArrayLike, baseline: ArrayLike, confidence: float = 0.95) -> Interval:
    """The mean of `values` over the mean of `baseline`, paired by position (same seed), with Fieller's interval.

    Fieller (1954, "Some problems in interval estimation", JRSS B 16:175): exact for normal pairs. Pairs with a NaN are
    left out. If the mean of the baseline does not differ significantly from 0, the interval is from minus infinity to
    infinity. Fewer than two pairs have no interval (NaN).
    """
    check_confidence(confidence)
    left, right = _pairs(values, baseline)
    n = len(left)
    over, under = (float(left.mean()), float(right.mean())) if n else (math.nan, math.nan)
    if not n or under == 0.0:
        return Interval(math.nan, math.nan, math.nan, n)
    ratio = over / under
    if n == 1:
        return Interval(ratio, math.nan, math.nan, 1)
    # For the true ratio, the mean of (over - ratio * under) is normal with mean 0: solve for the ratios that t allows.
    # The values are in units of the baseline's mean, so that squares of seconds or of millions lose no digits.
    scale = t_quantile((1 + confidence) / 2, n - 1) ** 2 / n
    y, x = left / under - ratio, right / under - 1.0
    a = 1.0 - scale * float(x @ x) / (n - 1)
    b = ratio - scale * float(x @ y) / (n - 1)
    c = ratio * ratio - scale * float(y @ y) / (n - 1)
    if a <= 0.0:
        return Interval(ratio, -math.inf, math.inf, n)
    root = math.sqrt(max(0.0, b * b - a * c))
    return Interval(ratio, (b - root) / a, (b + root) / a, n)


@checked
def differences(
    summaries: pd.DataFrame,
    baseline: str | Mapping[str, Any],
    measures: Sequence[str] | None = None,
    *,
    by: Sequence[str] = ("run",),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Each group's paired difference from its baseline, seed by seed.

    Args:
        summaries: one row per run and seed, one column per measure (`summary()` rows with `seed` and the columns `by`).
        baseline: the label of a run; or values for some of the columns `by`. Each group is compared with the group that
            has these values and equals it in the other columns: another one at each point of a grid.
        measures: the columns of the measures; by default all numeric ones.
        by: the columns that distinguish groups; each group has several seeds.

    Returns:
        Columns `by…, measure, value, low, high, n, bound, text`: `value` is the mean of the group's value minus the
        baseline's value, over the `n` common seeds. `bound` is "≥" if a value of the group is only a lower bound (then
        the difference is one, too), "≤" if a value of the baseline is, "?" if both are, else "". `text` is the
        difference in words ("12.3 ± 0.4 ms more than Raft").

    Raises:
        ValueError: there is no such baseline, a group has a seed twice, or shares no seed with its baseline.
    """
    return _versus(summaries, baseline, measures, by, confidence, paired_difference, _difference_text)


@checked
def ratios(
    summaries: pd.DataFrame,
    baseline: str | Mapping[str, Any],
    measures: Sequence[str] | None = None,
    *,
    by: Sequence[str] = ("run",),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The mean of each group divided by the mean of its baseline, paired by seed, with Fieller's interval.

    Arguments, columns and errors are those of `differences`; `text` is like "1.32 ± 0.03 times Raft". The intervals of
    quantities that cannot be negative (`quantities`) do not reach below zero.
    """
    return _versus(summaries, baseline, measures, by, confidence, paired_ratio, _ratio_text)


def _versus(
    summaries: pd.DataFrame,
    baseline: str | Mapping[str, Any],
    measures: Sequence[str] | None,
    by: Sequence[str],
    confidence: float,
    estimate: _Estimate,
    told: Callable[[str, Interval, str, str], str],
) -> pd.DataFrame:
    names = measured(summaries, (*by, "seed"), measures)
    twice = summaries.duplicated([*by, "seed"])
    if twice.any():
        row = summaries[twice].iloc[0]
        raise ValueError(f"{_said(by, row)} has seed {row['seed']!r} twice: cannot pair")
    groups = {_keys(summaries, by, index[0]): index for index in _grouped(summaries, by)}
    chosen = _baseline(summaries, {"run": baseline} if isinstance(baseline, str) else baseline, by)
    named = " ".join(str(value) for value in chosen.values())
    rows = []
    for keys, index in groups.items():
        against = tuple(chosen.get(name, value) for name, value in zip(by, keys, strict=True))
        if keys == against:
            continue
        if against not in groups:
            raise ValueError(f"there is no {', '.join(map(str, against))} to compare {keys} with")
        mine, theirs = (summaries.loc[part].set_index("seed") for part in (index, groups[against]))
        shared = [seed for seed in theirs.index if seed in mine.index]
        if not shared:
            raise ValueError(f"{', '.join(map(str, keys))} and {named} share no seed: cannot pair")
        mine, theirs = mine.loc[shared], theirs.loc[shared]
        columns = mine[names].to_numpy(dtype=float).T, theirs[names].to_numpy(dtype=float).T
        for name, left, right in zip(names, *columns, strict=True):
            found = estimate(left, right, confidence)
            if estimate is paired_ratio:
                found = Interval(found.mean, max(found.low, quantity(name).least), found.high, found.count)
            bound = _BOUNDS[bounded(mine, name), bounded(theirs, name)]
            text = told(name, found, bound, named)
            rows.append((*keys, name, found.mean, found.low, found.high, found.count, bound, text))
    return pd.DataFrame(rows, columns=[*by, "measure", "value", "low", "high", "n", "bound", "text"])


def _grouped(summaries: pd.DataFrame, by: Sequence[str]) -> list[pd.Index[Any]]:
    """The rows of each group, groups in order of appearance."""
    return [group.index for _, group in summaries.groupby(list(by), sort=False, dropna=False)]


def _keys(summaries: pd.DataFrame, by: Sequence[str], row: Any) -> tuple[Any, ...]:
    """The values of the columns `by` in a row; a missing value becomes None, because NaN is not equal to itself."""
    values = [summaries.at[row, name] for name in by]
    return tuple(None if isinstance(value, float) and math.isnan(value) else value for value in values)


def _baseline(summaries: pd.DataFrame, baseline: Mapping[str, Any], by: Sequence[str]) -> dict[str, Any]:
    """The values of the baseline. Raises ValueError for a column that is not in `by`, or a value that no row has."""
    if not baseline:
        raise ValueError(f"the baseline names no value: give one of {', '.join(by)}")
    for name, value in baseline.items():
        if name not in by:
            raise ValueError(f"the baseline names {name!r}; groups differ in {', '.join(by)}")
        known = list(dict.fromkeys(summaries[name]))
        if value not in known:
            raise ValueError(f"no {name} {value!r} to compare with; there are {known}")
    return dict(baseline)


def _said(by: Sequence[str], row: pd.Series) -> str:
    return ", ".join(f"{name} {row[name]!r}" for name in by)


def _spread(found: Interval, decimals: int) -> str:
    return "" if math.isnan(found.low) else f" ± {found.half_width:,.{decimals}f}"


def _decimals(found: Interval, most: int) -> int:
    """The decimals that show the half-width with one digit (two if it begins with 1); else those of the value."""
    half = found.half_width
    if math.isfinite(half) and half > 1e-6 * abs(found.mean):
        return max(0, decimals_for([half * 1.0000001], 1 + f"{half:e}".startswith("1"), most))
    return decimals_for([found.mean], most=most)


def _difference_text(name: str, found: Interval, bound: str, baseline: str) -> str:
    if math.isnan(found.mean):
        return "–"
    known = quantity(name)
    scale = scale_of(known, [np.nanmax(np.abs([found.mean, found.half_width]))])
    mean, low, high = (part * scale.factor for part in (found.mean, found.low, found.high))
    scaled = Interval(mean, low, high, found.count)
    decimals = _decimals(scaled, most=4)
    unit = f" {scale.unit}" if scale.unit else ""
    mark = f"{bound} " if bound else ""
    if bound:  # "at least 3 less" would say the contrary of a difference of at least -3
        return f"{mark}{scaled.mean:+,.{decimals}f}{_spread(scaled, decimals)}{unit} against {baseline}"
    word = "less" if found.mean < 0 else "more"
    return f"{abs(scaled.mean):,.{decimals}f}{_spread(scaled, decimals)}{unit} {word} than {baseline}"


def _ratio_text(name: str, found: Interval, bound: str, baseline: str) -> str:
    if math.isnan(found.mean):
        return "–"
    mark = f"{bound} " if bound else ""
    if math.isinf(found.high):
        return f"{mark}{found.mean:.3g} times {baseline} (which may as well be 0)"
    decimals = _decimals(found, most=4)
    return f"{mark}{found.mean:,.{decimals}f}{_spread(found, decimals)} times {baseline}"
