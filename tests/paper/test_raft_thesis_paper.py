"""Raft's extensions against Ongaro's thesis (Stanford 2014) and section 7 of the paper, sentence by sentence."""

from __future__ import annotations

from typing import Any

import pytest

from sim.lab import Scenario
from sim.network import constant
from sim.protocols import Raft
from sim.protocols.admin import AdminReply, Drain, Join, Leave, Reconfigure, Transfer
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.command import Command
from sim.protocols.consensus.raft.extensions.elections import (
    PreVote,
    PreVoteReply,
    TimeoutNow,
    TransferVote,
)
from sim.protocols.consensus.raft.extensions.membership import Config, config_command
from sim.protocols.consensus.raft.extensions.reads import (
    ReadHeartbeat,
    ReadHeartbeatReply,
    ReadIndexReply,
    ReadIndexRequest,
)
from sim.protocols.consensus.raft.extensions.replication import AppendEntriesConflict
from sim.protocols.consensus.raft.extensions.snapshots import InstallSnapshot, Snapshot
from sim.protocols.consensus.raft.node import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    RequestVote,
    RequestVoteReply,
)
from sim.protocols.kv import KeyValueStore
from sim.protocols.sessions import Sessions
from sim.testing import Bench

FIVE = ("n0", "n1", "n2", "n3", "n4")


def put(sequence: int, session: int = 1) -> Command:
    return Command(session, sequence, "put", "x", sequence)


GET = Command(2, 1, "get", "x")


def server(n: int = 3, name: str = "n0", log: tuple[int, ...] = (), **options: Any) -> Any:
    """A bench with a follower whose log has entries of the given terms."""
    system = Raft(nodes=n, leader=FIVE[n - 1], **options)
    members = [member.name for member in system.members()]
    bench = Bench(system.members()[0].node_class, name, members=members, settings=system, keep_own=True)
    for index, term in enumerate(log, 1):
        bench.node.log.append(Entry.of(term, put(index)))
    bench.node.current_term = log[-1] if log else 0
    return bench


def leader(n: int = 3, committed: bool = True, **options: Any) -> Any:
    """A bench with the leader of term 1; its no-op is committed unless said otherwise."""
    bench = server(n, **options)
    bench.node.campaign()
    bench.deliver_self()
    for voter in FIVE[1 : n // 2 + 1]:
        bench.deliver(voter, RequestVoteReply(1, True))
    bench.deliver_self()
    if committed:
        for follower in FIVE[1:n]:
            acknowledge(bench, follower, 1)
        assert bench.node.commit_index == 1
    bench.take()
    return bench


def acknowledge(bench: Any, follower: str, index: int) -> None:
    bench.deliver(follower, AppendEntriesReply(bench.node.current_term, True, index))


def hears_leader(bench: Any, term: int = 1) -> None:
    bench.deliver("n1", AppendEntries(term, "n1", 0, 0, (), 0))
    bench.take()


# 4.2.3 and 6.2: leader stickiness, CheckQuorum


def test_a_request_within_the_minimum_timeout_of_hearing_from_a_leader_is_ignored() -> None:
    bench = server(check_quorum=True)
    hears_leader(bench)
    bench.time += 0.49
    assert bench.deliver("n2", RequestVote(9, "n2", 9, 9)) == []
    assert (bench.node.current_term, bench.node.voted_for) == (1, None)
    bench.time += 0.02
    assert bench.deliver("n2", RequestVote(9, "n2", 9, 9)) == [("n2", RequestVoteReply(9, True))]


def test_a_leader_ignores_a_disruptive_server() -> None:
    bench = leader(check_quorum=True)
    assert bench.deliver("n2", RequestVote(9, "n2", 9, 9)) == []
    assert (bench.node.role, bench.node.current_term) == ("leader", 1)


def test_a_restarted_server_holds_still_for_a_timeout_because_it_does_not_remember() -> None:
    bench = server(check_quorum=True)
    hears_leader(bench)
    bench.restart()
    assert bench.deliver("n2", RequestVote(9, "n2", 9, 9)) == []
    bench.time += 0.51
    assert bench.deliver("n2", RequestVote(9, "n2", 9, 9)) == [("n2", RequestVoteReply(9, True))]


def test_a_leader_that_hears_from_no_majority_for_an_election_timeout_steps_down() -> None:
    bench = leader(5, check_quorum=True)
    acknowledge(bench, "n1", 1)
    bench.fire("quorum")  # heard from n1 to n4 within the last timeout
    assert bench.node.role == "leader"
    bench.time += 0.3
    acknowledge(bench, "n1", 1)
    bench.fire("quorum")  # from n1 alone
    assert (bench.node.role, bench.node.current_term) == ("follower", 1)


def test_a_leader_that_hears_from_a_majority_stays() -> None:
    bench = leader(5, check_quorum=True)
    for _ in range(5):
        bench.time += 0.3
        acknowledge(bench, "n1", 1)
        bench.deliver("n2", AppendEntriesReply(1, False, 0))  # a rejection is a sign of life, too
        bench.fire("quorum")
    assert bench.node.role == "leader"


def test_a_leader_that_steps_down_sends_its_clients_away() -> None:
    bench = leader(check_quorum=True)
    bench.deliver("client", Request(put(1)))
    bench.take()
    bench.time += 1.0
    bench.fire("quorum")
    assert bench.take("client") == [Redirect(1, 1, None)]


def test_a_stuck_candidate_of_a_higher_term_is_freed_by_the_leaders_next_message() -> None:
    """Its reply brings the leader to the higher term (etcd: TestFreeStuckCandidateWithCheckQuorum)."""
    stuck = server(check_quorum=True, name="n2")
    for _ in range(3):
        stuck.node.campaign()
    stuck.take()
    ((_, reply),) = stuck.deliver("n0", AppendEntries(1, "n0", 0, 0, (), 0))
    bench = leader(check_quorum=True)
    bench.deliver("n2", reply)
    assert (bench.node.role, bench.node.current_term) == ("follower", 3)


# 9.3: election timeouts


def test_election_timeouts_may_be_spread_less_or_more() -> None:
    bench = server(timeout_spread=1.5)
    drawn = [bench.node.draw_election_timeout() for _ in range(200)]
    assert 0.5 <= min(drawn) < 0.51
    assert 0.74 < max(drawn) < 0.75


# 9.6: PreVote


def test_pre_vote_changes_nothing_at_either_side() -> None:
    bench = server(pre_vote=True)
    bench.fire("election")
    assert (bench.node.current_term, bench.node.voted_for, bench.node.role) == (0, None, "follower")
    assert bench.take() == [PreVote(1, "n0", 0, 0)] * 2
    bench.deliver("n1", PreVote(7, "n1", 0, 0))
    assert bench.take() == [PreVoteReply(0, True, 7)]
    assert (bench.node.current_term, bench.node.voted_for) == (0, None)


@pytest.mark.parametrize("granted", [True, False])
def test_a_candidate_increments_its_term_only_with_the_consent_of_a_majority(granted: bool) -> None:
    bench = server(5, pre_vote=True)
    bench.fire("election")
    bench.take()
    bench.deliver("n1", PreVoteReply(0, True, 1))
    assert bench.take() == []
    bench.deliver("n2", PreVoteReply(0, granted, 1))
    assert (bench.node.role == "candidate") is granted
    assert bench.node.current_term == (1 if granted else 0)


def test_pre_votes_are_refused_to_a_log_that_is_behind() -> None:
    bench = server(pre_vote=True, log=(1, 2))
    assert bench.deliver("n1", PreVote(9, "n1", 5, 1)) == [("n1", PreVoteReply(2, False, 9))]


def test_pre_votes_are_refused_while_a_leader_sends_heartbeats() -> None:
    bench = server(pre_vote=True)
    hears_leader(bench)
    assert bench.deliver("n2", PreVote(2, "n2", 5, 5)) == [("n2", PreVoteReply(1, False, 2))]
    bench.time += 0.51
    assert bench.deliver("n2", PreVote(2, "n2", 5, 5)) == [("n2", PreVoteReply(1, True, 2))]


def test_a_leader_refuses_pre_votes() -> None:
    bench = leader(pre_vote=True)
    assert bench.deliver("n2", PreVote(2, "n2", 9, 9)) == [("n2", PreVoteReply(1, False, 2))]


def test_a_rejected_pre_candidate_learns_a_higher_term() -> None:
    """RF22: a server with a long log and a low term could ask forever without success."""
    bench = server(pre_vote=True, log=(1, 1))
    bench.fire("election")
    bench.deliver("n1", PreVoteReply(5, False, 2))
    assert bench.node.current_term == 5


def test_pre_votes_that_arrive_after_a_heartbeat_of_the_leader_do_not_count() -> None:
    bench = server(pre_vote=True)
    bench.fire("election")
    hears_leader(bench, term=0)
    bench.deliver("n1", PreVoteReply(0, True, 1))
    assert bench.node.current_term == 0


# 3.10: leadership transfer


def test_a_transfer_to_an_up_to_date_server_sends_timeout_now() -> None:
    bench = leader(transfer=True)
    assert bench.deliver("admin", Transfer("n1")) == [("n1", TimeoutNow(1))]


def test_a_target_that_lags_is_brought_up_to_date_first() -> None:
    bench = leader(committed=False, transfer=True)
    bench.deliver("admin", Transfer("n1"))
    assert [type(m) for m in bench.take("n1")] == [AppendEntries]
    acknowledge(bench, "n1", 1)
    assert bench.take("n1", TimeoutNow) == [TimeoutNow(1)]


def test_the_prior_leader_accepts_no_new_requests() -> None:
    bench = leader(transfer=True)
    bench.deliver("admin", Transfer("n1"))
    bench.take()
    assert bench.deliver("client", Request(put(1))) == [("client", Redirect(1, 1, None))]
    assert bench.node.last_index() == 1


def test_the_target_begins_an_election_at_once_and_is_not_held_up_by_stickiness() -> None:
    transferee = server(name="n1", transfer=True, check_quorum=True, log=(1,))
    transferee.deliver("n0", AppendEntries(1, "n0", 1, 1, (), 1))
    transferee.take()
    transferee.deliver("n0", TimeoutNow(1))
    (request,) = transferee.take("n2")
    assert request == TransferVote(2, "n1", 1, 1)
    voter = server(name="n2", transfer=True, check_quorum=True, log=(1,))
    voter.deliver("n0", AppendEntries(1, "n0", 1, 1, (), 1))
    voter.take()
    assert voter.deliver("n1", RequestVote(2, "n1", 1, 1)) == []
    assert voter.deliver("n1", request) == [("n1", RequestVoteReply(2, True))]


def test_a_transfer_that_takes_longer_than_an_election_timeout_is_given_up() -> None:
    bench = leader(transfer=True)
    bench.deliver("admin", Transfer("n1"))
    bench.take()
    assert bench.timers["transfer", None] == bench.time + 0.5
    bench.fire("transfer")
    (answer,) = bench.take("admin")
    assert (answer.done, answer.leader) == (False, "n0")
    bench.deliver("client", Request(put(1)))
    assert bench.node.last_index() == 2


@pytest.mark.parametrize(("to", "done"), [("n0", True), ("n9", False)])
def test_a_transfer_to_itself_is_done_and_to_an_unknown_server_is_refused(to: str, done: bool) -> None:
    bench = leader(transfer=True)
    ((_, answer),) = bench.deliver("admin", Transfer(to))
    assert answer.done is done


def test_a_second_transfer_is_refused_and_a_follower_names_the_leader() -> None:
    bench = leader(transfer=True)
    bench.deliver("admin", Transfer("n1"))
    ((_, answer),) = bench.deliver("admin", Transfer("n2"))
    assert answer == AdminReply(False, "n0", "n1 is to lead")
    follower = server(transfer=True)
    hears_leader(follower)
    ((_, answer),) = follower.deliver("admin", Transfer("n2"))
    assert (answer.done, answer.leader) == (False, "n1")


def test_a_transfer_ends_with_the_leaders_term_and_its_asker_is_sent_to_the_transferee() -> None:
    bench = leader(transfer=True)
    bench.deliver("admin", Transfer("n1"))
    bench.take()
    bench.deliver("n1", RequestVote(2, "n1", 1, 1))
    assert bench.take("admin") == [AdminReply(False, "n1", "no longer leads")]


def test_a_late_timeout_now_of_an_older_term_does_nothing() -> None:
    bench = server(transfer=True, log=(3,))
    assert bench.deliver("n1", TimeoutNow(2)) == []


def test_draining_a_leader_makes_another_lead() -> None:
    bench = leader(transfer=True)
    bench.deliver("admin", Drain("n0"))
    assert [type(m) for m in bench.take()] == [TimeoutNow]
    other = leader(transfer=True)
    ((_, answer),) = other.deliver("admin", Drain("n2"))
    assert answer.done


# 5.3 of the paper: fast backtracking


def test_a_rejection_names_the_conflicting_term_and_its_first_index() -> None:
    bench = server(fast_backtracking=True, log=(1, 4, 4, 4))
    ((_, reply),) = bench.deliver("n1", AppendEntries(6, "n1", 4, 6, (), 0))
    assert reply == AppendEntriesConflict(6, 4, 4, 2)
    ((_, reply),) = bench.deliver("n1", AppendEntries(6, "n1", 9, 6, (), 0))
    assert reply == AppendEntriesConflict(6, 9, 0, 5)


@pytest.mark.parametrize(
    ("conflict", "next_index"),
    [
        (AppendEntriesConflict(7, 6, 0, 3), 3),  # the follower's log is too short
        (AppendEntriesConflict(7, 6, 3, 2), 2),  # the leader has nothing of that term
        (AppendEntriesConflict(7, 6, 4, 2), 4),  # the leader's last entry of that term is at 3
    ],
)
def test_the_leader_bypasses_all_conflicting_entries_of_a_term(conflict: Any, next_index: int) -> None:
    bench = server(fast_backtracking=True, log=(1, 4, 4, 5, 5, 6))
    bench.node.campaign()
    bench.deliver_self()
    bench.deliver("n2", RequestVoteReply(7, True))
    bench.take()
    bench.deliver("n1", conflict)
    assert bench.node.next_index["n1"] == next_index


# Section 7: snapshots


def snapshot_of(count: int, term: int = 1) -> Snapshot:
    store = Sessions(KeyValueStore())
    for index in range(1, count + 1):
        store.apply(put(index))
    return Snapshot(count, term, store.snapshot())


def test_a_snapshot_includes_the_last_index_and_term_the_state_and_the_sessions() -> None:
    bench = server(snapshot_every=3, log=(1, 1, 1, 1))
    bench.deliver("n1", AppendEntries(1, "n1", 4, 1, (), 4))
    assert bench.node.snapshot == snapshot_of(4)


def test_the_log_is_bounded() -> None:
    bench = leader(1, committed=False, snapshot_every=10)
    for k in range(1, 200):
        bench.deliver("client", Request(put(k)))
        bench.deliver_self()
        assert len(bench.node.log) <= 20
    assert bench.node.last_applied == 200


def test_a_restart_goes_on_from_the_snapshot() -> None:
    bench = server(snapshot_every=3, log=(1, 1, 1, 1))
    bench.deliver("n1", AppendEntries(1, "n1", 4, 1, (), 4))
    node = bench.restart()
    assert (node.commit_index, node.last_applied) == (4, 4)
    assert node.store.application.data == {"x": 4}
    assert node.store.known(put(4)) is not None


def test_a_leader_sends_its_snapshot_where_it_has_discarded_the_next_entry() -> None:
    bench = leader(snapshot_every=2)
    for k in range(1, 9):
        bench.deliver("client", Request(put(k)))
        bench.deliver_self()
        acknowledge(bench, "n1", k + 1)
    bench.take()
    bench.node.next_index["n2"] = 1
    bench.node.match_index["n2"] = 0
    bench.node.snapshot_sent.clear()
    bench.fire("heartbeat")
    assert [type(m) for m in bench.take("n2")] == [InstallSnapshot]
    bench.fire("heartbeat")  # one is on its way
    assert [type(m) for m in bench.take("n2")] == [AppendEntries]
    bench.time += 0.5
    bench.fire("heartbeat")
    assert [type(m) for m in bench.take("n2")] == [InstallSnapshot]
    acknowledge(bench, "n2", bench.node.snapshot.index)
    (rest,) = bench.take("n2")
    assert rest.prev_log_index == bench.node.snapshot.index


def test_install_1_an_old_term_is_answered_with_the_own() -> None:
    bench = server(snapshot_every=9, log=(3,))
    ((_, reply),) = bench.deliver("n1", InstallSnapshot(2, "n1", snapshot_of(5)))
    assert reply == AppendEntriesReply(3, False, 5)
    assert bench.node.snapshot.index == 0


def test_install_6_a_matching_entry_keeps_what_follows_it() -> None:
    bench = server(snapshot_every=9, log=(1, 1, 1, 1))
    ((_, reply),) = bench.deliver("n1", InstallSnapshot(1, "n1", snapshot_of(2)))
    assert reply == AppendEntriesReply(1, True, 2)
    assert (bench.node.floor(), bench.node.last_index(), bench.node.last_applied) == (2, 4, 2)


def test_install_7_otherwise_the_whole_log_is_discarded() -> None:
    bench = server(snapshot_every=9, log=(1, 1, 1, 1))
    bench.deliver("n1", InstallSnapshot(3, "n1", snapshot_of(3, term=2)))
    assert (bench.node.floor(), bench.node.last_index()) == (3, 3)
    assert bench.node.term_at(3) == 2


def test_install_8_the_state_machine_is_reset_to_the_snapshot() -> None:
    bench = server(snapshot_every=9)
    bench.deliver("n1", InstallSnapshot(3, "n1", snapshot_of(3)))
    assert (bench.node.store.application.data, bench.node.commit_index, bench.node.last_applied) == (
        {"x": 3},
        3,
        3,
    )


def test_a_snapshot_that_brings_nothing_new_is_ignored() -> None:
    bench = server(snapshot_every=9, log=(1, 1, 1, 1))
    bench.deliver("n1", AppendEntries(1, "n1", 4, 1, (), 4))
    bench.take()
    ((_, reply),) = bench.deliver("n1", InstallSnapshot(1, "n1", snapshot_of(2)))
    assert reply == AppendEntriesReply(1, True, 2)
    assert (bench.node.last_applied, bench.node.floor()) == (4, 0)


def test_what_is_refused_while_a_snapshot_travels_is_not_sent_again_and_again() -> None:
    """The leader was itself brought up to date by a snapshot: it holds nothing before it to send instead."""
    bench = server(snapshot_every=9, pipeline=4)
    bench.deliver("n1", InstallSnapshot(1, "n1", snapshot_of(3)))
    bench.node.campaign()
    bench.deliver_self()
    bench.deliver("n1", RequestVoteReply(2, True))
    bench.deliver_self()
    bench.take()
    assert [type(m) for _, m in bench.deliver("n2", AppendEntriesReply(2, False, 3))] == [InstallSnapshot]
    bench.take()
    bench.fire("heartbeat")
    assert [type(m) for m in bench.take("n2")] == [AppendEntries]
    assert bench.deliver("n2", AppendEntriesReply(2, False, 3)) == []


def test_a_snapshot_from_the_leader_resets_the_election_timeout() -> None:
    bench = server(snapshot_every=9, check_quorum=True)
    bench.time = 5.0
    bench.deliver("n1", InstallSnapshot(1, "n1", snapshot_of(3)))
    bench.take()
    assert bench.deliver("n2", RequestVote(9, "n2", 9, 9)) == []


def test_a_rejection_that_names_its_conflict_shows_that_the_follower_is_up() -> None:
    bench = leader(5, check_quorum=True, fast_backtracking=True)
    bench.time += 0.6
    for follower in ("n1", "n2"):
        bench.deliver(follower, AppendEntriesConflict(1, 0, 0, 1))
    bench.fire("quorum")
    assert bench.node.role == "leader"


def test_answers_of_an_older_term_do_not_show_that_a_follower_is_up() -> None:
    bench = leader(3, check_quorum=True)
    bench.time += 0.6
    bench.deliver("n1", AppendEntriesReply(0, True, 0))
    bench.fire("quorum")
    assert bench.node.role == "follower"


# 6.4: reads


def test_a_read_waits_until_the_term_has_committed_an_entry() -> None:
    bench = leader(committed=False, reads="index")
    assert bench.deliver("client", Request(GET)) == []
    acknowledge(bench, "n1", 1)
    assert bench.take("n1", ReadHeartbeat) == [ReadHeartbeat(1, "n0", 1)]


def test_a_read_is_answered_after_a_majority_has_answered_a_heartbeat_sent_for_it() -> None:
    bench = leader(5, reads="index")
    bench.deliver("client", Request(GET))
    assert bench.take() == [ReadHeartbeat(1, "n0", 1)] * 4
    bench.deliver("n1", ReadHeartbeatReply(1, 1))
    bench.deliver("n1", ReadHeartbeatReply(1, 1))
    assert bench.take("client") == []
    bench.deliver("n2", ReadHeartbeatReply(1, 1))
    assert bench.take("client") == [Reply(2, 1, "ok", None)]


def test_an_answer_to_an_earlier_round_confirms_no_later_read() -> None:
    bench = leader(reads="index")
    bench.deliver("client", Request(GET))
    bench.deliver("client", Request(Command(3, 1, "get", "x")))
    bench.take()
    bench.deliver("n1", ReadHeartbeatReply(1, 1))
    assert bench.take("client") == [Reply(2, 1, "ok", None)]
    bench.deliver("n2", ReadHeartbeatReply(1, 2))
    assert bench.take("client") == [Reply(3, 1, "ok", None)]


def test_an_answer_to_the_latest_round_confirms_all_reads_before_it() -> None:
    bench = leader(reads="index")
    for session in (2, 3, 4):
        bench.deliver("client", Request(Command(session, 1, "get", "x")))
    bench.take()
    bench.deliver("n1", ReadHeartbeatReply(1, 3))
    assert [reply.session for reply in bench.take("client")] == [2, 3, 4]


def test_lost_heartbeats_of_a_read_are_repeated() -> None:
    bench = leader(reads="index")
    bench.deliver("client", Request(GET))
    bench.take()
    bench.fire("heartbeat")
    assert bench.take("n1", ReadHeartbeat) == [ReadHeartbeat(1, "n0", 1)]


def test_a_deposed_leaders_reads_are_sent_away() -> None:
    bench = leader(reads="index")
    bench.deliver("client", Request(GET))
    bench.take()
    bench.deliver("n1", ReadHeartbeatReply(2, 1))
    assert bench.take("client") == [Redirect(2, 1, None)]


def test_a_follower_asks_the_leader_for_the_read_index_and_waits_until_it_is_applied() -> None:
    bench = server(reads="follower")
    hears_leader(bench)
    assert bench.deliver("client", Request(GET)) == [("n1", ReadIndexRequest(2, 1))]
    bench.take()
    assert bench.deliver("n1", ReadIndexReply(1, 2, 1, 1)) == []
    bench.deliver("n1", AppendEntries(1, "n1", 0, 0, (Entry.of(1, put(9)),), 1))
    assert bench.take("client") == [Reply(2, 1, "ok", 9)]


def test_a_read_that_waits_for_what_a_snapshot_brings_is_answered_with_it() -> None:
    bench = server(reads="follower", snapshot_every=9)
    hears_leader(bench)
    bench.deliver("client", Request(GET))
    bench.deliver("n1", ReadIndexReply(1, 2, 1, 3))
    bench.take()
    bench.deliver("n1", InstallSnapshot(1, "n1", snapshot_of(3)))
    assert bench.take("client") == [Reply(2, 1, "ok", 3)]


def test_a_leader_serves_a_followers_read_index_like_a_read() -> None:
    bench = leader(reads="follower")
    bench.deliver("n2", ReadIndexRequest(2, 1))
    assert bench.take("n2") == [ReadHeartbeat(1, "n0", 1)]
    bench.deliver("n1", ReadHeartbeatReply(1, 1))
    assert bench.take("n2") == [ReadIndexReply(1, 2, 1, 1)]


def test_whoever_no_longer_leads_gives_no_read_index() -> None:
    bench = server(reads="follower")
    ((_, reply),) = bench.deliver("n2", ReadIndexRequest(2, 1))
    assert reply == ReadIndexReply(0, 2, 1, None)
    hears_leader(bench)
    bench.deliver("client", Request(GET))
    bench.take()
    bench.deliver("n1", ReadIndexReply(0, 2, 1, None))
    assert bench.take("client") == [Redirect(2, 1, "n1")]


# 6.4.1: leases


def lease_holder(**options: Any) -> Any:
    bench = leader(reads="lease", **options)
    bench.time = 10.0
    bench.node.begin_round()
    bench.take()
    bench.time = 10.1
    bench.deliver("n1", ReadHeartbeatReply(1, bench.node.round))
    return bench


def test_a_lease_runs_from_when_its_heartbeats_were_sent() -> None:
    bench = lease_holder()
    assert bench.node.lease_until - bench.node.monotonic == pytest.approx(10.5 - 10.1)


@pytest.mark.parametrize(("time", "at_once"), [(10.45, True), (10.55, False)])
def test_a_read_is_answered_at_once_while_the_lease_holds(time: float, at_once: bool) -> None:
    bench = lease_holder()
    bench.time = time
    bench.deliver("client", Request(GET))
    assert bench.take("client") == ([Reply(2, 1, "ok", None)] if at_once else [])
    assert bool(bench.take("n1", ReadHeartbeat)) is not at_once


def test_a_lease_is_shorter_by_what_clocks_may_drift_apart() -> None:
    node = lease_holder(clock_drift=0.25).node
    assert node.lease_until - node.monotonic == pytest.approx(0.5 * 0.75 / 1.25 - 0.1)


def test_after_asking_another_to_lead_no_lease_of_the_term_is_trusted() -> None:
    bench = lease_holder(transfer=True)
    bench.node.heard["n1"] = bench.node.now  # it answers, so it may take over
    bench.deliver("admin", Transfer("n1"))
    bench.fire("transfer")
    bench.time = 10.2
    bench.take()
    bench.deliver("client", Request(GET))
    assert bench.take("client") == []


# Chapter 4: membership


def test_a_server_uses_the_latest_configuration_in_its_log_committed_or_not() -> None:
    bench = server(5, membership="joint")
    config = Config(("n0", "n1"), FIVE)
    bench.deliver("n1", AppendEntries(1, "n1", 0, 0, (Entry.of(1, config_command(config)),), 0))
    assert bench.node.config == config
    assert bench.node.commit_index == 0
    bench.deliver("n2", AppendEntries(2, "n2", 0, 0, (Entry.of(2, put(1)),), 0))
    assert bench.node.config == Config(FIVE)  # it was overwritten


def test_configurations_survive_restarts_and_snapshots() -> None:
    bench = server(5, membership="joint", snapshot_every=2)
    config = Config(("n0", "n1", "n2"))
    entries = (Entry.of(1, config_command(config)), *(Entry.of(1, put(k)) for k in (1, 2, 3)))
    bench.deliver("n1", AppendEntries(1, "n1", 0, 0, entries, 4))
    assert bench.node.snapshot.config == config
    assert bench.restart().config == config


@pytest.mark.parametrize(
    ("servers", "enough"),
    [
        ({"n0", "n1", "n2"}, False),
        ({"n0", "n3"}, False),
        ({"n0", "n1", "n3"}, True),
        ({"n1", "n2", "n3", "n4"}, True),
    ],
)
def test_joint_agreement_needs_majorities_of_both_configurations(servers: set[str], enough: bool) -> None:
    """Section 6: elections and entry commitment alike."""
    bench = leader(5, membership="joint")
    bench.node.configs.append((2, Config(("n0", "n3", "n4"), ("n0", "n1", "n2"))))
    assert bench.node.is_quorum(servers) is enough
    bench.node.match_index = {name: 9 if name in servers else 0 for name in FIVE}
    assert (bench.node.replicated_index() == 9) is enough


def test_a_joint_change_goes_through_old_and_new_to_new() -> None:
    bench = leader(5, membership="joint")
    bench.deliver("admin", Reconfigure(("n0", "n1", "n2")))
    assert bench.node.config == Config(("n0", "n1", "n2"), FIVE)
    bench.deliver_self()
    acknowledge(bench, "n1", 2)
    acknowledge(bench, "n2", 2)
    assert bench.node.config == Config(("n0", "n1", "n2"))
    assert bench.node.commit_index == 2
    bench.deliver_self()
    acknowledge(bench, "n1", 3)
    assert bench.take("admin") == [AdminReply(True, "n0")]


def test_single_server_changes_add_or_remove_one_at_a_time() -> None:
    bench = leader(5, membership="single")
    bench.deliver("admin", Reconfigure(("n0", "n1", "n2")))
    assert bench.node.config == Config(("n0", "n1", "n2", "n4"))
    bench.deliver_self()
    acknowledge(bench, "n1", 2)
    acknowledge(bench, "n2", 2)
    assert bench.node.config == Config(("n0", "n1", "n2"))


def test_one_change_at_a_time() -> None:
    bench = leader(5, membership="single")
    bench.deliver("admin", Leave("n4"))
    bench.take()
    ((_, answer),) = bench.deliver("other", Leave("n3"))
    assert answer == AdminReply(False, "n0", "a change is under way")


def test_a_change_waits_for_a_commit_of_the_leaders_own_term() -> None:
    """Ongaro, raft-dev, 10 July 2015."""
    bench = leader(5, committed=False, membership="single")
    ((_, answer),) = bench.deliver("admin", Leave("n4"))
    assert (answer.done, answer.reason) == (False, "nothing of this term is committed yet")


def test_a_new_server_catches_up_before_it_counts() -> None:
    """4.2.1: rounds of replication, without a vote."""
    bench = leader(3, membership="single", spares=1)
    bench.deliver("admin", Join("n3"))
    assert bench.node.config == Config(("n0", "n1", "n2"))
    assert bench.take("n3", AppendEntries)
    bench.deliver("n3", AppendEntriesReply(1, False, 1))
    assert len(bench.take("n3")[0].entries) == 1
    acknowledge(bench, "n3", 1)
    assert bench.node.config == Config(("n0", "n1", "n2", "n3"))


def test_a_new_server_whose_round_takes_an_election_timeout_runs_another() -> None:
    bench = leader(3, membership="single", spares=1)
    bench.deliver("admin", Join("n3"))
    bench.time += 0.6
    acknowledge(bench, "n3", 1)
    assert bench.node.config == Config(("n0", "n1", "n2"))
    bench.deliver("client", Request(put(1)))
    bench.time += 0.1
    acknowledge(bench, "n3", 2)
    assert bench.node.config == Config(("n0", "n1", "n2", "n3"))


def test_a_server_that_never_catches_up_is_not_added() -> None:
    bench = leader(3, membership="single", spares=1)
    bench.deliver("admin", Join("n3"))
    bench.take()
    bench.fire("catch_up")
    ((answer),) = bench.take("admin")
    assert answer == AdminReply(False, "n0", "n3 does not catch up")
    assert bench.node.peers == ("n1", "n2")


def test_a_learner_receives_entries_and_counts_in_no_quorum() -> None:
    bench = leader(3, membership="single", spares=1)
    bench.deliver("admin", Join("n3", voter=False))
    bench.deliver_self()
    acknowledge(bench, "n3", 2)
    assert bench.node.commit_index == 1
    acknowledge(bench, "n1", 2)
    assert bench.node.commit_index == 2
    assert bench.node.config == Config(("n0", "n1", "n2"), learners=("n3",))
    assert "n3" not in bench.node.electors()


def test_a_leader_that_removes_itself_does_not_count_itself_and_steps_down_when_that_is_committed() -> None:
    """4.2.2."""
    bench = leader(3, membership="single")
    bench.deliver("admin", Leave("n0"))
    bench.deliver_self()
    acknowledge(bench, "n1", 2)
    assert (bench.node.commit_index, bench.node.role) == (1, "leader")
    acknowledge(bench, "n2", 2)
    assert (bench.node.commit_index, bench.node.role) == (2, "follower")


def test_a_removed_server_begins_no_elections_once_its_removal_is_committed() -> None:
    bench = server(3, membership="single")
    entry = Entry.of(1, config_command(Config(("n1", "n2"))))
    bench.deliver("n1", AppendEntries(1, "n1", 0, 0, (entry,), 0))
    bench.take()
    bench.fire("election")
    assert bench.node.role == "candidate"  # it may yet be needed (4.2.2)
    bench.deliver("n1", AppendEntries(1, "n1", 1, 1, (), 1))
    bench.deliver("n1", AppendEntries(2, "n1", 1, 1, (), 1))
    bench.take()
    bench.fire("election")
    assert bench.node.role == "follower"


def test_a_spare_begins_no_elections() -> None:
    bench = server(3, name="n3", membership="joint", spares=1)
    bench.fire("election")
    assert bench.sent == []


def test_a_server_votes_for_candidates_that_are_not_in_its_configuration() -> None:
    """4.1: servers process RPCs without consulting their configurations."""
    bench = server(3, membership="single", spares=1)
    assert bench.deliver("n3", RequestVote(1, "n3", 0, 0)) == [("n3", RequestVoteReply(1, True))]


def test_a_new_leader_finishes_a_joint_change_that_it_finds() -> None:
    bench = server(5, membership="joint")
    joint = Config(("n0", "n1", "n2"), FIVE)
    bench.deliver("n1", AppendEntries(1, "n1", 0, 0, (Entry.of(1, config_command(joint)),), 1))
    bench.node.campaign()
    bench.deliver_self()
    bench.deliver("n1", RequestVoteReply(2, True))
    bench.deliver("n2", RequestVoteReply(2, True))
    assert bench.node.role == "leader"
    bench.deliver_self()
    assert bench.node.config == joint
    acknowledge(bench, "n1", 2)
    acknowledge(bench, "n2", 2)
    assert bench.node.config == Config(("n0", "n1", "n2"))


def test_joining_and_leaving_are_idempotent_and_the_unknown_is_refused() -> None:
    bench = leader(3, membership="joint", spares=1)
    for request in (Join("n1"), Leave("n3"), Reconfigure(("n2", "n1", "n0"))):
        ((_, answer),) = bench.deliver("admin", request)
        assert answer == AdminReply(True, "n0"), request
    for request in (Join("n9"), Reconfigure(("n0", "n9")), Reconfigure(())):
        ((_, answer),) = bench.deliver("admin", request)
        assert not answer.done, request
    assert bench.node.last_index() == 1


# Settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_wait": 0.1}, "batch_wait is 0.1 s, but a batch is one command"),
        ({"lease": 1.0}, "lease is 1.0 s, but reads are 'log'"),
        ({"reads": "lease", "lease": 0.6, "heartbeat": 0.05}, "lease must be at most 0.5 s .* not 0.6 s"),
        ({"spares": 2}, "2 spares cannot join while membership is fixed"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_value(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Raft(nodes=3, **options)


def test_a_lease_that_is_too_long_for_the_derived_election_timeout_is_refused_with_the_scenario() -> None:
    lease = Raft(nodes=3, reads="lease", lease=0.6)  # nothing is wrong with it as long as no timeout is known
    with pytest.raises(ValueError, match=r"lease must be at most 0.5 s .* not 0.6 s"):
        Scenario(system=lease)
    assert Scenario(system=lease, network=constant(0.04)).derived["detection"] == pytest.approx(0.8)


def test_a_lease_that_is_too_long_runs_as_unsafe_and_says_so() -> None:
    system = Raft(nodes=3, reads="lease", lease=0.6, heartbeat=0.05, unsafe=True)
    assert system.label.startswith("UNSAFE Raft(")
