"""Who led when, which elections there were and why, and for how long nobody led: from the events that nodes record.

A member begins to lead with the event ``role`` of a leading role (leader, primary, head), with ``elected``, or with
``lease``; it ends with another ``role``, with ``lease_over``, or with its crash. docs/measures.md defines the measures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from sim.analysis.ability import Abilities, LeaderGroups, abilities
from sim.analysis.outages import EventRow, events_named
from sim.arguments import checked

__all__ = ["LEADING", "Reign", "elections", "leadership_measures", "reigns", "time_without_leader"]

LEADING = frozenset({"leader", "primary", "head"})
"""The roles of a member that leads."""

DAY = 86_400.0

_MARKS = ("role", "elected", "lease", "lease_over", "crash")
_ELECTION = {"time": float, "group": str, "leader": str, "previous": str, "cause": str}
_ON_REQUEST = ("Transfer(", "Leave(", "Drain(", "Reconfigure(")


class Reign(NamedTuple):
    """One time for which a member led its group: from ``start`` to ``end`` (seconds). ``crashed``: a crash ended it."""

    group: str
    node: str
    start: float
    end: float
    crashed: bool


def _begins(row: EventRow) -> bool | None:
    """Whether the node leads after this event; None: the event says nothing of it."""
    if row.event == "role":
        return row.detail.get("role") in LEADING
    return {"elected": True, "lease": True, "lease_over": False, "crash": False}.get(row.event)


@checked
def reigns(events: pd.DataFrame, led: LeaderGroups, *, duration: float) -> list[Reign]:
    """The times for which members led, in order of their start; those that had not ended end at ``duration``.

    A member that records ``elected`` and never a ``role`` does not say when it stops: the next leader of its group ends
    its time.
    """
    group_of = led.group_of()
    telling = dict.fromkeys(row.node for row in events_named(events, ("role", "lease")))
    since: dict[str, float] = {}
    found = []
    for row in events_named(events, _MARKS):
        if row.node not in group_of or row.time >= duration:
            continue
        leads = _begins(row)
        if leads:
            group = group_of[row.node]
            over = [n for n in since if n not in telling and group_of[n] == group and n != row.node]
            found += [Reign(group, node, since.pop(node), row.time, False) for node in over]
            since.setdefault(row.node, row.time)
        elif row.node in since:
            start = since.pop(row.node)
            found.append(Reign(group_of[row.node], row.node, start, row.time, row.event == "crash"))
    found += [Reign(group_of[node], node, start, duration, False) for node, start in since.items()]
    return sorted(found, key=lambda reign: reign.start)


def _tells_leaders(events: pd.DataFrame, led: LeaderGroups) -> bool:
    """Whether any member of the groups says in its events whether it leads."""
    group_of = led.group_of()
    return any(row.node in group_of for row in events_named(events, _MARKS[:3]))


@checked
def elections(events: pd.DataFrame, led: LeaderGroups, *, duration: float) -> pd.DataFrame:
    """Each change of the leader, and why: a member began to lead its group, and was not the first one to do so.

    Columns ``time`` (seconds), ``group``, ``leader``, ``previous`` (the member that had begun to lead last), ``cause``.
    The cause is the last reason for which the member that had begun to lead last could not lead, in the ``grace``
    before the election: ``"crash"``, ``"pause"``, ``"cut"`` (it reached no majority), or ``"start"`` (there had been no
    leader at all). Else it is ``"request"`` if an administrator asked for the change in this time, or ``"false"``.
    """
    each = reigns(events, led, duration=duration)
    return _elections(events, led, each, _able(events, led, each))


def _able(events: pd.DataFrame, led: LeaderGroups, each: Sequence[Reign]) -> Abilities:
    return abilities(events, led, list(dict.fromkeys(reign.node for reign in each)))


def _elections(
    events: pd.DataFrame, led: LeaderGroups, each: Sequence[Reign], able: Abilities
) -> pd.DataFrame:
    asked = _requests(events)
    rows = []
    for group in led.members:
        mine = [reign for reign in each if reign.group == group]
        for number, reign in enumerate(mine[1:], 1):
            cause = _inability(mine[:number], able, reign.start - led.grace, reign.start)
            if not cause and any(abs(time - reign.start) <= led.grace for time in asked):
                cause = "request"
            rows.append((reign.start, group, reign.node, mine[number - 1].node, cause or "false"))
    found = pd.DataFrame(sorted(rows), columns=list(_ELECTION))
    return found.astype(_ELECTION)


def _requests(events: pd.DataFrame) -> list[float]:
    """When administrators' requests that may move a leader had their outcome."""
    return [
        row.time
        for row in events_named(events, ("admin",))
        if str(row.detail.get("request", "")).startswith(_ON_REQUEST)
    ]


def _inability(before: Sequence[Reign], able: Abilities, start: float, end: float) -> str:
    """The last reason in [start, end) for which the member that had begun to lead last could not lead; "": none."""
    cause = "start" if before[0].start > max(start, 0.0) else ""
    for number, reign in enumerate(before):
        until = before[number + 1].start if number + 1 < len(before) else end
        for _, _, state in able.spans(reign.node, max(reign.start, start), min(until, end)):
            cause = state or cause
    last = before[-1]
    if last.crashed and not cause:  # it was up again at once, or long ago
        return "crash"
    return cause


@checked
def time_without_leader(
    events: pd.DataFrame, led: LeaderGroups, *, duration: float, warmup: float = 0.0
) -> float:
    """The seconds in [warmup, duration) in which some group had no leader that could lead (see `ability`).

    The time before the first leader of a group does not count; if it never has a leader, the whole time counts.
    """
    each = reigns(events, led, duration=duration)
    return _without(led, each, _able(events, led, each), warmup, duration)


def _without(
    led: LeaderGroups, each: Sequence[Reign], able: Abilities, warmup: float, duration: float
) -> float:
    gaps: list[tuple[float, float]] = []
    for group in led.members:
        mine = [reign for reign in each if reign.group == group]
        spans = [
            (start, end)
            for reign in mine
            for start, end, state in able.spans(reign.node, reign.start, min(reign.end, duration))
            if not state
        ]
        first = max(warmup, mine[0].start) if mine else warmup
        gaps += _between(sorted(spans), first, duration)
    covered = _between(sorted(gaps), warmup, duration)
    return (duration - warmup) - math.fsum(end - start for start, end in covered)


def _between(spans: Sequence[tuple[float, float]], start: float, end: float) -> list[tuple[float, float]]:
    """The parts of [start, end) that are in none of these spans, which are in order of their start."""
    found = []
    for first, last in spans:
        if first > start:
            found.append((start, first))
        start = max(start, last)
    if start < end:
        found.append((start, end))
    return found


@checked
def leadership_measures(
    events: pd.DataFrame, led: LeaderGroups | None, *, duration: float, warmup: float = 0.0
) -> dict[str, float]:
    """``elections`` in the window, ``false_elections`` a day of the window, ``time_without_leader`` (seconds).

    All are NaN without groups (a system without a leader), and where no member says whether it leads.
    """
    names = ("elections", "false_elections", "time_without_leader")
    if led is None or "detail" not in events.columns or not _tells_leaders(events, led):
        return dict.fromkeys(names, math.nan)
    each = reigns(events, led, duration=duration)
    able = _able(events, led, each)
    found = _elections(events, led, each, able)
    counted = found[found["time"] >= warmup]
    false = int((counted["cause"] == "false").sum())
    gone = _without(led, each, able, warmup, duration)
    return dict(zip(names, (float(len(counted)), false * DAY / (duration - warmup), gone), strict=True))
