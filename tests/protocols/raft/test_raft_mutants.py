"""Every invariant of Raft catches the bug it is there for: mutants by one changed word, schedules by hand.

The ids (RF1 ...) are those of the catalogue of known bugs; each names where the bug was found.
"""

from __future__ import annotations

from typing import Any

import pytest

from sim.message import replace
from sim.protocols.client import Reply
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.raft.node import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    RaftNode,
    RequestVote,
    RequestVoteReply,
)
from sim.system import SafetyViolation
from sim.zoo.raft import (
    AcknowledgesLastIndex,
    AlwaysTruncates,
    CommitsOldTerms,
    CommitsWhatItHas,
    ForgetsVoteOfSameTerm,
)


def violation(invariant: str) -> Any:
    return pytest.raises(SafetyViolation, match=f"^{invariant}")


# Elections


class VoteSentUnsynced(RaftNode):
    """RF1: the vote is written, and sent without waiting for the disk."""

    def on_request_vote(self, src: str, msg: RequestVote) -> None:
        send, self.send = self.send, lambda dst, m, hold=True: send(dst, m, hold=False)  # type: ignore
        super().on_request_vote(src, msg)
        self.send = send  # type: ignore[method-assign]


def split_vote(stage: Any, mutant: type[RaftNode], fsync: float, asked: str = "") -> None:
    """n1 votes for n0, crashes, comes back and is asked by n2 in the same term. ``asked``: see `Stage.ask_only`."""
    s = stage(3, node_class=mutant, fsync=fsync)
    s.ask_only(asked)
    s.cut(["n0"], ["n2"])
    s.cut(["n2"], ["n0"])
    s.step("n0", "on_election_timeout")
    s.run(2 * fsync + 0.0015)  # n1's vote is out
    s.crash("n1")
    s.restart("n1")
    s.step("n2", "on_election_timeout")
    s.settle()


@pytest.mark.parametrize("fsync", [0.0, 0.001])
def test_a_vote_survives_a_crash(stage: Any, fsync: float) -> None:
    split_vote(stage, RaftNode, fsync)


def test_rf1_a_vote_that_is_sent_before_it_is_synced(stage: Any) -> None:
    with violation("durable before send"):
        split_vote(stage, VoteSentUnsynced, 0.001)


class ForgetsVote(RaftNode):
    """RF1: a restart finds the term on disk but no vote."""

    def on_start(self) -> None:
        super().on_start()
        self.voted_for = None


def test_rf1_a_vote_forgotten_by_a_restart(stage: Any) -> None:
    with violation("a restart takes nothing back"):  # at the restart, before another candidate asks
        split_vote(stage, ForgetsVote, 0.0)
    with violation("one vote per server and term"):
        split_vote(stage, ForgetsVote, 0.0, "one vote per server and term")


class ForgetsTerm(RaftNode):
    """RF1: a restart finds neither term nor vote."""

    def on_start(self) -> None:
        super().on_start()
        self.current_term = 0


def test_a_term_forgotten_by_a_restart(stage: Any) -> None:
    with violation("terms never fall"):
        split_vote(stage, ForgetsTerm, 0.0)


def late_candidate(stage: Any, mutant: type[RaftNode]) -> None:
    """n0 wins term 1 with n1; then n1, which hears from n0, is asked by n2 in that term, late."""
    s = stage(3, node_class=mutant)
    s.cut(["n0", "n1"], ["n2"])
    s.campaign("n0")
    s.heartbeat("n0")
    s.deliver("n2", "n1", RequestVote(1, "n2", 5, 1))


def test_a_late_candidate_gets_no_second_vote(stage: Any) -> None:
    late_candidate(stage, RaftNode)


def test_rf2_a_vote_forgotten_within_its_term(stage: Any) -> None:
    with violation("one vote per server and term"):
        late_candidate(stage, ForgetsVoteOfSameTerm)


class LeadsOnAnyVote(RaftNode):
    """A candidate takes its own vote for a majority."""

    def is_quorum(self, servers: set[str]) -> bool:
        return bool(servers)


def test_two_leaders_of_one_term(stage: Any) -> None:
    s = stage(3, node_class=LeadsOnAnyVote)
    s.step("n0", "on_election_timeout")
    with violation("election safety"):
        s.campaign("n1")


class IgnoresLogs(RaftNode):
    """The voter does not compare logs (5.4.1)."""

    def is_up_to_date(self, last_log_term: int, last_log_index: int) -> bool:
        return True


def test_a_leader_that_lacks_a_committed_entry(stage: Any) -> None:
    s = stage(3, node_class=IgnoresLogs)
    s.campaign("n0")
    s.partition(["n0", "n1"], ["n2"])
    s.ask("n0")
    s.settle()
    s.heal()
    with violation("leader completeness"):
        s.campaign("n2")


# Replication


def test_rf3_an_old_entry_committed_by_counting(stage: Any) -> None:
    with violation("commit rule"):
        stage(5, node_class=CommitsOldTerms).figure_8()


def divergent_tail(stage: Any, mutant: type[RaftNode]) -> Any:
    """n0 has two entries that nobody else has; n1 leads in term 2, with one entry of its own."""
    s = stage(3, node_class=mutant, fsync=0.001)
    s.campaign("n0")
    s.partition(["n0"], ["n1", "n2"])
    s.ask("n0")
    s.ask("n0")
    s.ask("n0")
    s.settle()
    s.campaign("n1")
    return s


def test_rf4_an_acknowledgement_of_more_than_was_sent(stage: Any) -> None:
    s = divergent_tail(stage, AcknowledgesLastIndex)
    s.heal()
    with violation("acknowledged logs match"):
        s.deliver("n1", "n0", AppendEntries(2, "n1", 1, 1, (), 1))
        s.settle()


def commit_ahead_of_a_probe(stage: Any, mutant: type[RaftNode]) -> None:
    s = divergent_tail(stage, mutant)
    s.ask("n1")
    s.settle()
    s.heal()
    s.deliver("n1", "n0", AppendEntries(2, "n1", 1, 1, (), 3))
    s.settle()
    s.heartbeat("n1")
    s.finish()


def test_a_probe_commits_no_further_than_it_matches(stage: Any) -> None:
    commit_ahead_of_a_probe(stage, RaftNode)


def test_rf5_a_follower_commits_its_divergent_tail(stage: Any) -> None:
    with violation("state machine safety"):
        commit_ahead_of_a_probe(stage, CommitsWhatItHas)


def stale_append(stage: Any, mutant: type[RaftNode]) -> None:
    s = stage(3, node_class=mutant)
    s.campaign("n0")
    s.ask("n0")
    s.ask("n0")
    s.settle()
    s.deliver("n0", "n1", AppendEntries(1, "n0", 0, 0, (Entry(1, NOOP),), 0))


def test_a_stale_append_deletes_nothing(stage: Any) -> None:
    stale_append(stage, RaftNode)


def test_rf6_a_stale_append_truncates(stage: Any) -> None:
    with violation("acknowledged entries are kept"):
        stale_append(stage, AlwaysTruncates)


class AcknowledgesUnsynced(RaftNode):
    """RF24 (Jepsen, NATS 2.12.1): the follower replies after the append in memory."""

    def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
        self.host.send(dst, msg, hold and not isinstance(msg, AppendEntriesReply))


def test_rf24_an_acknowledgement_before_the_sync(stage: Any) -> None:
    s = stage(3, node_class=AcknowledgesUnsynced, fsync=0.005)
    with violation("durable before send"):
        s.campaign("n0")


class ForgetsLog(RaftNode):
    """The log is not on disk."""

    def on_start(self) -> None:
        super().on_start()
        self.log.truncate(0)


def test_an_acknowledged_log_forgotten_by_a_restart(stage: Any) -> None:
    s = stage(3, node_class=ForgetsLog)
    s.campaign("n0")
    s.ask("n0")
    s.settle()
    s.crash("n1")
    with violation("acknowledged entries are kept"):
        s.restart("n1")


class OverwritesItself(RaftNode):
    """A leader deletes its own entries before it appends."""

    def append(self, command: Command) -> int:
        if command is not NOOP:
            self.truncate_from(self.last_index())
        return super().append(command)


def test_a_leader_that_overwrites_its_log(stage: Any) -> None:
    s = stage(3, node_class=OverwritesItself)
    s.campaign("n0")
    with violation("leader append-only"):
        s.ask("n0")
        s.settle()


class SkipsConsistencyCheck(RaftNode):
    """Rule 2 is missing: the follower does not compare the previous entry's term."""

    def on_append_entries(self, src: str, msg: AppendEntries) -> None:
        super().on_append_entries(src, replace(msg, prev_log_term=self.term_at(msg.prev_log_index)))


def test_logs_that_agree_in_an_entry_but_not_before_it(stage: Any) -> None:
    s = divergent_tail(stage, SkipsConsistencyCheck)
    s.ask("n1")
    s.settle()
    s.heal()
    entry = s.node("n1").entry_at(3)
    with violation("log matching"):
        s.deliver("n1", "n0", AppendEntries(2, "n1", 2, 2, (entry,), 0))


class CountsItselfTwice(RaftNode):
    """A leader commits what only it has."""

    def replicated_index(self) -> int:
        return self.last_index()


def test_a_commit_without_a_majority(stage: Any) -> None:
    s = stage(3, node_class=CountsItselfTwice)
    s.campaign("n0", 0.002)
    with violation("commit rule"):
        s.settle()


class InventsCommands(RaftNode):
    """A leader writes down something else than what it was asked for."""

    def append(self, command: Command) -> int:
        return super().append(command if command is NOOP else replace(command, value="invented"))


def test_a_command_that_no_client_sent_is_caught(stage: Any) -> None:
    s = stage(3, node_class=InventsCommands)
    s.campaign("n0")
    with violation("validity"):
        s.ask("n0")
        s.settle()


# Clients


class AppliesElsewhere(RaftNode):
    """A server's state has a key that no command put there."""

    def apply(self, index: int, command: Command) -> None:
        super().apply(index, command)
        if self.name == "n1":
            self.store.application.data["y"] = index


def test_a_state_that_the_log_does_not_explain(stage: Any) -> None:
    s = stage(3, node_class=AppliesElsewhere)
    s.campaign("n0")
    s.ask("n0")
    s.settle()
    s.heartbeat("n0")
    with violation("exactly once .* make .* but n1 holds .*'y'"):
        s.finish()


class RepliesAtOnce(RaftNode):
    """A leader replies before the command is committed."""

    def append(self, command: Command) -> int:
        index = super().append(command)
        if command.session >= 0:
            self.send("client", Reply(command.session, command.sequence, "ok", command.value))
        return index


def test_a_reply_before_the_commit(stage: Any) -> None:
    s = stage(3, node_class=RepliesAtOnce)
    s.campaign("n0")
    with violation("exactly once"):
        s.ask("n0")
        s.settle()


class AppliesRetries(RaftNode):
    """The state machine does not look at sessions (section 8)."""

    def apply(self, index: int, command: Command) -> None:
        self.store.sessions.pop(command.session, None)
        super().apply(index, command)


def retried(stage: Any, mutant: type[RaftNode]) -> None:
    s = stage(3, node_class=mutant)
    s.campaign("n0")
    s.ask("n0", "increment", "x", 1)
    s.ask("n0", "increment", "x", 1, sequence=1)  # an impatient client
    s.settle()
    assert {reply.result for reply in s.client.replies} == {1}


def test_a_retried_command_takes_effect_once(stage: Any) -> None:
    retried(stage, RaftNode)


def test_a_retried_command_takes_effect_twice(stage: Any) -> None:
    with violation("exactly once"):
        retried(stage, AppliesRetries)


class VotesTwice(RaftNode):
    """The vote is granted to every server that asks."""

    def on_request_vote(self, src: str, msg: RequestVote) -> None:
        self.adopt_term(msg.term)
        self.send(src, RequestVoteReply(self.current_term, True))


def test_a_vote_that_is_nowhere_on_disk(stage: Any) -> None:
    with violation("durable before send"):
        split_vote(stage, VotesTwice, 0.0)
