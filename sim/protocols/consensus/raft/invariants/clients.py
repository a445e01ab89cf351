"""Invariants that clients observe: each command takes effect once, and acknowledged ones are committed (section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.node import Node
from sim.protocols.application import Application
from sim.protocols.client import Reply, Request
from sim.protocols.command import Result
from sim.protocols.consensus.raft.invariants.history import RaftInvariant
from sim.protocols.consensus.raft.node import RaftNode

__all__ = ["AcknowledgedIsCommitted", "ExactlyOnce"]


@dataclass
class ExactlyOnce(RaftInvariant):
    """Each command takes effect once, and all replies to it are equal (section 8).

    The reference applies the committed entries in order, and skips duplicates by a set of its own.
    """

    title: ClassVar[str] = "exactly once"
    hears = (Request, Reply)
    model: Application = field(init=False)
    results: dict[tuple[int, int], Result] = field(default_factory=dict)
    folded: int = 0
    reads_in_log: bool = True
    reads: set[tuple[int, int]] = field(default_factory=set)  # clients' reads that bypass the log

    def __post_init__(self) -> None:
        self.model = self.history.application.fresh()

    def fold(self) -> None:
        """Apply the entries that were committed since the last call."""
        committed = self.history.committed
        while self.folded < len(committed):
            command = committed[self.folded].command
            self.folded += 1
            name = (command.session, command.sequence)
            if command.session >= 0 and name not in self.results:
                self.results[name] = self.model.apply(command)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is Reply and src in self.history.servers:
            self.fold_for(src)
            if (message.session, message.sequence) not in self.reads:
                self.compare(src, message)
        elif (
            message.__class__ is Request
            and not self.reads_in_log
            and message.command.kind in self.history.application.reads
        ):
            self.reads.add((message.command.session, message.command.sequence))

    def fold_for(self, src: str) -> None:
        """Apply the sender's commits: a leader replies in the step in which it commits, before `on_step` is called."""
        node, committed = self.history.servers[src].node, self.history.committed
        for index in range(len(committed) + 1, node.last_applied + 1):
            committed.append(node.entry_at(index))
        self.fold()

    def compare(self, src: str, reply: Reply) -> None:
        """Compare a reply with the result of the command in the reference."""
        expected = self.results.get((reply.session, reply.sequence))
        if expected is None:
            self.violated((src,), f"{src} replies {reply!r}", "no such command is committed")
        elif (reply.status, reply.value, reply.result) != (expected.status, expected.value, expected.result):
            self.violated(
                (src,), f"{src} replies {reply!r}", f"the command, taken once, returns {expected!r}"
            )

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        self.fold()
        for node in nodes.values():
            if isinstance(node, RaftNode) and node.last_applied == self.folded:
                expected, held = self.model.snapshot(), node.store.state
                if expected != held:
                    self.violated(
                        (node.name,),
                        f"the committed commands make {expected!r}",
                        f"{node.name} holds {held!r}",
                    )


@dataclass
class AcknowledgedIsCommitted(RaftInvariant):
    """A command that succeeded for a client is committed (and remains so, by leader completeness)."""

    title: ClassVar[str] = "acknowledged is committed"
    commands: set[tuple[int, int]] = field(default_factory=set)
    seen: int = 0
    reads_in_log: bool = True

    def on_acknowledged(self, client: str, operation: Any) -> None:
        if operation.operation.kind in self.history.application.reads and not self.reads_in_log:
            return
        committed = self.history.committed
        while self.seen < len(committed):
            command = committed[self.seen].command
            self.commands.add((command.session, command.sequence))
            self.seen += 1
        if (operation.session, operation.sequence) not in self.commands:
            self.violated(
                (client,),
                f"{client} saw number {operation.sequence} of session {operation.session} succeed",
                "it is not committed",
            )
