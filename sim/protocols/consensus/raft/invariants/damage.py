"""Damaged disks (Alagappan et al., FAST 2018): who has lost acknowledged entries does not vote without them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.protocols.consensus.raft.extensions.elections import PreVoteReply
from sim.protocols.consensus.raft.invariants.history import RaftInvariant, ServerRecord
from sim.protocols.consensus.raft.node import RaftNode, RequestVoteReply

__all__ = ["VotesWithItsLog"]


@dataclass
class VotesWithItsLog(RaftInvariant):
    """A server whose disk has lost entries that it had acknowledged votes only when it has caught up.

    It has caught up when, since the damage, its log has held the last entry that it had acknowledged, or an entry of a
    later term than that of the acknowledgement: a leader's log ends with entries of its own term.
    """

    title: ClassVar[str] = "a damaged server does not vote"
    after = ("added",)
    hears = (RequestVoteReply, PreVoteReply)
    caught_up: dict[str, int] = field(default_factory=dict)  # server -> how often its log was damaged before

    def check(self, node: RaftNode) -> None:
        server = self.history.servers[node.name]
        if server.missing is not None and self.has_caught_up(server):
            self.caught_up[node.name] = server.damages

    def has_caught_up(self, server: ServerRecord) -> bool:
        """Whether the log now holds what the damage has taken, or something later."""
        assert server.missing is not None
        term, index, of_term = server.missing
        node, last = server.node, server.node.last_index()
        if node.term_at(last) > term:
            return True
        return index <= last and (index <= node.floor() or of_term in (None, node.term_at(index)))

    def on_send(self, src: str, dst: str, message: Any) -> None:
        server = self.history.servers.get(src)
        if server is None or server.missing is None or not message.granted:
            return
        if self.caught_up.get(src) != server.damages and not self.has_caught_up(server):
            term, index, _ = server.missing
            self.violated(
                (src, dst),
                f"{src} had acknowledged index {index} in term {term} before its disk was damaged",
                f"it grants {dst} a vote, and its log ends at {server.node.last_index()}",
            )
