"""Total order by a fixed sequencer: one node numbers all messages, all members deliver by number.

Défago, Schiper, Urbán, "Total Order Broadcast and Multicast Algorithms: Taxonomy and Survey" (ACM Computing Surveys
2004), section 4.1, variant unicast-broadcast: the origin sends its message to the sequencer, which broadcasts it with a
number.

Assumption: links that lose nothing (`sim.protocols.communication.links`); over `FifoLinks` the total order is FIFO too.
The sequencer's numbers are on disk, so its crash delays all members until it restarts, but loses nothing. It is not
replaced: this would need consensus (`sim.protocols.communication.raft_order`).

Cost: delivery after 2δ, 1 + (n-1) messages; for the sequencer's own δ and n-1. It delivers its own at once, so where an
origin's site is all that matters, it should be there.
"""

from __future__ import annotations

from typing import Any

from sim.node import Part, durable, durable_map, message
from sim.protocols.causality.dots import Dot

__all__ = ["Ordered", "SequencerBroadcast", "ToOrder"]


@message
class ToOrder:
    """To the sequencer: the ``number``-th message of its sender wants a place in the order."""

    number: int
    body: Any


@message
class Ordered:
    """The ``position``-th message of all is this one."""

    position: int
    origin: str
    number: int
    body: Any


class SequencerBroadcast(Part):
    """Settings: ``links``, the name of the part that sends; ``sequencer``, a member; "": the first one."""

    links = ""
    sequencer = ""

    sent = durable(0)  # how many messages this node has broadcast
    positions = durable(0)  # as sequencer: how many it has numbered
    deliveries = durable(0)  # delivered up to this position
    early = durable_map()  # position -> Ordered: here, but not in turn yet

    def on_start(self) -> None:
        self.sequencer = self.sequencer or self.node.members[0]
        if self.sequencer not in self.node.members:
            raise ValueError(
                f"{self.name}: the sequencer {self.sequencer!r} is no member of {', '.join(self.node.members)}"
            )

    def broadcast(self, msg: Any) -> Dot:  # type: ignore[override]
        """Send a message to all members; returns its name."""
        self.sent += 1
        self.record("broadcast", origin=self.name, number=self.sent, body=msg)
        if self.name == self.sequencer:
            self.assign(self.name, self.sent, msg)
        else:
            self.transmit(self.sequencer, ToOrder(self.sent, msg))
        return (self.name, self.sent)

    def transmit(self, dst: str, msg: Any) -> None:
        """Send over the links."""
        link = getattr(self.node, self.links) if self.links else self
        link.send(dst, msg)

    def on_to_order(self, src: str, msg: ToOrder) -> None:
        self.assign(src, msg.number, msg.body)

    def assign(self, origin: str, number: int, body: Any) -> None:
        """The sequencer: give a message the next position, and tell everybody."""
        self.positions += 1
        ordered = Ordered(self.positions, origin, number, body)
        for peer in self.peers:
            self.transmit(peer, ordered)
        self.on_ordered(self.name, ordered)

    def on_ordered(self, src: str, msg: Ordered) -> None:
        if msg.position <= self.deliveries:
            return
        self.early[msg.position] = msg
        while (following := self.early.pop(self.deliveries + 1, None)) is not None:
            self.deliver(following)

    def deliver(self, msg: Ordered) -> None:
        """Pass a message to its handler."""
        self.deliveries += 1
        self.record("deliver", origin=msg.origin, number=msg.number, body=msg.body)
        self.dispatch(msg.origin, msg.body)
