"""The steps of shrinking: faults, fates, operations, clients, keys, nodes, options, times."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sim.cluster import Machine
from sim.faults.strike import Act, Strike
from sim.faults.when import When
from sim.kernel import Streams
from sim.lab.fuzz.quieting import calm_machines
from sim.lab.fuzz.shrinking.search import Search
from sim.network.fates import Quiet
from sim.protocols.client import Retry
from sim.system import default_of
from sim.workload.load import ClientPlan
from sim.workload.script import ScriptedCall

if TYPE_CHECKING:
    from sim.lab.scenario import Scenario

__all__ = ["PASSES", "fewer_strikes_elsewhere"]

_SEEDS = 6
_LATE = 0.5  # seconds after the last of them
_EARLY = 0.2  # seconds before the first fault or operation: time for a leader to be elected


def fewer_strikes(search: Search) -> None:
    """Leave out faults; each form of their times is tried, the absolute one and that of triggers."""
    search.reduce(lambda: search.strikes, search.with_strikes)
    for number in reversed(range(len(search.strikes))):
        strikes, triggers = search.strikes, search.triggers
        if number >= len(strikes) or len(triggers) != len(strikes):
            continue
        triggered = [
            replace(strike, at=near[0]) if near else strike
            for strike, near in zip(strikes, triggers, strict=True)
        ]
        if any(near for near in triggers):
            search.attempt(search.with_strikes(triggered[:number] + triggered[number + 1 :]))


def fewer_strikes_elsewhere(search: Search) -> None:
    """Leave out faults under other seeds: nodes draw, too, and without a fault they would have to draw otherwise."""
    for number in reversed(range(len(search.strikes))):
        strikes = search.strikes
        if number < len(strikes):
            search.attempt_under(search.with_strikes(strikes[:number] + strikes[number + 1 :]), _SEEDS)


def fewer_acts(search: Search) -> None:
    """Leave out what a fault does to some of its nodes; and let what it does last to the end."""
    for number in reversed(range(len(search.strikes))):
        members = dict.fromkeys(act.node for act in search.strikes[number].acts if act.node is not None)
        for member in members if len(members) > 1 else ():
            _with_acts(search, number, partial(_is_not_on, member))
        _with_acts(search, number, lambda act: act.after == 0.0)


def _is_not_on(node: str, act: Act) -> bool:
    return act.node != node


def _with_acts(search: Search, number: int, wanted: Callable[[Act], bool]) -> None:
    strikes = list(search.strikes)
    if number < len(strikes):
        kept = tuple(act for act in strikes[number].acts if wanted(act))
        if kept and len(kept) < len(strikes[number].acts):
            first = kept[0].after
            begins = strikes[number].at
            acts = tuple(replace(act, after=act.after - first) for act in kept)
            at = begins + first if isinstance(begins, float) else begins
            strikes[number] = replace(strikes[number], acts=acts, at=at)
            search.attempt(search.with_strikes(strikes))


def fewer_fates(search: Search) -> None:
    """Let messages be as all others."""
    search.reduce(lambda: search.fates, search.with_fates)


def fewer_clients(search: Search) -> None:
    """Leave out clients, with all their operations."""
    plans = search.script.clients
    if plans is None:
        plans = tuple(dict.fromkeys(call.client for call in search.calls))
        if not plans or not search.attempt(_only_clients(search, plans)):
            return
    search.reduce(lambda: search.script.clients or (), lambda names: _only_clients(search, names))


def _only_clients(search: Search, names: Sequence[str]) -> Callable[[Scenario], Scenario]:
    calls = tuple(call for call in search.calls if call.client in names)
    script = replace(search.script, clients=tuple(names), calls=calls)
    known = search.script.clients or tuple(plan.name for plan in _plans(search))
    strikes = _all_without(search.strikes_without(calls), {name for name in known if name not in names})
    return lambda scenario: replace(scenario, workload=script, faults=strikes)


def _plans(search: Search) -> Sequence[ClientPlan]:
    return search.script.of.plan(search.scenario.network.regions, Streams(0))


def _all_without(strikes: Iterable[Strike], gone: Collection[str]) -> tuple[Strike, ...]:
    """The faults without what they do to nodes that are gone."""
    left = (_without(strike, gone) for strike in strikes)
    return tuple(strike for strike in left if strike is not None)


def fewer_calls(search: Search) -> None:
    """Leave out operations."""
    search.reduce(lambda: search.calls, search.with_calls)


def fewer_keys(search: Search) -> None:
    """Let all operations be on one key; else merge keys two by two."""
    keys = tuple(dict.fromkeys(call.key for call in search.calls))
    if len(keys) < 2 or search.attempt(
        search.with_calls(_renamed(search.calls, dict.fromkeys(keys, keys[0])))
    ):
        return
    for key in keys[1:]:
        search.attempt(search.with_calls(_renamed(search.calls, {key: keys[0]})))


def _renamed(calls: Sequence[ScriptedCall], names: dict[str, str]) -> list[ScriptedCall]:
    return [replace(call, key=names.get(call.key, call.key)) for call in calls]


def fewer_nodes(search: Search) -> None:
    """Let the system have fewer members. Faults of members that are gone are left out."""
    while True:
        nodes = getattr(search.scenario.system, "nodes", None)
        if not isinstance(nodes, int) or not any(
            search.attempt(_of_size(search, size)) for size in range(max(1, nodes - 2), nodes)
        ):
            return


def _of_size(search: Search, nodes: int) -> Callable[[Scenario], Scenario]:
    def change(scenario: Scenario) -> Scenario:
        system = scenario.system.changed(nodes=nodes)
        known = {member.name for member in system.members()}
        gone = {member.name for member in scenario.system.members()} - known
        kept: dict[str, object] = {"faults": _all_without(search.strikes, gone)}
        if not isinstance(scenario.machines, Machine):
            kept["machines"] = {n: m for n, m in scenario.machines.items() if n not in gone}
        if isinstance(scenario.network, Quiet):
            fates = [fate for fate in scenario.network.fates if not {fate.src, fate.dst} & gone]
            kept["network"] = replace(scenario.network, fates=tuple(fates))
        return replace(scenario, system=system, **kept)  # type: ignore[arg-type]

    return change


def _without(strike: Strike, gone: Collection[str]) -> Strike | None:
    acts = tuple(act for act in strike.acts if act.node not in gone)
    return replace(strike, acts=acts) if acts and acts[0].after == 0.0 else None


def fewer_options(search: Search) -> None:
    """Let settings have their defaults: of the machines, of the system, of how clients retry."""
    search.attempt(lambda scenario: replace(scenario, machines=Machine()))
    search.attempt(calm_machines)
    for f in dataclasses.fields(search.scenario.system):
        if f.init and f.name != "nodes":
            value, usual = getattr(search.scenario.system, f.name), default_of(f)
            if usual is not dataclasses.MISSING and value != usual:
                search.attempt(_with_option(f.name, usual))
    if search.scenario.retry != Retry():
        search.attempt(lambda scenario: replace(scenario, retry=replace(scenario.retry, deadline=None)))


def _with_option(name: str, value: object) -> Callable[[Scenario], Scenario]:
    return lambda scenario: replace(scenario, system=scenario.system.changed(**{name: value}))


def earlier(search: Search) -> None:
    """Let everything begin sooner: what happens before the first fault or operation is of no interest."""
    times = [*(c.at for c in search.calls), *(s.at for s in search.strikes if isinstance(s.at, float))]
    if times and min(times) > _EARLY:
        search.attempt_under(_sooner(search, round(min(times) - _EARLY, 1)), _SEEDS)


def _sooner(search: Search, by: float) -> Callable[[Scenario], Scenario]:
    def moved(at: When) -> When:
        return max(0.0, at - by) if isinstance(at, float) else at

    strikes = tuple(replace(strike, at=moved(strike.at)) for strike in search.strikes)
    calls = tuple(replace(call, at=max(0.0, call.at - by)) for call in search.calls)
    script = replace(search.script, calls=calls)
    return lambda scenario: replace(scenario, faults=strikes, workload=script)


def shorter(search: Search) -> None:
    """End the storm soon after the last fault and the last operation, if what breaks shows itself after the storm."""
    times = [*(c.at for c in search.calls), *(s.at for s in search.strikes if isinstance(s.at, float))]
    end = round(max(times, default=0.0) + _LATE, 1)
    if not search.in_storm and end < search.scenario.duration:
        search.attempt_under(lambda scenario: replace(scenario, duration=end), _SEEDS)


def rounder_times(search: Search) -> None:
    """Write times with few digits: all of them, else each."""
    for digits in (2, 3):
        if search.attempt(_rounded(search, digits)):
            break
    for number in range(len(search.strikes)):
        for digits in (1, 2, 3):
            strikes = list(search.strikes)
            if number >= len(strikes):
                break
            rounded = _round_strike(strikes[number], digits)
            if rounded == strikes[number]:
                break
            strikes[number] = rounded
            if search.attempt(search.with_strikes(strikes)):
                break


def _rounded(search: Search, digits: int) -> Callable[[Scenario], Scenario]:
    strikes = [_round_strike(strike, digits) for strike in search.strikes]
    calls = tuple(replace(call, at=round(call.at, digits)) for call in search.calls)
    script = replace(search.script, calls=calls)
    return lambda scenario: replace(scenario, faults=tuple(strikes), workload=script)


def _round_strike(strike: Strike, digits: int) -> Strike:
    acts = tuple(replace(act, after=round(act.after, digits)) for act in strike.acts)
    if isinstance(strike.at, float):
        return replace(strike, at=round(strike.at, digits), acts=acts)
    at = replace(strike.at, delay=round(strike.at.delay, digits + 1))
    return replace(strike, at=at, acts=acts)


PASSES: tuple[Callable[[Search], None], ...] = (
    fewer_strikes,
    fewer_clients,
    fewer_calls,
    fewer_fates,
    fewer_keys,
    fewer_nodes,
    fewer_options,
    fewer_acts,
    earlier,
    shorter,
    rounder_times,
)
"""In this order, again and again while they find something."""
