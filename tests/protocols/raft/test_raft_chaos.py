"""Raft in chaos, with every extension alone and with many together; members come and go, leaders hand over."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from sim.faults.fault import Fault, Story, World
from sim.kernel import Stream
from sim.lab import chaos, chaos_scenario
from sim.protocols import Raft
from sim.protocols.admin import Admin, AdminSettings, Join, Leave, Reconfigure, Transfer
from sim.system import Member

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

    def play(self, world: World, stream: Stream) -> Story:
        cluster: Any = world.cluster  # type: ignore[attr-defined]
        member = Member("admin", Admin, group="admin", role="client")
        host = cluster.add(member, place="lan", settings=AdminSettings(self.names))
        host.boot()
        for name in self.names:
            world.restart(name)  # spares are off until somebody turns them on
        while world.env.now < self.end:
            yield world.env.timeout(stream.exponential(self.every))
            if not host.node.busy:
                host.node.ask(self.request(stream))

    def request(self, stream: Stream) -> Any:
        what = stream.below(5)
        if what == 0:
            return Transfer(stream.choice((*self.names, None)))
        if what == 1:
            return Reconfigure(tuple(stream.sample(self.names, 3)))
        if what == 2:
            return Leave(stream.choice(self.names))
        return Join(stream.choice(self.names), voter=what == 3)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_safe_in_chaos_and_live_after_it(name: str, seed: int) -> None:
    run = chaos(Raft(nodes=3 + 2 * (seed % 2), **OPTIONS[name]), seed)
    assert run.violation is None, run.violation
    assert run.acknowledged_lost == 0


@pytest.mark.parametrize("how", ["single", "joint"])
@pytest.mark.parametrize("rest", [{}, EVERYTHING, {**EVERYTHING, "reads": "lease"}], ids=["", "all", "lease"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_safe_while_members_come_and_go(how: Any, rest: dict[str, Any], seed: int) -> None:
    system = Raft(nodes=3, spares=2, membership=how, **{**rest, "transfer": True})
    names = tuple(member.name for member in system.members())
    storm = chaos_scenario(system, seed, extra_faults=[Churn(names)])
    run = chaos(system, seed, scenario=dataclasses.replace(storm))
    assert run.violation is None, run.violation
    assert run.acknowledged_lost == 0
