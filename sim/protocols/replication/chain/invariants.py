"""The invariants of chain replication and CRAQ. Each invariant has a mutant that violates it (tests/protocols).

Sources: van Renesse & Schneider, OSDI 2004, sections 3 and 3.2; Terrace & Freedman, ATC 2009, section 2.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sim.invariants import promises
from sim.node import Node
from sim.protocols.application import Application
from sim.protocols.client import Reply, Request
from sim.protocols.command import Command, Result
from sim.protocols.membership.views import Alive, ChainIs, ConfigurationMaster
from sim.protocols.replication.chain.node import Ack, ChainNode, Forward
from sim.protocols.replication.primary_backup import SameAnswer
from sim.protocols.sessions import Sessions
from sim.system import Invariant

if TYPE_CHECKING:
    from sim.protocols.replication.chain.system import ChainReplication

__all__ = [
    "AcknowledgedEverywhere",
    "ChainMonotone",
    "NeverOlderThanCommitted",
    "UpdatePropagation",
    "invariants_of",
]


def invariants_of(system: ChainReplication) -> Iterable[Invariant]:
    """The invariants of a chain."""
    return [
        UpdatePropagation(),
        AcknowledgedEverywhere(reads=system.application.reads),
        NeverOlderThanCommitted(application=system.application),
        ChainMonotone(),
        promises(Forward, keeps="log", shown=lambda on, m, _: _has(on, m, m.position + len(m.updates))),
        promises(Ack, keeps="log", shown=lambda on, m, _: _has(on, m, m.position)),
        SameAnswer(reads=system.application.reads),
    ]


def _has(stored: Any, message: Forward | Ack, position: int) -> bool:
    """Whether a disk has the updates up to a position, or belongs to a later chain, which may have cut them off."""
    return len(stored("log")) >= position or stored("view_number") > message.number


@dataclass
class UpdatePropagation(Invariant):
    """For servers i before j of a chain, Hist_j is a prefix of Hist_i."""

    title: ClassVar[str] = "Update Propagation"
    steps_of = (ChainNode,)
    nodes: dict[str, ChainNode] = field(default_factory=dict)
    checked: dict[str, tuple[ChainNode, ChainNode, int, int]] = field(default_factory=dict)

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "crash":
            self.nodes.pop(node, None)

    def on_step(self, node: Node) -> None:
        assert isinstance(node, ChainNode)
        self.nodes[node.name] = node
        if node.initialised:
            self._compare(node)
            successor = self.nodes.get(node.succ or "")
            if successor is not None and successor.initialised:
                self._compare(successor)

    def _compare(self, node: ChainNode) -> None:
        pred = self.nodes.get(node.pred or "")
        if pred is None or not pred.initialised or pred.view_number != node.view_number:
            return
        before, earlier, length, number = self.checked.get(node.name, (None, None, 0, 0))
        last, here, there = node.last, node.log.items, pred.log.items
        if before is not node or earlier is not pred or number != node.view_number or last < length:
            length = 0
        for position in range(max(0, length - 1), last):  # the last one again: it may have been replaced
            mine = here[position]
            theirs = there[position] if position < pred.last else None
            if theirs is not mine and theirs != mine:
                self.violated(
                    (pred.name, node.name),
                    f"{pred.name} comes before {node.name} and has {theirs!r} at position {position + 1}",
                    f"{node.name} has {mine!r}",
                )
        self.checked[node.name] = (node, pred, last, node.view_number)


@dataclass
class AcknowledgedEverywhere(Invariant):
    """An acknowledged update is in the history of every server of the chain, then and in every later chain."""

    title: ClassVar[str] = "acknowledged updates are in the whole chain"
    hears = (Request, Reply)
    steps_of = (ChainNode,)
    reads: frozenset[str] = field(kw_only=True)
    nodes: dict[str, ChainNode] = field(default_factory=dict)
    acknowledged: dict[tuple[int, int], tuple[str, int]] = field(
        default_factory=dict
    )  # by which server, of which chain
    kinds: dict[tuple[int, int], str] = field(default_factory=dict)
    entered: dict[str, tuple[int, int]] = field(default_factory=dict)
    chain: tuple[str, ...] = ()  # the newest that the master has made

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "crash":
            self.nodes.pop(node, None)
        elif event == "view":
            self.chain = tuple(detail["members"])

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        if isinstance(message, Request):
            command = message.command
            self.kinds[command.session, command.sequence] = command.kind

    def on_step(self, node: Node) -> None:
        assert isinstance(node, ChainNode)
        self.nodes[node.name] = node
        here = (node.incarnation, node.view_number)
        if node.initialised and self.entered.get(node.name) != here:
            self.entered[node.name] = here
            for identity, (teller, number) in self.acknowledged.items():
                if node.view_number >= number:  # a server that was paused may enter an outdated chain
                    self._demand(node, identity, teller)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if not isinstance(message, Reply) or message.status != "ok":
            return
        identity = (message.session, message.sequence)
        if self.kinds.get(identity) in self.reads or identity in self.acknowledged:
            return
        teller = self.nodes.get(src)
        self.acknowledged[identity] = (src, teller.view_number if teller is not None else 0)
        for node in self.nodes.values():
            if teller is not None and node.initialised and node.view_number >= teller.view_number:
                self._demand(node, identity, src)

    def _demand(self, node: ChainNode, identity: tuple[int, int], teller: str) -> None:
        out = (
            self.chain and node.name not in self.chain
        )  # it may not know the chain yet, but no lease lets it answer
        if not out and not node.store.has_applied(*identity):
            self.violated(
                (teller, node.name),
                f"{teller} acknowledged update {identity}",
                f"{node.name}, of chain {node.view_number}, does not have it",
            )


@dataclass
class NeverOlderThanCommitted(Invariant):
    """A query returns a version at least as new as the newest one that was committed when the query was sent.

    The ghost: the history, as the head of each chain has extended it, and the result of queries of each key after each
    update. Acknowledged updates are committed; so are versions that a query has returned. A query that touches more
    than one key is computed again after each update that it may have seen.
    """

    title: ClassVar[str] = "reads are never older than what was committed"
    hears = (Request, Reply)
    steps_of = (ChainNode,)
    application: Application = field(kw_only=True)
    history: list[Command] = field(default_factory=list)
    versions: dict[tuple[str, str], list[tuple[int, Result]]] = field(
        default_factory=dict
    )  # kind of query, key -> (position, what it returns from there on)
    position_of: dict[tuple[int, int], int] = field(default_factory=dict)
    committed: int = 0
    asked: dict[tuple[int, int], tuple[Command, int]] = field(default_factory=dict)  # committed then
    head: tuple[int, int, str] = (0, 0, "")  # chain number, incarnation, name

    def __post_init__(self) -> None:
        self.store = Sessions(self.application)
        self.all_touched = False  # an update has touched all keys: versions of single keys are not complete
        self._queries: dict[str, tuple[Command, ...]] = {}  # key -> those that touch no other key

    def on_step(self, node: Node) -> None:
        assert isinstance(node, ChainNode)
        if node.role != "head" or not node.initialised:
            return
        if node.view_number < self.head[0]:
            return  # an old head may continue alone: its updates are never committed
        if (node.view_number, node.incarnation, node.name) != self.head:
            self.head = (node.view_number, node.incarnation, node.name)
            self._rewrite()
        for entry in node.log.items[len(self.history) :]:
            self._extend(entry.command)

    def _rewrite(self) -> None:
        """After a new head, or a restart of the head: remove updates that only the former head had."""
        self.history.clear()
        self.versions.clear()
        self.position_of.clear()
        self.store = Sessions(self.application)

    def _extend(self, command: Command) -> None:
        self.history.append(command)
        self.store.apply(command)
        position = len(self.history)
        touched = self.application.touched(command)
        self.all_touched = self.all_touched or touched is None
        for key in touched or ():
            if key not in self._queries:
                queries = (Command(-1, 0, kind, key) for kind in sorted(self.application.reads))
                self._queries[key] = tuple(filter(self._is_of_one_key, queries))
            for query in self._queries[key]:
                version = (position, self.store.execute(query))
                self.versions.setdefault((query.kind, key), []).append(version)
        self.position_of.setdefault((command.session, command.sequence), position)

    def _is_of_one_key(self, query: Command) -> bool:
        return self.application.touched(query) == (query.key,)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if isinstance(message, Request) and message.command.kind in self.application.reads:
            command = message.command
            self.asked.setdefault((command.session, command.sequence), (command, self.committed))
        elif isinstance(message, Reply) and message.status == "ok":
            identity = (message.session, message.sequence)
            if identity in self.asked:
                self._judge(src, message, *self.asked[identity])
            else:
                self.committed = max(self.committed, self.position_of.get(identity, 0))

    def _judge(self, src: str, message: Reply, query: Command, committed: int) -> None:
        allowed = self._allowed(query, committed)
        if Result(message.status, message.value, message.result) not in allowed:
            self.violated(
                (src,),
                f"{query!r} came to {allowed[0]!r} when it was asked (history committed up to {committed})",
                f"{src} answers {message.value!r}",
            )

    def _allowed(self, query: Command, committed: int) -> list[Result]:
        """The possible results of a query: at that position, and after each later update."""
        if not self.all_touched and self._is_of_one_key(query):
            versions = self.versions.get((query.kind, query.key), [])
            older = [result for position, result in versions if position <= committed]
            newer = [result for position, result in versions if position > committed]
            return [*(older[-1:] or [self.application.fresh().apply(query)]), *newer]
        store = Sessions(self.application)
        found = []
        for position, command in enumerate([*self.history, None]):
            if position >= committed:
                found.append(store.execute(query))
            if command is not None:
                store.apply(command)
        return found


@dataclass
class ChainMonotone(Invariant):
    """A server's chain number never falls below one that it has sent, also after restarts."""

    title: ClassVar[str] = "chain numbers never go back"
    hears = (Forward, Ack, Alive, ChainIs)
    steps_of = (ConfigurationMaster, ChainNode)
    told: dict[str, int] = field(default_factory=dict)

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "restart" and detail.get("wiped"):
            self.told.pop(node, None)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        kind = message.__class__
        if kind is Forward or kind is Ack or kind is Alive:
            self.told[src] = max(message.number, self.told.get(src, 0))
        elif kind is ChainIs:
            self.told[src] = max(message.chain.number, self.told.get(src, 0))

    def on_step(self, node: Node) -> None:
        if isinstance(node, ConfigurationMaster):
            number = node.chain.number
        elif isinstance(node, ChainNode):
            number = node.view_number
        else:
            return
        if number < self.told.get(node.name, 0):
            highest = self.told[node.name]
            self.violated((node.name,), f"{node.name} had told chain {highest}", f"it is at chain {number}")
