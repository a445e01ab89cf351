"""Mistakes in the extensions of Raft: reads, membership, snapshots, elections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.protocols.consensus.raft.extensions.damage import DamagedDisks
from sim.protocols.consensus.raft.extensions.elections import PreVoteReply, PreVoting, Stickiness
from sim.protocols.consensus.raft.extensions.membership import Membership
from sim.protocols.consensus.raft.extensions.reads import LeaseReads, ReadIndex
from sim.protocols.consensus.raft.extensions.snapshots import Snapshots
from sim.protocols.consensus.raft.system import MembershipChange, Raft, Reads
from sim.settings import Count, Whole
from sim.zoo.bug import Mutated, bug

__all__ = ["RF7", "RF8", "RF9", "RF13", "RF17", "RF18", "RF20", "RF22", "RF23", "RF25"]


class ReadsBeforeItsFirstCommit(ReadIndex):
    """The read index is taken although no entry of the leader's own term is committed."""

    def has_committed_in_term(self) -> bool:
        return True


@bug("safety", happened="etcd-io/etcd#7331; tikv/tikv#6340")
@dataclass(frozen=True, kw_only=True)
class RF7(Mutated, Raft):
    """A new leader takes its commit index for the read index before it has committed an entry of its own term."""

    nodes: Count = 3
    reads: Reads = "index"
    mutated_nodes = (ReadsBeforeItsFirstCommit,)


class ReadsUnconfirmed(ReadIndex):
    """A read needs no quorum."""

    def read(self, asked: Any) -> None:
        self.serve(self.commit_index, asked)


@bug("safety", happened="Jepsen on etcd and Consul (2014)")
@dataclass(frozen=True, kw_only=True)
class RF8(Mutated, Raft):
    """A leader answers reads from its own state, without asking whether it still leads."""

    nodes: Count = 3
    reads: Reads = "index"
    mutated_nodes = (ReadsUnconfirmed,)


class LeaseFromTheAnswer(LeaseReads):
    """A round of heartbeats counts from its answer."""

    def on_read_heartbeat_reply(self, src: str, msg: Any) -> None:
        for number in self.round_began:
            self.round_began[number] = self.monotonic
        super().on_read_heartbeat_reply(src, msg)


@bug("safety", happened="tikv/tikv#964; sofastack/sofa-jraft#34; yugabyte/yugabyte-db#16")
@dataclass(frozen=True, kw_only=True)
class RF9(Mutated, Raft):
    """A lease is counted from the answers to the heartbeats, not from when the leader sent them."""

    nodes: Count = 3
    reads: Reads = "lease"
    mutated_nodes = (LeaseFromTheAnswer,)


class CountsTheUnion(Membership):
    """A joint quorum is a majority of all servers of both configurations."""

    def is_quorum_of(self, config: Any, servers: set[str]) -> bool:
        everyone = {*config.voters, *config.old}
        return 2 * len(servers & everyone) > len(everyone)


@bug("safety", happened="section 6 of the Raft paper; quorum/testdata/joint_commit.txt of etcd")
@dataclass(frozen=True, kw_only=True)
class RF13(Mutated, Raft):
    """Joint consensus counts one majority of the union, not a majority of each configuration."""

    nodes: Count = 3
    spares: Whole = 2
    membership: MembershipChange | None = "joint"
    mutated_nodes = (CountsTheUnion,)


class AlwaysResets(Snapshots):
    """No log matches a snapshot."""

    def has(self, index: int, term: int) -> bool:
        return False


@bug("safety", happened="camunda/camunda#6092")
@dataclass(frozen=True, kw_only=True)
class RF17(Mutated, Raft):
    """A snapshot replaces the whole log, although the log has more than the snapshot and agrees with it."""

    nodes: Count = 3
    snapshot_every: Count | None = 4
    mutated_nodes = (AlwaysResets,)


class KeepsWhatConflicts(Snapshots):
    """An index that exists matches, whatever its term."""

    def has(self, index: int, term: int) -> bool:
        return bool(self.floor() <= index <= self.last_index())


@bug("liveness", happened="hashicorp/raft#697 and #704")
@dataclass(frozen=True, kw_only=True)
class RF18(Mutated, Raft):
    """A log with another term at the snapshot's last index is kept, because the index exists."""

    nodes: Count = 3
    snapshot_every: Count | None = 4
    mutated_nodes = (KeepsWhatConflicts,)


class LeavesSessionsOut(Snapshots):
    """The snapshot has the state without the sessions."""

    def state(self) -> Any:
        data, _, skipped = self.store.snapshot()
        return data, (), skipped


@bug("safety", happened="section 6.3 of Ongaro's thesis; RedisLabs/redisraft#568")
@dataclass(frozen=True, kw_only=True)
class RF20(Mutated, Raft):
    """A snapshot leaves the clients' sessions out, so that a retry takes effect again."""

    nodes: Count = 3
    snapshot_every: Count | None = 4
    mutated_nodes = (LeavesSessionsOut,)


class LearnsNoTerm(PreVoting):
    """A refused pre-vote tells nothing."""

    def on_pre_vote_reply(self, src: str, msg: PreVoteReply) -> None:
        if msg.granted:
            super().on_pre_vote_reply(src, msg)


@bug("liveness", happened="etcd-io/etcd#8243; databendlabs/openraft#1796; canonical/raft#279")
@dataclass(frozen=True, kw_only=True)
class RF22(Mutated, Raft):
    """A server whose pre-vote is refused does not learn the higher term from the refusal."""

    nodes: Count = 3
    pre_vote: bool = True
    mutated_nodes = (LearnsNoTerm,)


class TrustsNoLeader(Stickiness):
    """A server forgets at once that it heard the leader."""

    def trusts_leader(self) -> bool:
        return False


@bug(
    "liveness",
    happened="Cloudflare, 2 November 2020 (post-mortem); Howard and Abraham (2020); Omni-Paxos (EuroSys 2023)",
)
@dataclass(frozen=True, kw_only=True)
class RF23(Mutated, Raft):
    """A server that hears the leader votes for one that does not, so that a partial partition deposes leaders."""

    nodes: Count = 3
    pre_vote: bool = True
    check_quorum: bool = True
    mutated_nodes = (TrustsNoLeader,)


class GoesOnWithoutIt(DamagedDisks):
    """What is left of the log counts as the whole log."""

    def begin_recovery(self) -> None:
        pass


@bug(
    "safety",
    happened="Protocol-Aware Recovery (Alagappan and others, FAST 2018); Jepsen's report on NATS 2.12.1 (2025)",
)
@dataclass(frozen=True, kw_only=True)
class RF25(Mutated, Raft):
    """A server cuts its log off at a damaged record, although it has acknowledged what follows, and votes as usual."""

    nodes: Count = 3
    damage: bool = True
    mutated_nodes = (GoesOnWithoutIt,)
