"""Partial partitions: which links each shape keeps, in runs and by property."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import Scenario
from sim.faults import BridgeCut, ChainedCut, ConstrainedElection, Crash, QuorumLoss, RingCut
from sim.faults.fault import Fault
from sim.network import constant
from sim.protocols import MultiPaxos, Raft
from sim.workload import ClosedLoop

SHAPES: tuple[Any, ...] = (QuorumLoss, ConstrainedElection, ChainedCut, RingCut, BridgeCut)


def scenario(*faults: Fault, **changes: Any) -> Scenario:
    base: dict[str, Any] = {
        "system": Raft(nodes=5, leader="n4"),
        "network": constant(0.005),
        "workload": ClosedLoop(clients=1, think=0.05),
        "duration": 4.0,
    }
    return Scenario(**{**base, **changes}, faults=faults)


def connected(one: Scenario, at: float, seed: int = 1) -> list[frozenset[str]]:
    """The pairs of replicas that reach each other at a time."""
    simulation = one.start(seed)
    simulation.run(until=at)
    network = simulation.cluster.network
    pairs = []
    for a, b in combinations(simulation.replicas, 2):
        assert network.is_cut(a, b) == network.is_cut(b, a)
        if not network.is_cut(a, b):
            pairs.append(frozenset((a, b)))
    return pairs


def links(*pairs: str) -> list[frozenset[str]]:
    return [frozenset((f"n{pair[0]}", f"n{pair[1]}")) for pair in pairs]


ORDER = ("n0", "n1", "n2", "n3", "n4")


@pytest.mark.parametrize(
    ("fault", "whole"),
    [
        (QuorumLoss(at=1.0, duration=1.0, members=ORDER), links("01", "02", "03", "04")),
        (ConstrainedElection(at=1.0, duration=1.0, members=ORDER, behind=0.0), links("01", "02", "03")),
        (ChainedCut(at=1.0, duration=1.0, members=ORDER), links("01", "12", "23", "34")),
        (RingCut(at=1.0, duration=1.0, members=ORDER), links("01", "04", "12", "23", "34")),
        (BridgeCut(at=1.0, duration=1.0, members=ORDER), links("01", "02", "03", "04", "12", "34")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_the_links_of_the_shape_stay_whole_and_all_come_back(fault: Fault, whole: Any) -> None:
    assert connected(scenario(fault), 1.5) == whole
    assert len(connected(scenario(fault), 2.5)) == 10


def test_before_a_constrained_election_its_only_candidate_falls_behind() -> None:
    one = scenario(ConstrainedElection(at=1.0, duration=1.0, members=ORDER, behind=0.5))
    assert connected(one, 1.4) == links("12", "13", "14", "23", "24", "34")
    assert connected(one, 1.6) == links("01", "02", "03")


@pytest.mark.parametrize("shape", [QuorumLoss, ConstrainedElection])
def test_the_leader_is_never_the_one_that_keeps_its_links(shape: Any) -> None:
    for seed in range(8):
        whole = connected(scenario(shape(at=1.0)), 1.7, seed)
        degrees = {name: sum(name in pair for pair in whole) for name in ORDER}
        assert degrees["n4"] == (1 if shape is QuorumLoss else 0)


@given(st.integers(4, 11))
def test_in_a_ring_each_member_reaches_a_majority_and_no_two_the_same(size: int) -> None:
    order = [f"n{i}" for i in range(size)]
    whole = RingCut(at=1.0).whole(order)
    reached = [frozenset(b for b in order if b == a or frozenset((a, b)) in whole) for a in order]
    assert all(len(one) > size // 2 for one in reached)
    assert all(len(one) <= size // 2 + 2 for one in reached)
    if size > 4:
        assert len(set(reached)) == size


@given(st.integers(3, 11), st.sampled_from(SHAPES))
def test_every_shape_cuts_something_of_every_size_it_takes(size: int, shape: Any) -> None:
    if size >= shape.least:
        order = [f"n{i}" for i in range(size)]
        assert len(shape(at=1.0).whole(order)) < size * (size - 1) // 2


@pytest.mark.parametrize("shape", SHAPES)
def test_a_system_of_two_is_too_small(shape: Any) -> None:
    with pytest.raises(ValueError, match="would cut nothing: it needs"):
        scenario(shape(at=1.0), system=Raft(nodes=2))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_order_is_drawn_if_no_members_are_named(shape: Any) -> None:
    found = {
        tuple(map(tuple, map(sorted, connected(scenario(shape(at=1.0)), 1.7, seed)))) for seed in range(6)
    }
    assert len(found) > 2


@pytest.mark.parametrize("system", [Raft(nodes=5, pre_vote=True, check_quorum=True), MultiPaxos(nodes=5)])
@pytest.mark.parametrize("shape", SHAPES)
def test_systems_come_back_after_each_shape(system: Any, shape: Any) -> None:
    faults = (shape(at=1.0, duration=1.5), Crash("random", at=1.2, down=0.5))
    run = scenario(*faults, system=system, check=True, duration=8.0).run(3)
    assert (run.operations[run.operations.called > 6.0].status == "ok").sum() > 5
