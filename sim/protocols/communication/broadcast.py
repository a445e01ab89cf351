"""Broadcast, the building block: best effort, in any order. The stronger ones derive from it.

Hadzilacos & Toueg, "A Modular Approach to Fault-Tolerant Broadcasts and Related Problems" (1994); Cachin, Guerraoui,
Rodrigues 2011, chapter 3. A broadcast is a part of a node: ``self.cast.broadcast(message)`` sends, and at every member
(the sender too) the ordinary handler of that message runs when it is *delivered*, with the origin as its ``src``.

Two things vary, each on its own:

- *how it spreads*: `BestEffortBroadcast` (algorithm 3.1: the origin sends to all, over the ``links`` it was given),
  `EagerBroadcast`, `LazyBroadcast`, `UniformBroadcast` (see their files) override how a message spreads;
- *in which order*: ``order=ANY``, `FIFO` or `CAUSAL` (`sim.protocols.communication.orders`) says when a message that is
  here may be delivered.

Crash-recovery: what was broadcast and delivered is on disk, in one record with what the handler writes; a message is
delivered once, even after crashes. Over links that lose messages, best effort guarantees no delivery.

Cost: delivery after δ, n-1 messages (and as many acknowledgements where the links have them).
"""

from __future__ import annotations

from typing import Any

from sim.node import Part, durable, durable_map, message
from sim.protocols.causality.dots import EMPTY, Context, Dot
from sim.protocols.communication.orders import ANY, Order

__all__ = ["BestEffortBroadcast", "Packet"]


@message
class Packet:
    """The ``number``-th message that ``origin`` broadcasts, and its required predecessors (see the order)."""

    origin: str
    number: int
    past: tuple[Dot, ...]
    body: Any

    @property
    def dot(self) -> Dot:
        """The dot that identifies the message."""
        return (self.origin, self.number)


class BestEffortBroadcast(Part):
    """The origin sends to all members. If it crashes meanwhile, some members may never receive the message.

    Settings: ``links``, the name of the part of the node that sends (`sim.protocols.communication.links`); "" for the
    bare network. ``order``: when what has arrived may be delivered.
    """

    links = ""
    order: Order = ANY

    sent = durable(0)  # how many messages this node has broadcast
    delivered = durable(EMPTY)
    deliveries = durable(0)  # how many messages it has delivered
    waiting = durable_map()  # dot -> packet: received, but not deliverable yet

    @classmethod
    def check_settings(cls, **settings: Any) -> None:
        order = settings.get("order", ANY)
        if not isinstance(order, Order):
            raise ValueError(f"{cls.__name__}: order must be ANY, FIFO or CAUSAL, not {order!r}")

    def broadcast(self, msg: Any) -> Dot:  # type: ignore[override]
        """Send a message to all members; returns its name."""
        self.sent += 1
        packet = Packet(self.name, self.sent, self.order.past(self.name, self.sent, self.delivered), msg)
        self.record("broadcast", origin=self.name, number=self.sent, body=msg)
        self.begin(packet)
        return packet.dot

    # How it spreads

    def begin(self, packet: Packet) -> None:
        """The origin's part."""
        self.to_peers(packet)
        self.arrived(packet)

    def on_packet(self, src: str, msg: Packet) -> None:
        if not self.knows(msg.dot):
            self.first_seen(msg)

    def first_seen(self, packet: Packet) -> None:
        """Handle the first arrival of another member's message."""
        self.arrived(packet)

    def to_peers(self, packet: Packet) -> None:
        """Send a packet to all others, over the links."""
        send = getattr(self.node, self.links).send if self.links else self.send
        for peer in self.peers:
            send(peer, packet)

    def knows(self, dot: Dot) -> bool:
        """Whether a message has arrived here before."""
        return self.delivered.has(dot) or dot in self.waiting

    # When it is delivered

    def arrived(self, packet: Packet) -> None:
        """Accept a message that has spread sufficiently; deliver it when the order allows."""
        if not self.order.in_turn(packet, self.delivered):
            self.waiting[packet.dot] = packet
            return
        self.deliver(packet)
        while (following := self.next_in_turn()) is not None:
            del self.waiting[following.dot]
            self.deliver(following)

    def next_in_turn(self) -> Packet | None:
        """A waiting message that may be delivered now; None: there is none."""
        return next((p for p in self.waiting.values() if self.order.in_turn(p, self.delivered)), None)

    def deliver(self, packet: Packet) -> None:
        """Pass a message to its handler."""
        self.delivered = self.delivered.union(Context.of([packet.dot]))
        self.deliveries += 1
        self.record("deliver", origin=packet.origin, number=packet.number, body=packet.body)
        self.dispatch(packet.origin, packet.body)
