"""The quiet form of a recorded run: no random network, no random disk, no wrong clock; only what is listed.

The form with the fates of all messages is the same run. The form with none is the calmest; between the two the shrinker
looks for the smallest list that still shows what broke.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isinf, isnan
from typing import TYPE_CHECKING

from sim.cluster import Clock, Machine
from sim.distributions import Constant, Distribution
from sim.faults.strike import Act, Strike
from sim.lab.fuzz.watch import WatchedNetwork
from sim.network.fates import Fate, Quiet

if TYPE_CHECKING:
    from sim.lab.fuzz.recording import RecordedSimulation
    from sim.lab.scenario import Scenario

__all__ = ["calm_machines", "fates_of", "quiet", "stalls_of"]


def quiet(scenario: Scenario, fates: tuple[Fate, ...] = ()) -> Scenario:
    """The scenario with the quiet form of its network, and these fates."""
    network = scenario.network
    inner = network.network if isinstance(network, Quiet) else network
    return replace(scenario, network=Quiet(inner, fates=fates))


def fates_of(simulation: RecordedSimulation, *, slow: float = 0.0) -> tuple[Fate, ...]:
    """The fates of the messages that were sent in the storm of a run.

    ``slow``: only those that were lost by chance, copied, or took more than ``slow`` times the median of their link;
    0: all. Raises ValueError for a run that did not keep its messages.
    """
    network = simulation.cluster.network
    sent = network.sent if isinstance(network, WatchedNetwork) else None
    if sent is None:
        raise ValueError("the run did not keep its messages: make it with messages=True")
    copies: dict[tuple[str, str, str, int], list[float]] = {}
    for src, dst, kind, nth, after in sent[: simulation.sent_in_storm]:
        if not isnan(after):
            copies.setdefault((src, dst, kind, nth), []).append(after)
    medians: dict[Distribution, float] = {}
    found = []
    for (src, dst, kind, nth), (first, *others) in copies.items():
        latency = network.links[src, dst].spec.latency
        if latency not in medians:
            medians[latency] = latency.median()
        again = others[0] if others else None
        usual = slow > 0.0 and first <= slow * medians[latency]
        if isinf(first):
            found.append(Fate(src, dst, kind, nth, lost=True, again=again))
        elif not usual or again is not None:
            found.append(Fate(src, dst, kind, nth, after=None if usual else first, again=again))
    return tuple(found)


def stalls_of(simulation: RecordedSimulation, *, slow: float) -> tuple[Strike, ...]:
    """The syncs of a run that took more than ``slow`` times the median of their disk, as stalls of the disk."""
    medians = {name: machine.disk.latency.median() for name, machine in simulation.resolved.machines.items()}
    return tuple(
        Strike(_stall(node, seconds), at=begin)
        for begin, node, seconds in simulation.syncs
        if node in medians and seconds > slow * medians[node]
    )


def _stall(node: str, seconds: float) -> tuple[Act, ...]:
    return (
        Act("record", (node, "disk stalled", {})),
        Act("stall_disk", (node, True)),
        Act("stall_disk", (node, False), after=seconds),
        Act("record", (node, "disk well", {}), after=seconds),
    )


def calm_machines(scenario: Scenario) -> Scenario:
    """The scenario with disks that always take their median time, exact clocks, and cores that cost nothing."""
    machines = scenario.machines
    if isinstance(machines, Machine):
        return replace(scenario, machines=_calm_machine(machines))
    calm: Mapping[str, Machine] = {name: _calm_machine(machine) for name, machine in machines.items()}
    return replace(scenario, machines=calm)


def _calm_machine(machine: Machine) -> Machine:
    disk = replace(machine.disk, fsync=Constant(machine.disk.latency.median()))
    return replace(machine, per_message=0.0, per_send=0.0, disk=disk, clock=Clock())
