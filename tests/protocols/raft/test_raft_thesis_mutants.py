"""The extensions' invariants catch the bugs that they are there for. Ids are those of the catalogue of bugs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.cluster import Clock, Machine
from sim.network.disturbances import Disturbance
from sim.protocols import Raft
from sim.protocols.admin import Reconfigure
from sim.protocols.consensus.raft.extensions.elections import PreVoteReply, TimeoutNow, TransferVote
from sim.protocols.consensus.raft.extensions.snapshots import InstallSnapshot, Snapshot
from sim.protocols.consensus.raft.node import AppendEntries, RaftNode, RequestVote
from sim.system import SafetyViolation


def violation(invariant: str) -> Any:
    return pytest.raises(SafetyViolation, match=f"^{invariant}")


def change(**methods: Callable[..., Any]) -> Callable[[type], type]:
    """A mutant maker: the class with some methods replaced."""
    return lambda cls: type("Mutant", (cls,), methods)


same = change()


# Reads


def read_at_a_new_leader(stage: Any, mutant: Callable[[type], type], seconds: float = 0.0) -> None:
    """n1 has been elected, and has not yet learned what n0 had committed, when a client reads from it."""
    s = stage(system=Raft(nodes=3, reads="index"), mutant=mutant)
    s.campaign("n0")
    s.ask("n0")
    s.settle()
    s.crash("n0")
    s.campaign("n1", 0.0021)
    assert s.node("n1").role == "leader"
    s.cut(["n1"], [])
    s.ask("n1", "get")
    s.settle()
    assert [reply.value for reply in s.client.replies] == [1, 1]


def test_a_read_waits_for_the_first_commit_of_the_term(stage: Any) -> None:
    read_at_a_new_leader(stage, same)


def test_rf7_a_read_index_before_the_first_commit_of_the_term(stage: Any) -> None:
    """etcd-io/etcd#7331; tikv/tikv#6340."""
    mutant = change(
        has_committed_in_term=lambda self: True,
        is_quorum=lambda self, servers: self.role == "leader" or 2 * len(servers) > 3,
    )
    with violation("reads are fresh"):
        read_at_a_new_leader(stage, mutant)


def read_at_a_deposed_leader(stage: Any, mutant: Callable[[type], type], reads: str = "index") -> Any:
    s = stage(system=Raft(nodes=3, reads=reads), mutant=mutant)
    s.campaign("n0")
    s.partition(["n0"], ["n1", "n2"])
    s.campaign("n1")
    s.ask("n1", "put", "x", 2)
    s.settle()
    s.ask("n0", "get")
    s.settle()
    return s


def test_a_deposed_leader_answers_no_read(stage: Any) -> None:
    assert len(read_at_a_deposed_leader(stage, same).client.replies) == 1


def test_rf8_a_leader_that_reads_without_confirming_its_leadership_is_caught(stage: Any) -> None:
    """Jepsen on etcd and Consul, 2014."""

    def read(self: Any, asked: Any) -> None:
        self.serve(self.commit_index, asked)

    with violation("reads are fresh"):
        read_at_a_deposed_leader(stage, change(read=read))


def read_under_an_old_lease(stage: Any, mutant: Callable[[type], type], drift: float, unsafe: float) -> None:
    """n0's clock is slow; it is cut off right after a round, and n1 is elected as soon as that may be."""
    system = Raft(
        nodes=3, reads="lease", heartbeat=0.05, detection=0.5, clock_drift=drift, lease=unsafe, unsafe=True
    )
    hosts = {"n0": Machine(clock=Clock(drift=-0.2)), "n1": Machine(clock=Clock(drift=0.2))}
    s = stage(system=system, mutant=mutant, machines=hosts, quiet=False)
    s.run(0.2)
    s.partition(["n0"], ["n1", "n2"])
    s.node("n2").cancel_timer("election")
    while s.node("n1").trusts_leader() or s.node("n2").trusts_leader():
        s.run(0.001)
    s.step("n1", "on_election_timeout")
    s.run(0.010)
    assert s.node("n1").role == "leader"
    s.ask("n1", "put", "x", 2)
    s.run(0.010)
    s.ask("n0", "get")
    s.run(0.010)


def test_a_lease_with_the_right_margin_has_run_out_when_another_can_lead(stage: Any) -> None:
    longest = 0.5 * 0.8 / 1.2
    read_under_an_old_lease(stage, same, drift=0.2, unsafe=longest)


def test_rf9_a_lease_without_a_margin_for_drift(stage: Any) -> None:
    """tikv/tikv#964; sofa-jraft#34: too long by what clocks drift apart. Refused unless unsafe."""
    with pytest.raises(ValueError, match=r"lease must be at most 0.333333 s .* not 0.5 s"):
        Raft(reads="lease", heartbeat=0.05, detection=0.5, clock_drift=0.2, lease=0.5)
    with violation("a lease excludes other leaders"):
        read_under_an_old_lease(stage, same, drift=0.0, unsafe=0.5)


def slow_answers(stage: Any, mutant: Callable[[type], type]) -> None:
    """Heartbeats arrive at once and their answers take 0.4 s; then n0 is cut off, and n1 is elected."""
    system = Raft(nodes=3, reads="lease", heartbeat=0.25, detection=0.5)
    s = stage(system=system, mutant=mutant, quiet=False, delta=0.01)
    s.run(0.1)
    for follower in ("n1", "n2"):
        s.cluster.network.disturb([(follower, "n0")], Disturbance(slowdown=40.0))
    s.run(0.5)
    s.cut(["n0"], ["n1", "n2"])
    s.node("n2").cancel_timer("election")
    while s.node("n1").trusts_leader() or s.node("n2").trusts_leader():
        s.run(0.001)
    s.step("n1", "on_election_timeout")
    s.run(0.03)
    s.ask("n1", "put", "x", 2)
    s.run(0.05)
    assert [reply.value for reply in s.client.replies] == [2]
    s.ask("n0", "get")
    s.run(0.05)


def voter_that_restarts(stage: Any, mutant: Callable[[type], type]) -> Any:
    system = Raft(nodes=3, reads="lease", heartbeat=0.05, detection=0.5)
    s = stage(system=system, mutant=mutant, quiet=False)
    s.run(0.2)
    s.partition(["n0"], ["n1", "n2"])
    s.crash("n2")
    s.restart("n2")
    s.step("n1", "on_election_timeout")
    s.run(0.05)
    return s


def test_a_voter_that_restarts_keeps_the_lease_that_it_has_confirmed(stage: Any) -> None:
    assert voter_that_restarts(stage, same).node("n1").role == "candidate"

    def on_vote(self: Any, src: str, msg: RequestVote) -> None:
        self.leader_contact = -float("inf")
        RaftNode.on_request_vote(self, src, msg)

    with violation("a server that hears a leader elects no other"):
        voter_that_restarts(stage, change(on_request_vote=on_vote))


def test_a_lease_runs_from_when_the_heartbeats_were_sent(stage: Any) -> None:
    slow_answers(stage, same)


def test_rf9_a_lease_counted_from_the_answer(stage: Any) -> None:
    """yugabyte-db#16."""

    def begin(self: Any) -> None:
        for number in self.round_began:
            self.round_began[number] = self.monotonic

    def on_read_heartbeat_reply(self: Any, src: str, msg: Any) -> None:
        begin(self)
        super(type(self), self).on_read_heartbeat_reply(src, msg)

    with violation("a lease excludes other leaders"):
        slow_answers(stage, change(on_read_heartbeat_reply=on_read_heartbeat_reply))


# Membership


def union_majority(self: Any, config: Any, servers: set[str]) -> bool:
    everyone = {*config.voters, *config.old}
    return 2 * len(servers & everyone) > len(everyone)


def test_rf13_a_joint_quorum_counted_over_the_union(stage: Any) -> None:
    """Section 6; etcd's quorum/testdata/joint_commit.txt: {n0,n1,n2} -> {n0,n3,n4}."""

    def run(mutant: Callable[[type], type]) -> None:
        s = stage(system=Raft(nodes=3, spares=2, membership="joint"), mutant=mutant)
        for spare in ("n3", "n4"):
            s.cluster.hosts[spare].boot()
        s.campaign("n0")
        s.admin("n0", Reconfigure(("n0", "n3", "n4")))
        s.finish()

    run(same)
    with violation("quorums of successive configurations intersect"):
        run(change(is_quorum_of=union_majority))


# Snapshots


def follower_with_a_suffix(stage: Any, mutant: Callable[[type], type]) -> None:
    """n1 acknowledges indices 2 to 5; then a late snapshot of index 2 reaches it."""
    s = stage(system=Raft(nodes=3, snapshot_every=100), mutant=mutant)
    s.campaign("n0")
    for _ in range(4):
        s.ask("n0")
        s.run(0.01)
    s.node("n1").commit_index = s.node("n1").last_applied = 1
    leader = s.node("n0")
    fold = leader.empty_store()
    for index in (1, 2):
        fold.apply(leader.entry_at(index).command)
    s.crash("n1")
    s.restart("n1")
    s.deliver("n0", "n1", InstallSnapshot(1, "n0", Snapshot(2, 1, fold.snapshot())))
    assert s.node("n1").last_index() == 5
    assert s.node("n1").last_applied == 2


def test_a_late_snapshot_leaves_what_follows_it(stage: Any) -> None:
    follower_with_a_suffix(stage, same)


def test_rf17_a_snapshot_that_always_resets_the_log(stage: Any) -> None:
    """camunda/camunda#6092."""
    with violation("acknowledged entries are kept"):
        follower_with_a_suffix(stage, change(has=lambda self, index, term: False))


def divergent_tail_over_a_snapshot(stage: Any, mutant: Callable[[type], type]) -> Any:
    """n0's log goes its own way over the index of the snapshot that it is sent."""
    s = stage(system=Raft(nodes=3, snapshot_every=2), mutant=mutant)
    s.campaign("n0")
    s.partition(["n0"], ["n1", "n2"])
    for session in range(5):
        s.ask("n0", session=session, sequence=1)
    s.settle()
    s.campaign("n1")
    for session in range(5, 10):
        s.ask("n1", session=session, sequence=1)
        s.run(0.01)
    s.heal()
    s.node("n1").snapshot_sent.clear()  # what was sent into the partition is lost
    for _ in range(10):
        s.heartbeat("n1", 0.02)
    return s


def test_a_divergent_log_is_replaced_by_a_snapshot(stage: Any) -> None:
    s = divergent_tail_over_a_snapshot(stage, same)
    assert s.node("n0").last_applied == s.node("n1").last_applied == 7
    assert len([1 for src, dst in s.messages("InstallSnapshot") if dst == "n0"]) == 2  # the first was lost
    s.finish()


def test_rf18_a_conflicting_entry_at_the_snapshots_index_retained(stage: Any) -> None:
    """hashicorp/raft#697: the index exists, so the log is kept, whatever its term."""

    def has(self: Any, index: int, term: int) -> bool:
        return bool(self.floor() <= index <= self.last_index())

    with violation("(log matching|state machine safety|durable before send|acknowledged logs match)"):
        divergent_tail_over_a_snapshot(stage, change(has=has))


def test_rf20_a_snapshot_without_the_sessions(stage: Any) -> None:
    """Thesis, 6.3; RedisLabs/redisraft#568."""

    def state(self: Any) -> Any:
        data, _, skipped = self.store.snapshot()
        return data, (), skipped

    def run(mutant: Callable[[type], type]) -> None:
        s = stage(system=Raft(nodes=3, snapshot_every=3), mutant=mutant)
        s.campaign("n0")
        for _ in range(5):
            s.ask("n0", "increment", "x", 1)
            s.run(0.01)

    run(same)
    with violation("a snapshot is the fold of the log"):
        run(change(state=state))


def test_a_snapshot_with_the_term_of_its_server_and_not_of_its_last_entry(stage: Any) -> None:
    def take_snapshot(self: Any) -> None:
        index = self.last_applied
        self.snapshot = Snapshot(index, self.current_term + 1, self.state(), None)

    s = stage(system=Raft(nodes=3, snapshot_every=2), mutant=change(take_snapshot=take_snapshot))
    s.campaign("n0")
    with violation(
        "a snapshot is the fold of the log .* is of term 1; but the snapshot of n0 says .* term 2"
    ):
        s.ask("n0")
        s.run(0.05)


def test_a_snapshot_of_what_is_not_committed(stage: Any) -> None:
    def take_snapshot(self: Any) -> None:
        index = self.last_index()
        self.snapshot = Snapshot(index, self.term_at(index), self.state(), None)

    s = stage(system=Raft(nodes=3, snapshot_every=2), mutant=change(take_snapshot=take_snapshot))
    s.campaign("n0")
    for session in range(4):  # all at once: the first is applied while the last is not committed
        s.ask("n0", session=session, sequence=1)
        s.run(0.0005)
    with violation("a snapshot is the fold of the log .* entries are committed"):
        s.settle()


# Leadership transfer


def heir_with_a_slow_disk(stage: Any, mutant: Callable[[type], type]) -> Any:
    s = stage(system=Raft(nodes=3, transfer=True), mutant=mutant, fsync=0.005)
    s.campaign("n0")
    s.deliver("n0", "n1", TimeoutNow(1))
    s.settle()
    return s


def test_an_heir_asks_for_votes_when_its_own_is_on_disk(stage: Any) -> None:
    assert heir_with_a_slow_disk(stage, same).node("n1").role == "leader"


def test_an_heir_that_asks_before_its_own_vote_is_on_disk(stage: Any) -> None:
    def send(self: Any, dst: str, msg: Any, *, hold: bool = True) -> None:
        self.host.send(dst, msg, hold and not isinstance(msg, TransferVote))

    with violation("durable before send"):
        heir_with_a_slow_disk(stage, change(send=send))


# Elections: liveness


def low_term_and_long_log(stage: Any, mutant: Callable[[type], type]) -> Any:
    """n0 has the longest log and a low term; n2 has a higher term and a short log. n1 is gone."""
    s = stage(system=Raft(nodes=3, pre_vote=True), mutant=mutant)
    s.campaign("n0")
    s.cut(["n0"], ["n2"])
    s.ask("n0")
    s.settle()
    s.cut(["n2"], ["n0", "n1"])
    s.node("n2").campaign()
    s.node("n2").campaign()
    s.settle()
    s.heal()
    s.crash("n0", "n1")
    s.restart("n0")
    s.silence()
    for _ in range(3):
        s.campaign("n0")
        s.campaign("n2")
    return s


def test_a_server_of_a_low_term_learns_the_higher_one_and_wins(stage: Any) -> None:
    assert low_term_and_long_log(stage, same).node("n0").role == "leader"


def test_rf22_a_rejected_pre_candidate_that_never_learns_the_term(stage: Any) -> None:
    """etcd-io/etcd#8243; databendlabs/openraft#1796."""

    def on_pre_vote_reply(self: Any, src: str, msg: PreVoteReply) -> None:
        if msg.granted:
            super(type(self), self).on_pre_vote_reply(src, msg)

    s = low_term_and_long_log(stage, change(on_pre_vote_reply=on_pre_vote_reply))
    assert s.node("n0").role != "leader"
    assert s.node("n2").role != "leader"


def test_rf23_a_server_cut_off_from_the_leader_alone_disturbs_without_pre_vote(stage: Any) -> None:
    """Cloudflare, 2 November 2020: n2 does not hear n0, and both hear n1."""

    def leaders(**options: Any) -> int:
        s = stage(system=Raft(nodes=3, heartbeat=0.05, detection=0.5, **options), quiet=False)
        s.run(0.5)
        s.cut(["n0"], ["n2"])
        s.cut(["n2"], ["n0"])
        s.run(30.0)
        return len(s.events("elected"))

    assert leaders() > 1
    assert leaders(pre_vote=True, check_quorum=True) == 1


def test_a_stale_append_below_the_snapshot_is_harmless(stage: Any) -> None:
    s = stage(system=Raft(nodes=3, snapshot_every=2))
    s.campaign("n0")
    first = s.node("n0").entry_at(1)
    for _ in range(6):
        s.ask("n0")
        s.run(0.01)
    s.heartbeat("n0")
    before = s.logs()["n1"]
    assert s.node("n1").floor() > 1
    s.deliver("n0", "n1", AppendEntries(1, "n0", 0, 0, (first,), 0))
    s.settle()
    assert s.logs()["n1"] == before
