"""Reads that bypass the log, where leaders change, hand over, crash and lag: never stale, and answered in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim import Scenario
from sim.faults import Pause
from sim.network import constant
from sim.protocols import Raft
from sim.protocols.admin import Join, Transfer
from sim.protocols.consensus.raft.extensions.reads import (
    ReadHeartbeat,
    ReadHeartbeatReply,
    ReadIndex,
    ReadIndexReply,
)
from sim.system import SafetyViolation
from sim.testing import Bench

DELTA = 0.001
FAST = {"heartbeat": 0.05, "detection": 0.25}


def change(**methods: Callable[..., Any]) -> Callable[[type], type]:
    return lambda cls: type("Mutant", (cls,), methods)


# At leaders


def leads_again(stage: Callable[..., Any], mutant: Callable[[type], type]) -> Any:
    """A heartbeat of n0's first term is late; n0 leads again, with fewer rounds, and is cut off from a new leader."""
    s = stage(system=Raft(nodes=3, reads="index"), mutant=mutant)
    s.campaign("n0")
    s.heartbeat("n0")
    for name in ("n2", "n0"):
        s.campaign(name)
        s.heartbeat(name)
    assert (s.node("n0").role, s.node("n0").current_term, s.node("n0").round) == ("leader", 3, 0)
    s.step("n1", "on_read_heartbeat", "n0", ReadHeartbeat(1, "n0", 5))
    s.run(5 * DELTA)
    s.partition(["n0"], ["n1", "n2"])
    s.campaign("n2")
    s.ask("n2", value="new", session=2)
    s.run(5 * DELTA)
    s.ask("n0", "get", session=3)
    s.run(5 * DELTA)
    return s


def test_a_round_of_an_earlier_term_confirms_no_read() -> None:
    bench = Bench(ReadIndex, "n1", members=("n0", "n1", "n2"), settings=Raft(nodes=3, reads="index"))
    bench.deliver("n2", ReadHeartbeat(3, "n2", 1))
    assert bench.take("n2", ReadHeartbeatReply) == [ReadHeartbeatReply(3, 1)]
    bench.deliver("n0", ReadHeartbeat(1, "n0", 5))
    assert bench.take("n0", ReadHeartbeatReply) == [ReadHeartbeatReply(3, 0)]


def test_a_leader_that_counts_a_round_of_its_earlier_term_reads_what_is_old(
    stage: Callable[..., Any],
) -> None:
    def on_read_heartbeat(self: Any, src: str, msg: ReadHeartbeat) -> None:
        self.send(src, ReadHeartbeatReply(max(self.current_term, msg.term), msg.round))

    assert [reply.session for reply in leads_again(stage, change()).client.replies] == [2]
    with pytest.raises(SafetyViolation, match="reads are fresh"):
        leads_again(stage, change(on_read_heartbeat=on_read_heartbeat))


# At followers


def test_a_read_whose_leader_is_deposed_meanwhile_is_sent_to_the_new_one(stage: Any) -> None:
    s = stage(system=Raft(nodes=3, reads="follower"))
    s.campaign("n0")
    s.heartbeat("n0")
    s.partition(["n0"], ["n1"])  # n0's heartbeats reach n2 only
    s.ask("n2", "get")
    s.run(1.5 * DELTA)
    s.cut(["n0"], ["n2"])
    s.campaign("n1")
    assert s.node("n1").role == "leader"
    assert s.client.replies == []
    s.heal()
    s.heartbeat("n1")
    s.ask("n2", "get", session=2)
    s.settle()
    assert [reply.session for reply in s.client.replies][-1] == 2
    assert s.messages("ReadIndexRequest")[-1] == ("n2", "n1")


def test_a_follower_does_not_believe_a_read_index_of_an_older_term_about_its_log(stage: Any) -> None:
    """The index is still good for the read, but says nothing of what is committed here."""
    s = stage(system=Raft(nodes=3, reads="follower"))
    s.campaign("n0")
    s.heartbeat("n0")
    s.partition(["n0"], ["n1", "n2"])
    s.ask("n1", "get", session=9, sequence=1)
    s.run(1.1 * DELTA)
    s.campaign("n2")
    assert s.node("n1").current_term == 2
    s.cut(["n2"], ["n1"])
    s.step("n1", "on_read_index_reply", "n0", ReadIndexReply(1, 9, 1, 7))
    assert s.node("n1").commit_index < 7
    assert s.client.replies == []


def test_a_learner_serves_reads(stage: Any) -> None:
    s = stage(system=Raft(nodes=3, spares=1, membership="single", reads="follower"))
    s.cluster.hosts["n3"].boot()
    s.campaign("n0")
    s.admin("n0", Join("n3", voter=False))
    s.ask("n0", "put", "x", 5)
    s.settle()
    s.heartbeat("n0")
    s.ask("n3", "get")
    s.settle()
    assert s.client.replies[-1].value == 5
    assert s.messages("ReadIndexRequest")[-1] == ("n3", "n0")


def test_answers_that_come_twice_or_from_an_older_term_confirm_nothing(stage: Any) -> None:
    s = stage(system=Raft(nodes=5, reads="index"))
    s.campaign("n0")
    s.partition(["n0"], ["n1", "n2", "n3", "n4"])
    s.ask("n0", "get")
    s.settle()
    number = s.node("n0").round
    for answer in (
        ReadHeartbeatReply(1, number),
        ReadHeartbeatReply(1, number),
        ReadHeartbeatReply(0, number),
    ):
        s.step("n0", "on_read_heartbeat_reply", "n1", answer)
    s.step("n0", "on_read_heartbeat_reply", "n2", ReadHeartbeatReply(0, number))
    s.settle()
    assert s.client.replies == []
    s.step("n0", "on_read_heartbeat_reply", "n2", ReadHeartbeatReply(1, number))
    s.settle()
    assert len(s.client.replies) == 1


# Under leases


def read_after_handing_over(stage: Any, mutant: Any = None) -> Any:
    """n0 holds a lease, tells n1 to take over, and is cut off before it hears that n1 does."""
    s = stage(system=Raft(nodes=3, reads="lease", transfer=True, **FAST), quiet=False, mutant=mutant)
    s.run(0.2)
    assert s.node("n0").holds_lease()
    s.client.send("n0", Transfer("n1"))
    s.run(1.5 * DELTA)
    s.partition(["n0"], ["n1", "n2"])  # TimeoutNow is on its way
    s.run(0.01)
    assert s.node("n1").role == "leader"
    s.ask("n1", "put", "x", 2)
    s.run(0.01)
    assert s.node("n0").monotonic < s.node("n0").lease_until
    s.ask("n0", "get")
    s.run(0.02)
    return s


def test_a_leader_that_hands_over_gives_its_lease_up_first(stage: Any) -> None:
    s = read_after_handing_over(stage)
    assert [reply.value for reply in s.client.replies] == [2]
    s.heal()
    s.run(1.0)
    assert s.node("n0").role == "follower"


def test_a_lease_that_is_kept_during_a_transfer_is_caught(stage: Any) -> None:
    keeps = change(holds_lease=lambda self: self.monotonic < self.lease_until)
    with pytest.raises(SafetyViolation, match=r"^a lease excludes other leaders"):
        read_after_handing_over(stage, keeps)


def restarted_voter(stage: Any, mutant: Any = None) -> Any:
    """n1 and n2 have answered n0's heartbeat, and crash; n0 is cut off; they come back and n1 asks n2 for its vote."""
    s = stage(system=Raft(nodes=3, reads="lease", **FAST), quiet=False, mutant=mutant)
    s.run(0.2)
    s.partition(["n0"], ["n1", "n2"])
    s.crash("n1", "n2")
    s.restart("n1", "n2")
    s.step("n1", "on_election_timeout")
    s.run(0.01)
    return s


def test_a_voter_that_restarts_keeps_the_leaders_lease_although_it_has_forgotten_it(stage: Any) -> None:
    s = restarted_voter(stage)
    assert s.node("n0").holds_lease()
    assert s.node("n1").role == "candidate"


def test_a_voter_that_forgets_a_lease_by_restarting_is_caught(stage: Any) -> None:
    def on_start(self: Any) -> None:
        super(type(self), self).on_start()
        self.leader_contact = -float("inf")

    with pytest.raises(SafetyViolation, match=r"^a server that hears a leader elects no other"):
        restarted_voter(stage, change(on_start=on_start))


def test_without_a_majority_a_lease_runs_out_and_reads_wait(stage: Any) -> None:
    """hashicorp, lease expiry: both sides are without a leader that anybody may read from."""
    s = stage(system=Raft(nodes=2, reads="lease", check_quorum=True, **FAST), quiet=False)
    s.run(0.2)
    s.partition(["n0"], ["n1"])
    s.run(1.0)
    assert s.leaders() == []
    s.ask("n0", "get")
    s.ask("n1", "get", session=2, sequence=1)
    s.run(0.1)
    assert s.client.replies == []
    assert {redirect.session for redirect in s.client.redirects} == {1, 2}
    s.heal()
    s.run(2.0)
    assert len(s.leaders()) == 1


def test_a_leader_after_a_pause_finds_its_entries_committed_and_breaks_no_lease() -> None:
    """Its commit index reaches what its successor has committed: nothing is committed by it that was not."""
    for seed in range(4):
        run = Scenario(
            system=Raft(nodes=3, reads="lease"),
            network=constant(0.02),
            faults=[Pause("leader", at=1.0, duration=1.5)],
            duration=3.0,
            check=True,
        ).run(seed)
        assert run.violation is None, run.violation
