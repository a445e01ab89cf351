"""put() and get(): the client's coordinator asks the key's preference list (DeCandia et al. 2007, 4.5 and 4.6).

*Strict* quorums: only the N homes of the key count. *Sloppy* quorums: the next healthy node on the ring acts as a
stand-in for a home that does not answer, and counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sim.node import Part
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.replication.dynamo.messages import (
    Answer,
    Get,
    GetReply,
    Ping,
    Pong,
    Put,
    PutAck,
    Repair,
    RepairAck,
    Unavailable,
    Update,
)
from sim.protocols.replication.dynamo.versions import Stamped, StoredVersion, covers, merged, write_siblings

if TYPE_CHECKING:
    from sim.protocols.replication.dynamo.replica import DynamoNode

__all__ = ["ROUNDS", "Coordination", "Coordinator"]

ROUNDS = 4
"""How many timeouts a coordinator waits for nodes that do not answer, before it abandons the operation."""

Number = tuple[int, int]
"""``(session, sequence)`` of a client operation."""


class Coordination:
    """A put of ``version``, or a get (``version`` is None), that is in progress."""

    __slots__ = (
        *("answered", "asked", "client", "found", "heard", "homes", "key", "number", "quorum", "repliers"),
        *("replies", "rounds", "ticket", "version"),
    )

    def __init__(
        self, client: str, number: Number, ticket: tuple[int, int], key: str, version: StoredVersion | None
    ) -> None:
        self.client = client
        self.number = number
        self.ticket = ticket
        self.key = key
        self.version = version
        self.homes: tuple[str, ...] = ()
        self.asked: dict[str, str] = {}  # node -> the home for which it was asked
        self.heard: dict[str, None] = {}  # nodes that have answered
        self.quorum: dict[str, None] = {}  # put: homes that count towards the quorum
        self.replies: dict[str, Any] = {}  # get: home -> version
        self.repliers: dict[str, str] = {}  # get: home -> the node that answered for it
        self.found: list[Any] = []  # get: the merge of the first R replies, once they have arrived
        self.answered = False
        self.rounds = 0


class Coordinator(Part):
    """Executes the operations that clients send to this node, whether or not it is a home of the key."""

    node: DynamoNode

    def on_start(self) -> None:
        self.operations: dict[tuple[int, int], Coordination] = {}  # by ticket
        self.tickets: dict[Number, tuple[int, int]] = {}
        self.issued = 0
        self.suspected: dict[str, None] = {}  # nodes that did not answer in time, nor since

    # Clients

    def on_update(self, src: str, msg: Update) -> None:
        self.begin(src, (msg.session, msg.sequence), msg.key, msg.version)

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        version = None if command.kind == "get" else self.version_of(command)
        self.begin(src, (command.session, command.sequence), command.key, version)

    def version_of(self, command: Command) -> StoredVersion:
        """The version of a write that came without one, made with this node's clock."""
        deletes = command.kind == "delete"
        if self.node.settings.versions == "siblings":
            return write_siblings(command.session, None, command.value, command.size, deletes=deletes)
        stamp = (self.now, command.session, command.sequence)
        return Stamped(stamp, command.value, deletes, command.size)

    def begin(self, client: str, number: Number, key: str, version: StoredVersion | None) -> None:
        """Begin an operation: ask the preference list. At a retry, ask silent nodes again, or repeat the answer."""
        if number not in self.tickets:
            self.issued += 1
            ticket = self.tickets[number] = (self.incarnation, self.issued)
            operation = self.operations[ticket] = Coordination(client, number, ticket, key, version)
            operation.homes = self.node.settings.homes(key)
            self.set_timer("await", self.node.settings.timeout, ticket)
            self.ask_first(operation)
            return
        operation = self.operations[self.tickets[number]]
        if operation.answered:
            self.answer(operation)
        else:
            for node in [n for n in operation.asked if n not in operation.heard]:
                self.ask(operation, node, operation.asked[node])

    def ask_first(self, operation: Coordination) -> None:
        """Ask the homes, and stand-ins for suspected ones. With strict quorums, suspected homes are asked, too."""
        settings = self.node.settings
        spare = self.healthy_spares(operation)
        for home in operation.homes:
            stand_in = next(spare, None) if home in self.suspected and self.may_stand_in(operation) else None
            if stand_in is None or not settings.sloppy:
                self.ask(operation, home, home)
            if stand_in is not None:
                self.ask(operation, stand_in, home)

    def may_stand_in(self, operation: Coordination) -> bool:
        """Whether stand-ins may be asked: always with sloppy quorums, else to keep hints of writes."""
        settings = self.node.settings
        return settings.sloppy or (settings.handoff and operation.version is not None)

    def healthy_spares(self, operation: Coordination) -> Iterator[str]:
        """The nodes after the preference list, in ring order, that are not suspected."""
        order = self.node.settings.order(operation.key)
        return (
            n for n in order[len(operation.homes) :] if n not in self.suspected and n not in operation.asked
        )

    def ask(self, operation: Coordination, node: str, home: str) -> None:
        """Send the Put or Get of an operation to a node, on behalf of a home."""
        operation.asked[node] = home
        if operation.version is None:
            self.send(node, Get(operation.ticket, operation.key, home), hold=False)
        else:
            self.send(node, Put(operation.ticket, operation.key, operation.version, home), hold=False)

    def answer(self, operation: Coordination) -> None:
        """Send the answer to the client."""
        operation.answered = True
        found = operation.found[0] if operation.version is None else None
        value = self.node.settings.shown(found) if operation.version is None else None
        self.send(operation.client, Answer(*operation.number, "ok", value, None, found), hold=False)

    # put()

    def on_put_ack(self, src: str, msg: PutAck) -> None:
        operation = self.heard_for(src, msg.ticket)
        if operation is None or operation.version is None:
            return
        if self.counts(src, msg.home):
            operation.quorum[msg.home] = None
        if not operation.answered and self.node.settings.is_write_quorum(operation.homes, operation.quorum):
            self.answer(operation)
        self.close_if_complete(operation)

    def counts(self, src: str, home: str) -> bool:
        """Whether an acknowledgement counts towards the quorum: a stand-in's counts in sloppy quorums only."""
        return src == home or self.node.settings.sloppy

    # get()

    def on_get_reply(self, src: str, msg: GetReply) -> None:
        operation = self.heard_for(src, msg.ticket)
        if operation is None or operation.version is not None:
            return
        operation.replies[msg.home] = merged(operation.replies.get(msg.home), msg.version)
        operation.repliers[msg.home] = src
        if not operation.found and self.node.settings.is_read_quorum(operation.homes, operation.replies):
            operation.found.append(merged(*operation.replies.values()))
            if self.node.settings.repair == "blocking":
                self.repair(operation, operation.found[0])
        self.answer_if_read(operation)
        self.close_if_complete(operation)

    def repair(self, operation: Coordination, newest: Any, *, homes_only: bool = False) -> None:
        """Send the newest version to nodes whose replies do not cover it; stand-ins keep it as a hint."""
        for home, version in operation.replies.items():
            node = operation.repliers[home]
            if not covers(version, newest) and (node == home or not homes_only):
                self.send(node, Repair(operation.ticket, operation.key, newest, home), hold=False)

    def answer_if_read(self, operation: Coordination) -> None:
        """Answer when R homes have replied; with blocking repair, when R are known to hold the returned version."""
        if not operation.found or operation.answered:
            return
        if self.node.settings.repair == "blocking":
            holders = {
                h: None for h, version in operation.replies.items() if covers(version, operation.found[0])
            }
            if not self.node.settings.is_read_quorum(operation.homes, holders):
                return
        self.answer(operation)

    def on_repair_ack(self, src: str, msg: RepairAck) -> None:
        operation = self.operations.get(msg.ticket)
        if operation is not None and operation.found:
            operation.replies[msg.home] = merged(operation.replies.get(msg.home), operation.found[0])
            self.answer_if_read(operation)
            self.close_if_complete(operation)

    # Silent nodes, and the end of an operation

    def heard_for(self, src: str, ticket: tuple[int, int]) -> Coordination | None:
        """Note that a node has answered. Returns the operation; None: it is over."""
        self.heard_from(src)
        operation = self.operations.get(ticket)
        if operation is not None:
            operation.heard[src] = None
        return operation

    def silent_homes(self, operation: Coordination) -> list[str]:
        """The homes for which no node has answered."""
        accounted = [operation.asked.get(node) for node in operation.heard]
        return [home for home in operation.homes if home not in accounted]

    def close_if_complete(self, operation: Coordination) -> None:
        """Close an operation that is answered, if a reply for each home has arrived."""
        if operation.answered and not self.silent_homes(operation):
            self.close(operation)

    def close(self, operation: Coordination) -> None:
        """End an operation. With background repair, send the newest version to outdated homes now."""
        self.cancel_timer("await", operation.ticket)
        del self.operations[operation.ticket], self.tickets[operation.number]
        if operation.version is None and self.node.settings.repair == "background":
            self.repair(operation, merged(*operation.replies.values()), homes_only=True)

    def on_await_timeout(self, ticket: tuple[int, int]) -> None:
        """Suspect the nodes that have not answered in time, and ask stand-ins in their place."""
        operation = self.operations[ticket]
        operation.rounds += 1
        for node in operation.asked:
            if node not in operation.heard:
                self.suspect(node)
        silent = self.silent_homes(operation)
        if operation.rounds >= ROUNDS or not (silent or not operation.answered):
            self.close(operation)
            return
        if operation.found and not operation.answered:  # a repair was lost, or its target is down
            self.repair(operation, operation.found[0])
        spare = list(self.healthy_spares(operation)) if self.may_stand_in(operation) else []
        for home, stand_in in zip(silent, spare, strict=False):
            self.ask(operation, stand_in, home)
        if not operation.answered and not (silent and spare and self.node.settings.sloppy):
            self.send(operation.client, Unavailable(*operation.number), hold=False)
        self.set_timer("await", self.node.settings.timeout, ticket)

    def suspect(self, node: str) -> None:
        """Suspect a node that does not answer, and probe it periodically."""
        if self.node.settings.has_spares and node not in self.suspected and node != self.name:
            self.suspected[node] = None
            self.set_timer("probe", self.node.settings.probe_every, node)

    def on_probe_timeout(self, node: str) -> None:
        if node in self.suspected:
            self.send(node, Ping(), hold=False)
            self.set_timer("probe", self.node.settings.probe_every, node)

    def on_pong(self, src: str, msg: Pong) -> None:
        self.heard_from(src)

    def heard_from(self, src: str) -> None:
        """Stop suspecting a node that answers."""
        if src in self.suspected:
            del self.suspected[src]
            self.cancel_timer("probe", src)
