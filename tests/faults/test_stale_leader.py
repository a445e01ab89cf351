"""The leader loses some members, and the others as soon as one of them leads; its clients go on asking it."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Scenario, System
from sim.faults import StaleLeader
from sim.network import constant
from sim.protocols import MultiPaxos, OmniPaxos, Raft, ViewstampedReplication
from sim.workload import ClosedLoop


def events(system: System, fault: StaleLeader, seed: int) -> Any:
    load = ClosedLoop(clients=2, think=0.02)
    scenario = Scenario(
        system=system, network=constant(0.005), workload=load, faults=(fault,), duration=6.0, check=True
    )
    return scenario.run(seed).events


def pairs(cut: Any) -> set[frozenset[str]]:
    return {frozenset((a, b)) for some, others in cut.detail["links"] for a in some for b in others}


@pytest.mark.parametrize(
    "system",
    [MultiPaxos(nodes=5), OmniPaxos(), Raft(nodes=5), ViewstampedReplication()],
    ids=lambda s: s.label,
)
def test_an_old_leader_is_alone_as_soon_as_another_leads(system: System) -> None:
    deposed = 0
    for seed in range(3):
        frame = events(system, StaleLeader(at=0.5, turns=2, timeout=2.0, alone=0.1), seed)
        cuts = list(frame[frame.event == "cut"].itertuples())
        assert len(cuts) == (frame.event == "heal").sum() > 0
        for cut in cuts:
            words = cut.detail["label"].split()  # "cut StaleLeader n0|n1,n2", then "cut StaleLeader n0 alone"
            leader = words[2].split("|")[0]
            assert all(leader in pair for pair in pairs(cut))
            deposed += words[-1] == "alone"
            if words[-1] == "alone":
                assert not any(pair & {"c0", "c1"} for pair in pairs(cut))
    assert deposed >= 2


def test_it_is_cut_off_from_one_to_all_of_the_others_and_some_clients_at_first() -> None:
    sizes, clients = set(), set()
    for seed in range(20):
        frame = events(Raft(nodes=5), StaleLeader(at=0.5, timeout=0.1), seed)
        lost = pairs(next(frame[frame.event == "cut"].itertuples()))
        sizes.add(sum(not pair & {"c0", "c1"} for pair in lost))
        clients.add(sum(bool(pair & {"c0", "c1"}) for pair in lost))
    assert sizes == {1, 2, 3, 4}
    assert clients == {0, 1, 2}


def test_one_member_has_nobody_to_be_deposed_by() -> None:
    assert not (events(Raft(nodes=1), StaleLeader(at=0.5), 1).event == "cut").any()


def test_what_members_send_to_the_leader_is_late_before_it_is_cut_off() -> None:
    fault = StaleLeader(at=0.5, timeout=0.2, late=0.3)
    load = ClosedLoop(clients=2, think=0.02)
    run = Scenario(
        system=Raft(nodes=3),
        network=constant(0.005),
        workload=load,
        faults=(fault,),
        duration=2.0,
        trace=True,
    ).run(1)
    frame = run.messages
    took = (frame.delivered - frame.sent)[(frame.dst == "n0") & frame.src.isin(["n1", "n2"])]
    sent = frame.sent[took.index]
    assert (took[(sent > 0.5) & (sent < 0.8)].dropna() > 0.3).all()
    assert (took[(sent < 0.5) | (sent > 0.8)].dropna() < 0.01).all()
    assert run.events[run.events.event == "cut"].time.min() == pytest.approx(0.8)


def test_those_that_the_leader_still_reaches_restart_where_nobody_else_leads() -> None:
    restarted = 0
    for seed in range(6):
        system = Raft(nodes=5, reads="lease", heartbeat=0.05, detection=0.5)
        frame = events(system, StaleLeader(at=0.5, timeout=0.6, restart=0.02), seed)
        kept = pairs(next(frame[frame.event == "cut"].itertuples()))
        crashed = set(frame[frame.event == "crash"].node)
        assert not any(crashed & pair for pair in kept)
        assert len(frame[frame.event == "restart"]) == len(crashed)
        restarted += len(crashed)
    assert restarted >= 2


def test_a_turn_waits_until_a_member_leads() -> None:
    fault = StaleLeader(at=0.0, timeout=2.0, alone=0.1)  # nobody leads yet
    frame = events(Raft(nodes=3), fault, 1)
    assert frame[frame.event == "cut"].time.min() >= frame[frame.event == "elected"].time.min() > 0.0
