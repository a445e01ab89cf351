"""A scenario in plain sentences: what will be run, what was derived and by which rule, and what is left at its default.

`sim describe` prints them. They are made from the resolved scenario (`sim.lab.resolved`), as runs are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations_with_replacement
from typing import Any

from sim.cluster import Machine, Tracing, share_traced
from sim.lab.labels import describe, value_words, words
from sim.lab.resolved import nested
from sim.lab.scenario import Scenario
from sim.network.topology import Topology
from sim.network.wan import Wan
from sim.system import System
from sim.workload import ClosedLoop, NoLoad, OpenLoop, Trace
from sim.workload.load import Mixed, Workload
from sim.written.commented import defaults_of

__all__ = ["LEFT", "sentences"]

LEFT = "Left at their defaults"
"""How the last paragraph begins."""

_MOST = 12  # names that are listed one by one


def sentences(scenario: Scenario, seed: int | None = None) -> list[str]:
    """What a scenario means, a paragraph each; the last one names what is left at its default.

    ``seed``: the seed of its file; None: the file names none.
    """
    return [
        " ".join(part)
        for part in (
            _system(scenario),
            _leader(scenario),
            _network(scenario.network),
            _timing(scenario),
            _clients(scenario),
            _retry(scenario),
            _faults(scenario),
            _machines(scenario),
            _span(scenario, seed),
            [_defaults(scenario)],
        )
        if part
    ]


# What is run, and where


def _system(scenario: Scenario) -> list[str]:
    found = scenario.resolved
    claim = scenario.system.consistency
    lines = [
        f"The system is {describe(scenario.system)}.",
        f"Its claim: {claim}." if claim else "It claims no consistency.",
    ]
    for role in dict.fromkeys(member.role for member in found.members):
        mine = [member for member in found.members if member.role == role]
        placed = [
            f"{m.name} in {found.places[m.name]}{' (off until it joins)' if m.off else ''}" for m in mine
        ]
        lines.append(f"{_count(len(mine), role)}: {_listed(placed)}.")
    for machine, residents in found.residents.items():
        lines.append(f"Machine {machine} is shared by {_listed(residents)}.")
    return lines


def _leader(scenario: Scenario) -> list[str]:
    first = getattr(scenario.resolved.system, "first_leader", None)
    if not isinstance(first, str):
        return []
    if scenario.leader is not None:
        why = f"leader = {scenario.leader!r} asks for a replica there"
    elif getattr(scenario.system, "leader", None) is not None:
        why = "the system names it"
    else:
        why = "nothing asks for another one, and it is the first replica"
    return [f"The first leader is {first}: {why}."]


def _network(network: Topology) -> list[str]:
    places = list(dict.fromkeys(network.regions))
    lines = [f"The network ({words(type(network).__name__).lower()}) has {_count(len(places), 'place')}."]
    pairs = [(a, b) for a, b in combinations_with_replacement(places, 2) if a != b or len(places) == 1]
    trips = sorted((network.median_rtt(a, b), f"{a} - {b}") for a, b in pairs)
    (least, near), (most, far) = trips[0], trips[-1]
    if len(trips) == 1:
        lines.append(f"The median round trip is {_time(least)} ({near}).")
    else:
        lines.append(f"Median round trips are from {_time(least)} ({near}) to {_time(most)} ({far}).")
    if isinstance(network, Wan):
        lines += [f"Source: {network.note}."] if network.note else []
        if network.recording is not None:
            lines.append("The measured samples are played back at the times at which they were measured.")
    usual = defaults_of(network)
    line = ("loss", "duplicate", "bandwidth", "transport", "burst", "retransmit", "coherence")
    given = [f"{name} {value_words(getattr(network, name))}" for name in line if name not in usual]
    return [*lines, *([f"All links have {', '.join(given)}."] if given else [])]


# Times


def _timing(scenario: Scenario) -> list[str]:
    given, found = _inmost(scenario.system), _inmost(scenario.resolved.system)
    heartbeat, detection = found.heartbeat_interval, found.detection_timeout
    lines = []
    if given.heartbeat is None:
        rule = "max(50 ms, the largest median round trip between members)"
        lines.append(f"A heartbeat every {_time(heartbeat)}: derived, {rule}.")
    else:
        lines.append(f"A heartbeat every {_time(heartbeat)}, as the system says.")
    if given.detection is None:
        lines.append(f"A node is suspected after {_time(detection)} of silence: derived, 10 heartbeats.")
    else:
        lines.append(f"A node is suspected after {_time(detection)} of silence, as the system says.")
    return lines


def _inmost(system: System) -> System:
    while inner := [value for _, value in nested(system)]:
        system = inner[0]
    return system


def _retry(scenario: Scenario) -> list[str]:
    retry = scenario.resolved.retry
    if isinstance(scenario.workload, NoLoad):
        return []
    if scenario.retry.timeout is None:
        why = "derived: max(1 s, 4 times the largest median round trip between members)"
    else:
        why = "as retry.timeout says"
    waits = f"after a random wait of up to {_time(retry.backoff)}, doubled each time up to {_time(retry.backoff_max)}"
    ends = "never gives up" if retry.deadline is None else f"gives up after {_time(retry.deadline)}"
    return [
        f"A client that gets no answer within {_time(scenario.resolved.client_timeout)} ({why}) asks again {waits}.",
        f"It {ends}.",
    ]


def _traced(trace: Tracing) -> str:
    if trace == "full":
        return "each step"
    share = share_traced(trace)
    return "each message" if share == 1.0 else f"a share of {share:g} of the messages"


def _span(scenario: Scenario, seed: int | None) -> list[str]:
    if scenario.warmup == "auto":
        cut = "Measures leave out the warm-up that MSER-5 finds in each run."
    elif scenario.warmup:
        cut = f"Measures leave out the first {_time(scenario.warmup)}."
    else:
        cut = "Measures count from the start."
    lines = [f"A run takes {_time(scenario.duration)} of simulated time.", cut]
    lines += ["Invariants are checked after every event."] if scenario.check else []
    if scenario.trace:
        lines.append(f"The trace holds {_traced(scenario.trace)}.")
    if scenario.sample_every is not None:
        lines.append(f"Gauges are sampled every {_time(scenario.sample_every)}.")
    if scenario.own_measures:
        own = [f"{one.name} ({one.unit})" if one.unit else one.name for one in scenario.own_measures]
        lines.append(f"Further measures: {_listed(own)}.")
    named = "`sim run` takes seed 1, or --seed" if seed is None else f"The seed is {seed}, as the file says"
    return [*lines, f"{named}; the same seed gives the same run, bit for bit."]


# The load and what goes wrong


def _clients(scenario: Scenario) -> list[str]:
    load = scenario.load
    spots = Counter(load.spots(scenario.network.regions))
    if not spots:
        return ["There are no clients."]
    placed = _listed([f"{count} in {where}" for where, count in spots.items()])
    lines = [f"{_count(sum(spots.values()), 'client')}: {placed}.", *_issued(load, scenario.duration)]
    if isinstance(load, Mixed):
        mix = load.resolved_mix()
        total = sum(weight for _, weight in mix.weights)
        shares = _listed([f"{weight / total:.3g} of {kind}" for kind, weight in mix.weights])
        lines.append(f"Shares of the operations: {shares}; keys: {value_words(mix.keys)}.")
    return lines


def _issued(load: Workload, duration: float) -> Iterator[str]:
    if isinstance(load, OpenLoop):
        due = load.rate * (duration - load.start)
        count = due if load.operations is None else min(due, load.operations)
        yield (
            f"Together they issue {load.rate:g} operations per second ({load.arrivals} arrivals), whether or not "
            f"earlier ones are answered: about {count:,.0f} in a run."
        )
    elif isinstance(load, ClosedLoop):
        yield (
            f"Each issues an operation, waits for the reply, thinks ({value_words(load.think)} s), and issues "
            "the next. A client that waits asks nothing, so percentiles hardly show an outage."
        )
    elif isinstance(load, Trace):
        source = load.path or "the arrivals that are given"
        yield (
            f"They play {_count(len(load.rows), 'row')} of {source}, from {load.begins:.10g} s of the trace on; the "
            f"trace takes {load.scale:g} times as long as it did."
        )
        yield from ([f"Source: {load.note}."] if load.note else [])
    else:
        yield f"The load is {value_words(load)}."


def _faults(scenario: Scenario) -> list[str]:
    if not scenario.faults:
        return ["Nothing goes wrong."]
    ordered = sorted(scenario.faults, key=lambda fault: fault.begins)
    return [f"From {_time(fault.begins)} on: {value_words(fault)}." for fault in ordered]


def _machines(scenario: Scenario) -> list[str]:
    found = scenario.resolved.machines
    lines = []
    for machine in dict.fromkeys(found.values()):
        mine = [name for name, other in found.items() if other == machine]
        who = (
            "Every member runs"
            if len(mine) == len(found)
            else f"{_listed(mine)} {'run' if mine[1:] else 'runs'}"
        )
        lines.append(f"{who} on {'the default machine' if machine == Machine() else value_words(machine)}.")
    free = scenario.resolved.free_of_charge
    if "cores" in free:
        lines.append("Messages cost no core time, so that no load saturates a member.")
    if "disk" in free:
        lines.append("What is written is durable at once.")
    return lines


# What is left


def _defaults(scenario: Scenario) -> str:
    parts: list[tuple[str, Any]] = [
        ("the scenario", scenario),
        (f"the system ({type(scenario.system).__name__})", scenario.system),
        (f"the network ({type(scenario.network).__name__})", scenario.network),
        (f"the workload ({type(scenario.workload).__name__})", scenario.workload),
        *((f"fault {i} ({type(fault).__name__})", fault) for i, fault in enumerate(scenario.faults, 1)),
        ("clients' retry", scenario.retry),
    ]
    lines = [f"{what}: {', '.join(usual)}" for what, part in parts if (usual := defaults_of(part))]
    return f"{LEFT}: {'; '.join(lines)}."


# Words


def _listed(names: Iterable[str]) -> str:
    found: Sequence[str] = list(names)
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return ", ".join([*found[:_MOST], *more])


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if 0 < seconds < 1 else f"{seconds:.4g} s"
