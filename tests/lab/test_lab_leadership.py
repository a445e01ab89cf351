"""The measures of elections in simulated runs: what is done to the leader says what must be found."""

from __future__ import annotations

import math
from functools import cache

import pytest

from sim import Run, Scenario
from sim.analysis.leadership import LEADING, elections, reigns
from sim.faults import Administer, Crash, Fault, Flaky, Partition, Pause
from sim.lab.led import leader_groups
from sim.network import constant
from sim.protocols import (
    BasicRaft,
    ChainReplication,
    EPaxos,
    LeaderLease,
    Mencius,
    MultiPaxos,
    OmniPaxos,
    Paxos,
    PrimaryBackup,
    Raft,
    ShardedRaft,
    ViewstampedReplication,
)
from sim.protocols.admin import Transfer
from sim.system import System
from sim.workload import OpenLoop

LED = (
    Raft(nodes=3),
    BasicRaft(nodes=3),
    MultiPaxos(nodes=3),
    OmniPaxos(nodes=3),
    ViewstampedReplication(nodes=3),
    PrimaryBackup(nodes=3),
    ChainReplication(nodes=3),
    ShardedRaft(groups=2),
)

FAULTS: dict[str, Fault] = {
    "crash": Crash("leader", at=2.0, down=1.0),
    "pause": Pause("leader", at=2.0, duration=1.5),
    "cut": Partition((("leader",),), at=2.0, duration=1.5),
    "false": Flaky("leader", at=2.0, duration=1.5, slowdown=2000.0),
}


@cache
def run_of(system: System, fault: str = "") -> Run:
    faults = [FAULTS[fault]] if fault else []
    load = OpenLoop(rate=20.0, clients=2)
    return Scenario(system=system, network=constant(0.001), workload=load, faults=faults, duration=8.0).run(
        seed=1
    )


@pytest.mark.parametrize("system", LED, ids=lambda system: type(system).__name__)
def test_without_faults_there_is_no_election_and_always_a_leader(system: System) -> None:
    found = run_of(system).summary()
    assert (
        found[["elections", "false_elections", "time_without_leader", "writes_refused"]].tolist() == [0.0] * 4
    )


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("system", LED, ids=lambda system: type(system).__name__)
def test_what_is_done_to_the_leader_is_the_cause_of_the_election(system: System, fault: str) -> None:
    run = run_of(system, fault)
    led = leader_groups(run.scenario.resolved)
    assert led is not None
    found = elections(run.events, led, duration=run.ended)
    assert found["cause"].tolist()[:1] == [fault]
    assert set(found["cause"]) == {fault}
    measures = run.measures()
    assert measures["elections"] == len(found)
    assert measures["false_elections"] == (len(found) * 86_400 / 8.0 if fault == "false" else 0.0)
    # A member that suspects the leader does so after one to two detection times, of 0.5 s each.
    gone = measures["time_without_leader"]
    assert gone < 0.01 if fault == "false" else 0.45 < gone < 1.2


@pytest.mark.parametrize(
    "system", [EPaxos(nodes=3), Mencius(nodes=3), Paxos()], ids=lambda system: type(system).__name__
)
def test_a_system_without_a_leader_has_none_of_these_measures(system: System) -> None:
    found = run_of(system).summary()
    assert all(math.isnan(found[name]) for name in ("elections", "time_without_leader", "writes_refused"))


def test_a_transfer_that_was_asked_for_is_not_false() -> None:
    scenario = Scenario(
        system=Raft(nodes=3, transfer=True),
        network=constant(0.001),
        faults=[Administer(Transfer(), at=4.0)],
        duration=6.0,
    )
    run = scenario.run(seed=1)
    led = leader_groups(scenario.resolved)
    assert led is not None
    assert elections(run.events, led, duration=run.ended)["cause"].tolist() == ["request"]


def test_a_holder_of_a_lease_leads() -> None:
    load = OpenLoop(rate=20.0, clients=2, reads=1.0)
    scenario = Scenario(
        system=LeaderLease(),
        network=constant(0.001),
        workload=load,
        duration=12.0,
        faults=[Crash("leader", at=6.0)],
    )
    run = scenario.run(seed=1)
    assert run.measures()["elections"] >= 1.0
    assert run.measures()["false_elections"] == 0.0


@pytest.mark.parametrize("system", LED, ids=lambda system: type(system).__name__)
def test_who_leads_by_the_events_is_who_leads_by_the_nodes(system: System) -> None:
    """Looked at every 20 ms while the leader is paused, cut off and crashed."""
    faults = [
        Pause("leader", at=1.0, duration=1.5),
        Partition((("leader",),), at=4.0, duration=1.5),
        Crash("leader", at=7.0, down=1.0),
    ]
    scenario = Scenario(system=system, network=constant(0.001), faults=faults, duration=10.0)
    simulation = scenario.start(seed=2)
    seen: list[tuple[float, str | None]] = []
    while simulation.now < 9.9:
        simulation.run(until=simulation.now + 0.02)
        seen.append((simulation.now, simulation.leader))
    simulation.finish()
    led = leader_groups(scenario.resolved)
    assert led is not None
    each = reigns(simulation.recorder.frame("events"), led, duration=10.0)
    for time, leader in seen:
        by_events = [reign.node for reign in each if reign.start <= time < reign.end]
        if leader is None:
            assert not by_events, time
        else:
            assert leader in by_events, (time, leader)
    assert {"leader"} < LEADING
