"""The store over each broadcast: what clients are promised holds in storms, and what they are not promised breaks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from sim import Scenario
from sim.faults import Crash, Partition
from sim.network import Exponential, constant, lan
from sim.protocols import BroadcastStore
from sim.workload import ClosedLoop, UniformKeys
from tests.budget import storms

DELTA = 0.01
ORDERS: tuple[Any, ...] = (
    *("best-effort", "reliable", "lazy", "uniform", "fifo", "causal", "sequencer", "total"),
)
SYSTEMS = [
    *(BroadcastStore(order=order) for order in ORDERS),
    BroadcastStore(order="sequencer", reads="ordered"),
    BroadcastStore(order="total", reads="ordered"),
]


@pytest.mark.parametrize(
    ("order", "write"),
    [
        ("best-effort", 2),
        ("reliable", 2),
        ("lazy", 2),
        ("uniform", 4),
        ("fifo", 2),
        ("causal", 2),
        ("sequencer", 2),
    ],
)
def test_what_clients_wait_for(order: Any, write: float) -> None:
    """A client δ away from n0, which is the sequencer too; a local read takes 2δ whatever the order."""
    for reads, cost in ((0.0, write), (1.0, 2)):
        run = Scenario(
            system=BroadcastStore(order=order, nodes=5),
            network=constant(DELTA),
            workload=ClosedLoop(clients=1, operations=10, reads=reads),
            duration=2.0,
        ).run(1)
        assert run.operations["latency"].to_numpy() == pytest.approx(cost * DELTA)


@pytest.mark.parametrize(("leader", "cost"), [("n0", 4.0), ("n1", 6.0)])
def test_what_clients_of_the_raft_group_wait_for(leader: str, cost: float) -> None:
    for reads in (0.0, 1.0):
        run = Scenario(
            system=BroadcastStore(order="total", reads="ordered", leader=leader),
            network=constant(DELTA),
            workload=ClosedLoop(clients=1, operations=20, reads=reads),
            duration=3.0,
        ).run(1)
        assert run.operations["latency"].to_numpy()[2:] == pytest.approx(cost * DELTA)


@storms(3, 2.0, longer=2.0, seeds=range(1000), batch=100)
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.label)
def test_its_claim_holds_in_storms_and_all_have_the_same_soon_after(
    survive_beside: Callable[..., Any], system: BroadcastStore, seeds: range, length: float
) -> None:
    """Agreement is asked when nothing is under way; that this is so in time is part of the test."""
    for seed in seeds:
        survive_beside(dataclasses.replace(system, nodes=3 + 2 * (seed % 2)), seed, length)


@pytest.mark.parametrize(
    ("order", "loses"), [("best-effort", True), ("causal", True), ("uniform", False), ("total", False)]
)
def test_a_write_acknowledged_before_it_is_replicated_is_lost_with_its_replica(
    order: Any, loses: bool
) -> None:
    """The client's replica reaches no other, and crashes for good."""
    scenario = Scenario(
        system=BroadcastStore(order=order, leader="n0" if order == "total" else None),
        network=constant(DELTA),
        workload=ClosedLoop(clients={"n1": 1}, think=0.2, reads=0.0),
        faults=[Partition((("n1",), ("n0", "n2")), at=0.0), Crash("n1", at=1.5)],
        duration=4.0,
    )
    run = scenario.run(1)
    acknowledged = int((run.operations["status"] == "ok").sum())
    assert run.acknowledged_lost == acknowledged
    assert (acknowledged > 0) == loses


# What each order does not promise. Clients at each replica, few keys, a network that reorders.

BREAKS: list[tuple[Any, str]] = [
    ("best-effort", "pram"),
    ("reliable", "pram"),
    ("uniform", "pram"),
    ("fifo", "CM"),
    ("causal", "sequential"),
    ("sequencer", "linearizable"),
    ("total", "linearizable"),
]


def reordered(system: BroadcastStore, seed: int) -> Any:
    return Scenario(
        system=system,
        network=lan(Exponential(0.05)),
        workload=ClosedLoop(
            clients=dict.fromkeys(system.names, 2), keys=UniformKeys(2), reads=0.6, think=Exponential(0.02)
        ),
        duration=2.0,
    ).run(seed)


@pytest.mark.parametrize(("order", "stronger"), BREAKS)
def test_an_order_breaks_the_next_stronger_model(order: Any, stronger: str) -> None:
    for seed in range(20):
        run = reordered(BroadcastStore(order=order), seed)
        assert run.check().ok
        if run.check(stronger).status == "invalid":
            return
    pytest.fail(f"{order} was never seen to break {stronger}")


@pytest.mark.parametrize("order", ["sequencer", "total"])
def test_reads_that_take_their_place_in_the_order_are_linearizable(order: Any) -> None:
    for seed in range(5):
        assert reordered(BroadcastStore(order=order, reads="ordered"), seed).check("linearizable").ok
