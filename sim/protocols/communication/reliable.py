"""Reliable broadcast: what one correct node delivers, all correct nodes deliver, even if the origin crashes.

Cachin, Guerraoui, Rodrigues 2011, section 3.3.

- `EagerBroadcast` (algorithm 3.3): each member relays a message at its first arrival. n(n-1) messages, delay δ.
- `LazyBroadcast` (algorithm 3.2): relays only the messages of members that it suspects. n-1 messages while
  nobody is suspected, and heartbeats beside them. The book asks for a perfect failure detector; a wrong suspicion costs
  messages, never agreement, so a timeout on heartbeats will do as long as crashes are noticed in the end.

Agreement among nodes that come back from a crash needs links that remember (`LoggedLinks`).
"""

from __future__ import annotations

from sim.node import durable_map
from sim.protocols.communication.broadcast import BestEffortBroadcast, Packet

__all__ = ["EagerBroadcast", "LazyBroadcast"]


class EagerBroadcast(BestEffortBroadcast):
    """Relays each message at once."""

    def first_seen(self, packet: Packet) -> None:
        self.to_peers(packet)
        self.arrived(packet)


class LazyBroadcast(BestEffortBroadcast):
    """Relays the messages of nodes that are suspected.

    Setting: ``detector``, the name of the node's part that suspects (`HeartbeatDetector`); the node passes its
    ``suspected(peer)`` on to `relay_all_of`. ``kept`` grows, as in the book, until its origin is suspected: nothing
    tells that all have a message.
    """

    detector = "detector"

    kept = durable_map()  # dot -> packet, of others: not relayed

    def relay_all_of(self, peer: str) -> None:
        """Upon crash of p: relay all that came from it."""
        for packet in [p for p in self.kept.values() if p.origin == peer]:
            del self.kept[packet.dot]
            self.to_peers(packet)

    def first_seen(self, packet: Packet) -> None:
        if getattr(self.node, self.detector).is_suspected(packet.origin):
            self.to_peers(packet)
        else:
            self.kept[packet.dot] = packet
        self.arrived(packet)
