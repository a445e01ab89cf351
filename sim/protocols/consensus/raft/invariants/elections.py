"""Invariants of terms, votes and leaders (sections 5.1, 5.2), and of state that must be durable before it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.invariants import Stored, promises
from sim.protocols.consensus.raft.extensions.damage import LOG_FIELDS
from sim.protocols.consensus.raft.invariants.history import RaftInvariant
from sim.protocols.consensus.raft.node import (
    AppendEntries,
    AppendEntriesReply,
    RaftNode,
    RequestVoteReply,
)
from sim.system import Invariant

__all__ = ["ElectionSafety", "OneVotePerTerm", "TermsNeverFall", "durable_before_send"]


@dataclass
class ElectionSafety(RaftInvariant):
    """At most one leader can be elected in a given term (5.2)."""

    title: ClassVar[str] = "election safety"
    hears = (AppendEntries,)

    def check(self, node: RaftNode) -> None:
        if node.role == "leader":
            self._leads(node.name, node.current_term)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        self._leads(src, message.term)

    def _leads(self, name: str, term: int) -> None:
        other = self.history.leader_of.setdefault(term, name)
        if other != name:
            self.violated(
                (other, name), f"{other} was the leader of term {term}", f"{name} leads in term {term}"
            )


@dataclass
class OneVotePerTerm(RaftInvariant):
    """A server votes for at most one candidate in a given term, ever (5.2)."""

    title: ClassVar[str] = "one vote per server and term"
    hears = (RequestVoteReply,)
    votes: dict[tuple[str, int], str] = field(default_factory=dict)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.granted:
            other = self.votes.setdefault((src, message.term), dst)
            if other != dst:
                self.violated(
                    (src, other, dst),
                    f"{src} voted for {other} in term {message.term}",
                    f"it votes for {dst} in that term",
                )


@dataclass
class TermsNeverFall(RaftInvariant):
    """A server's term never falls below a term that it has sent, also after restarts."""

    title: ClassVar[str] = "terms never fall"

    def check(self, node: RaftNode) -> None:
        told = self.history.servers[node.name].externalised
        if node.current_term < told:
            self.violated(
                (node.name,), f"{node.name} has spoken in term {told}", f"it is in term {node.current_term}"
            )


def durable_before_send() -> tuple[Invariant, ...]:
    """A server that has sent a term, a vote or an acknowledgement has it on disk.

    Once a later term is on disk, votes and acknowledgements of earlier terms no longer matter.
    """

    def has_term(stored: Stored, message: Any, dst: str) -> bool:
        return bool(stored("current_term") >= message.term)

    def voted_for(stored: Stored, message: Any, candidate: str) -> bool:
        return bool(stored("current_term") != message.term or stored("voted_for") == candidate)

    def has_entry(stored: Stored, message: AppendEntriesReply, dst: str) -> bool:
        node: Any = stored.node
        if not message.success or not message.index or stored("current_term") != message.term:
            return True
        if message.index < node.floor() or node.current_term != message.term:
            return True  # in the snapshot; or the node follows a later leader, known in memory only
        known = node.term_at(message.index) if message.index <= node.last_index() else None
        return known is not None and _term_on_disk(stored, message.index) == known

    return (
        promises(lambda kind: hasattr(kind, "term"), keeps="current_term", shown=has_term),
        promises(
            RequestVoteReply,
            keeps=("current_term", "voted_for"),
            shown=lambda stored, reply, dst: not reply.granted or voted_for(stored, reply, dst),
        ),
        promises(
            lambda kind: hasattr(kind, "term") and hasattr(kind, "candidate"),  # a RequestVote, of any kind
            keeps=("current_term", "voted_for"),
            shown=lambda stored, request, dst: voted_for(stored, request, stored.node.name),
        ),
        promises(
            AppendEntriesReply,
            keeps=("current_term", "log"),
            shown=has_entry,
            but_for_damage=LOG_FIELDS,
        ),
    )


def _term_on_disk(stored: Stored, index: int) -> int | None:
    """The term of the entry at ``index`` on a server's disk; None: there is no entry, or a snapshot replaced it."""
    floor, term = stored("beginning") if "beginning" in type(stored.node)._durables else (0, 0)
    log, at = stored("log"), index - floor - 1
    if at == -1:
        return int(term)
    return log[at].term if 0 <= at < len(log) else None
