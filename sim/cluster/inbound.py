"""What reaches a node: messages from the network, finished work, and the atomic steps in which it handles them.

``_inbound.pyx`` beside it is the compiled build, with the same behaviour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sim.engine import COMPILED
from sim.message import check_message

if TYPE_CHECKING or not COMPILED:
    from sim.cluster.cores import Job
    from sim.network.plain_link import Receiving
else:
    from sim.cluster._cpu import Job
    from sim.network._plain_link import Receiving

if TYPE_CHECKING:
    from sim.cluster.clock import NodeClocks
    from sim.cluster.cluster import Cluster
    from sim.cluster.cores import Cpu
    from sim.cluster.disk import InstantDisk, SyncedDisk
    from sim.cluster.host import Halt
    from sim.cluster.profile import Machine
    from sim.cluster.sending import Nic
    from sim.cluster.story import Stories

__all__ = ["Delivery", "Inbound"]

Delivery = tuple[str, Any]
"""The sender's name, and the message."""


class Inbound(Receiving):
    """The part of a host (`sim.cluster.host.NodeHost`) that takes in what reaches its node."""

    name: str
    node: Any
    cluster: Cluster
    profile: Machine
    cpu: Cpu
    nic: Nic | None
    disk: InstantDisk | SyncedDisk
    clocks: NodeClocks
    stories: Stories
    follow: Callable[[Any], None]
    step: Callable[[Callable[..., Any], tuple[Any, ...]], None]
    handlers: dict[type, Callable[[Any, Any], Any]]
    jobs: dict[tuple[int, str, Any], Job]
    halt: Halt | None
    in_step: bool
    crashes: int
    dropped: int
    messages_are_free: bool  # to receive

    def clock(self) -> float:
        """See `Verbs.now`: what `NodeClocks.wall` gives, without a call more, as nodes ask in each step."""
        clocks = self.clocks
        return clocks._ahead + clocks.rate * clocks._time._now

    def receive(self, src: str, message: Any) -> None:
        """A message has arrived at the machine."""
        if not self.handlers:
            self.lost_at_door()
        elif self.nic is not None and not self.cluster.network.is_local(src, self.name):
            self.nic.pass_on("in", message, self._off_the_card, (self.crashes, (src, message)))
        else:
            self._take_in((src, message))

    def _off_the_card(self, arrived: tuple[int, Delivery]) -> None:
        """The network card has received a message."""
        life, delivery = arrived
        if life == self.crashes:
            self._take_in(delivery)

    def _take_in(self, delivery: Delivery) -> None:
        """Give a message to the cores, or to its handler if messages cost nothing."""
        self.messages_in += 1
        if self.messages_are_free:
            self.handle(delivery)
        else:
            profile = self.profile
            cost = profile.per_message
            if profile.per_byte:
                cost += profile.per_byte * delivery[1].wire_bytes
            self.cpu.submit(Job(cost, self.handle, delivery))

    def lost_at_door(self) -> None:
        """Count a message that arrived while the node was down."""
        self.dropped += 1

    def handle(self, delivery: Delivery) -> None:
        """Call the handler of a message; during a pause, keep the message for later."""
        src, message = delivery
        if self.halt is not None:
            self.halt.late.append((self.handle, (delivery,)))
            return
        handler = self.handlers.get(message.__class__) or self.handler_of(src, message)
        for hear in self.cluster.on_deliver[message.__class__]:
            hear(src, self.name, message)
        self.step(handler, (src, message))

    def handler_of(self, src: str, message: Any) -> Callable[[Any, Any], Any]:
        """The handler of a message. Raises TypeError if there is none, or if it is no message."""
        handler = self.handlers.get(message.__class__)
        if handler is None:
            check_message(message)
            node_class = type(self.node)
            raise TypeError(f"{self.name} ({node_class.__name__}) has no handler for {message!r} from {src}")
        return handler

    def recorded_step(self, handler: Callable[..., Any], arguments: tuple[Any, ...] = ()) -> None:
        """Run one atomic step of the node: all its writes are one record."""
        node = self.node
        nested = self.in_step
        self.in_step = True
        try:
            result = handler(*arguments)
            if result is not None:
                self.follow(result)
            if not nested and self.stories.called:
                self.stories.refuse_unbegun()
        except Exception as error:
            self.blame(error)
            raise
        finally:
            self.in_step = nested
        if not nested and node is self.node:
            self.disk.seal()
            if self.cluster.checking and node is not None:
                self.cluster.after_step(node)

    def blame(self, error: Exception) -> None:
        """Add a note to an exception: on which node and at what time it happened."""
        raise NotImplementedError

    def work_done(self, done: tuple[tuple[int, str, Any], Callable[..., Any], Any]) -> None:
        """A piece of work is done: call its handler."""
        if self.halt is not None:
            self.halt.late.append((self.work_done, (done,)))
            return
        job_key, handler, key = done
        if self.jobs.pop(job_key, None) is None:
            return  # cancelled between its end and the end of a pause
        self.step(handler, () if key is None else (key,))
