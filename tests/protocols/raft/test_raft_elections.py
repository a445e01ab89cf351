"""Elections that are delayed, split or lopsided: what etcd-io/raft and hashicorp/raft ask for, in our own words."""

from __future__ import annotations

from typing import Any

import pytest

from sim.network.disturbances import Disturbance
from sim.protocols import Raft

TIMING = {"heartbeat": 0.05, "detection": 0.25}
FIVE = ("n0", "n1", "n2", "n3", "n4")


def without_leader(stage: Any, nodes: int = 5, **options: Any) -> Any:
    """A stage whose first leader has crashed."""
    s = stage(system=Raft(nodes=nodes, **{**TIMING, **options}), quiet=False)
    s.run(0.2)
    s.crash("n0")
    return s


@pytest.mark.parametrize("options", [{}, {"pre_vote": True, "check_quorum": True}])
@pytest.mark.parametrize(("slow", "inwards"), [(("n3", "n4"), True), (("n2", "n3", "n4"), False)])
def test_votes_that_are_late_delay_no_more_than_a_few_elections(
    stage: Any, slow: tuple[str, ...], inwards: bool, options: dict[str, Any]
) -> None:
    """hashicorp: what reaches two of five, or comes from three of five, takes 0.1 s; three votes are needed."""
    s = stage(system=Raft(nodes=5, **TIMING, **options), quiet=False)
    s.run(0.2)
    s.partition(["n0"], FIVE[1:])
    for name in slow:
        for other in FIVE:
            if other != name:
                pair = (other, name) if inwards else (name, other)
                s.cluster.network.disturb([pair], Disturbance(slowdown=100.0))
    s.run(5.0)
    (leader,) = s.leaders(FIVE[1:])
    terms = [detail["term"] for _, node, detail in s.events("elected") if node != "n0"]
    assert len(terms) == len(set(terms)) >= 1
    s.ask(leader)
    s.run(1.0)
    assert len(s.client.replies) == 1


def test_a_split_pre_vote_resolves(stage: Any) -> None:
    """etcd TestPreVoteWithSplitVote: two ask at the same moment, each is refused or split, and one wins in the end."""
    s = without_leader(stage, 3, pre_vote=True)
    s.run(0.26)
    s.node("n1").leader_contact = s.node("n2").leader_contact = -float("inf")
    s.step("n1", "on_election_timeout")
    s.step("n2", "on_election_timeout")
    s.run(2.0)
    assert len(s.leaders()) == 1
    first = s.events("elected")[1]
    assert first[2]["term"] >= 2


def test_pre_vote_lets_no_server_that_is_behind_disturb_one_that_can_win(stage: Any) -> None:
    """etcd TestPreVoteMigration...: n2 lacks an entry that n0 and n1 committed."""
    s = stage(system=Raft(nodes=3, pre_vote=True, **TIMING), quiet=False)
    s.run(0.2)
    s.partition(["n2"], ["n0", "n1"])
    s.ask("n0")
    s.run(0.1)
    s.crash("n0")
    s.heal()
    s.run(3.0)
    assert s.leaders() == ["n1"]
    assert {node for _, node, detail in s.events("role") if detail["role"] == "candidate"} == {"n0", "n1"}


@pytest.mark.parametrize("options", [{"pre_vote": True}, {"pre_vote": True, "check_quorum": True}])
def test_a_server_of_a_low_term_takes_part_in_an_election(stage: Any, options: dict[str, Any]) -> None:
    """etcd TestNodeWithSmallerTermCanCompleteElection: n2 was away while terms went by, and n0 goes."""
    s = stage(system=Raft(nodes=3, **TIMING, **options), quiet=False)
    s.run(0.2)
    s.partition(["n2"], ["n0", "n1"])
    for _ in range(3):
        s.node("n1").leader_contact = s.node("n0").leader_contact = -float("inf")
        (leader,) = s.leaders(["n0", "n1"])
        other = "n1" if leader == "n0" else "n0"
        s.crash(leader)
        s.restart(leader)
        s.node(leader).leader_contact = -float("inf")
        s.step(other, "on_election_timeout")
        s.run(0.5)
    low = s.node("n2").current_term
    assert s.node("n1").current_term > low + 1
    s.crash("n0")
    s.heal()
    s.run(3.0)
    assert len(s.leaders()) == 1
    assert s.node("n2").current_term == s.node("n1").current_term


@pytest.mark.parametrize("options", [{}, {"pre_vote": True}, {"check_quorum": True}])
def test_there_is_no_leader_without_a_majority_and_one_soon_after(
    stage: Any, options: dict[str, Any]
) -> None:
    """MIT TestReElection; the bound is four of the longest election timeouts."""
    s = without_leader(stage, 3, **options)
    s.crash("n1")
    s.run(3.0)
    assert [name for name in s.leaders() if name != "n0"] == []
    s.restart("n1")
    s.run(4 * 2 * TIMING["detection"])
    assert len(s.leaders()) == 1
