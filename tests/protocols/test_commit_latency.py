"""Commit latency: the same events from every consensus system, equal to the delays counted by hand."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import numpy as np
import pytest

import sim.protocols
from sim import Scenario
from sim.network import constant
from sim.protocols import (
    CasPaxos,
    EPaxos,
    EPaxosStar,
    Mencius,
    MultiPaxos,
    OmniPaxos,
    Paxos,
    Raft,
    ShardedRaft,
    ViewstampedReplication,
)
from sim.protocols.consensus.commit_latency import RecordsCommits
from sim.protocols.consensus.raft.basic import BasicRaft
from sim.workload import ClosedLoop, UniformKeys

DELTA = 0.01
WARMUP = 0.06  # the first command may have to wait for an election

LED = [
    BasicRaft(nodes=5),
    Raft(nodes=5, pre_vote=True, check_quorum=True, fast_backtracking=True, membership="single"),
    Raft(nodes=3, pipeline=8),
    ShardedRaft(groups=3),
    MultiPaxos(nodes=5),
    MultiPaxos(nodes=5, window=8, snapshot_every=10),
    OmniPaxos(nodes=5),
    Mencius(nodes=3),
    ViewstampedReplication(nodes=5),
    EPaxos(nodes=3),
    EPaxos(nodes=5, thrifty=True),
    EPaxosStar(nodes=5),
]


def run_of(system: Any, *, record: bool = True, operations: int = 20) -> Any:
    """One client beside n0, who leads where anybody does."""
    system = dataclasses.replace(system, record_commits=record, heartbeat=100.0, detection=1000.0)
    return Scenario(
        system=system,
        network=constant(DELTA),
        workload=ClosedLoop(clients={"lan": 1}, operations=operations, reads=0.0, keys=UniformKeys(100)),
        duration=6.0,
        warmup=WARMUP,
    ).run(seed=1)


def latencies(run: Any, event: str, since: float = 0.0) -> list[float]:
    events = run.events[(run.events["event"] == event) & (run.events["time"] >= since)]
    return [detail["latency"] for detail in events["detail"]]


@pytest.mark.parametrize("system", LED, ids=lambda s: s.label)
def test_a_leader_commits_after_one_round_trip(system: Any) -> None:
    """From the leader to the others and back: 2 delays, of the 4 that a client away from all waits."""
    run = run_of(system)
    for event in ("committed", "executed"):
        later = latencies(run, event, since=WARMUP)
        assert later == pytest.approx([2 * DELTA] * len(later)), event
        assert (len(later) >= 19, len(latencies(run, event))) == (True, 20), event
    row = run.summary()
    assert (row["commit_p50"], row["commit_p99"]) == pytest.approx((2 * DELTA, 2 * DELTA))
    assert row["p50"] == pytest.approx(4 * DELTA)


@pytest.mark.parametrize("learning", ["proposer", "broadcast"])
def test_paxos_commits_after_both_phases(learning: Any) -> None:
    """Prepare, Promise, Accept, Accepted: 4 delays until the proposer has learnt the value."""
    run = run_of(Paxos(nodes=5, learning=learning), operations=1)
    assert latencies(run, "committed") == pytest.approx([4 * DELTA])


def test_caspaxos_commits_after_both_phases_and_a_key_that_it_has_after_one() -> None:
    """100 keys: 20 commands meet few of them twice."""
    found = latencies(run_of(CasPaxos(nodes=5)), "committed")
    assert sorted({round(latency / DELTA) for latency in found}) == [2, 4]
    assert len(found) == 20


def test_a_command_that_lost_to_another_is_answered_and_not_committed() -> None:
    run = run_of(Paxos(nodes=3), operations=3)
    assert len(latencies(run, "committed")) == len(latencies(run, "executed")) == 1


def test_every_consensus_system_records_it_and_is_tried_here() -> None:
    tried = {type(system).__name__ for system in (*LED, Paxos(), CasPaxos())}
    systems = [
        c for _, c in inspect.getmembers(sim.protocols, inspect.isclass) if "consensus" in c.__module__
    ]
    consensus = [c for c in systems if dataclasses.is_dataclass(c) and hasattr(c, "members")]
    assert len(consensus) >= 8
    for kind in consensus:
        assert issubclass(kind, RecordsCommits), kind
        assert kind.__name__ in tried, kind


@pytest.mark.parametrize("system", [*LED, Paxos(), CasPaxos()], ids=lambda s: s.label)
def test_it_records_nothing_and_runs_its_own_class_when_not_asked_to(system: Any) -> None:
    run = run_of(system, record=False)
    assert latencies(run, "committed") == latencies(run, "executed") == []
    assert np.isnan(run.summary()["commit_p50"])
    plain = [member.node_class for member in system.members()]
    assert all("CommitLatency" not in str(kind.__mro__) for kind in plain)


def test_measuring_changes_no_run() -> None:
    with_it, without = (run_of(MultiPaxos(nodes=5), record=record) for record in (True, False))
    assert with_it.operations.equals(without.operations)
