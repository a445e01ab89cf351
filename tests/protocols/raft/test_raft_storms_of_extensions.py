"""Raft in storms, with every extension alone and with many together; members come and go, leaders hand over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from sim.faults.fault import Fault, Play, World
from sim.kernel import Stream
from sim.protocols import Raft, ShardedRaft
from sim.protocols.admin import Admin, AdminSettings, Join, Leave, Reconfigure, Transfer
from sim.system import Member
from sim.testing import survive
from tests.budget import storms

BOUND = 10.0
"""Seconds after a storm within which all clients must have their answers: ten of the longest election timeouts."""

EVERYTHING = {
    "pre_vote": True,
    "check_quorum": True,
    "fast_backtracking": True,
    "snapshot_every": 8,
    "transfer": True,
    "batch": 3,
    "batch_wait": 0.002,
    "pipeline": 3,
}

OPTIONS: dict[str, dict[str, Any]] = {
    "pre_vote": {"pre_vote": True},
    "check_quorum": {"check_quorum": True},
    "backtracking": {"fast_backtracking": True},
    "snapshots": {"snapshot_every": 5},
    "pipeline": {"pipeline": 2},
    "batches": {"batch": 4, "batch_wait": 0.005},
    "read_index": {"reads": "index"},
    "lease": {"reads": "lease"},
    "follower_reads": {"reads": "follower"},
    "everything": EVERYTHING,
    "everything_lease": {**EVERYTHING, "reads": "lease", "clock_drift": 0.01},
    "everything_follower": {**EVERYTHING, "reads": "follower"},
}


@dataclass(frozen=True)
class Churn(Fault):
    """An administrator who changes members, and moves leadership, at random until ``end`` (seconds)."""

    names: tuple[str, ...]
    end: float = 8.0
    every: float = 0.4

    def play(self, world: World, stream: Stream) -> Play:
        cluster: Any = world.cluster  # type: ignore[attr-defined]
        member = Member("admin", Admin, group="admin", role="client")
        host = cluster.add(member, place="lan", settings=AdminSettings(lambda request: self.names))
        host.boot()
        for name in self.names:
            world.restart(name)  # spares are off until somebody turns them on
        while world.env.now < self.end:
            yield world.env.timeout(stream.exponential(self.every))
            if not host.node.busy:
                host.node.ask(self.request(stream))

    def request(self, stream: Stream) -> Any:
        what = stream.below(6)
        if what == 0:
            return Transfer(stream.choice((*self.names, None)))
        if what == 1:
            return Reconfigure(tuple(stream.sample(self.names, 3)))
        if what == 2:
            return Leave(stream.choice(self.names))
        return Join(stream.choice(self.names), voter=what < 5)


def with_options(name: str, seed: int) -> Raft:
    return Raft(nodes=3 + 2 * (seed % 2), **OPTIONS[name])


@storms(3, 1.5, longer=5.0, seeds=range(50, 1050))
@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_is_safe_in_storms_and_goes_on_after_them(name: str, seeds: range, length: float) -> None:
    for seed in seeds:
        survive(with_options(name, seed), seed, length, bound=BOUND)


REST = ({}, EVERYTHING, {**EVERYTHING, "reads": "lease"}, {**EVERYTHING, "reads": "follower"})


def churned(how: Any, seed: int, length: float) -> None:
    """The other options change with the seed."""
    system = Raft(nodes=3, spares=2, membership=how, **{**REST[seed % len(REST)], "transfer": True})
    names = tuple(member.name for member in system.members())
    survive(system, seed, length, faults=[Churn(names, end=length, every=length / 20)], bound=BOUND)


@storms(6, 2.0, seeds=range(50, 1050))
@pytest.mark.parametrize("how", ["single", "joint"])
def test_it_is_safe_in_storms_while_members_come_and_go(how: Any, seeds: range, length: float) -> None:
    for seed in seeds:
        churned(how, seed, length)


def sharded(seed: int) -> ShardedRaft:
    group = Raft(nodes=3, snapshot_every=8, reads=("log", "follower")[seed % 2])  # type: ignore[arg-type]
    return ShardedRaft(group=group, groups=2)


@storms(5, 1.5, longer=5.0, seeds=range(50, 1050))
def test_many_groups_are_safe_in_storms_and_go_on_after_them(seeds: range, length: float) -> None:
    for seed in seeds:
        survive(sharded(seed), seed, length, bound=BOUND)


@pytest.mark.parametrize("clients", [1, 5, 15])
def test_many_clients_and_few_keys_in_storms(clients: int) -> None:
    """MIT 6.5840 lab 4: linearizable with unreliable links, partitions, restarts and snapshots at once."""
    for seed in range(300, 302):
        system = Raft(nodes=5, snapshot_every=5, fast_backtracking=True)
        survive(system, seed, 2.0, bound=BOUND, clients=clients, keys=2)
