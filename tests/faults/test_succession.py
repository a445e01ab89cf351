"""Leadership goes from member to member: each turn has one candidate, which alone reaches a majority."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Scenario, System
from sim.faults import Succession
from sim.network import constant
from sim.protocols import MultiPaxos, OmniPaxos, Raft, ViewstampedReplication
from sim.workload import ClosedLoop


def events(fault: Succession, seed: int, nodes: int = 5) -> Any:
    load = ClosedLoop(clients=1, think=0.05)
    scenario = Scenario(
        system=Raft(nodes=nodes), network=constant(0.005), workload=load, faults=(fault,), duration=8.0
    )
    return scenario.run(seed).events


@pytest.mark.parametrize("nodes", [3, 5])
def test_most_turns_end_with_their_candidate_as_the_leader(nodes: int) -> None:
    turns = led = 0
    for seed in range(4):
        frame = events(Succession(at=0.5, turns=4, timeout=2.0), seed, nodes)
        cuts, heals, elected = (frame[frame.event == event] for event in ("cut", "heal", "elected"))
        for cut, healed in zip(cuts.itertuples(), heals.itertuples(), strict=False):
            candidate = cut.detail["label"].split()[-1].split(",")[0]
            before = elected[elected.time < healed.time]
            led += bool(len(before)) and before.iloc[-1].node == candidate
            turns += 1
    assert turns >= 12
    assert led > 0.6 * turns


def test_in_a_turn_a_bare_majority_reaches_the_candidate_and_nobody_else() -> None:
    frame = events(Succession(at=0.5, turns=4, timeout=1.0), 1)
    for cut in frame[frame.event == "cut"].itertuples():
        candidate, *electors = cut.detail["label"].split()[-1].split(",")
        lost = {frozenset((a, b)) for some, others in cut.detail["links"] for a in some for b in others}
        assert len(electors) == 2
        for name in ("n0", "n1", "n2", "n3", "n4"):
            if name != candidate:  # both directions of a link are cut, or none
                assert (frozenset((candidate, name)) in lost) is (name not in electors)
        assert frozenset(electors) in lost


@pytest.mark.parametrize(
    "system",
    [MultiPaxos(nodes=5), OmniPaxos(), Raft(nodes=5), ViewstampedReplication()],
    ids=lambda s: s.label,
)
def test_leadership_moves_in_every_protocol_whose_members_elect(system: System) -> None:
    """In VR the members of a star never agree on a view, and views go round: there the electors reach each other."""
    followed = []
    for seed in range(2):
        fault = Succession(at=0.3, turns=4)
        scenario = Scenario(system=system, network=constant(0.005), faults=(fault,), duration=5.5)
        simulation, leaders = scenario.start(seed), ["n0"]
        while simulation.now < 5.5:
            simulation.run(until=simulation.now + 0.02)
            leaders += [name for name in simulation.find("leader") if name != leaders[-1]]
        followed.append(len(leaders) - 1)
    assert sum(followed) >= 3


def test_two_members_have_no_succession() -> None:
    assert not (events(Succession(at=0.5), 1, 2).event == "cut").any()
