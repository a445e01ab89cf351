"""Damaged disks (Alagappan et al., FAST 2018): who has lost acknowledged entries does not vote without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sim.protocols.consensus.raft.extensions.elections import PreVoteReply
from sim.protocols.consensus.raft.invariants.history import RaftInvariant
from sim.protocols.consensus.raft.node import RequestVoteReply

__all__ = ["VotesWithItsLog"]


@dataclass
class VotesWithItsLog(RaftInvariant):
    """A server whose disk has lost entries that it had acknowledged votes only when it has caught up.

    It has caught up when it has acknowledged, since the damage, as much to the leader of the last term in which it had
    acknowledged something, or anything to the leader of a later term.
    """

    title: ClassVar[str] = "a damaged server does not vote"
    hears = (RequestVoteReply, PreVoteReply)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        server = self.history.servers.get(src)
        if server is None or not server.taken or not message.granted:
            return
        term = max(server.taken)
        index, since = server.taken[term], server.acknowledged
        if since.get(term, -1) < index and max(since, default=0) <= term:
            self.violated(
                (src, dst),
                f"{src} had acknowledged index {index} in term {term} before its disk was damaged",
                f"it grants {dst} a vote, and has not caught up with a leader since",
            )
