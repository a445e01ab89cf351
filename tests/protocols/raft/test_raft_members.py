"""Members that come and go: what etcd-io/raft and hashicorp/raft ask of membership changes, in our own words.

Invariants are asked after every event: quorums of successive configurations meet, one change at a time, and figure 3.
"""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols import Raft
from sim.protocols.admin import Join, Leave, Reconfigure, Transfer
from sim.protocols.consensus.raft.extensions.elections import TimeoutNow
from sim.protocols.consensus.raft.extensions.membership import Config
from sim.protocols.consensus.raft.invariants.extensions import OneChangeAtATime
from sim.system import SafetyViolation

DELTA = 0.001


def cluster(stage: Any, nodes: int, spares: int = 0, how: str = "single", **options: Any) -> Any:
    """A stage whose spares run, with n0 as the leader."""
    mutant = options.pop("mutant", None)
    system = Raft(nodes=nodes, spares=spares, membership=how, **options)  # type: ignore[arg-type]
    s = stage(system=system, mutant=mutant)
    for k in range(nodes, nodes + spares):
        s.cluster.hosts[f"n{k}"].boot()
    s.campaign("n0")
    return s


def elect(s: Any, name: str) -> None:
    """A server stands for election after a long silence of the leader."""
    s.silence()
    s.campaign(name)


def done(s: Any, server: str, request: Any) -> bool:
    s.admin(server, request)
    return bool(s.client.admin[-1].done)


# Learners


@pytest.mark.parametrize("how", ["single", "joint"])
def test_a_learner_is_promoted_and_a_voter_demoted(stage: Any, how: str) -> None:
    s = cluster(stage, 3, 1, how)
    assert done(s, "n0", Join("n3", voter=False))
    assert s.node("n0").config == Config(("n0", "n1", "n2"), learners=("n3",))
    assert done(s, "n0", Join("n3"))
    assert s.node("n0").config == Config(("n0", "n1", "n2", "n3"))
    assert done(s, "n0", Join("n1", voter=False))
    assert s.node("n0").config == Config(("n0", "n2", "n3"), learners=("n1",))
    s.crash("n2", "n3")  # the learner's copy makes no majority
    s.ask("n0")
    s.settle()
    assert s.client.replies == []
    s.restart("n2")
    s.heartbeat("n0")
    assert len(s.client.replies) == 1


@pytest.mark.parametrize("how", ["single", "joint"])
def test_a_demoted_leader_steps_down_after_the_commit_and_does_not_campaign(stage: Any, how: str) -> None:
    s = cluster(stage, 3, 0, how)
    assert done(s, "n0", Join("n0", voter=False))
    assert s.node("n0").role == "follower"
    s.step("n0", "on_election_timeout")
    assert s.node("n0").role == "follower"
    elect(s, "n1")
    assert s.node("n1").config == Config(("n1", "n2"), learners=("n0",))
    assert s.node("n0").leader == "n1"


def test_the_last_voter_neither_leaves_nor_is_demoted(stage: Any) -> None:
    s = cluster(stage, 1)
    for request in (Leave("n0"), Join("n0", voter=False)):
        assert not done(s, "n0", request)
    assert s.node("n0").config == Config(("n0",))


def test_a_learner_grants_votes(stage: Any) -> None:
    """A learner may have become a voter without knowing it (etcd, TestLearnerCanVote)."""
    s = cluster(stage, 3, 1)
    assert done(s, "n0", Join("n3", voter=False))
    s.heartbeat("n0")
    s.cut(["n0"], ["n3"])
    assert done(s, "n0", Join("n3"))
    s.crash("n0")
    assert s.node("n3").config == Config(("n0", "n1", "n2"), learners=("n3",))
    elect(s, "n1")
    assert s.node("n1").role == "leader"  # with three votes of four
    assert s.node("n1").votes == {"n1", "n2", "n3"}


def test_a_learner_does_not_take_over_on_timeout_now(stage: Any) -> None:
    """The transferee was demoted while the message was in flight (etcd, demotion during a transfer)."""
    s = cluster(stage, 3, 0, transfer=True)
    assert done(s, "n0", Join("n1", voter=False))
    s.heartbeat("n0")
    s.deliver("n0", "n1", TimeoutNow(1))
    s.settle()
    assert s.node("n1").role == "follower"
    assert s.node("n0").role == "leader"
    s.admin("n0", Transfer("n1"))
    assert s.client.admin[-1].reason == "n1 cannot lead"


# Removal


def test_a_removal_lowers_the_quorum_and_commits_what_waited(stage: Any) -> None:
    """etcd, TestCommitAfterRemoveNode."""
    s = cluster(stage, 2)
    s.crash("n1")
    s.ask("n0")
    s.settle()
    assert s.client.replies == []
    assert done(s, "n0", Leave("n1"))
    assert len(s.client.replies) == 1


def test_a_split_cluster_recovers_by_removing_one_of_the_other_half(stage: Any) -> None:
    """hashicorp, TestRaft_RemoveFollower_SplitCluster."""
    s = cluster(stage, 4)
    s.partition(["n0", "n1"], ["n2", "n3"])
    s.ask("n0")
    s.settle()
    assert s.client.replies == []
    assert done(s, "n0", Leave("n3"))
    assert len(s.client.replies) == 1
    elect(s, "n2")
    assert s.node("n2").role == "candidate"  # it needs three of the four that it knows


@pytest.mark.parametrize("how", ["single", "joint"])
def test_a_leader_outside_the_new_configuration_finishes_the_change_and_steps_down(
    stage: Any, how: str
) -> None:
    """Thesis 4.2.2 and 4.3; etcd's auto-leave of joint consensus. It counts itself in no new quorum."""
    s = cluster(stage, 3, 2, how)
    assert done(s, "n0", Reconfigure(("n1", "n2", "n3", "n4")))
    assert s.node("n0").role == "follower"
    elect(s, "n3")
    assert s.node("n3").role == "leader"
    assert s.node("n3").config == Config(("n1", "n2", "n3", "n4"))
    s.step("n0", "on_election_timeout")
    assert s.node("n0").role == "follower"


def test_a_leader_that_dies_in_the_joint_phase_is_replaced_from_both_configurations(stage: Any) -> None:
    """etcd, replacing the leader inside a joint configuration."""
    s = cluster(stage, 3, 2, "joint")
    s.client.send("n0", Reconfigure(("n2", "n3", "n4")))
    while len(s.node("n0").configs) == 1:
        s.run(DELTA / 10)
    s.run(1.1 * DELTA)  # the joint configuration is with everyone, and with nobody known to be committed
    s.crash("n0")
    s.settle()
    assert {len(s.node(name).config.old) for name in ("n1", "n2", "n3", "n4")} == {3}
    s.crash("n1")
    elect(s, "n3")
    assert s.node("n3").role == "candidate"  # all of the new, and one of three of the old
    s.restart("n1")
    elect(s, "n3")
    assert s.node("n3").role == "leader"
    s.settle()
    assert s.node("n3").config == Config(("n2", "n3", "n4"))


def test_a_removed_server_with_a_higher_term_joins_again_and_the_cluster_settles(stage: Any) -> None:
    """hashicorp, TestRaft_ClusterCanRegainStability_WhenNonVoterWithHigherTermJoin."""
    s = stage(system=Raft(nodes=4, membership="single", heartbeat=0.05, detection=0.25), quiet=False)
    s.run(0.2)
    s.partition(["n3"], ["n0", "n1", "n2"])
    assert done(s, "n0", Leave("n3"))
    s.run(4.0)
    assert s.node("n3").current_term > 3
    s.heal()
    for _ in range(20):
        (leader,) = s.leaders(["n0", "n1", "n2"]) or ["n0"]
        if done(s, leader, Join("n3")):
            break
        s.run(0.5)
    s.run(1.0)
    (leader,) = s.leaders()
    assert set(s.node(leader).config.voters) == {"n0", "n1", "n2", "n3"}
    assert len({s.node(f"n{i}").current_term for i in range(4)}) == 1


# One change at a time


def test_a_new_leader_waits_for_the_change_that_it_found(stage: Any) -> None:
    """Its log has an uncommitted one of its predecessor's (etcd, the pending index of a new leader)."""
    s = cluster(stage, 5)
    s.cut(["n0"], ["n2", "n3", "n4"])
    s.client.send("n0", Leave("n4"))
    s.settle()
    s.crash("n0")
    s.silence()
    s.step("n1", "on_election_timeout")
    s.run(1.5 * DELTA)
    s.cut(["n1"], ["n2", "n3", "n4"])  # the votes are on their way
    s.settle()
    assert s.node("n1").role == "leader"
    assert not done(s, "n1", Leave("n3"))
    assert s.client.admin[-1].reason == "a change is under way"
    s.heal()
    s.heartbeat("n1")
    assert done(s, "n1", Leave("n3"))
    assert s.node("n1").config.voters == ("n0", "n1", "n2")


def test_a_change_goes_behind_the_commands_of_a_batch_that_waits(stage: Any) -> None:
    s = cluster(stage, 3, batch=10, batch_wait=50 * DELTA)
    s.ask("n0")
    s.ask("n0", session=2, sequence=1)
    s.run(5 * DELTA)
    s.client.send("n0", Leave("n2"))
    s.run(1.5 * DELTA)
    leader = s.node("n0")
    (index,) = [i for i in range(1, leader.last_index() + 1) if leader.entry_at(i).command.kind == "config"]
    assert index == 4
    assert leader.configs[-1] == (index, Config(("n0", "n1")))


def errata(stage: Any, mutant: Any = None, without_law: bool = False) -> Any:
    """Ongaro, "bug in single-server membership changes" (raft-dev, 10 July 2015), figure by figure.

    n0 leads {n0 ... n3} and adds n4, which only these two learn. n1 is elected by n2 and n3, and removes n0
    before it has committed anything of its own term: n1 and n2 are a majority of the three that are left. n0
    comes back, and n3 and n4 make it a majority of five.
    """
    s = cluster(stage, 4, 1, mutant=mutant)
    if without_law:
        s.cluster.watch_only(lambda i: not isinstance(i, OneChangeAtATime))
    s.heartbeat("n0")
    s.partition(["n0", "n4"], ["n1", "n2", "n3"])
    s.client.send("n0", Join("n4"))
    for _ in range(4):
        s.heartbeat("n0")
    assert s.node("n4").config.voters == ("n0", "n1", "n2", "n3", "n4")
    s.silence()
    s.step("n1", "on_election_timeout")
    s.run(1.5 * DELTA)
    s.cut(["n1"], ["n3"])  # the vote is on its way
    s.client.send("n1", Leave("n0"))
    s.run(0.6 * DELTA)
    assert s.node("n1").role == "leader"
    s.settle()
    s.heal()
    s.partition(["n0", "n3", "n4"], ["n1", "n2"])
    elect(s, "n0")
    elect(s, "n0")
    return s


def test_a_change_in_a_new_term_waits_for_a_commit_of_that_term(stage: Any) -> None:
    s = errata(stage)
    assert "nothing of this term is committed yet" in [answer.reason for answer in s.client.admin]
    assert s.node("n0").role == "leader"  # lawful: n1 has committed nothing
    s.heal()
    s.heartbeat("n0")
    s.finish()


def hasty(cls: type) -> type:
    """Changes at once, whatever is committed."""
    return type("Hasty", (cls,), {"can_change": lambda self, src: self.role == "leader"})


def test_a_change_before_the_first_commit_of_the_term_is_caught(stage: Any) -> None:
    with pytest.raises(SafetyViolation, match=r"^one change of members at a time"):
        errata(stage, hasty)


def test_a_change_before_the_first_commit_of_the_term_loses_what_was_committed(stage: Any) -> None:
    """The same, without the invariant that sees it coming: two leaders' quorums do not meet."""
    with pytest.raises(SafetyViolation, match=r"^(leader completeness|state machine safety|log matching)"):
        errata(stage, hasty, without_law=True)


def test_a_second_change_before_the_first_is_committed_is_caught(stage: Any) -> None:
    s = cluster(stage, 5, mutant=hasty)
    s.partition(["n0"], ["n1", "n2", "n3", "n4"])
    s.client.send("n0", Leave("n4"))
    s.client.send("n0", Leave("n3"))
    with pytest.raises(SafetyViolation, match=r"^one change of members at a time .* is not committed"):
        s.settle()
