"""Mistakes in the Raft of figure 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.protocols.consensus.raft.basic import BasicRaft
from sim.protocols.consensus.raft.node import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    RaftNode,
    RequestVoteReply,
)
from sim.protocols.consensus.raft.system import Raft
from sim.settings import Count
from sim.zoo.bug import Mutated, bug

__all__ = ["RF1", "RF2", "RF3", "RF4", "RF5", "RF6", "RF24"]


class VotesUnsynced(RaftNode):
    """A vote does not wait for the disk."""

    def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
        self.host.send(dst, msg, hold and (dst == self.name or not isinstance(msg, RequestVoteReply)))


@bug("safety", happened="hashicorp/raft#661")
@dataclass(frozen=True, kw_only=True)
class RF1(Mutated, BasicRaft):
    """A server sends its vote before the vote is on disk."""

    nodes: Count = 3
    mutated_nodes = (VotesUnsynced,)


class ForgetsVoteOfSameTerm(RaftNode):
    """Stepping down clears the vote although the term is the same."""

    def become_follower(self, leader: str | None) -> None:
        super().become_follower(leader)
        self.voted_for = None


@bug("safety", happened="microsoft/CCF#8094; eliben/raft#27")
@dataclass(frozen=True, kw_only=True)
class RF2(Mutated, BasicRaft):
    """A server that steps down forgets its vote, although the term is still the same."""

    nodes: Count = 3
    mutated_nodes = (ForgetsVoteOfSameTerm,)


class CommitsOldTerms(RaftNode):
    """Entries of earlier terms are committed by counting replicas."""

    def advance_commit_index(self) -> None:
        n = self.replicated_index()
        if n > self.commit_index:
            self.commit_index = n
            self.apply_committed()


@bug(
    "safety", happened="section 5.4.2 and figure 8 of the Raft paper; microsoft/CCF#5674; bakwc/PySyncObj#169"
)
@dataclass(frozen=True, kw_only=True)
class RF3(Mutated, BasicRaft):
    """A leader commits an entry of an earlier term as soon as a majority has it."""

    nodes: Count = 3
    mutated_nodes = (CommitsOldTerms,)


class AcknowledgesLastIndex(RaftNode):
    """The reply acknowledges the follower's last index, not what was sent."""

    def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
        if isinstance(msg, AppendEntriesReply) and msg.success and dst != self.name:
            msg = AppendEntriesReply(msg.term, True, self.last_index())
        self.host.send(dst, msg, hold)


@bug("safety", happened="microsoft/CCF#6016")
@dataclass(frozen=True, kw_only=True)
class RF4(Mutated, Raft):
    """A follower acknowledges all of its log, not only what the leader sent."""

    nodes: Count = 3
    pipeline: Count | None = 4  # heartbeats are empty while entries are under way
    mutated_nodes = (AcknowledgesLastIndex,)


class CommitsWhatItHas(RaftNode):
    """A follower commits min(leaderCommit, its last index)."""

    def on_append_entries(self, src: str, msg: AppendEntries) -> None:
        super().on_append_entries(src, msg)
        if msg.leader_commit > self.commit_index:
            self.commit_index = min(msg.leader_commit, self.last_index())
            self.apply_committed()


@bug("safety", happened="microsoft/CCF#8172")
@dataclass(frozen=True, kw_only=True)
class RF5(Mutated, BasicRaft):
    """A follower commits up to the end of its own log, not of what the leader sent."""

    nodes: Count = 3
    mutated_nodes = (CommitsWhatItHas,)


class AlwaysTruncates(RaftNode):
    """Whatever follows the previous entry is deleted, conflict or not."""

    def accept(self, previous: int, entries: tuple[Entry, ...]) -> None:
        self.truncate_from(previous + 1)
        self.log.extend(entries)


@bug("safety", happened="zhebrak/raftos#26; TestLogReplicationWithReorderedMessage of etcd")
@dataclass(frozen=True, kw_only=True)
class RF6(Mutated, BasicRaft):
    """A late AppendEntries cuts the log off behind its entries, although they are in the log already."""

    nodes: Count = 3
    mutated_nodes = (AlwaysTruncates,)


class AcknowledgesUnsynced(RaftNode):
    """The follower replies after the append in memory."""

    def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
        self.host.send(dst, msg, hold and (dst == self.name or not isinstance(msg, AppendEntriesReply)))


@bug("safety", happened="Jepsen's report on NATS 2.12.1 (2025)")
@dataclass(frozen=True, kw_only=True)
class RF24(Mutated, BasicRaft):
    """A follower acknowledges entries before they are on disk."""

    nodes: Count = 3
    mutated_nodes = (AcknowledgesUnsynced,)
