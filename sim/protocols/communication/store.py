"""A replicated key-value store over a broadcast, whose order determines the consistency that clients see.

Each replica applies the updates that are delivered to it, and answers reads from what it has. A client keeps to the
nearest replica. An update is answered when the client's replica has delivered it itself.

| order | broadcast | what clients are promised |
|---|---|---|
| ``best-effort`` | origin to all, perfect links | own writes; replicas may miss updates for good |
| ``reliable``, ``lazy``, ``uniform`` | everyone gets what one has got | own writes |
| ``fifo`` | reliable, each origin's in its order | PRAM (Lipton & Sandberg 1988) |
| ``causal`` | reliable, causes first | causal memory (Ahamad et al. 1995): the checkers' CM |
| ``sequencer``, ``total`` | one order, by a fixed node or by Raft | sequential (Attiya & Welch 1994: reads are local) |
| ``total``, ``reads="ordered"`` | reads take their place in the order | linearizable |

With an order other than ``sequencer`` and ``total``, replicas may disagree forever about concurrent writes to a key,
because each applies them in its order of delivery: agreement on messages is not agreement on a state. (See `Crdt`.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

from sim.node import Node, durable_log, durable_map, message, part
from sim.protocols.application import Application
from sim.protocols.client import HomeClient, Request
from sim.protocols.command import Command, Result
from sim.protocols.communication.broadcast import BestEffortBroadcast
from sim.protocols.communication.broadcast_invariants import BroadcastInvariants
from sim.protocols.communication.links import FifoLinks, LoggedLinks, PerfectLinks, StubbornLinks
from sim.protocols.communication.orders import CAUSAL, FIFO
from sim.protocols.communication.raft_order import RaftBroadcast
from sim.protocols.communication.reliable import EagerBroadcast, LazyBroadcast
from sim.protocols.communication.sequencer import SequencerBroadcast
from sim.protocols.communication.uniform import UniformBroadcast
from sim.protocols.kv import KeyValueStore
from sim.protocols.membership.heartbeats import HeartbeatDetector
from sim.protocols.membership.suspicion import FixedTimeout
from sim.protocols.replica import Responder
from sim.protocols.system import LedSystem, StateMachineSystem, newest
from sim.settings import Seconds
from sim.system import Invariant

__all__ = ["BroadcastStore", "PartReplica", "RaftReplica", "StoreReplica", "Update"]


@message
class Update:
    """The message that is broadcast: a client's command."""

    command: Command


class StoreReplica(Responder):
    """Serves clients; how an update is broadcast is left to the classes below."""

    settings: BroadcastStore
    reply_waits_for_disk = True
    table: Application
    asked = durable_map()  # session -> the last sequence that was broadcast for it
    answers: dict[
        int, tuple[int, Result]
    ]  # session -> (the last sequence delivered, what came of it); at home
    applied: dict[tuple[int, int], None]  # (session, sequence) of every update that was delivered here

    def on_start(self) -> None:
        self.clients: dict[tuple[int, int], str] = {}  # who waits for which command
        self.table = self.settings.application.fresh()

    def announce(self, update: Update) -> None:
        """Broadcast an update."""
        raise NotImplementedError

    def is_waiting(self, live: Mapping[str, Node]) -> bool:
        """Whether something that was sent to a live replica, or is to be delivered, is still under way."""
        raise NotImplementedError

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if command.kind in self.table.reads and self.settings.reads == "local":
            self.answer(src, command, self.table.apply(command))
            return
        done = self.answers.get(command.session)
        if done is not None and done[0] >= command.sequence:
            if done[0] == command.sequence:
                self.answer(src, command, done[1])
            return
        self.clients[command.session, command.sequence] = src
        if self.asked.get(command.session, 0) < command.sequence:  # else it is under way
            self.asked[command.session] = command.sequence
            self.announce(Update(command))

    def carry_out(self, command: Command) -> Result:
        """Apply what is delivered: once, as its origin broadcasts a command once."""
        return self.table.apply(command)

    def on_update(self, src: str, msg: Update) -> None:
        """An update is delivered; ``src`` is its origin."""
        command = msg.command
        result = self.carry_out(command)
        self.applied[command.session, command.sequence] = None
        if src == self.name:
            self.answers[command.session] = (command.sequence, result)
            client = self.clients.pop((command.session, command.sequence), None)
            if client is not None:
                self.answer(client, command, result)


class PartReplica(StoreReplica):
    """Broadcasts by a part, ``cast``, over another, ``links``; its state is on disk."""

    history = durable_log()  # what has changed the state, in the order of delivery
    answers = durable_map()
    applied = durable_map()
    links: StubbornLinks
    cast: Any

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self.links.every = self.settings.timeout

    def on_start(self) -> None:
        super().on_start()
        for command in self.history:
            self.table.apply(command)

    def carry_out(self, command: Command) -> Result:
        result = super().carry_out(command)
        if result.status == "ok" and command.kind not in self.table.reads:
            self.history.append(command)
        return result

    def announce(self, update: Update) -> None:
        self.cast.broadcast(update)

    def is_waiting(self, live: Mapping[str, Node]) -> bool:
        return any(dst in live for dst, _ in self.links.outbox)


class BestEffortReplica(PartReplica):
    links = part(PerfectLinks)
    cast = part(BestEffortBroadcast, links="links")


class ReliableReplica(PartReplica):
    links = part(LoggedLinks)
    cast = part(EagerBroadcast, links="links")


class LazyReplica(PartReplica):
    links = part(LoggedLinks)
    detector = part(HeartbeatDetector, rule=FixedTimeout())
    cast = part(LazyBroadcast, links="links")

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self.detector.heartbeat = self.settings.heartbeat_interval
        self.detector.detection = self.settings.detection_timeout

    def suspected(self, peer: str) -> None:
        """The detector has begun or stopped suspecting ``peer``."""
        self.cast.relay_all_of(peer)


class UniformReplica(PartReplica):
    links = part(LoggedLinks)
    cast = part(UniformBroadcast, links="links")


class FifoReplica(PartReplica):
    links = part(LoggedLinks)
    cast = part(EagerBroadcast, links="links", order=FIFO)


class CausalReplica(PartReplica):
    links = part(LoggedLinks)
    cast = part(EagerBroadcast, links="links", order=CAUSAL)


class SequencerReplica(PartReplica):
    links = part(FifoLinks)
    cast = part(SequencerBroadcast, links="links")

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self.cast.sequencer = self.settings.leader or ""


class RaftReplica(StoreReplica, RaftBroadcast):
    """Broadcasts by consensus; its state is built again from the log."""

    def on_start(self) -> None:
        self.answers, self.applied = {}, {}
        StoreReplica.on_start(self)
        RaftBroadcast.on_start(self)

    def announce(self, update: Update) -> None:
        self.atomic_broadcast(update)

    def is_waiting(self, live: Mapping[str, Node]) -> bool:
        furthest = max(node.last_applied for node in live.values() if isinstance(node, RaftReplica))
        return bool(self.outbox) or self.last_applied < furthest


_REPLICAS: dict[str, type[StoreReplica]] = {
    "best-effort": BestEffortReplica,
    "reliable": ReliableReplica,
    "lazy": LazyReplica,
    "uniform": UniformReplica,
    "fifo": FifoReplica,
    "causal": CausalReplica,
    "sequencer": SequencerReplica,
    "total": RaftReplica,
}
_CLAIMS = {"fifo": "pram", "causal": "CM", "sequencer": "sequential", "total": "sequential"}
_ORDERED = ("sequencer", "total")


@dataclass(frozen=True, kw_only=True)
class BroadcastStore(LedSystem, StateMachineSystem):
    """A replicated key-value store, or another application, over a broadcast.

    Parameters
    ----------
    nodes:
        How many replicas (>= 1), named n0, n1, ...
    order:
        ``"best-effort"``, ``"reliable"``, ``"lazy"``, ``"uniform"``, ``"fifo"``, ``"causal"``, ``"sequencer"`` or
        ``"total"``.
    reads:
        ``"local"``: from the replica's own state. ``"ordered"``: broadcast like updates; with a total order only.
    leader:
        The sequencer, or the first leader of the Raft group; None: n0.
    retransmit:
        Seconds after which links repeat what was not acknowledged; None: two heartbeats.
    application:
        What is replicated; another one than the key-value store needs a total order.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {**LedSystem.safe_options, "nodes": (3, 5)}
    )

    order: Literal["best-effort", "reliable", "lazy", "uniform", "fifo", "causal", "sequencer", "total"] = (
        "causal"
    )
    reads: Literal["local", "ordered"] = "local"
    retransmit: Seconds | None = None

    label_fields: ClassVar[tuple[str, ...]] = ("order",)
    outlives_minority: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reads == "ordered" and self.order not in _ORDERED:
            raise ValueError(f"BroadcastStore: reads='ordered' needs a total order, not order={self.order!r}")
        if self.order not in _ORDERED and not self._keeps_values:
            raise ValueError(
                f"BroadcastStore takes no application ({self.application!r}) under order={self.order!r}, as its "
                f"replicas do not apply all commands in one order; order={' or '.join(map(repr, _ORDERED))} does"
            )

    @property
    def _keeps_values(self) -> bool:
        """Whether it is a key-value store."""
        return self.application == KeyValueStore()

    @property
    def operations(self) -> frozenset[str]:  # type: ignore[override]
        """Those of the application; of the key-value store with local reads what the weaker checkers can judge."""
        if not self._keeps_values:
            return self.application.operations
        return frozenset({"get", "put"}) if self.reads == "local" else self.application.operations

    @property
    def timeout(self) -> float:
        """Seconds after which links repeat a message."""
        return 2 * self.heartbeat_interval if self.retransmit is None else self.retransmit

    @property
    def replica_class(self) -> type[StoreReplica]:
        """The node class of its replicas."""
        return _REPLICAS[self.order]

    @property
    def client_class(self) -> type[Node]:
        return HomeClient

    @property
    def max_gone(self) -> int:
        """A minority, but none under a fixed sequencer; the clients of those that are gone get no answers."""
        return 0 if self.order == "sequencer" else super().max_gone

    @property
    def consistency(self) -> str | None:
        if self.reads == "ordered":
            return "linearizable"
        return _CLAIMS.get(self.order, "read-your-writes")

    @property
    def applied(self) -> Literal["final", "tentative", "unordered"]:
        """Without a total order, each replica applies the updates of a key in its order of delivery.

        A sequencer delivers its own updates before they are on its disk; a crash then gives their numbers to others.
        """
        return {"total": "final", "sequencer": "tentative"}.get(self.order, "unordered")  # type: ignore[return-value]

    def with_leader(self, place: str, places: Mapping[str, str]) -> Self:
        return super().with_leader(place, places) if self.order in _ORDERED else self

    def leading(self, nodes: Mapping[str, Node]) -> str | None:
        """The sequencer, or the leader of the Raft group. Raises LookupError for an order without either."""
        if self.order == "sequencer":
            return self.first_leader if self.first_leader in nodes else None
        if self.order == "total":
            return newest(
                nodes, RaftReplica, lambda n: n.role == "leader", lambda n: (n.current_term, n.name)
            )
        raise LookupError(f"BroadcastStore has no leader under order={self.order!r}")

    def unsettled(self, nodes: Mapping[str, Node]) -> tuple[str, ...]:
        """The replicas that have sent messages without an acknowledgement yet."""
        replicas = {name: node for name, node in nodes.items() if isinstance(node, StoreReplica)}
        return tuple(name for name, node in replicas.items() if node.is_waiting(replicas))

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any] | None:
        """How many updates each replica has delivered; None for best effort, where replicas may miss messages."""
        if self.order == "best-effort":
            return None
        return {name: len(node.applied) for name, node in nodes.items() if isinstance(node, StoreReplica)}

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """How many acknowledged updates no live replica has applied or has in its log."""
        replicas = [node for node in nodes.values() if isinstance(node, StoreReplica)]
        known: dict[tuple[int, int], None] = {}
        for node in replicas:
            known.update(node.applied)
            if isinstance(node, RaftReplica):
                bodies = [entry.command.value.body for entry in node.log if entry.command.kind == "broadcast"]
                known.update(dict.fromkeys((b.command.session, b.command.sequence) for b in bodies))
        return sum(1 for name in acknowledged if name not in known) if replicas else None

    def invariants(self) -> Iterable[Invariant]:
        order = "total" if self.order in _ORDERED else self.order
        agreement = {"best-effort": "none", "uniform": "uniform", "total": "uniform"}.get(
            self.order, "reliable"
        )
        yield BroadcastInvariants(
            group=self.names,
            memory=_raft_memory if self.order == "total" else _part_memory,
            order=order if order in ("fifo", "causal", "total") else "any",
            agreement=agreement,
            quiet=lambda nodes: not self.unsettled(nodes),
        )
        if self.order == "total":
            from sim.protocols.consensus.raft import (
                AcknowledgedIsCommitted,
                ExactlyOnce,
                raft_invariants,
            )

            of_clients = (ExactlyOnce, AcknowledgedIsCommitted)  # they know Raft's own store only
            yield from (invariant for invariant in raft_invariants() if not isinstance(invariant, of_clients))


def _part_memory(disk: Any) -> tuple[int, int | None]:
    return disk.read("cast.sent", 0), disk.read("cast.deliveries", 0)


def _raft_memory(disk: Any) -> tuple[int, int | None]:
    return disk.read("sent", 0), None
