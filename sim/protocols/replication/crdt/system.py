"""Replicas that hold CRDTs: each accepts updates and answers at once; states or deltas spread in the background.

Assumptions: a client uses one replica, which remembers the client's last update, so that a retried update takes effect
once. (If two replicas counted one request, the counter would satisfy its own invariant and yet be wrong.)

Sources: Almeida, Shoker, Baquero 2018, algorithm 2 (delta intervals with acknowledgements), and state-based sync; a
delta that came from a peer is not sent back to it (Enes, Almeida, Baquero, Leitao, ICDE 2019).

Departure: last-writer-wins registers have timestamps of a hybrid clock, so that no actor uses one twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from sim.node import Node, durable, durable_map, message
from sim.protocols.causality.hlc import BEGINNING
from sim.protocols.client import HomeClient, Request
from sim.protocols.command import Command, Result
from sim.protocols.replica import Responder
from sim.protocols.replication.crdt.containers import OrMap, OrSet
from sim.protocols.replication.crdt.counters import GCounter, PnCounter
from sim.protocols.replication.crdt.registers import LwwRegister, MvRegister
from sim.protocols.system import KEEPS_REGISTERS, ReplicatedSystem
from sim.settings import Seconds
from sim.system import Invariant

__all__ = ["Crdt", "CrdtNode", "Spread", "SpreadAck"]

Kind = Literal["g-counter", "pn-counter", "lww-register", "mv-register", "or-set", "or-map"]

_TYPES: dict[str, Any] = {
    "g-counter": GCounter,
    "pn-counter": PnCounter,
    "lww-register": LwwRegister,
    "mv-register": MvRegister,
    "or-set": OrSet,
    "or-map": OrMap,
}
_OPERATIONS: dict[str, frozenset[str]] = {
    "g-counter": frozenset({"get", "increment"}),
    "pn-counter": frozenset({"get", "increment"}),
    "lww-register": frozenset({"get", "put"}),
    "mv-register": frozenset({"get", "put"}),
    "or-set": frozenset({"get", "add", "remove"}),
    "or-map": frozenset({"get", "put", "delete"}),
}


@message
class Spread:
    """States or deltas of some keys, including all deltas below number ``upto``; ``actor`` is the sender in dots."""

    actor: str
    upto: int
    states: tuple[tuple[str, Any], ...]


@message
class SpreadAck:
    """All deltas below this number are merged and on disk."""

    actor: str
    upto: int


class CrdtNode(Responder):
    """A replica of all keys."""

    settings: Crdt
    states = durable_map()  # key -> state
    count = durable(0)  # the number of deltas so far: no number is used twice
    clock = durable(BEGINNING)  # for last-writer-wins registers
    actor = durable("")  # its name in dots and counts; a new one after the loss of its disk
    done = durable_map()  # session -> (sequence, result) of its last update

    def on_start(self) -> None:
        if not self.actor:
            self.actor = self.name if self.incarnation == 0 else f"{self.name}.{self.incarnation}"
        self.deltas: dict[int, tuple[str, Any, str]] = {}  # number -> key, delta, sender
        self.acked: dict[str, int | None] = dict.fromkeys(self.peers)  # None: send the whole state
        self.actors: dict[str, str] = {}  # peer -> its name in dots
        self.set_timer("spread", self.settings.spread_every * self.random.random())

    def state_of(self, key: str) -> Any:
        """The state of a key; the empty state if this replica knows nothing of the key."""
        found = self.states.get(key)
        return _TYPES[self.settings.kind]() if found is None else found

    # Clients

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if command.kind == "get":
            self.answer(src, command, Result("ok", self.look_up(command)))
            return
        last, result = self.done.get(command.session, (0, None))
        if command.sequence > last:
            self.absorb(self.object_of(command), self.update(command), self.name)
            result = Result("ok", command.value)
            self.done[command.session] = (command.sequence, result)
        elif command.sequence < last:
            return
        self.answer(src, command, result)

    def object_of(self, command: Command) -> str:
        """The replicated object that a command concerns: one object per key, but one map for all keys."""
        return "map" if self.settings.kind == "or-map" else command.key

    def look_up(self, command: Command) -> Any:
        """The result of a read."""
        value = self.state_of(self.object_of(command)).value
        return value.get(command.key, ()) if isinstance(value, dict) else value

    def update(self, command: Command) -> Any:
        """The delta of an update."""
        state = self.state_of(self.object_of(command))
        kind = self.settings.kind
        if command.kind == "increment":
            return state.increment(self.actor, command.value)
        if command.kind == "put" and kind == "lww-register":
            self.clock = self.clock.tick(self.now)
            return state.write(self.clock, self.actor, command.value)
        if command.kind == "put" and kind == "mv-register":
            return state.write(self.actor, command.value)
        if command.kind == "put":
            return state.put(self.actor, command.key, command.value)
        if command.kind == "add":
            return state.add(self.actor, command.value)
        return state.remove(command.key if kind == "or-map" else command.value)

    # Spreading (algorithm 2; deltas that came from a peer are not sent to it)

    def absorb(self, key: str, delta: Any, src: str) -> None:
        """Merge a delta or a state; if it changed the state, store it for the other replicas."""
        before = self.state_of(key)
        after = before.merge(delta)
        if after != before:
            self.states[key] = after
            if self.settings.sync == "delta":
                self.deltas[self.count] = (key, delta, src)
                self.count += 1

    def on_spread_timeout(self) -> None:
        """Send every peer the updates that it may lack."""
        self.set_timer("spread", self.settings.spread_every)
        for peer in self.peers:
            if self.settings.sync == "state" or self.lacks_deltas(peer):
                self.send(peer, Spread(self.actor, self.count, tuple(self.states.items())))
            elif interval := self.interval(peer):
                self.send(peer, Spread(self.actor, self.count, interval))
            else:
                self.acked[peer] = self.count  # all remaining deltas came from this peer

    def lacks_deltas(self, peer: str) -> bool:
        """Whether this replica, after a restart, lacks deltas that the peer has not acknowledged."""
        acked = self.acked[peer]
        return acked is None or (acked < self.count and acked < next(iter(self.deltas), self.count))

    def interval(self, peer: str) -> tuple[tuple[str, Any], ...]:
        """All deltas that the peer has neither acknowledged nor sent to this replica, merged by key."""
        fresh: dict[str, Any] = {}
        for number in range(self.acked[peer] or 0, self.count):
            key, delta, src = self.deltas[number]
            if src != peer:
                fresh[key] = fresh[key].merge(delta) if key in fresh else delta
        return tuple(fresh.items())

    def on_spread(self, src: str, msg: Spread) -> None:
        if self.actors.setdefault(src, msg.actor) != msg.actor:
            self.actors[src], self.acked[src] = (
                msg.actor,
                None,
            )  # it has lost its disk, including the deltas that it acknowledged
        if self.settings.kind == "lww-register" and msg.states:
            latest = max(state.stamp[0] for _, state in msg.states)
            if latest > self.clock:
                self.clock = self.clock.receive(latest, self.now)
        for key, state in msg.states:
            self.absorb(key, state, src)
        if self.settings.sync == "delta":
            self.send(src, SpreadAck(self.actor, msg.upto))

    def on_spread_ack(self, src: str, msg: SpreadAck) -> None:
        if self.actors.setdefault(src, msg.actor) != msg.actor:
            return
        self.acked[src] = max(self.acked[src] or 0, msg.upto)
        known = [n for n in self.acked.values() if n is not None]
        if len(known) == len(self.peers):
            for number in [n for n in self.deltas if n < min(known)]:
                del self.deltas[number]


@dataclass(frozen=True, kw_only=True)
class Crdt(ReplicatedSystem):
    """Replicated data of one type; each key is a separate object (but an ``"or-map"`` is one object).

    Parameters
    ----------
    nodes:
        How many replicas (>= 1), named n0, n1, ...
    kind:
        ``"g-counter"``, ``"pn-counter"``, ``"lww-register"``, ``"mv-register"``, ``"or-set"`` or ``"or-map"``.
    sync:
        ``"state"``: replicas send whole states. ``"delta"``: deltas that the receiver has not acknowledged.
    spread_every:
        Seconds between rounds of spreading.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {"nodes": (3, 5), "sync": ("delta", "state")}
    )

    title: ClassVar[str] = "CRDT"

    kind: Kind = "pn-counter"
    sync: Literal["state", "delta"] = "delta"
    spread_every: Seconds = 0.1

    node_class: ClassVar[type[Node]] = CrdtNode
    outlives_minority: ClassVar[bool] = True  # but the clients of those that are gone get no answers
    no_application: ClassVar[str] = KEEPS_REGISTERS
    operations: ClassVar[frozenset[str]] = frozenset({"get", "put", "increment", "add", "remove", "delete"})

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "operations", _OPERATIONS[self.kind])

    @property
    def client_class(self) -> type[Node]:
        return HomeClient

    @property
    def consistency(self) -> str:
        return "eventual"

    @property
    def converges_within(self) -> float:
        return 2 * self.spread_every

    def replica_values(self, nodes: Mapping[str, Node]) -> dict[str, dict[str, Any]]:
        return {name: dict(node.states) for name, node in nodes.items() if isinstance(node, CrdtNode)}

    def invariants(self) -> Iterable[Invariant]:
        from sim.protocols.replication.crdt.invariants import (
            JoinsKeep,
            NoGaps,
            OneUpdatePerDot,
            StatesGrow,
            UpdatesAsSaid,
        )

        return (StatesGrow(), NoGaps(), OneUpdatePerDot(), UpdatesAsSaid(), JoinsKeep())

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """For counters: acknowledged increments minus the value of all replicas merged, summed over keys; else None."""
        replicas = [node for node in nodes.values() if isinstance(node, CrdtNode)]
        if not self.kind.endswith("counter") or not replicas:
            return None
        expected: dict[str, int] = {}
        for outcome in acknowledged.values():
            operation = outcome.operation
            expected[operation.key] = expected.get(operation.key, 0) + operation.value
        short = 0
        for key, total in expected.items():
            merged = replicas[0].state_of(key)
            for replica in replicas[1:]:
                merged = merged.merge(replica.state_of(key))
            short += max(0, total - merged.value)
        return short
