"""The outcome of a reproduction: identical, consistent or different, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sim.display import Displayed
from sim.lab.reproduce.record import FigureRecord, GroupRecord

__all__ = ["Reproduced", "judged"]

_ROUNDING = 1e-9  # of a mean that was taken in another order

Status = Literal["identical", "consistent", "different"]


@dataclass(frozen=True)
class Reproduced(Displayed):
    """Whether the repeated runs of a figure gave the same result.

    ``identical``: the runs are the same, bit for bit, and so are the numbers. ``consistent``: versions or processor
    differ, the runs differ, and every measure is within the stated interval. ``different``: neither of these;
    ``reason`` names the run and the measure.
    """

    name: str
    status: Status
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.status}" + (f" ({self.reason})" if self.reason else "")


def judged(name: str, old: FigureRecord, new: FigureRecord) -> Reproduced:
    """Compare what was stated with what came of running it again."""
    others = _others(old.versions, new.versions)
    if len(old.groups) != len(new.groups):
        return Reproduced(
            name, "different", f"it states {len(old.groups)} groups of runs, and there are {len(new.groups)}"
        )
    answers = [_of_group(mine, its, bool(others)) for mine, its in zip(old.groups, new.groups, strict=True)]
    for status in ("different", "consistent"):
        reasons = [reason for found, reason in answers if found == status]
        if reasons:
            more = f"; and {len(reasons) - 1} more" if len(reasons) > 1 else ""
            return Reproduced(name, status, f"{reasons[0]}{more}{f'; {others}' if others else ''}")
    return Reproduced(name, "identical", f"though {others}" if others else "")


def _others(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    changed = [
        f"{key} {old.get(key, 'unknown')}, now {value}" for key, value in new.items() if old.get(key) != value
    ]
    return f"made by {', '.join(changed)}" if changed else ""


def _of_group(old: GroupRecord, new: GroupRecord, others: bool) -> tuple[Status, str]:
    if (old.label, old.seeds, old.storm) != (new.label, new.seeds, new.storm) or dict(old.scenario) != dict(
        new.scenario
    ):
        return "different", f"{old.label}: another scenario, or other seeds, than stated"
    changed = [seed for seed, a, b in zip(old.seeds, old.digests, new.digests, strict=True) if a != b]
    moved = _outside(old, new, exactly=not changed)
    if not changed:
        return ("different", f"{old.label}: {moved}") if moved else ("identical", "")
    run = f"{old.label}, seed {changed[0]}" + (f" and {len(changed) - 1} more" if len(changed) > 1 else "")
    if moved:
        return "different", f"{run}: {moved}"
    if not others:
        return "different", f"{run}: another run, though every measure is within its interval"
    return "consistent", f"{run}: another run, every measure within the interval stated"


def _outside(old: GroupRecord, new: GroupRecord, *, exactly: bool) -> str:
    """The measure that is furthest from what was stated, in words; nothing where all are as stated.

    ``exactly``: the mean must be the one stated; else it must lie in the interval, which one seed does not have.
    """
    names = dict.fromkeys((*old.stated, *new.stated))
    nothing = (math.nan, math.nan, math.nan)
    worst, told = 0.0, ""
    for name in names:
        mine, its = old.stated.get(name, nothing), new.stated.get(name, nothing)
        pairs = zip(mine, its, strict=True) if exactly else [(mine[0], its[0])]
        far = max(_distance(a, b) for a, b in pairs)
        within = not exactly and mine[1] <= its[0] <= mine[2]
        if far > _ROUNDING and not within and far > worst:
            worst = far
            low, high = mine[1:]
            interval = "" if math.isnan(low) else f" [{low:.6g}, {high:.6g}]"
            told = f"{name} was stated as {mine[0]:.6g}{interval}, and is {its[0]:.6g}"
            if exactly and _distance(mine[0], its[0]) <= _ROUNDING:
                told = f"the interval of {name} was stated as{interval}, and is [{its[1]:.6g}, {its[2]:.6g}]"
    return told


def _distance(one: float, other: float) -> float:
    """How far two numbers are from each other, relative to the larger; infinite where only one of them is missing."""
    if math.isnan(one) or math.isnan(other):
        return 0.0 if math.isnan(one) and math.isnan(other) else math.inf
    return abs(one - other) / max(abs(one), abs(other)) if one != other else 0.0
