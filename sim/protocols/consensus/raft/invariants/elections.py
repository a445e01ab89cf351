"""Invariants of terms, votes and leaders (sections 5.1, 5.2), and of what must be on disk before it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.protocols.consensus.raft.invariants.history import RaftLaw
from sim.protocols.consensus.raft.node import (
    AppendEntries,
    AppendEntriesReply,
    RaftNode,
    RequestVoteReply,
)

__all__ = ["ElectionSafety", "OneVotePerTerm", "RaftDurableBeforeSend", "TermsNeverFall"]


@dataclass
class ElectionSafety(RaftLaw):
    """At most one leader can be elected in a given term (5.2)."""

    title: ClassVar[str] = "election safety"

    def check(self, node: RaftNode) -> None:
        if node.role == "leader":
            self._leads(node.name, node.current_term)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is AppendEntries:
            self._leads(src, message.term)

    def _leads(self, name: str, term: int) -> None:
        other = self.history.leader_of.setdefault(term, name)
        if other != name:
            self.violated(
                (other, name), f"{other} was the leader of term {term}", f"{name} leads in term {term}"
            )


@dataclass
class OneVotePerTerm(RaftLaw):
    """A server votes for at most one candidate in a given term, ever (5.2)."""

    title: ClassVar[str] = "one vote per server and term"
    votes: dict[tuple[str, int], str] = field(default_factory=dict)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is RequestVoteReply and message.granted:
            other = self.votes.setdefault((src, message.term), dst)
            if other != dst:
                self.violated(
                    (src, other, dst),
                    f"{src} voted for {other} in term {message.term}",
                    f"it votes for {dst} in that term",
                )


@dataclass
class TermsNeverFall(RaftLaw):
    """No server's term falls below one that it has told anybody, restarts included."""

    title: ClassVar[str] = "terms never fall"

    def check(self, node: RaftNode) -> None:
        told = self.history.servers[node.name].externalised
        if node.current_term < told:
            self.violated(
                (node.name,), f"{node.name} has spoken in term {told}", f"it is in term {node.current_term}"
            )


@dataclass
class RaftDurableBeforeSend(RaftLaw):
    """A server that has sent a vote, an acknowledgement or a term has it on disk."""

    title: ClassVar[str] = "durable before send"

    def on_send(self, src: str, dst: str, message: Any) -> None:
        term = getattr(message, "term", None)
        if term is None or src not in self.history.servers:
            return
        durable = self.history.on_disk(src, "current_term", 0)
        if durable < term:
            self.violated((src,), f"{src} sends {message!r}", f"its disk is in term {durable}")
        if durable != term:
            return  # it has moved on; what it promised in the old term binds nobody any more
        if message.__class__ is RequestVoteReply and message.granted:
            voted = self.history.on_disk(src, "voted_for", None)
            if voted != dst:
                self.violated((src, dst), f"{src} grants {dst} its vote", f"its disk has a vote for {voted}")
        elif hasattr(message, "candidate"):  # a RequestVote, of whatever kind
            voted = self.history.on_disk(src, "voted_for", None)
            if voted != src:
                self.violated((src,), f"{src} campaigns in term {term}", f"its disk has a vote for {voted}")
        elif message.__class__ is AppendEntriesReply and message.success and message.index:
            self.acknowledges(src, message)

    def acknowledges(self, src: str, message: Any) -> None:
        """The acknowledged entry must be on disk."""
        node = self.history.servers[src].node
        on_disk = self.history.durable_term_at(src, message.index)
        if message.index < node.floor() or node.current_term != message.term:
            return  # in the snapshot; or, in memory only, it has begun to follow another leader
        known = node.term_at(message.index) if message.index <= node.last_index() else None
        if on_disk is None or on_disk != known:
            self.violated(
                (src,),
                f"{src} acknowledges index {message.index}, of term {known}",
                f"its disk has term {on_disk} there",
            )
