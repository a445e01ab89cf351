"""Invariants of the thesis' extensions, beyond figure 3."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from operator import attrgetter
from typing import Any, ClassVar

from sim.invariants import pause_between
from sim.protocols.client import Reply, Request
from sim.protocols.consensus.raft.extensions.elections import PreVoteReply
from sim.protocols.consensus.raft.invariants import (
    AcknowledgedIsCommitted,
    CommitRule,
    ExactlyOnce,
    RaftInvariant,
    raft_invariants,
)
from sim.protocols.consensus.raft.invariants.damage import VotesWithItsLog
from sim.protocols.consensus.raft.invariants.leaseguard import LeasedReadsAreFresh, LeasesExclude
from sim.protocols.consensus.raft.invariants.leases import LeaseExcludes
from sim.protocols.consensus.raft.invariants.stickiness import LeaderIsKept
from sim.protocols.consensus.raft.node import AppendEntriesReply, RaftNode
from sim.protocols.sessions import Sessions
from sim.system import Invariant

__all__ = [
    "CommitRuleOfConfig",
    "LeaseIsExclusive",
    "OneChangeAtATime",
    "QuorumsIntersect",
    "ReadsAreFresh",
    "SnapshotIsFold",
    "thesis_invariants",
]


@dataclass
class SnapshotIsFold(RaftInvariant):
    """A snapshot covers committed entries only, has the term of the last one, and the state (with sessions) of all."""

    title: ClassVar[str] = "a snapshot is the fold of the log"
    models: dict[str, Sessions] = field(default_factory=dict)
    folded: dict[str, int] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    def check(self, node: RaftNode) -> None:
        snapshot = getattr(node, "snapshot", None)
        if snapshot is None or snapshot is self.seen.get(node.name) or not snapshot.index:
            return
        self.seen[node.name] = snapshot
        if snapshot.index > len(self.history.committed):
            self.violated(
                (node.name,),
                f"{node.name} has a snapshot up to index {snapshot.index}",
                f"no more than {len(self.history.committed)} entries are committed",
            )
        last = self.history.committed[snapshot.index - 1]
        if snapshot.term != last.term:
            self.violated(
                (node.name,),
                f"entry {snapshot.index} is of term {last.term}",
                f"the snapshot of {node.name} says that it is of term {snapshot.term}",
            )
        model = self.model(node.name, snapshot.index)
        found = self.empty()
        found.restore(snapshot.state)
        for what in ("state", "sessions"):
            if getattr(found, what) != getattr(model, what):
                self.violated(
                    (node.name,),
                    f"the committed entries up to {snapshot.index} make {what} {getattr(model, what)!r}",
                    f"the snapshot of {node.name} has {getattr(found, what)!r}",
                )

    def empty(self) -> Sessions:
        """The initial state."""
        return Sessions(self.history.application)

    def model(self, name: str, index: int) -> Sessions:
        """The state after the committed entries up to an index. It continues from the server's previous snapshot."""
        model, done = self.models.setdefault(name, self.empty()), self.folded.get(name, 0)
        if index < done:
            model, done = self.empty(), 0
        for entry in self.history.committed[done:index]:
            model.apply(entry.command)
        self.models[name], self.folded[name] = model, index
        return model


@dataclass
class ReadsAreFresh(RaftInvariant):
    """A read sees every entry that was committed when the client requested it (6.4)."""

    title: ClassVar[str] = "reads are fresh"
    hears = (Request, Reply)
    asked: dict[tuple[int, int], int] = field(default_factory=dict)  # read -> entries committed at its call

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is Request and message.command.kind in self.history.application.reads:
            command = message.command
            self.asked.setdefault((command.session, command.sequence), len(self.history.committed))
        elif message.__class__ is Reply and src in self.history.servers:
            self.answered(src, message)

    def answered(self, src: str, reply: Reply) -> None:
        """Check that a server that answers has applied the entries that the read must see."""
        needed = self.asked.get((reply.session, reply.sequence))
        applied = self.history.servers[src].node.last_applied
        if needed is not None and applied < needed:
            self.violated(
                (src,),
                f"number {reply.sequence} of session {reply.session} was asked with {needed} entries committed",
                f"{src} answers after applying {applied}",
            )


@dataclass
class CommitRuleOfConfig(CommitRule):
    """The commit rule with membership changes. The quorum is of the configuration that was the latest when the step
    began, because the leader may append the next configuration in the same step."""

    after = ()
    configs: dict[str, Any] = field(default_factory=dict)

    def check(self, node: RaftNode) -> None:
        if self.history.newly_committed:
            super().check(node)
        self.configs[node.name] = node.config  # type: ignore[attr-defined]

    def is_quorum(self, node: Any, servers: set[str]) -> bool:
        return bool(node.is_quorum_of(self.configs[node.name], servers))


@dataclass
class QuorumsIntersect(RaftInvariant):
    """Each quorum of a configuration intersects each quorum of the previous configuration (4.1, section 6).

    Quorums are determined by the servers' own test. Every split of the servers into two sets is tried, once for
    each pair of configurations.
    """

    title: ClassVar[str] = "quorums of successive configurations intersect"
    tried: set[tuple[Any, Any]] = field(default_factory=set)

    def check(self, node: RaftNode) -> None:
        configs = node.configs  # type: ignore[attr-defined]
        for (_, before), (_, after) in pairwise(configs):
            if (before, after) not in self.tried:
                self.tried.add((before, after))
                self.try_all(node, before, after)

    def try_all(self, node: Any, before: Any, after: Any) -> None:
        """Try every split of the servers into two sets."""
        servers = list(dict.fromkeys((*before.everyone, *after.everyone)))
        for pattern in range(2 ** len(servers)):
            one = {name for bit, name in enumerate(servers) if pattern >> bit & 1}
            other = {name for name in servers if name not in one}
            if node.is_quorum_of(before, one) and node.is_quorum_of(after, other):
                self.violated(
                    (node.name,),
                    f"{', '.join(sorted(one))} are a quorum of {before!r}",
                    f"{', '.join(sorted(other))} are one of {after!r}",
                )


@dataclass
class OneChangeAtATime(RaftInvariant):
    """A leader changes the configuration only when the previous one and an entry of its own term are committed.

    Section 4.1, with the correction of 10 July 2015 (Ongaro, "bug in single-server membership changes", raft-dev).
    """

    title: ClassVar[str] = "one change of members at a time"
    after = ("added",)

    def check(self, node: Any) -> None:
        if node.role != "leader":
            return
        for index, entry in self.history.added:
            if entry.command.kind == "config" and entry.term == node.current_term:
                before = max(at for at, _ in node.configs if at < index)
                if before > node.commit_index:
                    self.violated(
                        (node.name,),
                        f"{node.name} changes the configuration at index {index}",
                        f"the one before it, at index {before}, is not committed",
                    )
                if node.term_at(node.commit_index) != node.current_term:
                    self.violated(
                        (node.name,),
                        f"{node.name} changes the configuration in term {node.current_term}",
                        "nothing of that term is committed",
                    )


@dataclass
class LeaseIsExclusive(LeaseExcludes):
    """While a leader may answer under its lease, no other server commits a new entry (6.4.1).

    A former leader that was paused may later learn that its last entries are on a majority. These are not new: they
    are in its successor's log, below the entry that the successor had to commit before it answers reads (6.4).
    """

    title: ClassVar[str] = "a lease excludes other leaders"

    def may_read(self, other: Any, node: Any) -> bool:
        return bool(other is not node and other.holds_lease() and other.has_committed_in_term())

    def lease_of(self, other: Any) -> str:
        until = f"{other.lease_until:g} s of its clock"
        return f" with a lease until {until}, which shows {other.monotonic:g} s"


def thesis_invariants(system: Any) -> Iterable[Invariant]:
    """Fresh invariants for one run of a system with these options."""
    invariants = list(raft_invariants(system.application))
    history = invariants[0]
    if system.damage:
        history.damage = True  # type: ignore[attr-defined]
        invariants.append(VotesWithItsLog(history=history))  # type: ignore[arg-type]
    if system.reads != "log":
        invariants = [_without_reads(invariant) for invariant in invariants]
        if system.reads not in ("stale", "leaseguard"):
            invariants.append(ReadsAreFresh(history=history))  # type: ignore[arg-type]
    if system.reads == "leaseguard":
        invariants.append(LeasesExclude(history=history))  # type: ignore[arg-type]
        invariants.append(LeasedReadsAreFresh(history=history))  # type: ignore[arg-type]
    if system.reads == "lease":
        invariants.append(LeaseIsExclusive(history=history))  # type: ignore[arg-type]
    if system.pre_vote or system.check_quorum or system.reads == "lease":
        invariants.append(LeaderIsKept(history=history))  # type: ignore[arg-type]
    if system.pre_vote:  # who follows a leader helps nobody else
        invariants.append(
            pause_between(
                AppendEntriesReply, PreVoteReply, when=attrgetter("success"), then=attrgetter("granted")
            )
        )
    if system.snapshot_every is not None:
        invariants.append(SnapshotIsFold(history=history))  # type: ignore[arg-type]
    if system.membership is not None:
        invariants = [
            CommitRuleOfConfig(history=history) if type(invariant) is CommitRule else invariant  # type: ignore[arg-type]
            for invariant in invariants
        ]
        invariants.append(OneChangeAtATime(history=history))  # type: ignore[arg-type]
        invariants.append(QuorumsIntersect(history=history))  # type: ignore[arg-type]
    return invariants


def _without_reads(invariant: Invariant) -> Invariant:
    """Exclude reads from the invariants about the log, because these reads bypass it."""
    if isinstance(invariant, ExactlyOnce | AcknowledgedIsCommitted):
        invariant.reads_in_log = False
    return invariant
