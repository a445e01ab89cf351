"""Raft's elections, one at a time: servers boot together with fresh timers, as if a leader had just gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sim.cluster import Cluster, Machine
from sim.distributions import Distribution
from sim.network.topology import Topology, lan
from sim.protocols import Raft
from sim.protocols.command import NOOP
from sim.protocols.consensus.raft import Entry
from sim.system import Member

__all__ = ["Elected", "ElectionSetup", "elect"]


@dataclass(frozen=True, kw_only=True)
class ElectionSetup:
    """``servers`` of which ``up`` run; ``logs``: how many entries each of those has.

    ``raft``: the system, a class. ``latency``: of a message, one way; ``timeouts``: the shortest and the longest
    election timeout; ``stays``: how long a leader must stay for its election to count; ``limit``: when to give up. All
    in seconds.
    """

    servers: int
    up: int
    latency: Distribution
    timeouts: tuple[float, float]
    logs: tuple[int, ...] = ()
    machine: Machine = field(default_factory=Machine)
    stays: float = 0.0
    raft: type[Raft] = Raft
    limit: float = 30.0


@dataclass(frozen=True)
class Elected:
    """When a leader was elected (seconds after all timers were set; inf: never), and whether the first vote split."""

    at: float
    split: bool


def elect(setup: ElectionSetup, seed: int) -> Elected:
    """One election of figure-2 Raft; the leader that counts is the first that no other follows within ``stays``."""
    system, members, network = _made(setup)
    cluster = Cluster(network, seed)
    for member in members:
        cluster.add(member, place="lan", settings=system, profile=setup.machine)
    hosts = list(cluster.hosts.values())[: setup.up]
    for host, length in zip(hosts, setup.logs or [0] * setup.up, strict=True):
        host.boot()
        node: Any = host.node
        node.log.extend(Entry.of(0, NOOP) for _ in range(length))
        node.reset_election_timer()  # the first server's is immediate otherwise
    leaders: list[tuple[float, int]] = []
    read = 0
    while cluster.env.now < setup.limit:
        events = cluster.recorder.events
        leaders += [(time, detail["term"]) for time, _, event, detail in events[read:] if event == "elected"]
        read = len(events)
        if leaders and cluster.env.now >= leaders[-1][0] + setup.stays:
            return Elected(leaders[-1][0], leaders[0][1] != 1)
        cluster.env.step()
    return Elected(float("inf"), True)


@lru_cache(maxsize=1)
def _made(setup: ElectionSetup) -> tuple[Raft, Sequence[Member], Topology]:
    """What all elections of a set-up share, made once: it takes as long as the election itself."""
    shortest, longest = setup.timeouts
    system = setup.raft(
        nodes=setup.servers, heartbeat=shortest / 2, detection=shortest, timeout_spread=longest / shortest
    )
    return system, system.members(), lan(setup.latency)
