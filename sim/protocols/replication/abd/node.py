"""The servers of ABD: each keeps the newest value of each key. The clients run the protocol (`client`)."""

from __future__ import annotations

from sim.node import Node, durable_map
from sim.protocols.replication.abd.messages import (
    EMPTY,
    Query,
    QueryReply,
    Store,
    StoreAck,
    StoredValue,
    VersionInquiry,
    VersionReply,
)

__all__ = ["AbdServer"]


class AbdServer(Node):
    """A server that keeps the newest value of each key."""

    registers = durable_map()  # key -> StoredValue

    def on_query(self, src: str, msg: Query) -> None:
        held = self.registers.get(msg.key, EMPTY)
        self.send(src, QueryReply(msg.session, msg.sequence, held.timestamp, held.value, held.size))

    def on_version_inquiry(self, src: str, msg: VersionInquiry) -> None:
        held = self.registers.get(msg.key, EMPTY)
        self.send(src, VersionReply(msg.session, msg.sequence, held.timestamp))

    def on_store(self, src: str, msg: Store) -> None:
        if msg.timestamp > self.registers.get(msg.key, EMPTY).timestamp:
            self.registers[msg.key] = StoredValue(msg.timestamp, msg.value, msg.size)
        self.send(src, StoreAck(msg.session, msg.sequence, msg.timestamp))
