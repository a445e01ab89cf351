"""Uniform reliable broadcast: if any node delivers a message, even if it then crashes, all correct nodes deliver it.

Cachin, Guerraoui, Rodrigues 2011, algorithm 3.5, majority-ack: each member relays a message at its first arrival, and
delivers it when a majority is known to have it. A relay is an acknowledgement; its own counts when it is on disk.

Assumption: a majority is correct (or comes back). Cost: n(n-1) messages; the origin delivers after 2δ, and so do the
others (after δ where two are a majority).
"""

from __future__ import annotations

from sim.node import durable_map
from sim.protocols.causality.dots import Dot
from sim.protocols.communication.broadcast import BestEffortBroadcast, Packet
from sim.protocols.quorums import as_quorums

__all__ = ["UniformBroadcast"]


class UniformBroadcast(BestEffortBroadcast):
    """Delivers messages that a majority has."""

    pending = durable_map()  # dot -> packet: relayed, a majority not known of
    acks = durable_map()  # dot -> who has it

    def on_start(self) -> None:
        super().on_start()
        self.enough = as_quorums(None).over(self.node.members)
        for packet in self.pending.values():
            self.send(self.name, packet)  # it is on disk: one's own acknowledgement

    def knows(self, dot: Dot) -> bool:
        return super().knows(dot) or dot in self.pending

    def begin(self, packet: Packet) -> None:
        self.pending[packet.dot] = packet
        self.acks[packet.dot] = ()
        self.to_peers(packet)
        self.send(self.name, packet)  # waits for the disk

    def first_seen(self, packet: Packet) -> None:
        self.begin(packet)

    def on_packet(self, src: str, msg: Packet) -> None:
        super().on_packet(src, msg)
        who = self.acks.get(msg.dot)
        if who is not None and src not in who:
            self.acks[msg.dot] = (*who, src)
            if self.enough(self.acks[msg.dot]):
                del self.acks[msg.dot]
                self.arrived(self.pending.pop(msg.dot))
