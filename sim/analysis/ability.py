"""Which members of a group could lead at which time: those that were up, running, and in touch with a majority.

Worked out from the events ``crash``, ``restart``, ``pause``, ``resume``, ``cut`` and ``heal`` alone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from sim.analysis.outages import EventRow, events_named
from sim.arguments import checked

__all__ = ["Abilities", "LeaderGroups", "abilities"]

_CHANGES = ("crash", "restart", "pause", "resume", "cut", "heal")


@dataclass(frozen=True, slots=True)
class LeaderGroups:
    """The groups of members that each have a leader.

    ``members``: group -> its members, spares included. ``majority``: group -> how many members, the leader included,
    a leader needs. ``spares``: members that are off until they record an event. ``services``: members that decide who
    leads (view services); a leader must reach a majority of them, too. ``grace``: seconds within which a fault may
    still be the cause of an election.
    """

    members: Mapping[str, Sequence[str]]
    majority: Mapping[str, int]
    grace: float
    spares: Sequence[str] = ()
    services: Sequence[str] = ()

    def group_of(self) -> dict[str, str]:
        """Member -> its group."""
        return {name: group for group, names in self.members.items() for name in names}


@dataclass
class Abilities:
    """For each member the times at which its ability changes, and what it is from then on ("": it can lead)."""

    times: dict[str, list[float]] = field(default_factory=dict)
    states: dict[str, list[str]] = field(default_factory=dict)

    def note(self, name: str, time: float, state: str) -> None:
        """From ``time`` on the member is in this state: "" (it can lead), "crash", "pause" or "cut"."""
        states = self.states.setdefault(name, [])
        times = self.times.setdefault(name, [])
        if times and times[-1] == time:
            states[-1] = state
        elif not states or states[-1] != state:
            times.append(time)
            states.append(state)

    def spans(self, name: str, start: float, end: float) -> list[tuple[float, float, str]]:
        """The parts of [start, end) in each of which the member has one state: (start, end, state)."""
        times, states = self.times[name], self.states[name]
        first = bisect_right(times, start) - 1
        found = []
        for i in range(max(first, 0), len(times)):
            until = times[i + 1] if i + 1 < len(times) else math.inf
            a, b = max(times[i], start), min(until, end)
            if a < b:
                found.append((a, b, states[i]))
        return found


class _World:
    """What is down, paused and cut at one time."""

    def __init__(self, led: LeaderGroups) -> None:
        self.led = led
        self.down = dict.fromkeys(led.spares, True)
        self.paused: dict[str, bool] = {}
        self.cuts: Counter[tuple[str, str]] = Counter()
        self.unknown = 0  # cuts of links that were not recorded

    def apply(self, row: EventRow) -> None:
        """Change what the event changes."""
        if row.event in ("crash", "restart"):
            self.down[row.node] = row.event == "crash"
            self.paused[row.node] = False
        elif row.event in ("pause", "resume"):
            self.paused[row.node] = row.event == "pause"
        else:
            self._cut(row, 1 if row.event == "cut" else -1)

    def _cut(self, row: EventRow, by: int) -> None:
        if "links" in row.detail:
            for sources, targets in row.detail["links"]:
                for src in sources:
                    for dst in targets:
                        self.cuts[src, dst] = max(0, self.cuts[src, dst] + by)
        elif by < 0 and not row.detail:
            self.cuts.clear()  # a heal without detail heals every cut
            self.unknown = 0
        else:
            self.unknown = max(0, self.unknown + by)

    def runs(self, name: str) -> bool:
        """Whether a member is up and not paused."""
        return not self.down.get(name, False) and not self.paused.get(name, False)

    def touches(self, name: str, other: str) -> bool:
        """Whether messages pass between two members both ways, and the other one runs."""
        return self.runs(other) and not self.cuts[name, other] and not self.cuts[other, name]

    def state(self, name: str, group: str) -> str:
        """The state of a member; see `Abilities.note`."""
        if self.down.get(name, False):
            return "crash"
        if self.paused.get(name, False):
            return "pause"
        peers = (other for other in self.led.members[group] if other != name)
        near = 1 + sum(self.touches(name, other) for other in peers)
        services = self.led.services
        served = not services or 2 * sum(self.touches(name, one) for one in services) > len(services)
        return "" if served and near >= self.led.majority[group] and not self.unknown else "cut"


@checked
def abilities(events: pd.DataFrame, led: LeaderGroups, names: Sequence[str]) -> Abilities:
    """The abilities of these members of the groups over time.

    A member can lead while it is up, not paused, and in touch with a majority: messages pass both ways between it and
    so many members that run, and so between it and most services. A cut whose links were not recorded counts as one
    that may have separated any two members.
    """
    started = _first_signs(events, led.spares)
    world, found = _World(led), Abilities()
    of = led.group_of()
    group_of = {name: of[name] for name in names}
    for name, group in group_of.items():
        found.note(name, -math.inf, world.state(name, group))
    rows = sorted([*events_named(events, _CHANGES), *started], key=lambda row: row.time)
    for row in rows:
        world.apply(row)
        for name, group in group_of.items():
            found.note(name, row.time, world.state(name, group))
    return found


def _first_signs(events: pd.DataFrame, spares: Sequence[str]) -> list[EventRow]:
    """The start of each spare that has recorded an event, as a restart."""
    if not spares:
        return []
    known = dict.fromkeys(spares)
    mine = events[[name in known for name in events["node"]]]
    first = mine.groupby("node", sort=False)["time"].min()
    return [EventRow(float(time), str(name), "restart", {}) for name, time in first.items()]
