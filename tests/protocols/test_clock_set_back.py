"""The wall clock of the node that holds a lease is set back, as NTP may do, and then its place is cut off.

Leases, suspicion and fencing are measured on monotonic clocks, so nobody notices: reads are not stale, no two lead, and
async replication loses no more than it does anyway.
"""

from __future__ import annotations

from typing import Any

import pytest

from sim import Scenario
from sim.faults import ClockJump, Fault, Partition
from sim.lab.run import Run
from sim.network import matrix
from sim.protocols import (
    ChainReplication,
    Craq,
    Dynamo,
    ExpectedArrival,
    FixedTimeout,
    HeartbeatDetectors,
    LeaderLease,
    MultiPaxos,
    PhiAccrual,
    PrimaryBackup,
    Raft,
    ShardedRaft,
    Swim,
)
from sim.system import System
from sim.workload import Mix, OpenLoop, UniformKeys

PLACES = ("a", "b", "c")
NETWORK = matrix(PLACES, tuple(tuple(0.0002 if x == y else 0.002 for y in PLACES) for x in PLACES))
TIMES: dict[str, Any] = {"heartbeat": 0.05, "detection": 0.5}

# Who is to hold a lease: a member of it, and where it stands.
LEADER = ("n0", "a")
TAIL = ("n2", "c")

CASES: list[tuple[System, tuple[str, str]]] = [
    (Raft(nodes=3, reads="lease"), LEADER),
    (Raft(nodes=3, reads="lease", pre_vote=True), LEADER),
    (Raft(nodes=3, reads="lease", check_quorum=True), LEADER),
    (ShardedRaft(groups=2, group=Raft(nodes=3, reads="lease"), leaders="pinned"), ("m0", "a")),
    (MultiPaxos(nodes=3, lease=0.45, **TIMES), LEADER),
    (PrimaryBackup(mode="sync", reads="lease"), LEADER),
    (PrimaryBackup(mode="semi-sync", acks=1, reads="lease"), LEADER),
    (PrimaryBackup(mode="semi-sync", acks=1, fallback=0.3), LEADER),
    (PrimaryBackup(mode="async"), LEADER),
    (PrimaryBackup(mode="async", services=3), LEADER),
    (PrimaryBackup(mode="sync", reads="lease", services=3), LEADER),
    (ChainReplication(), TAIL),
    (Craq(), TAIL),
    (Craq(), ("n1", "b")),
    (LeaderLease(granters="quorum", **TIMES), LEADER),
    (LeaderLease(granters="service", **TIMES), LEADER),
    (HeartbeatDetectors(nodes=3, detector=FixedTimeout(), **TIMES), LEADER),
    (HeartbeatDetectors(nodes=3, detector=ExpectedArrival(), **TIMES), LEADER),
    (HeartbeatDetectors(nodes=3, detector=PhiAccrual(), **TIMES), LEADER),
    (Swim(nodes=3), LEADER),
    (Dynamo(nodes=5), LEADER),
]


def play(system: System, place: str, *faults: Fault) -> Run:
    mix = Mix({"get": 0.8, "put": 0.2} if "put" in system.operations else {"get": 1.0}, UniformKeys(2))
    others = tuple(p for p in PLACES if p != place)
    return Scenario(
        system=system,
        network=NETWORK,
        duration=4.0,
        workload=OpenLoop(rate=150.0, clients=dict.fromkeys(PLACES, 1), mix=mix),
        faults=[*faults, Partition(((place,), others), at=1.5, duration=2.0)],
        check=True,
    ).run(1)


def name_of(case: object) -> str:
    return case.label if isinstance(case, System) else "-".join(case)  # type: ignore[arg-type]


@pytest.mark.parametrize(("system", "holder"), CASES, ids=name_of)
def test_a_wall_clock_that_is_set_back_does_not_change_which_replica_may_answer(
    system: System, holder: tuple[str, str]
) -> None:
    who, place = holder
    run = play(system, place, ClockJump(who, at=1.4, offset=-5.0))
    assert run.violation is None, run.violation
    assert run.check().ok, run.check()
    undisturbed = play(system, place)
    assert run.acknowledged_lost == undisturbed.acknowledged_lost
    assert list(run.operations["status"]) == list(undisturbed.operations["status"])
