"""The servers of ABD: each keeps the newest value of each key. The clients run the protocol (`client`)."""

from __future__ import annotations

from sim.node import Node, durable_map
from sim.protocols.replication.abd.messages import ZERO, Query, QueryReply, Store, StoreAck

__all__ = ["AbdServer"]


class AbdServer(Node):
    """A server that keeps the newest value of each key."""

    registers = durable_map()  # key -> (timestamp, value)

    def on_query(self, src: str, msg: Query) -> None:
        timestamp, value = self.registers.get(msg.key, (ZERO, None))
        self.send(src, QueryReply(msg.session, msg.sequence, timestamp, value))

    def on_store(self, src: str, msg: Store) -> None:
        if msg.timestamp > self.registers.get(msg.key, (ZERO, None))[0]:
            self.registers[msg.key] = (msg.timestamp, msg.value)
        self.send(src, StoreAck(msg.session, msg.sequence, msg.timestamp))
