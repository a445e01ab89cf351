"""A scenario with all derived values filled in: one frozen value, made once for each scenario.

Simulations, comparisons and reports use it; none of them derives a time, a place or a machine by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sim.cluster import Machine
from sim.network.topology import Topology
from sim.protocols.client import Retry
from sim.system import Member, System, Timing

__all__ = ["Resolved", "nested", "resolve"]

_LEAST_HEARTBEAT = 0.05
_LEAST_TIMEOUT = 1.0


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The places and machines of the members, and all times, of a scenario. See `Scenario.resolved`.

    Attributes
    ----------
    system:
        The system with its failure-detection times and its first leader filled in.
    members:
        The members of that system, in the order in which they are placed and started.
    places:
        Member -> its place in the network.
    machines:
        Member -> the machine on which it runs.
    residents:
        The machines that members name (`Member.machine`) -> the members that run there.
    contacts:
        The members to which clients may send requests.
    timing:
        The failure-detection times derived from the network, also if the system was given others.
    retry:
        How clients retry. The timeout is max(1 s, 4 x the largest median round trip between members) unless given.
    """

    system: System
    members: tuple[Member, ...]
    places: Mapping[str, str]
    machines: Mapping[str, Machine]
    residents: Mapping[str, tuple[str, ...]]
    contacts: tuple[str, ...]
    timing: Timing
    retry: Retry

    @property
    def client_timeout(self) -> float:
        """Seconds without an answer after which a client sends its request again."""
        assert self.retry.timeout is not None
        return self.retry.timeout

    @property
    def detection(self) -> float:
        """Seconds of silence after which a replica is suspected; for a nested system, the value of the inner system."""
        inner = self.system
        while behind := [value for _, value in nested(inner)]:
            inner = behind[0]
        return inner.detection_timeout

    @property
    def size(self) -> int:
        """The number of replicas at the start, without spares."""
        return sum(member.role == "replica" and not member.off for member in self.members)

    @property
    def free_of_charge(self) -> tuple[str, ...]:
        """The resources that cost no time on the machines of all members: ``"cores"``, ``"disk"``, both or none."""
        return tuple(
            what
            for what in ("cores", "disk")
            if all(what in machine.free_of_charge for machine in self.machines.values())
        )

    @property
    def derived(self) -> dict[str, Any]:
        """Times (seconds) and places, for printing with results."""
        return {
            "heartbeat": self.system.heartbeat,
            "detection": self.system.detection,
            "client_timeout": self.client_timeout,
            "places": dict(self.places),
        }


def resolve(
    system: System,
    network: Topology,
    machines: Machine | Mapping[str, Machine],
    leader: str | None,
    retry: Retry,
) -> Resolved:
    """Derive all values from the fields of a scenario. Raises ValueError for an impossible place or time."""
    members = system.members()
    places = _places(members, network)
    farthest = _largest_rtt(places, network)
    timing = Timing.of(max(_LEAST_HEARTBEAT, farthest))
    system = system.with_timing(timing)
    if leader is not None:
        system = system.with_leader(network.resolve(leader), places)
    members = system.members()  # their settings may hold the times
    if retry.timeout is None:
        retry = dataclasses.replace(retry, timeout=max(_LEAST_TIMEOUT, 4 * farthest))
    return Resolved(
        system=system,
        members=members,
        places=MappingProxyType(places),
        machines=MappingProxyType({member.name: _machine_of(member, machines) for member in members}),
        residents=MappingProxyType(_residents(members)),
        contacts=system.contacts(),
        timing=timing,
        retry=retry,
    )


def nested(system: System) -> Iterator[tuple[str, System]]:
    """The systems in the fields of a system, as (field name, system)."""
    for f in dataclasses.fields(system):
        value = getattr(system, f.name)
        if isinstance(value, System):
            yield f.name, value


def _places(members: Sequence[Member], network: Topology) -> dict[str, str]:
    places: dict[str, str] = {}
    machines: dict[str | None, str] = {}
    index = 0
    for member in members:
        if member.place is not None:
            places[member.name] = network.resolve(member.place)
        elif member.machine in machines:
            places[member.name] = machines[member.machine]
        elif member.colocated_with is None:
            places[member.name] = network.place(index)
            index += 1
        if member.machine is not None and member.name in places:
            machines.setdefault(member.machine, places[member.name])
    for member in members:
        if member.colocated_with is not None and member.place is None:
            if member.colocated_with not in places:
                raise ValueError(
                    f"{member.name} is to stand with {member.colocated_with!r}, which is no member with a place"
                )
            places[member.name] = places[member.colocated_with]
    return {member.name: places[member.name] for member in members}


def _largest_rtt(places: Mapping[str, str], network: Topology) -> float:
    """The largest median round trip (seconds) between members."""
    distinct = list(dict.fromkeys(places.values()))
    return max(network.median_rtt(a, b) for a in distinct for b in distinct)


def _machine_of(member: Member, machines: Machine | Mapping[str, Machine]) -> Machine:
    if isinstance(machines, Machine):
        return machines
    named = machines.get(member.name) or machines.get(member.machine or "*")
    return named or machines.get("*") or Machine()


def _residents(members: Sequence[Member]) -> dict[str, tuple[str, ...]]:
    residents: dict[str, tuple[str, ...]] = {}
    for member in members:
        if member.machine is not None:
            residents[member.machine] = (*residents.get(member.machine, ()), member.name)
    return residents
