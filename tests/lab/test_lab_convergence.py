"""Eventual consistency, judged on the replicas: after the run faults end, writing stops, and all must agree in time."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Scenario, compare
from sim.faults import Crash, Partition, RandomCrashes, Slow
from sim.lab.run import execute
from sim.network import Exponential, lan
from sim.protocols import Crdt, MultiPrimary, Raft
from sim.protocols.replication.multi_primary.node import MultiPrimaryNode
from sim.system import Member
from sim.workload import ClosedLoop, UniformKeys

scenario = Scenario(
    system=MultiPrimary(),
    network=lan(Exponential(0.002)),
    workload=ClosedLoop(clients=6, keys=UniformKeys(5), reads=0.3, think=0.01),
    faults=[
        Partition((("n0",),), at=1.0),  # for good
        RandomCrashes(0.5, 0.3),  # as long as it runs
        Crash("n1", at=2.5),
        Slow("n2", at=0.5),
        Partition((("n1",),), at=2.99),  # just before the end
    ],
    duration=3.0,
    trace=True,
    sample_every=0.5,
)


class Silent(MultiPrimaryNode):
    """Compares itself with nobody."""

    def on_gossip_timeout(self) -> None:
        """Nothing."""


class Wrong(MultiPrimary):
    def members(self) -> tuple[Member, ...]:
        return tuple(Member(name, Silent) for name in self.names)


@pytest.mark.parametrize("system", [MultiPrimary(), Crdt(kind="lww-register")], ids=lambda s: s.label)
def test_replicas_that_differ_when_the_run_ends_agree_when_faults_have_ended(system: Any) -> None:
    run = dataclasses.replace(scenario, system=system, check=True).run(1)
    check = run.check()
    assert check.ok, check
    assert check.consistency == "eventual"
    assert "3 replicas agree" in str(check)


def test_what_happens_after_the_end_is_not_in_the_frames_and_changes_no_measure() -> None:
    run = scenario.run(1)
    bare = scenario.start(1)
    bare.run()
    differ = bare.system.replica_values(bare.members)
    assert differ is not None
    assert len({str(sorted(values.items())) for values in differ.values()}) > 1
    bare.finish()
    assert run.digest() == bare.recorder.digest()
    assert run.ended == scenario.duration == bare.ended
    assert run.operations["called"].max() < scenario.duration
    assert run.events["time"].max() <= scenario.duration
    assert run.convergence is not None


def test_a_system_that_does_not_keep_the_promise_is_found_out() -> None:
    run = execute(dataclasses.replace(scenario, system=Wrong()), 1)
    check = run.check()
    assert check.status == "invalid"
    assert "but n1 holds" in str(check) or "but n2 holds" in str(check)


def test_a_system_that_promises_something_else_is_not_asked() -> None:
    run = dataclasses.replace(scenario, system=Raft(nodes=3), faults=()).run(1)
    assert run.convergence is None
    assert run.check().consistency == "linearizable"


def test_comparisons_say_how_many_runs_converged() -> None:
    quiet = dataclasses.replace(scenario, faults=(), trace=False, duration=1.0)
    table = compare(
        [MultiPrimary(), Wrong(), Raft(nodes=3)], quiet, seeds=range(2), workers=1, progress=None
    ).table()
    checked = dict(zip(table["system"], table["checked"], strict=True))
    assert checked["Multi Primary"] == checked["Raft"] == "2/2 valid"
