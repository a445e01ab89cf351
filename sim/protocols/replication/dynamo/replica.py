"""A node of Dynamo: its store, and its answers to coordinators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.node import Node, durable_map, part
from sim.protocols.replication.dynamo.anti_entropy import DynamoAntiEntropy
from sim.protocols.replication.dynamo.coordinator import Coordinator
from sim.protocols.replication.dynamo.handoff import HintedHandoff
from sim.protocols.replication.dynamo.messages import (
    Get,
    GetReply,
    Ping,
    Pong,
    Put,
    PutAck,
    Repair,
    RepairAck,
)
from sim.protocols.replication.dynamo.tombstones import Collector
from sim.protocols.replication.dynamo.versions import merged

if TYPE_CHECKING:
    from sim.protocols.replication.dynamo.system import Dynamo

__all__ = ["DynamoNode"]


class DynamoNode(Node):
    """A node that stores the keys in whose preference lists it is, and coordinates operations of clients."""

    settings: Dynamo
    store = durable_map()  # key -> version that it holds as a home

    coordinator = part(Coordinator)
    handoff = part(HintedHandoff)
    anti_entropy = part(DynamoAntiEntropy)
    collector = part(Collector)

    changes: list[tuple[str, Any, Any]] | None = None
    """(key, version before, version after) of each change, for an invariant; None: no invariant is checked."""

    def keep(self, key: str, version: Any) -> None:
        """Merge a version into the stored one, which only grows."""
        before = self.store.get(key)
        after = merged(before, version)
        if after != before:
            self.store[key] = after
            self.changed(key, before, after)

    def keep_for(self, home: str, key: str, version: Any) -> None:
        """Store a version as a home, or as a hint for one."""
        if home == self.name:
            self.keep(key, version)
        else:
            self.handoff.add(home, key, version)

    def drop(self, key: str) -> None:
        """Drop a tombstone."""
        before = self.store.pop(key)
        self.changed(key, before, None)

    def changed(self, key: str, before: Any, after: Any) -> None:
        """Inform the parts of a key's new version."""
        self.anti_entropy.changed(key, after)
        self.collector.changed(key, after)
        if self.changes is not None:
            self.changes.append((key, before, after))

    def gauges(self) -> dict[str, float]:
        """Gauges: hints kept for others, suspected nodes, tombstones, keys with siblings."""
        versions = self.store.values()
        return {
            "hints": float(sum(len(hints) for hints in self.handoff.hints.values())),
            "suspected": float(len(self.coordinator.suspected)),
            "tombstones": float(sum(version.is_tombstone for version in versions)),
            "siblings": float(sum(len(version.writes) > 1 for version in versions)),
        }

    def on_put(self, src: str, msg: Put) -> None:
        self.keep_for(msg.home, msg.key, msg.version)
        self.send(src, PutAck(msg.ticket, msg.home))

    def on_get(self, src: str, msg: Get) -> None:
        version = self.store.get(msg.key) if msg.home == self.name else self.handoff.held(msg.key)
        self.send(src, GetReply(msg.ticket, version, msg.home))

    def on_repair(self, src: str, msg: Repair) -> None:
        self.keep_for(msg.home, msg.key, msg.version)
        self.send(src, RepairAck(msg.ticket, msg.home))

    def on_ping(self, src: str, msg: Ping) -> None:
        self.send(src, Pong(), hold=False)
