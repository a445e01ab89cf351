"""Links: the delivery guarantees of a message between two nodes, up to "exactly once, in order, across restarts".

Cachin, Guerraoui, Rodrigues, "Introduction to Reliable and Secure Distributed Programming" (2nd ed. 2011), sections
2.4.2 to 2.4.7. A link is a part of a node. It sends by the same verbs as the node itself (``self.links.send(dst,
message)``) and hands what arrives to the ordinary handler of the message, so that a protocol changes its links by one
word. What the network gives to a node without any part (`Verbs.send`) is the *fair-loss* link: messages may be lost,
duplicated and reordered, but a message that is sent infinitely often arrives infinitely often.

- `StubbornLinks` (algorithm 2.1): sends everything again and again, until it is told to stop.
- `PerfectLinks` (algorithm 2.2): acknowledgements end the repetition, numbers identify duplicates. It guarantees
  delivery between nodes that do not crash: a restart begins a new incarnation (*life*), which does not know what the
  old one had sent or received; late messages of an old incarnation are dropped.
- `LoggedLinks` (section 2.4.5): what is not acknowledged, and what was received, is on disk; a message arrives exactly
  once, also if nodes crash and restart. Delivery and the handler's writes are one record: both survive, or neither.
- `FifoLinks`: logged, and in the order of sending.

Departures: acknowledgements, which the book leaves to the implementation. Cost: a message and an acknowledgement,
delivery after δ.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sim.node import Part, durable_map, message
from sim.protocols.causality.dots import EMPTY, Context

__all__ = ["FifoLinks", "LoggedLinks", "PerfectLinks", "Segment", "SegmentAck", "StubbornLinks"]


@message
class Segment:
    """The ``number``-th message from the sender, in its incarnation ``life``, to this receiver."""

    carries: ClassVar[str] = "body"  # the field with the message of the node
    life: int
    number: int
    body: Any


@message
class SegmentAck:
    """The segment has arrived (with logged links: it is on disk)."""

    life: int
    number: int


class StubbornLinks(Part):
    """Repeats every message every ``every`` seconds, forever; each arrival is delivered.

    Attributes
    ----------
    every: seconds between two transmissions of a message (> 0).
    outbox: ``(destination, number) -> message`` that is still repeated; `forget` ends this.
    """

    every = 0.2

    @classmethod
    def check_settings(cls, **settings: Any) -> None:
        every = settings.get("every", cls.every)
        if not 0 < every < float("inf"):
            raise ValueError(f"{cls.__name__}: every must be positive seconds, not {every!r}")

    def on_start(self) -> None:
        self.life = self.incarnation
        self.outbox: dict[tuple[str, int], Any] = {}
        self.numbers: dict[str, int] = {}  # destination -> how many messages it was sent

    def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
        """Send a message; like every message it waits for the disk."""
        number = self.numbers[dst] = self.numbers.get(dst, 0) + 1
        self.outbox[dst, number] = msg
        self.transmit(dst, number)

    def transmit(self, dst: str, number: int) -> None:
        """Put a message on the wire, and again in a while."""
        self.host.send(dst, Segment(self.life, number, self.outbox[dst, number]), True)
        self.set_timer("retransmit", self.every, (dst, number))

    def on_retransmit_timeout(self, which: tuple[str, int]) -> None:
        if which in self.outbox:
            self.transmit(*which)

    def on_segment(self, src: str, msg: Segment) -> None:
        self.dispatch(src, msg.body)

    def forget(self, dst: str, number: int) -> None:
        """Stop repeating this message."""
        self.outbox.pop((dst, number), None)
        self.cancel_timer("retransmit", (dst, number))


class PerfectLinks(StubbornLinks):
    """Delivers each message once, as long as sender and receiver do not crash.

    ``received``: sender -> (its incarnation, the numbers that have arrived in it).
    """

    def on_start(self) -> None:
        super().on_start()
        self.received: dict[str, tuple[int, Context]] = {}

    def on_segment(self, src: str, msg: Segment) -> None:
        life, numbers = self.received.get(src, (msg.life, EMPTY))
        if msg.life < life:
            return  # the incarnation of its sender has ended
        if msg.life > life:
            numbers = EMPTY
        if not numbers.has((src, msg.number)):
            self.accept(src, msg, numbers)
        self.host.send(
            src, SegmentAck(msg.life, msg.number), True
        )  # sent after the promised state is on disk

    def accept(self, src: str, msg: Segment, before: Context) -> None:
        """Note a new message as received, and deliver it."""
        self.received[src] = (msg.life, before.union(Context.of([(src, msg.number)])))
        self.dispatch(src, msg.body)

    def on_segment_ack(self, src: str, msg: SegmentAck) -> None:
        if msg.life == self.life:
            self.forget(src, msg.number)


class LoggedLinks(PerfectLinks):
    """Delivers each message exactly once, even when sender and receiver crash and restart meanwhile."""

    outbox = durable_map()
    numbers = durable_map()
    received = durable_map()

    def on_start(self) -> None:
        self.life = 0  # one incarnation, even after restarts
        for dst, number in list(self.outbox):
            self.transmit(dst, number)


class FifoLinks(LoggedLinks):
    """Logged links that deliver in the order of sending.

    What comes too early waits in memory, and is acknowledged only when its turn has come: a restart loses the early
    ones, and their sender repeats them.
    """

    def on_start(self) -> None:
        self.early: dict[tuple[str, int], Segment] = {}
        super().on_start()

    def on_segment(self, src: str, msg: Segment) -> None:
        if msg.number < self.expected(src):
            super().on_segment(src, msg)  # a duplicate
            return
        self.early[src, msg.number] = msg
        while (following := self.early.pop((src, self.expected(src)), None)) is not None:
            super().on_segment(src, following)

    def expected(self, src: str) -> int:
        """The number of the next message from ``src``."""
        numbers: Context = self.received.get(src, (0, EMPTY))[1]
        return numbers.upto(src) + 1
