"""Raft against its paper, sentence by sentence.

Ongaro & Ousterhout, "In Search of an Understandable Consensus Algorithm (Extended Version)", 2014: figure 2
rule by rule, then the claims of sections 5 and 8 and the situations of figures 7 and 8.
"""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols import BasicRaft
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.raft.node import (
    WINDOW,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    RaftNode,
    RequestVote,
    RequestVoteReply,
)
from sim.testing import Bench

FIVE = ("n0", "n1", "n2", "n3", "n4")


def put(sequence: int, value: Any = None) -> Command:
    return Command(1, sequence, "put", "x", sequence if value is None else value)


def log_of(*terms: int) -> list[Entry]:
    """Entries of the given terms, the first at index 1."""
    return [Entry.of(term, put(1000 * term + index)) for index, term in enumerate(terms, 1)]


def server(
    *,
    log: list[int] | None = None,
    term: int | None = None,
    n: int = 3,
    name: str = "n0",
    window: int = WINDOW,
) -> Any:
    """A bench with a follower whose log has entries of the given terms."""
    members = FIVE[:n]
    settings = BasicRaft(nodes=n, leader=members[-1], window=window)
    bench = Bench(RaftNode, name, members=members, settings=settings, keep_own=True)
    node = bench.node
    node.log.extend(log_of(*(log or [])))
    node.current_term = term if term is not None else (log[-1] if log else 0)
    return bench


def leader(*, log: list[int] | None = None, term: int = 0, n: int = 3, window: int = WINDOW) -> Any:
    """A bench with a leader of the next term; its log ends with the no-op of that term."""
    bench = server(log=log, term=term or None, n=n, window=window)
    bench.fire("election")
    bench.deliver_self()
    for voter in FIVE[1 : n // 2 + 1]:
        bench.deliver(voter, RequestVoteReply(bench.node.current_term, True))
    bench.deliver_self()
    assert bench.node.role == "leader"
    return bench


def terms(bench: Any) -> list[int]:
    return [entry.term for entry in bench.node.log]


def acknowledge(bench: Any, follower: str, index: int) -> None:
    bench.deliver(follower, AppendEntriesReply(bench.node.current_term, True, index))


# Figure 2, State


def test_current_term_voted_for_and_log_survive_a_restart_and_nothing_else_does() -> None:
    bench = leader(log=[1, 1])
    acknowledge(bench, "n1", 3)
    assert bench.node.commit_index == 3
    node = bench.restart()
    assert (node.current_term, node.voted_for, terms(bench)) == (2, "n0", [1, 1, 2])
    assert (node.commit_index, node.last_applied, node.role) == (0, 0, "follower")


def test_next_index_starts_at_last_log_index_plus_one_and_match_index_at_zero() -> None:
    bench = server(log=[1, 1])
    bench.fire("election")
    bench.deliver_self()
    bench.take()
    bench.deliver("n1", RequestVoteReply(2, True))
    assert bench.node.next_index == {"n1": 3, "n2": 3}
    assert bench.node.match_index == {"n0": 0, "n1": 0, "n2": 0}


# Figure 2, AppendEntries RPC, receiver implementation


def test_append_1_reply_false_if_term_is_old() -> None:
    bench = server(log=[1, 3])
    bench.deliver("n1", AppendEntries(2, "n1", 2, 3, (Entry.of(2, put(9)),), 0))
    assert bench.take() == [AppendEntriesReply(3, False, 2)]
    assert terms(bench) == [1, 3]
    assert bench.node.leader is None


@pytest.mark.parametrize(("index", "term"), [(3, 3), (2, 2)])
def test_append_2_reply_false_if_there_is_no_matching_previous_entry(index: int, term: int) -> None:
    bench = server(log=[1, 3])
    bench.deliver("n1", AppendEntries(3, "n1", index, term, (), 0))
    assert bench.take() == [AppendEntriesReply(3, False, index)]


def test_append_3_a_conflicting_entry_is_deleted_with_all_that_follow_it() -> None:
    bench = server(log=[1, 1, 2, 2, 2])
    bench.deliver("n1", AppendEntries(3, "n1", 1, 1, (log_of(1, 1)[1], Entry.of(3, put(9))), 0))
    assert terms(bench) == [1, 1, 3]
    assert bench.take() == [AppendEntriesReply(3, True, 3)]


def test_append_3_entries_beyond_the_message_are_kept_where_nothing_conflicts() -> None:
    bench = server(log=[1, 1, 1])
    bench.deliver("n1", AppendEntries(1, "n1", 0, 0, tuple(log_of(1, 1)), 0))
    assert terms(bench) == [1, 1, 1]
    assert bench.take() == [AppendEntriesReply(1, True, 2)]


def test_append_4_new_entries_are_appended_and_those_already_there_are_not() -> None:
    bench = server(log=[1, 1])
    bench.deliver("n1", AppendEntries(1, "n1", 1, 1, tuple(log_of(1, 1, 1, 1)[1:]), 0))
    assert terms(bench) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("leader_commit", "entries", "expected"), [(1, 2, 1), (3, 2, 3), (9, 2, 3), (9, 0, 1), (0, 2, 0)]
)
def test_append_5_commit_index_is_the_leaders_or_that_of_the_last_new_entry(
    leader_commit: int, entries: int, expected: int
) -> None:
    bench = server(log=[1, 1, 1, 1])
    message = AppendEntries(1, "n1", 1, 1, tuple(log_of(1, 1, 1)[1 : 1 + entries]), leader_commit)
    bench.deliver("n1", message)
    assert bench.node.commit_index == expected == bench.node.last_applied


def test_append_5_the_commit_index_never_falls() -> None:
    bench = server(log=[1, 1, 1])
    bench.deliver("n1", AppendEntries(1, "n1", 3, 1, (), 3))
    bench.deliver("n1", AppendEntries(1, "n1", 1, 1, (), 1))
    assert bench.node.commit_index == 3


# Figure 2, RequestVote RPC, receiver implementation


def test_vote_1_reply_false_if_term_is_old() -> None:
    bench = server(log=[1, 3])
    assert bench.deliver("n1", RequestVote(2, "n1", 9, 9)) == [("n1", RequestVoteReply(3, False))]


@pytest.mark.parametrize(("voted", "granted"), [(None, True), ("n1", True), ("n2", False)])
def test_vote_2_granted_if_voted_for_is_null_or_the_candidate(voted: str | None, granted: bool) -> None:
    bench = server(log=[1, 1])
    bench.node.voted_for = voted
    assert bench.deliver("n1", RequestVote(1, "n1", 2, 1)) == [("n1", RequestVoteReply(1, granted))]


@pytest.mark.parametrize(
    ("last_term", "last_index", "granted"),
    [(2, 3, True), (2, 4, True), (3, 1, True), (2, 2, False), (1, 9, False)],
)
def test_vote_2_granted_if_the_candidates_log_is_at_least_as_up_to_date(
    last_term: int, last_index: int, granted: bool
) -> None:
    """5.4.1: the log with the later last term is more up-to-date; of equal terms, the longer one."""
    bench = server(log=[1, 2, 2])
    bench.deliver("n1", RequestVote(4, "n1", last_index, last_term))
    assert bench.take() == [RequestVoteReply(4, granted)]


def test_vote_from_a_leader_of_an_older_term() -> None:
    bench = leader()
    bench.take()
    bench.deliver("n2", RequestVote(2, "n2", 1, 1))
    assert bench.take() == [RequestVoteReply(2, True)]
    assert bench.node.role == "follower"


# Figure 2, Rules for servers, all servers


def test_committed_entries_are_applied_in_log_order() -> None:
    bench = server()
    applied = []
    bench.node.store.application.apply = lambda command: applied.append(command.value)
    entries = tuple(Entry.of(1, put(k)) for k in (1, 2, 3))
    bench.deliver("n1", AppendEntries(1, "n1", 0, 0, entries, 2))
    assert applied == [1, 2]
    bench.deliver("n1", AppendEntries(1, "n1", 3, 1, (), 3))
    assert applied == [1, 2, 3]


@pytest.mark.parametrize(
    "message",
    [
        RequestVote(7, "n1", 0, 0),
        RequestVoteReply(7, False),
        AppendEntries(7, "n1", 0, 0, (), 0),
        AppendEntriesReply(7, False, 0),
    ],
)
@pytest.mark.parametrize("role", ["follower", "candidate", "leader"])
def test_a_higher_term_in_a_request_or_reply_is_adopted_and_makes_a_follower(message: Any, role: str) -> None:
    bench = leader() if role == "leader" else server()
    if role == "candidate":
        bench.fire("election")
    bench.deliver("n1", message)
    assert (bench.node.current_term, bench.node.role) == (7, "follower")
    assert bench.node.voted_for != "n0"


# Followers (5.2)


def test_servers_start_up_as_followers() -> None:
    assert server().node.role == "follower"


def test_a_follower_answers_and_issues_no_requests_on_its_own() -> None:
    bench = server()
    assert bench.sent == []
    bench.deliver("n1", AppendEntries(1, "n1", 0, 0, (), 0))
    assert [dst for dst, _ in bench.sent] == ["n1"]


def test_a_follower_that_hears_nothing_for_an_election_timeout_becomes_a_candidate() -> None:
    bench = server()
    assert 0.5 <= bench.timers["election", None] < 1.0
    bench.advance(1.0)
    assert bench.node.role == "candidate"


def test_hearing_from_the_current_leader_or_granting_a_vote_restarts_the_timeout() -> None:
    bench = server()
    for message in (AppendEntries(1, "n1", 0, 0, (), 0), RequestVote(2, "n1", 0, 0)):
        before = bench.timers["election", None]
        bench.time += 0.4
        bench.deliver("n1", message)
        assert bench.timers["election", None] > before
        assert bench.timers["election", None] >= bench.time + 0.5


def test_a_refused_vote_or_a_stale_leader_does_not_restart_the_timeout() -> None:
    bench = server(log=[3])
    before = bench.timers["election", None]
    bench.time += 0.1
    bench.deliver("n1", RequestVote(3, "n1", 0, 0))
    bench.deliver("n1", AppendEntries(2, "n1", 0, 0, (), 0))
    assert bench.timers["election", None] == before


# Candidates (5.2)


def test_a_candidate_increments_its_term_votes_for_itself_and_asks_all_others_in_parallel() -> None:
    bench = server(log=[1, 2], n=5)
    bench.fire("election")
    assert (bench.node.current_term, bench.node.voted_for) == (3, "n0")
    asked = [(dst, m) for dst, m in bench.sent if dst != "n0"]
    assert asked == [(peer, RequestVote(3, "n0", 2, 2)) for peer in FIVE[1:]]
    assert ("election", None) in bench.timers


@pytest.mark.parametrize(
    ("n", "votes", "role"),
    [(1, 0, "leader"), (3, 0, "candidate"), (3, 1, "leader"), (5, 1, "candidate"), (5, 2, "leader")],
)
def test_a_candidate_wins_with_the_votes_of_a_majority(n: int, votes: int, role: str) -> None:
    bench = server(n=n)
    bench.fire("election")
    bench.deliver_self()
    for voter in FIVE[1 : 1 + votes]:
        bench.deliver(voter, RequestVoteReply(1, True))
    assert bench.node.role == role


def test_a_vote_counts_once_and_only_in_its_term() -> None:
    bench = server(n=5)
    bench.fire("election")
    bench.fire("election")
    bench.deliver_self()
    for message in (RequestVoteReply(1, True), RequestVoteReply(2, True), RequestVoteReply(2, True)):
        bench.deliver("n1", message)
    bench.deliver("n2", RequestVoteReply(1, True))
    bench.deliver("n3", RequestVoteReply(2, False))
    assert bench.node.role == "candidate"


def test_the_own_vote_counts_when_it_is_on_disk() -> None:
    """Durable before send holds for what a server tells itself (thesis, 3.8)."""
    bench = server()
    bench.fire("election")
    bench.deliver("n1", RequestVoteReply(1, True))
    assert bench.node.role == "candidate"
    bench.deliver_self()
    assert bench.node.role == "leader"


@pytest.mark.parametrize(("term", "role"), [(0, "candidate"), (1, "follower"), (2, "follower")])
def test_a_candidate_recognises_a_leader_of_at_least_its_term(term: int, role: str) -> None:
    bench = server()
    bench.fire("election")
    bench.deliver("n1", AppendEntries(term, "n1", 0, 0, (), 0))
    assert bench.node.role == role


def test_a_candidate_that_neither_wins_nor_loses_starts_a_new_election() -> None:
    bench = server()
    bench.fire("election")
    bench.advance(1.0)
    assert (bench.node.role, bench.node.current_term) == ("candidate", 2)


def test_election_timeouts_are_random_in_a_fixed_interval_and_differ_between_terms() -> None:
    bench = server()
    drawn = []
    for _ in range(100):
        bench.fire("election")
        drawn.append(bench.timers["election", None] - bench.time)
    assert all(0.5 <= timeout < 1.0 for timeout in drawn)
    assert len({round(timeout, 6) for timeout in drawn}) > 90


# Leaders


def test_a_leader_sends_heartbeats_upon_election_and_repeats_them() -> None:
    bench = leader()
    assert [dst for dst, m in bench.sent if isinstance(m, AppendEntries)] == ["n1", "n2"]
    acknowledge(bench, "n1", 1)
    acknowledge(bench, "n2", 1)
    bench.take()
    bench.fire("heartbeat")
    assert bench.take() == [AppendEntries(1, "n0", 1, 1, (), 1)] * 2
    assert bench.timers["heartbeat", None] == bench.time + 0.05


def test_a_leader_opens_its_term_with_a_no_op() -> None:
    """Section 8."""
    bench = leader(log=[1])
    assert bench.node.log[-1] == Entry.of(2, NOOP)


def test_a_command_is_appended_replicated_and_answered_after_it_is_applied() -> None:
    bench = leader()
    acknowledge(bench, "n1", 1)
    acknowledge(bench, "n2", 1)
    bench.take()
    bench.deliver("client", Request(put(1)))
    entry = Entry.of(1, put(1))
    expected = AppendEntries(1, "n0", 1, 1, (entry,), 1)
    assert [(d, m) for d, m in bench.sent if d != "n0"] == [("n1", expected), ("n2", expected)]
    bench.deliver_self()
    bench.take()
    acknowledge(bench, "n1", 2)
    assert bench.take() == [Reply(1, 1, "ok", 1)]
    assert bench.node.store.application.data == {"x": 1}


def test_a_failed_append_decrements_next_index_by_one_and_is_retried() -> None:
    bench = leader(log=[1, 1, 1])
    bench.take()
    bench.deliver("n1", AppendEntriesReply(2, False, 3))
    assert bench.node.next_index["n1"] == 3
    (retry,) = bench.take()
    assert (retry.prev_log_index, retry.prev_log_term, len(retry.entries)) == (2, 1, 2)


def test_an_answer_to_an_older_request_does_not_move_next_index() -> None:
    bench = leader(log=[1, 1, 1])
    for stale in (AppendEntriesReply(2, False, 3), AppendEntriesReply(2, False, 3)):
        bench.deliver("n1", stale)
    assert bench.node.next_index["n1"] == 3
    acknowledge(bench, "n1", 4)
    bench.deliver("n1", AppendEntriesReply(2, False, 2))
    assert bench.node.next_index["n1"] == 5


def test_success_moves_next_index_and_match_index() -> None:
    bench = leader(log=[1])
    acknowledge(bench, "n1", 2)
    assert (bench.node.next_index["n1"], bench.node.match_index["n1"]) == (3, 2)
    acknowledge(bench, "n1", 1)  # an old one, overtaken
    assert (bench.node.next_index["n1"], bench.node.match_index["n1"]) == (3, 2)


def test_an_entry_is_committed_when_a_majority_holds_it() -> None:
    bench = leader(n=5)
    acknowledge(bench, "n1", 1)
    acknowledge(bench, "n1", 1)
    assert bench.node.commit_index == 0
    acknowledge(bench, "n2", 1)
    assert bench.node.commit_index == 1


def test_a_leader_counts_itself_when_its_own_log_is_on_disk() -> None:
    """Thesis, 10.2.1: it may even commit before that, when a majority of followers has the entry."""
    bench = leader(n=5)
    for follower in FIVE[1:]:
        acknowledge(bench, follower, 1)
    bench.deliver("client", Request(put(1)))
    acknowledge(bench, "n1", 2)
    acknowledge(bench, "n2", 2)
    assert bench.node.commit_index == 1
    acknowledge(bench, "n3", 2)
    assert bench.node.commit_index == 2


def test_commitment_is_announced_with_the_next_append_entries() -> None:
    """5.3: the leader includes the highest committed index in future AppendEntries, heartbeats included."""
    bench = leader()
    bench.take()
    acknowledge(bench, "n1", 1)
    assert bench.take() == []
    bench.deliver("client", Request(put(1)))
    assert {m.leader_commit for m in bench.take(kind=AppendEntries)} == {1}


def test_the_leader_retries_until_a_follower_has_stored_the_entries() -> None:
    """5.3: if followers crash or run slowly, or packets are lost, it retries, even after it has responded."""
    bench = leader()
    acknowledge(bench, "n1", 1)
    for _ in range(3):
        bench.take()
        bench.fire("heartbeat")
        assert [len(m.entries) for m in bench.take("n2")] == [1]


@pytest.mark.parametrize("window", [WINDOW, 1])
def test_no_more_than_a_window_is_on_its_way_to_a_follower_that_is_silent(window: int) -> None:
    bench = leader(window=window)
    acknowledge(bench, "n1", 1)
    for k in range(1, window + 50):
        bench.deliver("client", Request(Command(k, 1, "put", "x", k)))
        acknowledge(bench, "n1", 1 + k)
    assert max(len(m.entries) for m in bench.take("n2", AppendEntries)) == window
    bench.take()
    bench.fire("heartbeat")
    assert len(bench.take("n2")[0].entries) == window
    acknowledge(bench, "n2", window)
    (rest,) = bench.take("n2")
    assert rest.prev_log_index == window
    assert len(rest.entries) == min(window, bench.node.last_index() - window)


# Section 5.3, figure 7


@pytest.mark.parametrize(
    "follower",
    [
        [1, 1, 1, 4, 4, 5, 5, 6, 6],
        [1, 1, 1, 4],
        [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        [1, 1, 1, 4, 4, 4, 4],
        [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ],
    ids=list("abcdef"),
)
def test_figure_7_a_follower_with_any_log_is_made_equal_to_the_leader(follower: list[int]) -> None:
    first = leader(log=[1, 1, 1, 4, 4, 5, 5, 6, 6, 6], term=7)
    second = server(log=follower, term=7, name="n1")
    conversation = first.take("n1", AppendEntries)
    while conversation:
        second.deliver("n0", conversation.pop(0))
        for reply in second.take("n0"):
            first.deliver("n1", reply)
        conversation += first.take("n1", AppendEntries)
    assert terms(second) == terms(first) == [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8]
    assert [e.command for e in second.node.log] == [e.command for e in first.node.log]
    assert first.node.match_index["n1"] == 11


# Section 5.4.2, figure 8


def test_figure_8_an_entry_of_an_older_term_is_not_committed_by_counting_replicas() -> None:
    bench = leader(log=[1, 2], term=3, n=5)
    bench.take()
    acknowledge(bench, "n1", 2)
    acknowledge(bench, "n2", 2)
    assert bench.node.commit_index == 0
    acknowledge(bench, "n1", 3)
    acknowledge(bench, "n2", 3)  # once an own entry is committed, all before it are
    assert bench.node.commit_index == 3


# Section 8, clients


def test_a_server_that_does_not_lead_names_the_most_recent_leader() -> None:
    bench = server()
    assert bench.deliver("client", Request(put(1))) == [("client", Redirect(1, 1, None))]
    bench.deliver("n2", AppendEntries(1, "n2", 0, 0, (), 0))
    bench.take()
    assert bench.deliver("client", Request(put(1))) == [("client", Redirect(1, 1, "n2"))]


def test_a_command_that_was_already_executed_is_answered_without_executing_it_again() -> None:
    bench = leader()
    bench.deliver("client", Request(Command(1, 1, "increment", "x", 5)))
    acknowledge(bench, "n1", 2)
    bench.deliver_self()
    assert bench.take(kind=Reply) == [Reply(1, 1, "ok", 5, 5)]
    bench.take()
    last = bench.node.last_index()
    assert bench.deliver("client", Request(Command(1, 1, "increment", "x", 5))) == [
        ("client", Reply(1, 1, "ok", 5, 5))
    ]
    assert bench.node.last_index() == last


def test_a_leader_that_is_deposed_sends_its_waiting_clients_away_and_never_says_ok() -> None:
    bench = leader()
    bench.deliver("client", Request(put(1)))
    bench.take()
    bench.deliver("n1", AppendEntries(2, "n1", 0, 0, (), 0))
    assert bench.take("client") == [Redirect(1, 1, None)]
    bench.deliver("n1", AppendEntries(2, "n1", 0, 0, tuple(log_of(2, 2)), 2))
    assert bench.take("client") == []


def test_reads_go_through_the_log() -> None:
    """Reads through the log are linearizable without assumptions on clocks or leadership."""
    bench = leader()
    bench.deliver("client", Request(Command(1, 1, "get", "x")))
    assert bench.node.log[-1].command.kind == "get"
    assert bench.take("client") == []
