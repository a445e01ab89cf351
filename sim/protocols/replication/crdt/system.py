"""Replicas that hold CRDTs: every replica takes updates and answers at once; states or deltas spread in the background.

Assumptions: a client keeps to its replica, which remembers its last update, so that a retried update takes effect once.
(A counter that two replicas count for one request would be right by its own law, and wrong.)

Source: Almeida, Shoker, Baquero 2018, algorithm 2 (delta intervals with acknowledgements), and state-based sync.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sim.node import Node, durable_map, message
from sim.protocols.client import HomeClient, Reply, Request
from sim.protocols.consensus.settings import at_least, names
from sim.protocols.kv import Command, Result
from sim.protocols.replication.crdt.types import GCounter, LwwRegister, MvRegister, OrMap, OrSet, PnCounter
from sim.system import Invariant, Member, System

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
    """States, or deltas, of some keys; ``upto`` numbers the last delta in it (0: whole states)."""

    upto: int
    states: tuple[tuple[str, Any], ...]


@message
class SpreadAck:
    """Merged, and on disk."""

    upto: int


class CrdtNode(Node):
    """A replica of all keys."""

    settings: Crdt
    states = durable_map()  # key -> state
    done = durable_map()  # session -> (sequence, result): what was updated for whom

    def on_start(self) -> None:
        self.deltas: list[tuple[str, Any]] = []  # local and merged updates, in order
        self.dropped = 0  # how many of them every peer has, and are forgotten
        self.acked: dict[str, int | None] = dict.fromkeys(self.peers)  # None: send the whole state
        self.set_timer("spread", self.settings.spread_every * self.random.random())

    def state_of(self, key: str) -> Any:
        """The state of a key; empty if nothing is known of it."""
        found = self.states.get(key)
        return _TYPES[self.settings.kind]() if found is None else found

    # Clients

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        last = self.done.get(command.session)
        if last is not None and last[0] == command.sequence:
            self.answer(src, command, last[1])
            return
        if last is not None and last[0] > command.sequence:
            return
        if command.kind == "get":
            self.answer(src, command, Result("ok", self.look_up(command)))
            return
        self.absorb(self.object_of(command), self.update(command))
        result = Result("ok", command.value)
        self.done[command.session] = (command.sequence, result)
        self.answer(src, command, result)

    def object_of(self, command: Command) -> str:
        """The replicated object that a command is about: each key its own, but one map for all keys."""
        return "map" if self.settings.kind == "or-map" else command.key

    def look_up(self, command: Command) -> Any:
        """What a read returns."""
        value = self.state_of(self.object_of(command)).value
        return value.get(command.key, ()) if isinstance(value, dict) else value

    def update(self, command: Command) -> Any:
        """The delta of an update."""
        state = self.state_of(self.object_of(command))
        kind = self.settings.kind
        if command.kind == "increment":
            return state.increment(self.name, command.value)
        if command.kind == "put" and kind == "lww-register":
            return state.write(self.now, self.name, command.value)
        if command.kind == "put" and kind == "mv-register":
            return state.write(self.name, command.value)
        if command.kind == "put":
            return state.put(self.name, command.key, command.value)
        if command.kind == "add":
            return state.add(self.name, command.value)
        return state.remove(command.key if kind == "or-map" else command.value)

    def answer(self, client: str, command: Command, result: Result) -> None:
        """Tell a client what its request came to."""
        self.send(
            client, Reply(command.session, command.sequence, result.status, result.value, result.result)
        )

    # Spreading

    def absorb(self, key: str, delta: Any) -> None:
        """Merge a delta or a state; remember it for the others if it changed anything."""
        before = self.state_of(key)
        after = before.merge(delta)
        if after != before:
            self.states[key] = after
            if self.settings.sync == "delta":
                self.deltas.append((key, delta))

    def on_spread_timeout(self) -> None:
        """Tell every peer what it may not know."""
        self.set_timer("spread", self.settings.spread_every)
        for peer in self.peers:
            acked = self.acked[peer]
            if self.settings.sync == "state" or acked is None or acked < self.dropped:
                self.send(peer, Spread(self.dropped + len(self.deltas), tuple(self.states.items())))
            elif acked < self.dropped + len(self.deltas):
                fresh: dict[str, Any] = {}
                for key, delta in self.deltas[acked - self.dropped :]:
                    fresh[key] = fresh[key].merge(delta) if key in fresh else delta
                self.send(peer, Spread(self.dropped + len(self.deltas), tuple(fresh.items())))

    def on_spread(self, src: str, msg: Spread) -> None:
        for key, state in msg.states:
            self.absorb(key, state)
        self.send(src, SpreadAck(msg.upto))

    def on_spread_ack(self, src: str, msg: SpreadAck) -> None:
        self.acked[src] = max(self.acked[src] or 0, msg.upto)
        known = [n for n in self.acked.values() if n is not None]
        least = min(known) if len(known) == len(self.peers) else 0
        if least > self.dropped:
            del self.deltas[: least - self.dropped]
            self.dropped = least


@dataclass(frozen=True, kw_only=True)
class Crdt(System):
    """Replicated data of one type, each key an object of its own.

    Parameters
    ----------
    nodes:
        How many replicas (>= 1), named n0, n1, ...
    kind:
        ``"g-counter"``, ``"pn-counter"``, ``"lww-register"``, ``"mv-register"``, ``"or-set"`` or ``"or-map"``.
    sync:
        ``"state"``: whole states travel. ``"delta"``: what the receiver has not acknowledged.
    spread_every:
        Seconds between rounds of spreading.
    """

    nodes: int = 3
    kind: Kind = "pn-counter"
    sync: Literal["state", "delta"] = "delta"
    spread_every: float = 0.1

    operations: ClassVar[frozenset[str]] = frozenset({"get", "put", "increment", "add", "remove", "delete"})

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("Crdt", "nodes", self.nodes, 1)
        if self.kind not in _TYPES:
            raise ValueError(f"Crdt: kind must be one of {', '.join(_TYPES)}, not {self.kind!r}")
        if self.sync not in ("state", "delta"):
            raise ValueError(f"Crdt: sync must be 'state' or 'delta', not {self.sync!r}")
        if not 0 < self.spread_every < float("inf"):
            raise ValueError(f"Crdt: spread_every must be positive seconds, not {self.spread_every!r}")
        object.__setattr__(self, "operations", _OPERATIONS[self.kind])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the replicas."""
        return names("n", self.nodes)

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(name, CrdtNode) for name in self.names)

    @property
    def client_class(self) -> type[Node]:
        return HomeClient

    @property
    def claims(self) -> str:
        return "eventual"

    @property
    def converges_within(self) -> float:
        return 2 * self.spread_every

    def replica_values(self, nodes: Mapping[str, Node]) -> dict[str, dict[str, Any]]:
        return {name: dict(node.states) for name, node in nodes.items() if isinstance(node, CrdtNode)}

    def invariants(self) -> Iterable[Invariant]:
        return (CrdtSafety(),)

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """For counters: by how much all replicas together fall short of the acknowledged increments."""
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


@dataclass
class CrdtSafety(Invariant):
    """A replica's state only grows, restarts included as far as others have been told of it."""

    def __post_init__(self) -> None:
        self.sent: dict[tuple[str, str], Any] = {}
        self.hosts: dict[str, Any] = {}

    def on_step(self, node: Node) -> None:
        self.hosts[node.name] = node.host

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if not isinstance(message, Spread) or src not in self.hosts:
            return
        disk = self.hosts[src].disk.durable("states", {})
        for key, state in message.states:
            held = disk.get(key)
            if held is None or held.merge(state) != held:
                self.law = "durable before send"  # type: ignore[misc]
                self.violated((src,), f"it tells others {state!r} of {key}", f"its disk has {held!r}")
            known = self.sent.get((src, key))
            if known is not None and held.merge(known) != held:
                self.law = "states only grow"  # type: ignore[misc]
                self.violated((src,), f"it told others {known!r} of {key}", f"its disk has {held!r}")
            self.sent[src, key] = state if known is None else known.merge(state)
