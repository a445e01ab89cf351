"""Invariants of single logs, and of how logs agree (section 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.node import Node
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.consensus.raft.invariants.history import RaftInvariant, ServerRecord
from sim.protocols.consensus.raft.node import AppendEntriesReply, Entry, RaftNode

__all__ = ["AckedIsKept", "LeaderAppendOnly", "LogMatching", "MatchIndex", "Validity"]


@dataclass
class LeaderAppendOnly(RaftInvariant):
    """A leader never overwrites or deletes entries in its log; it only appends new entries (5.3)."""

    title: ClassVar[str] = "leader append-only"
    after = ("removed",)

    def check(self, node: RaftNode) -> None:
        history = self.history
        if history.was_leading == node.current_term and node.role == "leader":
            index, entry = history.removed[0]
            self.violated(
                (node.name,),
                f"{node.name} leads in term {node.current_term} with {entry!r} at index {index}",
                "that entry is gone from its log",
            )


@dataclass
class LogMatching(RaftInvariant):
    """If two logs contain an entry with the same index and term, they are identical up to it (5.3).

    Checked by induction: an index and term identify one command and the term of the previous entry.
    """

    title: ClassVar[str] = "log matching"
    after = ("added",)
    known: dict[tuple[int, int], tuple[Command, int]] = field(default_factory=dict)

    def check(self, node: RaftNode) -> None:
        for index, entry in self.history.added:
            found = (entry.command, node.term_at(index - 1) if index > node.floor() else 0)
            expected = self.known.setdefault((index, entry.term), found)
            if expected[0] is not found[0] and expected != found:
                self._differ(node, index, entry, expected, found)
            if expected[1] != found[1]:
                self._differ(node, index, entry, expected, found)

    def _differ(self, node: RaftNode, index: int, entry: Entry, expected: Any, found: Any) -> None:
        self.violated(
            (node.name,),
            f"index {index}, term {entry.term} was {expected[0]!r} after an entry of term {expected[1]}",
            f"in the log of {node.name} it is {found[0]!r} after an entry of term {found[1]}",
        )

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        for node in nodes.values():
            if isinstance(node, RaftNode):
                first = self.history.servers[node.name].first
                self.history.added = list(enumerate(node.log.items, first))
                self.check(node)


@dataclass
class Validity(RaftInvariant):
    """A command in a log was sent by a client."""

    title: ClassVar[str] = "validity"
    after = ("added",)
    hears = (Request,)
    proposed: set[Command] = field(default_factory=set)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        self.proposed.add(message.command)

    def check(self, node: RaftNode) -> None:
        for index, entry in self.history.added:
            if entry.command.session >= 0 and entry.command not in self.proposed:
                self.violated(
                    (node.name,),
                    f"{entry!r} is in the log at index {index}",
                    "no client has sent that command",
                )


@dataclass
class MatchIndex(RaftInvariant):
    """An acknowledgement covers no more than the common prefix of the leader's and the follower's logs (5.3)."""

    title: ClassVar[str] = "acknowledged logs match"
    hears = (AppendEntriesReply,)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if not message.success or src == dst:
            return
        history = self.history
        leader, follower = history.servers.get(dst), history.servers.get(src)
        if leader is None or follower is None or not message.index:
            return
        if leader.leading != message.term or follower.node.current_term != message.term:
            return  # one of them is no longer in the term of the message
        if message.index < max(leader.node.floor(), follower.node.floor()):
            return  # in a snapshot
        theirs = self.term_of(leader, message.index)
        mine = self.term_of(follower, message.index)
        if theirs != mine:
            self.violated(
                (src, dst),
                f"{src} acknowledges index {message.index} to {dst}",
                f"its entry there is of term {mine}, the leader's of term {theirs}",
            )

    def term_of(self, server: ServerRecord, index: int) -> int | None:
        """The term of a server's entry at present; None: it has no such entry."""
        node = server.node
        return node.term_at(index) if index <= node.last_index() else None


@dataclass
class AckedIsKept(RaftInvariant):
    """Within a term, a follower never removes an entry that it has acknowledged; damage of its disk may take it."""

    title: ClassVar[str] = "acknowledged entries are kept"
    after = ("removed",)
    hears = (AppendEntriesReply,)
    # Server -> how often its log was damaged before; term, index, the entry's term:
    acked: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        server = self.history.servers.get(src)
        if not message.success or server is None:
            return
        if (server.damages, message.term, message.index) > self.acked.get(src, (0, 0, 0))[:3]:
            node, index = server.node, message.index
            if node.current_term == message.term and server.first <= index <= node.last_index():
                self.acked[src] = (server.damages, message.term, index, node.term_at(index))

    def check(self, node: RaftNode) -> None:
        damages, term, index, of_term = self.acked.get(node.name, (0, 0, 0, 0))
        if node.current_term != term or damages != self.history.servers[node.name].damages:
            return
        if index < node.floor():
            return  # in the snapshot
        if index > node.last_index() or node.term_at(index) != of_term:
            self.violated(
                (node.name,),
                f"{node.name} acknowledged index {index}, of term {of_term}, in term {term}",
                f"in that term it deletes its log from index {self.history.removed[0][0]} on",
            )
