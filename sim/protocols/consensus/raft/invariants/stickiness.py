"""Leader stickiness (thesis, 4.2.3): a server that hears a leader helps no other server to be elected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.node import Node
from sim.protocols.consensus.raft.extensions.elections import PreVote, PreVoteReply, Stickiness
from sim.protocols.consensus.raft.extensions.reads import LeaseReads
from sim.protocols.consensus.raft.invariants.history import RaftInvariant
from sim.protocols.consensus.raft.node import AppendEntries, RequestVote, RequestVoteReply

__all__ = ["LeaderIsKept"]

_ROUNDING = 1e-9  # seconds: times are floating-point numbers


@dataclass
class LeaderIsKept(RaftInvariant):
    """A server votes for no candidate of a later term within an election timeout of hearing the current leader.

    "If a server receives a RequestVote request within the minimum election timeout of hearing from a current leader,
    it does not update its term or grant its vote" (4.2.3); a server grants no pre-vote then, either (9.6). Votes that
    the leader itself asked for (3.10) have another message. With leases it holds over a restart, too (6.4.1): a lease
    that a server has helped to confirm is in force although the server has forgotten it.
    """

    title: ClassVar[str] = "a server that hears a leader elects no other"
    hears: ClassVar[tuple[type, ...]] = (AppendEntries, PreVote, PreVoteReply, RequestVote, RequestVoteReply)
    heard: dict[str, tuple[int, float, float]] = field(
        default_factory=dict
    )  # server -> incarnation, its monotonic clock, true time
    asked: dict[str, str] = field(
        default_factory=dict
    )  # server -> the candidate that it must refuse in this step

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        kind = message.__class__
        server = self.history.servers.get(dst)
        node: Any = None if server is None else server.node
        if not isinstance(node, Stickiness):
            return
        if kind is AppendEntries:
            if message.term >= node.current_term:
                self.heard[dst] = (node.incarnation, node.monotonic, self.now())
            return
        if kind is not RequestVote and kind is not PreVote:
            return
        proposed = message.proposed if kind is PreVote else message.term
        if (
            dst in self.heard
            and self.is_fresh(node, *self.heard[dst])
            and src != dst
            and proposed > node.current_term
        ):
            self.asked[dst] = src

    def is_fresh(self, node: Any, incarnation: int, when: float, truly: float) -> bool:
        """Whether a server has heard the leader lately. A restart ends that, unless leases rely on it."""
        timeout: float = node.settings.detection_timeout
        if incarnation == node.incarnation:
            return bool(node.monotonic - when < timeout)
        drift = node.settings.max_clock_drift
        return isinstance(node, LeaseReads) and self.now() - truly < timeout / (1 + drift) - _ROUNDING

    def on_wait(self, src: str, dst: str, message: Any) -> None:
        self.on_send(src, dst, message)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if not self.asked or self.asked.get(src) != dst:
            return
        if isinstance(message, RequestVoteReply | PreVoteReply) and message.granted:
            _, _, truly = self.heard[src]
            self.violated(
                (src, dst),
                f"{src} heard the leader at {truly:g} s, less than an election timeout ago",
                f"it answers {dst} with {message!r}",
            )

    def on_step(self, node: Node) -> None:
        self.asked.pop(node.name, None)
